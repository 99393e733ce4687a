"""Writes files and archives of arrays (`.npz`, `.safetensors`) whole or not at all.

Every file is written to a temporary name beside its target and renamed when it is complete. An interrupt, a crash or a
full disk leaves the old file (or none), never a truncated one. A killed process may leave a hidden file named
".partial-*". Nothing reads these files; `remove_partial` deletes them.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import pathlib
import secrets
import time
import zipfile
from collections.abc import Iterator
from typing import Union

import numpy as np
import safetensors
import safetensors.numpy

from common.errors import UserError

PathLike = Union[str, "os.PathLike[str]"]
_PARTIAL = ".partial-"
_HEADER = "header.json"
SAFETENSORS = ".safetensors"


def _why(error: OSError, needed: int | None) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        size = "" if needed is None else f" ({needed:,} bytes are needed)"
        return f"the disk is full{size}; free some space or choose another folder"
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "a part of the path is a file, not a folder"
    return error.strerror or str(error)


@contextlib.contextmanager
def named_errors(target: PathLike, needed: int | None = None) -> Iterator[None]:
    """Turns an OSError in its block into a UserError that names `target` and says what to do.

    needed: bytes to be written, if known; part of the message when the disk is full.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {target}: {_why(error, needed)}") from error


@contextlib.contextmanager
def atomic_path(
    target: PathLike, durable: bool = False, needed: int | None = None
) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `target` (same suffix); renames it to `target` on success.

    Args:
      target: the file to write.
      durable: the file and its name are flushed to the disk when the block ends, so that a power failure cannot leave
        a name without its content. Costs milliseconds to seconds.
      needed: as in `named_errors`.

    Raises:
      UserError: the folder cannot be made or written, or the disk is full. No temporary file stays.
    """
    target = pathlib.Path(target)
    temporary = target.with_name(f"{_PARTIAL}{secrets.token_hex(8)}{target.suffix}")
    try:
        with named_errors(target, needed):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                raise UserError(f"{target} is a folder; name a file to write")
            temporary.touch()
            yield temporary
            if durable:
                _flush(temporary)
            os.replace(temporary, target)
            if durable:
                _flush(target.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _flush(path: pathlib.Path) -> None:
    """Flushes a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_partial(folder: PathLike, seconds: float = 0) -> None:
    """Deletes the temporary files that killed processes left in a folder, subfolders excepted.

    seconds: younger files stay, since another process may be writing them.
    """
    latest = time.time() - seconds
    # os.path, since pathlib raises an OSError for some names that no folder can have.
    if not os.path.isdir(folder):
        return
    for path in pathlib.Path(folder).glob(f"{_PARTIAL}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime <= latest or not seconds:
                path.unlink()


def write_text(target: PathLike, text: str) -> None:
    """Writes `text` (UTF-8) to `target` at once or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def exists(path: PathLike) -> bool:
    """Whether `path` is a file or a folder, or the prefix of a TensorFlow checkpoint's files."""
    return pathlib.Path(path).exists() or pathlib.Path(f"{os.fspath(path)}.index").is_file()


def existing_part(path: PathLike) -> pathlib.Path:
    """The deepest existing folder or file of `path`, absolute; its permissions decide whether `path` can be made."""
    whole = pathlib.Path(path).absolute()
    return next(part for part in (whole, *whole.parents) if part.exists())


class DamagedError(Exception):
    """A file is not an archive with a header, is truncated, or was crafted."""


def read_arrays(path: PathLike) -> tuple[dict, dict]:
    """Returns (header, {name: array}) of an archive that `write_arrays` wrote.

    A `.safetensors` file of another program has an empty header. The file's own size bounds the memory: the header and
    the form of every array are checked before arrays are read.

    Raises:
      DamagedError: the file is not such an archive. No code in the file is run.
    """
    try:
        if pathlib.Path(path).suffix == SAFETENSORS:
            return _read_safetensors(path)
        return _read_npz(path)
    except Exception as error:  # zipfile, zlib and NumPy raise many types for a damaged file
        raise DamagedError(str(error)) from error


def _read_safetensors(path):
    with safetensors.safe_open(path, framework="np") as archive:
        header = json.loads((archive.metadata() or {}).get(_HEADER, "{}"))
        names = archive.keys()
        return dict(header), {name: archive.get_tensor(name) for name in names}


def _read_npz(path):
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        _check_sizes(members.values(), os.path.getsize(path))
        for member in members.values():
            _check_form(archive, member)
        header = json.loads(str(_read_array(archive, members.pop(_HEADER))))
        return dict(header), {name: _read_array(archive, x) for name, x in members.items()}


def _check_sizes(members, size):
    """ValueError if members are compressed or claim more bytes than the file has."""
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("its arrays are compressed")
    if sum(member.file_size for member in members) > size:
        raise ValueError("it is cut short")


def _check_form(archive, member):
    """ValueError unless the array's header describes as many bytes as follow it, of plain numbers or text."""
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        described = math.prod(shape) * dtype.itemsize
        if version != (1, 0) or dtype.hasobject or described != member.file_size - stream.tell():
            raise ValueError(f"{member.filename} has a wrong header")


def _read_array(archive, member):
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def write_arrays(path: PathLike, arrays: dict, header: dict, durable: bool = False) -> None:
    """Writes a JSON header and {name: array} to `path`; durable: as in `atomic_path`.

    The suffix `.safetensors` selects that format, with the header in its metadata; every other file is an `.npz`.

    Raises:
      UserError: the folder cannot be made or written, or the disk is full; the message gives the bytes needed. An older
        file at `path` stays as it was, and no temporary file stays.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    text = json.dumps(header)
    needed = sum(array.nbytes for array in arrays.values()) + len(text)
    with atomic_path(path, durable, needed) as temporary:
        if temporary.suffix == SAFETENSORS:
            temporary.write_bytes(safetensors.numpy.save(arrays, {_HEADER: text}))
            return
        # Not the file itself: `zipfile` replaces the system's error by its own.
        archive = io.BytesIO()
        np.savez(archive, **arrays, **{_HEADER: np.array(text)})
        temporary.write_bytes(archive.getbuffer())
