"""PatchGAN discriminator: one score per patch of the refined image (Zoom-to-Inpaint section 3.1.3, A.4, Figure 8).

    5 x (5x5 convolution with stride 2, spectral normalization, LeakyReLU 0.2), channels ch, 2ch, 4ch, 4ch, 4ch

Input: high-resolution image [B, sH, sW, 3] in [0, 1] (blended, eq. 4, or the label) and mask [B, sH, sW, 1]. Output:
the last layer's values flattened, [B, P] float32, one score per patch. The discriminator always computes in float32,
because the power iteration writes kernels back and half precision would round them.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from common.models.composite import Composite
from zoom_to_inpaint.config import ZoomConfig
from zoom_to_inpaint.spectral_normalization import SpectralNormalization

_WIDTHS = (1, 2, 4, 4, 4)
_LEAK = 0.2


class Discriminator(Composite):
    """(image, mask) -> patch scores [B, P]; see the module docstring."""

    def __init__(self, config: ZoomConfig, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        widths = [width * config.discriminator_channels for width in _WIDTHS]
        self.convolutions = [_convolution(filters) for filters in widths]

    def call(self, inputs, training=None):
        """training: True takes one step of power iteration and normalises the kernels anew."""
        x = tf.concat([tf.cast(part, tf.float32) for part in inputs], axis=-1)
        for convolution in self.convolutions:
            x = _leaky_relu(convolution(x, training=training))
        return tf.reshape(x, [tf.shape(x)[0], -1])


@tf.custom_gradient
def _leaky_relu(x):
    """max(x, 0.2 x), whose gradient needs only the result. The graph optimizer fails on tf.nn.leaky_relu here."""
    y = tf.maximum(x, _LEAK * x)
    return y, lambda upstream: tf.where(y > 0, upstream, _LEAK * upstream)


def _convolution(filters):
    convolution = keras.layers.Conv2D(filters, 5, strides=2, padding="same", dtype="float32")
    return SpectralNormalization(convolution, dtype="float32")
