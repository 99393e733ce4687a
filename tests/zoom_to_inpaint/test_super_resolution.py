"""Zooming in and out: the SR network against slow NumPy, its parameters, the ablations' layers, no half-pixel shift."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from zoom_to_inpaint import CONFIGS, PAPER, strips
from zoom_to_inpaint.config import SCALE_3, SCALE_4
from zoom_to_inpaint.super_resolution import (
    BicubicZoom,
    SuperResolution,
    enlarge,
    enlarge_mask,
    zoom_in,
    zoom_out,
)

TINY = dataclasses.replace(PAPER, sr_channels=4)
SCALES = pytest.mark.parametrize("scale", [2, 3, 4])


def _network(scale=2, channels=4, dtype="float32"):
    """With random weights under which no signal vanishes, biases included."""
    config = dataclasses.replace(TINY, scale=scale, sr_channels=channels, size=128)
    network = SuperResolution(config, dtype=keras.mixed_precision.Policy(dtype))
    network(tf.zeros([1, 4, 4, 3]))
    rng = np.random.default_rng(0)
    for variable in network.trainable_variables:
        shape = tuple(variable.shape)
        deviation = 1 / np.sqrt(np.prod(shape[:-1])) if len(shape) == 4 else 0.1
        variable.assign(rng.normal(0, deviation, shape))
    return network


def _image(height=6, width=5, batch=2, seed=1):
    shape = (batch, height, width, 3)
    return np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)


def _convolve(x, layer):
    """A 'same' 3x3 convolution, one output pixel at a time; float64."""
    kernel, bias = (np.asarray(v, np.float64) for v in (layer.kernel, layer.bias))
    padded = np.pad(x.astype(np.float64), [(0, 0), (1, 1), (1, 1), (0, 0)])
    out = np.zeros((*x.shape[:3], kernel.shape[3]))
    for row in range(x.shape[1]):
        for column in range(x.shape[2]):
            window = padded[:, row : row + 3, column : column + 3]
            out[:, row, column] = np.einsum("bijc,ijco->bo", window, kernel) + bias
    return out


def _shuffle(x, scale):
    """Channel (i * s + j) * C + c of a position is channel c of pixel (i, j) of its s x s cell."""
    batch, height, width, depth = x.shape
    channels = depth // scale**2
    out = np.zeros((batch, scale * height, scale * width, channels))
    for i in range(scale):
        for j in range(scale):
            first = (i * scale + j) * channels
            out[:, i::scale, j::scale] = x[..., first : first + channels]
    return out


def _twin(network, image):
    """Z section A.2, Figure 7, without the bicubic part."""
    x = np.maximum(_convolve(image, network.first), 0)
    for one, two in zip(network.blocks[::2], network.blocks[1::2]):
        inner = np.maximum(_convolve(x, one), 0)
        x = x + np.maximum(_convolve(inner, two), 0)
    x = _shuffle(np.maximum(_convolve(x, network.spread), 0), network.scale)
    return _convolve(x, network.last)


def _bicubic_twin(image, scale):
    """Keys' kernel with a = -1/2 at half-pixel positions; taps outside the image have no weight."""

    def kernel(t):
        t = abs(t)
        if t < 1:
            return 1.5 * t**3 - 2.5 * t**2 + 1
        return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0

    x = image.astype(np.float64)
    for axis in (1, 2):
        side, slices = x.shape[axis], []
        for position in range(scale * side):
            center = (position + 0.5) / scale - 0.5
            taps = [i for i in range(int(np.floor(center)) - 1, int(np.floor(center)) + 3)]
            weights = {i: kernel(center - i) for i in taps if 0 <= i < side}
            total = sum(weights.values())
            slices.append(sum(np.take(x, i, axis) * w / total for i, w in weights.items()))
        x = np.stack(slices, axis)
    return x


@pytest.mark.parametrize("config, count", [(PAPER, 446659), (SCALE_3, 631299), (SCALE_4, 889795)])
def test_parameter_counts(config, count):
    network = SuperResolution(config)
    network(tf.zeros([1, 4, 4, 3]))
    found = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    assert found == count == sum(int(np.prod(v.shape)) for v in network.weights)


def test_layers_are_those_of_the_paper():
    network = SuperResolution(PAPER)
    layers = [network.first, *network.blocks, network.spread, network.last]
    assert [layer.filters for layer in layers] == [64] * 9 + [256, 3]
    for layer in layers:
        assert tuple(layer.kernel_size) == (3, 3) and layer.padding == "same"
        assert isinstance(layer.kernel_initializer, keras.initializers.GlorotNormal)
    relu, linear = keras.activations.relu, keras.activations.linear
    assert [layer.activation for layer in layers] == [relu] * 9 + [
        linear
    ] * 2  # that of `spread` comes after the shuffle


@SCALES
@pytest.mark.parametrize("training", [False, True])
def test_equals_slow_numpy(scale, training):
    network, image = _network(scale), _image()
    detail = _twin(network, image)
    assert np.abs(detail).mean() > 0.1
    found = network(image, training=training)
    assert found.shape == (2, 6 * scale, 5 * scale, 3) and found.dtype == tf.float32
    # Eleven layers of float32 sums of order 1. (Interpolation has a test of its own.)
    np.testing.assert_allclose(found - enlarge(image, scale), detail, atol=1e-5)


@SCALES
@pytest.mark.parametrize("height, width", [(1, 1), (1, 6), (5, 4), (7, 9)])
def test_enlarging_equals_slow_numpy(scale, height, width):
    image = _image(height, width)
    found = enlarge(image, scale)
    assert found.shape == (2, height * scale, width * scale, 3)
    # TensorFlow rounds kernel positions to 1/1024.
    np.testing.assert_allclose(found, _bicubic_twin(image, scale), atol=2e-3)


@pytest.mark.parametrize("rows", [1, 4, 5, 11])
@SCALES
def test_strips_equal_the_whole(scale, rows, monkeypatch):
    network, image = _network(scale), _image(rows, 3)
    whole = network(image)
    monkeypatch.setattr(strips, "_STRIP_VALUES", 1)
    np.testing.assert_allclose(network(image), whole, atol=1e-5)


def test_a_strip_with_too_small_a_halo_shows(monkeypatch):
    network, image = _network(), _image(11, 3)
    whole = network(image)
    monkeypatch.setattr(strips, "_STRIP_VALUES", 2 * 3 * 16 * 3)  # three rows a strip
    monkeypatch.setattr("zoom_to_inpaint.super_resolution._SPREAD_HALO", 1)
    assert np.abs(network(image) - whole).max() > 1e-3


@SCALES
def test_every_variable_gets_a_gradient(scale):
    network, image = _network(scale), _image(batch=3)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(network(image, training=True)))
    variables = network.trainable_variables
    assert len(variables) == 22
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        assert np.isfinite(gradient).all() and np.any(gradient), variable.name


@pytest.mark.parametrize("training", [False, True])
def test_graph_of_any_size_equals_eager(training):
    network = _network(3)
    signature = [tf.TensorSpec([None, None, None, 3], tf.float32)]
    graph = tf.function(lambda x: network(x, training=training), input_signature=signature)
    for height, width, batch in ((5, 8, 1), (6, 3, 3)):
        image = _image(height, width, batch)
        np.testing.assert_allclose(graph(image), network(image, training=training), atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_half_precision_is_close_to_single(training):
    image, single, half = _image(), _network(), _network(dtype="mixed_bfloat16")
    found, expected = (n(image, training=training) for n in (half, single))
    assert found.dtype == tf.float32
    assert {tf.as_dtype(v.dtype) for v in half.trainable_variables} == {tf.float32}
    difference = np.abs(found - expected)
    # Eleven layers, each rounding values of order 1 to 8 bits; the bicubic part is not rounded.
    assert 0 < difference.mean() < 0.01 and difference.max() < 0.1


def test_without_detail_it_is_bicubic():
    network, image = _network(), _image()
    network.last.kernel.assign(tf.zeros_like(network.last.kernel))
    network.last.bias.assign([0.0, 0.25, -1.0])
    # Bicubic interpolation in full precision, plus a constant.
    np.testing.assert_allclose(network(image), enlarge(image, 2) + [0, 0.25, -1.0], atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration_has_its_zoom(name):
    config = CONFIGS[name]
    config = dataclasses.replace(config, sr_channels=4)
    layer, image = zoom_in(config), _image()
    assert type(layer) is (SuperResolution if config.zoom == "sr" else BicubicZoom)
    found = layer(image, training=False)
    assert found.shape == (2, 6 * config.scale, 5 * config.scale, 3)
    assert bool(layer.weights) == (config.zoom == "sr")
    if config.zoom != "sr":
        exact = image if config.zoom == "none" else enlarge(image, config.scale)
        np.testing.assert_array_equal(found, exact)
        np.testing.assert_array_equal(layer(image, training=True), exact)


@pytest.mark.parametrize("zoom, scale", [("none", 1), ("bicubic", 2), ("sr", 2)])
def test_zooms_stay_float32_in_half_precision(zoom, scale):
    config = dataclasses.replace(TINY, zoom=zoom, scale=scale)
    layer, image = zoom_in(config, dtype="mixed_bfloat16"), _image()
    found = layer(image)
    assert found.dtype == tf.float32
    if zoom != "sr":  # and unrounded
        np.testing.assert_array_equal(found, zoom_in(config)(image))


@pytest.mark.parametrize("height, width", [(1, 1), (4, 7)])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_zoomed_mask_is_binary_and_in_place(scale, height, width):
    mask = np.random.default_rng(2).integers(0, 2, (2, height, width, 1)).astype(np.float32)
    found = enlarge_mask(mask, scale)
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, np.kron(mask, np.ones((1, scale, scale, 1))))


def test_mask_of_integers_becomes_float32():
    assert enlarge_mask(tf.ones([1, 2, 2, 1], tf.uint8), 2).dtype == tf.float32


def _ramp(height=16, width=24):
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x / width, y / height, (x + y) / (width + height)], axis=-1)[np.newaxis]


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_out_and_in_again_does_not_shift(scale):
    """A ramp in, a ramp out, but for the clamped border: half a pixel of shift would be 0.02 to 0.03."""
    ramp = _ramp()
    again = zoom_out(enlarge(ramp, scale), scale)
    assert again.shape == ramp.shape and again.dtype == tf.float32
    # TensorFlow rounds kernel positions to 1/1024 of 1/16.
    np.testing.assert_allclose(again[:, 3:-3, 3:-3], ramp[:, 3:-3, 3:-3], atol=1e-4)


@SCALES
def test_enlarged_ramp_has_half_pixel_centers(scale):
    ramp = _ramp()[..., :1].repeat(3, axis=-1)
    expected = ((np.arange(24 * scale) + 0.5) / scale - 0.5) / 24
    found = enlarge(ramp, scale)[0, 8, 3 * scale : -3 * scale, 0]
    np.testing.assert_allclose(found, expected[3 * scale : -3 * scale], atol=1e-4)


@SCALES
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_constants_stay(scale, value):
    image = np.full((1, 5, 7, 3), value, np.float32)
    np.testing.assert_allclose(
        enlarge(image, scale), np.full((1, 5 * scale, 7 * scale, 3), value), atol=1e-6
    )
    big = np.full((1, 5 * scale, 7 * scale, 3), value, np.float32)
    np.testing.assert_allclose(zoom_out(big, scale), image, atol=1e-6)


def test_zooming_out_does_not_alias():
    """The finest stripes become grey; plain bicubic sampling would keep half of their contrast or more."""
    stripes = np.tile(
        np.float32([0, 1, 1, 0] * 8)[np.newaxis, np.newaxis, :, np.newaxis], (1, 32, 1, 3)
    )
    aliased = tf.image.resize(stripes, [8, 8], "bicubic")
    assert np.asarray(aliased)[:, :, 2:-2].max() > 0.8
    np.testing.assert_allclose(
        zoom_out(stripes, 4)[:, :, 2:-2], np.full((1, 8, 4, 3), 0.5), atol=0.02
    )


def test_zooming_out_passes_gradients_on():
    image = tf.constant(_image(8, 8))
    with tf.GradientTape() as tape:
        tape.watch(image)
        value = tf.reduce_sum(zoom_out(image, 2))
    # Every pixel counts, four to one; the borders' weights are shared out anew.
    slope = np.asarray(tape.gradient(value, image))
    np.testing.assert_allclose(slope[:, 3:5, 3:5], np.full((2, 2, 2, 3), 0.25), atol=0.01)
    np.testing.assert_allclose(slope.sum(), 2 * 16 * 3, rtol=1e-5)
