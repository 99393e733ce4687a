"""Losses: slow twins, closed forms, values per sample, slopes at the kinks, and the release's gradient loss."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from zoom_to_inpaint import losses

_GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"


def _random(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)


def _mask(batch=3, height=6, width=5):
    mask = np.zeros((batch, height, width, 1), np.float32)
    mask[0] = 1  # all hole
    mask[1, 2, 3] = 1  # one pixel
    return mask  # and no hole


def _slow_gradient(prediction, label):
    """mean of dx^2 + dy^2 of one sample [H, W, C], pixel by pixel in float64."""
    difference = prediction.astype(np.float64) - label
    height, width, channels = difference.shape
    total = 0.0
    for row in range(height):
        for column in range(width):
            for down, right in ((0, 1), (1, 0)):
                # Past the last row and column the image goes on as it ends.
                next_row, next_column = min(row + down, height - 1), min(column + right, width - 1)
                step = difference[next_row, next_column] - difference[row, column]
                total += (step**2).sum()
    return total / (height * width * channels)


def test_blend_is_known_outside_and_generated_inside_to_the_bit():
    generated, known, mask = _random(3, 6, 5, 3), _random(3, 6, 5, 3, seed=1), _mask()
    found = losses.blend(generated * 100 - 50, known, mask)
    np.testing.assert_array_equal(found, np.where(mask == 1, generated * 100 - 50, known))


def test_blend_of_half_precision_keeps_the_known_pixels():
    known = _random(3, 6, 5, 3)
    found = losses.blend(tf.cast(_random(3, 6, 5, 3, seed=1), tf.bfloat16), known, _mask())
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found[2], known[2])


def test_loss_of_a_blend_teaches_the_hole_only():
    label, mask = _random(3, 6, 5, 3), _mask()
    generated = tf.Variable(_random(3, 6, 5, 3, seed=1))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(losses.l1(losses.blend(generated, label, mask), label))
    slope = tape.gradient(loss, generated).numpy()
    np.testing.assert_array_equal(slope != 0, np.broadcast_to(mask == 1, slope.shape))


@pytest.mark.parametrize("shape", [(6, 5, 3), (2, 2, 512), (1, 1, 1)])
def test_l1_equals_slow_numpy(shape):
    prediction, label = _random(3, *shape), _random(3, *shape, seed=1)
    found = losses.l1(prediction, label)
    assert found.shape == (3,) and found.dtype == tf.float32
    for i in range(3):
        terms = [abs(float(a) - float(b)) for a, b in zip(prediction[i].flat, label[i].flat)]
        # float32 sums of at most 2048 values.
        assert abs(float(found[i]) - sum(terms) / len(terms)) < 1e-6


@pytest.mark.parametrize("size", [(6, 5), (1, 5), (6, 1), (1, 1)])
@pytest.mark.parametrize("factor", [0.5, 1.0])
def test_gradient_equals_slow_numpy(size, factor):
    prediction, label = _random(3, *size, 3), _random(3, *size, 3, seed=1)
    found = losses.gradient(prediction, label, factor)
    assert found.shape == (3,) and found.dtype == tf.float32
    expected = [factor * _slow_gradient(p, x) for p, x in zip(prediction, label)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_gradient_of_a_ramp_is_known():
    """A slope of 1/4 a column and 1/8 a row; one column in 4 and one row in 2 have no next one."""
    ramp = np.zeros((1, 2, 4, 3), np.float32)
    ramp += np.arange(4).reshape(1, 1, 4, 1) / 4 + np.arange(2).reshape(1, 2, 1, 1) / 8
    found = losses.gradient(ramp, np.zeros_like(ramp), 1.0)
    np.testing.assert_array_equal(found, [3 / 4 / 16 + 1 / 2 / 64])


def test_gradient_sees_no_constant_error():
    label = np.round(_random(3, 6, 5, 3) * 256) / 256  # exact when 1/4 is added
    np.testing.assert_array_equal(losses.gradient(label + 0.25, label, 0.5), [0, 0, 0])


@pytest.mark.parametrize("name", ["zoom_release_ch8", "zoom_release_ch4_x3"])
def test_gradient_equals_the_release(name):
    path = _GOLDEN / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    with np.load(path) as golden:
        found = losses.gradient(golden["refined_hr"], golden["label_hr"], factor=1.0)
        # Both sides are float32 sums of up to 27648 squares.
        np.testing.assert_allclose(found, golden["gradient_loss"], rtol=1e-6)


def test_hinge_equals_slow_numpy():
    real, fake = 4 * _random(3, 7) - 2, 4 * _random(3, 7, seed=1) - 2
    discriminator = losses.hinge_real(real) + losses.hinge_fake(fake)
    generator = losses.hinge_generator(fake)
    assert discriminator.shape == generator.shape == (3,)
    for i in range(3):
        kept = sum(max(0.0, 1 - r) for r in real[i]) + sum(max(0.0, 1 + f) for f in fake[i])
        np.testing.assert_allclose(discriminator[i], kept / 7, rtol=1e-5)
        np.testing.assert_allclose(generator[i], -fake[i].sum() / 7, rtol=1e-5)


def test_hinge_stops_pushing_beyond_the_margin():
    scores = tf.Variable([[2.0, 0.5, -3.0]])
    with tf.GradientTape(persistent=True) as tape:
        as_real = losses.hinge_real(scores)
        as_fake = losses.hinge_fake(scores)
        fooling = losses.hinge_generator(scores)
    third = np.float32(1 / 3)
    np.testing.assert_allclose(tape.gradient(as_real, scores), [[0, -third, -third]])
    np.testing.assert_allclose(tape.gradient(as_fake, scores), [[third, third, 0]])
    np.testing.assert_allclose(tape.gradient(fooling, scores), [[-third] * 3])  # no margin


@pytest.mark.parametrize("by_area", [False, True])
def test_l1_of_a_blend_is_a_mean_over_the_image_or_over_the_hole(by_area):
    label, mask = _random(3, 6, 5, 3), np.array(_mask())
    mask[2] = 0
    blended = losses.blend(_random(3, 6, 5, 3, seed=1), label, mask)
    found = losses.blended_l1(blended, label, mask, by_area).numpy()
    for i in range(3):
        wrong = np.abs(blended[i] - label[i])
        hole = np.broadcast_to(mask[i] > 0, wrong.shape)
        expected = wrong[hole].mean() if by_area and hole.any() else wrong.mean()
        np.testing.assert_allclose(found[i], expected, rtol=1e-5)


_OF_IMAGES = {
    "l1": losses.l1,
    "gradient": lambda prediction, label: losses.gradient(prediction, label, 0.5),
}
_ALL = {
    **_OF_IMAGES,
    "hinge_real": lambda real, _: losses.hinge_real(real),
    "hinge_fake": lambda fake, _: losses.hinge_fake(fake),
    "hinge_generator": lambda fake, _: losses.hinge_generator(fake),
}


@pytest.mark.parametrize("name", _OF_IMAGES)
def test_loss_of_the_label_itself_is_zero_and_flat(name):
    """Where the difference is zero the absolute value has a kink; it must not push, nor give NaN."""
    label = _random(3, 6, 5, 3)
    prediction = tf.Variable(label)
    with tf.GradientTape() as tape:
        loss = _OF_IMAGES[name](prediction, label)
    np.testing.assert_array_equal(loss, [0, 0, 0])
    np.testing.assert_array_equal(tape.gradient(loss, prediction), np.zeros_like(label))


@pytest.mark.parametrize("name", _ALL)
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 1e-30, 1e15])
def test_slopes_are_finite_everywhere(name, value):
    """At the kinks (0, and the hinge's margins), at squares that underflow and at 1e30, which float32 still holds."""
    prediction = tf.Variable(tf.fill([2, 4, 4, 3], value))
    with tf.GradientTape() as tape:
        loss = _ALL[name](prediction, tf.zeros([2, 4, 4, 3]))
    assert np.isfinite(loss).all() and np.isfinite(tape.gradient(loss, prediction)).all()


@pytest.mark.parametrize("name", _ALL)
def test_half_precision_is_computed_in_float32(name):
    """Of numbers that bfloat16 holds exactly the result is that of float32, not rounded to 8 bits."""
    prediction, label = (tf.cast(_random(2, 6, 5, 3, seed=seed), tf.bfloat16) for seed in (0, 1))
    found = _ALL[name](prediction, label)
    assert found.dtype == tf.float32
    expected = _ALL[name](tf.cast(prediction, tf.float32), tf.cast(label, tf.float32))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", _ALL)
def test_samples_do_not_see_each_other(name):
    prediction, label = _random(3, 6, 5, 3), _random(3, 6, 5, 3, seed=1)
    together = _ALL[name](prediction, label)
    alone = [float(_ALL[name](prediction[i : i + 1], label[i : i + 1])[0]) for i in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    assert len(set(alone)) == 3


@pytest.mark.parametrize("name", _ALL)
def test_graph_of_any_size_equals_eager(name):
    compiled = tf.function(_ALL[name], input_signature=[tf.TensorSpec([None, None, None, 3])] * 2)
    for size in ((6, 5), (3, 8)):
        prediction, label = _random(2, *size, 3), _random(2, *size, 3, seed=1)
        np.testing.assert_allclose(
            compiled(prediction, label), _ALL[name](prediction, label), rtol=1e-6
        )
