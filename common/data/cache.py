"""A cache of decoded photographs in memory.

A cache does not change samples. `fetch(index, decode)` returns the cached pixels of photograph `index`, or else the
result of `decode()`, whose errors pass through. Many threads may share a cache.

A full cache keeps its photographs and drops none. Every epoch has another order, so a least-recently-used cache would
drop most photographs before their next use: with three times as many photographs as fit, it would find 6% instead of a
third.
"""

from __future__ import annotations

import threading
from typing import Callable

import numpy as np


class MemoryCache:
    """Keeps up to `limit` bytes of pixels; 0: none, so every use of a photograph decodes it."""

    def __init__(self, limit: int):
        self._limit, self._held = limit, 0
        self._images: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def fetch(self, index: int, decode: Callable[[], np.ndarray]) -> np.ndarray:
        """uint8 [H, W, 3], read-only if cached."""
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
        """A sentence for the user if `needed` bytes do not fit into a limit above 0, else None."""
        if needed <= self._limit or not self._limit:
            return None
        return (
            f"warning: decoded, the photographs take about {_gigabytes(needed)}; --cache_gb={self._limit / 2**30:g} "
            f"holds {self._limit / needed:.0%} of them and the others are decoded at every use; raise --cache_gb, or "
            "train on copies reduced to the size you need"
        )


def _gigabytes(size):
    return f"{size / 2**30:.2g} GB" if size < 100 << 30 else f"{size / 2**30:.0f} GB"
