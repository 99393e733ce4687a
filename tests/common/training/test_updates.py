"""One update: norms, what is not finite changes nothing, loss scales, moving averages, micro-batches."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from common.training import updates
from common.training.checkpoints import Checkpoints
from common.training.trainer import CommonOptions, Trainer


class Line(Trainer):
    """Fits y = x w + b; its layer counts the forward passes, as batch norm would."""

    def __init__(self, **options):
        super().__init__(CommonOptions(**{"batch_size": 4, "learning_rate": 0.1, **options}))
        self.net = keras.layers.Dense(1)
        self.net.build((None, 3))
        self.net.kernel.assign([[0.5], [-0.25], [1.0]])
        self.seen = tf.Variable(0.0, trainable=False)
        self.add_part("generator", [self.net], average=True)

    def train_step(self, data):
        remembered = updates.remember([self.seen])
        found, terms = updates.accumulate(self.gradients, data, self.options.accumulate)
        terms = updates.apply(self.parts, {"generator": found}, terms, remembered)
        self.step.assign_add(1)
        return terms

    def gradients(self, _, x, y):
        part = self.parts["generator"]
        self.seen.assign_add(1.0)
        with tf.GradientTape() as tape:
            loss = self.mean(tf.reduce_sum((self.net(x) - y) ** 2, axis=1))
        return tape.gradient(loss, part.variables, part.factor()), {"generator": loss}


def _batch(seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=(4, 3)), tf.float32), tf.constant(
        rng.normal(size=(4, 1)), tf.float32
    )


def _state(line):
    layers = [line.net.kernel, line.net.bias, line.seen]
    return [
        np.asarray(v) for v in [*layers, *(v for s in line.state().values() for v in s.variables)]
    ]


def _gradients(line, x, y):
    """By hand: of the mean squared error."""
    error = x.numpy() @ line.net.kernel.numpy() + line.net.bias.numpy() - y.numpy()
    return 2 * x.numpy().T @ error / 4, 2 * error.sum(axis=0) / 4


def test_the_norm_is_that_of_all_gradients():
    line = Line()
    x, y = _batch()
    expected = np.sqrt(sum(np.square(g).sum() for g in _gradients(line, x, y)))
    terms = line.train_step((x, y))
    assert set(terms) == {"generator", "generator_gradient_norm"}
    assert abs(float(terms["generator_gradient_norm"]) - expected) < 1e-5
    assert line.skips_nonfinite is True


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize(
    "bad", [np.nan, np.inf, 1e30]
)  # the last overflows in its gradient's norm alone
def test_what_is_not_finite_changes_nothing_and_stays_visible(bad, graph):
    line = Line(ema=0.9)
    step = tf.function(line.train_step) if graph else line.train_step
    good = _batch()
    step(good)
    before = _state(line)
    x, y = (a.numpy() for a in good)
    x[2, 1] = bad
    terms = step((tf.constant(x), tf.constant(y)))
    assert not np.isfinite(float(terms["generator_gradient_norm"]))
    for old, new in zip(before, _state(line)):
        np.testing.assert_array_equal(old, new)
    assert int(line.step) == 2  # the next sample is another one
    terms = step(good)
    assert np.isfinite(float(terms["generator_gradient_norm"]))
    changed = [np.any(old != new) for old, new in zip(before, _state(line))]
    assert all(changed[:3]) and sum(changed) > 8  # all but the learning rate


def test_nonfinite_terms_of_an_earlier_update_are_kept():
    before = {"a": tf.constant(np.nan), "b": tf.constant(1.0)}
    now = {name: tf.constant(2.0) for name in ("a", "b", "c")}
    found = {n: float(v) for n, v in updates.keep_nonfinite(before, now).items()}
    assert np.isnan(found["a"]) and (found["b"], found["c"]) == (2, 2)


def test_micro_batches_add_up_to_the_batch():
    whole, parts, traced = Line(), Line(accumulate=4), Line(accumulate=2)
    step = tf.function(traced.train_step)
    for seed in range(3):
        batch = _batch(seed)
        expected = whole.train_step(batch)
        for terms in (parts.train_step(batch), step(batch)):
            for name, value in expected.items():
                assert abs(float(terms[name]) - float(value)) < 1e-5, name
    for line in (parts, traced):
        # Adam's quotient of rounding errors, three steps of 0.1.
        np.testing.assert_allclose(line.net.kernel.numpy(), whole.net.kernel.numpy(), atol=1e-4)
    assert (float(whole.seen), float(parts.seen), float(traced.seen)) == (3, 12, 6)


def test_micro_batches_are_traced_once_on_one_device():
    line, traces = Line(accumulate=4), []
    gradients = line.gradients

    def counted(*arguments):
        traces.append(arguments[1].shape[0])
        return gradients(*arguments)

    line.gradients = counted
    tf.function(line.train_step)(_batch())
    assert traces == [1]  # image of a micro-batch, once


def test_a_loss_scale_changes_no_gradient_falls_on_overflow_and_rises_again():
    plain, scaled = Line(), Line(precision="float16")
    scale = scaled.parts["generator"].loss_scale
    assert scale.growth_steps == 2000  # docs/training.md; here fewer
    scale.growth_steps = 2
    batch = _batch()
    for _ in range(2):
        expected, terms = plain.train_step(batch), scaled.train_step(batch)
        assert float(terms["generator_loss_scale"]) == 2**15
        # Powers of two: no digit changes.
        assert float(terms["generator_gradient_norm"]) == float(expected["generator_gradient_norm"])
    assert float(scale.scale) == 2**16
    np.testing.assert_array_equal(plain.net.kernel.numpy(), scaled.net.kernel.numpy())
    huge = (batch[0] * 1e18, batch[1])  # gradients near 1e36 overflow when scaled
    before = scaled.net.kernel.numpy()
    assert not np.isfinite(float(scaled.train_step(huge)["generator_gradient_norm"]))
    assert float(scale.scale) == 2**15 and int(scale.since) == 0
    np.testing.assert_array_equal(before, scaled.net.kernel.numpy())


def test_moving_average_follows_is_applied_and_taken_back():
    line = Line(ema=0.75)
    expected = [v.numpy() for v in line.net.weights]
    for seed in range(4):
        line.train_step(_batch(seed))
        expected = [0.75 * a + 0.25 * v.numpy() for a, v in zip(expected, line.net.weights)]
    raw = [v.numpy() for v in line.net.weights]
    seen = line.averaged(lambda: [v.numpy() for v in line.net.weights])()
    for average, found, now, before in zip(expected, seen, line.net.weights, raw):
        np.testing.assert_allclose(found, average, rtol=1e-6)
        np.testing.assert_array_equal(now.numpy(), before)
        assert np.any(found != before)
    assert "average" not in Line().state()


def test_a_restored_run_goes_on_exactly(tmp_path):
    def checkpoints(line):
        return Checkpoints(tmp_path, {"net": line.net}, line.state())

    options = {"ema": 0.9, "precision": "float16", "learning_rate_schedule": "cosine"}
    first = Line(**options, steps=8, warmup_steps=2)
    for seed in range(3):
        first.train_step(_batch(seed))
    path = checkpoints(first).save(3, {})
    second = Line(**options, steps=8, warmup_steps=2)
    checkpoints(second).restore(path)
    second.seen.assign(first.seen)
    for line in (first, second):
        line.train_step(_batch(3))
    for a, b in zip(_state(first), _state(second)):
        np.testing.assert_array_equal(a, b)
