"""One photograph of any size through a generator that works on squares (H section 3.1, Figure 2).

The generator sees S x S pixels, so the photograph is looked at through a square window at its own scale:
* a window as large as the shorter side when the hole fits in it with context around (nothing is distorted, and
  the hole is seen larger than in the whole picture);
* otherwise the whole photograph, extended to a square by reflection; what is reflected is context like any other.
A window smaller than S is enlarged to it or, where the configuration does not `enlarge`, extended in the same way.
The paper squeezes the whole photograph into a square and asks for multiples of 512; a square photograph whose side
is a multiple of 32 is treated just so here. The window's result is pasted into the hole and nowhere else.
"""

from __future__ import annotations

from typing import Callable

import cv2
import numpy as np

from common.errors import UserError
from common.images import WHITE, check_array
from hifill.config import HiFillConfig
from hifill.residual_aggregation import cells_touching, fill, reduced

MIN_SIDE = 16
# A hole longer than this share of the window, 3 / 4, leaves too little context around it.
LARGEST_SHARE = (3, 4)


def inpaint(
    generate: Callable,
    config: HiFillConfig,
    image: np.ndarray,
    mask: np.ndarray,
    down: str = "average",
    up: str = "bilinear",
) -> np.ndarray:
    """Fills one photograph; arguments, result and errors are those of `HiFill.inpaint`.

    down, up: operators of H section 4.1 other than the adopted pair, see `aggregate_residuals`.
    """
    check_array(image, mask)
    hole = np.asarray(mask) > 0
    height, width = hole.shape
    if min(height, width) < MIN_SIDE:
        raise UserError(
            f"the image is {width}x{height}; HiFill needs at least {MIN_SIDE} pixels on each side"
        )
    if hole.all():
        raise UserError("the mask covers the whole image, so there is nothing to continue from")
    if not hole.any():
        return image.copy()
    top, left, side = choose_window(hole, config.grid, config.least_window)
    output = image.copy()
    window = _cut(output, top, left, side)
    window_hole = _cut(hole.view(np.uint8), top, left, side) > 0
    _fill_window(generate, config.size, window, window_hole, down, up)
    if not np.may_share_memory(window, output):  # it was extended by reflection
        rows, columns = slice(top, min(top + side, height)), slice(left, min(left + side, width))
        inside = window[: rows.stop - top, : columns.stop - left]
        np.copyto(output[rows, columns], inside, where=hole[rows, columns, None])
    return output


def choose_window(hole: np.ndarray, grid: int, least: int = 0) -> tuple[int, int, int]:
    """[H, W] bool with a hole -> (top, left, side) of the square to look at; side is a multiple of `grid`.

    The square may reach beyond the bottom and the right of the image (then it starts at 0 there). least: its smallest
    side, a multiple of `grid`.
    """
    height, width = hole.shape
    left, top, hole_width, hole_height = cv2.boundingRect(hole.view(np.uint8))
    side = min(height, width) // grid * grid
    part, whole = LARGEST_SHARE
    if max(hole_height, hole_width) * whole > side * part:
        side = -(-max(height, width) // grid) * grid
    side = max(side, least)
    starts = []
    for first, extent, length in ((top, hole_height, height), (left, hole_width, width)):
        centred = first + extent // 2 - side // 2
        starts.append(max(0, min(centred, length - side)))
    return starts[0], starts[1], side


def _cut(array, top, left, side):
    """A view where the window lies inside the array, otherwise a copy extended by reflection."""
    part = array[top : top + side, left : left + side]
    below, right = side - part.shape[0], side - part.shape[1]
    if not (below or right):
        return part
    return cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_REFLECT)


def _fill_window(generate, size, window, hole, down, up):
    low, touched = reduced(window, size, hole, down), cells_touching(hole, size)
    mask = touched[None, ..., None].astype(np.float32)
    _, refined, attention = generate(low[None] / WHITE, mask)
    generated = np.asarray(refined)[0] * WHITE
    fill(window, hole, low, touched, generated, np.asarray(attention)[0], up)
