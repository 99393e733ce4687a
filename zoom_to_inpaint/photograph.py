"""One photograph of any size (the paper works on 256 x 256, Zoom-to-Inpaint section 4).

A photograph of up to `LARGEST_SIDE` goes through the networks whole and at its own resolution. For a larger
photograph the networks see a window around the hole, with as much context on every side as the hole is long. A window
larger than `LARGEST_SIDE` is reduced to `LARGEST_SIDE` and its fill enlarged again. Only pixels of the hole are
written; pixels under the hole have no influence.

Where a window would be reduced, the commands by default use HiFill's residual aggregation instead
(`whichever_is_sharp` in inpainting/painters.py).
"""

from __future__ import annotations

from typing import Callable

import cv2
import numpy as np

from common.errors import UserError
from common.images.convert import check_array, to_uint8, to_unit
from common.models import window as windows

LARGEST_SIDE = 1024
_ROUNDING = 1e-6  # rounding error of float32 averages in [0, 1]
# Smallest side of a window, if the photograph is that large: the side of the training images.
SMALLEST_WINDOW = 256


def inpaint(fill: Callable, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fills one photograph.

    Args:
      fill: ([1, H, W, 3] float32 in [0, 1], [1, H, W, 1] float32) -> [1, H, W, 3], as `ZoomToInpaint.fill`.
      image, mask, result and errors: see `ZoomToInpaint.inpaint`.
    """
    check_array(image, mask)
    hole = mask > 0
    if hole.all():
        raise UserError("the mask covers the whole image, so there is nothing to continue from")
    output = image.copy()
    if hole.any():
        window = choose_window(hole)
        filled = _fill_window(fill, image[window], hole[window])
        np.copyto(output[window], filled, where=hole[window][..., None])
    return output


def choose_window(hole: np.ndarray) -> tuple[slice, slice]:
    """[H, W] bool with a hole -> rows and columns of the window."""
    left, top, width, height = cv2.boundingRect(hole.view(np.uint8))
    if max(hole.shape) <= LARGEST_SIDE:
        return slice(0, hole.shape[0]), slice(0, hole.shape[1])
    side = max(SMALLEST_WINDOW, 3 * max(width, height))
    window = []
    for first, extent, length in ((top, height, hole.shape[0]), (left, width, hole.shape[1])):
        start = int(windows.start(first, first + extent, side, length))
        window.append(slice(start, min(start + side, length)))
    return window[0], window[1]


def is_reduced(window: tuple[slice, slice]) -> bool:
    """Whether this window is reduced for the networks."""
    return max(part.stop - part.start for part in window) > LARGEST_SIDE


def _fill_window(fill, image, hole):
    """uint8 [H, W, 3], bool [H, W] -> uint8 [H, W, 3], valid in the hole alone."""
    height, width = hole.shape
    scale = LARGEST_SIDE / max(height, width)
    if scale >= 1:
        return _filled(fill, to_unit(image), hole)
    size = tuple(max(1, round(side * scale)) for side in (width, height))
    small, small_hole = _reduce(image, hole, size)
    filled = _filled(fill, small, small_hole)
    return cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)


def _filled(fill, unit, hole):
    filled = fill(unit[None], hole[None, ..., None].astype(np.float32))
    return to_uint8(np.asarray(filled)[0])


def _reduce(image, hole, size):
    """(averages of the known pixels, hole) at `size` = (width, height).

    A cell that touches the hole is hole, unless this would lose more than half of the known area.
    """
    known = np.float32(1) - hole
    weight = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
    # One channel at a time: a photograph as float32 takes four times its memory.
    channels = (to_unit(image[..., channel]) * known for channel in range(3))
    total = np.stack([cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in channels], axis=-1)
    # Not from `weight`: OpenCV leaves slivers of a cell out, so known cells weigh slightly less than 1.
    touched = windows.cells_touching(hole, size[::-1], slivers=False)
    if 2 * np.count_nonzero(~touched) < weight.sum():
        # Fine scratches touch nearly every cell; then only cells without a known pixel are hole.
        touched = weight < _ROUNDING
    return total / np.maximum(weight, _ROUNDING)[..., None], touched
