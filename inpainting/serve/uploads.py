"""Uploaded photographs: where they lie, how large they may be, when they are deleted.

Each has a folder with a random name below one temporary folder, which only this user can read. The file is kept as it
came; its name on the page is never part of a path. A file whose header gives too many pixels is refused before it is
decoded. A photograph is deleted after an hour without use, when the page asks for it, when the server ends, and, if
there are more than `MOST`, when it is the least recently used. The next server deletes what a killed server left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Callable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from PIL import Image

from common.errors import UserError
from common.filling import photographs
from common.filling.photographs import Photograph

_PREFIX = "inpaint-serve-"  # of the temporary folders
MOST = 64
UNUSED = 3600  # seconds
_ENDINGS = {
    **{"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif"},
    "BMP": ".bmp",
}
_LONGEST_NAME = 100


class TooLargeError(UserError):
    """More bytes or pixels than the server takes."""


class UnknownError(UserError):
    """No such photograph, or nothing of that number in it."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of one file: megabytes (10^6 bytes) and megapixels (10^6 pixels)."""

    megabytes: float = 200
    megapixels: float = 100

    @property
    def bytes(self) -> int:
        return int(self.megabytes * 10**6)

    def check_bytes(self, count: int) -> None:
        """TooLargeError for a file with more bytes."""
        if count > self.bytes:
            raise TooLargeError(
                f"the file is larger than {self.megabytes:g} MB, the server's --max_megabytes"
            )

    def check_header(self, path: pathlib.Path, name: str) -> str:
        """The format of an image file, by its header; nothing is decoded.

        Raises:
          TooLargeError: the header gives more pixels.
          UserError: the file is not a readable image.
        """
        try:
            with Image.open(path, formats=[k for k in _ENDINGS if k != "MPO"]) as header:
                width, height, kind = *header.size, header.format
        except Image.DecompressionBombError:
            raise self._too_many(name) from None
        except Exception:  # decoders raise many types for a damaged file
            raise UserError(
                f"{name} is not a readable JPEG, PNG, WebP, TIFF or BMP image; convert it to PNG"
            ) from None
        if width * height > self.megapixels * 10**6:
            raise self._too_many(name)
        return kind

    def _too_many(self, name):
        return TooLargeError(
            f"{name} has more than {self.megapixels:g} megapixels, the server's --max_megapixels"
        )


def shown_name(name: str, otherwise: str = "photograph") -> str:
    """A name from outside as it may be shown and offered for saving: no folders, no control characters."""
    last = re.split(r"[/\\]", name)[-1]
    clean = re.sub(r'[\x00-\x1f\x7f"<>:|?*\u200e\u200f\u202a-\u202e\u2066-\u2069]', "", last)
    return clean.strip(" .")[:_LONGEST_NAME] or otherwise


class Upload:
    """A photograph on the server.

    name: as people see it. path: its file. ending: of files with its result. versions, masks: how many results and
    masks there are, see `inpainting.serve.filling`.
    """

    def __init__(self, folder: pathlib.Path, name: str):
        self.folder, self.id, self.name = folder, folder.name, shown_name(name)
        self.path, self.ending = folder / "photograph", ""
        self.versions, self.masks, self.sent = 0, 0, 0
        self.used, self.lock = 0.0, threading.Lock()

    def rename(self, name: str) -> None:
        """Another name to show."""
        self.name = shown_name(name)

    def take(self, limits: Limits) -> None:
        """Looks at the file that has been written to `path`; errors: as of `Limits.check_header`."""
        self.ending = _ENDINGS[limits.check_header(self.path, self.name)]

    def next_number(self, kind: str) -> int:
        """A number for a new entry of "versions", "masks" or "sent" (files of masks), from 1."""
        with self.lock:
            number = getattr(self, kind) + 1
            setattr(self, kind, number)
            return number


def _hold(folder: pathlib.Path) -> int | None:
    """Locks a folder until its descriptor is closed or the process ends; None if another process has it."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_left() -> None:
    """Deletes the folders of servers that were killed: those of this user that no process holds."""
    if fcntl is None:
        return
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            # A server that starts at this moment has its folder before its lock.
            if time.time() - folder.stat().st_mtime < 5 or folder.stat().st_uid != os.getuid():
                continue
            descriptor = _hold(folder)
            if descriptor is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(descriptor)


class Store:
    """All photographs of a server. clock: seconds, as `time.monotonic`."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic):
        self.limits, self._clock = limits, clock
        self._uploads: dict[str, Upload] = {}
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._last: tuple[str, Photograph] | None = None
        self._closed = False
        _remove_left()
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._held = _hold(self.root)

    def add(self, name: str) -> Upload:
        """A new photograph without a file yet."""
        folder = self.root / secrets.token_urlsafe(16)
        folder.mkdir(mode=0o700)
        upload = Upload(folder, name)
        with self._lock:
            upload.used = self._clock()
            self._uploads[upload.id] = upload
            oldest = sorted(self._uploads.values(), key=lambda u: u.used)[:-MOST]
        for other in oldest:
            self.remove(other)
        return upload

    def find(self, identity: str) -> Upload:
        """The photograph of an id; counts as a use. UnknownError if there is none."""
        with self._lock:
            upload = self._uploads.get(identity)
            if upload is None:
                raise UnknownError("this photograph is not on the server (any more); open it again")
            upload.used = self._clock()
            return upload

    def remove(self, upload: Upload) -> None:
        """Deletes a photograph and everything made of it."""
        with self._lock:
            self._uploads.pop(upload.id, None)
        if self._last and self._last[0] == upload.id:
            self._last = None
        shutil.rmtree(upload.folder, ignore_errors=True)

    def tidy(self, upload: Upload) -> None:
        """Deletes what long work wrote for a photograph that was removed meanwhile."""
        with self._lock:
            there = upload.id in self._uploads
        if not there:
            shutil.rmtree(self.root if self._closed else upload.folder, ignore_errors=True)

    def remove_unused(self) -> list[str]:
        """Deletes what nobody has used for an hour; returns the ids."""
        latest = self._clock() - UNUSED
        with self._lock:
            old = [upload for upload in self._uploads.values() if upload.used < latest]
        for upload in old:
            self.remove(upload)
        return [upload.id for upload in old]

    def close(self) -> None:
        """Deletes everything."""
        with self._lock:
            self._closed = True
            self._uploads.clear()
        self._last = None
        shutil.rmtree(self.root, ignore_errors=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def photograph(self, upload: Upload) -> Photograph:
        """The decoded file. One is decoded at a time, and the last one is kept: that bounds the memory."""
        with self._reading:
            if not self._last or self._last[0] != upload.id:
                self._last = None
                with named(upload.path, upload.name):
                    self._last = upload.id, photographs.read_photograph(upload.path)
            return self._last[1]


@contextlib.contextmanager
def named(path: pathlib.Path, name: str) -> Iterator[None]:
    """A block whose UserErrors name the file as people know it, not its path on the server."""
    try:
        yield
    except UserError as error:
        raise type(error)(str(error).replace(str(path), name)) from None
