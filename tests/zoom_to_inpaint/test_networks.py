"""Coarse and refinement network: parameters, gradients, what reaches the hole, sizes, precision, extreme holes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from zoom_to_inpaint import PAPER, RELEASE, strips
from zoom_to_inpaint.coarse_network import CoarseNetwork
from zoom_to_inpaint.config import BICUBIC_ZOOM, BICUBIC_ZOOM_70, SCALE_1, SCALE_3
from zoom_to_inpaint.refinement_network import RefinementNetwork
from zoom_to_inpaint.super_resolution import enlarge_mask, zoom_in, zoom_out

TINY = [dataclasses.replace(c, channels=4, sr_channels=4) for c in (PAPER, RELEASE)]
NETWORKS = pytest.mark.parametrize("network", ["coarse", "refinement"], indirect=True)


def _image_and_mask(height=24, width=32, batch=1, seed=0):
    """A smooth image and a hole that differs from sample to sample."""
    y, x = np.mgrid[:height, :width] / 24
    phase = np.random.default_rng(seed).uniform(0, 6, (batch, 1, 1, 3))
    image = 0.5 + 0.5 * np.sin(4 * x[None, ..., None] + 3 * y[None, ..., None] + phase)
    mask = np.zeros((batch, height, width, 1), np.float32)
    for b in range(batch):
        mask[b, 5 + b : 14 + b, 9 : 17 + 2 * b] = 1
    return ((1 - mask) * image).astype(np.float32), mask


def _lively(network, seed=3):
    """Random weights under which signals neither vanish nor saturate, moving averages included."""
    network((tf.zeros([1, 8, 8, 3]), tf.zeros([1, 8, 8, 1])))
    rng = np.random.default_rng(seed)
    for variable in network.weights:
        shape, name = tuple(variable.shape), getattr(variable, "path", variable.name)
        value = rng.normal(0, 1.5 / np.sqrt(np.prod(shape[:-1])) if len(shape) == 4 else 0.2, shape)
        variable.assign(np.exp(value) if "gamma" in name or "variance" in name else value)
    return network


def _copy(network, dtype):
    """The same weights under another policy."""
    policy = keras.mixed_precision.Policy(dtype)
    other = _lively(type(network)(TINY[0], dtype=policy))
    for target, source in zip(other.weights, network.weights):
        target.assign(source)
    return other


_MADE = {}


@pytest.fixture
def network(request):
    """The network of that name, the same for every test: what training moves is put back."""
    if request.param not in _MADE:
        kind = {"coarse": CoarseNetwork, "refinement": RefinementNetwork}[request.param]
        made = _lively(kind(TINY[0]))
        _MADE[request.param] = made, [(v, np.asarray(v)) for v in _averages(made)]
    made, averages = _MADE[request.param]
    yield made
    for variable, value in averages:
        variable.assign(value)


def _averages(network):
    trained = {id(variable) for variable in network.trainable_variables}
    return [variable for variable in network.weights if id(variable) not in trained]


def _count(*layers):
    return sum(int(np.prod(v.shape)) for layer in layers for v in layer.trainable_variables)


def _generator(config):
    """Coarse, zoom and refinement network, built on the smallest of images."""
    side = config.multiple
    pair = tf.zeros([1, side, side, 3]), tf.zeros([1, side, side, 1])
    coarse, zoom, refinement = CoarseNetwork(config), zoom_in(config), RefinementNetwork(config)
    coarse(pair)
    refinement((zoom(pair[0]), enlarge_mask(pair[1], config.scale)))
    return coarse, zoom, refinement


def _gated(inputs, filters):
    """Parameters of one gated convolution: kernel and bias; gamma and beta."""
    return 9 * inputs * filters + filters + filters


def _paper_count(ch):
    """Of coarse and refinement network, from Z Figures 9 and 10 alone."""
    half, full, double = ch // 2, ch, 2 * ch  # what G(ch), G(2ch), G(4ch) give
    encoder = _gated(4, ch) + 2 * _gated(half, ch)
    encoder += _gated(half, 2 * ch) + 2 * _gated(full, 2 * ch)
    encoder += _gated(full, 4 * ch) + 2 * _gated(double, 4 * ch)
    decoder = _gated(double, 2 * ch) + 3 * _gated(full, 2 * ch)
    decoder += _gated(full, ch) + 3 * _gated(half, ch) + 9 * half * 3 + 3
    between = 2 * _gated(double, 4 * ch) + _gated(2 * double, 4 * ch)
    return encoder + decoder, encoder + between + decoder


def test_parameter_counts_of_the_paper():
    coarse, zoom, refinement = _generator(PAPER)
    assert _count(coarse) == 1426659
    assert _count(zoom) == 446659
    assert _count(refinement) == 2607843
    assert _count(coarse, zoom, refinement) == 4481161  # "4.48M"
    assert _count(coarse, refinement) == 4034502  # "4.03M" without SR
    assert _paper_count(64) == (1426659, 2607843)


def test_parameter_counts_of_the_wider_ablations():
    """Z section C.1: 70 channels instead of an SR network, "4.82M"."""
    assert _count(*_generator(BICUBIC_ZOOM_70)) == 4824756 == sum(_paper_count(70))


@NETWORKS
def test_moving_averages_are_the_only_other_weights(network):
    others = _averages(network)
    names = {getattr(v, "path", v.name).split("/")[-1].split(":")[0] for v in others}
    assert names == {"moving_mean", "moving_variance"}
    gates = {"CoarseNetwork": 17, "RefinementNetwork": 20}[type(network).__name__]
    assert len(others) == 2 * gates and len(network.trainable_variables) == 4 * gates + 2


@NETWORKS
def test_training_moves_every_average(network):
    before = [np.asarray(v) for v in network.weights]
    network(_image_and_mask(batch=2), training=True)
    trained = {id(v) for v in network.trainable_variables}
    for variable, value in zip(network.weights, before):
        moved = np.any(np.asarray(variable) != value)
        assert moved == (id(variable) not in trained), variable.name


@NETWORKS
def test_inference_changes_nothing(network):
    before = [np.asarray(v) for v in network.weights]
    network(_image_and_mask(batch=2), training=False)
    for variable, value in zip(network.weights, before):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize(
    "network, training",
    [("coarse", False), ("refinement", False), ("refinement", True)],
    indirect=["network"],
)
def test_graph_of_any_size_equals_eager(network, training):
    signature = [tf.TensorSpec([None, None, None, channels], tf.float32) for channels in (3, 1)]

    @tf.function(input_signature=signature)
    def graph(image, mask):
        return network((image, mask), training=training)

    for height, width, batch in ((16, 40, 3),) if training else ((24, 32, 1), (16, 40, 3)):
        inputs = _image_and_mask(height, width, batch)
        found, eager = graph(*inputs), network(inputs, training=training)
        assert found.shape == (batch, height, width, 3) and found.dtype == tf.float32
        assert np.std(eager) > 0.1
        # Twenty layers of float32 sums in another order; attention multiplies logits by ten, and statistics of a
        # few positions magnify: a change of the input by 1e-6 moves results of order 2 by 2e-4.
        np.testing.assert_allclose(found, eager, atol=5e-4)


@NETWORKS
def test_batch_equals_one_by_one(network):
    image, mask = _image_and_mask(batch=3)
    mask[1] = 0
    together = network((image, mask))
    for i in range(3):
        one = slice(i, i + 1)
        np.testing.assert_allclose(together[one], network((image[one], mask[one])), atol=1e-4)


@NETWORKS
def test_strips_equal_the_whole(network, monkeypatch):
    inputs = _image_and_mask(72, 16)
    whole = network(inputs)
    monkeypatch.setattr(strips, "_STRIP_VALUES", 1)
    np.testing.assert_allclose(network(inputs), whole, atol=1e-4)


@NETWORKS
def test_half_precision_is_close_to_single(network):
    half, inputs = _copy(network, "mixed_bfloat16"), _image_and_mask(batch=3)
    for training in (False, True):
        found, expected = (n(inputs, training=training) for n in (half, network))
        assert found.dtype == tf.float32 and np.isfinite(found).all()
        # Twenty layers of values with 8 bits; where attention looks may change for some positions.
        difference = np.abs(found - expected)
        assert 0 < difference.mean() < 0.2 * np.std(expected)
    for variable in half.weights:
        assert tf.as_dtype(variable.dtype) == tf.float32


@NETWORKS
def test_half_precision_trains_every_variable(network):
    half, inputs = _copy(network, "mixed_bfloat16"), _image_and_mask(batch=2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(half(inputs, training=True) - 0.5))
    variables = half.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        assert tf.as_dtype(gradient.dtype) == tf.float32
        assert np.isfinite(gradient).all() and np.any(gradient), variable.name


@NETWORKS
def test_the_mask_is_seen(network):
    image, mask = _image_and_mask()
    moved = np.roll(mask, 2, axis=2)
    assert np.abs(network((image, mask)) - network((image, moved))).max() > 1e-3


@NETWORKS
@pytest.mark.default_environment
@pytest.mark.parametrize("hole", ["none", "all", "one pixel"])
def test_extreme_holes_stay_finite(network, hole):
    image, mask = _image_and_mask()
    mask[:] = hole == "all"
    mask[0, 20, 20] = hole != "none"
    for values in (image, np.zeros_like(image)):
        for training, hole_only in ((False, False), (False, True), (True, False)):
            found = network((values, mask), training=training, hole_only=hole_only)
            assert found.shape == (1, 24, 32, 3) and np.isfinite(found).all()


# Of the hole: top, bottom, left, right.
HOLES = [(5, 14, 9, 17), (0, 1, 0, 1), (23, 24, 31, 32), (11, 13, 0, 32), (0, 24, 0, 32)]


@pytest.mark.parametrize("network", ["coarse"], indirect=True)
@pytest.mark.parametrize("box", HOLES)
def test_coarse_hole_only_is_right_in_the_hole(network, box):
    image, mask = _image_and_mask()
    mask[:] = 0
    mask[:, box[0] : box[1], box[2] : box[3]] = 1
    whole, found = network((image, mask)), network((image, mask), hole_only=True)
    hole = mask[..., 0] > 0
    np.testing.assert_allclose(found[hole], whole[hole], atol=1e-5)
    # And zero from the next cell of four on.
    far = np.ones((24, 32), bool)
    far[box[0] // 4 * 4 : -(-box[1] // 4) * 4, box[2] // 4 * 4 : -(-box[3] // 4) * 4] = False
    assert not np.asarray(found)[:, far].any()


@pytest.mark.default_environment
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("box", HOLES[:2])
def test_refinement_hole_only_is_right_in_the_hole_after_zooming_out(scale, box):
    zoom = "none" if scale == 1 else "bicubic"
    config = dataclasses.replace(TINY[0], zoom=zoom, scale=scale, size=128)
    if scale not in _MADE:
        _MADE[scale] = _lively(RefinementNetwork(config))
    network = _MADE[scale]
    image, mask = _image_and_mask()
    mask[:] = 0
    mask[:, box[0] : box[1], box[2] : box[3]] = 1
    inputs = zoom_in(config)(image), enlarge_mask(mask, scale)
    whole, found = network(inputs), network(inputs, hole_only=True)
    hole, zoomed_hole = mask[..., 0] > 0, np.asarray(inputs[1])[..., 0] > 0
    np.testing.assert_allclose(found.numpy()[zoomed_hole], whole.numpy()[zoomed_hole], atol=1e-4)
    out, exact = (zoom_out(x, scale).numpy() for x in (found, whole))
    np.testing.assert_allclose(out[hole], exact[hole], atol=1e-4)
    changed = np.any(found.numpy() != inputs[0].numpy(), axis=-1)
    if box[1] - box[0] == 1:  # a small hole spares something: the input comes through
        assert 0 < changed.sum() < 0.5 * changed.size


def test_refinement_adds_to_its_input():
    network = _lively(RefinementNetwork(TINY[0]))
    output = network.decoder.output_convolution
    output.kernel.assign(tf.zeros_like(output.kernel))
    output.bias.assign([0.0, 1.0, -2.0])
    image, mask = _image_and_mask()
    np.testing.assert_allclose(network((image, mask)), image + [0.0, 1.0, -2.0], atol=1e-6)


def test_coarse_does_not():
    network = _lively(CoarseNetwork(TINY[0]))
    output = network.decoder.output_convolution
    output.kernel.assign(tf.zeros_like(output.kernel))
    output.bias.assign([0.0, 1.0, -2.0])
    found = network(_image_and_mask())
    np.testing.assert_allclose(found, np.broadcast_to([0.0, 1.0, -2.0], found.shape), atol=1e-6)


@pytest.mark.parametrize("config", TINY, ids=lambda config: config.name)
def test_refinement_is_encoder_attention_merge_decoder(config):
    """Z section A.3, Figure 10: [x, CA(x)] in that order, with the configuration's softmax."""
    network = _lively(RefinementNetwork(config))
    assert network.attention.floored == (config.name == "release")
    assert network.attention.temperature == 10.0
    image, mask = _image_and_mask(batch=2)
    x = network.encoder(tf.concat([image, mask], axis=-1))
    attended = network.attention((x, mask))
    expected = image + network.decoder(network.merge(tf.concat([x, attended], axis=-1)))
    np.testing.assert_allclose(network((image, mask)), expected, atol=1e-5)
    weights = network.attention_map((image, mask))
    assert weights.shape == (2, 12, 12)
    np.testing.assert_allclose(weights, network.attention.map((x, mask)), atol=1e-5)


def test_context_reaches_the_hole_from_afar():
    """Beyond the convolutions' reach: attention connects the two ends of a wide image."""
    network = _lively(RefinementNetwork(TINY[0]))
    image, mask = _image_and_mask(16, 256)
    other = image.copy()
    other[:, :, 200:] = 1 - other[:, :, 200:]
    found = [np.asarray(network((x, mask)))[:, 5:14, 9:17] for x in (image, other)]
    assert np.abs(found[0] - found[1]).max() > 1e-5


@pytest.mark.default_environment
@pytest.mark.parametrize("config", [SCALE_1, BICUBIC_ZOOM, SCALE_3], ids=lambda c: c.name)
def test_every_zoom_fits_between_the_networks(config):
    config = dataclasses.replace(config, channels=4, sr_channels=4)
    coarse, zoom, refinement = _generator(config)
    image, mask = _image_and_mask(config.multiple, 2 * config.multiple)
    first = coarse((image, mask))
    assert first.shape == image.shape
    refined = refinement((zoom(first), enlarge_mask(mask, config.scale)))
    assert (
        refined.shape
        == tf.concat([[1], config.scale * tf.shape(image)[1:3], [3]], 0).numpy().tolist()
    )
