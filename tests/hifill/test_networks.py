"""Coarse and refinement network: layers as printed, sizes, ranges, what the hole hides, training on one image."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from tensorflow import keras

from common.models import membrane
from hifill import CONFIGS, PAPER, RELEASE, SMALL, HiFill, HiFillConfig, rgb_head
from hifill.coarse_network import CoarseNetwork
from hifill.refinement_network import RefinementNetwork
from hifill.resampling import bilinear

SIZE = 64
# Narrow, and with fewer layers of one kind: most of a test's time is the number of layers.
FAST = {"size": SIZE, "channels": 4, "coarse_plain_layers": 1}
TINY = [dataclasses.replace(config, **FAST) for config in (PAPER, RELEASE)]

# H appendix, "Network Architectures", in its own notation and without what is not a layer.
COARSE = (
    "K5S2C32 - K3S1C32 - K3S2C64 - K3S1C64 - K3S1C64 - K3S1C64 - K3S1C64 - K3S1C64 - K3S1C64"
    " - K3S1C64D2 - K3S1C64D2 - K3S1C64D2 - K3S1C64D2 - K3S1C64D2"
    " - K3S1C64D4 - K3S1C64D4 - K3S1C64D4 - K3S1C64D4 - K3S1C64D8 - K3S1C64D8"
    " - K3S1C64 - K3S1C64 - K3S1C64 - K3S1C32 - K3S1C3"
)
REFINEMENT = (
    "K5S2C32 - K3S1C32 - K3S2C64 - K3S1C64 - K3S2C128 - K3S1C128 - K3S1C128"
    " - K3S1C128D2 - K3S1C128D4 - K3S1C128D8 - K3S1C128D16"
    " - K3S1C128 - K3S1C64 - K3S1C64 - K3S1C32 - K3S1C32 - K3S1C3"
)
BRANCHES = "K3S1C128 - K3S1C64 - K3S1C64D2 - K3S1C32 - K3S1C32D2"


def _parse(text):
    """[(kernel, stride, channels, dilation)]"""
    found = re.findall(r"K(\d+)S(\d+)C(\d+)(?:D(\d+))?", text)
    return [tuple(int(value or 1) for value in layer) for layer in found]


def _spell(layers):
    return [(x.kernel_size, x.strides, x.filters, x.dilation_rate) for x in layers]


def _coarse_layers(network):
    return (
        network.encoder
        + network.dilated
        + network.decoder
        + network.decoder_half
        + [network.to_rgb]
    )


def _refinement_layers(network):
    encoder = network.encoder_1 + network.encoder_2 + network.encoder_3 + network.dilated
    decoder = [network.merge] + network.decoder_2 + network.decoder_1 + [network.to_rgb]
    return encoder + decoder


def _branch_layers(network):
    return [network.attended_3] + network.attended_2 + network.attended_1


def _count(layer):
    return sum(int(np.prod(v.shape)) for v in layer.trainable_variables)


def _paper_count(coarse_gate, refinement_gate):
    """Trainable parameters by the appendix' lists and H Table 1, without a network."""

    def layer(gate, c_in, k, c_out):
        kernel = {
            "gc": k * k * c_in * c_out,
            "ds": k * k * c_in + c_in * c_out,
            "pw": c_in * c_out,
            "sc": k * k * c_in,
        }[gate]
        return k * k * c_in * c_out + c_out + kernel + (1 if gate == "sc" else c_out)

    total, c_in = 0, 4
    for k, _, c_out, _ in _parse(COARSE):
        total, c_in = total + layer(coarse_gate, c_in, k, c_out), c_out
    # What a layer sees: [encoder, attended] before the merge and [attended, decoder] before two others.
    after_concat = {11: 256, 14: 128, 16: 64}
    c_in = 4
    for i, (k, _, c_out, _) in enumerate(_parse(REFINEMENT)):
        total += layer(refinement_gate, after_concat.get(i, c_in), k, c_out)
        c_in = c_out
    for k, _, c_out, _ in _parse(BRANCHES):
        total += layer(refinement_gate, c_out, k, c_out)
    return total


def _image_and_mask(size=SIZE, batch=1, seed=0):
    """A smooth image in [-1, 1] and a box-shaped hole."""
    y, x = np.mgrid[:size, :size] / size
    phase = np.random.default_rng(seed).uniform(0, 6, (batch, 1, 1, 3))
    image = np.sin(4 * x[None, ..., None] + 3 * y[None, ..., None] + phase).astype(np.float32)
    mask = np.zeros((batch, size, size, 1), np.float32)
    mask[:, size // 4 : size // 2, size // 3 : 2 * size // 3] = 1
    return image, mask


@pytest.fixture(scope="module", params=TINY, ids=lambda config: config.name)
def model(request):
    keras.utils.set_random_seed(0)
    return HiFill(request.param)


def test_layers_are_those_of_the_appendix():
    coarse, refinement = CoarseNetwork(PAPER), RefinementNetwork(PAPER)
    assert _spell(_coarse_layers(coarse)) == _parse(COARSE)
    assert {x.gate for x in _coarse_layers(coarse)} == {"sc"}
    assert _spell(_refinement_layers(refinement)) == _parse(REFINEMENT)
    assert _spell(_branch_layers(refinement)) == _parse(BRANCHES)
    everything = _refinement_layers(refinement) + _branch_layers(refinement)
    assert {x.gate for x in everything} == {"pw"}


def test_release_differs_from_the_appendix_where_it_should():
    coarse = _parse(COARSE)
    coarse.insert(-1, (3, 1, 32, 1))  # two layers at half resolution
    assert _spell(_coarse_layers(CoarseNetwork(RELEASE))) == coarse
    refinement = [(3, 2, 32, 1)] + _parse(REFINEMENT)[1:]
    assert _spell(_refinement_layers(RefinementNetwork(RELEASE))) == refinement
    assert _spell(_branch_layers(RefinementNetwork(RELEASE))) == _parse(BRANCHES)


@pytest.mark.parametrize("config, count", [(RELEASE, 2722791), (PAPER, 2715302)])
def test_parameter_counts(config, count):
    model = HiFill(config)
    assert _count(model) == count == sum(int(np.prod(v.shape)) for v in model.weights)
    if config is PAPER:  # the paper says 2.7M
        assert count == _paper_count("sc", "pw") and round(count / 1e6, 1) == 2.7


@pytest.mark.parametrize("gates", [("gc", "ds")])
def test_gates_of_figure_4(gates):
    model = HiFill(dataclasses.replace(PAPER, coarse_gate=gates[0], refinement_gate=gates[1]))
    assert _count(model) == _paper_count(*gates)


def test_the_adopted_gates_need_fewer_parameters_than_the_other_four_of_figure_4():
    """H section 4.2, docs/departures.md: sc + sc needs fewer still, but shows artifacts."""
    adopted = _paper_count(PAPER.coarse_gate, PAPER.refinement_gate)
    for pair in (("gc", "gc"), ("ds", "ds"), ("pw", "pw"), ("sc", "ds")):
        assert _paper_count(*pair) > adopted > _paper_count("sc", "sc"), pair


def test_small_configuration_is_the_paper_at_half_the_width():
    coarse = CoarseNetwork(SMALL)
    halved = [(k, s, c if c == 3 else c // 2, d) for k, s, c, d in _parse(COARSE)]
    assert _spell(_coarse_layers(coarse)) == halved
    assert SMALL.grid == 16 and PAPER.grid == RELEASE.grid == 32


@pytest.mark.parametrize(
    "change, words",
    [
        ({"coarse_gate": "xx"}, "xx"),
        ({"refinement_gate": "GC"}, "GC"),
        ({"size": 500}, "500"),
        ({"size": 32}, "32"),
        ({"rgb_head": "round"}, "round"),
        ({"start": "mean"}, "mean"),
        ({"overlap": True}, "fill_hole_only"),
        ({"fuse_scores": True}, "fill_hole_only"),
    ],
)
def test_impossible_configurations_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(PAPER, **change)


def test_configuration_survives_a_dict():
    for config in CONFIGS.values():
        assert HiFillConfig.from_dict(config.to_dict()) == config
    with pytest.raises(TypeError, match="colour"):
        HiFillConfig.from_dict({**PAPER.to_dict(), "colour": 1})


def test_a_file_from_before_features_were_standardised_keeps_its_networks():
    fields = PAPER.to_dict()
    del fields["standard_features"]
    assert HiFillConfig.from_dict(fields) == dataclasses.replace(PAPER, standard_features=False)


def test_the_same_networks_work_at_another_size(model, eagerly):
    image, mask = _image_and_mask(96)
    larger = model.at_size(96)
    assert larger.config == dataclasses.replace(model.config, size=96)
    unit = (tf.constant(image) + 1.0) / 2.0
    found = larger.generate(unit, mask)[1]
    np.testing.assert_allclose(found * 2.0 - 1.0, model((image, mask))[1], atol=1e-4)


@pytest.mark.parametrize("size", [64, 96, 128])
def test_shapes_and_ranges(model, size):
    image, mask = _image_and_mask(size, batch=2)
    coarse, refined, attention = model((image, mask))
    assert coarse.shape == refined.shape == (2, size, size, 3)
    assert attention.dense().shape == (2, (size // 16) ** 2, (size // 16) ** 2)
    for output in (coarse, refined):
        assert output.dtype == tf.float32
        assert np.abs(output).max() <= 1 and np.std(output) > 0


def test_outputs_are_clipped(model):
    image, mask = _image_and_mask()
    layers = (model.coarse.to_rgb, model.refinement.to_rgb)
    biases = [layer.feature_bias.numpy() for layer in layers]
    try:
        for layer in layers:
            layer.feature_bias.assign([50.0, 50.0, 50.0])
        coarse, refined, _ = model((image, mask))
    finally:
        for layer, bias in zip(layers, biases):
            layer.feature_bias.assign(bias)
    np.testing.assert_array_equal(coarse, np.ones_like(image))
    np.testing.assert_array_equal(refined, np.ones_like(image))


def test_what_lies_under_the_mask_is_ignored(model):
    image, mask = _image_and_mask()
    expected = model((image, mask))[:2]
    for hidden in (0.7, -1e30, np.nan, np.inf):
        other = np.where(mask > 0, np.float32(hidden), image)
        for a, b in zip(expected, model((other, mask))[:2]):
            np.testing.assert_array_equal(a, b)
            assert np.isfinite(a).all()


def test_every_known_pixel_matters(model):
    """The reverse: a pixel just outside the mask is seen."""
    image, mask = _image_and_mask()
    other = image.copy()
    other[0, 15, 30] = 5
    assert mask[0, 15, 30] == 0 and mask[0, 16, 30] == 1
    assert np.abs(model((image, mask))[1] - model((other, mask))[1]).max() > 1e-4


@pytest.mark.parametrize("hole", ["none", "all", "one pixel"])
def test_extreme_holes_stay_finite(model, hole):
    image, mask = _image_and_mask()
    mask[:] = hole == "all"
    mask[0, 20, 20] = hole != "none"
    values = np.concatenate([image, np.zeros_like(image), np.ones_like(image)])
    coarse, refined, attention = model((values, mask.repeat(3, axis=0)))
    for output in (coarse, refined, attention.dense()):
        assert np.isfinite(output).all()


def test_batch_equals_one_by_one(model):
    image, mask = _image_and_mask(batch=3)
    mask[1] = np.roll(mask[1], 20, axis=0)
    mask[2] = 0
    together = model((image, mask))[1]
    for i in range(3):
        alone = model((image[i : i + 1], mask[i : i + 1]))[1]
        # Forty layers of float32 sums that may run in another order.
        np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-5)


def test_every_variable_gets_a_gradient(model):
    image, mask = _image_and_mask()
    with tf.GradientTape() as tape:
        coarse, refined, _ = model((image, mask))
        loss = tf.reduce_sum(tf.square(coarse - image)) + tf.reduce_sum(tf.square(refined - image))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert len(gradients) == len(model.weights)
    for variable, gradient in zip(model.trainable_variables, gradients):
        assert gradient is not None, variable.name
        assert np.isfinite(gradient).all() and np.any(gradient), variable.name


@pytest.mark.parametrize("config", [PAPER, RELEASE, SMALL], ids=lambda config: config.name)
def test_a_photograph_reaches_every_layer_of_a_fresh_network(config):
    """Spread of every gated convolution's output; the usual initialisation leaves 1e-8 of the last ones."""
    keras.utils.set_random_seed(0)
    network, spreads = HiFill(dataclasses.replace(config, size=128)), {}
    photograph = skimage.data.astronaut().reshape(128, 4, 128, 4, 3).mean(axis=(1, 3))
    image, (_, mask) = photograph[None].astype(np.float32) / 127.5 - 1, _image_and_mask(128)
    layers = _coarse_layers(network.coarse) + _refinement_layers(network.refinement)
    layers += _branch_layers(network.refinement)
    for i, layer in enumerate(layers):
        layer.call = _recording(layer.call, spreads, i)
    network((image, mask))
    assert len(spreads) == len(layers) and min(spreads.values()) > 1e-2, spreads


@pytest.mark.parametrize(
    "head, dtype",
    [("gated", "float32"), ("plain", "float32"), ("subpixel", "mixed_bfloat16")],
)
def test_a_fresh_network_that_starts_from_the_membrane_returns_it(head, dtype, monkeypatch):
    """Heads without a gate begin with zeros; a gated one does not, which is why the shipped configuration has none.

    In bfloat16 too, whose 8 bits would be seen in the picture: what is added to is added in float32. The membrane, of
    many small operations, is replaced by the image upside down, under the hole too.
    """
    monkeypatch.setattr(membrane, "fill", lambda image, mask: image[:, ::-1])
    network = HiFill(dataclasses.replace(TINY[0], start="membrane", rgb_head=head), dtype)
    image, mask = _image_and_mask(batch=2)
    start = np.where(mask > 0, 0, image)[:, ::-1]
    coarse, refined, _ = network((image, mask))
    for output in (coarse, refined):
        difference = np.abs(output - start).max()
        assert difference > 1e-3 if head == "gated" else difference < 1e-6


@pytest.mark.parametrize("head", ["plain", "subpixel"])
def test_heads_without_a_gate_see_no_sign(head):
    """ELU and gate shrink what is negative: a plain head's output changes its sign with its weights."""
    config = dataclasses.replace(TINY[0], rgb_head=head)
    convolution = rgb_head.make(config, "sc", "float32")
    x = np.random.default_rng(0).normal(size=(1, 6, 8, 5)).astype(np.float32)
    once = rgb_head.enlarge(config, convolution, tf.constant(x)).numpy()
    assert once.shape == (1, 12, 16, 3) and once.std() > 0.1
    for variable in convolution.trainable_variables:
        variable.assign(-variable)
    np.testing.assert_allclose(rgb_head.enlarge(config, convolution, x), -once, atol=1e-6)


def test_subpixel_head_predicts_the_four_pixels_of_a_position_apart():
    config = dataclasses.replace(TINY[0], rgb_head="subpixel")
    convolution = rgb_head.make(config, "sc", "float32")
    x = tf.ones([1, 4, 4, 2])
    convolution(x)
    convolution.bias.assign(np.arange(12, dtype=np.float32))
    convolution.kernel.assign(tf.zeros_like(convolution.kernel))
    found = rgb_head.enlarge(config, convolution, x).numpy()
    np.testing.assert_array_equal(found[0, 2:4, 4:6], np.arange(12).reshape(2, 2, 3))


def test_shipped_configuration_trains_every_layer():
    """The first update moves the heads alone, because they begin with zeros; then gradients reach everything."""
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(CONFIGS["shipped"], **FAST)
    network = HiFill(config)
    image, mask = _image_and_mask()
    variables = network.trainable_variables
    optimizer = keras.optimizers.SGD(1e-2)
    for _ in range(2):
        with tf.GradientTape() as tape:
            parts = [tf.reduce_mean(tf.abs(x - image) * mask) for x in network((image, mask))[:2]]
            loss = parts[0] + parts[1]
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables))
    for variable, gradient in zip(variables, gradients):
        assert gradient is not None and np.isfinite(gradient).all(), variable.name
        assert np.any(gradient), variable.name


def _recording(call, spreads, key):
    def recorded(inputs):
        outputs = call(inputs)
        spreads[key] = float(tf.math.reduce_std(outputs))
        return outputs

    return recorded


@pytest.mark.default_environment
def test_one_image_can_be_overfitted():
    keras.utils.set_random_seed(0)
    network = HiFill(TINY[0])
    image, mask = _image_and_mask()
    variables = network.trainable_variables

    @tf.function(autograph=False)
    def slopes():
        with tf.GradientTape() as tape:
            coarse, refined, _ = network((image, mask))
            parts = [tf.reduce_mean(tf.abs(x - image)) for x in (coarse, refined)]
            loss = parts[0] + parts[1]
        return tf.stack(parts), tape.gradient(loss, variables)

    losses = []
    for _ in range(40):
        parts, gradients = slopes()
        losses.append(parts.numpy())
        for variable, gradient in zip(variables, gradients):
            # Adam without its memory, whose graph takes longer to trace than the network's.
            variable.assign_sub(5e-3 * tf.sign(gradient))
    assert (losses[-1] < 0.5 * losses[0]).all(), (losses[0], losses[-1])


def test_mixed_precision_gives_float32_outputs():
    image, mask = _image_and_mask()
    try:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        network = HiFill(TINY[0])
        outputs = network((image, mask))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert {tf.as_dtype(v.dtype) for v in network.trainable_variables} == {tf.float32}
    for output in (*outputs[:2], outputs[2].dense()):
        assert output.dtype == tf.float32 and np.isfinite(output).all()


def test_bilinear_halving_is_the_mean_of_four():
    x = np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype(np.float32)
    means = x.reshape(2, 3, 2, 4, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(bilinear(x, 0.5, True), means, atol=1e-6)
    np.testing.assert_array_equal(bilinear(x, 0.5, False), x[:, ::2, ::2])


@pytest.mark.parametrize("half_pixel", [True, False])
def test_bilinear_doubling_equals_slow_numpy(half_pixel):
    x = np.random.default_rng(1).normal(size=(1, 5, 7, 2)).astype(np.float32)
    expected = x.astype(np.float64)
    for axis in (1, 2):
        side = x.shape[axis]
        at = (np.arange(2 * side) + 0.5) / 2 - 0.5 if half_pixel else np.arange(2 * side) / 2
        below = np.floor(at).astype(int)
        share = (at - below).reshape([-1 if a == axis else 1 for a in range(4)])
        first = np.take(expected, np.clip(below, 0, side - 1), axis)
        second = np.take(expected, np.clip(below + 1, 0, side - 1), axis)
        expected = first + share * (second - first)
    found = bilinear(x, 2, half_pixel)
    assert found.shape == (1, 10, 14, 2)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_bilinear_does_not_shift_a_ramp():
    """Down and up again with half-pixel centres: the same ramp, but for the clamped border."""
    x = np.tile(np.arange(32, dtype=np.float32)[None, None, :, None], (1, 8, 1, 1))
    again = bilinear(bilinear(x, 0.5, True), 2, True)
    np.testing.assert_allclose(again[:, :, 1:-1], x[:, :, 1:-1], atol=1e-5)


def test_bilinear_keeps_shapes_and_half_precision_in_a_graph():
    signature = [tf.TensorSpec([None, 6, 8, 3], tf.bfloat16)]
    graph = tf.function(lambda x: bilinear(x, 2, True), input_signature=signature)
    output = graph.get_concrete_function().outputs[0]
    assert output.shape.as_list() == [None, 12, 16, 3] and output.dtype == tf.bfloat16


def test_only_the_hole_of_a_feature_map_is_filled():
    """A patch that touches the hole is transferred, but what is known in it stays."""
    config = dataclasses.replace(PAPER, size=64, channels=4)
    network = HiFill(config).refinement
    random = tf.random.Generator.from_seed(0)
    mask = np.zeros((1, 64, 64, 1), np.float32)
    mask[0, 17:30, 20:21] = 1
    attention = network.attention(random.normal([1, 8, 8, 16]), tf.constant(mask))
    for side in (8, 16, 32):
        features = random.normal([1, side, side, 5])
        found = network.fill(features, attention, tf.constant(mask)).numpy()
        cell = 64 // side
        hole = mask.reshape(side, cell, side, cell).max(axis=(1, 3)) > 0
        moved = network.transfer(features, attention).numpy()
        np.testing.assert_array_equal(found[0][~hole], features.numpy()[0][~hole])
        np.testing.assert_array_equal(found[0][hole], moved[0][hole])
        assert np.abs(moved - features.numpy())[0][~hole].max() > 0.1, "or the test shows nothing"
