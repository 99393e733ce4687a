"""Decoded photographs kept in memory for their next use.

A cache does not change samples: with or without it, full or empty, pixels are those of the file. `fetch(index, decode)`
returns the pixels of photograph `index`, kept ones or else `decode()`, whose errors pass through and leave nothing
behind. Many threads may share a cache.

A full cache keeps what it has: every pass over the photographs has another order, so dropping the least recently used
would drop nearly everything just before it is wanted again. With three times as many photographs as fit, 6% would be
found instead of a third.
"""

from __future__ import annotations

import threading
from typing import Callable

import numpy as np

Decode = Callable[[], np.ndarray]


class NoCache:
    """Keeps nothing: every use of a photograph decodes it."""

    def fetch(self, index: int, decode: Decode) -> np.ndarray:
        """uint8 [H, W, 3] of `decode()`."""
        return decode()

    def shortage(self, needed: int) -> str | None:
        """A sentence for the user if `needed` bytes do not fit, else None."""
        return None


class MemoryCache(NoCache):
    """Keeps up to `limit` bytes of pixels."""

    def __init__(self, limit: int):
        self._limit, self._held = limit, 0
        self._images: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def fetch(self, index: int, decode: Decode) -> np.ndarray:
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
            f"holds {self._limit / needed:.0%} of them and the others are decoded at every use; raise it, or train on "
            "copies that are reduced to the size you need"
        )


def _gigabytes(size):
    return f"{size / 2**30:.2g} GB" if size < 100 << 30 else f"{size / 2**30:.0f} GB"
