"""Writing files so that a reader never sees half of one.

Everything the package writes goes to a temporary name beside its target and is renamed when complete; an
interrupt, a crash or a full disk leaves the old file (or none), never a truncated one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import tempfile
import threading
from collections.abc import Iterator
from typing import Union

from common.errors import UserError

_UMASK = threading.Lock()
PathLike = Union[str, "os.PathLike[str]"]


def _why(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full; free some space or choose another folder"
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "a part of the path is a file, not a folder"
    return error.strerror or str(error)


@contextlib.contextmanager
def named_errors(target: PathLike) -> Iterator[None]:
    """Turns an OSError in its block into a UserError that names `target` and says what to do."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {target}: {_why(error)}") from error


@contextlib.contextmanager
def atomic_path(target: PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `target` (same suffix); renames it to `target` on success.

    Raises:
      UserError: the folder cannot be made or written, or the disk is full. Nothing is left behind.
    """
    target = pathlib.Path(target)
    temporary = None
    try:
        with named_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                raise UserError(f"{target} is a folder; name a file to write")
            handle, name = tempfile.mkstemp(prefix=".", suffix=target.suffix, dir=target.parent)
            os.close(handle)
            temporary = pathlib.Path(name)
            yield temporary
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, target)
            temporary = None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    with _UMASK:  # two threads at once would leave it at the other's 0
        mask = os.umask(0)
        os.umask(mask)
    return mask


def write_text(target: PathLike, text: str) -> None:
    """Writes `text` (UTF-8) to `target` at once or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
