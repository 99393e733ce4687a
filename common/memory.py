"""Gives memory that is free, but still held by this process, back to the system.

A number of steps that each need much memory for a moment would otherwise add up what every step leaves scattered in the
C library's heaps, and the largest of them would come on top.
"""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Gives back what is free. Takes milliseconds; does nothing where the C library is not glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)
