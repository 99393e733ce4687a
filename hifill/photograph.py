"""One photograph of any size through a generator that works on squares (HiFill section 3.1, Figure 2).

The generator takes S x S pixels, so it works on a square window of the photograph:
* If the hole is at most 3/4 as long as the photograph's shorter side, the window is a square with that side. Nothing
  is distorted, and the hole appears larger than in the whole photograph.
* Otherwise the window is the whole photograph, extended to a square by reflection. Reflected pixels count as context.
* A thin photograph (longer than 4 times its shorter side) gets square windows, each with at most two thirds as many
  pixels as the photograph, so that memory grows with its pixels and not with the square of its length. They are
  extended by reflection. One window is used if the hole fits; otherwise several windows along the hole, each of which
  continues the fill of the ones before.
A window smaller than S is enlarged to S or, if the configuration does not `enlarge`, extended by reflection. A
configuration with a `large_size` works at that size in a single window larger than S and smaller than 4 S. The paper
squeezes every photograph into a square and needs sides that are multiples of 512. This code gives the paper's result
for square photographs with a side divisible by 32. Only pixels of the hole are written.
"""

from __future__ import annotations

import math
from typing import Callable, NamedTuple

import cv2
import numpy as np

from common import memory
from common.errors import UserError
from common.images.convert import WHITE, check_array
from common.models import window as windows
from hifill import detail
from hifill.config import HiFillConfig
from hifill.residual_aggregation import fill, reduced

MIN_SIDE = 16
# A hole longer than this share of the window, 3 / 4, leaves too little context around it.
LARGEST_SHARE = (3, 4)
# A photograph whose sides differ by more than this factor is thin.
THIN = 4
# Largest share of a thin photograph's pixels in a window. The window is a copy; that of a square photograph is none.
THIN_SHARE = (2, 3)


class Part(NamedTuple):
    """The rows [top, bottom) and columns [left, right) of the hole that one window fills."""

    top: int
    bottom: int
    left: int
    right: int


def inpaint(
    network: Callable,
    config: HiFillConfig,
    image: np.ndarray,
    mask: np.ndarray,
    down: str = "average",
    up: str = "bilinear",
) -> np.ndarray:
    """Fills one photograph; the other arguments, result and errors are those of `HiFill.inpaint`.

    network: `HiFill.fill`, or another function with its arguments and results; only the hole of its image is used.
    down, up: operators of section 4.1, see `aggregate_residuals`.
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
    output = image.copy()
    side, parts = plan(hole, config.grid, config.least_window)
    if len(parts) == 1 and has_medium_window(config, side):
        config = config.at_size(config.large_size)
        side, parts = plan(hole, config.grid, config.least_window)
    for part in parts:
        _fill_part(network, config, output, hole, part, side, down, up)
        memory.give_back()
    return output


def has_medium_window(config: HiFillConfig, side):
    """Whether a window of `side` pixels, a number or a tensor, is one for `config.large_size`."""
    largest = detail.WHOLE * config.size if config.large_size else 0
    return (config.size < side) & (side < largest)


def _fill_part(network, config, output, hole, part, side, down, up):
    """Fills one part of the hole in `output`, in place, and removes it from `hole`."""
    corner = _corner(part, hole.shape, side)
    low, touched = _low(output, hole, corner, side, config.size, down)
    memory.give_back()  # before each step that needs much
    generated, attention = _generated(network, low, touched)
    memory.give_back()
    window, window_hole = _window(output, hole, corner, side)
    inside = _inside(part, corner)
    blur = detail.blur_of(side, config.size, config.detail_blur)
    fill(window, window_hole, low, touched, generated, attention, up, inside, blur)
    if not np.may_share_memory(window, output):  # the window is an extended copy
        _paste(output, hole, window, part, inside)
    hole[part.top : part.bottom, part.left : part.right] = False


def _inside(part, corner):
    """The part, counted from the window's corner (top, left)."""
    top, left = corner
    return Part(part.top - top, part.bottom - top, part.left - left, part.right - left)


def _paste(output, hole, window, part, inside):
    """Writes the part's hole from the window, where it lies at `inside`, into `output`."""
    rows, columns = slice(part.top, part.bottom), slice(part.left, part.right)
    found = window[inside.top : inside.bottom, inside.left : inside.right]
    np.copyto(output[rows, columns], found, where=hole[rows, columns, None])


def plan(hole: np.ndarray, grid: int, least: int = 0) -> tuple[int, list[Part]]:
    """[H, W] bool with a hole -> (side of the windows, parts of the hole in filling order)."""
    left, top, width, height = cv2.boundingRect(hole.view(np.uint8))
    whole = Part(top, top + height, left, left + width)
    side, thin = choose_window(hole, grid, least)[2], _thin_side(*hole.shape, grid, least)
    if max(hole.shape) <= THIN * min(hole.shape) or side <= thin:
        return side, [whole]
    axis = int(hole.shape[1] > hole.shape[0])
    first, stop = whole[2 * axis : 2 * axis + 2]
    share, of = LARGEST_SHARE
    length = min(stop - first, thin * share // of)
    starts = _starts(hole, axis, first, stop, length, thin)
    spans = [(start, min(start + length, stop)) for start in starts]
    return thin, [Part(*s, *whole[2:]) if axis == 0 else Part(*whole[:2], *s) for s in spans]


def _thin_side(height, width, grid, least):
    share, of = THIN_SHARE
    return max(math.isqrt(height * width * share // of) // grid * grid, grid, least)


def _starts(hole, axis, first, stop, length, side):
    """Starts of the parts with a hole, in filling order.

    The first part is the one whose window has the most known lines. Then come the parts after it, up to the end, then
    those before it, backwards.
    """
    starts = np.arange(first, stop, length)
    holes, known = (
        np.concatenate([[0], np.cumsum(lines)])
        for lines in (hole.any(axis=1 - axis), ~hole.all(axis=1 - axis))
    )
    starts = starts[holes[np.minimum(starts + length, stop)] > holes[starts]]
    stops = np.minimum(starts + length, stop)
    corners = windows.start(starts, stops, side, hole.shape[axis])
    seen = known[np.minimum(corners + side, hole.shape[axis])] - known[corners]
    begin = int(np.argmax(seen))
    return [*starts[begin:].tolist(), *starts[:begin][::-1].tolist()]


def _corner(part, shape, side):
    """(top, left) of the window around a part."""
    spans = zip((part[:2], part[2:]), shape)
    return tuple(int(windows.start(*span, side, length)) for span, length in spans)


def choose_window(hole: np.ndarray, grid: int, least: int = 0) -> tuple[int, int, int]:
    """[H, W] bool with a hole -> (top, left, side) of the window; side is a multiple of `grid`.

    The window may reach beyond the bottom or the right of the image; it then starts at 0 on that axis.
    least: smallest side, a multiple of `grid`.
    """
    height, width = hole.shape
    left, top, hole_width, hole_height = cv2.boundingRect(hole.view(np.uint8))
    side = min(height, width) // grid * grid
    part, whole = LARGEST_SHARE
    if max(hole_height, hole_width) * whole > side * part:
        side = -(-max(height, width) // grid) * grid
    side = max(side, least)
    whole = Part(top, top + hole_height, left, left + hole_width)
    return *_corner(whole, hole.shape, side), side


def _cut(array, top, left, side):
    """A view where the window lies inside the array, otherwise a copy extended by reflection."""
    part = array[top : top + side, left : left + side]
    below, right = side - part.shape[0], side - part.shape[1]
    if not (below or right):
        return part
    return cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_REFLECT)


def _window(output, hole, corner, side):
    """The window of the photograph and of its hole; see `_cut`."""
    return _cut(output, *corner, side), _cut(hole.view(np.uint8), *corner, side).view(bool)


def _low(output, hole, corner, side, size, down):
    """The reduced window and its mask, [size, size]. A window that is a copy is not kept while the network runs."""
    window, window_hole = _window(output, hole, corner, side)
    return reduced(window, size, window_hole, down), windows.cells_touching(window_hole, size)


def _generated(network, low, touched):
    """(completion [S, S, 3] in 0..255, attention [N, N]) of the generator."""
    filled, attention = network(low[None] / WHITE, touched[None, ..., None].astype(np.float32))
    generated = np.asarray(filled)[0] * WHITE
    if not np.isfinite(generated).all():
        raise UserError("the network gives NaN or infinite values; its weights are not usable")
    return generated, np.asarray(attention)[0]
