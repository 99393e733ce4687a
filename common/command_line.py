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
import pathlib
import sys
from typing import Callable

from absl import app, flags

from common.errors import UsageError, UserError, one_line

_BESIDE_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
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
    for path in (pathlib.Path(name), _BESIDE_PACKAGE / name):
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


def parse(argv: list[str]) -> list[str]:
    """Gives the flags the values of a command line, flagfiles in it expanded; UsageError where it cannot."""
    arguments = expand(argv[1:])
    if any(word.split("=")[0] in ("--undefok", "-undefok") for word in arguments):
        raise UsageError("--undefok is not taken: a flag that is not known is a mistake")
    if {word.lstrip("-") for word in arguments if word.startswith("-")} & _HELP:
        print(_help(argv[0]))
        sys.exit(0)
    try:
        rest = flags.FLAGS([argv[0], *arguments])
    except flags.Error as error:
        raise UsageError(" ".join(str(error).split())) from error
    if len(rest) > 1:
        raise UsageError(f"'{rest[1]}' is not a flag; flags are written --name=value")
    _check_numbers(flags.FLAGS.flag_values_dict())
    return rest


def _help(command: str) -> str:
    """The command's docstring, then its flags under their groups (`common.options`)."""
    from absl import flags

    groups = [name for name in flags.FLAGS.flags_by_module_dict() if not name.startswith("absl.")]
    texts = [flags.FLAGS.module_help(name).strip() for name in groups]
    return "\n\n".join([str(sys.modules["__main__"].__doc__).strip(), *texts])


def run(main: Callable[[list[str]], int | None], prepare: Callable[[], None] | None = None) -> None:
    """Parses flags, calls `main(argv)` and exits with its return value (None counts as 0).

    prepare: called before flags are parsed, e.g. to check the environment and define a model's flags.
    """

    def prepared(argv: list[str]) -> list[str]:
        if prepare is not None:
            prepare()
        return parse(argv)

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
