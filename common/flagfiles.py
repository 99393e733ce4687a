"""Flagfiles: one flag a line, `#` comments, and `--flagfile=` again.

A relative path is looked for where the command runs, then beside the package (where configs/ is, in a clone as in an
installed wheel). Values are taken as they stand: no shell reads a flagfile, so a quoted value is refused.
"""

from __future__ import annotations

import pathlib

from common.errors import UsageError

_DEEPEST = 100  # flagfiles in a chain
_BESIDE_PACKAGE = pathlib.Path(__file__).resolve().parents[1]


def expand(arguments: list[str]) -> list[str]:
    """Replaces every --flagfile=PATH by the flags in it; what comes later on the line wins.

    Raises:
      UsageError: a flagfile is missing, includes itself, or holds something that is no flag; quoted values.
    """
    return _expand(arguments, ())


def _expand(arguments, including):
    expanded = []
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if name.lstrip("-") != "flagfile" or not argument.startswith("-"):
            expanded.append(_unquoted(argument))
            continue
        if not separator:
            raise UsageError("write --flagfile=PATH, with the equals sign")
        path = _find(value)
        if len(including) >= _DEEPEST:
            raise UsageError(f"{path}: more than {_DEEPEST} flagfiles include each other")
        if path in including:
            raise UsageError(f"{path} includes itself")
        expanded += _expand(_lines(path), (*including, path))
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
