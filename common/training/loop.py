"""The loop of a training run around a Keras model's `fit`.

`train` knows neither paper: a `Recipe` gives it what to train, save and show. The same command resumes a run that was
interrupted, killed or terminated. Weights, optimizer slots, data and statistics are those of an uninterrupted run.

    common.training.run_folder    the files of a run
    common.training.callback      what happens after every step
    common.training.validation    scores and pictures of a fixed set
    common.training.checkpoints   the state from which a run resumes
    common.training.nonfinite     numbers that are NaN or infinite
    common.training.signals       SIGTERM and Ctrl-C
"""

from __future__ import annotations

import dataclasses
import re
import signal
from typing import Callable

import numpy as np
import tensorflow as tf
from tensorflow import keras

from common.errors import UserError
from common.training import nonfinite, signals, validation
from common.training.callback import Progress
from common.training.checkpoints import Checkpoints
from common.training.options import Schedule
from common.training.run_folder import RunFolder


@dataclasses.dataclass
class Recipe:
    """One model's part of a training run.

    trainer: Keras model whose `train_step` returns {loss term: scalar}, with an int64 variable `step`. A trainer that
      skips an update with a value that is not finite has `skips_nonfinite = True`; one that needs batches of a known
      size has `uses_xla = True`.
    layers, optimizers: contents of a checkpoint, by name.
    images_per_step: photographs in one step, over all replicas.
    size: side of the square crops.
    mask_size, preview_size: side of the masks, and of a preview's images and masks; by default `size`.
    holes: whether a preview's images have holes.
    preview: (image [B, S, S, 3], mask [B, S, S, 1]) in [0, 1] -> {title: [B, S, S, 3] in [0, 1]}; the last is the
      result.
    save_weights: writes the network for inference to a path.
    batch_size: images of one update, over all replicas; by default `images_per_step`.
    accumulate: micro-batches in one update.
    validation_terms: (label [B, size, size, 3] in [0, 1], mask [B, M, M, 1]) -> {loss term: mean over the batch},
      computed as at inference; or None.
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
    batch_size: int | None = None
    accumulate: int = 1
    validation_terms: Callable | None = None


def train(
    recipe: Recipe,
    dataset_from: Callable,
    validation_set,
    schedule: Schedule,
    run: RunFolder,
    stop: signals.StopRequest | None = None,
):
    """Trains up to `schedule.steps`, from the run's last checkpoint if there is one.

    Args:
      recipe: the model to train.
      dataset_from: first sample number -> tf.data.Dataset of `recipe.images_per_step` samples per element.
      validation_set: `validation.FixedSet`, or (image [N, S, S, 3] float32 in [0, 1], mask [N, S, S, 1]).
      schedule: length and intervals.
      run: the run folder.
      stop: set by SIGTERM and Ctrl-C; by default a new one. After SIGTERM the step is finished and saved, then `train`
        returns. After Ctrl-C it does the same and raises KeyboardInterrupt.

    Raises:
      UserError: a file cannot be read or written, a checkpoint does not fit, or a term is not finite.
    """
    nonfinite.check_action(schedule.on_nonfinite, recipe.trainer)
    fixed_set = validation.triples(validation_set)
    if schedule.keep_best:
        validation.check_metric(schedule.keep_best, recipe, fixed_set)
    checkpoints = Checkpoints(
        run.folder / "checkpoints", recipe.layers, recipe.optimizers, schedule.keep_checkpoints
    )
    header = {"step": 0}
    if checkpoints.paths():
        header = checkpoints.restore(checkpoints.paths()[-1])
        recipe.trainer.step.assign(header["step"])
    if run.photographs:
        run.photographs.restore(header.get("photographs_skipped", []))
    run.start(header["step"])
    run.log(run.where())
    checkpoints.clean()
    if header["step"]:
        run.log(f"continuing from step {header['step']}")
    if header["step"] >= schedule.steps and not header.get("validation_is_due"):
        _say_finished(recipe, run, checkpoints.paths()[-1], header["step"])
        return
    guard = nonfinite.Guard(
        run,
        lambda step: _batch(recipe, dataset_from, step),
        schedule.on_nonfinite,
        schedule.max_skipped,
        header.get("skipped_steps", 0),
    )
    with signals.watched(stop) as stop:
        progress = Progress(recipe, checkpoints, fixed_set, schedule, run, guard, stop, header)
        try:
            _fit(recipe, dataset_from, progress)
        finally:
            progress.bar.close()
    if stop:
        progress.save_if_missing()
        how = "terminated" if stop.signal == signal.SIGTERM else "interrupted"
        run.log(f"{how} at step {progress.step}; the same command goes on from there")
        if stop.signal == signal.SIGINT:
            raise KeyboardInterrupt
        return
    progress.finish()
    recipe.save_weights(run.folder / "weights.npz")
    run.log(f"step {progress.step}: weights are in {run.folder / 'weights.npz'}")
    run.log(run.where())


def _fit(recipe, dataset_from, progress):
    """Runs the remaining steps, or as many as the time allows."""
    progress.start()
    first, missing = progress.step, progress.schedule.steps - progress.step
    if progress.must_stop() or not missing:
        return
    try:
        recipe.trainer.fit(
            dataset_from(first * recipe.images_per_step),
            steps_per_epoch=missing,
            epochs=1,
            verbose=0,
            shuffle=False,
            callbacks=[progress],
        )
    except KeyboardInterrupt:
        progress.step = int(recipe.trainer.step.numpy())  # a step is done whole or not at all
        progress.save()
        progress.run.log(
            f"interrupted at step {progress.step}; the same command goes on from there"
        )
        raise
    except tf.errors.OpError as error:
        raise _from_tensorflow(error) from error


def _say_finished(recipe, run, checkpoint, steps):
    run.log(f"this run is finished ({steps} steps); raise --steps to train on")
    weights = run.folder / "weights.npz"
    # The run may have been killed between its last checkpoint and its weights.
    if not weights.exists() or weights.stat().st_mtime_ns < checkpoint.stat().st_mtime_ns:
        recipe.save_weights(weights)


def _batch(recipe, dataset_from, step):
    """(number of the first sample, images, masks) of a step; steps count from 1."""
    first = (step - 1) * recipe.images_per_step
    image, mask = next(iter(dataset_from(first)))
    return first, np.asarray(image), np.asarray(mask)


def _from_tensorflow(error):
    """The UserError inside a TensorFlow error: TensorFlow wraps those of the photograph reader, and a full disk."""
    found = re.search(r"UserError: (.*)", str(error))
    if found:
        return UserError(found.group(1))
    if "No space left" in str(error):
        return UserError(
            "the disk is full; free some space, the same command goes on from the last checkpoint"
        )
    return error
