"""Super-resolution network: zooms the coarse result in by s (Zoom-to-Inpaint section 3.1.2, A.2, Figure 7).

    conv ch ReLU - 4 x (x + conv ReLU conv ReLU) - conv ch*s*s ReLU - pixel shuffle - conv 3  + bicubic(x)

All kernels are 3x3 and Glorot-normal; with a membrane start (`ZoomConfig.start`) the last kernel starts at zero.
[B, H, W, 3] in [0, 1] -> [B, sH, sW, 3] float32, unbounded. Known pixels change too, so that the refinement network
can copy sharp patches into the hole.

`zoom_in` makes the layer between the two inpainting networks: this network or bicubic interpolation.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow import keras

from common.models import plain_ops
from common.models.composite import Composite
from zoom_to_inpaint.config import ZoomConfig
from zoom_to_inpaint.strips import Strips

_BLOCKS = 4
# Halo of the convolutions before and after the pixel shuffle, in rows.
_SPREAD_HALO = 2


class SuperResolution(Composite):
    """[B, H, W, 3] -> [B, sH, sW, 3]; see the module docstring."""

    def __init__(self, config: ZoomConfig, **kwargs):
        super().__init__(**kwargs)
        self.scale = config.scale
        channels = config.sr_channels
        self.first = self._convolution(channels)
        self.blocks = [self._convolution(channels) for _ in range(2 * _BLOCKS)]
        self.spread = self._convolution(channels * self.scale**2, activation=None)
        self.last = self._convolution(3, None, config.last_initializer or "glorot_normal")

    def _convolution(self, filters, activation="relu", initializer="glorot_normal"):
        return keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            activation=activation,
            kernel_initializer=initializer,
            dtype=self.dtype_policy,
        )

    def call(self, inputs, training=None):
        x = self.first(tf.cast(inputs, self.compute_dtype))
        for one, two in zip(self.blocks[::2], self.blocks[1::2]):
            x = x + two(one(x))
        if training:
            return self._spread(x) + enlarge(inputs, self.scale)
        strips = Strips(1, self.scale, _SPREAD_HALO, self.spread.filters)
        return strips.apply(self._spread, x, 3, tf.float32) + enlarge(inputs, self.scale)

    def _spread(self, x):
        """Features [B, H, W, ch] -> detail [B, sH, sW, 3]."""
        # ReLU and pixel shuffle commute; with the ReLU last, the backward pass keeps one feature map less.
        x = tf.nn.relu(tf.nn.depth_to_space(self.spread(x), self.scale))
        return tf.cast(self.last(x), tf.float32)


class BicubicZoom(keras.layers.Layer):
    """The ablations "Bicubic zoom" and, with scale 1, "No zoom" (section 4.4): [B, H, W, 3] -> [B, sH, sW, 3]."""

    def __init__(self, config: ZoomConfig, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.scale = config.scale

    def call(self, inputs, training=None):
        del training
        return enlarge(inputs, self.scale)


def zoom_in(config: ZoomConfig, **kwargs) -> keras.layers.Layer:
    """The layer that a configuration puts between the coarse and the refinement network."""
    return (SuperResolution if config.zoom == "sr" else BicubicZoom)(config, **kwargs)


def enlarge(image: tf.Tensor, scale: int) -> tf.Tensor:
    """Bicubic interpolation, [B, H, W, 3] -> [B, sH, sW, 3] float32; an identity if s = 1."""
    if scale == 1:
        return tf.cast(image, tf.float32)
    size = scale * tf.shape(image)[1:3]
    if plain_ops.wanted():
        return plain_ops.resize(image, scale * np.array(image.shape[1:3]), "bicubic")
    return tf.image.resize(tf.cast(image, tf.float32), size, "bicubic")


def enlarge_mask(mask: tf.Tensor, scale: int) -> tf.Tensor:
    """M~: the mask by nearest neighbour (section 3.1.3), [B, H, W, 1] -> [B, sH, sW, 1] float32."""
    return tf.repeat(tf.repeat(tf.cast(mask, tf.float32), scale, axis=1), scale, axis=2)


def zoom_out(image: tf.Tensor, scale: int) -> tf.Tensor:
    """Bicubic with antialiasing (eq. 7): [B, sH, sW, 3] -> [B, H, W, 3] float32."""
    if scale == 1:
        return tf.cast(image, tf.float32)
    size = tf.shape(image)[1:3] // scale
    if plain_ops.wanted():
        return plain_ops.resize(image, np.array(image.shape[1:3]) // scale, "bicubic", True)
    return tf.image.resize(image, size, "bicubic", antialias=True)
