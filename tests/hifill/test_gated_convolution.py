"""Gated convolutions against slow NumPy ones: four gates, strides, dilations, odd sizes, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from hifill.gated_convolution import LWGC, GatedConv2D, gated_convolution

GATES = ("gc", "ds", "pw", "sc")
# (height, width, kernel, strides, dilation): the appendix's combinations, on even, odd and tiny sides.
SHAPES = [
    (8, 8, 3, 1, 1),
    (7, 9, 3, 1, 1),
    (8, 6, 5, 2, 1),
    (7, 9, 5, 2, 1),
    (9, 8, 3, 2, 1),
    (9, 7, 3, 1, 2),
    (12, 5, 3, 1, 8),
    (1, 1, 3, 2, 1),
]


def _layer(gate, filters, kernel, strides=1, dilation=1, channels=3, seed=0):
    """A built layer with random weights everywhere, the biases (which start at zero) included."""
    layer = gated_convolution(gate, filters, kernel, strides, dilation)
    layer(tf.zeros([1, 4, 4, channels]))
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(0, 0.3, tuple(variable.shape)))
    return layer


def _inputs(height, width, channels=3, seed=1):
    return np.random.default_rng(seed).normal(size=(2, height, width, channels)).astype(np.float32)


def _convolve(x, kernel, strides, dilation):
    """A 'same' convolution, one output pixel at a time; float64."""
    k = kernel.shape[0]
    reach = (k - 1) * dilation + 1
    sides = [-(-side // strides) for side in x.shape[1:3]]
    pads = [max((n - 1) * strides + reach - side, 0) for n, side in zip(sides, x.shape[1:3])]
    edges = [(total // 2, total - total // 2) for total in pads]
    padded = np.pad(x.astype(np.float64), [(0, 0), *edges, (0, 0)])
    out = np.zeros((len(x), *sides, kernel.shape[3]))
    for row in range(sides[0]):
        for column in range(sides[1]):
            top, left = row * strides, column * strides
            window = padded[:, top : top + reach : dilation, left : left + reach : dilation]
            out[:, row, column] = np.einsum("bijc,ijco->bo", window, kernel)
    return out


def _depthwise(x, kernel, strides, dilation):
    """Every channel by its own k x k kernel [k, k, C, 1]."""
    channels = [
        _convolve(x[..., c : c + 1], kernel[:, :, c : c + 1], strides, dilation)
        for c in range(x.shape[3])
    ]
    return np.concatenate(channels, axis=-1)


def _weights(layer):
    names = ("feature_kernel", "feature_bias", "gate_kernel", "gate_bias", "gate_depthwise")
    return {n: np.asarray(getattr(layer, n), np.float64) for n in names if hasattr(layer, n)}


def _twin(layer, x, w):
    """H eq. 5-8 in NumPy; `w` as from `_weights`."""
    strides, dilation = layer.strides, layer.dilation_rate
    features = _convolve(x, w["feature_kernel"], strides, dilation) + w["feature_bias"]
    if layer.gate == "ds":
        depthwise = _depthwise(x, w["gate_depthwise"], strides, dilation)
        gate = _convolve(depthwise, w["gate_kernel"], 1, 1)
    elif layer.gate == "pw":
        gate = _convolve(x, w["gate_kernel"], strides, 1)
    else:
        gate = _convolve(x, w["gate_kernel"], strides, dilation)
    elu = np.where(features > 0, features, np.expm1(np.minimum(features, 0)))
    return elu / (1 + np.exp(-(gate + w["gate_bias"])))


@pytest.mark.parametrize("gate, count", [("gc", 9216), ("ds", 1312), ("pw", 1024), ("sc", 288)])
def test_gate_weights_equal_table_1(gate, count):
    layer = gated_convolution(gate, 32, 3)
    layer(tf.zeros([1, 4, 4, 32]))
    assert layer.gate_weights() == count
    # Everything else: the features' kernel and bias, and the gate's bias.
    everything = sum(int(np.prod(v.shape)) for v in layer.trainable_variables)
    assert everything == count + 3 * 3 * 32 * 32 + 32 + (1 if gate == "sc" else 32)


@pytest.mark.parametrize("gate", GATES)
def test_fresh_kernels_have_the_documented_variance(gate):
    """5 / fan-in for features and 1 / fan-in for gates, however a layer is used: as one made by default."""
    layer = gated_convolution(gate, 48, 5)
    layer(tf.zeros([1, 8, 8, 40]))
    scaled = {"feature_kernel": (5, 25 * 40), "gate_kernel": (1, 25 * 40)}
    if gate in ("ds", "pw"):
        scaled["gate_kernel"] = (1, 40)
    if gate == "ds":  # each channel by its own kernel
        scaled["gate_depthwise"] = (1, 25)
    for name, (scale, fan_in) in scaled.items():
        values = np.asarray(getattr(layer, name), np.float64)
        # Of n normal numbers the variance has a standard error of sqrt(2 / n), the mean one of a deviation / sqrt(n).
        error = np.sqrt(2 / values.size)
        assert abs(values.var() * fan_in / scale - 1) < 4 * error, name
        assert abs(values.mean()) < 4 * np.sqrt(scale / fan_in / values.size), name
        assert np.abs(values).max() > 2.5 * np.sqrt(scale / fan_in), f"{name} is not normal"
    for bias in (layer.feature_bias, layer.gate_bias):
        assert not np.any(bias)


@pytest.mark.parametrize("height, width, kernel, strides, dilation", SHAPES)
@pytest.mark.parametrize("gate", GATES)
def test_equals_slow_numpy(gate, height, width, kernel, strides, dilation):
    layer = _layer(gate, 4, kernel, strides, dilation)
    x = _inputs(height, width)
    found = np.asarray(layer(x))
    expected = _twin(layer, x, _weights(layer))
    assert found.shape == expected.shape == (2, -(-height // strides), -(-width // strides), 4)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("gate", GATES)
def test_graph_of_any_size_equals_eager(gate):
    layer = _layer(gate, 5, 3, strides=2)
    graph = tf.function(layer, input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    for side in (6, 7):
        x = _inputs(side, side + 1)
        # The same kernels, possibly fused: rounding only.
        np.testing.assert_allclose(np.asarray(graph(x)), np.asarray(layer(x)), atol=1e-6)


@pytest.mark.parametrize("strides, dilation", [(1, 2), (2, 1)])
@pytest.mark.parametrize("gate", GATES)
def test_gradients_equal_finite_differences(gate, strides, dilation):
    layer = _layer(gate, 3, 3, strides, dilation)
    x = _inputs(7, 6)
    with tf.GradientTape() as tape:
        out = layer(x)
        weighting = np.random.default_rng(2).normal(size=tuple(out.shape))
        loss = tf.reduce_sum(out * tf.constant(weighting, tf.float32))
    names = list(_weights(layer))
    gradients = tape.gradient(loss, [getattr(layer, name) for name in names])
    assert len(names) == len(layer.trainable_variables)
    rng = np.random.default_rng(3)
    for name, gradient in zip(names, gradients):
        weights = _weights(layer)
        assert gradient is not None, name
        for flat in rng.choice(weights[name].size, min(4, weights[name].size), replace=False):
            index, losses = np.unravel_index(flat, weights[name].shape), []
            for step in (1e-5, -1e-5):
                moved = {**weights, name: weights[name].copy()}
                moved[name][index] += step
                losses.append((_twin(layer, x, moved) * weighting).sum())
            slope = (losses[0] - losses[1]) / 2e-5
            # float32 sums over 24 to 84 pixels of order 1.
            assert abs(float(gradient[index]) - slope) < 1e-4 * max(1, abs(slope)), (name, index)


@pytest.mark.parametrize("gate", GATES)
def test_training_with_stride_2_repeats_itself(gate):
    """The filter gradient of a strided 1x1 convolution reads past its memory: NaN or other numbers each time."""
    layer, x = _layer(gate, 8, 5, strides=2, channels=4), _inputs(33, 31, channels=4)
    step = tf.function(lambda: tf.gradients(tf.reduce_sum(layer(x)), layer.trainable_variables))
    first, *others = [[g.numpy() for g in step()] for _ in range(6)]
    for gradients in others:
        for a, b in zip(first, gradients):
            assert np.isfinite(b).all()
            # Threads may add in another order: rounding of sums of 256 pixels.
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_single_channel_gate_is_shared_by_all_features():
    layer = _layer("sc", 6, 3)
    layer.feature_kernel.assign(tf.zeros_like(layer.feature_kernel))
    layer.feature_bias.assign(tf.ones_like(layer.feature_bias))
    out = np.asarray(layer(_inputs(5, 5)))
    # ELU(1) = 1, so that the output is the gate itself.
    np.testing.assert_array_equal(out, np.repeat(out[..., :1], 6, axis=-1))
    assert out.std() > 0.01 and 0 < out.min() < out.max() < 1


def test_light_weight_gates_have_the_papers_class():
    assert type(gated_convolution("gc", 4)) is GatedConv2D
    for gate in ("ds", "pw", "sc"):
        assert type(gated_convolution(gate, 4)) is LWGC
    with pytest.raises(ValueError, match="gc"):
        LWGC(4, gate="gc")


@pytest.mark.parametrize("gate", GATES)
def test_config_makes_the_same_layer(gate):
    layer = gated_convolution(gate, 4, 5, 2, 1)
    again = type(layer).from_config(layer.get_config())
    for field in ("filters", "kernel_size", "strides", "dilation_rate", "gate"):
        assert getattr(again, field) == getattr(layer, field)


@pytest.mark.parametrize("gate", GATES)
def test_half_precision_is_close_to_single(gate):
    layer = _layer(gate, 4, 3, strides=2)
    half = type(layer)(4, 3, 2, 1, gate=gate, dtype=keras.mixed_precision.Policy("mixed_bfloat16"))
    x = _inputs(7, 8)
    half(x)
    for target, source in zip(half.trainable_variables, layer.trainable_variables):
        target.assign(source)
    out = half(x)
    assert out.dtype == tf.bfloat16
    # 8 bits of mantissa, sums of 27 products of order 0.3.
    np.testing.assert_allclose(tf.cast(out, tf.float32), layer(x), atol=0.03)
