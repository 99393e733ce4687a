"""Refinement network: details borrowed from the context at three scales (HiFill section 3.3, appendix).

Input: the coarse completion pasted into the image, in [-1, 1], and the mask: [B, S, S, 4]. Outputs: the refined
image [B, S, S, 3] in [-1, 1] before pasting, and the attention. With a membrane start (`HiFillConfig.start`) `HiFill`
adds the output to the input image. Every layer is a gated convolution (LWGC-pw by default), the RGB output too unless
`hifill.rgb_head` names another.

    K5S2C32 - K3C32 [P1] - K3S2C64 - K3C64 [P2] - K3S2C128 - K3C128 - K3C128 - D2 - D4 - D8 - D16 [P3]
    [P3] - attention - K3C128            -> concat with P3      - K3C128 - upsample 2x - K3C64 - K3C64
    [P2] - attention - K3C64  - K3C64D2  -> concat with decoder          - upsample 2x - K3C32 - K3C32
    [P1] - attention - K3C32  - K3C32D2  -> concat with decoder          - upsample 2x - K3C3  - clip

Attention scores are computed once, on P3; the three transfers share them. In the decoder's concatenations the
attended features come first (the release's order; the paper's figure does not say).
"""

from __future__ import annotations

import tensorflow as tf

from common.models.composite import Composite
from hifill import hole_part, rgb_head
from hifill.attention import AttentionTransfer, ContextualAttention
from hifill.config import HiFillConfig
from hifill.gated_convolution import gated_convolution
from hifill.resampling import bilinear


class RefinementNetwork(Composite):
    """([B, S, S, 4], mask [B, S, S, 1]) -> (refined [B, S, S, 3] in [-1, 1], `Attention`)."""

    def __init__(self, config: HiFillConfig, **kwargs):
        super().__init__(autocast=True, **kwargs)
        self.config = config
        c = config.channels

        def conv(filters, kernel_size=3, strides=1, dilation_rate=1):
            return gated_convolution(
                config.refinement_gate,
                filters,
                kernel_size,
                strides,
                dilation_rate,
                dtype=self.dtype_policy,
            )

        self.encoder_1 = [conv(c, config.refinement_first_kernel, strides=2), conv(c)]
        self.encoder_2 = [conv(2 * c, strides=2), conv(2 * c)]
        self.encoder_3 = [conv(4 * c, strides=2), conv(4 * c), conv(4 * c)]
        self.dilated = [conv(4 * c, dilation_rate=d) for d in (2, 4, 8, 16)]

        self.attention = ContextualAttention(config, dtype="float32")
        self.transfer = AttentionTransfer(config, dtype="float32")
        self.attended_3 = conv(4 * c)
        self.attended_2 = [conv(2 * c), conv(2 * c, dilation_rate=2)]
        self.attended_1 = [conv(c), conv(c, dilation_rate=2)]

        self.merge = conv(4 * c)
        self.decoder_2 = [conv(2 * c), conv(2 * c)]
        self.decoder_1 = [conv(c), conv(c)]
        self.to_rgb = rgb_head.make(config, config.refinement_gate, self.dtype_policy)

    def call(self, inputs, mask, hole_only=False):
        """hole_only: compute the refined image only around the hole (`hifill.hole_part`); it is 0 elsewhere."""
        part = hole_part.around(mask) if hole_only else None
        cut = part.cut if part else tf.identity
        p1 = _chain(self.encoder_1, inputs)
        p2 = _chain(self.encoder_2, p1)
        p3 = _chain(self.encoder_3 + self.dilated, p2)
        attention = self.attention(p3, mask)

        attended_3 = self.attended_3(cut(self.fill(p3, attention, mask)))
        x = self.merge(tf.concat([cut(p3), attended_3], axis=-1))
        x = _chain(self.decoder_2, self._upsample(x))
        attended_2 = _chain(self.attended_2, cut(self.fill(p2, attention, mask)))
        x = _chain(self.decoder_1, self._upsample(tf.concat([attended_2, x], axis=-1)))
        attended_1 = _chain(self.attended_1, cut(self.fill(p1, attention, mask)))
        x = rgb_head.enlarge(self.config, self.to_rgb, tf.concat([attended_1, x], axis=-1))
        x = tf.clip_by_value(x, -1.0, 1.0)
        return part.put_back(x) if part else x, attention

    def fill(self, features, attention, mask):
        """Attention transfer (section 3.2): transferred features in the hole, unchanged features outside.

        The transfer fills whole patches; only positions that cover a hole pixel of `mask` are replaced.
        """
        filled = self.transfer(features, attention)
        if not self.config.fill_hole_only:
            return filled
        step = mask.shape[1] // features.shape[1]
        return tf.where(tf.nn.max_pool2d(mask, step, step, "SAME") > 0, filled, features)

    def _upsample(self, x):
        return bilinear(x, 2, self.config.half_pixel_centers)


def _chain(layers, x):
    for layer in layers:
        x = layer(x)
    return x
