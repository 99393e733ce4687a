"""Photographs and stand-ins for networks: what studies do with results, without waiting for networks."""

from __future__ import annotations

import types

import cv2
import numpy as np
import pytest

from studies.kit import bench


@pytest.fixture(scope="session")
def div2k(tmp_path_factory):
    """A DIV2K of four small validation images; returns its folder."""
    folder = tmp_path_factory.mktemp("data") / "DIV2K"
    (folder / "DIV2K_valid_HR").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(801, 805):
        image = cv2.resize(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), (120, 90))
        cv2.imwrite(str(folder / "DIV2K_valid_HR" / f"0{number}.png"), image)
    return folder


class FlatModel:
    """Fills holes with the mean of what is known plus `offset`: a network's place in a study."""

    def __init__(self, offset):
        self.offset = offset
        self.config = types.SimpleNamespace(channels=16, size=64)
        self.trainable_variables = []

    def inpaint(self, image, mask):
        filled = image.copy()
        mean = image[mask == 0].mean(axis=0) + self.offset
        filled[mask > 0] = np.clip(mean, 0, 255).astype(np.uint8)
        return filled

    def fill(self, image, mask):
        return np.where(mask > 0, np.float32(0.5), image)

    def generate(self, image, mask):
        return [self.fill(image, mask)] * 4


@pytest.fixture(scope="module")
def flat_models():
    """Every arm is a `FlatModel`, each further from the mean than the one before."""
    models = {}

    def model(_, arm):
        return models.setdefault(arm, FlatModel(10 * len(models)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.Bench, "model", model)
        patch.setattr(bench.Bench, "painter", lambda self, arm: model(self, arm).inpaint)
        yield


@pytest.fixture(scope="module")
def small_bench(tmp_path_factory, div2k):
    """small_bench("zoom_table_3", ...) -> a bench of 64x64 crops of the tiny DIV2K."""
    output = tmp_path_factory.mktemp("studies")

    def make(study, **changes):
        chosen = {"dataset": "div2k", "data_dir": str(div2k), "image_size": 64, **changes}
        return bench.Bench(study, output=output, **chosen)

    return make
