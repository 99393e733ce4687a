"""Convolutions with a backward pass of their own: against TensorFlow's, and what they keep."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoom_to_inpaint import convolution
from zoom_to_inpaint.convolution import convolve, enlarge_and_convolve, recomputable


def _normal(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return tf.constant(values.astype(np.float32))


def _gradients(function, arguments, weighting):
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        loss = tf.reduce_sum(function(*arguments) * weighting)
    return tape.gradient(loss, arguments)


def _convolve_enlarged(x, kernel):
    return tf.nn.conv2d(tf.repeat(tf.repeat(x, 2, 1), 2, 2), kernel, 1, "SAME")


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (4, 7), (6, 6)])
@pytest.mark.parametrize("dilation", [1, 2, 8])
@pytest.mark.parametrize("channels", [3, convolution._WIDE])
def test_convolve_equals_tensorflow(size, dilation, channels):
    """Narrow and wide layers have other kernel gradients; so have dilated ones, also where most taps miss."""
    arguments = [_normal(2, *size, channels), _normal(3, 3, channels, 4, seed=1)]
    weighting = _normal(2, *size, 4, seed=2)

    def plain(x, kernel):
        gaps = [[0, 0], [0, dilation - 1]]  # no dilated gradient exists on every CPU
        spread = tf.pad(kernel[:, tf.newaxis, :, tf.newaxis], [*gaps, *gaps, [0, 0], [0, 0]])
        spread = tf.reshape(spread, [3 * dilation, 3 * dilation, channels, 4])
        reach = 2 * dilation + 1
        return tf.nn.conv2d(x, spread[:reach, :reach], 1, "SAME")

    def dilated(x, kernel):
        return convolve(x, kernel, dilation)

    # Sums of up to 9 * 128 products of order 1.
    np.testing.assert_allclose(dilated(*arguments), plain(*arguments), atol=2e-4)
    found, expected = (_gradients(f, arguments, weighting) for f in (dilated, plain))
    for one, other in zip(found, expected):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=2e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (3, 5), (4, 7), (6, 6)])
def test_enlarge_and_convolve_equals_convolving_the_enlarged(size):
    arguments = [_normal(2, *size, 3), _normal(3, 3, 3, 5, seed=1)]
    weighting = _normal(2, 2 * size[0], 2 * size[1], 5, seed=2)
    found, expected = enlarge_and_convolve(*arguments), _convolve_enlarged(*arguments)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    pairs = (
        _gradients(f, arguments, weighting) for f in (enlarge_and_convolve, _convolve_enlarged)
    )
    for one, other in zip(*pairs):
        # Sums of up to 288 products of order 1.
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
