"""Tracing with plain ops alone, for runtimes that know static shapes and neither loops nor lists of tensors.

Inside `only()` the layers choose ops that ONNX and LiteRT have: whole images instead of strips, constant matrices
instead of resampling ops, attention of all patches instead of the hole's. Values are the same up to rounding; time and
memory are higher. All shapes have to be known.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Callable

import tensorflow as tf

_tracings: list[Callable | None] = []


@contextlib.contextmanager
def only(membrane: Callable | None = None) -> Iterator[None]:
    """Its block traces with plain ops.

    membrane: replaces `common.models.membrane.fill`, whose thousand ops a converter may not digest.
    """
    _tracings.append(membrane)
    try:
        yield
    finally:
        _tracings.pop()


def wanted() -> bool:
    """Whether plain ops are wanted."""
    return bool(_tracings)


def membrane() -> Callable | None:
    """What `only` was given for the membrane."""
    return _tracings[-1] if _tracings else None


def resize(image: tf.Tensor, size, method: str, antialias: bool = False) -> tf.Tensor:
    """`tf.image.resize` of one image [1, H, W, C] as products with constant matrices, float32."""
    image = tf.cast(image[0], tf.float32)
    for length in map(int, size):
        image = tf.transpose(image, [1, 2, 0])  # the axis to resize comes last
        flat = tf.reshape(image, [-1, image.shape[2]])
        flat = tf.matmul(flat, _resize_matrix(image.shape[2], length, method, antialias))
        image = tf.reshape(flat, [*image.shape[:2], length])
    return tf.transpose(image, [1, 2, 0])[tf.newaxis]


def _resize_matrix(length, new_length, method, antialias):
    """[length, new_length]: what `tf.image.resize` does along an axis."""
    with tf.init_scope():
        unit = tf.eye(length)[tf.newaxis, ..., tf.newaxis]
        size = [new_length, length]
        return tf.image.resize(unit, size, method, antialias=antialias)[0, ..., 0].numpy().T
