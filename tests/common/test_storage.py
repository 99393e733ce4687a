"""A file is whole or absent, nothing else is left behind, and every failure is one line that names the target."""

from __future__ import annotations

import errno
import os
import pathlib
import stat

import pytest

from common import storage
from common.errors import UserError


def _tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture(params=["new", "old"])
def target(request, tmp_path):
    """A file to write, which is there already or not."""
    path = tmp_path / "picture.png"
    if request.param == "old":
        path.write_bytes(b"old")
    return path


def _state(path):
    return path.read_bytes() if path.exists() else None, _tree(path.parent)


def test_a_reader_sees_the_old_file_until_the_new_one_is_complete(target):
    before = _state(target)[0]
    with storage.atomic_path(target) as temporary:
        assert temporary.parent == target.parent and temporary.suffix == ".png"
        assert temporary.name.startswith(".")  # so that listings of images leave it out
        temporary.write_bytes(b"half")
        assert (target.read_bytes() if target.exists() else None) == before
        temporary.write_bytes(b"whole")
    assert _state(target) == (b"whole", ["picture.png"])


def test_folders_are_made_and_text_paths_work(tmp_path):
    storage.write_text(str(tmp_path / "a" / "b" / "c.txt"), "x")
    assert _tree(tmp_path) == ["a", "a/b", "a/b/c.txt"]
    assert (tmp_path / "a/b/c.txt").read_text() == "x"


def test_text_is_utf_8_and_comes_back(tmp_path):
    text = "PSNR ↑ 日本\n\nlast line without an end"
    storage.write_text(tmp_path / "table.md", text)
    assert (tmp_path / "table.md").read_bytes() == text.encode("utf-8")
    storage.write_text(tmp_path / "table.md", "")
    assert (tmp_path / "table.md").read_bytes() == b""


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, UserError])
def test_an_exception_passes_and_leaves_nothing(target, error):
    before = _state(target)
    with pytest.raises(error), storage.atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise error("stop")
    assert _state(target) == before


def test_a_removed_temporary_file_is_an_error_and_leaves_nothing(target):
    before = _state(target)
    with pytest.raises(UserError, match=r"picture\.png"), storage.atomic_path(target) as temporary:
        temporary.unlink()
    assert _state(target) == before


@pytest.mark.parametrize("stage", ["touch", "writing", "replace"])
def test_a_full_disk_is_one_line_and_leaves_nothing(target, monkeypatch, stage):
    before = _state(target)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def half(path, text, **_):
        path.write_bytes(text.encode()[:3])
        full()

    place, name, stand_in = {
        "touch": (pathlib.Path, "touch", full),
        "writing": (pathlib.Path, "write_text", half),
        "replace": (storage.os, "replace", full),
    }[stage]
    with monkeypatch.context() as patch:
        patch.setattr(place, name, stand_in)
        with pytest.raises(UserError) as error:
            storage.write_text(target, "content")
    assert str(target) in str(error.value) and "disk is full" in str(error.value)
    assert "\n" not in str(error.value)
    assert _state(target) == before


@pytest.mark.parametrize("below", ["out.png", "deep/out.png"])
def test_a_file_where_a_folder_should_be(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    target = tmp_path / "file" / below
    with pytest.raises(UserError) as error:
        storage.write_text(target, "x")
    assert str(target) in str(error.value) and "\n" not in str(error.value)
    assert _tree(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_may_not_be_written(target, monkeypatch):
    # Simulated: root, as in containers, may write everywhere.
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    before = _state(target)
    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "touch", refuse)
        with pytest.raises(UserError, match="Permission denied") as error:
            storage.write_text(target, "x")
    assert str(target) in str(error.value)
    assert _state(target) == before


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        storage.write_text(tmp_path / ("n" * 300 + ".txt"), "x")
    assert _tree(tmp_path) == []


def test_a_folder_as_target_is_refused_and_kept(tmp_path):
    (tmp_path / "results.png").mkdir()
    (tmp_path / "results.png" / "mine").write_text("x")
    with pytest.raises(UserError, match=r"results\.png is a folder"):
        storage.write_text(tmp_path / "results.png", "x")
    assert _tree(tmp_path) == ["results.png", "results.png/mine"]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_permissions_are_those_of_any_new_file(tmp_path, umask):
    previous = os.umask(umask)
    try:
        storage.write_text(tmp_path / "a.txt", "x")
        assert os.umask(umask) == umask
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~umask


def test_two_writers_do_not_share_a_temporary_file(target):
    with storage.atomic_path(target) as first:
        first.write_bytes(b"first")
        with storage.atomic_path(target) as second:
            assert first != second
            second.write_bytes(b"second")
        assert target.read_bytes() == b"second"
    assert _state(target) == (b"first", ["picture.png"])


def test_the_existing_part_of_a_path(tmp_path):
    (tmp_path / "file").write_text("")
    assert storage.existing_part(tmp_path / "a" / "b") == tmp_path
    assert storage.existing_part(tmp_path / "file" / "b") == tmp_path / "file"
