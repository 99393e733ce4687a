"""Strokes of the page become masks in the photograph's pixels."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import UserError
from inpainting.serve import strokes


def paint(radius, *points, kind="paint"):
    return {"kind": kind, "radius": radius, "points": [list(point) for point in points]}


def near(size, radius, start, end):
    """Slow twin: pixels whose centre is at most `radius` from the line from start to end."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    (x0, y0), (x1, y1) = start, end
    length = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-9)
    along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length, 0, 1)
    return np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)) - radius


@pytest.mark.parametrize(
    "radius, start, end",
    [
        (6, (20, 20), (20, 20)),
        (7, (15.3, 18), (70.7, 40.2)),
        (3, (5, 5), (5, 50)),
        (15, (-20, 30), (40, 30)),
    ],
)
def test_a_stroke_covers_what_is_near_its_line(radius, start, end):
    size = (60, 90)
    points = [start] if start == end else [start, end]
    found, distance = strokes.mask([paint(radius, *points)], size), near(size, radius, start, end)
    assert found.dtype == np.uint8
    # OpenCV draws whole pixels: one beside the edge may be of either side.
    assert found[distance < -1].all() and not found[distance > 1].any()


def test_order_counts():
    line = [(10, 20), (70, 20)]
    both = strokes.mask([paint(8, *line), paint(4, *line, kind="erase")], (40, 80))
    assert both[20, 40] == 0 and both[14, 40] == 1 and both[26, 40] == 1
    again = strokes.mask([paint(4, *line, kind="erase"), paint(8, *line)], (40, 80))
    assert again[20, 40] == 1


def test_masks_that_the_server_holds():
    held = np.zeros((40, 80), np.uint8)
    held[:, :40] = 1
    operations = [{"kind": "mask", "mask": 3}, paint(5, (20, 20), kind="erase")]
    found = strokes.mask(operations, (40, 80), {3: held}.__getitem__)
    assert found[20, 20] == 0 and found[0, 0] == 1 and not found[:, 40:].any()
    assert held.all(axis=0)[:40].all()  # as it was


@pytest.mark.parametrize(
    "operations",
    [
        None,
        [1],
        [{"kind": "dance"}],
        [{"kind": "mask", "mask": 1}],
        [paint(0, (1, 1))],
        [paint(float("nan"), (1, 1))],
        [paint(True, (1, 1))],
        [paint(1e6, (1, 1))],
        [paint(3)],
        [paint(3, (1, float("inf")))],
        [paint(3, (1, 2, 3))],
        [paint(3, ("1", 2))],
        [paint(16000, *[(1, 1)] * 1000)],
        [paint(3, *[(1, 1)] * 300_000)] * 2,
    ],
)
def test_what_is_no_stroke_is_refused(operations):
    with pytest.raises(UserError):
        strokes.mask(operations, (40, 80))
