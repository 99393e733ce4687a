"""Boxes lie where most of the hole is, and closeups show its pixels unchanged."""

from __future__ import annotations

import numpy as np
import pytest

from common.scoring import tables
from studies.kit.bench import Scored
from studies.zoom import closeups


@pytest.mark.parametrize("seed", range(4))
def test_window_covers_most_of_the_hole(seed):
    mask = (np.random.default_rng(seed).random((14, 17)) < 0.3).astype(np.uint8)
    best = max(
        (mask[y : y + 5, x : x + 5].sum(), -y, -x) for y in range(14 - 4) for x in range(17 - 4)
    )
    top, left = closeups.window(mask, 5)
    assert (mask[top : top + 5, left : left + 5].sum(), -top, -left) == best


def test_window_at_the_corner_and_of_the_whole():
    mask = np.zeros((16, 16), np.uint8)
    mask[-3:, -3:] = 1
    assert closeups.window(mask, 8) == (8, 8)
    assert closeups.window(mask, 16) == (0, 0)


def test_the_box_hides_nothing_inside():
    image = np.random.default_rng(0).integers(0, 200, (40, 40, 3), dtype=np.uint8)
    drawn = closeups.boxed(image, 10, 12, 8)
    assert (drawn[10:18, 12:20] == image[10:18, 12:20]).all()
    assert (drawn != image).any()
    close = closeups.enlarged(image, 10, 12, 8, to=32)
    assert (close[::4, ::4] == image[10:18, 12:20]).all() and close.shape == (32, 32, 3)


def test_largest_holes_first():
    found = [tables.Score(n, "m", "large", h, {}) for n, h in (("a", 0.1), ("b", 0.3), ("c", 0.2))]
    cases = [type("Case", (), {"name": score.name}) for score in found]
    assert closeups.largest_holes(Scored(cases, {}, found), 2) == [1, 2]
