"""Checks the batches that the public functions of both papers' models take."""

from __future__ import annotations

import tensorflow as tf

from common.errors import UserError


def check(image, mask, size: int | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """image [B, H, W, 3] and mask [B, H, W, 1] as float32 tensors, the mask binary.

    Args:
      image: array or tensor of floats.
      mask: array or tensor of numbers or bool, 1 = hole.
      size: H and W, if the model takes one size only.

    Raises:
      UserError: other types or shapes, different sizes, no pixel, a mask that is not finite, or an image that is not
        finite outside the hole.
    """
    for name, array, channels in (("image", image, 3), ("mask", mask, 1)):
        if not hasattr(array, "shape") or not hasattr(array, "dtype"):
            raise UserError(f"{name} must be an array or a tensor, got {type(array).__name__}")
        shape = tuple(array.shape)
        if len(shape) != 4 or shape[3] != channels or (size and shape[1:3] != (size, size)):
            expected = f"[B, {size or 'H'}, {size or 'W'}, {channels}]"
            hint = " (inpaint takes any size)" if size else ""
            raise UserError(f"{name} has shape {shape}; expected {expected}{hint}")
    if tuple(image.shape[:3]) != tuple(mask.shape[:3]):
        raise UserError(f"image {tuple(image.shape)} and mask {tuple(mask.shape)} differ in size")
    if 0 in tuple(image.shape):
        raise UserError(f"image has shape {tuple(image.shape)}: it holds no pixel")
    if not _type(image).is_floating:
        raise UserError(f"image is {image.dtype}; expected floats in [0, 1]")
    kind = _type(mask)
    if not (kind.is_floating or kind.is_integer or kind.is_bool):
        raise UserError(f"mask is {mask.dtype}; expected numbers, 1 = hole")
    image, mask = tf.cast(image, tf.float32), tf.cast(mask, tf.float32)
    hole = mask > 0.5
    if tf.executing_eagerly():  # inside a graph there are no values to check
        if not tf.reduce_all(tf.math.is_finite(mask)):
            raise UserError("mask holds NaN or infinite values")
        if not tf.reduce_all(tf.math.is_finite(tf.where(hole, 0.0, image))):
            raise UserError("image holds NaN or infinite values outside the hole")
    return image, tf.cast(hole, tf.float32)


def _type(array):
    try:
        return tf.as_dtype(array.dtype)
    except TypeError:  # one that TensorFlow lacks
        return tf.string
