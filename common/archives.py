"""Writing `.npz` archives of plain arrays, whole or not at all, with one clear line when the disk is full.

`zipfile` cannot end well after a write that failed: it raises about its own state instead of the disk's, and once more
when it is thrown away. So it writes into a `_Sink`, which keeps the first failure and takes the rest without a word.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib

import numpy as np

from common import files

# What reading an archive that is damaged or crafted raises. RuntimeError: encrypted, an unknown method
# (NotImplementedError), a header nested too deep (RecursionError). MemoryError: a shape that it claims.
DAMAGED = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, OverflowError),
    *(RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


def write(path: files.PathLike, arrays: dict, durable: bool = False) -> None:
    """Writes {name: array} to `path`; durable: as in `files.atomic_path`.

    Raises:
      UserError: the folder cannot be made or written, or the disk is full; says how many bytes are needed. What was at
        `path` is as it was, and nothing else is left.
    """
    needed = sum(np.asarray(array).nbytes for array in arrays.values())
    with (
        files.atomic_path(path, durable, needed) as temporary,
        open(temporary, "wb") as stream,
    ):
        sink = _Sink(stream)
        np.savez(sink, **arrays)
        sink.check()


class _Sink:
    """A binary stream for `zipfile`; see the module docstring."""

    def __init__(self, stream):
        self._stream, self._error = stream, None

    def check(self) -> None:
        """Raises the OSError that happened while writing, if one did."""
        if self._error is not None:
            raise self._error

    def _attempt(self, call, *arguments, otherwise=0):
        if self._error is None:
            try:
                return call(*arguments)
            except OSError as error:
                self._error = error
        return otherwise

    def write(self, data) -> int:
        return self._attempt(self._stream.write, data, otherwise=len(data))

    def seek(self, *arguments) -> int:
        return self._attempt(self._stream.seek, *arguments)

    def tell(self) -> int:
        return self._attempt(self._stream.tell)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def read(self, *_):  # NumPy tells a stream from a name by it
        raise OSError("this stream is for writing")
