"""The membrane against Laplace's equation solved directly, and what every solution of it has."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import tensorflow as tf

from common import mask_files, membrane


def _exact(image, hole):
    """The solution in the hole of [H, W, C], one linear equation a pixel."""
    unknown = {tuple(place): i for i, place in enumerate(np.argwhere(hole))}
    matrix, known = np.zeros((len(unknown),) * 2), np.zeros((len(unknown), image.shape[2]))
    for (y, x), row in unknown.items():
        for place in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if min(place) < 0 or place[0] >= hole.shape[0] or place[1] >= hole.shape[1]:
                continue  # no flow across the border
            matrix[row, row] += 1
            if place in unknown:
                matrix[row, unknown[place]] -= 1
            else:
                known[row] += image[place]
    filled = image.copy()
    filled[hole] = np.linalg.solve(matrix, known)
    return filled


_graph = tf.function(membrane.fill, autograph=False)


def _fill(image, hole):
    """One image [H, W, C] through the operations of a graph."""
    mask = hole[np.newaxis, ..., np.newaxis].astype(np.float32)
    return _graph(tf.constant(image[np.newaxis], tf.float32), tf.constant(mask)).numpy()[0]


def _photograph(side=64):
    step = 512 // side
    cells = skimage.data.astronaut().reshape(side, step, side, step, 3)
    return cells.mean(axis=(1, 3)) / 255.0


@pytest.mark.parametrize("kind", ["small", "large", "irregular", "object"])
def test_close_to_the_exact_solution(kind):
    """The median within 0.7 of an 8-bit level, everything within eight: what three cycles leave of large holes."""
    source, photograph = mask_files.mask_source(kind), _photograph()
    differences = []
    for seed in range(4):
        hole = source(64, 64, seed) > 0
        differences.append(np.abs(_fill(photograph, hole) - _exact(photograph, hole))[hole].ravel())
    differences = 255 * np.concatenate(differences)
    assert np.median(differences) < 0.7 and differences.max() < 8


@pytest.mark.parametrize("height, width", [(1, 1), (1, 9), (2, 2), (17, 5), (33, 48)])
def test_any_size(height, width):
    rng = np.random.default_rng(0)
    image, hole = rng.random((height, width, 2)), rng.random((height, width)) < 0.3
    hole[0, 0] = False
    found = _fill(image, hole)
    np.testing.assert_array_equal(found[~hole], image[~hole].astype(np.float32))
    assert np.abs(found - _exact(image, hole)).max() < 0.05


def test_a_constant_stays_and_values_keep_between_those_known():
    hole = mask_files.mask_source("large")(64, 64, 3) > 0
    np.testing.assert_allclose(_fill(np.full((64, 64, 3), 0.3), hole), 0.3, atol=1e-6)
    image = np.where(hole[..., np.newaxis], 0.5, _photograph())
    found = _fill(image, hole)
    assert found.min() >= image[~hole].min() - 0.01 and found.max() <= image[~hole].max() + 0.01


@pytest.mark.parametrize("hidden", [-1e30, np.nan, np.inf])
def test_what_lies_under_the_hole_is_ignored(hidden):
    hole = mask_files.mask_source("irregular")(64, 64, 0) > 0
    image = _photograph()
    other = np.where(hole[..., np.newaxis], hidden, image)
    np.testing.assert_array_equal(_fill(image, hole), _fill(other, hole))


def test_nothing_known_is_zero_and_no_hole_is_the_image():
    image = _photograph(16)
    np.testing.assert_array_equal(_fill(image, np.ones((16, 16), bool)), np.zeros((16, 16, 3)))
    np.testing.assert_array_equal(_fill(image, np.zeros((16, 16), bool)), image.astype(np.float32))


def test_images_of_a_batch_do_not_mix():
    rng = np.random.default_rng(1)
    images = rng.random((3, 32, 32, 3)).astype(np.float32)
    masks = (rng.random((3, 32, 32, 1)) < 0.5).astype(np.float32)
    together = membrane.fill(tf.constant(images), tf.constant(masks))
    for i in range(3):
        alone = membrane.fill(tf.constant(images[i : i + 1]), tf.constant(masks[i : i + 1]))
        np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-6)
