"""Results side by side, as in the papers' figures, and details of them.

A detail is the square with most of the hole; none is chosen by hand. Images are uint8 [H, W, 3] RGB, masks uint8 [H, W]
with 1 = hole. A row of a grid is the image with its hole, every method's result, and the truth.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from common.images import convert, grid
from common.masks import files as mask_files
from common.scoring import protocol
from studies.kit.scores import Scored

_SHARE = 4  # the box of `closeups` is a quarter of the shorter side
_INK = (0, 158, 240)
_CELL = 224


def around_hole(mask: np.ndarray, side: int) -> tuple[slice, slice]:
    """Rows and columns of the square of `side` (limited to the image) with most of the hole; ties: the first."""
    side = min(side, *mask.shape)
    sums = cv2.integral(mask)
    covered = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = map(int, np.unravel_index(int(covered.argmax()), covered.shape))
    return slice(top, top + side), slice(left, left + side)


def inner_differences(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Differences [N, 3] of neighbouring pixels that are both in the hole; image: any signed type."""
    found = []
    for axis in (0, 1):
        inside = np.delete(mask > 0, 0, axis) & np.delete(mask > 0, -1, axis)
        found.append(np.diff(image, axis=axis)[inside])
    return np.concatenate(found)


def read(scored: Scored, case: protocol.Case) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """(truth, mask, every method's result) of one case."""
    results = [protocol.prediction(folder, case.name) for folder in scored.folders.values()]
    truth, *results = map(convert.read_rgb, (case.image, *results))
    return truth, mask_files.read_mask(case.mask), results


def _row(scored, case):
    truth, mask, results = read(scored, case)
    return [grid.paint_hole(truth, mask), *results, truth], mask


def _labels(scored):
    # OpenCV draws ASCII only.
    return ["input", *(name.replace("L∇", "gradient") for name in scored.folders), "truth"]


def whole(scored: Scored, cases: Iterable[protocol.Case], cell: int = 256) -> np.ndarray:
    """One row per case, pictures reduced to `cell`."""
    return grid.grid([_row(scored, case)[0] for case in cases], _labels(scored), cell)


def detail_rows(scored: Scored, most: int = 3, side: int = 256) -> list[list[np.ndarray]]:
    """The rows of the first cases, each cut to a square around its hole, not scaled."""
    rows = []
    for case in scored.cases[:most]:
        row, mask = _row(scored, case)
        where = around_hole(mask, side)
        rows.append([np.ascontiguousarray(image[where]) for image in row])
    return rows


def details(scored: Scored) -> np.ndarray:
    """`detail_rows` as one picture."""
    return grid.grid(detail_rows(scored), _labels(scored))


def closeups(scored: Scored, cases: Iterable[protocol.Case]) -> np.ndarray:
    """Two rows per case: whole images with a box around most of the hole, and the content of the box, enlarged."""
    rows = []
    for case in cases:
        row, mask = _row(scored, case)
        to = min(mask.shape)
        where = around_hole(mask, max(8, to // _SHARE))
        rows.append([boxed(image, where) for image in row])
        rows.append([enlarged(image[where], to) for image in row])
    return grid.grid(rows, _labels(scored), _CELL)


def boxed(image: np.ndarray, where: tuple[slice, slice]) -> np.ndarray:
    """A copy with the outline of a square, two pixels wide, drawn around it."""
    drawn, (rows, columns) = image.copy(), where
    for out in (1, 2):  # two thin lines: OpenCV draws a thick line on both sides
        first = columns.start - out, rows.start - out
        cv2.rectangle(drawn, first, (columns.stop + out - 1, rows.stop + out - 1), _INK, 1)
    return drawn


def enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """Enlarged to `side` x `side` without smoothing, so that pixels show."""
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_NEAREST)
