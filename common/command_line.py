"""The command line of every command: flags, flagfiles, and errors as one line.

`run` parses the flags, calls a command's `main` and ends the program. A `UserError` becomes one line on stderr and an
exit code, so that no traceback is shown for a mistake that is not ours. Anything else is a bug and keeps its traceback.

Exit codes: 0 done, 1 failed (or, for a folder, at least one file failed) or interrupted, 2 wrong flags.

Flagfiles hold one flag a line, `#` comments, and `--flagfile=` again. A relative path is looked for where the command
runs, then beside the package (where configs/ is, in a clone as in an installed wheel). Values are taken as they stand:
no shell reads a flagfile, so a quoted value is refused.
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

from common.errors import UsageError, UserError, one_line

_ROOT = pathlib.Path(__file__).resolve().parents[1]
# configs/ lies here: in a clone, in an installed wheel.
_OF_CONFIGS = (_ROOT, _ROOT / "common")
# What the system says of a path that a person can mend.
_OF_PATHS = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR)
_LARGEST = 2**63 - 1
_HELP = {"help", "helpshort", "helpfull", "h", "?"}


def expand(arguments: list[str], including: tuple = ()) -> list[str]:
    """Replaces every --flagfile=PATH by the flags in it; what comes later on the line wins.

    including: the flagfiles around these arguments.

    Raises:
      UsageError: a flagfile is missing, includes itself, or holds something that is no flag; quoted values.
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
        expanded += expand(_lines(path), (*including, path))
    return expanded


def _find(name):
    for path in (pathlib.Path(name), *(folder / name for folder in _OF_CONFIGS)):
        if path.is_file():
            return path.resolve()
    raise UsageError(f"--flagfile={name} does not exist; check its name (quotes are part of it)")


def _lines(path):
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows' Notepad writes a mark
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
    """UsageError for a flag that is no number that can be computed with."""
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{name}={value} is not a finite number")
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise UsageError(f"--{name}={value} is too large")


def parse(argv: list[str], positional: Sequence[str] = (), about: str = "") -> None:
    """Gives the flags the values of a command line, flagfiles in it expanded.

    Args:
      argv: the command and its words.
      positional: flags whose values may also stand without a name, in this order.
      about: the command's text, which --help prints before the flags.

    Raises:
      UsageError: an unknown flag, a value that it cannot have, or a word that is no flag.
    """
    arguments = expand(argv[1:])
    if any(word.split("=")[0] in ("--undefok", "-undefok") for word in arguments):
        raise UsageError("--undefok is not taken: a flag that is not known is a mistake")
    if {word.lstrip("-") for word in arguments if word.startswith("-")} & _HELP:
        print(_help(about))
        sys.exit(0)
    flags.FLAGS.set_gnu_getopt(bool(positional))
    try:
        rest = flags.FLAGS([argv[0], *arguments])[1:]
        for name, word in zip(positional, rest):
            if flags.FLAGS[name].present:
                raise UsageError(
                    f"'{word}' and --{name}={flags.FLAGS[name].value} are one too many"
                )
            flags.FLAGS[name].parse(word)
    except flags.Error as error:
        raise UsageError(" ".join(str(error).split())) from error
    for word in rest[len(positional) :]:
        raise UsageError(f"'{word}' is not a flag; flags are written --name=value")
    _check_numbers(flags.FLAGS.flag_values_dict())


def _help(about: str) -> str:
    """What a command says of itself, then its flags under their groups (`common.options`)."""
    groups = [name for name in flags.FLAGS.flags_by_module_dict() if not name.startswith("absl.")]
    texts = [
        # What a command defines itself is listed under its module's name.
        re.sub(r"^[\w.]+\.\w+:|^__main__:", "flags:", flags.FLAGS.module_help(name).strip())
        for name in groups
    ]
    return "\n\n".join([about.strip(), *texts])


def program(script: str) -> list[str]:
    """What starts "train", "evaluate", "export" or "inpaint" in a process of its own.

    In a clone that is the script of this name, elsewhere the installed command.
    """
    path = _ROOT / f"{script}.py"
    if path.is_file():
        return [sys.executable, str(path)]
    return [sys.executable, "-m", "inpainting", "run" if script == "inpaint" else script]


def run_command(module: types.ModuleType) -> None:
    """Runs a command and ends the program with its exit code.

    module: has `main(argv)`, whose return value is the exit code (None: 0), and a docstring, which --help prints. It
      may have `prepare()`, called before flags are parsed, and `POSITIONAL`, see `parse`.
    """
    run(
        module.main,
        getattr(module, "prepare", None),
        getattr(module, "POSITIONAL", ()),
        module.__doc__ or "",
    )


def run(
    main: Callable[[list[str]], int | None],
    prepare: Callable[[], None] | None = None,
    positional: Sequence[str] = (),
    about: str | None = None,
) -> None:
    """As `run_command`, of a program whose main module says what it does."""

    def prepared(argv: list[str]) -> list[str]:
        if prepare is not None:
            prepare()
        said = sys.modules["__main__"].__doc__ if about is None else about
        parse(argv, positional, said or "")
        return argv[:1]

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names may hold what the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    app.run(
        lambda argv: sys.exit(guarded(main, argv) or 0),
        flags_parser=lambda argv: guarded(prepared, argv),
    )


def guarded(call: Callable, argv: list[str]):
    """`call(argv)`; what a person can mend, and Ctrl-C, end the program with one line."""
    try:
        return call(argv)
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
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
        print("error: interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(1)
