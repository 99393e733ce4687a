"""Scores against scikit-image, TensorFlow and slow twins; tiny, constant, unequal pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from common.errors import UserError
from common.scoring import metrics

# float32 sums against float64 ones: a variance loses about 2e-7 of 255^2 to cancellation.
SSIM_TOLERANCE = 1e-5


def _pair(height, width, seed=0, noise=20):
    """A smooth picture and a version with noise and a flat patch, both uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 16.0
    waves = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], axis=-1)
    truth = 128 + 90 * waves + rng.normal(0, 5, waves.shape)
    result = truth + rng.normal(0, noise, waves.shape)
    result[height // 3 : height // 2, width // 4 : width // 2] = (200, 30, 90)
    return tuple(np.clip(image, 0, 255).round().astype(np.uint8) for image in (truth, result))


def _constant(value, height=32, width=32):
    return np.full((height, width, 3), value, np.uint8)


def _of_all(name, truth, result):
    return metrics.all_metrics(truth, result)[name]


def _ssim_twin(x, y):
    """SSIM and contrast terms of every window position, one position at a time; means, each [3]."""
    x, y = x.astype(np.float64) / 255, y.astype(np.float64) / 255
    size = min(11, *x.shape[:2])
    size -= 1 - size % 2
    distance = np.arange(size) - size // 2
    window = np.exp(-(distance[:, None] ** 2 + distance[None, :] ** 2) / (2 * 1.5**2))[..., None]
    window /= window.sum()
    ssim, contrast = [], []
    for top in range(x.shape[0] - size + 1):
        for left in range(x.shape[1] - size + 1):
            a, b = (image[top : top + size, left : left + size] for image in (x, y))
            mean_a, mean_b = (window * a).sum((0, 1)), (window * b).sum((0, 1))
            var_a = (window * (a - mean_a) ** 2).sum((0, 1))
            var_b = (window * (b - mean_b) ** 2).sum((0, 1))
            cov = (window * (a - mean_a) * (b - mean_b)).sum((0, 1))
            contrast.append((2 * cov + 0.03**2) / (var_a + var_b + 0.03**2))
            luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
            ssim.append(luminance * contrast[-1])
    return np.mean(ssim, axis=0), np.mean(contrast, axis=0)


@pytest.mark.parametrize("height, width", [(64, 64), (37, 90), (1, 1), (200, 3)])
def test_psnr_and_l1_equal_slow_numpy(height, width):
    truth, result = _pair(height, width)
    result[0, 0] = 255 - truth[0, 0] // 2
    error = truth.astype(np.float64) / 255 - result.astype(np.float64) / 255
    # Integer sums against float64 ones: rounding only.
    expected = -10 * math.log10(np.mean(error**2))
    assert metrics.psnr(truth, result) == pytest.approx(expected, rel=1e-12)
    assert metrics.l1_fraction(truth, result) == pytest.approx(np.mean(np.abs(error)), rel=1e-12)
    assert _of_all("l1_percent", truth, result) == 100 * metrics.l1_fraction(truth, result)
    assert _of_all("l1_levels", truth, result) == 255 * metrics.l1_fraction(truth, result)


def test_psnr_of_one_level_everywhere():
    assert metrics.psnr(_constant(100), _constant(101)) == pytest.approx(20 * math.log10(255))


def test_sums_do_not_overflow():
    # 2400 x 2400 x 3 x 255^2 = 1.1e12, far over 32 bits.
    black, white = _constant(0, 2400, 2400), _constant(255, 2400, 2400)
    assert metrics.psnr(black, white) == 0
    assert _of_all("l1_percent", black, white) == 100


@pytest.mark.parametrize("height, width", [(64, 64), (75, 140), (11, 11), (11, 300), (300, 12)])
def test_ssim_equals_scikit_image(height, width):
    truth, result = _pair(height, width)
    expected = structural_similarity(
        truth.astype(np.float64),
        result.astype(np.float64),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
    )
    assert metrics.ssim(truth, result) == pytest.approx(expected, abs=SSIM_TOLERANCE)


@pytest.mark.parametrize("height, width", [(161, 161), (256, 256), (177, 230)])
def test_ssim_and_ms_ssim_equal_tensorflow(height, width):
    tf = pytest.importorskip("tensorflow")
    truth, result = _pair(height, width)
    # TensorFlow is in float32 as well, and its 121 products are summed in another order.
    expected = float(tf.image.ssim(truth, result, 255))
    assert metrics.ssim(truth, result) == pytest.approx(expected, abs=2e-5)
    expected = float(tf.image.ssim_multiscale(truth, result, 255))
    assert _of_all("ms_ssim", truth, result) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    "height, width, scales", [(20, 90, 1), (21, 90, 2), (43, 60, 3), (96, 81, 4)]
)
def test_ms_ssim_of_small_pictures_uses_fewer_scales(height, width, scales):
    tf = pytest.importorskip("tensorflow")
    truth, result = _pair(height, width)
    powers = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333][:scales])
    powers = tuple(float(power) for power in powers / powers.sum())
    expected = float(tf.image.ssim_multiscale(truth, result, 255, power_factors=powers))
    assert _of_all("ms_ssim", truth, result) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("height, width", [(1, 1), (1, 9), (2, 2), (3, 40), (10, 10), (14, 12)])
def test_tiny_pictures_equal_the_slow_twin(height, width):
    truth, result = _pair(height, width)
    ssim, _ = _ssim_twin(truth, result)
    assert metrics.ssim(truth, result) == pytest.approx(ssim.mean(), abs=SSIM_TOLERANCE)
    assert _of_all("ms_ssim", truth, result) == pytest.approx(
        np.maximum(ssim, 0).mean(), abs=SSIM_TOLERANCE
    )


def test_strips_do_not_show(monkeypatch):
    truth, result = _pair(90, 40)
    scores = []
    for rows in (1, 7, 80, 1000):
        monkeypatch.setattr(metrics, "_STRIP", rows)
        scores.append(metrics.ssim(truth, result))
    # The same float32 maps, summed in float64 in another grouping.
    assert scores == pytest.approx([scores[0]] * 4, abs=1e-9)


def test_negative_structure_counts_as_zero():
    truth = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert metrics.ssim(truth, 255 - truth) < -0.5
    assert _of_all("ms_ssim", truth, 255 - truth) == 0


@pytest.mark.parametrize("height, width", [(1, 1), (5, 7), (64, 64), (177, 300)])
def test_identical_pictures_are_perfect(height, width):
    truth, _ = _pair(height, width)
    assert metrics.all_metrics(truth, truth.copy()) == {
        "psnr": math.inf,
        "ssim": 1.0,
        "ms_ssim": 1.0,
        "l1_fraction": 0.0,
        "l1_percent": 0.0,
        "l1_levels": 0.0,
    }


def test_constant_pictures_have_only_the_luminance_term():
    scores = metrics.all_metrics(_constant(0), _constant(255))
    luminance = 0.01**2 / (1 + 0.01**2)
    # 255^2 in float32: the variance that cancels is off by a few thousandths, of 58.
    assert scores["ssim"] == pytest.approx(luminance, rel=1e-3)
    assert scores["psnr"] == 0
    assert scores["l1_fraction"] == 1
    assert metrics.ssim(_constant(200), _constant(200)) == 1


@pytest.mark.parametrize("height, width", [(1, 1), (40, 50), (180, 200)])
def test_all_metrics_equals_the_single_functions(height, width):
    truth, result = _pair(height, width)
    scores = metrics.all_metrics(truth, result)
    assert tuple(scores) == metrics.METRICS
    assert all(type(score) is float for score in scores.values())
    for name in ("psnr", "ssim", "l1_fraction"):
        assert scores[name] == getattr(metrics, name)(truth, result)


def test_symmetry_channel_order_and_monotony():
    truth, result = _pair(180, 170)
    scores = metrics.all_metrics(truth, result)
    assert metrics.all_metrics(result, truth) == pytest.approx(scores)
    assert metrics.all_metrics(truth[..., ::-1], result[..., ::-1]) == pytest.approx(scores)
    worse = metrics.all_metrics(truth, _pair(180, 170, noise=40)[1])
    for name in ("psnr", "ssim", "ms_ssim"):
        assert worse[name] < scores[name]
    assert worse["l1_fraction"] > scores["l1_fraction"]


def test_arguments_are_left_alone():
    truth, result = _pair(171, 33)
    copies = truth.copy(), result.copy()
    metrics.all_metrics(truth, result)
    np.testing.assert_array_equal(truth, copies[0])
    np.testing.assert_array_equal(result, copies[1])


@pytest.mark.parametrize("name", ["psnr", "ssim", "l1_fraction", "all_metrics"])
def test_unequal_sizes_are_a_user_error(name):
    with pytest.raises(UserError, match="16x32 pixels and the original 32x32"):
        getattr(metrics, name)(_constant(1), _constant(1, 32, 16))


@pytest.mark.parametrize(
    "bad",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((0, 8, 3), np.uint8)],
)
def test_other_arrays_are_rejected(bad):
    with pytest.raises(ValueError, match="uint8"):
        metrics.all_metrics(_constant(1, 8, 8), bad)
