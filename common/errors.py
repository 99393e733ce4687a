"""Errors meant for the person at the keyboard.

`UserError` is raised for everything a user can mend: a missing file, a mask of another size, weights of
another model. Its text is one line: what is wrong, with which file or flag, what to do. `run` is the entry
point of every command: it turns such an error into that one line on stderr and an exit code, so that no
traceback is shown for a mistake that is not ours. Anything else is a bug and keeps its traceback.

Exit codes: 0 done, 1 failed (or, for a folder, at least one file failed),
or interrupted, 2 wrong flags.
"""

from __future__ import annotations

import errno
import math
import sys
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
# What the system says of a path that a person can mend.
_OF_PATHS = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR)
_LARGEST = 2**63 - 1


def is_too_large(error: Exception) -> bool:
    """Whether an exception of NumPy, OpenCV or TensorFlow says that something is too large."""
    kinds = type(error).__mro__
    return any({k.__name__, f"{k.__module__}.{k.__name__}"} & _TOO_LARGE for k in kinds)


def one_line(text: object) -> str:
    """`text` with its line breaks written out: names of files may hold them."""
    return "\\n".join(str(text).splitlines())


def _check_numbers(values: dict) -> None:
    """UsageError for a flag that is no number that can be computed with."""
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{name}={value} is not a finite number")
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise UsageError(f"--{name}={value} is too large")


def parse(argv: list[str]) -> list[str]:
    """Gives the flags the values of a command line, flagfiles in it expanded; UsageError where it cannot."""
    from absl import flags  # here, so that a bare Python gets a message and no traceback

    from common import flagfiles

    arguments = flagfiles.expand(argv[1:])
    if any(word.split("=")[0] in ("--undefok", "-undefok") for word in arguments):
        raise UsageError("--undefok is not taken: a flag that is not known is a mistake")
    try:
        rest = flags.FLAGS([argv[0], *arguments])
    except SystemExit:  # only help ends here, with 1
        sys.exit(0)
    except flags.Error as error:
        raise UsageError(" ".join(str(error).split())) from error
    if len(rest) > 1:
        raise UsageError(f"'{rest[1]}' is not a flag; flags are written --name=value")
    _check_numbers(flags.FLAGS.flag_values_dict())
    return rest


def run(main: Callable[[list[str]], int | None], prepare: Callable[[], None] | None = None) -> None:
    """Parses flags, calls `main(argv)` and exits with its return value (None counts as 0).

    prepare: called before flags are parsed, e.g. to check the environment and define a model's flags.
    """

    def prepared(argv: list[str]) -> list[str]:
        if prepare is not None:
            prepare()
        return parse(argv)

    from absl import app

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names may hold what the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    app.run(
        lambda argv: sys.exit(_guarded(main, argv) or 0),
        flags_parser=lambda argv: _guarded(prepared, argv),
    )


def _guarded(call, argv):
    """`call(argv)`; what a person can mend, and Ctrl-C, end the program with one line."""
    try:
        return call(argv)
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is None or error.errno not in _OF_PATHS:
            raise
        print(
            f"error: {one_line(error.filename)}: {error.strerror}; name another path",
            file=sys.stderr,
        )
        sys.exit(UserError.exit_code)
    except KeyboardInterrupt:
        print("error: interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(1)
