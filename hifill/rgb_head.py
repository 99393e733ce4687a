"""The last layer of either network: features -> RGB at twice the resolution (HiFill appendix).

    gated      upsample 2x - K3C3, gated like every layer (section 3.3)
    plain      upsample 2x - K3C3 without gate and activation (departure)
    subpixel   K3C12 without gate and activation - pixel shuffle (departure): predicts the four pixels of a position
               separately, so edges and texture can be finer than the features

A gated head can close its gate; then no gradient reaches the network. With a membrane start (`HiFillConfig.start`) the
kernels of the ungated heads begin at zero, so that a fresh model returns the membrane.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from hifill.config import HiFillConfig
from hifill.gated_convolution import gated_convolution
from hifill.resampling import bilinear


def make(config: HiFillConfig, gate: str, dtype) -> keras.layers.Layer:
    """The head's convolution, for `enlarge`."""
    if config.rgb_head == "gated":
        return gated_convolution(gate, 3, dtype=dtype)
    normal = keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal")
    return keras.layers.Conv2D(
        12 if config.rgb_head == "subpixel" else 3,
        3,
        padding="same",
        kernel_initializer=normal if config.start == "zero" else "zeros",
        dtype=dtype,
    )


def enlarge(config: HiFillConfig, convolution: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
    """[B, H, W, C] -> [B, 2H, 2W, 3] float32, not clipped."""
    if config.rgb_head == "subpixel":
        return tf.cast(tf.nn.depth_to_space(convolution(x), 2), tf.float32)
    return tf.cast(convolution(bilinear(x, 2, config.half_pixel_centers)), tf.float32)
