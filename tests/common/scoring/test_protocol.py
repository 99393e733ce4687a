"""The evaluation protocol: the set is a function of (image, seed, i), files are scored as written, gaps are named."""

from __future__ import annotations

import json
import math
import pathlib

import cv2
import numpy as np
import pytest

from common.errors import UserError
from common.filling import photographs
from common.images import convert
from common.images import grid as pictures
from common.scoring import protocol

SIZE = 32


def _noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def paths(tmp_path):
    """Four photographs of different sizes; two share their stem."""
    found = []
    shapes = {
        "a/cat.png": (40, 60),
        "a/dog.png": (50, 33),
        "b/cat.png": (32, 32),
        "b/elk.png": (20, 30),
    }
    for seed, (name, shape) in enumerate(shapes.items()):
        convert.write_png(tmp_path / "photographs" / name, _noise(*shape, seed))
        found.append(str(tmp_path / "photographs" / name))
    return found


def _make(paths, folder, masks="irregular", size=SIZE, seed=0):
    return protocol.make_set(paths, masks, None, size, seed, folder)


def _files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.png"))
    }


def _identity(image, mask):
    return image


def _black(image, mask):
    return np.where(mask[..., None] != 0, np.uint8(0), image)


# --- the set


@pytest.mark.parametrize(
    ("shape", "top", "left"),
    [((40, 60), 4, 14), ((33, 50), 0, 9), ((32, 32), 0, 0), ((61, 32), 14, 0)],
)
def test_center_crop_is_the_middle(shape, top, left):
    image = _noise(*shape)
    crop = protocol.center_crop(image, SIZE)
    np.testing.assert_array_equal(crop, image[top : top + SIZE, left : left + SIZE])


def test_size_0_keeps_the_whole_photograph():
    image = _noise(20, 70)
    np.testing.assert_array_equal(protocol.center_crop(image, 0), image)


def test_resized_pictures_are_the_middle_squares_scaled(tmp_path):
    convert.write_png(tmp_path / "wide.png", _noise(64, 100, 3))
    paths = [str(tmp_path / "wide.png")]
    (case,) = protocol.make_set(paths, "irregular", None, 32, 0, tmp_path / "set", "resize")
    middle = _noise(64, 100, 3)[:, 18:82].astype(np.float64)
    wanted = middle.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(convert.read_rgb(case.image) - wanted).max() <= 0.5
    assert json.loads((tmp_path / "set" / "masks" / "set.json").read_text())["fit"] == "resize"
    assert protocol.middle_square(_noise(20, 30, 0), 40).shape == (40, 40, 3)
    assert protocol.middle_square(_noise(20, 30, 0), 0).shape == (20, 30, 3)


@pytest.mark.parametrize("shape", [(16, 20), (31, 90), (1, 1), (40, 5)])
def test_center_crop_enlarges_smaller_photographs(shape):
    ramp = np.zeros((*shape, 3), np.uint8)
    ramp[..., 1], ramp[..., 2] = 2 * np.arange(shape[1]), 4 * np.arange(shape[0])[:, None]
    crop = protocol.center_crop(ramp, SIZE)
    assert crop.shape == (SIZE, SIZE, 3) and crop.dtype == np.uint8
    # Not transposed, and its middle is the photograph's (to an eighth of the range, for rounding).
    for channel, top in ((1, 2 * (shape[1] - 1)), (2, 4 * (shape[0] - 1))):
        assert abs(crop[..., channel].mean() - top / 2) <= max(1, top / 8)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["x/a.png", "y/b.jpg"], ["a", "b"]),
        (["x/a.png", "y/a.png", "z/a.jpg"], ["a", "a_2", "a_3"]),
        (["a.b.png", "a.png"], ["a.b", "a"]),
    ],
)
def test_names_are_stems(given, names):
    assert protocol._unique_names(given) == names


@pytest.mark.parametrize(
    "stems",
    [["a", "a", "a_2"], ["a_2", "a", "a"], ["a", "a", "a_2", "a_2"], ["a_2_2", "a_2", "a_2"]],
)
def test_names_are_unique_whatever_the_stems(stems):
    # Otherwise one image of the set would silently replace another.
    names = protocol._unique_names([f"{i}/{stem}.png" for i, stem in enumerate(stems)])
    assert len(set(names)) == len(stems)


def test_a_set_is_written_as_it_is_described(paths, tmp_path):
    folder = tmp_path / "set"
    cases = _make(paths, folder, size=SIZE, seed=3)
    assert [case.name for case in cases] == ["cat", "dog", "cat_2", "elk"]
    assert set(_files(folder)) == {
        f"{part}/{case.name}.png" for part in ("images", "masks") for case in cases
    }
    for case, path in zip(cases, paths):
        crop = protocol.center_crop(convert.read_rgb(path), SIZE)
        np.testing.assert_array_equal(convert.read_rgb(case.image), crop)
        levels = cv2.imread(str(case.mask), cv2.IMREAD_UNCHANGED)
        assert levels.shape == (SIZE, SIZE) and set(np.unique(levels)) == {0, 255}
    about = json.loads((folder / "masks" / "set.json").read_text())
    assert (about["masks"], about["seed"], about["size"]) == ("irregular", 3, SIZE)
    assert about["images"] == dict(zip((case.name for case in cases), paths))


def test_a_set_is_reproducible_and_seeds_differ(paths, tmp_path):
    sets = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        _make(paths, tmp_path / name, seed=seed)
        sets.append(_files(tmp_path / name))
    assert sets[0] == sets[1]
    for name in sets[0]:
        assert (sets[0][name] == sets[2][name]) == name.startswith("images/"), name
    masks = [content for name, content in sets[0].items() if name.startswith("masks/")]
    assert len(set(masks)) == len(paths)


def test_image_i_has_its_hole_whatever_else_is_evaluated(paths, tmp_path):
    _make(paths, tmp_path / "all")
    _make(paths[:2], tmp_path / "some")
    _make([paths[0], paths[3]], tmp_path / "other")
    found, some, other = (_files(tmp_path / name) for name in ("all", "some", "other"))
    assert some == {name: found[name] for name in some}
    assert other["masks/elk.png"] == found["masks/dog.png"]  # by position, not by content


def test_whole_photographs_have_holes_of_their_size(paths, tmp_path):
    for case, path in zip(_make(paths, tmp_path / "set", size=0), paths):
        shape = convert.read_rgb(path).shape
        assert convert.read_rgb(case.image).shape == shape
        assert photographs.read_mask(case.mask).shape == shape[:2]


def _mask_folder(tmp_path, **columns):
    """Masks whose hole is one column."""
    for name, column in columns.items():
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[:, column] = 255
        convert.write_png(tmp_path / "holes" / f"{name}.png", mask)
    return str(tmp_path / "holes")


def _columns(cases):
    masks = [photographs.read_mask(case.mask) for case in cases]
    assert all(mask.sum() == SIZE for mask in masks)
    return [int(mask[0].argmax()) for mask in masks]


def test_masks_of_a_folder_go_to_the_photographs_of_their_name(paths, tmp_path):
    folder = _mask_folder(tmp_path, aaa=1, elk=2, dog=3, cat=4, cat_2=5)
    assert _columns(_make(paths, tmp_path / "set", masks=folder)) == [4, 3, 5, 2]
    assert _columns(_make(paths[1:2], tmp_path / "one", masks=folder)) == [3]


def test_masks_of_other_names_are_taken_in_turn(paths, tmp_path):
    folder = _mask_folder(tmp_path, m0=7, m1=8, m2=9)
    assert _columns(_make(paths, tmp_path / "set", masks=folder)) == [7, 8, 9, 7]
    assert _columns(_make(paths[:2], tmp_path / "two", masks=folder, seed=5)) == [7, 8]


def test_an_empty_mask_of_a_folder_is_named(paths, tmp_path):
    convert.write_png(tmp_path / "holes" / "cat.png", np.zeros((SIZE, SIZE), np.uint8))
    with pytest.raises(UserError, match=r"cat\.png"):
        _make(paths, tmp_path / "set", masks=str(tmp_path / "holes"))


# --- painting and scoring


@pytest.fixture
def cases(paths, tmp_path):
    return _make(paths, tmp_path / "set")


def test_a_perfect_painter_has_perfect_scores(cases, tmp_path):
    seconds = protocol.paint(cases, _identity, tmp_path / "identity", "identity")
    scores = protocol.score(cases, tmp_path / "identity", "identity", "irregular", seconds)
    assert [score.name for score in scores] == [case.name for case in cases]
    for score, case in zip(scores, cases):
        assert (score.method, score.masks) == ("identity", "irregular")
        assert score.metrics["psnr"] == math.inf
        assert abs(score.metrics["ssim"] - 1) < 1e-6 and abs(score.metrics["ms_ssim"] - 1) < 1e-6
        assert score.metrics["l1_fraction"] == score.metrics["l1_percent"] == 0
        assert score.metrics["seconds"] == seconds[case.name] >= 0
        assert score.hole_fraction == photographs.read_mask(case.mask).mean() > 0


def test_scores_are_those_of_the_files_over_the_whole_picture(cases, tmp_path):
    protocol.paint(cases, _black, tmp_path / "black", "black")
    scores = protocol.score(cases, tmp_path / "black", "black", "irregular")
    for score, case in zip(scores, cases):
        truth, result = (
            convert.read_rgb(p) for p in (case.image, tmp_path / f"black/{case.name}.png")
        )
        hole = photographs.read_mask(case.mask) != 0
        assert not result[hole].any() and np.array_equal(result[~hole], truth[~hole])
        error = truth.astype(float) - result
        assert abs(score.metrics["psnr"] - 10 * np.log10(255**2 / np.mean(error**2))) < 1e-6
        assert abs(score.metrics["l1_fraction"] - np.abs(error).mean() / 255) < 1e-9
        assert "seconds" not in score.metrics


def test_a_painter_is_warmed_up_and_gets_image_and_mask(cases, tmp_path):
    seen = []

    def painter(image, mask):
        seen.append((image.copy(), mask.copy()))
        return image

    seconds = protocol.paint(cases, painter, tmp_path / "x", "x")
    assert list(seconds) == [case.name for case in cases]
    assert len(seen) == len(cases) + 1  # the first is not timed
    for (image, mask), case in zip(seen[1:], cases):
        np.testing.assert_array_equal(image, convert.read_rgb(case.image))
        np.testing.assert_array_equal(mask, photographs.read_mask(case.mask))
        assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 1}


def test_results_of_another_program_may_be_of_another_format(cases, tmp_path):
    (tmp_path / "theirs").mkdir()
    for case in cases:
        bgr = cv2.cvtColor(convert.read_rgb(case.image), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(tmp_path / "theirs" / f"{case.name}.bmp"), bgr)
    scores = protocol.score(cases, tmp_path / "theirs", "theirs", "irregular")
    assert all(score.metrics["psnr"] == math.inf for score in scores)


def test_a_missing_prediction_is_named(cases, tmp_path):
    protocol.paint(cases, _identity, tmp_path / "x", "x")
    (tmp_path / "x" / "dog.png").unlink()
    for work in (
        lambda: protocol.score(cases, tmp_path / "x", "x", "irregular"),
        lambda: protocol.picture_grid(cases, {"x": tmp_path / "x"}, tmp_path / "grid.png"),
    ):
        with pytest.raises(UserError) as error:
            work()
        message = str(error.value)
        assert str(tmp_path / "x") in message and "dog.png" in message and "\n" not in message
    assert not (tmp_path / "grid.png").exists()


def test_a_prediction_of_another_size_is_named(cases, tmp_path):
    protocol.paint(cases, _identity, tmp_path / "x", "x")
    convert.write_png(tmp_path / "x" / "dog.png", _noise(30, 31))
    with pytest.raises(UserError) as error:
        protocol.score(cases, tmp_path / "x", "x", "irregular")
    message = str(error.value)
    assert "dog.png is 31x30" in message and f"{SIZE}x{SIZE}" in message and "\n" not in message


def test_a_prediction_that_is_no_image_is_named(cases, tmp_path):
    protocol.paint(cases, _identity, tmp_path / "x", "x")
    (tmp_path / "x" / "elk.png").write_text("hello")
    with pytest.raises(UserError, match=r"elk\.png"):
        protocol.score(cases, tmp_path / "x", "x", "irregular")


# --- the grid of pictures


def test_the_grid_has_input_methods_and_truth_as_columns(cases, tmp_path, monkeypatch):
    shown = []

    def grid(rows, labels):
        shown.append((rows, labels))
        return real(rows, labels)

    real = pictures.grid
    monkeypatch.setattr(pictures, "grid", grid)
    folders = {"identity": tmp_path / "identity", "black": tmp_path / "black"}
    for painter, folder in zip((_identity, _black), folders.values()):
        protocol.paint(cases, painter, folder, "")
    protocol.picture_grid(cases, folders, tmp_path / "out" / "pictures.png", most=3)
    [(rows, labels)] = shown
    assert labels == ["input", "identity", "black", "truth"] and len(rows) == 3
    for row, case in zip(rows, cases):
        truth, mask = convert.read_rgb(case.image), photographs.read_mask(case.mask)
        for picture, expected in zip(
            row, (pictures.paint_hole(truth, mask), truth, _black(truth, mask), truth)
        ):
            np.testing.assert_array_equal(picture, expected)
    written = convert.read_rgb(pathlib.Path(tmp_path / "out" / "pictures.png"))
    np.testing.assert_array_equal(written, real(rows, labels))
