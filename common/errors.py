"""Errors meant for the person at the keyboard.

`UserError` is raised for everything a user can mend: a missing file, a mask of another size, weights of another model.
Its text is one line: what is wrong, with which file or flag, what to do. `common.command_line.run` prints it.

Exit codes: 0 done, 1 failed (or, for a folder, at least one file failed),
or interrupted, 2 wrong flags.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Callable


class UserError(Exception):
    """Something the user can mend; `str(error)` is one line that says how."""

    exit_code = 1


class UsageError(UserError):
    """Flags that are unknown, contradictory or impossible; exit code 2."""

    exit_code = 2


def collect(checks: Iterable[Callable[[], Any]]) -> tuple[list, list[UserError]]:
    """Makes every check, also those after one that failed; returns (results, None where there is none; errors)."""
    results, found = [], []
    for check in checks:
        try:
            results.append(check())
        except UserError as error:
            results.append(None)
            found.append(error)
    return results, found


def raise_together(found: Sequence[UserError], remarks: Iterable[str] = ()) -> None:
    """Raises what `collect` found as one error, if anything: so that a person mends everything before the next try.

    A single one keeps its kind; several, of which the same text counts once, are a UsageError that numbers them.
    remarks: what such an error says too, but is none by itself.
    """
    texts = list(dict.fromkeys(str(error) for error in found))
    if not texts:
        return
    kind = type(found[0]) if len(texts) == 1 else UsageError
    texts += dict.fromkeys(remarks)
    if len(texts) == 1:
        raise found[0]
    numbered = "; ".join(f"({number}) {text}" for number, text in enumerate(texts, start=1))
    raise kind(f"{len(texts)} things to see to: {numbered}")


# Exceptions by which libraries say that a photograph is too large for them, by name: importing them takes seconds.
# OpenCV has one for everything, and meets sizes it cannot count in many of its checks.
_TOO_LARGE = {"MemoryError", "cv2.error", "ResourceExhaustedError"}


def is_too_large(error: Exception) -> bool:
    """Whether an exception of NumPy, OpenCV or TensorFlow says that something is too large."""
    kinds = type(error).__mro__
    return any({k.__name__, f"{k.__module__}.{k.__name__}"} & _TOO_LARGE for k in kinds)


def one_line(text: object) -> str:
    """`text` with its line breaks written out: names of files may hold them."""
    return "\\n".join(str(text).splitlines())
