"""Options as fields of a dataclass; default, help text and limits are written once, and flags are made from them.

    @dataclasses.dataclass(frozen=True)
    class Options:
        steps: int = option(1, "generator updates", least=1)

        def __post_init__(self):
            check(self)

    define_flags("optimisation", Options)                  # --steps
    from_flags(Options, flags.FLAGS.flag_values_dict())    # Options(steps=...)

A field with a help text has a flag. The flag has the field's name unless another is given; several fields may share a
flag. `--help` lists flags by group (`common.command_line`). Types come from the annotations: bool, int, float, str,
tuple (of floats or words), each optionally `| None`. This module does not import TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from absl import flags

from common.errors import UsageError

_TYPES = {"bool": bool, "int": int, "float": (int, float), "str": str, "tuple": tuple}


def option(default, help="", *, least=None, most=None, choices=None, flag=None, item=str):
    """A dataclass field.

    Args:
      default: of the field.
      help: of its flag; a field without help has no flag.
      least, most: limits of a number.
      choices: allowed strings.
      flag: the flag's name, if it is not the field's.
      item: type of a tuple's items, str or float.
    """
    about = {"help": help, "least": least, "most": most, "choices": choices}
    return dataclasses.field(default=default, metadata={**about, "flag": flag, "item": item})


def with_default(kind: type, name: str, default):
    """The field `name` of dataclass `kind` with another default, for a subclass."""
    field = kind.__dataclass_fields__[name]
    return dataclasses.field(default=default, metadata=field.metadata)


def check(options) -> None:
    """ValueError for a field with a value of another type, not among its choices or beyond its limits."""
    for field in dataclasses.fields(options):
        value, (kind, may_be_none) = getattr(options, field.name), _kind(field)
        if value is None and may_be_none:
            continue
        # In Python a bool is an int; here it is not.
        if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
            raise ValueError(f"{field.name} {value!r} is not of type {kind}")
        _check_limits(field, value)


def _check_limits(field, value):
    least, most = field.metadata.get("least"), field.metadata.get("most")
    choices = field.metadata.get("choices")
    if choices and value not in choices:
        raise ValueError(f"{field.name} '{value}' is not one of {', '.join(choices)}")
    if least is not None and most is not None and not least <= value <= most:  # also true for NaN
        raise ValueError(f"{field.name} {value} is not between {least} and {most}")
    if least is not None and not value >= least:
        raise ValueError(f"{field.name} {value} is below {least}")


def _kind(field):
    kind, *others = field.type.split(" | ")
    return kind, others == ["None"]


def names(kind: type, without: type | None = None) -> list[str]:
    """The flags of dataclass `kind`, except those of its base class `without`."""
    found = {_flag_of(field): None for field in _fields(kind)}
    return [name for name in found if without is None or name not in names(without)]


def _fields(kind):
    return [field for field in dataclasses.fields(kind) if field.metadata.get("help")]


def _flag_of(field):
    return field.metadata["flag"] or field.name


def define_flags(
    group: str,
    kind: type,
    variants: Mapping[str, type] | None = None,
    without: type | None = None,
    optional: str | None = None,
) -> None:
    """Defines the flags of a dataclass.

    Args:
      group: heading in `--help`.
      kind: the dataclass.
      variants: {name: a dataclass with the same fields}. If their defaults differ, the flag has no default and its help
        lists theirs.
      without: a base class of `kind` whose flags are defined elsewhere.
      optional: description of the default, for help; then no flag has a default.
    """
    wanted, seen = names(kind, without), set()
    for field in _fields(kind):
        name = _flag_of(field)
        if name not in wanted or name in seen:
            continue
        seen.add(name)
        default, help_text = field.default, field.metadata["help"]
        others = {
            v: other.__dataclass_fields__[field.name] for v, other in (variants or {}).items()
        }
        if len({repr(other.default) for other in others.values()}) > 1:
            theirs = ", ".join(f"{other.default} ({v})" for v, other in others.items())
            default, help_text = None, f"{help_text}; default: {theirs}"
        elif optional:
            default, help_text = None, f"{help_text}; default: {optional}"
        flags.DEFINE_flag(_made(field, name, default, help_text), module_name=group)


def _made(field, name, default, help_text):
    about, kind = field.metadata, _kind(field)[0]
    if kind == "bool":
        return flags.BooleanFlag(name, default, help_text)
    if about["choices"]:
        return flags.EnumFlag(name, default, help_text, about["choices"])
    limits = about["least"], about["most"]
    parser = {
        "int": lambda: flags.IntegerParser(*limits),
        "float": lambda: flags.FloatParser(*limits),
        "tuple": _NumbersParser if about["item"] is float else flags.ListParser,
        "str": flags.ArgumentParser,
    }[kind]()
    serializer = flags.ListSerializer(",") if kind == "tuple" else flags.ArgumentSerializer()
    return flags.Flag(parser, serializer, name, default, help_text)


class _NumbersParser(flags.ListParser):
    """Numbers separated by commas."""

    def parse(self, argument):
        try:
            return [float(word) for word in super().parse(argument)]
        except ValueError as error:
            raise ValueError("not numbers separated by commas, such as 0.8,0.9") from error


def from_flags(kind: type, values: Mapping[str, Any]):
    """An instance of dataclass `kind` with the values of its flags, or defaults for flags without a value.

    values: {flag: value}; other flags are ignored.

    Raises:
      UsageError: the dataclass does not accept the values.
    """
    try:
        return kind(**_given(kind, values))
    except ValueError as error:
        raise UsageError(f"--{error}") from error


def changed(options, values: Mapping[str, Any]):
    """A copy of a dataclass instance with the values of its flags; ValueError if it does not accept them."""
    return dataclasses.replace(options, **_given(type(options), values))


def _given(kind, values):
    found = {field.name: values.get(_flag_of(field)) for field in _fields(kind)}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.items()
        if value is not None
    }
