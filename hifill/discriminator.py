"""Discriminator: one Wasserstein score per image (HiFill appendix "Discriminator", section 3.5).

    K3S2C64 - K3S2C128 - 4 x K3S2C256 - fully connected to 1

Input: a complete image in [-1, 1], [B, S, S, 3]. Output: [B, 1], unbounded. Plain convolutions with leaky ReLU (0.2)
and no normalisation, as in the release (the paper names neither). Batch statistics would couple the samples, which
the gradient penalty treats one by one. The release has 5x5 kernels. The discriminator always computes in float32,
because the gradient penalty differentiates it twice and compares a norm with 1.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from common.models.composite import Composite
from hifill.config import HiFillConfig

_WIDTHS = (1, 2, 4, 4, 4, 4)
_LEAK = 0.2


class Discriminator(Composite):
    """[B, S, S, 3] in [-1, 1] -> scores [B, 1]."""

    def __init__(self, config: HiFillConfig, **kwargs):
        super().__init__(autocast=True, dtype="float32", **kwargs)
        self.convolutions = [
            keras.layers.Conv2D(
                width * config.discriminator_channels,
                config.discriminator_kernel,
                strides=2,
                padding="same",
                dtype="float32",
            )
            for width in _WIDTHS
        ]
        self.score = keras.layers.Dense(1, dtype="float32")

    def call(self, images):
        x = images
        for convolution in self.convolutions:
            x = convolution(x)
            x = tf.maximum(x, _LEAK * x)  # not tf.nn.leaky_relu, on which the graph optimizer fails
        return self.score(tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]]))
