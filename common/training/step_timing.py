"""What a training step costs on this machine: seconds and memory of two steps, within a budget.

The steps run in a thread, so that a machine on which one takes minutes gives an answer too: "longer than". Two steps of
one image come first (per replica, micro-batch and part of the step; the first traces the graph), then two of the whole
batch if the budget allows; otherwise the small ones are extrapolated, which is fair on a CPU and too much on a GPU.
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

_TICK = 0.02  # seconds between looks at the process' memory


@dataclasses.dataclass
class Timing:
    """step_seconds: of one whole step, None if none ended; memory: bytes that steps add to the process' or the GPU's.

    images: of the steps that were measured, or of the one that did not end; whole: of a real one. More than measured:
      both figures are scaled.
    """

    seconds: float  # that the measurement took
    whole: int
    images: int = 0
    step_seconds: float | None = None
    memory: int | None = None
    first: bool = False  # the step was the first, which also traced the graph
    running: bool = False  # a step that was too long still runs
    # Seconds until the graph of the first step was traced; None: it never was.
    tracing: float | None = None


class _Clock(keras.callbacks.Callback):
    """Appends (images, seconds) of every step to a list."""

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
      recipe: `runs.Recipe`.
      element: (images, masks) of one step.
      budget: seconds after which no more is waited.

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
        except Exception as error:  # handed to the thread that waits
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
    """A list that gets the time when the trainer's step has been traced, on every replica."""
    step, times = trainer.train_step, []

    def noted(data):
        found = step(data)
        times.append(time.monotonic())
        return found

    trainer.train_step = noted
    return times


def _steps(recipe, element, images, done):
    """Two steps on the first images; (images, seconds) of each go to `done`."""
    image, mask = (np.asarray(part)[:images] for part in element)
    # Any batch size in the shape, so that the whole batch needs no trace of its own.
    shapes = tuple(tf.TensorSpec([None, *x.shape[1:]], x.dtype) for x in (image, mask))
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
    """Bytes in use: the most so far on the first GPU, or of this process."""
    if tf.config.list_logical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    try:
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # no Linux
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def free_memory() -> int | None:
    """Bytes that this process may still take of the machine's memory; None where the system does not say."""
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:")), None)
