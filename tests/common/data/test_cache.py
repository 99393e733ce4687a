"""Caches of decoded photographs: what they keep, what they refuse, and that a folder survives other processes."""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest

from common.data import cache as decoded_cache
from common.data.cache import DiskCache, MemoryCache, NoCache
from common.errors import UserError

SHAPE = (20, 30, 3)
SIZE = 40 + 20 * 30 * 3  # of a kept file


@pytest.fixture
def photograph(tmp_path):
    """photograph(number) -> the path of a file, whose content no test decodes."""

    def make(number):
        path = tmp_path / f"{number}.png"
        if not path.exists():  # its time is what the disk cache goes by
            path.write_bytes(bytes([number]) * 10)
        return str(path)

    return make


class Decoder:
    """Stands for decoding the photograph `number`; counts its calls."""

    def __init__(self, number=0):
        self.calls, self.pixels = 0, np.full(SHAPE, number, np.uint8)
        self.pixels[0, 1] = (1, 2, 3)

    def __call__(self):
        self.calls += 1
        return self.pixels.copy()


def _files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _disk(tmp_path, limit=1 << 30, **options):
    return DiskCache(tmp_path / "cache", limit, **options)


def test_without_a_cache_every_use_decodes(photograph):
    decode = Decoder()
    for _ in range(3):
        np.testing.assert_array_equal(NoCache().fetch(0, photograph(0), decode), decode.pixels)
    assert decode.calls == 3 and NoCache().shortage(1 << 50) is None


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_what_is_kept_is_not_decoded_again_and_cannot_be_changed(photograph, tmp_path, kind):
    cache = MemoryCache(1 << 20) if kind == "memory" else _disk(tmp_path)
    decode, path = Decoder(7), photograph(7)
    for _ in range(3):
        found = cache.fetch(7, path, decode)
        np.testing.assert_array_equal(found, decode.pixels)
        assert found.dtype == np.uint8 and found.shape == SHAPE
    assert decode.calls == 1 and not found.flags.writeable


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_an_error_passes_and_leaves_nothing(photograph, tmp_path, kind):
    cache = MemoryCache(1 << 20) if kind == "memory" else _disk(tmp_path)

    def fail():
        raise UserError("damaged")

    with pytest.raises(UserError, match="damaged"):
        cache.fetch(0, photograph(0), fail)
    assert not _files(tmp_path / "cache")
    decode = Decoder()
    cache.fetch(0, photograph(0), decode)
    assert decode.calls == 1


def test_the_disk_serves_the_next_run(photograph, tmp_path):
    decode, path = Decoder(), photograph(0)
    _disk(tmp_path).fetch(0, path, decode)
    found = _disk(tmp_path).fetch(5, path, decode)  # whatever its place in the list
    np.testing.assert_array_equal(found, decode.pixels)
    assert decode.calls == 1
    other = _disk(tmp_path, variant="512")  # reduced, say: other pixels of the same file
    other.fetch(0, path, decode)
    assert decode.calls == 2 and len(_files(tmp_path / "cache")) == 2


def test_a_relative_path_means_the_same_file(photograph, tmp_path, monkeypatch):
    decode, cache = Decoder(), _disk(tmp_path)
    cache.fetch(0, photograph(0), decode)
    monkeypatch.chdir(tmp_path)
    cache.fetch(0, "0.png", decode)
    assert decode.calls == 1


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_changed_photograph_is_decoded_anew(photograph, tmp_path, change):
    cache, path = _disk(tmp_path), photograph(1)
    cache.fetch(0, path, Decoder(1))
    about = os.stat(path)
    with open(path, "ab") as stream:
        stream.write(b"x" * (change == "size"))
    later = about.st_mtime_ns + 10**9 * (change == "time")
    os.utime(path, ns=(later, later))
    decode = Decoder(2)
    for _ in range(2):
        np.testing.assert_array_equal(cache.fetch(0, path, decode), decode.pixels)
    assert decode.calls == 1 and len(_files(tmp_path / "cache")) == 1  # in the old one's place


def test_a_photograph_that_changes_while_it_is_decoded_is_not_taken_for_the_new_one(
    photograph, tmp_path
):
    cache, path, decode = _disk(tmp_path), photograph(1), Decoder(2)

    def meanwhile():
        with open(path, "ab") as stream:
            stream.write(b"more")
        return Decoder(1)()

    cache.fetch(0, path, meanwhile)
    np.testing.assert_array_equal(cache.fetch(0, path, decode), decode.pixels)


def test_a_photograph_that_was_removed_is_not_served(photograph, tmp_path):
    cache, path = _disk(tmp_path), photograph(0)
    cache.fetch(0, path, Decoder())
    os.unlink(path)
    decode = Decoder(3)
    assert cache.fetch(0, path, decode)[5, 5, 0] == 3 and decode.calls == 1


@pytest.mark.parametrize("content", [b"", b"x" * 20, b"x" * SIZE, None])
def test_a_file_that_is_cut_off_or_no_cache_is_written_anew(photograph, tmp_path, content):
    path, decode = photograph(0), Decoder()
    _disk(tmp_path).fetch(0, path, decode)
    (kept,) = _files(tmp_path / "cache")
    kept.write_bytes(kept.read_bytes()[:-1] if content is None else content)
    cache = _disk(tmp_path)
    np.testing.assert_array_equal(cache.fetch(0, path, decode), decode.pixels)
    cache.fetch(0, path, decode)
    assert decode.calls == 2 and _files(tmp_path / "cache") == [kept]


def test_the_disk_cache_keeps_to_its_limit_says_so_once_and_goes_on(photograph, tmp_path):
    cache, warnings = _disk(tmp_path, limit=3 * SIZE + 10), []
    cache.warn = warnings.append
    paths, decode = [photograph(i) for i in range(6)], Decoder()
    for _ in range(2):
        for index, path in enumerate(paths):
            np.testing.assert_array_equal(cache.fetch(index, path, decode), decode.pixels)
    assert decode.calls == 6 + 3 and len(_files(tmp_path / "cache")) == 3
    assert len(warnings) == 1 and str(tmp_path / "cache") in warnings[0]
    again = _disk(tmp_path, limit=4 * SIZE)  # what lies there counts
    for index, path in enumerate(paths):
        again.fetch(index, path, decode)
    assert len(_files(tmp_path / "cache")) == 4


def test_what_other_processes_write_counts(photograph, tmp_path, monkeypatch):
    monkeypatch.setattr(decoded_cache, "_RECOUNT", 1)
    cache, other = _disk(tmp_path, limit=4 * SIZE), _disk(tmp_path, limit=1 << 20)
    for number in range(6):
        (cache if number % 2 else other).fetch(number, photograph(number), Decoder())
    assert len(_files(tmp_path / "cache")) == 5  # 0 1 2 3 4; number 5 finds four or more


def test_the_last_of_the_disk_is_left_free(photograph, tmp_path, monkeypatch):
    free = types.SimpleNamespace(free=decoded_cache._RESERVE + SIZE - 1)
    monkeypatch.setattr(decoded_cache.shutil, "disk_usage", lambda folder: free)
    cache, decode, warnings = _disk(tmp_path), Decoder(), []
    cache.warn = warnings.append
    for _ in range(2):
        cache.fetch(0, photograph(0), decode)
    assert decode.calls == 2 and not _files(tmp_path / "cache") and len(warnings) == 1


def test_a_disk_that_is_full_is_no_end(photograph, tmp_path, monkeypatch):
    cache, decode, warnings = _disk(tmp_path), Decoder(), []
    cache.warn = warnings.append
    cache.fetch(0, photograph(0), decode)

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("common.storage.os.replace", full)
    for number in (1, 2, 1):
        np.testing.assert_array_equal(
            cache.fetch(number, photograph(number), decode), decode.pixels
        )
    cache.fetch(0, photograph(0), decode)
    assert decode.calls == 4 and len(_files(tmp_path / "cache")) == 1
    assert len(warnings) == 1 and "full" in warnings[0]


def test_a_folder_that_is_removed_is_made_anew(photograph, tmp_path):
    cache, decode = _disk(tmp_path), Decoder()
    kept = cache.fetch(0, photograph(0), decode)
    kept = cache.fetch(0, photograph(0), decode)  # from the file
    shutil.rmtree(tmp_path / "cache")
    np.testing.assert_array_equal(kept, decode.pixels)  # still open
    for _ in range(2):
        cache.fetch(0, photograph(0), decode)
    assert decode.calls == 2 and len(_files(tmp_path / "cache")) == 1


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        DiskCache(tmp_path / "file" / "cache", 1 << 20)


def test_unfinished_files_of_dead_processes_are_removed(photograph, tmp_path):
    _disk(tmp_path).fetch(0, photograph(0), Decoder())
    (kept,) = _files(tmp_path / "cache")
    old, new = kept.parent / ".old.pixels", kept.parent / ".new.pixels"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    os.utime(kept, (1, 1))
    _disk(tmp_path)
    assert _files(tmp_path / "cache") == sorted([kept, new])


_PROCESS = """
import sys
import numpy as np
from common.data.cache import DiskCache
folder, paths = sys.argv[1], sys.argv[2:]
cache = DiskCache(folder, 1 << 30)
for _ in range(30):
    for number, path in enumerate(paths):
        found = cache.fetch(number, path, lambda: np.full((200, 300, 3), number, np.uint8))
        assert found.shape == (200, 300, 3) and (found == number).all()
"""


def test_processes_and_threads_share_a_folder(photograph, tmp_path):
    paths = [photograph(number) for number in range(8)]
    command = [sys.executable, "-c", _PROCESS, str(tmp_path / "cache"), *paths]
    running = [subprocess.Popen(command) for _ in range(3)]
    cache = _disk(tmp_path)

    def one(number):
        pixels = np.full((200, 300, 3), number, np.uint8)
        np.testing.assert_array_equal(cache.fetch(number, paths[number], pixels.copy), pixels)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(one, np.random.default_rng(0).integers(8, size=200)))
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert len(_files(tmp_path / "cache")) == 8


def test_a_cache_that_is_too_small_says_how_large_it_should_be(tmp_path, monkeypatch):
    gib = 1 << 30
    assert MemoryCache(2 * gib).shortage(2 * gib) is None
    message = MemoryCache(2 * gib).shortage(8 * gib)
    assert all(part in message for part in ("8 GB", "--cache_gb=2", "25%", "--cache=disk"))
    free = types.SimpleNamespace(free=31 * gib)
    monkeypatch.setattr(decoded_cache.shutil, "disk_usage", lambda folder: free)
    assert _disk(tmp_path, limit=100 * gib).shortage(30 * gib) is None
    message = _disk(tmp_path, limit=100 * gib).shortage(60 * gib)
    assert all(part in message for part in ("60 GB", "30 GB", "its disk", "50%", "--cache_dir"))
    message = _disk(tmp_path, limit=10 * gib).shortage(20 * gib)
    assert all(part in message for part in ("10 GB", "--cache_disk_gb", "50%"))
