"""Long lists of paths: the order of whole paths, nothing lost on the way through bytes, little memory."""

from __future__ import annotations

import os
import sys
import tracemalloc

import numpy as np
import pytest

from common.data import path_list

ENDINGS = (".jpg", ".png")


def _slow_twin(folder):
    """The same by os.walk and a sort of whole paths."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".")]
        found += [
            os.path.join(parent, name)
            for name in names
            if name.lower().endswith(ENDINGS) and not name.startswith(".")
        ]
    return sorted(found)


def _touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_a_random_tree_is_listed_as_by_walking_and_sorting(tmp_path):
    # Few letters, some of them before and after the slash in the alphabet, so that names are prefixes of others.
    rng, letters = np.random.default_rng(0), np.array(list("ab-.0 é"))
    for _ in range(400):
        parts = [
            "".join(rng.choice(letters, rng.integers(1, 4))) for _ in range(rng.integers(1, 4))
        ]
        if any(part in (".", "..") for part in parts):
            continue
        name = "/".join(parts) + str(rng.choice([".jpg", ".PNG", ".txt", ""]))
        if not any((tmp_path / name).joinpath(*up).is_file() for up in ([], [".."])):
            try:
                _touch(tmp_path, name)
            except OSError:  # a file stands where a folder would be
                continue
    expected = _slow_twin(tmp_path)
    assert len(expected) > 100 and len({os.path.dirname(p) for p in expected}) > 50
    assert list(path_list.files_below(tmp_path, ENDINGS)) == expected
    assert list(path_list.files_below(f"{tmp_path}/", ENDINGS)) == _slow_twin(f"{tmp_path}/")


def test_files_and_folders_are_in_the_order_of_whole_paths(tmp_path):
    names = [
        "a-b/2.jpg",
        "a.jpg",
        "a.jpg-/0.jpg",
        "a/1.jpg",
        "a0/1.jpg",
        "b.jpg",
        "b/a/1.jpg",
        "b/b.jpg",
    ]
    _touch(tmp_path, *names)
    found = path_list.files_below(tmp_path, ENDINGS)
    assert found == sorted(str(tmp_path / name) for name in names)


def test_links_to_files_are_listed_and_links_to_folders_not_followed(tmp_path):
    _touch(tmp_path, "photographs/a.jpg", "list/folder.jpg/b.jpg")
    (tmp_path / "list" / "c.jpg").symlink_to(tmp_path / "photographs" / "a.jpg")
    (tmp_path / "list" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "list" / "again").symlink_to(tmp_path)
    expected = _slow_twin(tmp_path / "list")
    assert [os.path.basename(path) for path in expected] == ["c.jpg", "b.jpg", "gone.jpg"]
    assert path_list.files_below(tmp_path / "list", ENDINGS) == expected


def test_it_is_a_sequence():
    found, expected = path_list.PathList(), []
    for folder, names in (
        ("/x", ["1.jpg", "é.jpg"]),
        ("", ["2.png"]),
        ("/y/", []),
        ("/x", ["3.png"]),
    ):
        found.extend(folder, names)
        expected += [os.path.join(folder, name) for name in names]
    assert len(found) == 4 and list(found) == expected and found == expected
    assert [found[i] for i in (-1, 0, np.int64(2), -4)] == [expected[i] for i in (-1, 0, 2, -4)]
    assert found[1:3] == expected[1:3] and found[::-2] == expected[::-2] and found[9:] == []
    assert found != expected[:3] and found != expected[::-1] and found != "x"
    assert expected[2] in found and found.index(expected[1]) == 1
    assert not path_list.PathList() and found
    for index in (4, -5):
        with pytest.raises(IndexError):
            found[index]


def test_some_of_a_list_are_a_list_again():
    found, expected = path_list.PathList(), []
    for folder, names in (("/x", ["1.jpg", "é.jpg"]), ("", ["2.png"]), ("/x", ["3.png", "4.png"])):
        found.extend(folder, names)
        expected += [os.path.join(folder, name) for name in names]
    for numbers in ([], [0], [1, 2], [0, 3], [2, 3, 4], range(5)):
        some = found.chosen(np.array(numbers, int))
        assert isinstance(some, path_list.PathList) and some == [expected[i] for i in numbers]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names must be text")
def test_names_that_are_no_text_come_back(tmp_path):
    name = os.fsdecode(b"\xff\xe9.jpg")
    _touch(tmp_path, name, "a.jpg")
    found = path_list.files_below(tmp_path, ENDINGS)
    assert found == sorted([str(tmp_path / "a.jpg"), str(tmp_path / name)])
    assert all(os.path.exists(path) for path in found)


def test_a_long_list_takes_the_bytes_of_its_names_and_little_more():
    names = [f"{number:08d}.jpg" for number in range(5000)]
    tracemalloc.start()
    try:
        found = path_list.PathList()
        for number in range(40):
            found.extend(f"/data/places2/data_large/a/category_{number}", names)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == 200_000
    # 12 letters, a zero, 8 bytes of its end, 4 of its folder: 25 each, and what growing arrays hold in reserve.
    assert held < 35 * len(found)
    assert found[123_456] == "/data/places2/data_large/a/category_24/00003456.jpg"
