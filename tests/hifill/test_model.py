"""The whole model: photographs of any size through real networks, ranges, files, wrong arguments."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from tensorflow import keras

from common.errors import UserError
from common.models import weights
from hifill import PAPER, RELEASE, SMALL, HiFill

TINY = [
    dataclasses.replace(config, size=64, channels=4, coarse_plain_layers=0)
    for config in (PAPER, RELEASE)
]
SIZES = [(16, 16), (17, 31), (33, 500), (512, 512), (700, 513), (300, 1000)]


@pytest.fixture(scope="module", params=TINY, ids=lambda config: config.name)
def model(request):
    """A tiny model, fresh."""
    keras.utils.set_random_seed(0)
    return HiFill(request.param)


def _photograph(height, width, seed=0):
    """Noise, and a mask with a box and a scratch to the border."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 3 : width // 2] = 1
    mask[height // 2, width // 2 :] = 1
    return image, mask


def _batch(batch=2, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.random((batch, 64, 64, 3)).astype(np.float32)
    mask = np.zeros((batch, 64, 64, 1), np.float32)
    mask[:, 10:30, 20:50] = 1
    return image, mask


@pytest.mark.parametrize("height, width", SIZES)
def test_photographs_of_any_size(model, height, width):
    image, mask = _photograph(height, width)
    found = model.inpaint(image, mask)
    assert found.dtype == np.uint8 and found.shape == image.shape
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])
    assert np.mean(found[mask > 0] != image[mask > 0]) > 0.9
    np.testing.assert_array_equal(model.inpaint(image, mask * np.uint8(255)), found)


@pytest.mark.parametrize("height, width", SIZES)
def test_magenta_or_green_under_the_hole_give_the_same_bytes(model, height, width):
    image, mask = _photograph(height, width)
    results = []
    for colour in ((255, 0, 255), (0, 255, 0)):
        image[mask > 0] = colour
        results.append(model.inpaint(image, mask)[mask > 0])
    np.testing.assert_array_equal(*results)


def test_extreme_masks(model):
    image = _photograph(90, 120)[0]
    empty = np.zeros((90, 120), np.uint8)
    np.testing.assert_array_equal(model.inpaint(image, empty), image)
    with pytest.raises(UserError, match="whole image"):
        model.inpaint(image, empty + 255)
    almost = np.ones_like(empty)
    almost[80, 7] = 0
    np.testing.assert_array_equal(model.inpaint(image, almost)[80, 7], image[80, 7])


def test_wrong_arguments_are_user_errors(model):
    image, mask = _photograph(40, 50)
    for bad in (
        image.astype(np.float32),
        image[..., :1],
        image[:, :-1],
        np.full(image.shape, np.nan),
    ):
        with pytest.raises(UserError):
            model.inpaint(bad, mask)
    for bad in (mask.astype(bool), mask[..., None], mask.astype(np.float32)):
        with pytest.raises(UserError, match="mask"):
            model.inpaint(image, bad)
    with pytest.raises(UserError, match="16"):
        model.inpaint(image[:15], mask[:15])


def test_generate_is_in_the_unit_range_and_hides_the_hole(model):
    image, mask = _batch()
    coarse, refined, attention = (np.asarray(x) for x in model.generate(image, mask))
    assert coarse.shape == refined.shape == (2, 64, 64, 3) and attention.shape == (2, 16, 16)
    for output in (coarse, refined):
        assert output.dtype == np.float32 and 0 <= output.min() < output.max() <= 1
    hidden = np.where(mask > 0, np.float32(np.nan), image)
    np.testing.assert_array_equal(model.generate(hidden, mask)[1], refined)


def test_generate_is_the_networks_in_another_range(model):
    """And in a graph."""
    image, mask = _batch()
    coarse, refined, attention = model((2 * image - 1, mask))
    expected = ((coarse + 1) / 2, (refined + 1) / 2, attention.dense())
    for a, b in zip(expected, model.generate(image, mask)):
        assert (
            np.std(a) > 1e-4
        )  # little: with maps of 8x8 most taps of the dilated layers see padding
        # Forty layers of float32 sums that a graph may order differently.
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize(
    "image, mask, words",
    [
        ((1, 32, 32, 3), (1, 32, 32, 1), "64"),
        ((1, 64, 64, 4), (1, 64, 64, 1), "image"),
        ((1, 64, 64, 3), (1, 64, 64, 3), "mask"),
        ((64, 64, 3), (64, 64, 1), "image"),
    ],
)
def test_generate_names_the_wrong_shape(model, image, mask, words):
    with pytest.raises(UserError, match=words):
        model.generate(np.zeros(image, np.float32), np.zeros(mask, np.float32))


IMAGE, MASK = np.full((2, 64, 64, 3), 0.5, np.float32), np.ones((2, 64, 64, 1), np.float32)


@pytest.mark.parametrize(
    "image, mask, words",
    [
        (IMAGE.tolist(), MASK, "list"),
        ("photo.png", MASK, "str"),
        (IMAGE, None, "NoneType"),
        (IMAGE.astype(str), MASK, "image is <U"),
        (IMAGE, MASK.astype(str), "mask is <U"),
        (IMAGE.astype(object), MASK, "object"),
        (IMAGE.astype("M8[s]"), MASK, "datetime64"),
        (IMAGE.astype(complex), MASK, "complex128"),
        (IMAGE.astype(np.uint8), MASK, "uint8"),
        (IMAGE[:0], MASK[:0], "no pixel"),
        (IMAGE, MASK[:1], "differ"),
        (IMAGE[:1], MASK, "differ"),
        (IMAGE, MASK * np.nan, "mask holds NaN"),
        (IMAGE * np.inf, MASK * 0, "infinite values outside"),
    ],
)
def test_wrong_batches_are_errors_of_one_line(model, image, mask, words):
    """As in Zoom-to-Inpaint's tests: one check serves both."""
    with pytest.raises(UserError, match=words) as error:
        model.generate(image, mask)
    assert "\n" not in str(error.value)


def test_saved_and_loaded_model_gives_the_same(model, tmp_path):
    path = tmp_path / "weights.npz"
    model.save(path)
    again = HiFill.load(path)
    assert again.config == model.config
    image, mask = _batch()
    for a, b in zip(model((image, mask))[:2], again((image, mask))[:2]):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == ["weights.npz"]


@pytest.mark.parametrize("change", [{"gates": "sc"}, {"size": 500}, {"coarse_gate": "xx"}])
def test_a_configuration_of_the_future_is_an_error(tmp_path, change):
    path = tmp_path / "weights.npz"
    weights.save(path, HiFill.NAME, {**TINY[0].to_dict(), **change}, keras.layers.Dense(1))
    with pytest.raises(UserError, match=r"weights\.npz") as error:
        HiFill.load(path)
    assert "\n" not in str(error.value)


def test_weights_of_another_configuration_do_not_fit(model, tmp_path):
    path = tmp_path / "weights.npz"
    other = dataclasses.replace(model.config, channels=5)
    weights.save(path, HiFill.NAME, other.to_dict(), model)
    with pytest.raises(UserError, match="shape"):
        HiFill.load(path)


def test_configurations_are_plain_json():
    for config in (PAPER, RELEASE, SMALL):
        assert json.loads(json.dumps(config.to_dict())) == config.to_dict()


def test_keras_restores_the_generator_inside_other_models(model):
    """`HiFill` is an ordinary Keras model: its variables are tracked once each."""
    assert len({id(v) for v in model.weights}) == len(model.weights)
    assert len(model.weights) == len(weights.named_variables(model))
    assert not model.non_trainable_variables
