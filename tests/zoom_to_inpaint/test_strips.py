"""Strips: the same numbers as the whole, every row once, and never more rows at a time than promised."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoom_to_inpaint import strips
from zoom_to_inpaint.strips import Strips


def _image(rows, columns=5, channels=2, batch=3):
    shape = (batch, rows, columns, channels)
    return np.random.default_rng(rows).normal(size=shape).astype(np.float32)


KERNEL = np.random.default_rng(0).normal(size=(3, 3, 2, 2)).astype(np.float32)


def _convolve(x):
    return tf.nn.conv2d(x, KERNEL, 1, "SAME")


def _down(x):
    """Sees one row beyond a pair."""
    return tf.nn.max_pool2d(_convolve(x), 2, 2, "VALID")


def _up(x):
    """Sees one row beyond its own; three for one."""
    return _convolve(tf.repeat(x, 3, axis=1))


# rows in and out per unit, halo, function
KINDS = {
    "same": (1, 1, 1, _convolve),
    "twice": (1, 1, 2, lambda x: _convolve(_convolve(x))),
    "down": (2, 1, 1, _down),
    "up": (1, 3, 1, _up),
}


@pytest.mark.parametrize("values", [1, 200, 400, 1 << 24])
@pytest.mark.parametrize("units", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("kind", KINDS)
def test_strips_equal_the_whole(kind, units, values, monkeypatch):
    monkeypatch.setattr(strips, "_STRIP_VALUES", values)
    rows_in, rows_out, halo, function = KINDS[kind]
    x = _image(units * rows_in)
    found = Strips(rows_in, rows_out, halo, 4).apply(function, x, 2, "float32")
    whole = function(x)
    assert found.shape == whole.shape and whole.shape[1] == units * rows_out
    # The same sums, perhaps in another order.
    np.testing.assert_allclose(found, whole, atol=1e-5)


@pytest.mark.parametrize("kind", ["same", "twice"])
def test_a_halo_too_small_shows(kind, monkeypatch):
    """Otherwise the tests above would prove nothing."""
    monkeypatch.setattr(strips, "_STRIP_VALUES", 4 * 3 * 5 * 4)  # four rows a strip
    _, _, halo, function = KINDS[kind]
    x = _image(13)
    found = Strips(1, 1, halo - 1, 4).apply(function, x, 2, "float32")
    assert np.abs(found - function(x)).max() > 0.1


def _heights(units, values, halo, monkeypatch):
    """Rows that the function saw, strip by strip, and the result of passing them through."""
    monkeypatch.setattr(strips, "_STRIP_VALUES", values)
    heights, x = [], _image(units)

    def see(rows):
        heights.append(int(rows.shape[1]))
        return rows

    np.testing.assert_array_equal(Strips(1, 1, halo, 4).apply(see, x, 2, "float32"), x)
    return heights


def test_strips_are_bounded(monkeypatch):
    # A row is 3 x 5 positions of 4 values: 60; five rows fit and two halos of one come on top.
    assert _heights(17, 5 * 60, 1, monkeypatch) == [6, 7, 7, 3]
    assert _heights(17, 17 * 60, 1, monkeypatch) == [17]
    # Strips of fewer rows than their halos would compute more in vain than they spare.
    assert _heights(17, 1, 2, monkeypatch) == [6, 8, 8, 7, 3]


def test_strips_in_a_graph_of_any_size(monkeypatch):
    monkeypatch.setattr(strips, "_STRIP_VALUES", 200)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 2], tf.float32)])
    def graph(x):
        return Strips(1, 1, 1, 4).apply(_convolve, x, 2, "float32")

    for rows, columns, batch in ((7, 5, 1), (12, 3, 3), (1, 1, 1)):
        x = _image(rows, columns, batch=batch)
        np.testing.assert_allclose(graph(x), _convolve(x), atol=1e-5)


def test_strips_of_half_precision(monkeypatch):
    monkeypatch.setattr(strips, "_STRIP_VALUES", 1)
    x = tf.cast(_image(9), tf.bfloat16)
    found = Strips(1, 1, 1, 4).apply(tf.identity, x, 2, "bfloat16")
    assert found.dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(found, tf.float32), tf.cast(x, tf.float32))
