"""Detail for smooth completions: which blur, what it adds, and that it is limited to the detail around the hole."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hifill import SHIPPED, detail, photograph

SIZE = 64
CONFIG = dataclasses.replace(SHIPPED, size=SIZE, detail_blur=2.0)
PLAIN = dataclasses.replace(CONFIG, detail_blur=0.0)
GRID = CONFIG.grid


@pytest.mark.parametrize("window, expected", [(64, 0), (32, 0), (160, 1), (256, 2), (4000, 2)])
def test_the_blur_grows_with_the_window(window, expected):
    assert detail.blur_of(window, SIZE, 2.0) == pytest.approx(expected)


def test_blurring_keeps_what_is_linear_inside():
    ramp = np.tile(np.arange(SIZE, dtype=np.float32)[:, None, None], (1, SIZE, 3))
    found = detail.blurred(ramp, 2.0)
    inside = slice(detail.RADIUS, -detail.RADIUS)
    np.testing.assert_allclose(found[inside], ramp[inside], atol=1e-4)


def _smooth_generator(image, mask):
    """A completion of one colour and attention that copies the first patch without a hole to the left of the middle."""
    grey = np.full_like(image, 0.5)
    attention = np.zeros((1, GRID**2, GRID**2), np.float32)
    attention[..., GRID * (GRID // 2)] = 1
    return np.where(mask > 0, grey, image), attention


def _photograph(side, contrast_left, contrast_right):
    """Waves of eight cells' length around mid-gray, stronger on one side; a hole in the middle."""
    period = 8 * side / SIZE
    waves = np.sin(2 * np.pi * np.arange(side) / period)[:, None] * np.ones(side)
    contrast = np.where(np.arange(side) < side // 4, contrast_left, contrast_right)
    image = np.clip(128 + waves * contrast, 0, 255).astype(np.uint8)
    mask = np.zeros((side, side), np.uint8)
    mask[3 * side // 8 : 5 * side // 8, 3 * side // 8 : 5 * side // 8] = 1
    return np.repeat(image[..., None], 3, axis=2), mask


def _deviation(config, side, *contrasts):
    image, mask = _photograph(side, *contrasts)
    filled = photograph.inpaint(_smooth_generator, config, image, mask)
    np.testing.assert_array_equal(filled[mask == 0], image[mask == 0])
    return filled[mask == 1].astype(float).std()


def test_a_smooth_completion_of_a_large_photograph_gets_texture():
    image, mask = _photograph(256, 60, 60)
    known = image[mask == 0].astype(float).std()
    assert _deviation(PLAIN, 256, 60, 60) < 0.2 * known
    assert _deviation(CONFIG, 256, 60, 60) > 0.5 * known


def test_a_window_of_the_completions_size_is_filled_as_without_blur():
    image, mask = _photograph(SIZE, 60, 60)
    filled = [photograph.inpaint(_smooth_generator, c, image, mask) for c in (CONFIG, PLAIN)]
    np.testing.assert_array_equal(*filled)


def test_detail_of_another_surface_is_not_stronger_than_that_around_the_hole():
    assert _deviation(CONFIG, 256, 60, 2) < 6 < 20 < _deviation(CONFIG, 256, 60, 60)


def test_limits_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    band = rng.normal(0, 5, (SIZE, SIZE, 3)).astype(np.float32)
    band[:, : SIZE // 2] *= 4
    targets = np.array([GRID + 1, GRID * GRID - 1])
    sources = np.array([0, 2, GRID + 3, GRID * (GRID - 1)])
    weights = rng.random((2, 4)).astype(np.float32)
    cells = SIZE // GRID

    def patch(number):
        row, column = np.array(divmod(number, GRID)) * cells
        return band[row : row + cells, column : column + cells]

    expected = []
    for target, row in zip(targets, weights):
        near = [
            np.hypot(*(np.array(divmod(target, GRID)) - divmod(source, GRID))) ** -4
            for source in sources
        ]
        deviations = [np.sqrt(np.mean(patch(source) ** 2)) for source in sources]
        around = np.exp(np.average(np.log(deviations), weights=near))
        copied = np.sqrt(np.mean(sum(w * patch(s) for w, s in zip(row, sources)) ** 2))
        expected.append(min(1, around / copied))
    found = detail.limits(band, weights, targets, sources, GRID)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
