"""The pipeline of `hifill.photograph` and `hifill.residual_aggregation` as TensorFlow ops, for `hifill.export`.

The steps are the same: window, average down, generator, residual aggregation, paste. Results agree within one level,
because sums are rounded in another order; known pixels are equal. `common.models.saved_model` checks the input.

The window's side is a multiple of the grid n, so every patch has side / n pixels and S / n cells per axis, and every
halo is whole cells. A few pixel rows of all patches are computed at a time, which bounds the memory. Float values are
in 0..255, like the pixels.
"""

from __future__ import annotations

import tensorflow as tf

from common.images.convert import WHITE
from common.models import window as windows
from hifill import detail as details
from hifill.photograph import LARGEST_SHARE, THIN, THIN_SHARE, has_medium_window

# Pixel values gathered at once, as float32 (64 MiB): bounds memory at any image size.
_STRIP_VALUES = 16 << 20


def fill(network, config, image, hole):
    """`HiFill.inpaint` on tensors: uint8 [H, W, 3], bool [H, W] with a hole -> uint8 [H, W, 3].

    network: `HiFill.fill`.
    """
    plan = _plan(hole, config.grid, config.least_window)
    if not config.large_size:
        return _fill(network, config, image, hole, plan)

    def at_large_size():
        large = config.at_size(config.large_size)
        again = _plan(hole, large.grid, large.least_window)
        return _fill(network, large, image, hole, again)

    _, side, starts, *_ = plan
    medium = (tf.size(starts) == 1) & has_medium_window(config, side)
    return tf.cond(medium, at_large_size, lambda: _fill(network, config, image, hole, plan))


def _fill(network, config, image, hole, plan):
    """`fill` at `config.size`; plan: of `_plan`."""
    long, side, starts, length, bounds = plan
    several = tf.size(starts) > 1

    def one_more(index, image, hole):
        spans = _spans(bounds, long, starts[index], length)
        top, left = _corner(spans, tf.shape(hole), side)
        window, window_hole = (_cut(array, top, left, side) for array in (image, hole))
        filled = _fill_window(network, config, window, window_hole)
        filled, part = windows.paste_op(image, filled, top, left), _inside(spans, tf.shape(hole))
        image = tf.cond(
            several, lambda: tf.where((hole & part)[..., tf.newaxis], filled, image), lambda: filled
        )
        return index + 1, image, hole & ~part

    _, image, _ = tf.while_loop(
        lambda index, *_: index < tf.size(starts),
        one_more,
        (0, image, hole),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None, None, 3]),
            tf.TensorShape([None, None]),
        ),
        parallel_iterations=1,
    )
    return image


def _plan(hole, grid, least):
    """`photograph.plan`: (long axis, window side, starts [N] of the parts, length of a part, spans of the hole)."""
    sides, bounds = tf.shape(hole), [windows.span_op(hole, axis) for axis in (0, 1)]
    long = tf.cast(sides[1] > sides[0], tf.int32)
    longest, shortest = tf.reduce_max(sides), tf.reduce_min(sides)
    side = _choose_window(hole, grid, least)[2]
    share, of = THIN_SHARE
    pixels = tf.cast(longest, tf.int64) * tf.cast(shortest, tf.int64) * share // of
    root = tf.cast(tf.sqrt(tf.cast(pixels, tf.float64)), tf.int32)
    thin = tf.maximum(tf.maximum(root // grid * grid, grid), least)
    is_thin = (longest > THIN * shortest) & (side > thin)
    side = tf.where(is_thin, thin, side)
    first, extent = tf.stack(bounds)[long, 0], tf.stack(bounds)[long, 1]
    part, whole = LARGEST_SHARE
    length = tf.where(is_thin, tf.minimum(extent, thin * part // whole), extent)
    return long, side, _starts(hole, long, first, first + extent, length, side), length, bounds


def _starts(hole, long, first, stop, length, side):
    """As `photograph._starts`."""
    total = tf.shape(hole)[long]
    holes, known = (
        tf.pad(tf.cumsum(tf.cast(lines, tf.int32)), [[1, 0]])
        for lines in (tf.reduce_any(hole, axis=1 - long), tf.reduce_any(~hole, axis=1 - long))
    )
    starts = tf.range(first, stop, length)
    held = tf.gather(holes, tf.minimum(starts + length, stop)) > tf.gather(holes, starts)
    starts = tf.boolean_mask(starts, held)
    corners = windows.start_op(starts, tf.minimum(starts + length, stop), side, total)
    seen = tf.gather(known, tf.minimum(corners + side, total)) - tf.gather(known, corners)
    begin = tf.argmax(seen, output_type=tf.int32)
    return tf.concat([starts[begin:], starts[:begin][::-1]], axis=0)


def _spans(bounds, long, start, length):
    """[(first, stop) of a part's rows, of its columns]."""
    spans = []
    for axis, (first, extent) in enumerate(bounds):
        stop = first + extent
        along = tf.equal(long, axis)
        spans.append(
            (tf.where(along, start, first), tf.where(along, tf.minimum(start + length, stop), stop))
        )
    return spans


def _corner(spans, sides, side):
    """(top, left) of the window around a part."""
    return tuple(windows.start_op(*span, side, sides[axis]) for axis, span in enumerate(spans))


def _inside(spans, sides):
    """[H, W] bool: a part's rows and columns."""
    rows, columns = (
        (tf.range(sides[axis]) >= first) & (tf.range(sides[axis]) < stop)
        for axis, (first, stop) in enumerate(spans)
    )
    return rows[:, tf.newaxis] & columns


def _choose_window(hole, grid, least=0):
    """[H, W] bool with a hole -> (top, left, side) of the window; see `photograph`."""
    sides = tf.shape(hole)
    bounds = [windows.span_op(hole, axis) for axis in (0, 1)]
    extent = tf.maximum(bounds[0][1], bounds[1][1])
    part, parts = LARGEST_SHARE
    inner = tf.reduce_min(sides) // grid * grid
    outer = -(-tf.reduce_max(sides) // grid) * grid
    side = tf.maximum(least, tf.where(extent * parts > inner * part, outer, inner))
    spans = [(first, first + length) for first, length in bounds]
    return *_corner(spans, sides, side), side


def _cut(array, top, left, side):
    """The window; where it reaches beyond the image it is extended by reflection, repeatedly if needed."""
    rows = _cut_axis(array, 0, top, side)
    return _cut_axis(rows, 1, left, side)


def _cut_axis(array, axis, start, side):
    length = tf.shape(array)[axis]
    position = (start + tf.range(side)) % (2 * length)
    reflected = tf.minimum(position, 2 * length - 1 - position)
    return tf.cond(
        start + side <= length,
        # A slice of whole rows is no copy; a gather is.
        lambda: array[start : start + side] if axis == 0 else array[:, start : start + side],
        lambda: tf.gather(array, reflected, axis=axis),
    )


def _fill_window(network, config, window, hole):
    """[side, side, 3] uint8, [side, side] bool -> the window with its hole filled, uint8."""
    size = config.size
    low, touched = (
        _average_down(window, size, hole),
        tf.ensure_shape(windows.cells_touching_op(hole, (size, size)), [size, size]),
    )
    mask = tf.cast(touched, tf.float32)[tf.newaxis, ..., tf.newaxis]
    filled, attention = network(low[tf.newaxis] / WHITE, mask)
    completed = tf.where(touched[..., tf.newaxis], filled[0] * WHITE, low)
    return _add_residuals(window, hole, completed, attention[0], config)


def _average_down(window, size, hole):
    """[side, side, 3] uint8 -> [size, size, 3] float32: means of cells, or bilinear from known pixels if enlarged."""

    def reduced():
        return tf.raw_ops.ResizeArea(images=window[tf.newaxis], size=[size, size])[0]

    def enlarged():
        known = 1.0 - tf.cast(hole, tf.float32)[..., tf.newaxis]
        total, weight = (
            tf.raw_ops.ResizeBilinear(
                images=x[tf.newaxis], size=[size, size], half_pixel_centers=True
            )[0]
            for x in (tf.cast(window, tf.float32) * known, known)
        )
        return total / tf.maximum(weight, 1e-6)

    low = tf.cond(tf.shape(window)[0] >= size, reduced, enlarged)
    return tf.ensure_shape(low, [size, size, 3])


def _halos(low, grid):
    """[S, S, 3] -> [N, m, m, 3]: the m - 2 cells of every patch, with a halo of one."""
    size = low.shape[0]
    cells = size // grid
    position = tf.range(grid)[:, tf.newaxis] * cells + tf.range(-1, cells + 1)
    position = tf.clip_by_value(position, 0, size - 1)
    halos = tf.gather(tf.gather(low, position, axis=0), position, axis=2)  # [n, m, n, m, 3]
    halos = tf.transpose(halos, [0, 2, 1, 3, 4])
    return tf.reshape(halos, [grid * grid, cells + 2, cells + 2, 3])


def _interpolation(length, cells):
    """[length, cells + 2] float32: bilinear weights of the cells, halo included, for a patch's pixels."""
    position = (tf.range(length, dtype=tf.float32) + 0.5) * cells / tf.cast(length, tf.float32)
    distance = position[:, tf.newaxis] + 0.5 - tf.range(cells + 2, dtype=tf.float32)
    return tf.maximum(0.0, 1.0 - tf.abs(distance))


def _add_residuals(window, hole, completed, attention, config):
    """HiFill eq. 4, computed as in `hifill.patches`: the window with its hole filled, uint8.

    completed: [S, S, 3] float32 in 0..255, the low-resolution window with the completion in its hole.
    """
    grid = config.grid
    length = tf.shape(window)[0] // grid
    touched = tf.reduce_any(tf.reshape(hole, [grid, length, -1]), axis=1)
    touched = tf.reduce_any(tf.reshape(touched, [grid, grid, length]), axis=2)
    targets, sources = (tf.where(tf.reshape(t, [-1]))[:, 0] for t in (touched, ~touched))
    weights = tf.gather(tf.gather(attention, targets), sources, axis=1)
    if config.detail_blur:
        completed, weights = _coarser_detail(
            completed, weights, targets, sources, config, tf.shape(window)[0]
        )
    smooth = _smooth_part(_halos(completed, grid), weights, targets, sources, length)

    cells = completed.shape[0] // grid
    vertical = _interpolation(length, cells)
    patches = tf.reshape(window, [grid, length, grid, length * 3])

    def fill_strip(rows):
        strip = tf.transpose(patches[:, rows[0] : rows[1]], [0, 2, 1, 3])
        values = tf.reshape(strip, [grid * grid, (rows[1] - rows[0]) * length * 3])
        detail = tf.matmul(weights, tf.cast(tf.gather(values, sources), tf.float32))
        blurred = tf.matmul(vertical[rows[0] : rows[1]], smooth)
        levels = _to_levels(detail + tf.reshape(blurred, tf.shape(detail)))
        values = tf.tensor_scatter_nd_update(values, targets[:, tf.newaxis], levels)
        # Rows first, so that strips of different heights can be joined.
        return tf.transpose(tf.reshape(values, tf.shape(strip)), [2, 0, 1, 3])

    step = tf.maximum(1, _STRIP_VALUES // (grid * grid * length * 3))
    filled = _join_strips(fill_strip, length, step, [grid, grid, None])
    filled = tf.reshape(tf.transpose(filled, [1, 0, 2, 3]), tf.shape(window))
    return tf.where(hole[..., tf.newaxis], filled, window)


def _coarser_detail(completed, weights, targets, sources, config, side):
    """`hifill.detail` for a window of `side` pixels: the blurred completion, and the weights times their factors."""
    scale = (tf.cast(side, tf.float32) / config.size - 1.0) / (details.WHOLE - 1)
    blur = config.detail_blur * tf.clip_by_value(scale, 0.0, 1.0)

    def coarser():
        base = _blurred(completed, blur)
        factors = _limits(completed - base, weights, targets, sources, config.grid)
        return base, weights * factors[:, tf.newaxis]

    return tf.cond((blur > 0) & (tf.size(sources) > 0), coarser, lambda: (completed, weights))


def _blurred(low, blur):
    positions = tf.range(-details.RADIUS, details.RADIUS + 1, dtype=tf.float32)
    kernel = tf.nn.softmax(-0.5 * tf.square(positions / blur))
    channels = tf.transpose(low, [2, 0, 1])[..., tf.newaxis]
    edge = [details.RADIUS] * 2
    channels = tf.pad(channels, [[0, 0], edge, edge, [0, 0]], "REFLECT")
    for shape in ([-1, 1, 1, 1], [1, -1, 1, 1]):
        channels = tf.nn.conv2d(channels, tf.reshape(kernel, shape), 1, "VALID")
    return tf.ensure_shape(tf.transpose(channels[..., 0], [1, 2, 0]), low.shape)


def _limits(band, weights, targets, sources, grid):
    cells = band.shape[0] // grid
    patches = tf.transpose(tf.reshape(band, [grid, cells, grid, cells, 3]), [0, 2, 1, 3, 4])
    patches = tf.gather(tf.reshape(patches, [grid * grid, -1]), sources)
    rows, columns = (
        tf.cast(of(targets)[:, tf.newaxis] - of(sources), tf.float32)
        for of in (lambda patch: patch // grid, lambda patch: patch % grid)
    )
    near = 1.0 / tf.square(tf.square(rows) + tf.square(columns))
    logarithm = tf.math.log(_deviation(patches))
    expected = tf.exp(tf.linalg.matvec(near, logarithm) / tf.reduce_sum(near, axis=1))
    return tf.minimum(expected / _deviation(tf.matmul(weights, patches)), 1.0)


def _deviation(patches):
    deviation = tf.sqrt(tf.reduce_mean(tf.square(patches), axis=1))
    return tf.maximum(deviation, details.LEAST)


def _smooth_part(halos, weights, targets, sources, length):
    """[T, m, 3 * length]: low_j - sum_i s_ij low_i of every target (`hifill.patches`), columns interpolated."""
    m = halos.shape[1]
    flat = tf.reshape(halos, [-1, m * m * 3])
    smooth = tf.gather(flat, targets) - tf.matmul(weights, tf.gather(flat, sources))
    smooth = tf.reshape(smooth, [-1, m, m, 3])
    smooth = tf.einsum("xm,jlmc->jlxc", _interpolation(length, m - 2), smooth)
    return tf.reshape(smooth, [-1, m, length * 3])


def _to_levels(values):
    return tf.cast(tf.clip_by_value(values + 0.5, 0.0, float(WHITE)), tf.uint8)


def _join_strips(make, length, step, element_shape):
    """Concatenates make((first, stop)) over 0 .. length in strides of `step`, one strip after the other."""
    count = -(-length // step)
    parts = tf.TensorArray(tf.uint8, count, infer_shape=False, element_shape=[None, *element_shape])

    def one_more(index, parts):
        first = index * step
        return index + 1, parts.write(index, make((first, tf.minimum(first + step, length))))

    _, parts = tf.while_loop(
        lambda index, _: index < count, one_more, (0, parts), parallel_iterations=1
    )
    return parts.concat()
