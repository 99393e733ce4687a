"""Plots show what they are given, and say what is missing where matplotlib is."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from common.errors import UserError
from studies.kit import plots


def colours(picture):
    return {tuple(pixel) for pixel in picture.reshape(-1, 3)[::1].tolist()}


def rgb(colour):
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def test_lines_have_a_colour_a_series():
    pytest.importorskip("matplotlib")
    panels, ticks = {"small": {"a": {1: 0.1, 2: 0.4}, "b": {1: 0.2, 2: 0.3}}}, {1: "x1", 2: "x2"}
    one = plots.lines(panels, "x", "y", ticks)
    assert one.dtype == np.uint8 and one.shape[2] == 3
    assert {rgb(plots.COLOURS[0]), rgb(plots.COLOURS[1])} <= colours(one)
    two = plots.lines({**panels, "large": panels["small"]}, "x", "y", ticks)
    assert two.shape[1] == pytest.approx(2 * one.shape[1], abs=2)


def test_bars_grow_with_their_values():
    pytest.importorskip("matplotlib")

    def covered(value):
        picture = plots.bars({"p": {"a": {"low": value, "high": 1.0}}}, "y")
        return (picture == rgb(plots.COLOURS[0])).all(axis=2).sum()

    assert covered(0.9) > covered(0.5) > covered(0.1)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"pip install '\.\[studies\]'"):
        plots.bars({"p": {"a": {"low": 1.0}}}, "y")
