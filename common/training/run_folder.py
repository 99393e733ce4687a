"""The files of one training run.

    options.json       every flag, seed, versions, git commit, command line
    log.txt            what was printed
    statistics.jsonl   one line per logging step: step, loss terms, images/s; one per validation: step, scores, terms
    events.*           the same for TensorBoard, with picture grids
    checkpoints/       to go on from, see `common.training.checkpoints`
    pictures/          the latest grid of validation images as a PNG
    nonfinite/         batches after which a number was not finite, see `common.training.nonfinite`
    weights.npz        the network alone, for inpaint.py, evaluate.py and export.py
    weights_best.npz   the same at the best validation, where one is looked for

statistics.jsonl tells one story: what was written after the checkpoint that a run goes on from is taken out, because
those steps are done again. log.txt and TensorBoard's events keep every start.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import pathlib
import sys

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from common import environment, storage
from common.images import convert

STATISTICS = "statistics.jsonl"


class RunFolder:
    """The files of one run; see the module docstring.

    photographs: `pipeline.Photographs` whose skipped ones are counted in statistics and checkpoints, or None.
    """

    photographs = None

    def __init__(self, folder, options: dict):
        self.folder = pathlib.Path(folder)
        self.options = json.loads(json.dumps(options, default=str))
        self._events = None
        with storage.named_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def start(self, first: int = 0) -> None:
        """Writes options.json; options that differ from those of the run's last start go to log.txt.

        Called when everything is loaded, so that a start that fails leaves the record of the one that did not.

        Args:
          first: steps that are done; lines of statistics.jsonl that are later are taken out.
        """
        about = {
            "options": self.options,
            "versions": environment.versions(),
            "git_commit": environment.git_commit(),
            "command": sys.argv,
            "started": datetime.datetime.now().isoformat(timespec="seconds"),
        }
        path = self.folder / "options.json"
        changed = self._changes(path)
        storage.remove_partial(self.folder)
        storage.write_text(path, json.dumps(about, indent=1))
        removed = self._forget_after(first)
        self._events = tf.summary.create_file_writer(str(self.folder))
        for line in changed:
            self.log(line)
        if removed:
            self.log(f"{removed} lines of {STATISTICS} after step {first} are taken out")

    def _changes(self, path):
        try:
            before = dict(json.loads(path.read_text(encoding="utf-8"))["options"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return []
        names = sorted(before.keys() | self.options.keys())
        pairs = [(name, before.get(name), self.options.get(name)) for name in names]
        return [f"--{name} was {old}, is now {new}" for name, old, new in pairs if old != new]

    def _forget_after(self, step):
        """Takes lines of later steps, repeated ones and one that was cut short out of statistics.jsonl; how many."""
        path = self.folder / STATISTICS
        if not path.exists():
            return 0
        with storage.named_errors(path):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        kept = {}
        for line in lines:
            if line.endswith("\n") and _about(line)[0] <= step:
                kept.setdefault(_about(line), line)
        if len(kept) < len(lines):
            storage.write_text(path, "".join(kept.values()))
        return len(lines) - len(kept)

    def counts(self) -> dict:
        """What joins every line of statistics about a step."""
        return {"photographs_skipped": len(self.photographs.skipped)} if self.photographs else {}

    def log(self, line: str) -> None:
        """Prints a line above the progress bar and keeps it in log.txt."""
        tqdm.write(line)
        self._append("log.txt", f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {line}")

    def statistics(self, step: int, values: dict) -> None:
        """One line of statistics.jsonl and the same as TensorBoard scalars."""
        finite = {name: v if math.isfinite(v) else str(v) for name, v in values.items()}
        self._append(STATISTICS, json.dumps({"step": step, **finite}))
        with self._events.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def flush(self) -> None:
        """Has statistics.jsonl written to the disk: a checkpoint must not outlive the lines before it."""
        path = self.folder / STATISTICS
        if path.exists():
            with storage.named_errors(path), open(path, "a", encoding="utf-8") as stream:
                os.fsync(stream.fileno())

    def picture(self, step: int, grid: np.ndarray) -> None:
        """A grid uint8 [H, W, 3] for TensorBoard and as pictures/latest.png."""
        with self._events.as_default(step=step):
            tf.summary.image("validation", grid[None])
        convert.write_png(self.folder / "pictures" / "latest.png", grid)

    def _append(self, name, line):
        with (
            storage.named_errors(self.folder / name),
            open(self.folder / name, "a", encoding="utf-8") as stream,
        ):
            stream.write(line + "\n")


def _about(line):
    """(step, names) of a line of statistics: what no two lines share. The step is infinite in what is no such line."""
    try:
        values = json.loads(line)
        return int(values["step"]), tuple(values)
    except (ValueError, KeyError, TypeError):
        return math.inf, ()
