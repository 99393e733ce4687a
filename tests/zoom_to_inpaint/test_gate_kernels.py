"""Compiled and ordinary kernels are the same functions; sums keep their digits."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoom_to_inpaint import gate_kernels


def _normal(*shape, seed=0):
    return tf.constant(3 * np.random.default_rng(seed).normal(size=shape), tf.float32)


def _calls(dtype):
    z, u = tf.cast(_normal(2, 5, 6, 8), dtype), tf.cast(_normal(2, 5, 6, 4, seed=1), dtype)
    bias, one, two, three = (_normal(8), *(_normal(4, seed=seed) for seed in (2, 3, 4)))
    return {
        "gate": (z, bias),
        "scale_and_shift": (tf.cast(u, tf.float32), one, two),
        "toward_convolution": (z, bias, u, one, two, three),
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", _calls("float32"))
def test_compiled_equals_ordinary(name, dtype, monkeypatch):
    function, arguments = getattr(gate_kernels, name), _calls(dtype)[name]
    ordinary = function(*arguments)
    monkeypatch.setattr(gate_kernels, "_WORTH_COMPILING", 1)
    assert gate_kernels._worth_compiling(arguments[0])
    compiled = function(*arguments)
    assert compiled.dtype == ordinary.dtype
    # float32: 1 - sigmoid has 1e-7, times products up to 1000; bfloat16: one unit of its last place.
    tolerance = {"rtol": 1e-5, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-2, "atol": 1e-5}
    np.testing.assert_allclose(
        tf.cast(compiled, tf.float32), tf.cast(ordinary, tf.float32), **tolerance
    )


def test_unknown_sizes_and_small_tensors_are_not_compiled():
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 8])])
    def graph(z):
        assert not gate_kernels._worth_compiling(z)
        return gate_kernels.gate(z, tf.zeros([8]))

    assert graph(_normal(1, 3, 4, 8)).shape == (1, 3, 4, 4)
    assert not gate_kernels._worth_compiling(tf.zeros([2, 4, 4, 8]))
    assert gate_kernels._worth_compiling(tf.TensorSpec([2, 512, 512, 64]))


def test_gate_equals_numpy():
    z, bias = _normal(2, 3, 4, 6), _normal(6, seed=1)
    a, b = np.split(z.numpy().astype(np.float64) + bias.numpy(), 2, axis=-1)
    expected = np.where(a > 0, a, np.expm1(np.minimum(a, 0))) / (1 + np.exp(-b))
    np.testing.assert_allclose(gate_kernels.gate(z, bias), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 4), (2, 300, 400, 3)])
def test_sums_keep_their_digits(shape):
    values = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    found = gate_kernels.sum_positions(tf.constant(values))
    # A plain float32 sum of 240,000 values of order 1 is off by 1e-5.
    np.testing.assert_allclose(found, values.sum(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)
