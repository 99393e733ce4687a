"""Reads the authors' releases: the arrays of a TensorFlow checkpoint, with a check of their names."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from common.errors import UserError
from common.storage import PathLike


def read_checkpoint(prefix: PathLike) -> dict[str, np.ndarray]:
    """{name: array} of a TensorFlow 1 or 2 checkpoint with this prefix."""
    if not pathlib.Path(f"{prefix}.index").is_file():
        raise UserError(
            f"no checkpoint {prefix}: {prefix}.index is missing; give the prefix without a suffix"
        )
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        first_line = str(error).splitlines()[0]
        raise UserError(f"cannot read checkpoint {prefix}: {first_line}") from error


def check_names(found: Iterable[str], needed: Iterable[str], unknown: list[str], label: str):
    """UserError if needed names were not found in `label`, or if some are unknown; lists the first five."""
    missing = sorted(set(needed) - set(found))
    for problem, names in (("lacks", missing), ("holds unknown", sorted(unknown))):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            raise UserError(f"{label} {problem} {', '.join(names[:5])}{more}")
