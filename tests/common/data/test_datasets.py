"""Listing photographs: every layout that is accepted, the order, and what is said when nothing is found."""

from __future__ import annotations

import os
import pathlib
import sys

import cv2
import numpy as np
import pytest

from common.data import datasets, held_out
from common.errors import UsageError, UserError
from common.images import convert


def _touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def _listed(root, name, split):
    found = datasets.files(name, str(root), split)
    return [pathlib.Path(path).relative_to(root).as_posix() for path in found]


def _refused(*arguments):
    with pytest.raises(UserError) as error:
        datasets.files(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_images_below_are_sorted_and_hidden_ones_left_out(tmp_path):
    wanted = ["B.JPG", "a.jpeg", "b/10.png", "b/9.webp", "b/c/d.tif", "e.bmp", "f.TIFF", "g.h.png"]
    others = ["._a.jpg", ".hidden.png", ".git/x.png", "b/.cache/x.png", "notes.txt", "jpg", "x.gif"]
    _touch(tmp_path, *wanted, *others)
    (tmp_path / "folder.png").mkdir()
    found = [
        pathlib.Path(p).relative_to(tmp_path).as_posix() for p in datasets.images_below(tmp_path)
    ]
    assert found == sorted(wanted)


def test_links_to_files_are_listed_and_links_to_folders_not_followed(tmp_path):
    _touch(tmp_path, "photographs/a.jpg", "list/folder.jpg/b.jpg")
    (tmp_path / "list" / "c.jpg").symlink_to(tmp_path / "photographs" / "a.jpg")
    (tmp_path / "list" / "again.jpg").symlink_to(tmp_path)
    expected = [str(tmp_path / "list" / name) for name in ("c.jpg", "folder.jpg/b.jpg")]
    assert datasets.images_below(tmp_path / "list") == expected


def test_paths_are_in_the_order_of_whole_paths(tmp_path):
    names = ["a-b/2.jpg", "a.jpg", "a.jpg-/0.jpg", "a/1.jpg", "a0/1.jpg", "b.jpg", "b/a/1.jpg"]
    _touch(tmp_path, *names)
    expected = sorted(str(tmp_path / name) for name in names)
    assert datasets.images_below(tmp_path) == expected


def test_a_missing_or_empty_folder_has_no_images(tmp_path):
    assert datasets.images_below(tmp_path) == []
    assert datasets.images_below(tmp_path / "gone") == []


def test_a_folder_without_splits_is_every_split(tmp_path):
    _touch(tmp_path, "b.png", "deep/a.jpg")
    for split in datasets.SPLITS:
        assert _listed(tmp_path, "folder", split) == ["b.png", "deep/a.jpg"]


def _in_training(root, name="folder"):
    found = datasets.training(name, str(root))
    return (*(_relative(root, paths) for paths in (found.train, found.validation)), found.note)


def _relative(root, paths):
    return [pathlib.Path(path).relative_to(root).as_posix() for path in paths]


def test_a_folder_without_splits_never_trains_on_what_it_validates_on(tmp_path):
    names = [f"{chr(97 + i % 3)}/{i:04d}.jpg" for i in range(400)]
    _touch(tmp_path, *names)
    train, validation, note = _in_training(tmp_path)
    assert train == sorted(train) and sorted(train + validation) == sorted(names)
    # Of 400 with probability 0.05: 20, deviation 4.4.
    assert 7 < len(validation) < 33
    assert f"{len(train)} photographs to train on; {len(validation)} others" in note
    assert "held out" in note
    # What was written down holds everywhere and for ever: other hashes would train on what was held out.
    assert validation[:3] == ["b/0310.jpg", "b/0388.jpg", "a/0162.jpg"]
    assert {name[0] for name in validation[:8]} == set("abc")


def test_a_photograph_keeps_its_side_when_others_come_and_wherever_the_folder_lies(tmp_path):
    names = [f"{i}.png" for i in range(300)]
    _touch(tmp_path / "before", *names[::3])
    _touch(tmp_path / "elsewhere" / "after", *names)
    before, after = _in_training(tmp_path / "before"), _in_training(tmp_path / "elsewhere/after")
    assert len(before[1]) > 1
    assert set(before[0]) < set(after[0]) and set(before[1]) < set(after[1])


@pytest.mark.parametrize("count", range(2, 30))
def test_one_photograph_at_least_is_held_out_and_one_trained_on(tmp_path, count):
    _touch(tmp_path, *(f"{count}-{i}.jpg" for i in range(count)))
    train, validation, _ = _in_training(tmp_path)
    assert train and validation and len(train) + len(validation) == count


def test_a_single_photograph_is_trained_on_and_validated_on_and_says_so(tmp_path):
    _touch(tmp_path, "a.jpg")
    train, validation, note = _in_training(tmp_path)
    assert train == validation == ["a.jpg"]
    assert "single photograph" in note and "validation uses it too" in note


def test_splits_that_are_there_are_kept_and_missing_ones_made(tmp_path):
    split = tmp_path / "split"
    _touch(split, "train/a.jpg", "train/b.jpg", "validation/c.jpg", "test/d.jpg")
    assert _in_training(split) == (
        *(["train/a.jpg", "train/b.jpg"], ["validation/c.jpg"]),
        "2 photographs to train on, 1 for validation",
    )
    names = [f"{i:04d}.png" for i in range(100)]
    for name, folder in (("div2k", "DIV2K_train_HR"), ("folder", "train"), ("places2", "train")):
        _touch(tmp_path / name / folder, *names)
        train, validation, note = _in_training(tmp_path / name, name)
        assert sorted(train + validation) == [f"{folder}/{x}" for x in names]
        assert validation and f"{len(validation)} others" in note
    _touch(tmp_path / "div2k" / "DIV2K_valid_HR", "0801.png")
    train, validation, note = _in_training(tmp_path / "div2k", "div2k")
    assert len(train) == 100 and validation == ["DIV2K_valid_HR/0801.png"]
    assert note == "100 photographs to train on, 1 for validation"


def test_scoring_takes_the_whole_folder(tmp_path):
    _touch(tmp_path, *(f"{i}.png" for i in range(100)))
    for split in datasets.SPLITS:
        assert len(datasets.files("folder", str(tmp_path), split)) == 100


def test_names_are_the_same_on_every_system():
    composed, decomposed = "caf\u00e9/1.jpg", "cafe\u0301/1.jpg"
    assert held_out._hash(composed) == held_out._hash(decomposed)
    assert held_out._hash("a/1.jpg") != held_out._hash("1.jpg")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names must be text")
def test_names_that_are_no_text_are_on_a_side(tmp_path):
    _touch(tmp_path, os.fsdecode(b"\xff\xe9.jpg"), "a.jpg")
    found = datasets.training("folder", str(tmp_path))
    assert len(found.train) == len(found.validation) == 1


def test_a_folder_with_splits_keeps_them_apart(tmp_path):
    _touch(tmp_path, "train/a.png", "train/x/b.png", "validation/c.png", "test/d.png", "stray.png")
    assert _listed(tmp_path, "folder", "train") == ["train/a.png", "train/x/b.png"]
    assert _listed(tmp_path, "folder", "validation") == ["validation/c.png"]
    assert _listed(tmp_path, "folder", "test") == ["test/d.png"]


def test_a_folder_with_some_splits_does_not_score_on_what_it_trains_on(tmp_path):
    _touch(tmp_path, "train/a.png")
    assert _listed(tmp_path, "folder", "train") == ["train/a.png"]
    for split in ("validation", "test"):
        assert split in _refused("folder", str(tmp_path), split)


def test_div2k(tmp_path):
    _touch(
        tmp_path, "DIV2K_train_HR/0002.png", "DIV2K_train_HR/0001.png", "DIV2K_valid_HR/0801.png"
    )
    assert _listed(tmp_path, "div2k", "train") == [
        "DIV2K_train_HR/0001.png",
        "DIV2K_train_HR/0002.png",
    ]
    for split in ("validation", "test"):  # test images are not public
        assert _listed(tmp_path, "div2k", split) == ["DIV2K_valid_HR/0801.png"]


PLACES2 = {
    "train": (
        "places365_standard/train/a/airfield/1.jpg",
        "data_large_standard/a/airfield/1.jpg",
        "data_256_standard/a/airfield/1.jpg",
        "data_large/a/airfield/1.jpg",
        "data_256/a/airfield/1.jpg",
        "train/a/airfield/1.jpg",
    ),
    "validation": (
        "places365_standard/val/airfield/1.jpg",
        "val_large/1.jpg",
        "val_256/1.jpg",
        "val/1.jpg",
    ),
    "test": ("test_large/1.jpg", "test_256/1.jpg", "test/1.jpg"),
}


@pytest.mark.parametrize("split", datasets.SPLITS)
def test_places2_in_each_of_its_archives_layouts(tmp_path, split):
    for number, name in enumerate(PLACES2[split]):
        root = tmp_path / str(number)
        _touch(root, name, "filelist.txt", "other/x.jpg")
        assert _listed(root, "places2", split) == [name]
        for other in set(datasets.SPLITS) - {split}:
            assert other in _refused("places2", str(root), other)


@pytest.mark.parametrize("split", datasets.SPLITS)
def test_places2_takes_one_resolution_the_larger(tmp_path, split):
    _touch(tmp_path, *PLACES2[split])
    assert _listed(tmp_path, "places2", split) == [PLACES2[split][0]]
    _touch(tmp_path / "b", *PLACES2[split][1:])
    (tmp_path / "b" / "places365_standard" / "train").mkdir(parents=True)  # empty: the next counts
    (tmp_path / "b" / "places365_standard" / "val").mkdir(parents=True)
    assert _listed(tmp_path / "b", "places2", split) == [PLACES2[split][1]]


@pytest.fixture
def package(tmp_path):
    """The layout of the test package of Zoom-to-Inpaint's authors."""
    _touch(
        tmp_path,
        *("image/2.png", "image/1.png"),
        *("mask/small/1.png", "mask/small/2.png", "mask/large/1.png", "mask/large/2.png"),
    )
    return tmp_path


@pytest.mark.parametrize("name", ["folder", "div2k", "places2"])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_test_package_gives_its_images_alone(package, name, split):
    assert _listed(package, name, split) == ["image/1.png", "image/2.png"]


@pytest.mark.parametrize("name", ["folder", "div2k", "places2"])
def test_masks_of_a_test_package_are_never_trained_on(package, name):
    try:
        found = _listed(package, name, "train")
    except UserError:
        return
    assert not [path for path in found if path.startswith("mask/")]


def test_masks_of_a_test_package(package, tmp_path):
    for kind in ("small", "large"):
        assert datasets.package_masks(str(package), kind) == str(package / "mask" / kind)
    assert datasets.package_masks(str(package), "irregular") is None
    for other in (None, "", str(package / "image"), str(tmp_path / "gone")):
        assert datasets.package_masks(other, "small") is None


def test_an_ordinary_folder_has_no_package_masks(tmp_path):
    _touch(tmp_path, "mask/small/1.png", "photos/1.png")
    assert datasets.package_masks(str(tmp_path), "small") is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("div2k", ["DIV2K_train_HR/", "DIV2K_valid_HR/", "ETH Zurich"]),
        (
            "places2",
            ["data_large/", "val_large/", "test_large/", "places365_standard/train/", "MIT"],
        ),
        ("folder", [".jpg"]),
    ],
)
def test_missing_data_says_what_was_expected_and_who_publishes_it(tmp_path, name, words):
    for data_dir in (None, "", str(tmp_path / "gone"), str(tmp_path)):
        message = _refused(name, data_dir, "train")
        for word in (*words, "--data_dir"):
            assert word in message
        assert not data_dir or data_dir in message


OWN = {"places2_dir": "p", "div2k_dir": "d"}
VARIABLES = {"PLACES2_DIR": "P", "DIV2K_DIR": "D"}


@pytest.mark.parametrize(
    ("name", "given", "variables", "expected"),
    [
        ("places2", OWN, VARIABLES, ("p", "--places2_dir")),
        ("div2k", OWN, VARIABLES, ("d", "--div2k_dir")),
        ("div2k", {"data_dir": "x", **OWN}, VARIABLES, ("x", "--data_dir")),
        ("div2k", {"data_dir": "x", "div2k_dir": None}, {}, ("x", "--data_dir")),
        ("div2k", {"data_dir": None, "div2k_dir": None}, VARIABLES, ("D", "DIV2K_DIR")),
        ("places2", {"data_dir": "", "places2_dir": ""}, VARIABLES, ("P", "PLACES2_DIR")),
        ("div2k", {"places2_dir": "p"}, {"PLACES2_DIR": "P"}, (None, "--data_dir")),
        ("div2k", {}, {"DIV2K_DIR": ""}, (None, "--data_dir")),
        ("folder", OWN, {**VARIABLES, "FOLDER_DIR": "F"}, (None, "--data_dir")),
        ("sample", OWN, {**VARIABLES, "SAMPLE_DIR": "S"}, (None, "--data_dir")),
    ],
)
def test_where_a_data_set_lies(monkeypatch, name, given, variables, expected):
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert datasets.place(name, given) == expected


def test_a_folder_that_nothing_names_is_a_matter_of_flags_and_a_wrong_one_says_who_named_it():
    with pytest.raises(UsageError, match=r"--data_dir=FOLDER, --div2k_dir=FOLDER or .* DIV2K_DIR"):
        datasets.files("div2k", None, "test")
    with pytest.raises(UsageError, match=r"--dataset=folder needs --data_dir=FOLDER\."):
        datasets.files("folder", None, "test")
    for said_by in ("--div2k_dir", "DIV2K_DIR"):
        for folder, what in (("gone", "is not a folder"), (os.curdir, "")):
            message = _refused("div2k", folder, "train", said_by)
            assert f"{said_by}={folder}" in message and what in message
            assert f"--{said_by}={folder}" not in message


def test_unknown_names_are_listed(tmp_path):
    message = _refused("imagenet", str(tmp_path), "train")
    assert all(word in message for word in ("imagenet", *datasets.NAMES))
    message = _refused("folder", str(tmp_path), "val")
    assert all(word in message for word in ("val", *datasets.SPLITS))


def _sample(split):
    return datasets.files("sample", None, split)


def test_every_sample_photograph_is_there_and_can_be_read():
    for split in datasets.SPLITS:
        paths = [pathlib.Path(path) for path in _sample(split)]
        assert [path.name for path in paths] == list(datasets._SAMPLE[split])
        for path in paths:
            assert min(convert.read_rgb(path).shape[:2]) >= 128


def test_no_sample_is_in_two_splits():
    """So that the best of a run, chosen by validation, is not chosen by the photographs that evaluate.py scores."""
    names = [pathlib.Path(path).name for split in datasets.SPLITS for path in _sample(split)]
    assert len(set(names)) == len(names)
    found = datasets.training("sample", None)
    assert (found.train, found.validation) == (_sample("train"), _sample("validation"))
    assert found.note == "9 photographs to train on, 2 for validation"


def test_samples_for_training_do_not_show_the_scenes_for_scoring():
    # The two pictures of a stereo pair have different names and nearly the same content.
    def thumbnails(paths):
        grays = [cv2.cvtColor(convert.read_rgb(path), cv2.COLOR_RGB2GRAY) for path in paths]
        small = [cv2.resize(gray, (16, 16), interpolation=cv2.INTER_AREA) for gray in grays]
        return np.array([(x - x.mean()).ravel() / np.linalg.norm(x - x.mean()) for x in small])

    alike = thumbnails(_sample("train")) @ thumbnails(_sample("test") + _sample("validation")).T
    assert alike.max() < 0.8  # a stereo pair has 0.86, unrelated photographs at most 0.42
