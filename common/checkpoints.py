"""Checkpoints of a run: every weight, every optimizer slot and the step, in one file that is whole or absent.

A checkpoint is an `.npz` of plain arrays named "<part>/<path>", where a part is a layer or an optimizer. It is written
beside its name and renamed, so a process that dies while saving leaves the previous one. Restoring is strict: a
part that is missing, or an array that does not fit, is an error, never a silent fresh start.
"""

from __future__ import annotations

import json
import pathlib
import re
import zipfile

import numpy as np

from common import weights
from common.errors import UserError
from common.files import atomic_path

_NAME = re.compile(r"step-(\d+)\.npz$")
_HEADER = "header.json"


class Checkpoints:
    """The checkpoints of one run folder.

    Args:
      folder: where they lie; made on the first save.
      layers: {part: layer} whose variables are saved by path.
      optimizers: {part: optimizer}, already built, whose variables are saved by position.
      keep: how many of the last ones stay.
    """

    def __init__(self, folder, layers: dict, optimizers: dict, keep: int = 3):
        self.folder, self.keep = pathlib.Path(folder), keep
        self._layers, self._optimizers = layers, optimizers

    def paths(self) -> list[pathlib.Path]:
        """Whole checkpoints, oldest first."""
        found = [
            (int(m.group(1)), p)
            for p in self.folder.glob("step-*.npz")
            if (m := _NAME.match(p.name))
        ]
        return [path for _, path in sorted(found)]

    def save(self, step: int, header: dict) -> pathlib.Path:
        """Writes step-<step>.npz and removes the oldest ones beyond `keep`."""
        arrays = {name: np.asarray(variable) for name, variable in self._variables().items()}
        header = json.dumps({"step": step, **header})
        path = self.folder / f"step-{step:08d}.npz"
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **arrays, **{_HEADER: np.array(header)})
        for old in self.paths()[: -self.keep]:
            old.unlink()
        return path

    def restore(self, path) -> dict:
        """Assigns every variable from a checkpoint; returns its header (with "step").

        Raises:
          UserError: unreadable, or an array is missing, unknown or of another shape.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = dict(archive)
            header = json.loads(str(arrays.pop(_HEADER)))
            int(header["step"])
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} is not a checkpoint, or is cut short; remove it") from error
        variables = self._variables()
        weights.check(variables, arrays, str(path))
        for name, variable in variables.items():
            variable.assign(arrays[name])
        return header

    def _variables(self):
        found = {}
        for part, layer in self._layers.items():
            for name, variable in weights.named_variables(layer).items():
                found[f"{part}/{name}"] = variable
        for part, optimizer in self._optimizers.items():
            # Keras 3 lists the learning rate too; it is the command's, not the checkpoint's.
            slots = [v for v in optimizer.variables if "learning_rate" not in v.name]
            found.update({f"{part}/{index}": variable for index, variable in enumerate(slots)})
        return found
