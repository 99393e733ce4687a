"""Checkpoints of a run: every weight, every optimizer slot and the step, in one file that is whole or absent.

    step-<N>.npz        the latest checkpoints; the last `keep` stay
    milestone-<N>.npz   at the interval --milestone_every; never deleted
    best.npz            the checkpoint with the best validation

A checkpoint is an `.npz` of plain arrays named "<part>/<path>", where a part is a layer or an optimizer. It is written
to a temporary file, flushed to the disk and renamed, so a process that is killed while saving leaves the previous
checkpoint. Restoring is strict: a missing part, or an array that does not fit, is an error.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil

from common import storage
from common.errors import UserError
from common.models import weights

_NAME = re.compile(r"step-(\d+)\.npz$")
BEST = "best.npz"


class Checkpoints:
    """The checkpoints of one run folder.

    Args:
      folder: of the checkpoints; made on the first save.
      layers: {part: layer} whose variables are saved by path.
      optimizers: {part: optimizer}, already built, whose variables are saved by position.
      keep: number of latest checkpoints that stay.
    """

    def __init__(self, folder, layers: dict, optimizers: dict, keep: int = 3):
        self.folder, self.keep = pathlib.Path(folder), keep
        self._layers, self._optimizers = layers, optimizers

    def paths(self) -> list[pathlib.Path]:
        """Paths step-<N>.npz, oldest first."""
        found = [
            (int(m.group(1)), p)
            for p in self.folder.glob("step-*.npz")
            if (m := _NAME.match(p.name))
        ]
        return [path for _, path in sorted(found)]

    def clean(self) -> None:
        """Removes the temporary files of a process killed while saving; no other process may be writing here."""
        storage.remove_partial(self.folder)

    def size(self) -> int:
        """Bytes of a checkpoint, except for a few bytes per array."""
        return sum(variable.numpy().nbytes for variable in self.variables().values())

    def save(
        self, step: int, header: dict, *, last=True, milestone=False, best=False
    ) -> pathlib.Path:
        """Writes one checkpoint under each requested name; the names are hard links where the file system has them.

        Args:
          step: number of the step.
          header: values for JSON, besides the step.
          last: write step-<step>.npz; the oldest of these beyond `keep` are removed.
          milestone: write milestone-<step>.npz.
          best: write best.npz.

        Returns:
          The path that was written last.

        Raises:
          UserError: the checkpoint cannot be written; older checkpoints stay as they were.
        """
        # step-<N>.npz comes last: if it exists, the other names exist too.
        names = [BEST] * best + [f"milestone-{step:08d}.npz"] * milestone
        names += [f"step-{step:08d}.npz"] * last
        paths = [self.folder / name for name in names]
        arrays = {name: variable.numpy() for name, variable in self.variables().items()}
        storage.write_arrays(paths[0], arrays, {"step": step, **header}, durable=True)
        for path in paths[1:]:
            with storage.atomic_path(path, durable=True, needed=self.size()) as temporary:
                _link(paths[0], temporary)
        for old in self.paths()[: -self.keep] if last else []:
            old.unlink()
        return paths[-1]

    def restore(self, path) -> dict:
        """Assigns every variable from a checkpoint; returns its header (with "step").

        Raises:
          UserError: the file is unreadable, or an array is missing, unknown or of another shape.
        """
        header, arrays = _read(path)
        variables = self.variables()
        weights.check(variables, arrays, str(path))
        for name, variable in variables.items():
            variable.assign(arrays[name])
        return header

    def variables(self) -> dict:
        """{name of an array: variable}."""
        found = {}
        for part, layer in self._layers.items():
            for name, variable in weights.named_variables(layer).items():
                found[f"{part}/{name}"] = variable
        for part, optimizer in self._optimizers.items():
            # Keras 3 lists the learning rate too, which comes from the command line and not from a checkpoint.
            slots = [v for v in optimizer.variables if "learning_rate" not in v.name]
            found.update({f"{part}/{index}": variable for index, variable in enumerate(slots)})
        return found


def _link(path, target):
    """Replaces the empty file `target` by a hard link to `path`, or by a copy if links are not possible."""
    target.unlink()
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def _read(path):
    """(header, {name: array}) of a checkpoint."""
    try:
        header, arrays = storage.read_arrays(path)
    except storage.DamagedError:
        header, arrays = {}, {}
    step = header.get("step")
    if type(step) is not int or step < 0:
        raise UserError(f"{path} is not a checkpoint, or is cut short; remove it")
    return header, arrays
