"""The harmonic fill against the equation solved directly, and what every solution of it has."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data

from common.masks import files as mask_files
from common.scoring import harmonic


def _exact(image, hole):
    """The solution in the hole of [H, W, C], one linear equation a pixel."""
    unknown = {tuple(place): i for i, place in enumerate(np.argwhere(hole))}
    matrix, known = np.zeros((len(unknown),) * 2), np.zeros((len(unknown), image.shape[2]))
    for (y, x), row in unknown.items():
        for place in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if min(place) < 0 or place[0] >= hole.shape[0] or place[1] >= hole.shape[1]:
                continue  # no flow across the border
            matrix[row, row] += 1
            if place in unknown:
                matrix[row, unknown[place]] -= 1
            else:
                known[row] += image[place]
    filled = image.astype(np.float64)
    filled[hole] = np.linalg.solve(matrix, known)
    return filled


@pytest.mark.parametrize("kind", ["small", "large", "irregular", "object"])
def test_equals_the_equation_solved_directly(kind, small_photograph):
    """Far below half a level, so that rounding to 8 bits is what differs from the solution."""
    source, photograph = mask_files.mask_source(kind), small_photograph()
    for seed in range(4):
        hole = source(64, 64, seed) > 0
        found = harmonic.fill(photograph, hole)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found[~hole], photograph[~hole])
        assert np.abs(found - _exact(photograph, hole)).max() < 0.2


@pytest.mark.parametrize("height, width", [(1, 2), (1, 9), (2, 2), (17, 5), (33, 48)])
def test_any_size_and_holes_of_many_parts_at_the_border(height, width):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    hole = rng.random((height, width)) < 0.5
    hole[0, 0], hole[-1, -1] = True, False
    assert np.abs(harmonic.fill(image, hole) - _exact(image, hole)).max() < 0.2


def test_one_known_pixel_fills_everything(small_photograph):
    image, hole = small_photograph(32), np.ones((32, 32), bool)
    hole[3, 20] = False
    np.testing.assert_allclose(harmonic.fill(image, hole), image[3, 20] + 0.0 * image, atol=0.2)


def test_a_ramp_goes_on_and_nothing_exceeds_what_is_known(small_photograph):
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, :, None] * 3, (64, 64, 3)).copy()
    hole = np.zeros((64, 64), bool)
    hole[20:40, 10:50] = True
    assert np.abs(harmonic.fill(ramp, hole) - ramp).max() < 0.2
    photograph, hole = small_photograph(), mask_files.mask_source("large")(64, 64, 3) > 0
    found, known = harmonic.fill(photograph, hole), photograph[~hole]
    assert found.min() >= known.min() - 0.1 and found.max() <= known.max() + 0.1


@pytest.mark.parametrize(
    "side, top, shift", [(64, 0, -1), (64, 5, 0), (65, 0, 0), (65, 5, -1), (66, 0, -1), (130, 5, 0)]
)
def test_a_thin_line_with_a_gap_between_open_halves(side, top, shift):
    """Where multigrid alone overshoots: the line is at another distance on every level, and nothing else is known."""
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    hole = np.ones((side, side), bool)
    hole[:, side // 2 + shift] = False
    hole[side // 3, side // 2 + shift] = True
    hole[:top] = False
    found, known = harmonic.fill(image, hole), image[~hole].astype(np.float32)
    assert np.isfinite(found).all()
    assert found.min() >= known.min() - 0.2 and found.max() <= known.max() + 0.2
    if side < 66:
        assert np.abs(found - _exact(image, hole)).max() < 0.25


@pytest.mark.parametrize("kind", ["large", "irregular", "object"])
def test_is_as_near_on_larger_photographs(kind, monkeypatch):
    """Against the same solver stopped a hundred times later: what is left is far below half a level."""
    photograph, hole = skimage.data.astronaut(), mask_files.mask_source(kind)(512, 512, 2) > 0
    found = harmonic.fill(photograph, hole)
    monkeypatch.setattr(harmonic, "TOLERANCE", harmonic.TOLERANCE / 100)
    exact = harmonic.fill(photograph, hole)
    assert np.abs(found - exact).max() < 0.25
    inside = np.pad(exact, ((1, 1), (1, 1), (0, 0)), mode="edge")
    neighbours = inside[:-2, 1:-1] + inside[2:, 1:-1] + inside[1:-1, :-2] + inside[1:-1, 2:]
    assert np.abs(neighbours / 4 - exact)[hole].max() < 0.01  # every pixel is its neighbours' mean


def test_one_colour_stays_one_colour():
    image, hole = np.full((90, 70, 3), 77, np.uint8), np.zeros((90, 70), bool)
    hole[10:90, 5:60] = hole[0, 65:] = True
    np.testing.assert_allclose(harmonic.fill(image, hole), 77, atol=0.01)


def test_what_is_far_from_a_part_costs_nothing(monkeypatch):
    """Every part of the hole is solved in a box of its own."""
    sizes, levels = [], harmonic._levels
    monkeypatch.setattr(harmonic, "_levels", lambda hole: sizes.append(hole.shape) or levels(hole))
    hole = np.zeros((200, 300), bool)
    hole[10:14, 10:20] = hole[150:200, 290:300] = True
    harmonic.fill(np.zeros((200, 300, 3), np.uint8), hole)
    assert set(sizes) == {(6, 12), (51, 11)}
