"""The pipeline of `zoom_to_inpaint.photograph` as TensorFlow ops, for `zoom_to_inpaint.export`.

The steps are the same: window, reduction of a large window, networks, enlargement, paste. Results agree within one
level, because sums are rounded in another order; known pixels are equal. `common.models.saved_model` checks the input.

This holds for a reduced window too. Area averages agree to 3e-4 (OpenCV leaves slivers out) and the hole is the same.
The bicubic kernel is OpenCV's (A = -0.75; TensorFlow's has -0.5). The enlarged levels are equal except for one value in
50,000, or one in 20 where OpenCV's weights have 11 bits (images of few rows, no IPP).

At the photograph's own resolution reduction and enlargement are exact identities, so there is no branch for that case.
Only the hole's bounding box is enlarged.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from common.images import cubic
from common.images.convert import WHITE
from common.models import window as windows
from zoom_to_inpaint.photograph import LARGEST_SIDE, SMALLEST_WINDOW


class _Axis(NamedTuple):
    """One axis, int32 scalars: `start` and `length` of the window, `first` and `extent` of the hole."""

    start: tf.Tensor
    length: tf.Tensor
    first: tf.Tensor
    extent: tf.Tensor


def fill(model_fill, image, hole):
    """`photograph.inpaint` on tensors.

    Args:
      model_fill: ([1, H, W, 3] float32 in [0, 1], [1, H, W, 1] float32) -> [1, H, W, 3], as `ZoomToInpaint.fill`.
      image: uint8 [H, W, 3].
      hole: bool [H, W] with a hole.

    Returns:
      uint8 [H, W, 3]; equal to `image` outside the hole.
    """
    rows, columns = _choose_window(hole)
    window, window_hole = (
        x[rows.start : rows.start + rows.length, columns.start : columns.start + columns.length]
        for x in (image, hole)
    )
    small, touched = _reduce(window, window_hole, _reduced_size(rows, columns))
    mask = tf.cast(touched, tf.float32)[tf.newaxis, ..., tf.newaxis]
    filled = _to_levels(WHITE * model_fill(small[tf.newaxis], mask)[0])
    filled = tf.cast(_to_levels(_enlarge(filled, rows, columns)), tf.uint8)
    box, box_hole = (
        x[rows.first : rows.first + rows.extent, columns.first : columns.first + columns.extent]
        for x in (image, hole)
    )
    return windows.paste_op(
        image, tf.where(box_hole[..., tf.newaxis], filled, box), rows.first, columns.first
    )


def _choose_window(hole):
    """[H, W] bool with a hole -> rows and columns of the window; see `photograph.choose_window`."""
    sides = tf.shape(hole)
    spans = [windows.span_op(hole, axis) for axis in (0, 1)]
    side = tf.maximum(SMALLEST_WINDOW, 3 * tf.maximum(spans[0][1], spans[1][1]))
    longest = tf.reduce_max(sides)
    side = tf.where(longest <= LARGEST_SIDE, longest, side)  # the whole photograph
    axes = []
    for axis, (first, extent) in enumerate(spans):
        start = windows.start_op(first, first + extent, side, sides[axis])
        axes.append(_Axis(start, tf.minimum(side, sides[axis] - start), first, extent))
    return axes


def _reduced_size(rows, columns):
    """[2] int32: (height, width) of the window as the networks see it."""
    sides = tf.stack([rows.length, columns.length])
    longest = tf.reduce_max(sides)
    scale = LARGEST_SIDE / tf.maximum(longest, LARGEST_SIDE)  # float64, like Python's
    return tf.maximum(1, tf.cast(tf.round(tf.cast(sides, tf.float64) * scale), tf.int32))


def _reduce(image, hole, size):
    """uint8 [H, W, 3], bool [H, W] -> (means of the known pixels in [0, 1], hole) at `size`."""
    known = tf.cast(~hole, tf.uint8)[..., tf.newaxis]
    total, weight = (
        tf.raw_ops.ResizeArea(images=x[tf.newaxis], size=size)[0] for x in (image * known, known)
    )
    touched = windows.cells_touching_op(hole, size, slivers=False)
    kept = tf.reduce_sum(tf.cast(~touched, tf.float32))
    # Fine scratches touch nearly every cell; then only cells without a known pixel are hole.
    scratched = 2.0 * kept < tf.reduce_sum(weight)
    cells = tf.cond(
        scratched, lambda: ~windows.cells_touching_op(~hole, size, slivers=False), lambda: touched
    )
    return total / tf.maximum(weight, 1e-6) / WHITE, cells


def _enlarge(image, rows, columns):
    """[h, w, 3], the window as the networks see it -> the hole's box at the photograph's resolution, float32."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    taps = [tf.clip_by_value(tf.range(-2, cells + 2), 0, cells - 1) for cells in (height, width)]
    image = tf.gather(tf.gather(image, taps[0], axis=0), taps[1], axis=1)
    image = tf.einsum("yh,hwc->ywc", _interpolation(rows, height), image)
    return tf.einsum("xw,ywc->yxc", _interpolation(columns, width), image)


def _interpolation(axis, cells):
    """[extent, cells + 4] float32: bicubic weights of the window's cells and two per side, for the hole's pixels."""
    pixel = tf.cast(axis.first - axis.start + tf.range(axis.extent), tf.float64)
    position = (pixel + 0.5) * (cells / axis.length) - 0.5
    distance = position[:, tf.newaxis] - tf.range(-2, cells + 2, dtype=tf.float64)
    return cubic.kernel(tf.cast(tf.abs(distance), tf.float32), tf.where)


def _to_levels(values):
    """Rounded and clipped like `common.images.convert.to_uint8`, still float32."""
    values = tf.debugging.check_numerics(values, "the fill holds NaN or infinite values")
    return tf.clip_by_value(tf.round(values), 0.0, float(WHITE))
