"""Windows and cells: the NumPy functions against slow twins and OpenCV, the TensorFlow ones against those of NumPy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tensorflow as tf

from common.models import window


@pytest.mark.parametrize(
    ("span", "side", "length", "expected"),
    [
        ((40, 60), 20, 100, 40),  # in the middle
        ((0, 10), 40, 100, 0),  # moved in from before the first pixel
        ((95, 100), 40, 100, 60),  # and from behind the last
        ((3, 9), 200, 100, 0),  # larger than all
    ],
)
def test_a_window_lies_around_its_span_inside_the_photograph(span, side, length, expected):
    assert window.start(*span, side, length) == expected
    assert window.start_op(*map(tf.constant, (*span, side, length))) == expected


def _slow(pixels, rows, columns):
    """Cells as exact fractions of the pixels."""
    found = np.zeros((rows, columns), bool)
    for y, x in np.argwhere(pixels):
        cells = []
        for pixel, length, count in zip((y, x), pixels.shape, (rows, columns)):
            cells.append(
                [
                    k
                    for k in range(count)
                    if k * length < (pixel + 1) * count and (k + 1) * length > pixel * count
                ]
            )
        found[np.ix_(*cells)] = True
    return found


@pytest.mark.parametrize("shape", [(30, 7), (64, 64), (65, 100), (5, 9)])
@pytest.mark.parametrize("size", [(16, 16), (7, 30), (64, 64)])
def test_cells_that_touch(shape, size):
    pixels = np.random.default_rng(6).uniform(size=shape) < 0.03
    expected = _slow(pixels, *size)
    np.testing.assert_array_equal(window.cells_touching(pixels, size), expected)
    np.testing.assert_array_equal(window.cells_touching_op(tf.constant(pixels), size), expected)
    if size[0] == size[1]:
        np.testing.assert_array_equal(window.cells_touching(pixels, size[0]), expected)


@pytest.mark.parametrize("length", [1025, 1400, 2049, 3000])
def test_without_slivers_the_cells_are_those_of_opencv(length):
    """Where cells and pixels nearly meet, OpenCV drops what is thinner than a thousandth of a pixel."""
    pixels = np.random.default_rng(length).uniform(size=(length, 1030)) < 1e-4
    size = (1024, 1000)
    of_opencv = cv2.resize(pixels.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) > 0
    found = window.cells_touching(pixels, size, slivers=False)
    np.testing.assert_array_equal(found, of_opencv)
    in_graph = window.cells_touching_op(tf.constant(pixels), size, slivers=False)
    np.testing.assert_array_equal(in_graph, found)


def test_paste_equals_an_assignment():
    generator = np.random.default_rng(4)
    for _ in range(20):
        image, part = (
            generator.integers(0, 256, (*generator.integers(1, most, 2), 3), np.uint8)
            for most in (12, 15)
        )
        top, left = (generator.integers(0, side) for side in image.shape[:2])
        expected = image.copy()
        inside = expected[top : top + part.shape[0], left : left + part.shape[1]]
        inside[...] = part[: inside.shape[0], : inside.shape[1]]
        np.testing.assert_array_equal(window.paste_op(image, part, top, left), expected)


def test_span_of_a_hole():
    hole = np.zeros((9, 12), bool)
    hole[3, 2] = hole[5, 10] = True
    assert [tuple(map(int, window.span_op(hole, axis))) for axis in (0, 1)] == [(3, 3), (2, 9)]
