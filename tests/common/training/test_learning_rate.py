"""Rates that drop late in a run: where, what an optimizer makes of them, and that a run that goes on keeps them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from common.errors import UsageError
from common.training import learning_rate
from common.training.checkpoints import Checkpoints


def _rates(schedule, updates):
    """Rates of the updates with these numbers; the first has number 0."""
    return [float(schedule(tf.constant(number, tf.int64))) for number in updates]


def test_without_drops_it_is_the_rate_itself():
    for drops in ((), []):
        assert learning_rate.schedule(2e-4, drops, 100) == 2e-4
        assert isinstance(learning_rate.schedule(2e-4, drops, 100), float)


@pytest.mark.parametrize("steps", [10, 100, 80_000, 1_200_000])
def test_each_share_of_the_run_has_its_rate(steps):
    schedule = learning_rate.schedule(1e-3, (0.8, 0.9), steps)
    first, second = 8 * steps // 10, 9 * steps // 10
    numbers = (0, first - 1, first, second - 1, second, steps - 1, 2 * steps)
    expected = [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5, 1e-5]
    np.testing.assert_allclose(_rates(schedule, numbers), expected, rtol=1e-6)


def test_one_drop_and_three():
    schedule = learning_rate.schedule(1.0, [0.5], 10)
    np.testing.assert_allclose(_rates(schedule, range(10)), [1.0] * 5 + [0.1] * 5, rtol=1e-6)
    schedule = learning_rate.schedule(1.0, [0.25, 0.5, 0.75], 4)
    np.testing.assert_allclose(_rates(schedule, range(4)), [1, 0.1, 0.01, 0.001], rtol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_too_short_for_its_drops_still_starts_at_the_rate(steps):
    rates = _rates(learning_rate.schedule(1e-3, (0.8, 0.9), steps), range(steps))
    assert abs(rates[0] - 1e-3) < 1e-9 and all(rate > 0 for rate in rates)


@pytest.mark.parametrize(
    "drops", [(0.9, 0.8), (0.8, 0.8), (0.0,), (1.0,), (-0.1, 0.5), (0.5, 1.5), (80, 90)]
)
def test_drops_that_are_no_ascending_shares_are_named(drops):
    with pytest.raises(UsageError, match="--learning_rate_drops") as error:
        learning_rate.schedule(1e-3, drops, 10)
    assert f"{drops[0]:g}" in str(error.value) and "\n" not in str(error.value)


def _adam():
    """(Adam on one weight, layer, function that takes a step and returns its length)."""
    layer = keras.layers.Dense(1, use_bias=False)
    layer.build((None, 1))
    adam = keras.optimizers.Adam(learning_rate.schedule(1e-2, (0.5, 0.75), 8))
    adam.build(layer.trainable_variables)

    def step():  # along a constant gradient Adam's steps are as long as its rate
        before = float(layer.kernel.numpy()[0, 0])
        adam.apply_gradients([(tf.ones([1, 1]), layer.trainable_variables[0])])
        return before - float(layer.kernel.numpy()[0, 0])

    return adam, layer, step


def test_an_optimizer_takes_shorter_steps_and_a_restored_one_goes_on(tmp_path):
    expected = [1e-2] * 4 + [1e-3] * 2 + [1e-4] * 2
    adam, layer, step = _adam()
    # Differences of weights around 1 in float32.
    np.testing.assert_allclose([step() for _ in range(8)], expected, rtol=0.01)
    adam, layer, step = _adam()
    found = [step() for _ in range(5)]
    path = Checkpoints(tmp_path, {"net": layer}, {"adam": adam}).save(5, {})
    adam, layer, step = _adam()  # as a new process has it
    Checkpoints(tmp_path, {"net": layer}, {"adam": adam}).restore(path)
    assert int(adam.iterations) == 5
    np.testing.assert_allclose(found + [step() for _ in range(3)], expected, rtol=0.01)


def test_cosine_falls_from_the_rate_to_nothing():
    schedule = learning_rate.schedule(2.0, (), 100, "cosine")
    expected = 1 + np.cos(np.pi * np.array([0, 25, 50, 75, 100]) / 100)
    np.testing.assert_allclose(_rates(schedule, (0, 25, 50, 75, 100)), expected, atol=1e-6)


@pytest.mark.parametrize(("name", "drops"), [("constant", ()), (None, (0.5,)), ("cosine", ())])
def test_warm_up_multiplies_any_schedule_with_a_ramp(name, drops):
    plain = learning_rate.schedule(1.0, drops, 20, name)
    plain = _rates(plain, range(20)) if callable(plain) else [1.0] * 20
    warm = _rates(learning_rate.schedule(1.0, drops, 20, name, warmup=4), range(20))
    ramp = [0.25, 0.5, 0.75] + [1.0] * 17
    np.testing.assert_allclose(warm, np.multiply(plain, ramp), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "drops", "warmup", "message"),
    [
        ("constant", (0.5,), 0, "does not go with --learning_rate_drops"),
        ("cosine", (0.5,), 0, "does not go with --learning_rate_drops"),
        ("drops", (), 0, "needs --learning_rate_drops"),
        (None, (), 10, "--warmup_steps"),
    ],
)
def test_contradictions_are_named(name, drops, warmup, message):
    with pytest.raises(UsageError, match=message):
        learning_rate.schedule(1e-3, drops, 10, name, warmup)
