"""Coarse network: a rough completion at half resolution (HiFill section 3.3, appendix "Coarse Network").

Input: [B, S, S, 4], the image in [-1, 1] and the mask. The hole of the image holds 0 or a membrane
(`HiFillConfig.start`). Output: [B, S, S, 3] in [-1, 1], before pasting; `HiFill` adds it to a membrane. The network
works on S/2 x S/2 (256 for S = 512), which enlarges the receptive field and reduces computation. Every layer is a gated
convolution (LWGC-sc by default), the RGB output too unless `hifill.rgb_head` names another. No normalisation.

    downsample 2x - K5S2C32 - K3C32 - K3S2C64 - 6 x K3C64 - 5 x D2 - 4 x D4 - 2 x D8 - 3 x K3C64
    - upsample 2x - K3C32 - upsample 2x - K3C3 - clip - upsample 2x

(K kernel, S stride, C channels, D dilation.) The release has a second K3C32.
"""

from __future__ import annotations

import tensorflow as tf

from common.models.composite import Composite
from hifill import rgb_head
from hifill.config import HiFillConfig
from hifill.gated_convolution import gated_convolution
from hifill.resampling import bilinear


class CoarseNetwork(Composite):
    """[B, S, S, 4] -> [B, S, S, 3] in [-1, 1]."""

    def __init__(self, config: HiFillConfig, **kwargs):
        super().__init__(autocast=True, **kwargs)
        self.config = config
        c = config.channels

        def conv(filters, kernel_size=3, strides=1, dilation_rate=1):
            return gated_convolution(
                config.coarse_gate,
                filters,
                kernel_size,
                strides,
                dilation_rate,
                dtype=self.dtype_policy,
            )

        self.encoder = [conv(c, 5, strides=2), conv(c), conv(2 * c, strides=2)]
        self.encoder += [conv(2 * c) for _ in range(config.coarse_plain_layers)]
        self.dilated = [conv(2 * c, dilation_rate=d) for d in 5 * [2] + 4 * [4] + 2 * [8]]
        self.decoder = [conv(2 * c) for _ in range(3)]
        self.decoder_half = [conv(c) for _ in range(config.coarse_decoder_layers)]
        self.to_rgb = rgb_head.make(config, config.coarse_gate, self.dtype_policy)

    def call(self, inputs):
        half_pixel = self.config.half_pixel_centers
        x = bilinear(inputs, 0.5, half_pixel)
        for layer in self.encoder + self.dilated + self.decoder:
            x = layer(x)
        x = bilinear(x, 2, half_pixel)
        for layer in self.decoder_half:
            x = layer(x)
        rgb = rgb_head.enlarge(self.config, self.to_rgb, x)
        return bilinear(tf.clip_by_value(rgb, -1.0, 1.0), 2, half_pixel)
