"""Coarse network f_c: a first completion at the input's resolution (Zoom-to-Inpaint section 3.1.1, A.1, Figure 9).

    X_c = M * f_c(X_m, M) + X_m        (eq. 2), X_m = (1 - M) * X (eq. 1)

With a membrane start (`ZoomConfig.start`), X_c = M * (f_c(X_s, M) + X_s) + X_m, where X_s is X_m with the membrane in
the hole.

Input: masked image [B, H, W, 3] in [0, 1] and mask [B, H, W, 1], H and W multiples of 4. Output: f_c [B, H, W, 3],
float32 and unbounded, before the blend.
"""

from __future__ import annotations

import tensorflow as tf

from common.models.composite import Composite
from zoom_to_inpaint.config import ZoomConfig
from zoom_to_inpaint.encoder_decoder import Decoder, Encoder, hole_box


class CoarseNetwork(Composite):
    """(masked image, mask) -> f_c [B, H, W, 3]; see the module docstring."""

    def __init__(self, config: ZoomConfig, **kwargs):
        super().__init__(**kwargs)
        self.encoder = Encoder(config.channels, dtype=self.dtype_policy)
        self.decoder = Decoder(config.channels, config.last_initializer, dtype=self.dtype_policy)

    def call(self, inputs, training=None, hole_only=False):
        """hole_only: skips what the blend discards; outside the hole's bounding box the result is then 0."""
        x = tf.cast(tf.concat(inputs, axis=-1), self.compute_dtype)
        box = hole_box(inputs[1], 0) if hole_only else None
        return self.decoder(self.encoder(x, training=training), training=training, box=box)
