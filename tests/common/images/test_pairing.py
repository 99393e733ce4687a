"""Which mask goes with which photograph, where the result goes, and what is refused before any work starts."""

from __future__ import annotations

import os
import pathlib
import types

import pytest

from common.errors import UserError
from common.filling import photographs
from common.images import pairing


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _touch(*names):
    for name in names:
        path = pathlib.Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def _pairs(image, mask, output="out"):
    found = pairing.pairs(image, mask, output)
    return [tuple(path and path.as_posix() for path in pair) for pair in found]


def _refused(*arguments):
    with pytest.raises(UserError) as error:
        pairing.pairs(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- one photograph


def test_a_file_and_a_file_to_a_file():
    _touch("dog.jpg", "hole.png")
    assert _pairs("dog.jpg", "hole.png", "new/x.webp") == [("dog.jpg", "hole.png", "new/x.webp")]


def test_a_file_and_a_file_to_a_folder():
    _touch("dog.jpg", "hole.png")
    assert _pairs("dog.jpg", "hole.png", "out") == [("dog.jpg", "hole.png", "out/dog.png")]
    pathlib.Path("out.d").mkdir()  # it is there, so its dot is no extension
    assert _pairs("dog.jpg", "hole.png", "out.d") == [("dog.jpg", "hole.png", "out.d/dog.png")]


def test_a_file_finds_its_mask_in_a_folder():
    _touch("dog.jpg", "cat.jpg", "masks/cat.png", "masks/dog.png", "masks/dog2.png")
    assert _pairs("dog.jpg", "masks", "x.png") == [("dog.jpg", "masks/dog.png", "x.png")]


def test_a_file_finds_numbered_masks_beside_it():
    _touch("a/dog.png", "a/dog_mask000.png", "a/dog_mask001.png", "a/cat.png", "a/cat_mask000.png")
    expected = [("a/dog.png", f"a/dog_mask{i}.png", f"out/dog_mask{i}.png") for i in ("000", "001")]
    assert _pairs("a/dog.png", None) == expected
    assert _pairs("a/dog.png", "a") == expected
    _touch("dog.png", "dog_mask.png")  # beside it, here
    assert _pairs("dog.png", None) == [("dog.png", "dog_mask.png", "out/dog_mask.png")]


def test_several_masks_do_not_fit_one_file():
    _touch("a/dog.png", "a/dog_mask000.png", "a/dog_mask001.png")
    message = _refused("a/dog.png", None, "x.png")
    assert "--output=x.png" in message and "2 masks" in message


# --- folders


def test_folders_go_by_stem_and_are_sorted():
    _touch("photos/b.jpg", "photos/a.png", "photos/c.JPEG", "photos/notes.txt")
    _touch("masks/c.png", "masks/a.jpg", "masks/b.png", "masks/other.png")
    assert _pairs("photos", "masks") == [
        ("photos/a.png", "masks/a.jpg", "out/a.png"),
        ("photos/b.jpg", "masks/b.png", "out/b.png"),
        ("photos/c.JPEG", "masks/c.png", "out/c.png"),
    ]


def test_stems_that_begin_alike_are_kept_apart():
    names = ("dog", "dog_2", "dog.old", "dog_mask_off")
    _touch(*(f"photos/{name}.jpg" for name in names), *(f"masks/{name}.png" for name in names))
    assert {
        (pathlib.Path(i).stem, pathlib.Path(m).stem) for i, m, _ in _pairs("photos", "masks")
    } == {(name, name) for name in names}


def test_numbered_masks_in_their_own_folder():
    _touch("photos/dog.jpg", "photos/cat.jpg")
    _touch("masks/dog_mask001.png", "masks/dog_mask000.png", "masks/cat_mask000.png")
    assert _pairs("photos", "masks") == [
        ("photos/cat.jpg", "masks/cat_mask000.png", "out/cat_mask000.png"),
        ("photos/dog.jpg", "masks/dog_mask000.png", "out/dog_mask000.png"),
        ("photos/dog.jpg", "masks/dog_mask001.png", "out/dog_mask001.png"),
    ]


@pytest.mark.parametrize("spelling", [None, "both", "both/", "./both", "absolute", "link"])
def test_masks_among_the_photographs(spelling):
    _touch("both/dog.png", "both/dog_mask000.png", "both/cat.png", "both/cat_mask000.png")
    if spelling == "absolute":
        spelling = os.path.abspath("both")
    elif spelling == "link":
        os.symlink("both", "link")
    found = [tuple(pathlib.Path(path).name for path in pair) for pair in _pairs("both", spelling)]
    assert found == [
        ("cat.png", "cat_mask000.png", "cat_mask000.png"),
        ("dog.png", "dog_mask000.png", "dog_mask000.png"),
    ]


def test_hidden_files_are_no_photographs():
    # macOS leaves a "._dog.jpg" beside every dog.jpg in archives and on other disks.
    _touch("photos/dog.jpg", "photos/._dog.jpg", "masks/dog.png", "masks/._dog.png")
    assert _pairs("photos", "masks") == [("photos/dog.jpg", "masks/dog.png", "out/dog.png")]


# --- refused


def test_a_missing_mask_is_named_with_the_names_it_may_have():
    _touch("photos/cat.jpg", "photos/dog.jpg", "masks/cat.png")
    message = _refused("photos", "masks", "out")
    assert all(word in message for word in ("dog.jpg", "masks", "dog.png", "dog_mask000.png"))


@pytest.mark.parametrize(
    ("image", "mask", "word"),
    [
        ("gone.png", "mask.png", "--image=gone.png"),
        ("dog.png", "gone.png", "--mask=gone.png"),
        ("gone", None, "--image=gone"),
        ("photos", "gone", "--mask=gone"),
    ],
)
def test_what_does_not_exist_is_named_with_its_flag(image, mask, word):
    _touch("dog.png", "mask.png", "photos/a.png")
    assert f"{word} does not exist" in _refused(image, mask, "out")


def test_one_mask_is_for_all_photographs_of_a_folder():
    _touch("photos/a.jpg", "photos/b.png", "mask.png")
    expected = [
        ("photos/a.jpg", "mask.png", "out/a.png"),
        ("photos/b.png", "mask.png", "out/b.png"),
    ]
    assert _pairs("photos", "mask.png") == expected


def test_without_masks_the_photographs_say_what_is_the_hole():
    _touch("one.png", "photos/a.png", "photos/b.png", "photos/b_mask000.png")
    assert _pairs("one.png", None, "x.png") == [("one.png", None, "x.png")]
    assert _pairs("photos", None) == [
        ("photos/a.png", None, "out/a.png"),
        ("photos/b.png", "photos/b_mask000.png", "out/b_mask000.png"),
    ]


def test_a_folder_of_photographs_to_one_file_is_refused():
    _touch("photos/a.png", "masks/a.png")
    message = _refused("photos", "masks", "x.png")
    assert "--output=x.png" in message and "folder" in message


def test_an_empty_folder_is_refused():
    pathlib.Path("photos").mkdir()
    _touch("masks/a.png", "photos/notes.txt")
    assert "--image=photos" in _refused("photos", "masks", "out")
    pathlib.Path("none").mkdir()
    _touch("photos/a.png")
    assert "a.png" in _refused("photos", "none", "out")


def test_two_photographs_of_one_name_are_refused():
    _touch("photos/dog.jpg", "photos/dog.png", "masks/dog.png")
    message = _refused("photos", "masks", "out")
    assert all(word in message for word in ("dog.jpg", "photos/dog.png", "out/dog.png"))


def test_two_masks_of_one_name_are_refused():
    _touch("dog.jpg", "masks/dog.bmp", "masks/dog.png")
    message = _refused("dog.jpg", "masks", "x.png")
    assert "dog.bmp" in message and "dog.png" in message


@pytest.mark.parametrize("output", ["out.gif", "out.txt", "dir.d/out.mp4"])
def test_an_output_that_cannot_be_written_is_found_before_any_work(output):
    _touch("dog.jpg", "hole.png")
    with pytest.raises(UserError) as error:  # as inpaint.py does
        for pair in pairing.pairs("dog.jpg", "hole.png", output):
            photographs.output_format(pair.output)
    assert output in str(error.value) and ".png" in str(error.value)


def test_the_name_of_a_mask_is_read_once_however_many_photographs_there_are(monkeypatch):
    """Otherwise a folder of 100,000 photographs would take hours."""
    _touch(*(f"photos/{i}.png" for i in range(40)), *(f"masks/{i}_mask000.png" for i in range(40)))
    numbered, read = pairing._NUMBERED, []
    counted = types.SimpleNamespace(match=lambda name: read.append(name) or numbered.match(name))
    monkeypatch.setattr(pairing, "_NUMBERED", counted)
    assert len(pairing.pairs("photos", "masks", "out")) == 40
    assert len(read) == 40
