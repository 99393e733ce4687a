"""Harmonic fill: Laplace's equation in the hole, known pixels as they are, no flow across the picture's border.

The smoothest surface through the known pixels, and the best that can be done without knowing what pictures look like:
what a network has to beat first. Solved by full multigrid: every part of the hole in a box of its own, halved until
nothing is left of it; every level starts from the smaller one's solution, and V-cycles go on until nothing changes by
more than `TOLERANCE`. float32, about five copies of the largest box at once.
"""

from __future__ import annotations

import cv2
import numpy as np

TOLERANCE = 0.1  # levels of 255 that the last cycle may change
_MOST_CYCLES = 40
_CYCLES_BELOW = 2  # of the smaller levels, which only give a start
_SWEEPS, _DAMPING = (
    2,
    0.8,
)  # of Jacobi's method, before and after the correction from the level below
_LAPLACIAN = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)


def fill(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The solution in the hole.

    Args:
      image: [H, W, 3] uint8; any content under the hole.
      hole: [H, W] bool, with a known pixel somewhere.

    Returns:
      [H, W, 3] float32 in 0..255, equal to `image` outside the hole.
    """
    filled = np.where(hole[..., np.newaxis], np.float32(0), image).astype(np.float32)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(
        hole.view(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )
    for part in range(1, count):
        left, top, width, height = boxes[part][:4]
        # With the known pixels beside it. Other parts in the box touch this one nowhere, so they may hold anything.
        box = slice(max(0, top - 1), top + height + 1), slice(max(0, left - 1), left + width + 1)
        filled[box] = _solved(filled[box], (labels[box] == part).astype(np.float32), hole[box])
    return filled


def _solved(values, part, hole):
    """Laplace's equation in `part` [h, w], where pixels of `hole` say nothing."""
    x = _start(values, np.where(hole, np.float32(0), np.float32(1)))
    x = np.where(part[..., np.newaxis] > 0, x, values)
    source, part = np.zeros_like(x), part[..., np.newaxis]
    for _ in range(_MOST_CYCLES):
        before = x.copy()
        x = _cycle(x, source, part)
        if np.abs(x - before).max() < TOLERANCE:
            break
    return x


def _start(values, known):
    """A first solution: that of the picture at half the size, where a cell is known if one of its pixels is."""
    if known.all() or max(known.shape) == 1:
        return values
    count = _sums(known)
    means = _sums(values * known[..., np.newaxis]) / np.maximum(count, 1)[..., np.newaxis]
    seen = (count > 0).astype(np.float32)
    below = _start(means, seen)
    hole = 1 - seen[..., np.newaxis]
    for _ in range(_CYCLES_BELOW):
        below = _cycle(below, np.zeros_like(below), hole)
    return np.where(known[..., np.newaxis] > 0, values, _doubled(below, known.shape))


def _cycle(x, source, hole):
    """One V-cycle for: sum of the four neighbours - 4 x = source, in the hole [h, w, 1]."""
    x = _smoothed(x, source, hole)
    if max(x.shape) > 3:
        # A cell that holds a known pixel needs no correction.
        below = (_sums(1 - hole[..., 0]) == 0).astype(np.float32)[..., np.newaxis]
        if below.any():
            residual = _sums(hole * (source - _laplacian(x)))
            correction = _cycle(np.zeros_like(residual), residual, below)
            x = x + hole * _doubled(correction, x.shape[:2])
    return _smoothed(x, source, hole)


def _smoothed(x, source, hole):
    for _ in range(_SWEEPS):
        x = x + (_DAMPING / 4) * hole * (_laplacian(x) - source)
    return x


def _laplacian(x):
    """Sum of the four neighbours - 4 x, the border repeated: no flow across it."""
    return cv2.filter2D(x, -1, _LAPLACIAN, borderType=cv2.BORDER_REPLICATE).reshape(x.shape)


def _sums(x):
    """Sums of 2 x 2 pixels, sides made even with zeros."""
    height, width = x.shape[:2]
    even = cv2.copyMakeBorder(x, 0, height % 2, 0, width % 2, cv2.BORDER_CONSTANT, value=0)
    half = even.shape[1] // 2, even.shape[0] // 2
    return 4 * cv2.resize(even, half, interpolation=cv2.INTER_AREA)


def _doubled(x, shape):
    large = cv2.resize(x, (2 * x.shape[1], 2 * x.shape[0]), interpolation=cv2.INTER_LINEAR)
    return large[: shape[0], : shape[1]]
