"""What a study's result.json must hold, so that its report needs no further check.

A result may come from anywhere. Its pictures lie beside it: no path leads out of its folder. Its `id` is a study's
name: it becomes a link and a folder.
"""

from __future__ import annotations

import pathlib
import re
from typing import Any

_TEXTS = ("id", "paper", "item", "what", "reported", "command", "size", "date", "commit")
_NAME = re.compile(r"[a-z0-9_]+")


def check(content: Any) -> None:
    """ValueError, in one line, for the first thing that a report could not show."""
    _require(isinstance(content, dict), "it is no object")
    for name in _TEXTS:
        _require(isinstance(content.get(name), str), f"'{name}' is no text")
    _require(_NAME.fullmatch(content["id"]), "'id' is no name of a study")
    _require(_is_number(content.get("seconds")), "'seconds' is no number of seconds")
    machine, versions = content.get("machine"), content.get("versions")
    _require(
        isinstance(machine, dict)
        and isinstance(machine.get("processor"), str)
        and "cores" in machine
        and _are_texts(machine.get("gpus", [])),
        "'machine' lacks its processor and cores",
    )
    _require(
        isinstance(versions, dict) and isinstance(versions.get("tensorflow"), str),
        "'versions' lacks TensorFlow's",
    )
    _require(_are_texts(content.get("notes")), "'notes' are no list of texts")
    for name, check_one in (("tables", _check_table), ("pictures", _check_picture)):
        _require(isinstance(content.get(name), list), f"'{name}' are no list")
        for entry in content[name]:
            check_one(entry)


def _check_table(table):
    named = isinstance(table, dict) and all(
        isinstance(table.get(name), str) for name in ("title", "note")
    )
    _require(named, "a table lacks its title or note")
    columns, rows = table.get("columns"), table.get("rows")
    _require(_are_texts(columns) and columns, "a table has no columns")
    fits = isinstance(rows, list) and all(_are_texts(r) and len(r) == len(columns) for r in rows)
    _require(fits, "a table's rows do not fit its columns")


def _check_picture(picture):
    texts = [
        picture.get(name) if isinstance(picture, dict) else None for name in ("file", "caption")
    ]
    _require(_are_texts(texts), "a picture lacks its file or caption")
    file = pathlib.PurePosixPath(texts[0])
    inside = file.suffix == ".png" and len(file.parts) == 1 and "\\" not in texts[0]
    _require(inside, "a picture is no .png file beside the result")


def _are_texts(values):
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9


def _require(fine, reason):
    if not fine:
        raise ValueError(reason)
