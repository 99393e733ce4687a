"""Bilinear resampling by a factor of two (HiFill appendix: `downsample(2x)`, `upsample(2x)`).

With half-pixel centres a 2x reduction averages 2x2 pixels and neither direction shifts the image. TensorFlow 1's grid
(`half_pixel_centers=False`) takes every second pixel and shifts the image by half a pixel; only the released weights
use it.
"""

from __future__ import annotations

import tensorflow as tf

from common.models import plain_ops


def bilinear(images: tf.Tensor, factor: float, half_pixel_centers: bool) -> tf.Tensor:
    """[B, H, W, C] -> [B, H*factor, W*factor, C], float32 or the input's half precision."""
    if plain_ops.for_xla() and half_pixel_centers:
        sides = [round(side * factor) for side in images.shape[1:3]]
        return tf.cast(plain_ops.resize(images, sides, "bilinear"), images.dtype)
    shape = tf.shape(images)
    size = tf.cast(tf.cast(shape[1:3], tf.float32) * factor, tf.int32)
    resized = tf.raw_ops.ResizeBilinear(
        images=images, size=size, align_corners=False, half_pixel_centers=half_pixel_centers
    )
    static = [None if side is None else int(side * factor) for side in images.shape[1:3]]
    resized.set_shape([images.shape[0], *static, images.shape[3]])
    return tf.cast(resized, images.dtype)  # the op computes half precision in float32
