"""Contextual residual aggregation: sharp detail for a hole of any size (H section 3.2, eq. 4, Figure 2).

    low   = average(image -> S x S)                         residual = image - bilinear(low)
    hole  = bilinear(completion) + sum_i s_ij residual_i    context patches i, hole patch j

The image is cut into n x n patches (n = 32); S = 512 is the generator's side. Any H and W: patch k starts at pixel
round(k*H/n), so nothing is resampled, and known pixels are copied, never computed.

How it stays small. Aggregation and upsampling are linear, so the blurred image is never built:

    sum_i s_ij (I_i - bilinear(low)_i) = sum_i s_ij I_i - bilinear(sum_i s_ij low_i)

Only rows of patches that touch the hole are computed, from patches without a hole pixel, a few pixel rows of every
patch at a time. What lies under the hole never enters: cells of `low` that touch it hold the completion instead, so
painting the hole magenta or green gives the same bytes. Float values are in 0..255 here, like the pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from common.errors import UserError
from common.images import WHITE

# Pixel values gathered at once, as float32 (64 MiB): bounds memory at any image size.
_STRIP_VALUES = 16 << 20


class Axis(NamedTuple):
    """One image axis cut into patches.

    start: [n] first pixel of each patch; stop: [n] one past the last pixel it owns; length: pixels of a patch.
    cells: [n, m] fractional positions on the low-resolution axis; weights: [length, m] bilinear from them.
    """

    start: np.ndarray
    stop: np.ndarray
    length: int
    cells: np.ndarray
    weights: np.ndarray


def aggregate_residuals(image, mask, generated_512, attention) -> np.ndarray:
    """Fills the hole of `image` at its own resolution (H eq. 4).

    Args:
      image: uint8 [H, W, 3]; ignored under the mask.
      mask: [H, W], uint8 {0, 1} or {0, 255}, nonzero = hole.
      generated_512: [S, S, 3] the generator's completion of the whole image: uint8, float in [0, 1], or float in
        0..255 (told apart by its maximum).
      attention: [N, N] float, row j holds the weights of the context patches for patch j.

    Returns:
      uint8 [H, W, 3], equal to `image` where the mask is 0.
    """
    generated = _to_levels(generated_512)
    size = generated.shape[0]
    hole = np.asarray(mask) > 0
    low = average_down(image, size, hole)
    output = image.copy()
    fill(output, hole, low, cells_touching(hole, size), generated, np.asarray(attention))
    return output


def _to_levels(generated):
    """[S, S, 3] in any of the three ranges of `aggregate_residuals` -> float32 in 0..255."""
    levels = np.asarray(generated, np.float32)
    if not np.isfinite(levels).all():
        raise UserError("the generator's completion holds NaN or infinite values")
    in_unit_range = np.asarray(generated).dtype != np.uint8 and levels.max() <= 1.5
    return levels * WHITE if in_unit_range else levels


def average_down(image: np.ndarray, size: int, hole: np.ndarray | None = None) -> np.ndarray:
    """[H, W, 3] uint8 -> [size, size, 3] float32 in 0..255: means of cells (H section 4.1), unrounded.

    Where an axis is shorter than `size` the image is enlarged bilinearly, from the pixels outside `hole` ([H, W] bool):
    interpolation reaches beyond a cell, so a cell beside the hole would otherwise see into it.
    """
    height, width = image.shape[:2]
    if height < size or width < size:
        known = (
            np.ones((height, width), np.float32) if hole is None else 1 - hole.astype(np.float32)
        )
        total, weight = (
            cv2.resize(x, (size, size), interpolation=cv2.INTER_LINEAR)
            for x in (image * known[..., None], known)
        )
        return total / np.maximum(weight, 1e-6)[..., None]
    # Rows of whole cells at a time, so that the float copy stays small.
    step = max(1, _STRIP_VALUES // (3 * width * max(1, height // size)))
    if height % size:
        return cv2.resize(image.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    factor = height // size
    low = np.empty((size, size, 3), np.float32)
    for first in range(0, size, step):
        rows = image[first * factor : (first + step) * factor].astype(np.float32)
        cells = (size, len(rows) // factor)
        low[first : first + step] = cv2.resize(rows, cells, interpolation=cv2.INTER_AREA)
    return low


def cells_touching(hole: np.ndarray, size: int) -> np.ndarray:
    """[H, W] bool -> [size, size] bool: the cells that hold at least one pixel of the hole."""
    spans = []
    for length in hole.shape:
        edges = np.arange(size + 1) * length
        spans.append((edges[:-1] // size, -(-edges[1:] // size)))
    return _any_in_spans(hole, *spans)


def _any_in_spans(hole, row_spans, column_spans):
    """Whether [first, stop) x [first, stop) holds a hole pixel, for every pair of spans."""
    for first, stop in (row_spans, column_spans):
        lines = [hole[a:b].any(axis=0) for a, b in zip(first, stop)]
        hole = np.ascontiguousarray(np.stack(lines).T)
    return hole


def axis_of(length: int, n: int, size: int) -> Axis:
    """Cuts `length` pixels into `n` patches and relates them to `size` low-resolution cells."""
    patch = -(-length // n)
    start = np.minimum(np.round(np.arange(n) * length / n).astype(int), length - patch)
    stop = np.append(start[1:], length)
    per_pixel = size / length
    halo = (
        int(np.ceil(patch * per_pixel)) + 2
    )  # one cell more on either side, for the interpolation
    cells = start[:, None] * per_pixel + np.arange(-1, halo - 1)
    position = (np.arange(patch) + 0.5) * per_pixel + 0.5  # in halo cells; cell centres are at .5
    weights = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(halo))).astype(np.float32)
    return Axis(start, stop, patch, cells, weights)


def halos(low: np.ndarray, rows: Axis, columns: Axis) -> np.ndarray:
    """[S, S, 3] -> [n, n, m, m', 3]: every patch's low-resolution cells with the cells around it."""
    for axis, cells in ((0, rows.cells), (2, columns.cells)):
        below = np.floor(cells)
        share = (cells - below).astype(np.float32)
        last = low.shape[axis] - 1
        first = np.take(low, np.clip(below.astype(int), 0, last), axis=axis)
        if share.any():  # patches do not start on a cell's edge: interpolate between cells
            second = np.take(low, np.clip(below.astype(int) + 1, 0, last), axis=axis)
            share = share.reshape((1,) * axis + share.shape + (1,) * (low.ndim - axis - 1))
            first = first + share * (second - first)
        low = first
    return low.transpose(0, 2, 1, 3, 4)


def fill(image, hole, low, touched, generated, attention) -> None:
    """`aggregate_residuals` in place, with the low-resolution image and mask already at hand.

    Writing into `image` is safe: what is read are patches without a hole, what is written is the hole.

    Args:
      image: uint8 [H, W, 3], may be a view of a larger one; its hole is written.
      hole: [H, W] bool.
      low, generated: [S, S, 3] float32 in 0..255, as from `average_down` and the generator.
      touched: [S, S] bool, as from `cells_touching`.
      attention: [N, N] float.
    """
    n = round(attention.shape[0] ** 0.5)
    rows = axis_of(image.shape[0], n, low.shape[0])
    columns = axis_of(image.shape[1], n, low.shape[1])
    targets, sources = _patches_by_hole(hole, rows, columns)
    if not len(targets):
        return
    completed = np.where(touched[..., None], generated, low)
    cells = halos(completed, rows, columns).reshape(n * n, -1)
    weights = np.ascontiguousarray(attention[np.ix_(targets, sources)], np.float32)
    smooth = cells[targets] - weights @ cells[sources]
    smooth = smooth.reshape(len(targets), rows.weights.shape[1], columns.weights.shape[1], 3)
    # Columns first: they are the same for every strip of rows.
    smooth = np.einsum("xm,jlmc->jlxc", columns.weights, smooth, optimize=True)
    most = max(len(sources), len(targets))
    step = max(1, _STRIP_VALUES // (most * columns.length * 3))
    for first in range(0, rows.length, step):
        strip = slice(first, min(first + step, rows.length))
        detail = weights @ _gather(image, sources, rows, columns, strip)
        detail = detail.reshape(len(targets), -1, columns.length * 3)
        detail += rows.weights[strip] @ smooth.reshape(len(targets), smooth.shape[1], -1)
        _paste(image, hole, detail, targets, rows, columns, strip)


def _patches_by_hole(hole, rows, columns):
    """Indices of the patches that own a hole pixel, and of those whose pixels hold none.

    A patch may reach a pixel beyond what it owns, so a patch can be neither.
    """
    owned = _any_in_spans(hole, *((axis.start, axis.stop) for axis in (rows, columns)))
    full = _any_in_spans(
        hole, *((axis.start, axis.start + axis.length) for axis in (rows, columns))
    )
    return np.flatnonzero(owned), np.flatnonzero(~full)


def _gather(image, sources, rows, columns, strip):
    """Rows `strip` of every source patch: [K, len(strip) * length * 3] float32."""
    n, height, width = len(rows.start), strip.stop - strip.start, columns.length
    values = np.empty((len(sources), height, width, 3), np.float32)
    for value, source in zip(values, sources):
        top = rows.start[source // n] + strip.start
        left = columns.start[source % n]
        value[...] = image[top : top + height, left : left + width]
    return values.reshape(len(sources), height * width * 3)


def _paste(output, hole, detail, targets, rows, columns, strip):
    """Writes the strip of every target patch where the hole is, rounded to levels."""
    n = len(rows.start)
    detail += 0.5
    np.clip(detail, 0, WHITE, out=detail)
    levels = detail.astype(np.uint8).reshape(len(targets), -1, columns.length, 3)
    for level, target in zip(levels, targets):
        top = rows.start[target // n] + strip.start
        bottom = min(rows.start[target // n] + strip.stop, rows.stop[target // n])
        left, right = columns.start[target % n], columns.stop[target % n]
        if bottom <= top:
            continue
        where = hole[top:bottom, left:right, None]
        np.copyto(
            output[top:bottom, left:right], level[: bottom - top, : right - left], where=where
        )
