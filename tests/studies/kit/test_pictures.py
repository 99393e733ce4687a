"""Boxes lie where most of the hole is, and closeups show its pixels unchanged."""

from __future__ import annotations

import numpy as np
import pytest

from studies.kit import pictures


@pytest.mark.parametrize("seed", range(4))
def test_the_square_covers_most_of_the_hole(seed):
    mask = (np.random.default_rng(seed).random((14, 17)) < 0.3).astype(np.uint8)
    best = max(
        (mask[y : y + 5, x : x + 5].sum(), -y, -x) for y in range(14 - 4) for x in range(17 - 4)
    )
    rows, columns = where = pictures.around_hole(mask, 5)
    assert (mask[where].sum(), -rows.start, -columns.start) == best
    assert mask[where].shape == (5, 5)


def test_the_square_at_the_corner_and_of_the_whole():
    mask = np.zeros((16, 20), np.uint8)
    mask[-3:, -3:] = 1
    assert pictures.around_hole(mask, 8) == (slice(8, 16), slice(12, 20))
    assert pictures.around_hole(mask, 500) == (slice(0, 16), slice(4, 20))


def test_the_box_hides_nothing_inside():
    image = np.random.default_rng(0).integers(0, 200, (40, 40, 3), dtype=np.uint8)
    where = slice(10, 18), slice(12, 20)
    drawn = pictures.boxed(image, where)
    assert (drawn[where] == image[where]).all() and (drawn != image).any()
    close = pictures.enlarged(image[where], 32)
    assert (close[::4, ::4] == image[where]).all() and close.shape == (32, 32, 3)


def test_differences_are_of_neighbours_inside_the_hole():
    image = np.zeros((4, 6, 3), np.int16)
    image[:, ::2] = 10  # neighbours in a row differ by 10, in a column by nothing
    hole = np.zeros((4, 6), np.uint8)
    hole[:2, :2] = 1
    assert np.abs(pictures.inner_differences(image, hole)).mean() == (2 * 10 + 2 * 0) / 4
    assert pictures.inner_differences(image, 0 * hole).size == 0
