"""The paths of a very long list of files in little memory.

Places2 has 1.8 million photographs: as Python strings their paths take 250 MB, as the bytes of the names, where each
ends and the number of its folder 45 MB.
"""

from __future__ import annotations

import array
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np


class PathList(Sequence):
    """A sequence of path strings, made as it is asked for them; equal to a list of the same strings."""

    __hash__ = None

    def __init__(self):
        self._folders: list[str] = []
        self._names = bytearray()  # each with a zero byte behind it
        self._ends = array.array("Q", [0])  # name i lies between ends i and i + 1
        self._folder = array.array("I")

    def extend(self, folder: str, names: list[str]) -> None:
        """Adds `os.path.join(folder, name)` for every name."""
        if not names:
            return
        added = os.fsencode("\0".join(names) + "\0")
        ends = np.flatnonzero(np.frombuffer(added, np.uint8) == 0) + (len(self._names) + 1)
        self._names += added
        self._ends.frombytes(ends.astype(np.uint64).tobytes())
        self._folder.extend([len(self._folders)] * len(names))
        self._folders.append(folder)

    def chosen(self, numbers: Iterable[int]) -> PathList:
        """Those with these numbers, which ascend."""
        found = PathList()
        for folder, group in itertools.groupby(numbers, self._folder.__getitem__):
            found.extend(self._folders[folder], [self._name(index) for index in group])
        return found

    def _name(self, index):
        return os.fsdecode(bytes(self._names[self._ends[index] : self._ends[index + 1] - 1]))

    def __len__(self) -> int:
        return len(self._folder)

    def __getitem__(self, index):
        """The path at `index`; of a slice a list of them."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        return os.path.join(self._folders[self._folder[index]], self._name(index))

    def __eq__(self, other) -> bool:
        if not isinstance(other, (list, PathList)):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other))

    def __repr__(self) -> str:
        return f"<{len(self)} paths>"


def files_below(folder: os.PathLike, extensions: tuple[str, ...]) -> PathList:
    """Files below `folder` whose names end in one of `extensions` (lower case), sorted by path.

    Hidden files and folders are left out, links to folders are not followed, folders that cannot be read are taken
    for empty. No file is looked at: what the folders' entries say is enough.
    """
    found = PathList()
    waiting = [os.fspath(folder)]
    while waiting:
        part = waiting.pop()
        if isinstance(part, tuple):
            found.extend(*part)
            continue
        waiting += reversed(list(_parts(part, extensions)))
    return found


def _parts(folder: str, extensions) -> Iterator[str | tuple[str, list[str]]]:
    """What a folder holds, sorted: the paths of its folders, and between them (folder, names of its files).

    Folders are sorted with a slash at their ends, so that all is in the order of whole paths: a-b/c before a/c.
    """
    run = []
    for name in sorted(_names(folder, extensions)):
        if not name.endswith("/"):
            run.append(name)
            continue
        yield folder, run
        run = []
        yield os.path.join(folder, name[:-1])
    yield folder, run


def _names(folder: str, extensions) -> list[str]:
    """Names of the files and, with a slash at their ends, of the folders of a folder."""
    names = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue
                if _is_folder(entry):
                    if not entry.is_symlink():
                        names.append(name + "/")
                elif name.lower().endswith(extensions):
                    names.append(name)
    except OSError:
        return []
    return names


def _is_folder(entry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
