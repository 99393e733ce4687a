"""The weights that come with the package: what a user gets who names none."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from zoom_to_inpaint import SHIPPED, ZoomToInpaint

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "zoom_to_inpaint" / "weights"


@pytest.fixture(scope="module")
def model():
    return ZoomToInpaint.pretrained()


def test_they_are_of_the_shipped_configuration_and_small(model):
    assert dataclasses.replace(model.config, size=SHIPPED.size) == SHIPPED
    (path,) = FOLDER.glob("*.npz")
    assert path.stat().st_size < 10_000_000
    assert path.stem in (FOLDER.parents[1] / "docs" / "models" / f"{path.stem}.md").read_text()


@pytest.mark.default_environment
@pytest.mark.parametrize(
    "kind",
    ["small", "large", *(pytest.param(k, marks=pytest.mark.full) for k in ("irregular", "object"))],
)
def test_they_fill_better_than_what_learns_nothing(model, mean_errors, kind):
    """L1 over the hole of photographs that are in no training set of theirs, 256x256 as in the paper."""
    mean = mean_errors(kind, "zoom", model.inpaint)
    assert mean["zoom"] < mean["telea"], mean
    assert mean["zoom"] < mean["harmonic"], mean
