"""The command line of every command: flags, flagfiles, and errors as one line.

`run` parses the flags, calls a command's `main` and ends the program. A `UserError` is printed as one line on stderr,
without a traceback, and sets the exit code. Any other exception is a bug and keeps its traceback.

Exit codes: 0 done, 1 failed (or, for a folder, at least one file failed) or interrupted, 2 wrong flags.

A flagfile holds one flag per line, `#` comments, and other `--flagfile=` lines. A relative path is looked up in the
current folder, then beside the package, where a clone and an installed wheel keep configs/. No shell reads a flagfile:
values are taken literally, and a quoted value is refused.
"""

from __future__ import annotations

import errno
import math
import os
import pathlib
import re
import sys
import types
from collections.abc import Sequence
from typing import Callable

from absl import app, flags

from common import environment
from common.errors import UsageError, UserError, one_line

# Folders that hold configs/: of a clone, of an installed wheel.
_OF_CONFIGS = (environment.ROOT, environment.ROOT / "common")
_DEEPEST = 20  # flagfiles, each of which is included by the one before
# System errors of a path that the user can fix.
_OF_PATHS = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR)
_LARGEST = 2**63 - 1
_HELP = {"help", "helpshort", "helpfull", "h", "?"}


def expand(arguments: list[str], including: tuple = ()) -> list[str]:
    """Replaces every --flagfile=PATH by the flags in it; the last value of a flag wins.

    including: the flagfiles that are being expanded.

    Raises:
      UsageError: a flagfile is missing, includes itself, lies too deep or has a line that is not a flag, or a value is
        quoted.
    """
    expanded = []
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if name.lstrip("-") != "flagfile" or not argument.startswith("-"):
            expanded.append(_unquoted(argument))
            continue
        if not separator:
            raise UsageError("write --flagfile=PATH, with the equals sign")
        path = _find(value)
        if path in including:
            raise UsageError(f"{path} includes itself")
        if len(including) == _DEEPEST:
            raise UsageError(
                f"{path} lies in a chain of more than {_DEEPEST} flagfiles; shorten it"
            )
        expanded += expand(_lines(path), (*including, path))
    return expanded


def _find(name):
    for path in (pathlib.Path(name), *(folder / name for folder in _OF_CONFIGS)):
        if path.is_file():
            return path.resolve()
    raise UsageError(f"--flagfile={name} does not exist; check its name (quotes are part of it)")


def _lines(path):
    try:
        text = path.read_text(encoding="utf-8-sig")  # Notepad writes a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--flagfile={path} is not a readable text file") from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    for line in lines:
        if not line.startswith("-"):
            raise UsageError(f"{path}: '{line}' is not a flag; write --name=value")
    return lines


def _unquoted(argument):
    name, _, value = argument.partition("=")
    if argument.startswith("-") and len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        raise UsageError(f"{argument} is quoted; write {name}={value[1:-1]} in a flagfile")
    return argument


def _check_numbers(values: dict) -> None:
    """UsageError for a number that is NaN, infinite or too large."""
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{name}={value} is not a finite number")
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise UsageError(f"--{name}={value} is too large")


def parse(argv: list[str], positional: Sequence[str] = (), about: str = "") -> None:
    """Sets the flags from a command line and its flagfiles.

    Args:
      argv: the command's name and its arguments.
      positional: flags that can also be given by position, in this order.
      about: text that --help prints before the flags.

    Raises:
      UsageError: an unknown flag, an invalid value, or an argument that is not a flag.
    """
    arguments = expand(argv[1:])
    if any(word.split("=")[0] in ("--undefok", "-undefok") for word in arguments):
        raise UsageError("--undefok is not supported: an unknown flag is always an error")
    if {word.lstrip("-") for word in arguments if word.startswith("-")} & _HELP:
        print(_help(about))
        sys.exit(0)
    flags.FLAGS.set_gnu_getopt(bool(positional))
    try:
        rest = flags.FLAGS([argv[0], *arguments])[1:]
        for name, word in zip(positional, rest):
            if flags.FLAGS[name].present:
                raise UsageError(
                    f"'{word}' and --{name}={flags.FLAGS[name].value} both set --{name}; give one"
                )
            flags.FLAGS[name].parse(word)
    except flags.Error as error:
        raise UsageError(" ".join(str(error).split())) from error
    for word in rest[len(positional) :]:
        raise UsageError(f"'{word}' is not a flag; flags are written --name=value")
    _check_numbers(flags.FLAGS.flag_values_dict())


def _help(about: str) -> str:
    """The command's text, then its flags by group (`common.options`)."""
    groups = [name for name in flags.FLAGS.flags_by_module_dict() if not name.startswith("absl.")]
    texts = [
        # absl lists the flags that a command itself defines under its module's name.
        re.sub(r"^[\w.]+\.\w+:|^__main__:", "flags:", flags.FLAGS.module_help(name).strip())
        for name in groups
    ]
    return "\n\n".join([about.strip(), *texts])


def program(script: str) -> list[str]:
    """Command line of "train", "evaluate", "export" or "inpaint" for a new process.

    A clone has a script of this name; elsewhere it is the installed command.
    """
    path = environment.ROOT / f"{script}.py"
    if path.is_file():
        return [sys.executable, str(path)]
    return [sys.executable, "-m", "inpainting", "run" if script == "inpaint" else script]


def run(module: types.ModuleType | None = None) -> None:
    """Runs a command and ends the program with its exit code.

    module: by default the program's main module. It has `main(argv)`, which returns the exit code (None: 0), and a
      docstring, which --help prints. Optional: `prepare()`, called before flags are parsed (default:
      `environment.check`), and `POSITIONAL`, as in `parse`.
    """
    command = sys.modules["__main__"] if module is None else module

    def prepared(argv: list[str]) -> list[str]:
        getattr(command, "prepare", environment.check)()
        parse(argv, getattr(command, "POSITIONAL", ()), command.__doc__ or "")
        return argv[:1]

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # file names may hold characters that the terminal lacks
            stream.reconfigure(errors="backslashreplace")
    app.run(
        lambda argv: sys.exit(guarded(command.main, argv) or 0),
        flags_parser=lambda argv: guarded(prepared, argv),
    )


def guarded(call: Callable, argv: list[str]):
    """`call(argv)`; errors the user can fix, and Ctrl-C, end the program with one line."""
    try:
        return call(argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of the output, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.filename is None or error.errno not in _OF_PATHS:
            raise
        print(
            f"error: {one_line(error.filename)}: {error.strerror}; name another path",
            file=sys.stderr,
        )
        sys.exit(UserError.exit_code)
    except KeyboardInterrupt:
        print("error: interrupted; finished work is kept", file=sys.stderr)
        sys.exit(1)
