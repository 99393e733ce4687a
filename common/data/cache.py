"""Decoded photographs that are kept for their next use: in memory, on a disk, or not at all.

A cache says nothing about what a sample is: with any of them, full or empty, the pixels are those of the file.
`fetch(index, path, decode)` returns the pixels of photograph `index`, those that are kept or else `decode()`, whose
errors pass through and leave nothing behind. All three may be used by many threads, and a folder by many processes.

When a cache is full it keeps what it has: every pass over the photographs takes another order, so that dropping the
least recently used would throw out nearly everything just before it is wanted again (of a list three times as large
as the cache 6% would be found instead of a third).
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import struct
import threading
import time
from typing import Callable

import numpy as np

from common.errors import UserError
from common.storage import PathLike, atomic_path, named_errors

Decode = Callable[[], np.ndarray]

_HEADER = struct.Struct(
    "<8s4q"
)  # magic, height, width, bytes of the photograph's file, its time in ns
_MAGIC = b"pixels01"
_RESERVE = 1 << 30  # bytes of the disk that are left to checkpoints
_RECOUNT = 1 << 30  # bytes after which the folder is counted again: other processes write there too
_FORGOTTEN = 86400  # seconds after which an unfinished file is of a process that died


class NoCache:
    """Keeps nothing: every use of a photograph decodes it. The base of the others."""

    warn: Callable[[str], None] = staticmethod(
        lambda line: None
    )  # told when less is kept than was meant

    def fetch(self, index: int, path: str, decode: Decode) -> np.ndarray:
        """uint8 [H, W, 3] of `decode()`."""
        return decode()

    def shortage(self, needed: int) -> str | None:
        """A sentence for the user if `needed` bytes do not fit, else None."""
        return None


class MemoryCache(NoCache):
    """Keeps up to `limit` bytes of pixels in memory."""

    def __init__(self, limit: int):
        self._limit, self._held = limit, 0
        self._images: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def fetch(self, index: int, path: str, decode: Decode) -> np.ndarray:
        """uint8 [H, W, 3], read-only if it is kept."""
        with self._lock:
            image = self._images.get(index)
        if image is not None:
            return image
        image = decode()
        with self._lock:
            if index not in self._images and self._held + image.nbytes <= self._limit:
                image.setflags(write=False)
                self._images[index] = image
                self._held += image.nbytes
        return image

    def shortage(self, needed: int) -> str | None:
        """A sentence for the user if `needed` bytes do not fit, else None."""
        if needed <= self._limit:
            return None
        return (
            f"warning: decoded, the photographs take about {_gigabytes(needed)}; --cache_gb={self._limit / 2**30:g} "
            f"holds {self._limit / needed:.0%} of them and the others are decoded at every use; raise it, or keep them "
            "in files with --cache=disk"
        )


class DiskCache(NoCache):
    """Keeps up to `limit` bytes of pixels in files below `folder`, of which a crop reads only its rows.

    A file is named after the photograph's path and `variant` and holds its size and time, so that a photograph that
    was changed is decoded anew. Files are written beside their places and renamed. The last GiB of the disk is left
    free; when the disk is full nothing more is kept, `warn` is told so, and the run goes on.

    Raises:
      UserError: the folder cannot be made.
    """

    def __init__(self, folder: PathLike, limit: int, variant: str = ""):
        self.folder = pathlib.Path(folder)
        self._limit, self._variant = limit, variant
        self._lock = threading.Lock()
        with named_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._room, self._since_count, self._closed = limit - self._used(), 0, False

    def fetch(self, index: int, path: str, decode: Decode) -> np.ndarray:
        """uint8 [H, W, 3]; read-only and on the disk if it is kept."""
        try:
            about = os.stat(path)
        except OSError:
            return decode()  # which says what is wrong
        # Of the state before decoding: what is written while it is decoded makes the file one of another state.
        state, kept = (about.st_size, about.st_mtime_ns), self._file(path)
        image = _read(kept, state)
        if image is None:
            image = decode()
            self._keep(kept, state, image)
        return image

    def shortage(self, needed: int) -> str | None:
        """A sentence for the user if `needed` bytes do not fit, what is kept already included, else None."""
        used = self._limit - self._room
        free = max(0, shutil.disk_usage(self.folder).free - _RESERVE)
        allowed = min(self._limit, used + free)
        if needed <= allowed:
            return None
        why = "its disk has no more" if allowed < self._limit else "by --cache_disk_gb"
        return (
            f"warning: decoded, the photographs take about {_gigabytes(needed)}; {self.folder} may hold "
            f"{_gigabytes(allowed)} ({why}), {allowed / needed:.0%} of them, and the others are decoded at "
            "every use; name a larger disk with --cache_dir or raise --cache_disk_gb"
        )

    def _file(self, path):
        name = f"{self._variant}\0{os.path.abspath(path)}"
        digest = hashlib.blake2b(os.fsencode(name), digest_size=16).hexdigest()
        return (
            self.folder / digest[:2] / f"{digest[2:]}.pixels"
        )  # 256 folders: millions of files are too many for one

    def _keep(self, kept, state, image):
        size = _HEADER.size + image.nbytes
        if self._closed:
            return
        if not self._reserve(size):
            self._close(f"{self.folder} is full")
            return
        try:
            with atomic_path(kept) as temporary, open(temporary, "wb") as stream:
                stream.write(_HEADER.pack(_MAGIC, *image.shape[:2], *state))
                stream.write(np.ascontiguousarray(image).data)
        except UserError as error:
            self._close(str(error))

    def _close(self, why):
        """Keeps no more and says so, once."""
        with self._lock:
            first, self._closed = not self._closed, True
        if first:
            self.warn(f"warning: {why}: photographs that are not kept yet are decoded at every use")

    def _reserve(self, size) -> bool:
        """Whether there is room for `size` bytes, which are taken."""
        with self._lock:
            if self._since_count >= _RECOUNT:
                self._room, self._since_count = self._limit - self._used(), 0
            try:
                free = shutil.disk_usage(self.folder).free
            except OSError:  # the folder was removed: it is made anew
                free = _RESERVE + size
            if size > self._room or free < _RESERVE + size:
                return False
            self._room -= size
            self._since_count += size
        return True

    def _used(self) -> int:
        """Bytes of all files in the folder; removes those that a process which died did not finish."""
        total = 0
        for part in self.folder.glob("??"):
            try:
                with os.scandir(part) as entries:
                    for entry in entries:
                        about = entry.stat()
                        if entry.name.startswith(".") and time.time() - about.st_mtime > _FORGOTTEN:
                            os.unlink(entry.path)
                        else:
                            total += about.st_size
            except OSError:  # another process renamed or removed one
                continue
        return total


def _read(kept, state):
    """The pixels of a cache's file, mapped and not read; None without a file of that state of its photograph."""
    try:
        with open(kept, "rb") as stream:
            magic, height, width, *found = _HEADER.unpack(stream.read(_HEADER.size))
            whole = os.fstat(stream.fileno()).st_size == _HEADER.size + height * width * 3
            if magic != _MAGIC or tuple(found) != state or not whole:
                return None
            shape = (height, width, 3)
            return np.asarray(np.memmap(stream, np.uint8, "r", _HEADER.size, shape))
    except (OSError, ValueError, struct.error):
        return None


def _gigabytes(size):
    return f"{size / 2**30:.2g} GB" if size < 100 << 30 else f"{size / 2**30:.0f} GB"
