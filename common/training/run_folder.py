"""The files of one training run.

    options.json       every flag, seed, versions, git commit, command line
    log.txt            the printed lines
    statistics.jsonl   one line per logging step: step, loss terms, images/s; one per validation: step, scores, terms
    events.*           the same for TensorBoard, with picture grids
    checkpoints/       states from which the run resumes, see `common.training.checkpoints`
    pictures/          the latest grid of validation images as a PNG
    nonfinite/         batches with a value that is not finite, see `common.training.nonfinite`
    weights.npz        the network alone, for inpaint.py, evaluate.py and export.py
    weights_best.npz   the same at the best validation (--keep_best)

A resumed run repeats the steps after its checkpoint, so their old lines are removed from statistics.jsonl. log.txt and
TensorBoard's events keep the lines of every start.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import pathlib
import shlex
import sys

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from common import environment, storage
from common.images import convert

STATISTICS = "statistics.jsonl"
PICTURE = pathlib.Path("pictures", "latest.png")


class RunFolder:
    """The files of one run; see the module docstring.

    photographs: `pipeline.Photographs`, whose skipped photographs are counted in statistics and checkpoints; or None.
    """

    photographs = None

    def __init__(self, folder, options: dict):
        self.folder = pathlib.Path(folder)
        self.options = json.loads(json.dumps(options, default=str))
        self._events = None
        with storage.named_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def start(self, first: int = 0) -> None:
        """Writes options.json; options that changed since the run's last start go to log.txt.

        Call it after everything is loaded: a start that fails then keeps the older record.

        Args:
          first: number of finished steps; later lines of statistics.jsonl are removed.
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
            self.log(f"{removed} lines of {STATISTICS} after step {first} are removed")

    def _changes(self, path):
        try:
            before = dict(json.loads(path.read_text(encoding="utf-8"))["options"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return []
        names = sorted(before.keys() | self.options.keys())
        pairs = [(name, before.get(name), self.options.get(name)) for name in names]
        return [f"--{name} was {old}, is now {new}" for name, old, new in pairs if old != new]

    def _forget_after(self, step):
        """Removes later, repeated and incomplete lines from statistics.jsonl; returns their number."""
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

    def where(self) -> str:
        """One line: where a person finds curves, pictures and statistics."""
        return (
            f"run folder {self.folder}: curves by tensorboard --logdir={shlex.quote(str(self.folder))}, "
            f"pictures in {self.folder / PICTURE}"
        )

    def counts(self) -> dict:
        """Values that are added to every step's line of statistics."""
        return {"photographs_skipped": len(self.photographs.skipped)} if self.photographs else {}

    def log(self, line: str) -> None:
        """Prints a line above the progress bar and appends it to log.txt."""
        tqdm.write(line)
        self._append("log.txt", f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {line}")

    def statistics(self, step: int, values: dict) -> None:
        """Writes one line of statistics.jsonl, and the same as TensorBoard scalars."""
        finite = {name: v if math.isfinite(v) else str(v) for name, v in values.items()}
        self._append(STATISTICS, json.dumps({"step": step, **finite}))
        with self._events.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def flush(self) -> None:
        """Flushes statistics.jsonl to the disk: the lines before a checkpoint must not be lost when it stays."""
        path = self.folder / STATISTICS
        if path.exists():
            with storage.named_errors(path), open(path, "a", encoding="utf-8") as stream:
                os.fsync(stream.fileno())

    def picture(self, step: int, grid: np.ndarray) -> None:
        """Writes a grid uint8 [H, W, 3] for TensorBoard and as pictures/latest.png."""
        with self._events.as_default(step=step):
            tf.summary.image("validation", grid[None])
        convert.write_png(self.folder / PICTURE, grid)

    def _append(self, name, line):
        with (
            storage.named_errors(self.folder / name),
            open(self.folder / name, "a", encoding="utf-8") as stream,
        ):
            stream.write(line + "\n")


def _about(line):
    """(step, names) of a line of statistics, which identify it; the step is infinite for an invalid line."""
    try:
        values = json.loads(line)
        return int(values["step"]), tuple(values)
    except (ValueError, KeyError, TypeError):
        return math.inf, ()
