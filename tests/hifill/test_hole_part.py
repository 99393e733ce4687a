"""`HiFill.fill` gives the hole that `generate` gives, but computes only its surroundings."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from benchmarks import flops
from common.errors import UserError
from hifill import PAPER, RELEASE, SHIPPED, HiFill, hole_part

SIDE = 256
# (rows, columns) of the holes of a batch of one or two.
HOLES = {
    "middle": [(slice(110, 140), slice(120, 150))],
    "corner": [(slice(0, 20), slice(240, 256))],
    "one pixel": [(slice(77, 78), slice(201, 202))],
    "line": [(slice(130, 133), slice(0, 256))],
    "two images": [(slice(100, 120), slice(40, 60)), (slice(120, 130), slice(90, 99))],
}


@pytest.fixture(scope="module", params=[PAPER, RELEASE, SHIPPED], ids=lambda config: config.name)
def model(request):
    """A narrow model of 256x256, so that the surroundings of a small hole are a part of the image."""
    keras.utils.set_random_seed(0)
    model = HiFill(dataclasses.replace(request.param, size=SIDE, channels=4))
    # The heads of the shipped configuration start at zero: then every fill would be the membrane.
    rng = np.random.default_rng(0)
    for array in model.trainable_variables:
        if not np.any(array.numpy()):
            array.assign(rng.normal(0, 0.1, array.shape))
    return model


def _batch(holes):
    rng = np.random.default_rng(1)
    image = rng.random((len(holes), SIDE, SIDE, 3)).astype(np.float32)
    mask = np.zeros((len(holes), SIDE, SIDE, 1), np.float32)
    for index, (rows, columns) in enumerate(holes):
        mask[index, rows, columns] = 1
    return image, mask


def _difference(model, image, mask):
    """(largest difference of `fill` to `generate` in the hole, spread of the values there)."""
    refined, attention = (np.asarray(x) for x in model.generate(image, mask)[1:])
    filled, same_attention = (np.asarray(x) for x in model.fill(image, mask))
    np.testing.assert_allclose(same_attention, attention, atol=1e-6)
    hole = np.broadcast_to(mask, image.shape) > 0
    np.testing.assert_array_equal(filled[~hole], image[~hole])
    return np.abs(filled - refined)[hole].max(), refined[hole].std()


@pytest.mark.parametrize("holes", HOLES.values(), ids=HOLES)
def test_fill_is_generate_in_the_hole_and_the_image_elsewhere(model, holes):
    difference, spread = _difference(model, *_batch(holes))
    assert difference < 1e-5 < spread


def test_a_shorter_reach_is_not_enough(model, monkeypatch):
    """Otherwise the test above would not notice a REACH that is too short."""
    monkeypatch.setattr(hole_part, "REACH", 0)
    again = HiFill(model.config)
    again.set_weights(model.get_weights())
    difference, _ = _difference(again, *_batch(HOLES["middle"]))
    assert difference > 1e-4


def test_fill_also_takes_the_large_size():
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(PAPER, size=64, large_size=128, channels=4)
    model = HiFill(config)
    rng = np.random.default_rng(1)
    image, mask = rng.random((1, 128, 128, 3), np.float32), np.zeros((1, 128, 128, 1), np.float32)
    mask[:, 40:60, 70:80] = 1
    filled, attention = model.fill(image, mask)
    wanted, same_attention = model.at_size(128).fill(image, mask)
    np.testing.assert_allclose(filled, wanted, atol=1e-6)
    np.testing.assert_allclose(attention, same_attention, atol=1e-6)
    assert model.at_size(128).config == dataclasses.replace(config, size=128, large_size=0)
    again = model.at_size(64).with_config(config)
    assert again.config == config
    np.testing.assert_allclose(again.fill(image, mask)[0], filled, atol=1e-6)
    with pytest.raises(UserError, match=r"expected \[B, 64, 64, 3\]"):
        model.fill(image[:, :96, :96], mask[:, :96, :96])


def test_values_under_the_mask_do_not_matter(model):
    image, mask = _batch(HOLES["middle"])
    hidden = np.where(mask > 0, np.float32(np.nan), image)
    np.testing.assert_array_equal(model.fill(hidden, mask)[0], model.fill(image, mask)[0])


def test_without_a_hole_the_image_stays(model):
    image, mask = _batch([(slice(0, 0), slice(0, 0))])
    np.testing.assert_array_equal(model.fill(image, mask)[0], image)


def test_a_small_hole_costs_less():
    """At the paper's size and a tenth of hole, at least a quarter of the arithmetic is left out."""
    model = HiFill(dataclasses.replace(PAPER, channels=4))
    image = np.zeros((1, 512, 512, 3), np.float32)
    mask = np.zeros((1, 512, 512, 1), np.float32)
    mask[:, 100:262, 200:362] = 1
    whole, part = (flops.count(lambda f=f: f(image, mask)) for f in (model.generate, model.fill))
    assert part < 0.75 * whole


@pytest.mark.parametrize(
    "rows, columns, edges",
    [
        (slice(100, 120), slice(130, 131), (48, 176, 80, 192)),
        (slice(0, 1), slice(255, 256), (0, 64, 192, 256)),
        (slice(0, 256), slice(0, 256), (0, 256, 0, 256)),
        (slice(0, 0), slice(0, 0), (0, 256, 0, 256)),
    ],
)
def test_the_part_reaches_around_the_hole(rows, columns, edges):
    """48 pixels and then to multiples of 16, inside the image; the whole image without a hole."""
    _, mask = _batch([(rows, columns)])
    part = hole_part.around(tf.constant(mask))
    assert tuple(int(edge) for edge in part[:4]) == edges
    top, bottom, left, right = edges
    features = tf.constant(np.random.default_rng(0).random((1, 32, 32, 2)).astype(np.float32))
    cut = part.cut(features)
    np.testing.assert_array_equal(cut, features[:, top // 8 : bottom // 8, left // 8 : right // 8])
    ones = part.put_back(tf.ones([1, bottom - top, right - left, 3]))
    assert ones.shape == (1, SIDE, SIDE, 3)
    assert np.all(ones[0, top:bottom, left:right] == 1) and np.sum(ones) == 3 * (bottom - top) * (
        right - left
    )
