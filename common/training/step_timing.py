"""Seconds and memory of a training step on this machine, measured within a budget of seconds.

The steps run in a thread, so that the caller can stop waiting when the budget is spent. The first two steps have one
image per replica, micro-batch and part of the step; the very first also traces the graph. Two steps of the whole batch
follow if the budget allows. Otherwise the small steps are extrapolated, which is fair on a CPU and too high on a GPU.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import threading
import time

import numpy as np
import tensorflow as tf
from tensorflow import keras

from common.errors import UserError

_TICK = 0.02  # seconds between two measurements of the process' memory


@dataclasses.dataclass
class Timing:
    """A measurement.

    whole: images in a real step. images: images in the measured steps, or in the step that did not end.
    step_seconds: of one real step, scaled from `images` to `whole`; None if no step ended.
    memory: bytes that a real step adds to the process' memory or the GPU's, scaled in the same way.
    """

    seconds: float  # duration of the measurement
    whole: int
    images: int = 0
    step_seconds: float | None = None
    memory: int | None = None
    first: bool = False  # only the first step was measured, which also traced the graph
    running: bool = False  # a step still runs
    # Seconds until the graph of the first step was traced; None: not traced yet.
    tracing: float | None = None


class _Clock(keras.callbacks.Callback):
    """Appends (number of images, seconds) of every step to a list."""

    def __init__(self, images, done):
        super().__init__()
        self._images, self._done = images, done

    def on_train_batch_begin(self, batch, logs=None):
        self._began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        for value in (logs or {}).values():
            float(value)  # waits for the device
        self._done.append((self._images, time.monotonic() - self._began))


def measure(recipe, element, budget: float) -> Timing:
    """Trains the recipe for up to four steps; its weights change.

    Args:
      recipe: `loop.Recipe`.
      element: (images, masks) of one step.
      budget: the longest wait, in seconds.

    Raises:
      UserError: the step does not fit into memory, or fails.
    """
    began, whole = time.monotonic(), len(element[0])
    replicas = recipe.trainer.distribute_strategy.num_replicas_in_sync
    small = whole // (recipe.batch_size or whole) * replicas * recipe.accumulate
    done, failures = [], []
    traced = _note_tracing(recipe.trainer)

    def work():
        try:
            for images in sorted({small, whole}):
                if done and done[-1][1] * whole / small * 2 > budget - (time.monotonic() - began):
                    return
                _steps(recipe, element, images, done)
        except Exception as error:  # raised in the caller's thread
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    before, peak = _memory(), _memory()
    thread.start()
    while thread.is_alive() and time.monotonic() - began < budget:
        thread.join(_TICK)
        peak = max(peak, _memory())
    if failures:
        raise _readable(failures[0], whole)
    timing = Timing(time.monotonic() - began, whole, small, running=thread.is_alive())
    if len(traced) >= replicas:
        timing.tracing = traced[-1] - began
    if done:
        timing.images, seconds = done[-1]
        timing.first = len(done) == 1
        timing.step_seconds = seconds * whole / timing.images
        timing.memory = int((peak - before) * whole / timing.images)
    return timing


def _note_tracing(trainer):
    """A list to which every replica appends the time when it has traced the trainer's step."""
    step, times = trainer.train_step, []

    def noted(data):
        found = step(data)
        times.append(time.monotonic())
        return found

    trainer.train_step = noted
    return times


def _steps(recipe, element, images, done):
    """Two steps on the first images; appends (number of images, seconds) of each to `done`."""
    image, mask = (np.asarray(part)[:images] for part in element)
    # The shape leaves the batch size open, so that the whole batch is not traced again; XLA has to know it.
    count = images if getattr(recipe.trainer, "uses_xla", False) else None
    shapes = tuple(tf.TensorSpec([count, *x.shape[1:]], x.dtype) for x in (image, mask))
    data = tf.data.Dataset.from_generator(lambda: [(image, mask)] * 2, output_signature=shapes)
    clock = _Clock(images, done)
    recipe.trainer.fit(
        data, epochs=1, steps_per_epoch=2, verbose=0, shuffle=False, callbacks=[clock]
    )


def _readable(error, images):
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return UserError(f"a step of {images} images does not fit into memory; lower --batch_size")
    return error


def _memory():
    """Bytes in use: the peak on the first GPU, or the present size of this process without a GPU."""
    if tf.config.list_logical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    try:
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def free_memory() -> int | None:
    """Bytes of the machine's memory that are still available; None if the system does not tell."""
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:")), None)
