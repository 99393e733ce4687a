"""Catches the lines that libtiff, libpng and OpenCV write to standard error themselves, past Python.

Some damage is reported only there, some also by an error in Python.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator

# "Fax4Decode: Bad code word ...", "libpng error: ...", "[ WARN:0@0.1] global grfmt_png.cpp ..."
_BY_LIBRARY = re.compile(r"(?!error: )[\w.]+: .*\.$|libpng \w+: |\[ *\w+:\d+@")
_LOCK = threading.RLock()  # standard error belongs to the whole process


@contextlib.contextmanager
def caught() -> Iterator[list[str]]:
    """Yields a list that has the libraries' lines when the block ends; they are not printed.

    One thread at a time. Lines that other threads write meanwhile are printed when the block ends.
    """
    said: list[str] = []
    with _LOCK, contextlib.ExitStack() as stack:
        try:  # a file, since a full pipe would make the library wait
            caught_here = stack.enter_context(tempfile.TemporaryFile())
            terminal = os.dup(2)
        except OSError:  # no folder for the file, or no standard error
            yield said
            return
        try:
            os.dup2(caught_here.fileno(), 2)
            yield said
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            caught_here.seek(0)
            for line in caught_here.read().decode(errors="replace").splitlines():
                if _BY_LIBRARY.match(line):
                    said.append(line)
                else:
                    print(line, file=sys.stderr)
