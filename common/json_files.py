"""Writes JSON files, infinite and NaN values included, and reads JSON files with a check of their form.

A form is one of

    {key: form}   an object with these keys (optional if a key ends in "?"), and perhaps others
    {str: form}   an object whose values all have the form
    [form]        a list of values of the form
    Value         text or a number, as below
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

from common import storage


class Value(NamedTuple):
    """A kind of value: its description for messages (`what`), and a function that checks a value (`holds`)."""

    what: str
    holds: Callable[[Any], bool]


def _is_text(value):
    """Whether a value is text without lone surrogates, which JSON may hold but a file cannot."""
    return isinstance(value, str) and value.encode(errors="ignore").decode() == value


def _is_real(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_number(value):
    return _is_real(value) and 0 <= value < 1e9


def _is_score(value):
    return value in (None, "inf") or (_is_real(value) and abs(value) < 1e9)


TEXT = Value("text", _is_text)
LINE = Value(
    "a line of text", lambda value: _is_text(value) and value.strip() and value.isprintable()
)
NUMBER = Value("a number from 0 to 1e9", _is_number)
# A score as `write` writes it: infinity is "inf", NaN is null.
SCORE = Value('a number below 1e9, "inf" or null', _is_score)


def one_of(*texts: str) -> Value:
    """The kind of value that is one of these texts."""
    return Value(" or ".join(texts), lambda value: value in texts)


def read(path: pathlib.Path, form: Any) -> Any:
    """The content of a JSON file.

    Raises:
      ValueError: the file cannot be read, or differs from `form`; one line, without the file's name.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not readable JSON: {error}") from error
    check(content, form)
    return content


def check(value: Any, form: Any, where: str = "") -> None:
    """ValueError, one line, for the first difference between `value` and `form`."""
    if isinstance(form, dict):
        _require(isinstance(value, dict), where, "an object")
        for key, inner in (dict.fromkeys(value, form[str]) if str in form else form).items():
            name = key if str in form else key.removesuffix("?")
            _require(name in value or name != key, where, f"an object with '{name}'")
            if name in value:
                check(value[name], inner, f"{where}.{name}".lstrip("."))
    elif isinstance(form, list):
        _require(isinstance(value, list), where, "a list")
        for index, item in enumerate(value):
            check(item, form[0], f"{where}[{index}]")
    else:
        _require(form.holds(value), where, form.what)


def write(target: storage.PathLike, value: Any) -> None:
    """Writes `value` as JSON, whole or not at all: dataclasses as objects, infinity as "inf", NaN as null.

    Raises:
      UserError: `target` cannot be written.
    """
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    storage.write_text(target, text + "\n")


def _plain(value):
    if dataclasses.is_dataclass(value):
        return _plain(vars(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, int)):
        return value
    number = float(value)
    if math.isnan(number):
        return None
    return number if math.isfinite(number) else str(number)


def _require(holds, where, what):
    if not holds:
        raise ValueError(f"{repr(where) if where else 'it'} is not {what}")
