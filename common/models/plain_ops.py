"""Tracing with plain ops, for XLA and for runtimes that know static shapes and neither loops nor lists of tensors.

Inside `only()` the layers choose ops that ONNX, LiteRT and XLA have: whole images instead of strips, weighted sums
instead of resampling ops, attention of all patches instead of the hole's. Values and gradients are the same up to
rounding; time and memory are higher. All shapes have to be known.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Callable

import numpy as np
import tensorflow as tf

_tracings: list[tuple[Callable | None, bool]] = []


@contextlib.contextmanager
def only(membrane: Callable | None = None, xla: bool = False) -> Iterator[None]:
    """Its block traces with plain ops.

    Args:
      membrane: replaces `common.models.membrane.fill`, whose thousand ops a converter may not digest.
      xla: for XLA, where bilinear resampling has an op too, but sums take a tenth of its time.
    """
    _tracings.append((membrane, xla))
    try:
        yield
    finally:
        _tracings.pop()


def wanted() -> bool:
    """Whether plain ops are wanted."""
    return bool(_tracings)


def membrane() -> Callable | None:
    """What `only` was given for the membrane."""
    return _tracings[-1][0] if _tracings else None


def for_xla() -> bool:
    """Whether plain ops are wanted for XLA."""
    return bool(_tracings) and _tracings[-1][1]


def resize(images: tf.Tensor, size, method: str, antialias: bool = False) -> tf.Tensor:
    """`tf.image.resize` of [B, H, W, C] as weighted sums of rows and columns, float32; differentiable once.

    No matrix product: GPUs and TPUs round the factors of products.
    """
    images = tf.cast(images, tf.float32)
    for axis, length in zip((1, 2), map(int, size)):
        if images.shape[axis] != length:
            weights = _resize_matrix(images.shape[axis], length, method, antialias)
            images = _product(images, weights, axis)
    return images


def _product(images, matrix, axis):
    """Products of a matrix [new, old] with the lines of `images` along an axis."""

    @tf.custom_gradient  # that of tf.gather would be a scatter
    def product(images):
        return _banded(images, matrix, axis), lambda upstream: _banded(upstream, matrix.T, axis)

    return product(images)


def _banded(images, matrix, axis):
    """`_product` of a matrix whose rows have few values other than 0, one beside the other."""
    used = [np.flatnonzero(row) for row in matrix]
    width = max(row[-1] - row[0] + 1 for row in used)
    first = np.minimum([row[0] for row in used], matrix.shape[1] - width)
    shape = np.where(np.arange(4) == axis, len(first), 1)
    return tf.add_n(
        [
            tf.gather(images, first + tap, axis=axis)
            * matrix[np.arange(len(first)), first + tap].reshape(shape)
            for tap in range(width)
        ]
    )


def _resize_matrix(length, new_length, method, antialias):
    """[new_length, length]: what `tf.image.resize` does along an axis."""
    with tf.init_scope():
        unit = tf.eye(length)[tf.newaxis, ..., tf.newaxis]
        size = [new_length, length]
        return tf.image.resize(unit, size, method, antialias=antialias)[0, ..., 0].numpy()
