"""Patches of a large photograph, and upsampling of single patches (for `hifill.residual_aggregation`).

An image [H, W] is cut into n x n patches; patch k of an axis starts at pixel round(k*H/n). A cell is a pixel of the
low-resolution image `low` [S, S, 3]. Residual aggregation needs one term of the upsampled `low` per hole patch j:

    up(low)_j - sum_i s_ij up(low)_i

If H, W and S are multiples of n (always so in `inpaint`), all patches are upsampled from their cells with the same
weights. Upsampling is linear, so the term equals up(low_j - sum_i s_ij low_i), and the sum runs over 18 x 18 cells
instead of 256 x 256 pixels (at 8K). Otherwise rows of the upsampled image are computed and gathered, which is exact
but slower. Patches are numbered in reading order; arrays are float32 in 0..255.

`up` is one of section 4.1's operators (`UP`), with half-pixel centres and a repeated border. The default is "bilinear";
only studies use the others. "bicubic" is OpenCV's, with which the authors' release resamples photographs.
"""

from __future__ import annotations

from typing import Callable, NamedTuple

import numpy as np

from common.images import cubic


def _nearest(distance):
    return ((distance >= -0.5) & (distance < 0.5)).astype(distance.dtype)


def _bilinear(distance):
    return np.maximum(0, 1 - np.abs(distance))


def _bicubic(distance):
    return cubic.kernel(np.abs(distance))


class _Operator(NamedTuple):
    """weight: of a cell, by its signed distance from a position. halo: cells around a patch that it depends on."""

    weight: Callable
    halo: int


_OPERATORS = {
    "nearest": _Operator(_nearest, 1),
    "bilinear": _Operator(_bilinear, 1),
    "bicubic": _Operator(_bicubic, 2),
}
UP = tuple(_OPERATORS)


class Axis(NamedTuple):
    """One image axis cut into patches: `start` [n]; `stop` [n], where the next patch starts; pixels per patch."""

    start: np.ndarray
    stop: np.ndarray
    length: int


def axis_of(length: int, n: int) -> Axis:
    """Cuts `length` pixels into `n` equal patches; if n does not divide `length`, some overlap by a pixel."""
    patch = -(-length // n)
    start = np.minimum(np.round(np.arange(n) * length / n).astype(int), length - patch)
    return Axis(start, np.append(start[1:], length), patch)


def gather(image, patches, rows, columns, strip) -> np.ndarray:
    """Pixel rows `strip` of every patch in `patches`: [K, len(strip) * columns.length * 3] float32."""
    n, height, width = len(rows.start), strip.stop - strip.start, columns.length
    values = np.empty((len(patches), height, width, 3), np.float32)
    for value, patch in zip(values, patches):
        top = rows.start[patch // n] + strip.start
        left = columns.start[patch % n]
        value[...] = image[top : top + height, left : left + width]
    return values.reshape(len(patches), height * width * 3)


def smooth_part(
    low, weights, targets, sources, rows, columns, shape, up: str = "bilinear"
) -> Callable:
    """The term of the module docstring for a strip of pixel rows: strip -> [J, len(strip) * columns.length * 3].

    Args:
      low: [S, S, 3], the whole image at low resolution.
      weights: [J, K] attention of the J `targets` over the K `sources` (patch numbers).
      rows, columns: the axes of the image, `shape` = (H, W).
      up: one of `UP`.
    """
    n, size, operator = len(rows.start), low.shape[0], _OPERATORS[up]
    if size % n or any(length % n for length in shape):
        return _from_rows(low, weights, targets, sources, rows, columns, shape, operator)
    cells = _halos(low, n, operator.halo).reshape(n * n, -1)
    own, seen = size // n, size // n + 2 * operator.halo
    across, down = (_interpolation(own, axis.length, operator) for axis in (columns, rows))
    smooth = (cells[targets] - weights @ cells[sources]).reshape(len(targets), seen, seen, 3)
    # Columns first: their result serves every strip of rows.
    smooth = np.einsum("xm,jlmc->jlxc", across, smooth, optimize=True)
    smooth = smooth.reshape(len(targets), seen, -1)
    return lambda strip: (down[strip] @ smooth).reshape(len(targets), -1)


def _interpolation(cells, pixels, operator):
    """[pixels, cells + 2 halo]: weights of the cells, halo included, for every pixel of a patch."""
    position = (np.arange(pixels) + 0.5) * cells / pixels + operator.halo - 0.5
    distance = position[:, None] - np.arange(cells + 2 * operator.halo)
    return operator.weight(distance).astype(np.float32)


def _halos(low, n, halo):
    """[S, S, 3] -> [n, n, m, m, 3]: the cells of every patch with their halo; the image's border is repeated."""
    cells = low.shape[0] // n
    index = np.arange(n)[:, None] * cells + np.arange(-halo, cells + halo)
    index = np.clip(index, 0, low.shape[0] - 1)
    return low[index][:, :, index].transpose(0, 2, 1, 3, 4)


def _from_rows(low, weights, targets, sources, rows, columns, shape, operator):
    columns_of = low.transpose(1, 0, 2)
    wide = _interpolated(columns_of, np.arange(shape[1]), shape[1], operator).transpose(1, 0, 2)

    def term(strip):
        height = strip.stop - strip.start
        # The strips of all rows of patches are stacked, so that `gather` reads them as one small image.
        lines = (rows.start[:, None] + np.arange(strip.start, strip.stop)).ravel()
        stacked = rows._replace(start=np.arange(len(rows.start)) * height)
        blurred = _interpolated(wide, lines, shape[0], operator)
        whole = slice(0, height)
        of_sources = gather(blurred, sources, stacked, columns, whole)
        return gather(blurred, targets, stacked, columns, whole) - weights @ of_sources

    return term


def _interpolated(low, pixels, length, operator):
    """Rows `pixels` of `low` [S, ...] upsampled along its first axis to `length` pixels."""
    position = (pixels + 0.5) * low.shape[0] / length - 0.5
    below = np.floor(position).astype(int)
    total = 0
    for offset in range(1 - operator.halo, operator.halo + 1):
        weight = operator.weight(position - (below + offset)).astype(np.float32)
        row = low[np.clip(below + offset, 0, low.shape[0] - 1)]
        total = total + row * weight.reshape(-1, *(1,) * (low.ndim - 1))
    return total
