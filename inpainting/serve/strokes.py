"""What was painted on the page, as a mask in the photograph's own upright pixels.

The page sends a list of operations, in the order in which they were made:

    {"kind": "paint" | "erase", "radius": r, "points": [[x, y], ...]}   a round brush along a line
    {"kind": "mask", "mask": n}                                          a mask that the server holds is added

Coordinates are pixels of the full photograph, (0, 0) its upper left corner, so pixel (column, row) covers
[column, column + 1). They may lie outside, where a stroke leaves the photograph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Callable

import cv2
import numpy as np

from common.errors import UserError

MOST_POINTS = 500_000
# Pixels that all strokes may cover, counted as often as they are covered: about 20 seconds of OpenCV.
MOST_PAINT = 4e10
_FRACTION = 4  # bits of OpenCV's fixed-point coordinates
_WIDEST = 32767  # OpenCV's thickest line


def mask(
    operations: Any, size: tuple[int, int], stored: Callable[[int], np.ndarray] | None = None
) -> np.ndarray:
    """Draws the operations, one over the other.

    Args:
      operations: as above, from JSON.
      size: (height, width) of the photograph.
      stored: number -> mask [H, W] that the server holds; UserError for a number that is none.
    Returns:
      [H, W] uint8, 1 = hole.
    Raises:
      UserError: operations of another form, or more than can be drawn in reasonable time.
    """
    if not isinstance(operations, list):
        raise UserError("strokes are a list of operations")
    drawn, paint, points = np.zeros(size, np.uint8), 0.0, 0
    for operation in operations:
        kind = operation.get("kind") if isinstance(operation, dict) else None
        if kind == "mask" and stored is not None and isinstance(operation.get("mask"), int):
            drawn |= stored(operation["mask"])
            continue
        if kind not in ("paint", "erase"):
            raise UserError("a stroke has the kind 'paint' or 'erase', a radius and points")
        radius, line = _radius(operation), _line(operation.get("points"), size)
        steps = np.hypot(*np.diff(line, axis=0).T).sum() if len(line) > 1 else 0
        paint += 4 * radius * (radius * len(line) + steps)
        points += len(line)
        if points > MOST_POINTS or paint > MOST_PAINT:
            raise UserError("that is too much paint to draw; use fewer strokes or a larger brush")
        _draw(drawn, line, radius, int(kind == "paint"))
    return drawn


def _radius(operation):
    radius = operation.get("radius")
    if not _is_number(radius) or not 0 < radius <= _WIDEST // 2:
        raise UserError(f"a stroke's radius is a number of pixels up to {_WIDEST // 2}")
    return float(radius)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _line(points: Any, size: Sequence[int]) -> np.ndarray:
    """[N, 2] float64 (x, y), no further outside than the photograph is large."""
    if not isinstance(points, list) or not points or len(points) > MOST_POINTS:
        raise UserError(f"a stroke has 1 to {MOST_POINTS} points")
    if not all(isinstance(p, list) and len(p) == 2 and all(map(_is_number, p)) for p in points):
        raise UserError("a stroke's points are pairs of numbers")
    height, width = size
    low, high = (-width, -height), (2 * width, 2 * height)
    return np.clip(np.asarray(points, np.float64), low, high)


def _draw(drawn, line, radius, value):
    # OpenCV counts from the centres of pixels, and its line of thickness 1 is one pixel wide.
    corners = np.rint((line - 0.5) * 2**_FRACTION).astype(np.int32)
    if len(corners) == 1:
        scaled = round(radius * 2**_FRACTION)
        center = tuple(corners[0].tolist())
        cv2.circle(drawn, center, scaled, value, cv2.FILLED, cv2.LINE_8, _FRACTION)
        return
    thickness = max(1, round(2 * radius))
    cv2.polylines(drawn, [corners], False, value, thickness, cv2.LINE_8, _FRACTION)
