"""The weights that come with the package: what a user gets who names none."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import skimage.data

from benchmarks.attention import measure
from hifill import SHIPPED, HiFill

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "hifill" / "weights"


@pytest.fixture(scope="module")
def model():
    return HiFill.pretrained()


def test_they_are_of_the_shipped_configuration_and_small(model):
    assert model.config == SHIPPED
    (path,) = FOLDER.glob("*.npz")
    assert path.stat().st_size < 6_000_000
    assert path.stem in (FOLDER.parents[1] / "docs" / "models" / f"{path.stem}.md").read_text()


@pytest.mark.default_environment
@pytest.mark.parametrize("kind", ["small", "large", "irregular", "object"])
def test_they_fill_better_than_what_learns_nothing(model, mean_errors, kind):
    """L1 over the hole of photographs that are in no training set of theirs, at the size of the generator."""
    mean = mean_errors(kind, "hifill", model.inpaint)
    assert mean["hifill"] < min(mean["telea"], mean["harmonic"]), mean


def test_their_attention_selects(model):
    """As a fresh network's must (`test_attention.py`), after training."""
    photograph = skimage.data.retina()[200:1224, 200:1224].copy()
    hole = np.zeros((1024, 1024), bool)
    hole[400:620, 300:600] = True
    averaged, detail = measure(model, model.config.temperature, photograph, hole)
    assert averaged < 40 and detail > 0.6
