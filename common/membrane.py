"""A membrane over the hole: what known pixels say about a hole when nothing is known of pictures.

    Laplace's equation in the hole, known pixels as they are, no flow across the picture's border

as operations of a graph, so that a network can start from it and an exported model contains it. Images are
[B, H, W, C] float32 of any range, masks [B, H, W, 1] with 1 = hole; what lies under the hole has no influence.

Full multigrid: the picture is halved down to one pixel (a cell is known if one of its pixels is). On the way back
every level starts from the smaller one's solution and is corrected by V-cycles. How far that stays from the exact
solution is a test (`tests/common/test_membrane.py`).
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

_CYCLES = 3
# Halvings of a picture whose size a graph does not know: down to one pixel of 32,768. Those of one pixel cost nothing.
_LEVELS = 15


def fill(image: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """[B, H, W, C], [B, H, W, 1] -> [B, H, W, C]: known pixels unchanged, the hole filled with the membrane.

    A graph may know H and W when it is traced or not. Without any known pixel the picture is 0.
    """
    sides = image.shape[1:3]
    levels = _LEVELS if None in sides else (max(sides) - 1).bit_length()
    return _fill(tf.where(mask > 0, 0.0, image), 1.0 - mask, levels)


def _fill(values, known, levels):
    if not levels:
        return values  # 0 where nothing is known
    below = _fill(*_halved(values, known), levels - 1)
    hole = 1.0 - known
    x = tf.where(known > 0, values, _doubled(below, *_sides(values)))
    for _ in range(_CYCLES):
        x = _cycle(x, tf.zeros_like(x), hole, levels)
    return x


def _halved(values, known):
    """Means of the known ones of 2 x 2 pixels, and whether there are any."""
    count = _sums(known)
    return _sums(values) / tf.maximum(count, 1.0), tf.cast(count > 0, known.dtype)


def _cycle(x, source, hole, levels):
    """One V-cycle for: four neighbours' sum - 4 x = source, in the hole.

    In a graph all cycles of one size share one function: 135 copies for 512x512 took most of a command's start.
    """
    if tf.executing_eagerly():
        return _one_cycle(x, source, hole, levels)
    return _shared_cycle(levels, *x.shape[1:3])(x, source, hole)


@functools.cache
def _shared_cycle(levels, height, width):
    """A function for one size; a single one for all would warn that it is traced so often."""
    del height, width
    kept_whole = {"_noinline": True}  # by TensorFlow's optimizer too
    return tf.function(
        lambda *tensors: _one_cycle(*tensors, levels),
        autograph=False,
        experimental_attributes=kept_whole,
    )


def _one_cycle(x, source, hole, levels):
    x = _smoothed(x, source, hole)
    if levels > 1:
        height, width = _sides(x)

        def corrected():
            residual = _sums(hole * (source - _laplacian(x)))
            # A cell that holds a known pixel needs no correction.
            below = tf.cast(_sums(1.0 - hole) == 0, x.dtype)
            correction = _cycle(tf.zeros_like(residual), residual, below, levels - 1)
            return x + hole * _doubled(correction, height, width)

        if None in x.shape[1:3]:
            x = tf.cond(tf.maximum(height, width) > 2, corrected, lambda: tf.identity(x))
        else:
            x = corrected()
    return _smoothed(x, source, hole)


def _smoothed(x, source, hole):
    """One Gauss-Seidel sweep: the fields of a chessboard in turn, each from the four of the other colour beside it."""
    arange = tf.range if None in x.shape[1:3] else np.arange
    rows, columns = (arange(side) for side in _sides(x))
    white = ((rows[:, np.newaxis] + columns) % 2)[np.newaxis, ..., np.newaxis]
    white = tf.cast(white, tf.float32)
    for field in (white, 1.0 - white):
        x += 0.25 * field * hole * (_laplacian(x) - source)
    return x


def _laplacian(x):
    """Sum of the four neighbours minus 4 x, the border repeated: no flow across it."""
    down, right = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
    down = tf.pad(down, [[0, 0], [1, 1], [0, 0], [0, 0]])
    right = tf.pad(right, [[0, 0], [0, 0], [1, 1], [0, 0]])
    return down[:, 1:] - down[:, :-1] + right[:, :, 1:] - right[:, :, :-1]


def _sums(x):
    """Sums of 2 x 2 pixels, sides made even with zeros."""
    height, width = _sides(x)
    even = [[0, 0], [0, height % 2], [0, width % 2], [0, 0]]
    return 4.0 * tf.nn.avg_pool2d(tf.pad(x, even), 2, 2, "VALID")


def _doubled(x, height, width):
    size = [2 * side for side in _sides(x)]
    x = tf.raw_ops.ResizeBilinear(images=x, size=size, half_pixel_centers=True)
    return x[:, :height, :width]


def _sides(x):
    """H and W: integers where they are known, scalars int32 elsewhere."""
    return [x.shape[axis] or tf.shape(x)[axis] for axis in (1, 2)]
