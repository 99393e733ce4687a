"""Errors meant for the user.

A `UserError` is raised for everything the user can fix: a missing file, a mask of another size, weights of another
model. Its text is one line: what is wrong, with which file or flag, what to do. `common.command_line.run` prints it
and lists the exit codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Callable


class UserError(Exception):
    """An error the user can fix; `str(error)` is one line that says how (`one_line`)."""

    exit_code = 1

    def __init__(self, text: object = ""):
        super().__init__(one_line(text))  # names of files and texts in them may hold line breaks


class UsageError(UserError):
    """Flags that are unknown, contradictory or impossible; exit code 2."""

    exit_code = 2


def collect(checks: Iterable[Callable[[], Any]]) -> tuple[list, list[UserError]]:
    """Runs every check, also after a failure; returns (results, with None for a failed check; errors)."""
    results, found = [], []
    for check in checks:
        try:
            results.append(check())
        except UserError as error:
            results.append(None)
            found.append(error)
    return results, found


def raise_together(found: Sequence[UserError], remarks: Iterable[str] = ()) -> None:
    """Raises the errors that `collect` found as one, so that the user can fix all of them at once.

    One error keeps its class. Several become a UsageError that numbers them; equal texts count once. Without errors
    nothing is raised.
    remarks: texts that are added to an error but are no error by themselves.
    """
    texts = list(dict.fromkeys(str(error) for error in found))
    if not texts:
        return
    kind = type(found[0]) if len(texts) == 1 else UsageError
    texts += dict.fromkeys(remarks)
    if len(texts) == 1:
        raise found[0]
    numbered = "; ".join(f"({number}) {text}" for number, text in enumerate(texts, start=1))
    raise kind(f"{len(texts)} things to fix: {numbered}")


# Exceptions that mean "too large", by name: importing their libraries takes seconds. OpenCV has a single class; many of
# its checks fail on sizes that overflow.
_TOO_LARGE = {"MemoryError", "cv2.error", "ResourceExhaustedError"}


def is_too_large(error: Exception) -> bool:
    """Whether an exception of NumPy, OpenCV or TensorFlow means that an array is too large."""
    kinds = type(error).__mro__
    return any({k.__name__, f"{k.__module__}.{k.__name__}"} & _TOO_LARGE for k in kinds)


def one_line(text: object) -> str:
    """`text` with line breaks as "\\n"."""
    return "\\n".join(str(text).splitlines())
