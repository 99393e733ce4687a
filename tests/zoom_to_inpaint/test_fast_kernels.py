"""Fast kernels: equal to TensorFlow's own ops, also where they are compiled; what they keep and in which order."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoom_to_inpaint import fast_kernels
from zoom_to_inpaint.fast_kernels import (
    convolve,
    enlarge_and_convolve,
    gate_and_normalize,
    recomputable,
)


def _normal(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def _gradients(function, arguments, weighting):
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        loss = tf.reduce_sum(tf.cast(function(*arguments), tf.float32) * weighting)
    return tape.gradient(loss, arguments)


def _normalized(*arguments):
    return gate_and_normalize(*arguments)[0]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (4, 7), (6, 6)])
@pytest.mark.parametrize("dilation", [1, 2, 8])
def test_convolve_equals_tensorflow(size, dilation):
    """Also where most taps of a dilated kernel miss the image."""
    arguments = [_normal(2, *size, 3), _normal(3, 3, 3, 4, seed=1)]
    weighting = _normal(2, *size, 4, seed=2)

    def plain(x, kernel):
        return tf.nn.convolution(x, kernel, padding="SAME", dilations=dilation)

    def dilated(x, kernel):
        return convolve(x, kernel, dilation)

    np.testing.assert_allclose(dilated(*arguments), plain(*arguments), atol=1e-5)
    found, expected = (_gradients(f, arguments, weighting) for f in (dilated, plain))
    for one, other in zip(found, expected):
        assert one.shape == other.shape
        # Sums of up to 72 products of order 1.
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("function", [convolve, enlarge_and_convolve])
def test_what_can_be_made_again_is(function):
    """The kernel's gradient takes the input from `again`, the input's gradient does not need it."""
    x, kernel = _normal(2, 4, 4, 3), _normal(3, 3, 3, 5, seed=1)
    weighting = tf.ones(function(x, kernel).shape)
    plain = _gradients(function, [x, kernel], weighting)

    def doubled(x, kernel):  # made again as twice the input: proof that it is asked
        return function(recomputable(tf.identity(x), lambda: 2 * x), kernel)

    changed = _gradients(doubled, [x, kernel], weighting)
    np.testing.assert_allclose(changed[0], plain[0], atol=1e-5)
    np.testing.assert_allclose(changed[1], 2 * plain[1], atol=1e-4)


def test_the_kernel_comes_first():
    """In the graph of a step the input's gradient waits for the kernel's."""

    @tf.function
    def step(x, kernel):
        return _gradients(convolve, [x, kernel], 1.0)

    x, kernel = _normal(1, 4, 4, 3), _normal(3, 3, 3, 5)
    operations = step.get_concrete_function(x, kernel).graph.get_operations()
    (toward_input,) = [o for o in operations if o.type == "Conv2DBackpropInput"]
    assert "Conv2DBackpropFilter" in [o.type for o in toward_input.control_inputs]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_compiled_equals_ordinary(dtype, monkeypatch):
    convolved = tf.cast(3 * _normal(2, 5, 6, 8), dtype)
    arguments = [convolved, *(_normal(size, seed=size) for size in (8, 4, 4))]
    weighting = _normal(2, 5, 6, 4, seed=1)

    def results():
        gradients = _gradients(_normalized, arguments, weighting)
        return [*gate_and_normalize(*arguments), *gradients]

    ordinary = results()
    monkeypatch.setattr(fast_kernels, "_WORTH_COMPILING", 1)
    assert fast_kernels._worth_compiling(convolved)
    for one, other in zip(results(), ordinary):
        assert one.dtype == other.dtype
        one, other = tf.cast(one, tf.float32), tf.cast(other, tf.float32)
        # bfloat16: one unit of its last place, 60 of which may be summed.
        tolerance = 1e-5 if dtype == "float32" else 1e-2
        np.testing.assert_allclose(one, other, atol=tolerance * np.abs(other).max())


def test_unknown_sizes_and_small_tensors_are_not_compiled():
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 8])])
    def graph(z):
        assert not fast_kernels._worth_compiling(z)
        return fast_kernels.gate(z, tf.zeros([8]))

    assert graph(_normal(1, 3, 4, 8)).shape == (1, 3, 4, 4)
    assert not fast_kernels._worth_compiling(tf.zeros([2, 4, 4, 8]))
    assert fast_kernels._worth_compiling(tf.TensorSpec([2, 512, 512, 64]))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 4), (2, 300, 400, 3)])
def test_sums_keep_their_digits(shape):
    values = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    found = fast_kernels.sum_positions(tf.constant(values))
    # A plain float32 sum of 240,000 values of order 1 is off by 1e-5.
    np.testing.assert_allclose(found, values.sum(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)


def test_gradient_at_the_edge_of_the_gate():
    """a = 0, where ELU's two pieces meet, and a and b so far out that the gate is flat: nothing is NaN."""
    values = np.float32([0.0, -0.0, 1e-30, -1e-30, 90, -90, 1e4, -1e4])
    grid = np.stack(np.meshgrid(values, values), axis=-1)[np.newaxis]
    arguments = (tf.constant(grid), tf.zeros([2]), tf.ones([1]), tf.zeros([1]))
    weighting = _normal(1, 8, 8, 1)
    gradients = _gradients(_normalized, arguments, weighting)
    for gradient in gradients:
        assert np.isfinite(gradient).all()


def test_statistics_survive_a_mean_far_from_zero():
    """Variance by a difference of squares loses digits: of mean 20 and deviation 1, 4e2 * 1e-7."""
    gates = np.full((2, 16, 16, 2), 50, np.float32)  # open
    features = 20 + _normal(2, 16, 16, 2).numpy()
    ones, zeros = tf.ones([2]), tf.zeros([2])
    _, mean, variance = gate_and_normalize(
        tf.concat([features, gates], -1), tf.zeros([4]), ones, zeros
    )
    np.testing.assert_allclose(mean, features.mean(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(variance, features.var(axis=(0, 1, 2), dtype=np.float64), rtol=1e-3)


def test_gradients_in_half_precision():
    """Gate and statistics are float32, so that only what is stored is rounded."""
    single = [_normal(2, 6, 7, 6), *(_normal(size, seed=size) for size in (6, 3, 3))]
    single[0] = tf.cast(tf.cast(single[0], tf.bfloat16), tf.float32)
    half = [tf.cast(single[0], tf.bfloat16), *single[1:]]
    weighting = _normal(2, 6, 7, 3, seed=2)
    rounded, exact = (_gradients(_normalized, arguments, weighting) for arguments in (half, single))
    assert [g.dtype for g in rounded] == [tf.bfloat16] + 3 * [tf.float32]
    for one, other in zip(rounded, exact):
        # What comes from above is rounded, too: up to 2**-9 of each of 84 addends of order 1.
        difference = np.abs(tf.cast(one, tf.float32) - other).max()
        assert difference < 0.02 * np.abs(other).max()
