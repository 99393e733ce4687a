"""Reads the authors' releases: the arrays of a TensorFlow checkpoint, with checks of names, sizes and types."""

from __future__ import annotations

import dataclasses
import glob
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Callable

import numpy as np
import tensorflow as tf

from common.errors import UserError
from common.models import weights
from common.storage import PathLike


def read_checkpoint(prefix: PathLike) -> dict[str, np.ndarray]:
    """{name: array} of a TensorFlow 1 or 2 checkpoint with this prefix."""
    if not pathlib.Path(f"{prefix}.index").is_file():
        raise UserError(
            f"no checkpoint {prefix}: {prefix}.index is missing; give the prefix without a suffix"
        )
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
        data = pathlib.Path(prefix).parent.glob(f"{glob.escape(pathlib.Path(prefix).name)}.data-*")
        check_claim(shapes.values(), sum(path.stat().st_size for path in data), str(prefix))
        return {name: reader.get_tensor(name) for name in shapes}
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        first_line = str(error).splitlines()[0]
        raise UserError(f"cannot read checkpoint {prefix}: {first_line}") from error


def check_claim(shapes: Iterable[Sequence[int]], size: int, label: str) -> None:
    """UserError if arrays of these shapes hold more numbers than a file of `size` bytes, or have negative sides."""
    shapes = [tuple(shape) for shape in shapes]
    if min(map(min, filter(None, shapes)), default=0) < 0 or sum(map(math.prod, shapes)) > size:
        raise UserError(f"{label} is damaged: it describes more numbers than it holds")


def as_floats(array, label: str) -> np.ndarray:
    """An array as float32; UserError if it holds anything but real numbers."""
    try:
        array = np.asarray(array)
        if array.dtype.kind in "fiu" or array.dtype.name == "bfloat16":
            return array.astype(np.float32)
    except ValueError:  # lists of different lengths
        pass
    raise UserError(f"{label} is not an array of numbers")


def check_names(found: Iterable[str], needed: Iterable[str], unknown: list[str], label: str):
    """UserError if needed names were not found in `label`, or if some are unknown; lists the first five."""
    missing = sorted(set(needed) - set(found))
    for problem, names in (("lacks", missing), ("holds unknown", sorted(unknown))):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            raise UserError(f"{label} {problem} {', '.join(names[:5])}{more}")


def changed(config, label: str, **changes):
    """A copy of a configuration with other values; UserError if it does not accept them."""
    try:
        return dataclasses.replace(config, **changes)
    except ValueError as error:
        raise UserError(f"{label}: {error}") from error


def assign(
    layer,
    arrays: Mapping,
    names: Mapping[str, str],
    label: str,
    convert: Callable = lambda _, array: array,
) -> None:
    """Gives every variable of `layer` its array.

    Args:
      arrays: {release's name: array}, all of `names`.
      names: {release's name: path of our variable}.
      convert: (release's name, float32 array) -> our array, of the same shape.

    Raises:
      UserError: an array is not of numbers, has another shape or is not finite; then nothing is assigned.
    """
    variables = weights.named_variables(layer)
    wanted = {name: variables[ours] for name, ours in names.items()}
    found = {name: as_floats(arrays[name], f"{label}: {name}") for name in names}
    weights.check(wanted, found, label)
    for name, variable in wanted.items():
        variable.assign(convert(name, found[name]))
