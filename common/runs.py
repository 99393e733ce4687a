"""A training run: a folder that explains itself, and the loop around a Keras model's `fit`.

    options.json       every flag, seed, versions, git commit, command line
    log.txt            what was printed
    statistics.jsonl   one line per logging step: step, loss terms, images/s
    events.*           the same for TensorBoard, with picture grids
    checkpoints/       the last few, to go on from
    pictures/          the latest grid of validation images as a PNG
    weights.npz        the network alone, for inpaint.py, evaluate.py and export.py

`train` knows no paper: a `Recipe` tells it what to step, save and show. A loss that is not finite stops the run and
names the term and the step. The same command continues a run that was interrupted.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import pathlib
import re
import sys
import time
from typing import Callable

import numpy as np
import tensorflow as tf
from absl import flags
from tensorflow import keras
from tqdm import tqdm

from common import environment, files, images, metrics, pictures
from common.checkpoints import Checkpoints
from common.errors import UserError


@dataclasses.dataclass
class Recipe:
    """What a paper gives to `train`.

    trainer: Keras model whose `train_step` returns {loss term: scalar}, with an int64 variable `step`.
    layers, optimizers: what a checkpoint holds, by name.
    images_per_step: photographs one step consumes, over all replicas.
    size: side of the square crops.
    mask_size, preview_size: side of the masks, and of the images and masks of a preview; by default the crops'.
    holes: whether a preview's images have holes.
    preview: (image [B, S, S, 3], mask [B, S, S, 1]) in [0, 1] -> {title: [B, S, S, 3] in [0, 1]}, last one the result.
    save_weights: writes the network for inference to a path.
    """

    trainer: keras.Model
    layers: dict
    optimizers: dict
    images_per_step: int
    size: int
    preview: Callable
    save_weights: Callable
    mask_size: int | None = None
    preview_size: int | None = None
    holes: bool = True


def options_from_flags(kind):
    """An instance of the dataclass `kind`: fields from the flags of their names, defaults where there is none."""
    known = flags.FLAGS
    names = {field.name for field in dataclasses.fields(kind)} & set(known)
    given = {name: known[name].value for name in names if known[name].value is not None}
    given["learning_rate_drops"] = tuple(map(float, given.get("learning_rate_drops", ())))
    return kind(**given)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long a run is and how often it reports; steps count generator updates."""

    steps: int
    log_every: int = 100
    picture_every: int = 1000
    checkpoint_every: int = 1000
    keep: int = 3
    minutes: float = 0.0  # stop after this much training time; 0: no limit


class RunFolder:
    """The files of one run; see the module docstring. `counts()` joins every line of statistics about a step."""

    counts: Callable[[], dict] = dict

    def __init__(self, folder, options: dict):
        self.folder = pathlib.Path(folder)
        self._options = json.loads(json.dumps(options, default=str))
        self._events = None
        with files.named_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Writes options.json; options that differ from those of the run's last start go to log.txt.

        Called when everything is loaded, so that a start that fails leaves the record of the one that did not.
        """
        about = {
            "options": self._options,
            "versions": environment.versions(),
            "git_commit": environment.git_commit(),
            "command": sys.argv,
            "started": datetime.datetime.now().isoformat(timespec="seconds"),
        }
        path = self.folder / "options.json"
        changed = self._changes(path)
        files.write_text(path, json.dumps(about, indent=1))
        self._events = tf.summary.create_file_writer(str(self.folder))
        for line in changed:
            self.log(line)

    def _changes(self, path):
        try:
            before = json.loads(path.read_text(encoding="utf-8"))["options"]
        except (OSError, ValueError, KeyError):
            return []
        names = sorted(before.keys() | self._options.keys())
        pairs = [(name, before.get(name), self._options.get(name)) for name in names]
        return [f"--{name} was {old}, is now {new}" for name, old, new in pairs if old != new]

    def log(self, line: str) -> None:
        """Prints a line above the progress bar and keeps it in log.txt."""
        tqdm.write(line)
        self._append("log.txt", f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {line}")

    def statistics(self, step: int, values: dict) -> None:
        """One line of statistics.jsonl and the same as TensorBoard scalars."""
        finite = {name: v if math.isfinite(v) else str(v) for name, v in values.items()}
        self._append("statistics.jsonl", json.dumps({"step": step, **finite}))
        with self._events.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def picture(self, step: int, grid: np.ndarray) -> None:
        """A grid uint8 [H, W, 3] for TensorBoard and as pictures/latest.png."""
        with self._events.as_default(step=step):
            tf.summary.image("validation", grid[None])
        images.write_png(self.folder / "pictures" / "latest.png", grid)

    def _append(self, name, line):
        with (
            files.named_errors(self.folder / name),
            open(self.folder / name, "a", encoding="utf-8") as stream,
        ):
            stream.write(line + "\n")


def train(recipe: Recipe, dataset_from: Callable, preview_set, schedule: Schedule, run: RunFolder):
    """Trains up to `schedule.steps`, from the run's last checkpoint if there is one.

    Args:
      recipe: what is trained.
      dataset_from: first sample number -> tf.data.Dataset of `recipe.images_per_step` samples per element.
      preview_set: (image [B, S, S, 3] float32 in [0, 1], mask [B, S, S, 1]) shown in every picture grid.
      schedule: length and intervals.
      run: where everything goes.
    """
    checkpoints = Checkpoints(
        run.folder / "checkpoints", recipe.layers, recipe.optimizers, schedule.keep
    )
    first, weights_path = 0, run.folder / "weights.npz"
    if checkpoints.paths():
        first = checkpoints.restore(checkpoints.paths()[-1])["step"]
        recipe.trainer.step.assign(first)
    run.start()
    if first:
        run.log(f"continuing from step {first}")
    if first >= schedule.steps:
        run.log(f"this run is finished ({first} steps); raise --steps to train on")
        if not weights_path.exists():  # it died between its last checkpoint and its weights
            recipe.save_weights(weights_path)
        return
    reporter = Reporter(recipe, checkpoints, preview_set, schedule, run, first)
    dataset = dataset_from(first * recipe.images_per_step)
    try:
        recipe.trainer.fit(
            dataset,
            steps_per_epoch=schedule.steps - first,
            epochs=1,
            verbose=0,
            shuffle=False,
            callbacks=[reporter],
        )
    except KeyboardInterrupt:
        reporter.step = int(recipe.trainer.step.numpy())  # a step is done whole or not at all
        reporter.save()
        run.log(f"interrupted at step {reporter.step}; the same command goes on from there")
        raise
    except tf.errors.OpError as error:
        raise _from_pipeline(error) from error
    finally:
        reporter.bar.close()
    reporter.finish()
    recipe.save_weights(weights_path)
    run.log(f"step {reporter.step}: weights are in {weights_path}")


def _from_pipeline(error):
    """tf.data hides a UserError of the Python that reads photographs in a long text: finds it again."""
    found = re.search(r"UserError: (.*)", str(error))
    return UserError(found.group(1)) if found else error


class Reporter(keras.callbacks.Callback):
    """Counts, checks, shows and saves after every step."""

    def __init__(self, recipe, checkpoints, preview_set, schedule, run, first):
        super().__init__()
        self.recipe, self.checkpoints, self.preview_set = recipe, checkpoints, preview_set
        self.schedule, self.run, self.step = schedule, run, first
        self.bar = tqdm(total=schedule.steps, initial=first, unit="step", desc="training")
        self._started = self._since = time.monotonic()
        self._since_step = first

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        values = {name: float(value) for name, value in (logs or {}).items()}
        self._check_finite(values)
        self.bar.update()
        if self._due(self.schedule.log_every):
            self._report(values)
        if self._due(self.schedule.picture_every):
            self._show()
        if self._due(self.schedule.checkpoint_every):
            self.save()
        minutes = self.schedule.minutes
        if minutes and time.monotonic() - self._started > 60 * minutes:
            self.run.log(f"stopping at step {self.step}: {minutes:g} minutes are over")
            self.model.stop_training = True

    def _due(self, interval):
        return self.step % interval == 0 or self.step == self.schedule.steps

    def _check_finite(self, values):
        for name, value in values.items():
            if not math.isfinite(value):
                self.run.log(f"step {self.step}: {name} is {value}")
                raise UserError(
                    f"the loss term '{name}' became {value} at step {self.step}; what {self.checkpoints.folder} "
                    "holds is unharmed: try a lower --learning_rate"
                )

    def _report(self, values):
        now = time.monotonic()
        steps_per_s = (self.step - self._since_step) / max(now - self._since, 1e-9)
        self._since, self._since_step = now, self.step
        values["images_per_second"] = steps_per_s * self.recipe.images_per_step
        values["steps_per_second"] = steps_per_s
        values.update(self.run.counts())
        self.run.statistics(self.step, values)
        self.bar.set_postfix_str(f"{values['images_per_second']:.1f} images/s")

    def finish(self):
        """Shows and saves the last step, unless it was due anyway."""
        if not self._due(self.schedule.picture_every):
            self._show()
        if not self._due(self.schedule.checkpoint_every):
            self.save()

    def _show(self):
        image, mask = self.preview_set
        columns = self.recipe.preview(image, mask)
        truth, holes = images.to_uint8(np.asarray(image)), np.asarray(mask[..., 0]).astype(np.uint8)
        shown = {title: images.to_uint8(np.asarray(x)) for title, x in columns.items()}
        result = list(shown.values())[-1]
        psnr = float(np.mean([metrics.psnr(t, r) for t, r in zip(truth, result)]))
        self.run.statistics(self.step, {"validation_psnr": psnr})
        rows = [
            [pictures.paint_hole(truth[i], holes[i]), *(x[i] for x in shown.values()), truth[i]]
            for i in range(len(truth))
        ]
        self.run.picture(self.step, pictures.grid(rows, ["input", *shown, "truth"]))

    def save(self):
        """Writes a checkpoint of the current step."""
        self.checkpoints.save(self.step, {"images_per_step": self.recipe.images_per_step})
