"""Files inside tar files, by a path that says where their bytes are.

    shards/train-00003.tar/1536+34567/a/b.jpg      34567 bytes from byte 1536 of train-00003.tar, stored as a/b.jpg

So one file is read without reading the tar file's other headers, and without a table in memory.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

_PATH = re.compile(
    r"(?P<tar>.*?\.tar)/(?P<start>\d{1,18})\+(?P<size>\d{1,18})/(?P<name>.+)", re.DOTALL
)


class Member(NamedTuple):
    """A file inside a tar file: `size` bytes from byte `start`, stored as `name`."""

    tar: str
    start: int
    size: int
    name: str

    @property
    def path(self) -> str:
        return f"{self.tar}/{self.start}+{self.size}/{self.name}"

    def read(self) -> bytes:
        """The file's bytes; fewer if the tar file is cut short. OSError if it cannot be read."""
        with open(self.tar, "rb", buffering=0) as tar:
            length = os.fstat(tar.fileno()).st_size  # no more memory than there are bytes
            tar.seek(min(self.start, length))
            return tar.read(min(self.size, length))


def member(path: str | os.PathLike) -> Member | None:
    """The member at a path, or None if the path is not one of a member."""
    found = _PATH.fullmatch(os.fspath(path))
    if found is None:
        return None
    return Member(found["tar"], int(found["start"]), int(found["size"]), found["name"])
