"""Losses: closed forms, values per sample, and the gradient penalty where it is easy to get wrong."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from hifill import losses


def _random(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def _mask(batch=3, side=8):
    mask = np.zeros((batch, side, side, 1), np.float32)
    mask[0, :4] = 1  # half
    mask[1, 0, 0] = 1  # one pixel
    return mask  # and no hole


def test_l1_of_a_constant_error_is_its_share_of_the_area():
    image = _random(3, 8, 8, 3)
    generated = image + 0.5
    np.testing.assert_allclose(
        losses.hole_l1(generated, image, _mask()), [0.25, 0.5 / 64, 0], atol=1e-6
    )
    np.testing.assert_allclose(
        losses.context_l1(generated, image, _mask()), [0.25, 0.5 * 63 / 64, 0.5], atol=1e-6
    )


def test_the_hole_by_its_area_weighs_a_pixel_as_much_as_half_an_image():
    image = _random(3, 8, 8, 3)
    found = losses.hole_l1(image + 0.5, image, _mask(), by_area=True)
    np.testing.assert_allclose(found, [0.5, 0.5, 0], atol=1e-6)
    both = losses.reconstruction(image + 0.5, image, _mask(), 2.0, 1.2, hole_by_area=True)
    np.testing.assert_allclose(both, [1.3, 1 + 0.6 * 63 / 64, 0.6], atol=1e-6)


def test_the_logarithm_of_the_error_weighs_photographs_alike():
    """Ten times the error adds the same everywhere, whatever the size of the hole; nothing without a hole."""
    image = _random(3, 8, 8, 3)
    small, large = (
        np.asarray(losses.log_error(image + error, image, _mask())) for error in (0.05, 0.5)
    )
    np.testing.assert_allclose(small, [np.log(0.0026)] * 2 + [0], rtol=1e-4)
    np.testing.assert_allclose(large, [np.log(0.2501)] * 2 + [0], rtol=1e-4)
    np.testing.assert_allclose(np.diff(large - small), [0, -(large - small)[0]], atol=1e-4)


def test_the_logarithm_of_no_error_has_a_finite_gradient():
    image = tf.constant(_random(3, 8, 8, 3))
    with tf.GradientTape() as tape:
        tape.watch(image)
        loss = losses.log_error(image, tf.identity(image) + 0.0, _mask())
    assert np.isfinite(loss).all() and np.isfinite(tape.gradient(loss, image)).all()


def test_reconstruction_adds_the_logarithm_if_it_has_a_weight():
    generated, image, mask = _random(3, 8, 8, 3), _random(3, 8, 8, 3, seed=1), _mask()
    plain, with_it = (
        losses.reconstruction(generated, image, mask, 1.0, 1.2, log_error_weight=weight)
        for weight in (0.0, 0.3)
    )
    expected = 0.3 * losses.log_error(generated, image, mask)
    np.testing.assert_allclose(with_it - plain, expected, atol=1e-6)


def test_reconstruction_equals_slow_numpy():
    generated, image, mask = _random(3, 8, 8, 3), _random(3, 8, 8, 3, seed=1), _mask()
    found = losses.reconstruction(generated, image, mask, 1.0, 1.2)
    assert found.shape == (3,)
    for i in range(3):
        total = 0.0
        for row in range(8):
            for column in range(8):
                weight = 1.0 if mask[i, row, column, 0] else 1.2
                total += weight * np.abs(generated[i, row, column] - image[i, row, column]).sum()
        # float32 sums of 192 values.
        assert abs(float(found[i]) - total / (8 * 8 * 3)) < 1e-6


@pytest.mark.parametrize("by_area", [(False, True), (True, False), (True, True)])
def test_means_over_hole_and_context_equal_slow_numpy(by_area):
    generated, image, mask = _random(3, 8, 8, 3), _random(3, 8, 8, 3, seed=1), _mask()
    found = losses.reconstruction(generated, image, mask, 0.7, 1.2, *by_area)
    for i in range(3):
        expected = 0.0
        for weight, inside, divided in ((0.7, 1, by_area[0]), (1.2, 0, by_area[1])):
            places = [(r, c) for r in range(8) for c in range(8) if mask[i, r, c, 0] == inside]
            errors = [
                abs(float(generated[i, r, c, k] - image[i, r, c, k]))
                for r, c in places
                for k in range(3)
            ]
            count = 3 * len(places) if divided else 3 * 64
            expected += weight * sum(errors) / max(count, 1)  # the third has no hole
        assert abs(float(found[i]) - expected) < 1e-6  # float32 sums of 192 values


def test_a_context_that_is_not_there_adds_nothing():
    image, mask = _random(1, 4, 4, 3), np.ones((1, 4, 4, 1), np.float32)
    found = losses.reconstruction(image + 0.5, image, mask, 1.0, 1.2, False, True)
    np.testing.assert_allclose(found, [0.5], atol=1e-6)


def test_balance_limits_the_adversarial_gradient_in_the_hole_of_every_sample():
    adversarial, other, mask = (
        _random(4, 8, 8, 3),
        _random(4, 8, 8, 3, seed=1),
        np.zeros((4, 8, 8, 1), np.float32),
    )
    mask[:3, 2:6, 1:5] = 1  # and no hole in the last
    adversarial *= np.array([0.01, 1, 100, 1], np.float32).reshape(4, 1, 1, 1)
    adversarial[:, 7] = 1e6  # of the known pixels nothing counts
    for most in (0.5, 3.0):
        found = losses.balance(adversarial, other, mask, most).numpy()
        for i in range(4):
            norm, limit = (
                np.linalg.norm(x[i][mask[i, ..., 0] == 1].astype(float))
                for x in (adversarial, other)
            )
            expected = min(1, most * limit / norm) if norm else 1
            assert abs(found[i] / expected - 1) < 1e-5, (most, i)
        assert found[0] == found[3] == 1 and found[2] < 0.1


def test_balance_leaves_nothing_of_an_adversary_where_there_is_nothing_to_reconstruct():
    ones = np.ones((1, 4, 4, 3), np.float32)
    np.testing.assert_array_equal(losses.balance(ones, 0 * ones, ones[..., :1], 2.0), [0])
    np.testing.assert_array_equal(losses.balance(0 * ones, 0 * ones, ones[..., :1], 2.0), [1])


def test_balance_hides_nothing_that_is_not_finite():
    ones = np.ones((1, 4, 4, 3), np.float32)
    for value in (np.nan, np.inf):
        bad = ones.copy()
        bad[0, 1, 1, 1] = value
        factor = losses.balance(bad, ones, ones[..., :1], 2.0).numpy()
        with np.errstate(invalid="ignore"):
            assert not np.isfinite(factor[0] * bad).all()


def test_reconstruction_of_the_image_itself_is_zero():
    image = _random(3, 8, 8, 3)
    np.testing.assert_array_equal(losses.reconstruction(image, image, _mask(), 1.0, 1.2), [0, 0, 0])


def test_adversarial_terms_have_the_papers_signs():
    real, fake = tf.constant([[3.0], [-1.0]]), tf.constant([[0.5], [2.0]])
    np.testing.assert_array_equal(losses.critic(real, fake), [-2.5, 3.0])
    np.testing.assert_array_equal(losses.adversarial(fake), [-0.5, -2.0])


def _linear(weights):
    return lambda x: tf.reduce_sum(x * weights, axis=[1, 2, 3])[:, tf.newaxis]


@pytest.mark.parametrize("norm", [0.0, 0.3, 1.0, 5.0])
def test_penalty_of_a_linear_critic_is_known(norm):
    """Its gradient is its weights, at any point between real and fake."""
    weights = _random(1, 4, 4, 3)
    weights *= norm / np.linalg.norm(weights)
    real, fake = _random(3, 4, 4, 3), _random(3, 4, 4, 3, seed=1)
    alpha = tf.constant([0.0, 0.3, 1.0], shape=[3, 1, 1, 1])
    found = losses.gradient_penalty(_linear(weights), real, fake, alpha)
    # The square root's epsilon of 1e-12 is 1e-6 on the norm where the gradient is zero.
    np.testing.assert_allclose(found, [(norm - 1) ** 2] * 3, atol=1e-5)


def test_penalty_norm_runs_over_all_values_of_one_sample():
    """A critic whose gradient is the sample itself (x^2 / 2), with another norm for every sample."""
    real = _random(3, 4, 4, 3) * np.array([0.1, 1, 3], np.float32).reshape(3, 1, 1, 1)
    found = losses.gradient_penalty(
        lambda x: tf.reduce_sum(x * x, axis=[1, 2, 3])[:, tf.newaxis] / 2,
        real,
        real,
        tf.zeros([3, 1, 1, 1]),
    )
    expected = [(np.linalg.norm(sample.astype(np.float64)) - 1) ** 2 for sample in real]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_penalty_is_taken_between_real_and_fake_by_alpha():
    real, fake = np.zeros((3, 2, 2, 3), np.float32), np.ones((3, 2, 2, 3), np.float32)
    seen = []

    def critic(x):
        seen.append(x.numpy())
        return tf.reduce_sum(x, axis=[1, 2, 3])[:, tf.newaxis]

    losses.gradient_penalty(critic, real, fake, tf.reshape([0.0, 0.25, 1.0], [3, 1, 1, 1]))
    # (1 - alpha) x + alpha x~ with one alpha per sample (Algorithm 1).
    np.testing.assert_array_equal(seen[0][:, 0, 0, 0], [0, 0.25, 1])
    assert all(len(np.unique(sample)) == 1 for sample in seen[0])


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1.0, 1e6])
def test_penalty_trains_a_critic_from_any_slope(scale):
    """Second derivatives at a critic that is flat: the norm has no slope there, yet no NaN may come out."""
    weights = tf.Variable(scale * _random(1, 4, 4, 3))
    real, fake = _random(2, 4, 4, 3), _random(2, 4, 4, 3, seed=1)
    with tf.GradientTape() as tape:
        penalty = losses.gradient_penalty(_linear(weights), real, fake, tf.fill([2, 1, 1, 1], 0.5))
        loss = tf.reduce_sum(penalty)
    gradient = np.asarray(tape.gradient(loss, weights))
    assert np.isfinite(penalty).all() and np.isfinite(gradient).all()
    if scale == 1:  # d (n - 1)^2 / dw = 2 (n - 1) w / n, once per sample
        w = weights.numpy().astype(np.float64)
        norm = np.linalg.norm(w)
        np.testing.assert_allclose(gradient, 2 * 2 * (norm - 1) * w / norm, rtol=1e-4, atol=1e-6)


def test_penalty_of_a_half_precision_critic_is_float32():
    weights = tf.cast(_random(1, 4, 4, 3), tf.bfloat16)
    critic = lambda x: tf.reduce_sum(tf.cast(x, tf.bfloat16) * weights, axis=[1, 2, 3])[:, None]  # noqa: E731
    found = losses.gradient_penalty(
        critic, _random(2, 4, 4, 3), _random(2, 4, 4, 3), tf.zeros([2, 1, 1, 1])
    )
    assert found.dtype == tf.float32 and found.shape == (2,)
