"""Harmonic fill: Laplace's equation in the hole, known pixels unchanged, no flow across the image's border.

The result is the smoothest surface through the known pixels. Each connected part of the hole is solved in its own box,
channel by channel, by full multigrid: the box is halved until no hole is left, and every level starts from the solution
of the smaller level.

A V-cycle alone overshoots or diverges if a thin line of known pixels bounds a wide part of the hole at the image's
border. Therefore the V-cycle is the preconditioner of flexible conjugate gradients, whose steps never increase the
energy of the error. The iteration ends when no pixel changes by `TOLERANCE` or more. Arithmetic is float32; memory is
the result and about ten channels of the largest box.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

TOLERANCE = 0.1  # largest change of the last step, in levels of 255
_MOST_STEPS = 100
_STEPS_BELOW = 2  # of the smaller levels, which only give a first solution
_SWEEPS, _DAMPING = 2, 0.8  # of Jacobi's method, before and after the coarse correction


def fill(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The solution in the hole.

    Args:
      image: [H, W, 3] uint8; any content under the hole.
      hole: [H, W] bool, with a known pixel somewhere.

    Returns:
      [H, W, 3] float32 in 0..255, equal to `image` outside the hole.
    """
    filled = image.astype(np.float32)
    filled[hole] = 0
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(
        hole.view(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )
    for part in range(1, count):
        left, top, width, height = boxes[part][:4]
        # The box includes the known pixels beside the part. Other parts in it have no influence: they do not touch it.
        box = slice(max(0, top - 1), top + height + 1), slice(max(0, left - 1), left + width + 1)
        unknown, own = _levels(hole[box]), _levels(labels[box] == part)
        for channel in range(3):
            values = np.ascontiguousarray(filled[(*box, channel)])
            x = np.where(own[0].weight > 0, _start(values, unknown), values)
            filled[(*box, channel)] = _solved(x, own, _MOST_STEPS)
    return filled


class _Level(NamedTuple):
    """One resolution of the multigrid; both arrays are [h, w] float32.

    weight: factor of the residual in a sweep, 0 outside the hole.
    scratch: buffer for a residual, allocated once because new memory pages cost as much as the arithmetic.
    """

    weight: np.ndarray
    scratch: np.ndarray


def _levels(hole):
    """The levels of a hole [h, w], until no hole is left; a cell of 2 x 2 is hole if it has no known pixel."""
    found, hole = [], hole.astype(np.float32)
    while not found or hole.any():
        found.append(_Level(hole * np.float32(_DAMPING / 4), np.empty_like(hole)))
        if max(hole.shape) == 1:
            break
        hole = (_sums(1 - hole) == 0).astype(np.float32)
    return found


def _start(values, levels):
    """A first solution [h, w]: the solution for means of known pixels in cells of 2 x 2, enlarged twice."""
    known = (levels[0].weight == 0).astype(np.float32)
    if max(known.shape) == 1 or known.all():
        return values
    below = _sums(values * known) / np.maximum(_sums(known), 1)
    if len(levels) > 1:
        below = _solved(_start(below, levels[1:]), levels[1:], _STEPS_BELOW)
    return np.where(known > 0, values, _doubled(below, known.shape))


def _solved(x, levels, most):
    """Solves Laplace's equation in x [h, w], in place, where the first level has a weight; `most` steps at most."""
    source = -_residual(x, 0, levels[0])
    change, flow = None, np.empty_like(x)  # the last step, and what it does to the residual
    for _ in range(most):
        step = _cycle(source, levels)
        if change is not None:  # make the step conjugate to the last one
            change *= np.vdot(step, flow) / np.vdot(change, flow)
            step -= change
        change = step
        np.copyto(flow, _residual(change, 0, levels[0]))
        energy = np.vdot(change, flow)
        if not energy:
            break
        length = np.vdot(change, source) / energy
        change *= length
        flow *= length
        x += change
        source -= flow
        if max(change.max(), -change.min()) < TOLERANCE or not np.vdot(change, flow):
            break
    return x


def _cycle(source, levels):
    """One V-cycle from 0 for: weight * (sum of the four neighbours - 4 x) = source [h, w]; x = 0 where weight = 0."""
    x = _smoothed(-source, source, levels[0], _SWEEPS - 1)  # -source is the first sweep from 0
    if len(levels) > 1:
        below = -_sums(_residual(x, source, levels[0]))
        np.copyto(below, 0, where=levels[1].weight == 0)
        correction = _doubled(_cycle(below, levels[1:]), x.shape)
        np.copyto(correction, 0, where=levels[0].weight == 0)
        x += correction
    return _smoothed(x, source, levels[0], _SWEEPS)


def _smoothed(x, source, level, sweeps):
    for _ in range(sweeps):
        x += _residual(x, source, level)
    return x


def _residual(x, source, level):
    """weight * (sum of the four neighbours - 4 x) - source, in the level's scratch; no flow across the border."""
    found = level.scratch
    cv2.Laplacian(x, cv2.CV_32F, dst=found, ksize=1, borderType=cv2.BORDER_REPLICATE)
    found *= level.weight
    found -= source
    return found


def _sums(x):
    """Sums of 2 x 2 pixels of [h, w]; odd sides are padded with zeros."""
    height, width = x.shape
    even = cv2.copyMakeBorder(x, 0, height % 2, 0, width % 2, cv2.BORDER_CONSTANT, value=0)
    half = even.shape[1] // 2, even.shape[0] // 2
    return 4 * cv2.resize(even, half, interpolation=cv2.INTER_AREA)


def _doubled(x, shape):
    large = cv2.resize(x, (2 * x.shape[1], 2 * x.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(large[: shape[0], : shape[1]])
