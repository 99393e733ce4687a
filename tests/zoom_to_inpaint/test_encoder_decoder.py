"""Encoder and decoder: the paper's levels, residuals, strips and windows that equal the whole, the hole's box."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from zoom_to_inpaint import encoder_decoder, strips
from zoom_to_inpaint.encoder_decoder import Decoder, Encoder, Level, hole_box

CHANNELS = 4


def _lively(layer, *shapes):
    """A built layer under whose random weights no signal vanishes, moving averages included."""
    inputs = [tf.zeros(shape) for shape in shapes]
    layer(*inputs)
    rng = np.random.default_rng(0)
    for variable in layer.weights:
        shape = tuple(variable.shape)
        deviation = 1.5 / np.sqrt(np.prod(shape[:-1])) if len(shape) == 4 else 0.3
        value = rng.normal(0, deviation, shape)
        name = getattr(variable, "path", variable.name)
        variable.assign(np.exp(value) if "variance" in name or "gamma" in name else value)
    return layer


def _random(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def encoder():
    return _lively(Encoder(CHANNELS), (1, 8, 8, 4))


@pytest.fixture(scope="module")
def decoder():
    return _lively(Decoder(CHANNELS), (1, 2, 2, 2 * CHANNELS))


def _spell(level):
    return [(g.filters, g.dilation_rate, g.enlarge) for g in (level.first, *level.rest)]


def test_layers_are_those_of_the_paper():
    """Z section A.1, Figures 9 and 10: ch, 2ch, 4ch; the bottleneck's dilations; enlarging at the decoder's levels."""
    encoder, decoder = Encoder(64), Decoder(64)
    assert _spell(encoder.level_1) == [(64, 1, False)] * 3
    assert _spell(encoder.level_2) == [(128, 1, False)] * 3
    assert _spell(encoder.bottleneck) == [(256, 2, False), (256, 4, False), (256, 8, False)]
    assert _spell(decoder.level_2) == [(128, 1, True)] + [(128, 1, False)] * 3
    assert _spell(decoder.level_1) == [(64, 1, True)] + [(64, 1, False)] * 3
    output = decoder.output_convolution
    assert (output.filters, tuple(output.kernel_size)) == (3, (3, 3))
    assert output.activation is keras.activations.linear


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("enlarge", [False, True])
def test_level_adds_its_first_to_its_last(enlarge, training):
    level = _lively(Level(6, (1, 2, 1), enlarge), (1, 4, 4, 3))
    x = _random(2, 5, 7, 3)
    first = level.first(x, training=training)
    second = level.rest[0](first, training=training)
    expected = first + level.rest[1](second, training=training)
    np.testing.assert_allclose(level(x, training=training), expected, atol=1e-6)


def _whole_encoder(encoder, x, training):
    for level in (encoder.level_1, encoder.level_2):
        x = level(x, training=training)
        batch, height, width, channels = x.shape
        cells = np.reshape(x, [batch, height // 2, 2, width // 2, 2, channels])
        x = cells.max(axis=(2, 4))
    return encoder.bottleneck(x, training=training)


@pytest.mark.parametrize("training", [False, True])
def test_encoder_is_its_levels_with_pooling_between(encoder, training):
    x = _random(3, 20, 28, 4)
    found = encoder(x, training=training)
    assert found.shape == (3, 5, 7, 2 * CHANNELS)
    np.testing.assert_allclose(found, _whole_encoder(encoder, x, training), atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_decoder_is_its_levels_and_an_output(decoder, training):
    x = _random(3, 5, 7, 2 * CHANNELS)
    found = decoder(x, training=training)
    assert found.shape == (3, 20, 28, 3) and found.dtype == tf.float32
    levels = decoder.level_1(decoder.level_2(x, training=training), training=training)
    np.testing.assert_allclose(found, decoder.output_convolution(levels), atol=1e-5)


# Units: 1, exactly the least strip (6), one more, several strips and a short last one.
@pytest.mark.parametrize("units", [1, 6, 7, 13, 19])
def test_encoder_in_strips_equals_the_whole(encoder, units, monkeypatch):
    x = _random(1, 4 * units, 12, 4, seed=units)
    whole = encoder(x)
    monkeypatch.setattr(strips, "_STRIP_VALUES", 1)
    # The same sums, perhaps in another order, through nine layers.
    np.testing.assert_allclose(encoder(x), whole, atol=1e-5)


@pytest.mark.parametrize("units", [1, 8, 9, 17, 25])
def test_decoder_in_strips_equals_the_whole(decoder, units, monkeypatch):
    x = _random(1, units, 3, 2 * CHANNELS, seed=units)
    whole = decoder(x)
    monkeypatch.setattr(strips, "_STRIP_VALUES", 1)
    np.testing.assert_allclose(decoder(x), whole, atol=1e-5)


@pytest.mark.parametrize("name, less", [("ENCODER_HALO", 2), ("DECODER_HALO", 3)])
def test_the_halo_is_the_least(encoder, decoder, name, less, monkeypatch):
    """One unit less would show, so that the tests of strips and windows can fail."""
    layer, x = (
        (encoder, _random(1, 76, 8, 4))
        if name.startswith("ENCODER")
        else (decoder, _random(1, 25, 3, 2 * CHANNELS))
    )
    whole = layer(x)
    monkeypatch.setattr(strips, "_STRIP_VALUES", 1)
    monkeypatch.setattr(encoder_decoder, name, less)
    assert np.abs(layer(x) - whole).max() > 1e-4


BOXES = [(0, 1, 0, 1), (10, 13, 8, 11), (0, 13, 0, 11), (6, 7, 5, 6), (5, 9, 0, 11), (1, 12, 4, 5)]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("values", [1, 1 << 24])
def test_window_equals_the_whole(decoder, box, values, monkeypatch):
    x = _random(2, 13, 11, 2 * CHANNELS)
    whole = np.asarray(decoder(x))
    monkeypatch.setattr(strips, "_STRIP_VALUES", values)
    found = np.asarray(decoder(x, box=tuple(tf.constant(side) for side in box)))
    assert found.shape == whole.shape
    inside = np.zeros((52, 44), bool)
    inside[4 * box[0] : 4 * box[1], 4 * box[2] : 4 * box[3]] = True
    np.testing.assert_allclose(found[:, inside], whole[:, inside], atol=1e-5)
    assert not found[:, ~inside].any()


def test_a_window_with_too_small_a_halo_shows(decoder, monkeypatch):
    x, box = _random(2, 13, 11, 2 * CHANNELS), (6, 7, 5, 6)
    whole = decoder(x)[:, 24:28, 20:24]
    monkeypatch.setattr(encoder_decoder, "DECODER_HALO", 3)
    assert np.abs(decoder(x, box=box)[:, 24:28, 20:24] - whole).max() > 1e-4


def test_windows_in_a_graph(decoder):
    """The box is known only when the graph runs."""
    signature = [tf.TensorSpec([None, None, None, 2 * CHANNELS], tf.float32)]
    signature.append(tf.TensorSpec([None, None, None, 1], tf.float32))
    graph = tf.function(lambda x, m: decoder(x, box=hole_box(m, 0)), input_signature=signature)
    for height, width, batch in ((7, 9, 1), (12, 6, 3)):
        x, mask = _random(batch, height, width, 2 * CHANNELS), np.zeros((batch, 48, 36, 1))
        mask = mask[:, : 4 * height, : 4 * width].astype(np.float32)
        mask = np.pad(mask, [(0, 0), (0, 0), (0, 4 * width - mask.shape[2]), (0, 0)])
        mask[0, 9:15, 6:7] = 1
        found, whole = graph(x, mask), decoder(x)
        np.testing.assert_allclose(found[:, 8:16, 4:8], whole[:, 8:16, 4:8], atol=1e-5)
        assert not np.any(found[:, 16:])


def _box_twin(mask, margin):
    batch, height, width, _ = mask.shape
    rows, columns = [], []
    for b in range(batch):
        for row in range(height):
            for column in range(width):
                if mask[b, row, column] > 0:
                    rows.append(row // 4)
                    columns.append(column // 4)
    if not rows:
        return 0, height // 4, 0, width // 4
    return (
        max(min(rows) - margin, 0),
        min(max(rows) + 1 + margin, height // 4),
        max(min(columns) - margin, 0),
        min(max(columns) + 1 + margin, width // 4),
    )


@pytest.mark.parametrize("margin", [0, 1, 2, 9])
@pytest.mark.parametrize("pixels", [0, 1, 2, 5, 700])
def test_box_equals_slow_python(pixels, margin):
    rng = np.random.default_rng(pixels)
    for batch in (1, 3):
        mask = np.zeros((batch, 20, 36, 1), np.float32)
        at = rng.integers(0, [batch, 20, 36], (pixels, 3))
        mask[tuple(at.T)] = 1
        box = hole_box(mask, margin)
        assert tuple(int(side) for side in box) == _box_twin(mask, margin)


@pytest.mark.parametrize("row, column", [(0, 0), (3, 4), (4, 3), (19, 35)])
def test_box_of_one_pixel_is_its_cell(row, column):
    mask = np.zeros((1, 20, 36, 1), np.float32)
    mask[0, row, column] = 1
    expected = (row // 4, row // 4 + 1, column // 4, column // 4 + 1)
    assert tuple(int(side) for side in hole_box(mask, 0)) == expected
