"""The whole model: every zoom on images of any size, ranges, files, plugged-in networks, wrong arguments."""

from __future__ import annotations

import functools
import json

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from common.errors import UserError
from common.models import membrane, weights
from zoom_to_inpaint import CONFIGS, PAPER, RELEASE, ZoomConfig, ZoomToInpaint
from zoom_to_inpaint.super_resolution import enlarge


def _tiny(zoom, scale, **changes):
    widths = {"channels": 4, "sr_channels": 4, "discriminator_channels": 4, "size": 16}
    return ZoomConfig(name=f"{zoom}_{scale}", zoom=zoom, scale=scale, **{**widths, **changes})


# Every zoom and scale of Tables 3, 5 and 9.
ZOOMS = [("none", 1), ("bicubic", 2), ("sr", 2), ("sr", 4), ("sr", 3)]
SIZES = [(37, 53), (5, 7), (1, 9)]
# The same sums in another order: a window of an image, an image of a batch.
REORDERED = 1e-5


@functools.cache
def _model(zoom, scale):
    """A tiny model with random weights and batch statistics that let signals through."""
    model = ZoomToInpaint(_tiny(zoom, scale))
    rng = np.random.default_rng(scale)
    for name, variable in weights.named_variables(model).items():
        shape = tuple(variable.shape)
        if name.endswith("kernel"):
            value = rng.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape)
        elif name.endswith(("gamma", "moving_variance")):
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = rng.normal(0, 0.1, shape)
        variable.assign(value)
    return model


@pytest.fixture(params=ZOOMS[::2], ids=lambda zoom: f"{zoom[0]}_{zoom[1]}")
def model(request, eagerly):
    """One for each multiple that sides are padded to; `test_photographs_of_every_zoom` takes all."""
    return _model(*request.param)


@pytest.fixture
def paper(eagerly):
    return _model("sr", 2)


def _photograph(height, width, seed=0):
    """Noise, and a mask with a box and a scratch to the border."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 3 : width // 2] = 1
    mask[height // 2, width // 2 :] = 1
    return image, mask


def _batch(height=19, width=22, seed=0):
    """Two images whose holes differ: one in a corner, one across."""
    image = np.random.default_rng(seed).random((2, height, width, 3)).astype(np.float32)
    mask = np.zeros((2, height, width, 1), np.float32)
    mask[0, : height // 3, : width // 3] = 1
    mask[1, height // 2 : height // 2 + 2, 3:] = 1
    return image, mask


def _known(image, mask):
    return np.broadcast_to(mask == 0, image.shape)


# A start that the coarse network adds to.


@functools.cache
def _adding(fresh):
    keras.utils.set_random_seed(2)
    model = ZoomToInpaint(_tiny("sr", 2, start="membrane"))
    if not fresh:
        for variable in model.trainable_variables:
            noise = np.random.default_rng(2).normal(0, 0.05, tuple(variable.shape))
            variable.assign_add(noise.astype(np.float32))
    return model


def test_a_new_model_that_adds_to_the_membrane_returns_it(eagerly):
    """From the coarse network to the result; only zooming in and out smooths it a little."""
    image, mask = _batch(16, 16)
    image = cv2.GaussianBlur(image[0], (0, 0), 3)[np.newaxis].repeat(2, axis=0)
    start = membrane.fill(tf.constant(image), tf.constant(mask))
    coarse, zoomed, refined, output = _adding(True).generate(image, mask)
    np.testing.assert_allclose(coarse, start, atol=1e-6)
    np.testing.assert_array_equal(zoomed, enlarge(coarse, 2))
    np.testing.assert_array_equal(refined, zoomed)
    assert np.abs(output - start).max() < 0.02


def test_every_layer_of_such_a_model_learns(eagerly):
    """The zeros that it starts with hold back every gradient but their own for a step, not for good."""
    model = _adding(False)
    image, mask = _batch(16, 16)
    with tf.GradientTape() as tape:
        outputs = model((image, mask), training=True)
        loss = tf.add_n([tf.reduce_sum(tf.abs(x - 0.5)) for x in outputs[:3]])
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables)
    ):
        assert gradient is not None and np.abs(gradient).max() > 0, variable.name


# Photographs.


def _check_photograph(model, height, width):
    image, mask = _photograph(height, width)
    image[mask > 0] = (255, 0, 255)
    before = image.copy()
    found = model.inpaint(image, mask)
    np.testing.assert_array_equal(image, before)
    assert found.dtype == np.uint8 and found.shape == image.shape
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])
    assert np.mean(found[mask > 0] != image[mask > 0]) > 0.5
    image[mask > 0] = (0, 255, 0)
    np.testing.assert_array_equal(
        model.inpaint(image, mask * np.uint8(255))[mask > 0], found[mask > 0]
    )


@pytest.mark.default_environment
@pytest.mark.parametrize("zoom, scale", ZOOMS)
def test_photographs_of_every_zoom(eagerly, zoom, scale):
    """Known pixels stay, the hole is filled whatever lies under it, and every nonzero level is hole."""
    _check_photograph(_model(zoom, scale), *SIZES[0])


@pytest.mark.parametrize("height, width", SIZES[1:])
def test_photographs_of_any_size(model, height, width):
    _check_photograph(model, height, width)


def test_graph_and_eager_agree():
    """In a graph that does not know the size; with the membrane, which is made otherwise there."""
    model = _adding(False)
    for height, width in SIZES:
        _check_photograph(model, height, width)
    image, mask = _batch(16, 20)
    eager = model((image, mask), hole_only=True)[3]
    np.testing.assert_allclose(model.fill(image, mask), eager, atol=REORDERED)


def test_extreme_masks(model):
    image, empty = _photograph(13, 18)[0], np.zeros((13, 18), np.uint8)
    found = model.inpaint(image, empty)
    np.testing.assert_array_equal(found, image)
    assert not np.shares_memory(found, image)
    for full in (empty + 1, empty + 255):
        with pytest.raises(UserError, match="whole image"):
            model.inpaint(image, full)
    almost = np.ones_like(empty)
    almost[8, 7] = 0
    np.testing.assert_array_equal(model.inpaint(image, almost)[8, 7], image[8, 7])


def test_wrong_photographs_are_user_errors(paper):
    image, mask = _photograph(12, 15)
    wrong = [image.astype(np.float32), image[..., :1], image[:, :-1], image[0], image[None], None]
    pairs = [(bad, mask) for bad in [*wrong, np.full(image.shape, np.nan), image.tolist()]]
    pairs += [(image, bad) for bad in (mask > 0, mask[..., None], mask / 1.0, mask[:-1], None)]
    for pair in pairs:
        with pytest.raises(UserError) as error:
            paper.inpaint(*pair)
        assert "\n" not in str(error.value)


# Batches.


def test_results_are_what_is_promised(model):
    image, mask = _batch()
    results = [np.asarray(x) for x in model.generate(image, mask)]
    s = model.config.scale
    shapes = [(2, 19, 22, 3), (2, 19 * s, 22 * s, 3), (2, 19 * s, 22 * s, 3), (2, 19, 22, 3)]
    assert [x.shape for x in results] == shapes
    assert all(x.dtype == np.float32 and np.isfinite(x).all() for x in results)
    coarse, _, _, output = results
    assert output.min() >= 0 and output.max() <= 1
    for x in (coarse, output):
        np.testing.assert_array_equal(x[_known(x, mask)], image[_known(x, mask)])
        assert np.mean(x[~_known(x, mask)] != image[~_known(x, mask)]) > 0.9


@pytest.mark.default_environment
def test_fill_spares_work_but_changes_nothing(model):
    image, mask = _batch()
    one_pixel, nothing, everything = np.zeros_like(mask), np.zeros_like(mask), np.ones_like(mask)
    one_pixel[0, -1, -1] = one_pixel[1, 9, 0] = 1
    for hole in (mask, one_pixel, everything, nothing):
        output = model.generate(image, hole)[3].numpy()
        filled = model.fill(image, hole).numpy()
        np.testing.assert_allclose(filled, output, atol=REORDERED)
        np.testing.assert_array_equal(filled[_known(image, hole)], image[_known(image, hole)])


def test_images_of_a_batch_do_not_meet(paper):
    image, mask = _batch()
    together = *paper.generate(image, mask), paper.fill(image, mask)
    for i in (0, 1):
        alone = image[i : i + 1], mask[i : i + 1]
        for a, b in zip(together, (*paper.generate(*alone), paper.fill(*alone))):
            np.testing.assert_allclose(a[i : i + 1], b, atol=REORDERED)


@pytest.mark.default_environment
def test_other_sizes_are_extended_by_reflection(model):
    image, mask = _batch(11, 13)
    below, right = (-side % model.config.multiple for side in (11, 13))
    widths = [(0, 0), (0, below), (0, right), (0, 0)]
    padded = np.pad(image, widths, "symmetric"), np.pad(mask, widths, "symmetric")
    found, whole = model.generate(image, mask), model.generate(*padded)
    for part, all_of_it in zip(found, whole):
        height, width = part.shape[1:3]
        np.testing.assert_allclose(part, all_of_it[:, :height, :width], atol=REORDERED)


@pytest.mark.default_environment
def test_blends_are_those_of_the_paper(model):
    """Eq. 1, 2 and 7 with NumPy, from what the networks give."""
    image, mask = _batch(16, 24)
    scale, masked = model.config.scale, (1 - mask) * image
    coarse, zoomed, refined, output = (x.numpy() for x in model.generate(image, mask))
    expected = mask * model.coarse((masked, mask)).numpy() + masked
    np.testing.assert_allclose(coarse, expected, atol=REORDERED)
    np.testing.assert_allclose(zoomed, model.super_resolution(coarse), atol=REORDERED)
    large = mask.repeat(scale, axis=1).repeat(scale, axis=2)
    np.testing.assert_allclose(refined, model.refinement((zoomed, large)), atol=REORDERED)
    reduced = tf.image.resize(refined, (16, 24), "bicubic", antialias=True).numpy()
    expected = np.clip(mask * reduced + masked, 0, 1)
    np.testing.assert_allclose(output, expected, atol=REORDERED)


@pytest.mark.default_environment
def test_what_lies_under_the_hole_is_ignored(model):
    image, mask = _batch()
    expected = model.generate(image, mask)
    for under in (np.nan, -1e30):
        painted = np.where(mask > 0, np.float32(under), image)
        for a, b in zip(model.generate(painted, mask), expected):
            np.testing.assert_array_equal(a, b)


def test_types_and_levels_of_the_mask_do_not_matter(paper):
    image, mask = _batch()
    expected = paper.fill(image, mask).numpy()
    same = [
        (image, mask > 0),
        (image, mask.astype(np.uint8)),
        (image, mask.astype(np.uint8) * np.uint8(255)),
        (image.astype(np.float64), mask.astype(np.float64)),
        (tf.constant(image), tf.constant(mask)),
    ]
    for arguments in same:
        np.testing.assert_array_equal(paper.fill(*arguments), expected)


@pytest.mark.parametrize(
    "image, mask, words",
    [
        (np.zeros((1, 8, 8, 4), "f4"), np.zeros((1, 8, 8, 1)), "image has shape"),
        (np.zeros((8, 8, 3), "f4"), np.zeros((8, 8, 1)), "image has shape"),
        (np.zeros((1, 8, 8, 3), "f4"), np.zeros((1, 8, 8, 3)), "mask has shape"),
        (np.zeros((1, 8, 8, 3), "f4"), np.zeros((1, 8, 8)), "mask has shape"),
        (np.zeros((1, 8, 8, 3), "f4"), np.zeros((1, 8, 9, 1)), "differ"),
        (np.zeros((2, 8, 8, 3), "f4"), np.zeros((1, 8, 8, 1)), "differ"),
        (np.zeros((1, 0, 8, 3), "f4"), np.zeros((1, 0, 8, 1)), "no pixel"),
        (np.zeros((0, 8, 8, 3), "f4"), np.zeros((0, 8, 8, 1)), "no pixel"),
        (np.zeros((1, 8, 8, 3), "u1"), np.zeros((1, 8, 8, 1)), "uint8"),
        (np.zeros((1, 8, 8, 3), "i8"), np.zeros((1, 8, 8, 1)), "int64"),
        (np.zeros((1, 8, 8, 3), "c8"), np.zeros((1, 8, 8, 1)), "complex64"),
        (np.zeros((1, 8, 8, 3), "U1"), np.zeros((1, 8, 8, 1)), "image is"),
        (np.zeros((1, 8, 8, 3), "f4"), np.zeros((1, 8, 8, 1), "U1"), "mask is"),
        (np.zeros((1, 8, 8, 3), "f4"), np.full((1, 8, 8, 1), np.nan), "mask holds NaN"),
        (np.full((1, 8, 8, 3), np.nan, "f4"), np.zeros((1, 8, 8, 1)), "NaN.*outside"),
        (np.full((1, 8, 8, 3), np.inf, "f4"), np.zeros((1, 8, 8, 1)), "infinite.*outside"),
        ([[0.5]], np.zeros((1, 8, 8, 1)), "list"),
        (np.zeros((1, 8, 8, 3), "f4"), None, "NoneType"),
    ],
)
def test_wrong_batches_are_errors_of_one_line(paper, image, mask, words):
    for call in (paper.generate, paper.fill, paper.attention):
        with pytest.raises(UserError, match=words) as error:
            call(image, mask)
        assert "\n" not in str(error.value)


def test_one_bad_pixel_is_found_only_outside_the_hole(paper):
    image, mask = _batch()
    image[1, 10, 10] = np.nan
    assert mask[1, 10, 10] == 1
    assert np.isfinite(paper.fill(image, mask)).all()
    image[0, 10, 10] = np.nan
    with pytest.raises(UserError, match="NaN"):
        paper.fill(image, mask)


def test_attention_is_a_map_of_weights(paper):
    image, mask = _batch(16, 24)
    attention = paper.attention(image, mask).numpy()
    assert attention.shape == (2, 24, 24) and attention.min() >= 0
    np.testing.assert_allclose(attention.sum(axis=-1), 1, atol=1e-5)
    with pytest.raises(UserError, match="multiples of 4") as error:
        paper.attention(*_batch(15, 24))
    assert "\n" not in str(error.value)


def test_half_precision_stays_inside_the_networks(eagerly):
    model = ZoomToInpaint(_tiny("sr", 2), dtype="mixed_bfloat16")
    image, mask = _batch()
    results = [np.asarray(x) for x in (*model.generate(image, mask), model.fill(image, mask))]
    assert all(x.dtype == np.float32 and np.isfinite(x).all() for x in results)
    for x in (results[0], results[3], results[4]):
        np.testing.assert_array_equal(x[_known(x, mask)], image[_known(x, mask)])
    assert all(v.dtype == tf.float32 for v in model.trainable_variables)


# Files.


@pytest.mark.parametrize("zoom, scale", [("none", 1), ("sr", 3)])
def test_saved_and_loaded_model_gives_the_same(eagerly, zoom, scale, tmp_path):
    path, model = tmp_path / "weights.npz", _model(zoom, scale)
    model.save(path)
    again = ZoomToInpaint.load(path)
    assert again.config == model.config
    image, mask = _batch()
    for a, b in zip(model.generate(image, mask), again.generate(image, mask)):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == ["weights.npz"]


@pytest.mark.parametrize(
    "change", [{"zooms": "sr"}, {"zoom": "cubic"}, {"size": 500.5}, {"scale": 7}, {"channels": 5}]
)
def test_a_configuration_of_the_future_is_an_error(tmp_path, change):
    path = tmp_path / "weights.npz"
    fields = {**_tiny("sr", 2).to_dict(), **change}
    weights.save(path, ZoomToInpaint.NAME, fields, keras.layers.Dense(1))
    with pytest.raises(UserError, match=r"weights\.npz") as error:
        ZoomToInpaint.load(path)
    assert "\n" not in str(error.value)


def test_weights_that_do_not_fit_are_errors(tmp_path):
    path = tmp_path / "weights.npz"
    weights.save(
        path,
        ZoomToInpaint.NAME,
        _tiny("sr", 2, channels=6).to_dict(),
        _model("sr", 2),
    )
    with pytest.raises(UserError, match="has shape"):
        ZoomToInpaint.load(path)
    weights.save(path, "another", _tiny("sr", 2).to_dict(), _model("sr", 2))
    with pytest.raises(UserError, match="another"):
        ZoomToInpaint.load(path)
    _model("sr", 2).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    for wrong in (path, tmp_path / "missing.npz"):
        with pytest.raises(UserError, match=wrong.name) as error:
            ZoomToInpaint.load(wrong)
        assert "\n" not in str(error.value)


def test_configurations_are_plain_json():
    assert {PAPER, RELEASE} <= set(CONFIGS.values())
    for config in CONFIGS.values():
        assert ZoomConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_keras_tracks_every_variable_once(model):
    assert len({id(v) for v in model.weights}) == len(model.weights)
    assert len(model.weights) == len(weights.named_variables(model))


# Networks of one's own (Z section 5).


class Toy(keras.layers.Layer):
    """One 3x3 convolution of all inputs, enlarged by nearest neighbour; counts as false, like an empty container."""

    def __init__(self, scale=1, channels=3):
        super().__init__()
        self.scale = scale
        self.convolution = keras.layers.Conv2D(channels, 3, padding="same")

    def call(self, inputs, training=None):
        del training
        x = tf.concat(inputs, axis=-1) if isinstance(inputs, (tuple, list)) else inputs
        x = self.convolution(x)
        return tf.repeat(tf.repeat(x, self.scale, axis=1), self.scale, axis=2)

    def __len__(self):
        return 0


TOYS = {"coarse": 1, "super_resolution": 2, "refinement": 1}  # and their scales


@functools.cache
def _with_toys(*names):
    toys = {name: Toy(TOYS[name]) for name in names}
    return toys, ZoomToInpaint(_tiny("sr", 2), **toys)


@pytest.fixture(params=[tuple(TOYS)[:2], tuple(TOYS)[2:], tuple(TOYS)], ids="+".join)
def plugged(request, eagerly):
    """(names, toys, model)"""
    return request.param, *_with_toys(*request.param)


def test_plugged_in_networks_are_used(plugged):
    names, toys, model = plugged
    image, mask = _batch()
    expected = model.fill(image, mask).numpy()
    np.testing.assert_allclose(expected, model.generate(image, mask)[3], atol=REORDERED)
    known = _known(image, mask)
    np.testing.assert_array_equal(expected[known], image[known])
    assert np.mean(expected[~known] != image[~known]) > 0.5
    for name in names:
        assert getattr(model, name) is toys[name]
        kernel = toys[name].convolution.kernel
        before = kernel.numpy()
        kernel.assign(before[::-1])
        assert np.abs(model.fill(image, mask) - expected).max() > 1e-4, name
        kernel.assign(before)
    photograph, hole = _photograph(11, 14)
    found = model.inpaint(photograph, hole)
    np.testing.assert_array_equal(found[hole == 0], photograph[hole == 0])


def test_plugged_in_networks_learn(plugged):
    """Every variable gets a finite gradient, and the gradient leads downhill."""
    _, toys, model = plugged
    image, mask = _batch(16, 16)

    def loss(training):
        coarse, zoomed, refined, _ = model((image, mask), training=training)
        return sum(tf.reduce_mean(tf.square(x - 0.5)) for x in (coarse, zoomed, refined))

    with tf.GradientTape() as tape:
        value = loss(True)
    variables = model.trainable_variables
    gradients = tape.gradient(value, variables)
    for variable, gradient in zip(variables, gradients):
        assert gradient is not None and np.isfinite(gradient).all(), variable.name
    for toy in toys.values():
        assert toy.convolution.kernel.shape == toy.trainable_variables[0].shape
        (found,) = (g for v, g in zip(variables, gradients) if v is toy.convolution.kernel)
        assert np.abs(found).max() > 0
    before = [variable.numpy() for variable in model.weights]

    def change(rate):
        for variable, gradient in zip(variables, gradients):
            variable.assign_sub(rate * gradient)
        after = loss(True) - value
        for variable, old in zip(model.weights, before):
            variable.assign(old)
        return float(after)

    # How far the loss goes on falling depends on the weights drawn; that it falls at first does not.
    slope = sum(float(tf.reduce_sum(tf.square(gradient))) for gradient in gradients)
    step = 1e-3 * float(value) / slope
    assert any(change(step * shorter) < 0 for shorter in (1, 0.1, 0.01)), (value, slope)


def test_a_model_with_plugged_in_networks_is_not_saved_as_a_whole(plugged, tmp_path):
    names, _, model = plugged
    with pytest.raises(UserError) as error:
        model.save(tmp_path / "weights.npz")
    assert "\n" not in str(error.value) and "one by one" in str(error.value)
    assert {name for name in TOYS if name in str(error.value)} == set(names)
    assert not list(tmp_path.iterdir())


def test_a_plugged_in_refinement_has_no_attention_map(plugged):
    names, _, model = plugged
    if "refinement" in names:
        with pytest.raises(UserError, match="refinement"):
            model.attention(*_batch(16, 16))
    else:
        assert model.attention(*_batch(16, 16)).shape == (2, 16, 16)


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("wrong", [{"channels": 1}, {"scale": 3}])
def test_a_plugged_in_network_of_another_shape_is_named(name, wrong):
    toy = Toy(**{"scale": TOYS[name], **wrong})
    with pytest.raises(UserError, match=f"{name} network returns") as error:
        ZoomToInpaint(_tiny("sr", 2), **{name: toy})
    assert "\n" not in str(error.value)


def test_a_network_of_ones_own_may_ask_for_the_size_of_its_configuration(eagerly):
    """Some networks take one size only; the first images they see have it."""
    seen = []

    class Picky(Toy):
        def call(self, inputs, training=None):
            seen.append(tuple(inputs[0].shape))
            return super().call(inputs)

    ZoomToInpaint(_tiny("bicubic", 2, size=24), coarse=Picky(), refinement=Toy())
    assert set(seen) == {(1, 24, 24, 3)}
