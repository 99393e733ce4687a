"""Refinement network f_r: refines the zoomed image, with contextual attention (section 3.1.3, A.3, Figure 10).

    bottleneck x = encoder(image, mask);   x = G(4ch)[x, CA(x)];   f_r = image + decoder(x)

Input: the zoomed coarse result [B, sH, sW, 3] in [0, 1] and the zoomed mask [B, sH, sW, 1], sides multiples of 8.
Output: f_r [B, sH, sW, 3], float32 and unbounded, before the blend of eq. 4 or 7. The decoder's output is added to
the input image as in the release; the paper does not say.
"""

from __future__ import annotations

import tensorflow as tf

from common.models.composite import Composite
from zoom_to_inpaint.attention import ContextualAttention
from zoom_to_inpaint.config import ZoomConfig
from zoom_to_inpaint.encoder_decoder import Decoder, Encoder, hole_box
from zoom_to_inpaint.gated_convolution import GatedConv2D


class RefinementNetwork(Composite):
    """(zoomed image, zoomed mask) -> f_r [B, sH, sW, 3]; see the module docstring."""

    def __init__(self, config: ZoomConfig, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.encoder = Encoder(config.channels, dtype=policy)
        self.attention = ContextualAttention(
            4 * config.channels, config.temperature, config.floored_attention, dtype=policy
        )
        self.merge = GatedConv2D(4 * config.channels, dtype=policy)
        self.decoder = Decoder(config.channels, config.last_initializer, dtype=policy)
        # Bicubic zoom-out with antialiasing reads 2s pixels around a pixel; in cells of 4 pixels.
        self._margin = -(-2 * config.scale // 4)

    def call(self, inputs, training=None, hole_only=False):
        """hole_only: skips what does not affect the hole after zoom-out; there the result is the input image."""
        image, mask = inputs
        x = self.encoder(tf.cast(tf.concat(inputs, axis=-1), self.compute_dtype), training=training)
        attended = self.attention((x, mask), training=training)
        x = self.merge(tf.concat([x, attended], axis=-1), training=training)
        box = hole_box(mask, self._margin) if hole_only else None
        return tf.cast(image, tf.float32) + self.decoder(x, training=training, box=box)

    def attention_map(self, inputs):
        """(zoomed image, zoomed mask) -> [B, N, N], see `zoom_to_inpaint.attention`; N = (sH / 8) * (sW / 8)."""
        x = self.encoder(tf.cast(tf.concat(inputs, axis=-1), self.compute_dtype))
        return self.attention.map((x, inputs[1]))
