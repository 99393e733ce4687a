"""A membrane over the hole: the smoothest surface through the known pixels, without learning.

    Laplace's equation in the hole, known pixels unchanged, no flow across the image's border

It consists of TensorFlow ops, so a network can start from it and an exported model contains it. Images are
[B, H, W, C] float32 of any range, masks [B, H, W, 1] with 1 = hole. The content of the hole has no influence.

Full multigrid: the image is halved down to one pixel (a cell is known if one of its pixels is). On the way back, every
level starts from the solution of the smaller level and is corrected by V-cycles.
`tests/common/models/test_membrane.py` bounds the distance from the exact solution.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from common.models import plain_ops

CYCLES = 3
_LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)[..., np.newaxis, np.newaxis]


def fill(image: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """[B, H, W, C], [B, H, W, 1] -> [B, H, W, C]: known pixels unchanged, the hole filled with the membrane.

    Without a known pixel the result is 0. A graph with a fixed batch and size has no loops; XLA and other runtimes need
    that. Every other graph has loops: they start four times as fast, and B, H and W may be unknown.
    """
    if plain_ops.membrane():
        return plain_ops.membrane()(image, mask)
    if tf.executing_eagerly() and not tf.reduce_any(mask > 0):
        return image
    solve = _fill if image.shape.is_fully_defined() else _fill_in_loops
    return solve(tf.where(mask > 0, 0.0, image), 1.0 - mask)


def _fill(values, known):
    if max(values.shape[1:3]) == 1:
        return values  # 0 if unknown
    below = _fill(*_halved(values, known))
    hole = 1.0 - known
    x = _from_below(below, values, known)
    for _ in range(CYCLES):
        x = _cycle(x, tf.zeros_like(x), hole)
    return x


def _from_below(below, values, known):
    """The first solution of a level, from the smaller level's."""
    return tf.where(known > 0, values, _doubled(below, *_sides(values)))


def _halved(values, known):
    """Means of the known pixels in each cell of 2 x 2, and whether a cell has a known pixel."""
    count = _sums(known)
    return _sums(values) / tf.maximum(count, 1.0), tf.cast(count > 0, known.dtype)


def _cycle(x, source, hole):
    """One V-cycle for: sum of the four neighbours - 4 x = source, in the hole.

    In a graph all cycles of one size share a function: 135 copies for 512x512 took most of a command's start-up time.
    """
    inline = tf.executing_eagerly() or plain_ops.wanted()
    cycle = _one_cycle if inline else _shared_cycle(*x.shape[1:3])
    return cycle(x, source, hole)


@functools.cache
def _shared_cycle(height, width):
    """A function per size; a single function for all sizes would warn about retracing."""
    del height, width
    kept_whole = {"_noinline": True}  # TensorFlow's optimizer must not copy it either
    return tf.function(
        lambda *tensors: _one_cycle(*tensors),
        autograph=False,
        experimental_attributes=kept_whole,
    )


def _one_cycle(x, source, hole):
    x = _smoothed(x, source, hole)
    if max(x.shape[1:3]) > 2:
        residual, below = _error_below(x, source, hole)
        x = _corrected(x, hole, _cycle(tf.zeros_like(residual), residual, below))
    return _smoothed(x, source, hole)


def _error_below(x, source, hole):
    """Source and hole of the equation for the correction of x, at half the resolution."""
    # A cell that holds a known pixel needs no correction.
    return _sums(hole * (source - _laplacian(x))), tf.cast(_sums(1.0 - hole) == 0, x.dtype)


def _corrected(x, hole, correction):
    return x + hole * _doubled(correction, *_sides(x))


def _fill_in_loops(values, known):
    """`_fill` with loops instead of recursion: the size, and so the number of levels, is known only at run time.

    One function per possible level would take 12 seconds to load.
    """
    levels = [_levels_like(values), _levels_like(known)]

    def down(number, values, known, levels):
        levels = [level.write(number, x) for level, x in zip(levels, (values, known))]
        return number + 1, *_halved(values, known), levels

    number, below, _, levels = _loop(_longer_than(1), down, (tf.constant(0), values, known, levels))

    def up(number, x):
        values, known = (level.read(number - 1) for level in levels)
        x = _from_below(x, values, known)
        for _ in range(CYCLES):
            x = _cycle_in_loops(x, tf.zeros_like(x), 1.0 - known)
        return number - 1, x

    return _loop(lambda number, _: number > 0, up, (number, below))[1]


def _cycle_in_loops(x, source, hole):
    levels = [_levels_like(tensor) for tensor in (x, source, hole)]

    def down(number, x, source, hole, levels):
        x = _smoothed(x, source, hole)
        levels = [level.write(number, t) for level, t in zip(levels, (x, source, hole))]
        residual, below = _error_below(x, source, hole)
        return number + 1, tf.zeros_like(residual), residual, below, levels

    start = (tf.constant(0), x, source, hole, levels)
    number, x, source, hole, levels = _loop(_longer_than(2), down, start)
    x = _smoothed(_smoothed(x, source, hole), source, hole)

    def up(number, correction):
        x, source, hole = (level.read(number - 1) for level in levels)
        return number - 1, _smoothed(_corrected(x, hole, correction), source, hole)

    return _loop(lambda number, _: number > 0, up, (number, x))[1]


def _levels_like(x):
    """A TensorArray for tensors of any size with the channels of x."""
    shape = [None, None, None, x.shape[3]]
    return tf.TensorArray(
        x.dtype,
        0,
        dynamic_size=True,
        clear_after_read=False,
        infer_shape=False,
        element_shape=shape,
    )


def _longer_than(least):
    """A loop condition: the second variable is an image whose longer side is above `least`."""
    return lambda number, x, *_: tf.reduce_max(tf.shape(x)[1:3]) > least


def _loop(condition, body, variables):
    """`tf.while_loop` with tensors that may change their size."""

    def shape(x):
        if isinstance(x, tf.TensorArray):
            return None
        return tf.TensorShape([None, None, None, x.shape[3]] if len(x.shape) else [])

    shapes = tf.nest.map_structure(shape, variables)
    return tf.while_loop(condition, body, variables, shapes, parallel_iterations=1)


def _smoothed(x, source, hole):
    """One red-black Gauss-Seidel sweep: pixels of one chessboard colour, then of the other."""
    arange = tf.range if None in x.shape[1:3] else np.arange
    rows, columns = (arange(side) for side in _sides(x))
    white = ((rows[:, np.newaxis] + columns) % 2)[np.newaxis, ..., np.newaxis]
    white = tf.cast(white, tf.float32)
    for field in (white, 1.0 - white):
        x += 0.25 * field * hole * (_laplacian(x) - source)
    return x


def _laplacian(x):
    """Sum of the four neighbours minus 4 x; the border is repeated, so nothing flows across it."""
    if plain_ops.wanted():  # two ops instead of ten, but slower in TensorFlow
        around = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
        return tf.nn.depthwise_conv2d(
            around, np.repeat(_LAPLACE, x.shape[3], axis=2), [1] * 4, "VALID"
        )
    down, right = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
    down = tf.pad(down, [[0, 0], [1, 1], [0, 0], [0, 0]])
    right = tf.pad(right, [[0, 0], [0, 0], [1, 1], [0, 0]])
    return down[:, 1:] - down[:, :-1] + right[:, :, 1:] - right[:, :, :-1]


def _sums(x):
    """Sums of 2 x 2 pixels; odd sides are padded with zeros."""
    height, width = _sides(x)
    even = [[0, 0], [0, height % 2], [0, width % 2], [0, 0]]
    return 4.0 * tf.nn.avg_pool2d(tf.pad(x, even), 2, 2, "VALID")


def _doubled(x, height, width):
    size = [2 * side for side in _sides(x)]
    x = tf.raw_ops.ResizeBilinear(images=x, size=size, half_pixel_centers=True)
    return x[:, :height, :width]


def _sides(x):
    """[H, W]: integers if known, else int32 scalars."""
    return [x.shape[axis] or tf.shape(x)[axis] for axis in (1, 2)]
