"""Gives memory that is free, but still held by this process, back to the system.

After a step that needs much memory, the C library keeps freed pieces scattered in its heaps. Over several steps these
add up and raise the peak of the largest step.
"""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Gives back what is free. Takes milliseconds. Does nothing where the C library has no malloc_trim."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)
