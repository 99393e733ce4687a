"""Laplacian pyramids and SSIM per band against slow twins, and what a band must and must not see."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import UserError
from common.scoring import frequency_bands, metrics

KERNEL = np.array([1, 4, 6, 4, 1]) / 16


def reflected(index, length):
    """Index into 0 .. length - 1 by reflection at the outermost pixels, which are not repeated."""
    period = max(1, 2 * (length - 1))
    index %= period
    return min(index, period - index)


def slow_reduce(image):
    """Blurred by the 5-tap kernel, every other pixel."""
    height, width, channels = image.shape
    out = np.zeros(((height + 1) // 2, (width + 1) // 2, channels))
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    row, column = reflected(2 * y + dy, height), reflected(2 * x + dx, width)
                    out[y, x] += KERNEL[dy + 2] * KERNEL[dx + 2] * image[row, column]
    return out


def slow_expand(image, height, width):
    """Zeros between pixels, blurred by twice the kernel along each side; borders reflected in the large picture."""
    sparse = np.zeros((2 * image.shape[0], 2 * image.shape[1], image.shape[2]))
    sparse[::2, ::2] = image
    out = np.zeros((height, width, image.shape[2]))
    for y in range(height):
        for x in range(width):
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    row = reflected(y + dy, height + height % 2)
                    column = reflected(x + dx, width + width % 2)
                    taps = 4 * KERNEL[dy + 2] * KERNEL[dx + 2]
                    out[y, x] += taps * sparse[min(row, len(sparse) - 1), column]
    return out


def slow_ssim(x, y):
    """SSIM with an 11x11 Gaussian, all positions inside, the mean of the channels."""
    offsets = np.arange(-5, 6)
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (z[top : top + 11, left : left + 11].astype(float) for z in (x, y))
            w = window[..., None]
            ma, mb = (a * w).sum((0, 1)), (b * w).sum((0, 1))
            va, vb = (a * a * w).sum((0, 1)) - ma**2, (b * b * w).sum((0, 1)) - mb**2
            cov = (a * b * w).sum((0, 1)) - ma * mb
            values.append(
                (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
            )
    return np.mean(values)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (48, 56, 3), dtype=np.uint8)
    noise = rng.integers(-20, 21, truth.shape)
    return truth, np.clip(truth + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(16, 20, 3), (13, 18, 3), (17, 11, 3)])
def test_pyramid_against_slow_twin(shape):
    image = np.random.default_rng(1).uniform(0, 255, shape)
    fine, found = image, frequency_bands.laplacian_pyramid(image)
    for band in found[:-1]:
        coarse = slow_reduce(fine)
        wanted = fine - slow_expand(coarse, *fine.shape[:2])
        inside = (slice(2, -2), slice(2, -2))  # OpenCV repeats the last sample when it enlarges
        np.testing.assert_allclose(band[inside], wanted[inside], atol=1e-3)
        fine = coarse
    np.testing.assert_allclose(found[-1], fine, atol=1e-3)


def test_bands_add_up_to_the_picture(pair):
    import cv2

    high, mid, low = frequency_bands.laplacian_pyramid(pair[0])
    assert (high.shape[0], mid.shape[0], low.shape[0]) == (48, 24, 12)
    middle = mid + cv2.pyrUp(low)
    np.testing.assert_allclose(high + cv2.pyrUp(middle), pair[0], atol=1e-3)


def test_band_ssim_against_slow_twin(pair):
    found = frequency_bands.band_ssim(*pair)
    assert tuple(found) == ("low", "mid", "high")
    pyramids = [frequency_bands.laplacian_pyramid(image) for image in pair]
    for band, (x, y) in zip(("high", "mid", "low"), zip(*pyramids)):
        assert found[band] == pytest.approx(slow_ssim(x, y), abs=1e-4)


def test_equal_pictures_agree_in_every_band(pair):
    assert frequency_bands.band_ssim(pair[0], pair[0]) == {"low": 1, "mid": 1, "high": 1}
    flat = np.full((32, 32, 3), 7, np.uint8)
    assert frequency_bands.band_ssim(flat, flat) == {"low": 1, "mid": 1, "high": 1}


def test_a_band_sees_its_own_frequencies(pair):
    """A chequerboard of single pixels is in the finest band alone; a step of brightness in what is left."""
    truth = np.full((64, 64, 3), 128, np.uint8)
    board = np.indices((64, 64)).sum(0) % 2
    fine = frequency_bands.band_ssim(truth, truth + (8 * board[..., None]).astype(np.uint8))
    assert fine["high"] < 0.9 and fine["mid"] > 0.999 and fine["low"] > 0.99
    brighter = frequency_bands.band_ssim(truth, truth + np.uint8(60))
    assert brighter["low"] < 0.99 and min(brighter["mid"], brighter["high"]) > 0.9999


def test_sizes_must_agree(pair):
    with pytest.raises(UserError, match="one size"):
        frequency_bands.band_ssim(pair[0], pair[1][:-1])
    with pytest.raises(ValueError, match="uint8"):
        frequency_bands.band_ssim(pair[0].astype(float), pair[1])


def test_arrays_with_negative_values_have_an_ssim(pair):
    board = np.where(np.indices((32, 32)).sum(0) % 2, 20, -20)[..., None].repeat(3, axis=2)
    assert metrics.ssim_of_arrays(board, board) == 1
    assert metrics.ssim_of_arrays(board, -board) < -0.5
    assert metrics.ssim_of_arrays(*pair) == pytest.approx(metrics.ssim(*pair), abs=1e-7)
