"""FID and IS: closed forms, the published formulas by SciPy, an independent library, and what is refused."""

from __future__ import annotations

import numpy as np
import ot
import pytest
import scipy.linalg
import scipy.stats

from common.errors import UserError
from common.scoring import fid as dm

RNG = np.random.default_rng(0)


def _features(count=200, width=12, shift=0.0, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + shift


def test_gaussian_is_mean_and_unbiased_covariance():
    features = _features()
    found = dm.gaussian(features.astype(np.float32))
    centred = features - features.mean(axis=0)
    # The features were float32.
    np.testing.assert_allclose(found.mean, features.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.covariance, centred.T @ centred / 199, atol=1e-5)
    assert found.count == 200


def test_diagonal_covariances_have_a_closed_form():
    one, two = RNG.uniform(0.1, 4, (2, 30))
    mean = RNG.normal(size=30)
    found = dm.frechet_distance(
        dm.Gaussian(np.zeros(30), np.diag(one), 99), dm.Gaussian(mean, np.diag(two), 99)
    )
    expected = np.sum(mean**2) + np.sum((np.sqrt(one) - np.sqrt(two)) ** 2)
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_shift_is_its_squared_length_and_a_scale_is_a_closed_form():
    features = _features()
    assert dm.fid(features, features + 0.5) == pytest.approx(12 * 0.25, rel=1e-9)
    spread = np.trace(np.cov(features, rowvar=False))
    centred = features - features.mean(axis=0)
    assert dm.fid(centred, 3 * centred) == pytest.approx(4 * spread, rel=1e-9)


def test_identical_sets_and_reordered_sets_have_distance_zero():
    features = _features()
    scale = np.trace(np.cov(features, rowvar=False))
    assert dm.fid(features, features) == pytest.approx(0, abs=1e-12 * scale)
    assert dm.fid(features, features[::-1]) == pytest.approx(0, abs=1e-12 * scale)


def test_it_is_symmetric_and_invariant_under_rotation():
    one, two = _features(seed=1), _features(seed=2, shift=0.3)
    rotation = np.linalg.qr(RNG.normal(size=(12, 12)))[0]
    distance = dm.fid(one, two)
    assert dm.fid(two, one) == pytest.approx(distance, rel=1e-10)
    assert dm.fid(one @ rotation, two @ rotation) == pytest.approx(distance, rel=1e-10)


def test_it_is_the_published_formula_with_the_root_of_the_product():
    """The FID authors' code: scipy.linalg.sqrtm of C1 C2, its real part."""
    one, two = dm.gaussian(_features(seed=1)), dm.gaussian(_features(seed=2, shift=0.3))
    root = scipy.linalg.sqrtm(one.covariance @ two.covariance).real
    moved = np.sum((one.mean - two.mean) ** 2)
    expected = moved + np.trace(one.covariance + two.covariance - 2 * root)
    assert dm.frechet_distance(one, two) == pytest.approx(expected, rel=1e-9)


def test_it_is_the_squared_distance_of_an_optimal_transport_library():
    one, two = dm.gaussian(_features(seed=3)), dm.gaussian(_features(seed=4, shift=-1))
    distance = ot.gaussian.bures_wasserstein_distance(
        one.mean, two.mean, one.covariance, two.covariance
    )
    assert dm.frechet_distance(one, two) == pytest.approx(float(distance) ** 2, rel=1e-9)


def test_a_covariance_without_full_rank_is_still_exact():
    flat = np.diag([4.0, 1.0, 0.0, 0.0])
    other = np.diag([1.0, 1.0, 0.0, 9.0])
    found = dm.frechet_distance(
        dm.Gaussian(np.zeros(4), flat, 9), dm.Gaussian(np.zeros(4), other, 9)
    )
    assert found == pytest.approx(1 + 9, abs=1e-9)


def test_too_few_images_are_refused_with_the_number_that_is_needed():
    assert dm.smallest_set(2048) == 2049
    dm.gaussian(_features(count=13))
    with pytest.raises(UserError, match=r"FID of 12 images.* 12 features needs at least 13"):
        dm.gaussian(_features(count=12))
    with pytest.raises(UserError, match="NaN or infinite"):
        dm.fid(_features(), np.where(np.arange(200)[:, None] == 7, np.nan, _features()))


def test_inception_score_of_uniform_predictions_is_one():
    mean, std = dm.inception_score(np.full((50, 7), 1 / 7))
    assert mean == pytest.approx(1, abs=1e-12) and std == pytest.approx(0, abs=1e-12)


def test_inception_score_of_confident_balanced_predictions_is_the_number_of_classes():
    mean, std = dm.inception_score(np.tile(np.eye(8), (20, 1)))
    assert mean == pytest.approx(8, rel=1e-12) and std == pytest.approx(0, abs=1e-12)
    # In one class alone nothing tells the images apart.
    assert dm.inception_score(np.eye(8)[np.zeros(40, int)])[0] == pytest.approx(1)


@pytest.mark.parametrize("count", [100, 57])
def test_inception_score_is_the_mean_and_deviation_over_ten_splits_in_order(count):
    rows = RNG.dirichlet(np.full(9, 0.3), count)
    scores = []
    for k in range(10):
        part = rows[k * count // 10 : (k + 1) * count // 10]
        divergences = scipy.stats.entropy(part, part.mean(axis=0)[None], axis=1)
        scores.append(np.exp(divergences.mean()))
    found = dm.inception_score(rows.astype(np.float32))
    # float32 probabilities, as the network gives them.
    assert found == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-5)
    assert dm.inception_score(rows, splits=1)[1] == 0


def test_what_inception_score_refuses():
    with pytest.raises(UserError, match="Inception Score of 9 images in 10 splits"):
        dm.inception_score(np.full((9, 4), 0.25))
    for bad in (np.full((20, 4), 0.3), np.full((20, 4), np.nan)):
        with pytest.raises(UserError, match="do not add up to 1"):
            dm.inception_score(bad)
