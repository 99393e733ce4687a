"""Holds a share of the photographs out of training, for data sets without validation photographs.

A photograph is held out if the hash of its path below the folder lies in the lowest `SHARE` of all hash values. The
choice is the same in every run, with every seed and on every machine, and does not change when photographs are added or
removed. If no hash lies there, as in small folders, the photograph with the lowest hash is held out. At least one
photograph stays for training.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Sequence

import numpy as np

from common.images import tar_members

SHARE = 0.05


def split(paths: Sequence[str], folder: os.PathLike) -> tuple[list[str], list[str]]:
    """(paths for training in their order, held-out paths in the order of their hashes).

    The order of hashes mixes the subfolders, so the first few paths represent all of them.

    Args:
      paths: of photographs below `folder`, at least two.
      folder: hashes are of paths relative to this folder.
    """
    hashes = np.fromiter((_hash(name) for name in _names(paths, folder)), np.uint64, len(paths))
    held = np.count_nonzero(hashes < int(SHARE * 2**64))
    held = min(max(held, 1), len(paths) - 1)
    lowest = np.argsort(hashes, kind="stable")[:held]
    others = np.setdiff1d(np.arange(len(paths)), lowest)
    return [paths[i] for i in others], [paths[i] for i in lowest]


def _names(paths, folder):
    """The names below the folder; in shards those of the files they were written from."""
    start = len(os.path.join(folder, ""))
    for path in paths:
        member = tar_members.member(path)
        yield path[start:] if member is None else member.name


def _hash(name: str) -> int:
    """64-bit hash of a relative path, independent of the system's separator and form of accented letters."""
    text = unicodedata.normalize("NFC", name.replace(os.sep, "/"))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")
