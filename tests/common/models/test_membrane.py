"""The membrane of a graph against `common.scoring.harmonic`, which solves the equation to a tenth of a level."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from common.masks import files as mask_files
from common.models import membrane
from common.scoring import harmonic

_graph = tf.function(membrane.fill, autograph=False)
_unknown = [tf.TensorSpec([None, None, None, channels]) for channels in (3, 1)]
_graph_of_any_size = tf.function(membrane.fill, input_signature=_unknown, autograph=False)


def _fill(image, hole, graph=_graph):
    """One image [H, W, C] through the operations of a graph."""
    mask = hole[np.newaxis, ..., np.newaxis].astype(np.float32)
    return graph(tf.constant(image[np.newaxis], tf.float32), tf.constant(mask)).numpy()[0]


@pytest.mark.default_environment
@pytest.mark.parametrize("kind", ["small", "large", "irregular", "object"])
def test_close_to_the_exact_solution(kind, small_photograph):
    """The median within 0.7 of an 8-bit level, everything within eight: what three cycles leave of large holes."""
    source, photograph = mask_files.mask_source(kind), small_photograph()
    differences = []
    for seed in range(4):
        hole = source(64, 64, seed) > 0
        differences.append(_fill(photograph, hole) - harmonic.fill(photograph, hole))
    differences = np.abs(np.concatenate([d[hole] for d in differences]))
    assert np.median(differences) < 0.7 and differences.max() < 8


@pytest.mark.default_environment
@pytest.mark.parametrize("height, width", [(1, 1), (1, 9), (9, 5), (17, 24)])
def test_any_size(height, width):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    hole = rng.random((height, width)) < 0.3
    hole[0, 0] = False
    found = _fill(image, hole)
    np.testing.assert_array_equal(found[~hole], image[~hole].astype(np.float32))
    assert (
        np.abs(found - harmonic.fill(image, hole)).max() < 12
    )  # of noise, whose steps are 85 levels
    of_any_size = _fill(image, hole, _graph_of_any_size)
    np.testing.assert_array_equal(of_any_size, found)


@pytest.mark.parametrize("batch, loops", [(1, False), (None, True)])
def test_only_a_graph_of_fixed_shape_has_no_loops(batch, loops):
    specs = [tf.TensorSpec([batch, 8, 8, channels]) for channels in (3, 1)]
    graph = tf.function(membrane.fill, autograph=False).get_concrete_function(*specs).graph
    assert any("While" in operation.type for operation in graph.get_operations()) == loops


def test_a_constant_stays_and_values_keep_between_those_known(small_photograph):
    hole = mask_files.mask_source("large")(64, 64, 3) > 0
    np.testing.assert_allclose(_fill(np.full((64, 64, 3), 0.3), hole), 0.3, atol=1e-6)
    found, known = _fill(small_photograph(), hole), small_photograph()[~hole].astype(int)
    assert found.min() >= known.min() - 2 and found.max() <= known.max() + 2


@pytest.mark.parametrize("hidden", [-1e30, np.nan, np.inf])
def test_what_lies_under_the_hole_is_ignored(hidden, small_photograph):
    hole = mask_files.mask_source("irregular")(64, 64, 0) > 0
    image = small_photograph()
    other = np.where(hole[..., np.newaxis], hidden, image)
    np.testing.assert_array_equal(_fill(image, hole), _fill(other, hole))


def test_nothing_known_is_zero_and_no_hole_is_the_image(small_photograph):
    image = small_photograph()
    np.testing.assert_array_equal(_fill(image, np.ones((64, 64), bool)), np.zeros((64, 64, 3)))
    np.testing.assert_array_equal(_fill(image, np.zeros((64, 64), bool)), image.astype(np.float32))


def test_images_of_a_batch_do_not_mix():
    rng = np.random.default_rng(1)
    images = rng.random((3, 16, 16, 3)).astype(np.float32)
    masks = (rng.random((3, 16, 16, 1)) < 0.5).astype(np.float32)
    together = membrane.fill(tf.constant(images), tf.constant(masks))
    for i in range(3):
        alone = membrane.fill(tf.constant(images[i : i + 1]), tf.constant(masks[i : i + 1]))
        np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-6)
