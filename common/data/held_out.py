"""Which photographs are kept from training where a data set has none for validation: a share of them, by name.

A photograph is held out if the hash of its path below the folder lies in the lowest `SHARE` of all hashes. So the
choice is the same in every run, with every seed and on every machine, and a photograph keeps its side when others are
added or taken away. If none lies there, as in small folders, the one with the lowest hash is held out; one at least
stays to train on.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata

import numpy as np

SHARE = 0.05


def split(paths: list[str], folder: os.PathLike) -> tuple[list[str], list[str]]:
    """(those to train on in their order, those held out in the order of their hashes).

    That order mixes the sub-folders, so the first few stand for all of them.

    Args:
      paths: of the photographs below `folder`, two at least.
      folder: what the names that are hashed are relative to.
    """
    start = len(os.path.join(folder, ""))
    hashes = np.fromiter((_hash(path[start:]) for path in paths), np.uint64, len(paths))
    held = np.count_nonzero(hashes < int(SHARE * 2**64))
    held = min(max(held, 1), len(paths) - 1)
    lowest = np.argsort(hashes, kind="stable")[:held]
    others = np.setdiff1d(np.arange(len(paths)), lowest)
    return [paths[i] for i in others], [paths[i] for i in lowest]


def _hash(name: str) -> int:
    """64 bits of a relative path, whatever a system's separator and form of accented letters."""
    text = unicodedata.normalize("NFC", name.replace(os.sep, "/"))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")
