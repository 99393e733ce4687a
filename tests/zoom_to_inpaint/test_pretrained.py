"""The weights that come with the package: what a user gets who names none."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest

from common.data import datasets
from common.images import convert
from common.masks import files as mask_files
from common.scoring import baselines, protocol
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


@pytest.mark.parametrize("kind", ["small", "large", "irregular", "object"])
def test_they_fill_better_than_what_learns_nothing(model, kind):
    """L1 over the hole of photographs that are in no training set of theirs, 256x256 as in the paper."""
    source, errors = mask_files.mask_source(kind), {}
    paths = {path for split in datasets.SPLITS for path in datasets.files("sample", None, split)}
    for number, path in enumerate(sorted(paths)):
        image = np.ascontiguousarray(protocol.center_crop(convert.read_rgb(path), 256))
        mask = source(256, 256, (0, number))
        painted = {name: baselines.inpaint(name, image, mask) for name in ("telea", "harmonic")}
        for name, filled in {**painted, "zoom": model.inpaint(image, mask)}.items():
            np.testing.assert_array_equal(filled[mask == 0], image[mask == 0])
            wrong = np.abs(filled[mask > 0].astype(float) - image[mask > 0])
            errors.setdefault(name, []).append(wrong.mean())
    mean = {name: np.mean(found) for name, found in errors.items()}
    assert mean["zoom"] < mean["telea"], mean
    assert mean["zoom"] < mean["harmonic"], mean
