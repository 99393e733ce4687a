"""What a person chose reaches the study, and what is missing is one line that says what to do."""

from __future__ import annotations

import pathlib

import cv2
import numpy as np
import pytest

from common.errors import UsageError, UserError
from common.images import convert
from common.scoring import protocol, tables
from studies.kit import bench, networks
from studies.kit.bench import Bench


@pytest.fixture
def places2(tmp_path):
    for split in ("val_large", "test_large"):
        for number in range(3):
            path = tmp_path / "places2" / split / f"{split}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((80, 80, 3), 10 * number, np.uint8))
    return str(tmp_path / "places2")


def test_the_small_size_takes_the_samples():
    (found,) = Bench("s").data_sets("places2", "div2k")
    assert found.name == "sample" and 2 <= len(found.paths) <= 3


def test_places2_is_both_splits(places2, monkeypatch):
    monkeypatch.setattr(bench, "IMAGES_PER_SPLIT", 2)
    chosen = Bench("s", size="paper", places2_dir=places2)
    (found,) = chosen.data_sets("places2", "div2k")
    names = [pathlib.Path(path).stem for path in found.paths]
    assert names == ["val_large_0", "val_large_1", "test_large_0", "test_large_1"]
    one_split = Bench("s", size="paper", places2_dir=places2, split="test", count=1)
    assert len(one_split.data_set("places2").paths) == 1


def test_a_test_package_is_one_set_with_its_own_masks(tmp_path):
    """Validation and test are the same folder there: its images count once."""
    for path in ("image/1.png", "mask/small/1.png"):
        (tmp_path / path).parent.mkdir(parents=True)
        picture = np.zeros((40, 40, 3), np.uint8)
        picture[10:14, 10:20] = 255
        cv2.imwrite(str(tmp_path / path), picture)
    chosen = Bench("s", "paper", tmp_path / "out", places2_dir=str(tmp_path), image_size=0)
    (found,) = chosen.data_sets("places2")
    assert len(found.paths) == 1
    scored = chosen.scores({"same": lambda image, mask: image}, "small", found)
    assert scored.scores[0].hole_fraction == pytest.approx(40 / 1600)


def test_missing_data_is_one_line():
    with pytest.raises(UsageError, match="zoom_table_3 at --size=paper needs --div2k_dir=FOLDER"):
        Bench("zoom_table_3", size="paper").data_sets("div2k")
    with pytest.raises(UserError, match="--div2k_dir=/nowhere is not a folder"):
        Bench("s", size="paper", div2k_dir="/nowhere").data_sets("div2k")


def test_missing_weights_name_the_training_command():
    with pytest.raises(UsageError) as error:
        Bench("zoom_table_3", size="paper").network("no_zoom")
    assert "--weights=no_zoom=FILE; python train.py --flagfile=configs/" in str(error.value)


def test_small_networks_are_trained_where_all_studies_find_them(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(networks, "train", lambda *arguments: asked.append(arguments))
    chosen = Bench("s", output=tmp_path, dataset="folder", data_dir="x", steps=5, seed=2)
    chosen.network(networks.ADOPTED_GATES)  # as H's Figure 4 calls what others call
    data = ("--dataset=folder", "--data_dir=x")
    assert asked == [("hifill", tmp_path / "networks" / "hifill", 5, 2, data)]


def test_weights_of_another_arm_are_refused(tiny_zoom_weights):
    chosen = Bench("s", weights={"no_zoom": str(tiny_zoom_weights)})
    with pytest.raises(UserError, match="holds a network with zoom sr; no_zoom has none"):
        chosen.model("no_zoom")


def test_weights_that_do_not_exist():
    with pytest.raises(UserError, match=r"missing\.npz does not exist"):
        Bench("s", size="paper", weights={"sr_zoom": "missing.npz"}).model("sr_zoom")


@pytest.mark.full
def test_a_painter_fills_holes_alone(tiny_zoom_weights):
    paint = Bench("s", weights={"sr_zoom": str(tiny_zoom_weights)}).painter("sr_zoom")
    image = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    mask = np.zeros((32, 40), np.uint8)
    mask[8:20, 8:20] = 1
    filled = paint(image, mask)
    assert (filled[mask == 0] == image[mask == 0]).all()
    assert (filled[mask == 1] != image[mask == 1]).any()


def test_scores_are_those_of_the_protocol(small_bench, tmp_path):
    chosen = small_bench("s", seed=4)
    (data_set,) = chosen.data_sets()
    painters = {"Grey L∇": lambda image, mask: np.where(mask[..., None], np.uint8(90), image)}
    found = chosen.scores(painters, "large", data_set)
    assert found.folders["Grey L∇"].name == "grey_l"
    cases = protocol.make_set(data_set.paths, "large", None, 64, 4, tmp_path / "twin")
    protocol.paint(cases, painters["Grey L∇"], tmp_path / "twin" / "p", "p")
    wanted = tables.summarise(protocol.score(cases, tmp_path / "twin" / "p", "m", "large"))[0]
    means = found.means()["Grey L∇"]
    for key, statistic in wanted.metrics.items():
        assert means[key] == statistic.mean
    # Another program scores the same folder alike.
    again = chosen.scores({"other": found.folders["Grey L∇"]}, "large", data_set)
    assert again.means()["other"]["psnr"] == means["psnr"]


@pytest.mark.parametrize(
    "name, fit", [("places2", "resize"), ("div2k", "crop"), ("folder", "crop")]
)
def test_places2_is_reduced_and_all_else_cropped(small_bench, name, fit):
    chosen = small_bench("s")
    (data_set,) = chosen.data_sets()
    scored = chosen.scores(
        {"same": lambda image, mask: image}, "large", data_set._replace(name=name)
    )
    for case, path in zip(scored.cases, data_set.paths):
        wanted = protocol.FITS[fit](convert.read_rgb(path), chosen.image_size)
        assert (convert.read_rgb(case.image) == wanted).all()


def test_predictions_of_others(tmp_path, small_bench):
    for folder in ("deepfill/div2k/small", "flat"):
        (tmp_path / folder).mkdir(parents=True)
    given = [str(tmp_path / name) for name in ("deepfill", "flat")]
    chosen = small_bench("s", predictions=given)
    (data_set,) = chosen.data_sets()
    found = chosen.others(data_set, "small")
    assert found["deepfill"] == tmp_path / "deepfill" / "div2k" / "small"
    assert found["flat"] == tmp_path / "flat"
    with pytest.raises(UserError, match="flat has no prediction for 0801"):
        chosen.scores({"flat": found["flat"]}, "small", data_set)
    with pytest.raises(UserError, match="--predictions=nowhere is not a folder"):
        Bench("s", predictions=["nowhere"]).others(data_set, "small")
