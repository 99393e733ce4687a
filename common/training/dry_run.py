"""`train.py --dry_run`: checks everything, prints the plan and writes nothing.

A dry run starts like a real run: it lists and reads photographs, loads weights, builds networks and optimizers,
restores the last checkpoint if there is one, takes a few steps on real data (`common.training.step_timing`) and
validates once. It ends with the same UserError as the real run would.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
from collections.abc import Callable

import numpy as np

from common import storage
from common.errors import UserError
from common.training import nonfinite, step_timing, validation
from common.training.checkpoints import Checkpoints

_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


def run(
    recipe,
    dataset_from: Callable,
    fixed_set,
    schedule,
    output,
    about: dict,
    budget: float,
) -> None:
    """Prints the plan of a run.

    Args:
      recipe, dataset_from, fixed_set, schedule: as for `loop.train`.
      output: the run's folder; need not exist.
      about: {title: text}, lines of the plan that the command adds.
      budget: the longest wait for the steps, in seconds.

    Raises:
      UserError: the run would fail.
    """
    nonfinite.check_action(schedule.on_nonfinite, recipe.trainer)
    checkpoints = Checkpoints(
        pathlib.Path(output) / "checkpoints",
        recipe.layers,
        recipe.optimizers,
        schedule.keep_checkpoints,
    )
    first = 0
    if checkpoints.paths():
        first = checkpoints.restore(checkpoints.paths()[-1])["step"]
    for title, text in about.items():
        _say(title, text)
    _say("networks", _networks(recipe))
    _say("steps", _steps(recipe, schedule, first))
    _say("validation", _validation(recipe, fixed_set, schedule))
    element = next(iter(dataset_from(first * recipe.images_per_step)))
    _say("one step", " and ".join(f"{x.dtype.name} {list(x.shape)}" for x in element))
    problem = _disk(checkpoints, schedule, pathlib.Path(output))
    timing = step_timing.measure(recipe, element, budget)
    _memory(checkpoints.size(), timing)
    _say("time", _time(timing, max(0, schedule.steps - first), budget, schedule.minutes))
    if problem:
        raise UserError(problem)
    print("nothing was written; leave out --dry_run to train", flush=True)
    leave(timing)


def leave(timing: step_timing.Timing) -> None:
    """Ends the process if a step still runs: a step cannot be stopped otherwise."""
    if timing.running:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _say(title, text):
    print(f"{title:12} {text}", flush=True)


def _networks(recipe):
    parts = []
    for name, layer in recipe.layers.items():
        count = sum(int(np.prod(variable.shape)) for variable in layer.weights)
        parts.append(f"{name} {count:,} weights")
    return ", ".join(parts)


def _steps(recipe, schedule, first):
    replicas = recipe.trainer.distribute_strategy.num_replicas_in_sync
    batch, images = recipe.batch_size or recipe.images_per_step, recipe.images_per_step
    begin = f"goes on from step {first} of" if first else "trains"
    if first >= schedule.steps:
        begin = f"is finished ({first} steps) with"
    limit = f" or {schedule.minutes:g} minutes" if schedule.minutes else ""
    return (
        f"{begin} {schedule.steps:,} steps{limit}, global batch {batch}, replicas {replicas}, {images} images a step "
        f"({schedule.steps * images:,} in all)"
    )


def _validation(recipe, fixed_set, schedule):
    """Validates on one picture."""
    found = validation.scores(recipe, [validation.triples(fixed_set)[0]])
    every = schedule.validate_every or schedule.picture_every
    text = f"every {every} steps on {len(fixed_set)} images: {', '.join(found)}"
    if schedule.keep_best:
        validation.check_metric(schedule.keep_best, recipe, validation.triples(fixed_set))
        text += f"; the best by {schedule.keep_best} is kept"
    return text


def _disk(checkpoints, schedule, output):
    """Prints the disk space that the run's files need; returns an error text, or None."""
    milestones = schedule.steps // schedule.milestone_every if schedule.milestone_every else 0
    size, best = checkpoints.size(), int(schedule.keep_best is not None)
    # One more than are kept: the new one is written before an old one is removed.
    needed = size * (schedule.keep_checkpoints + 1 + milestones + best)
    existing = storage.existing_part(output)
    free = shutil.disk_usage(existing).free
    kept = f"the last {schedule.keep_checkpoints}" + f", {milestones} milestones" * bool(milestones)
    _say(
        "checkpoints",
        f"every {schedule.checkpoint_every} steps, {_bytes(size)} each: {kept}{', the best' * best}",
    )
    _say("disk", f"{_bytes(needed)} for them, {_bytes(free)} free at {existing}")
    if not existing.is_dir():
        return f"--output={output}: {existing} is a file, not a folder"
    if not os.access(existing, os.W_OK):
        return f"--output={output}: {existing} may not be written"
    if needed > free:
        return (
            f"--output={output}: its checkpoints need {needed:,} bytes and {free:,} are free; "
            "lower --keep_checkpoints, keep fewer milestones, or choose another disk"
        )
    return None


def _memory(parameters, timing):
    text = f"{_bytes(parameters)} for weights and optimizers"
    if timing.memory:
        how = "" if timing.images == timing.whole else f", estimated from {timing.images} images"
        text += f", {_bytes(timing.memory)} for a step of {timing.whole} images{how}"
    free = step_timing.free_memory()
    if free is not None:
        text += f"; {_bytes(free)} of the machine's memory are free"
    _say("memory", text)


def _time(timing, steps, budget, minutes=0):
    if timing.step_seconds is None:
        return f"unknown: {_reached(timing)}; wait longer with --dry_run_seconds={4 * budget:g}"
    how = f"two of {timing.images} images were timed"
    if timing.first:
        how = f"at most: timed on the first step, of {timing.images} images, which also traces the graph"
    speed = f"{timing.step_seconds:.3g} seconds a step ({how}), {timing.whole / timing.step_seconds:.3g} images/s"
    if 0 < 60 * minutes < timing.step_seconds * steps:
        reached = f"{60 * minutes / timing.step_seconds:,.0f} of {steps:,} steps"
        return f"{speed}: --minutes={minutes:g} ends it after about {reached}"
    return (
        f"{speed}: {duration(timing.step_seconds * steps)} for {steps:,} steps, without validation"
    )


def _reached(timing):
    """How far the first step was when the time was over."""
    size = f"the first step, of {timing.images} image{'s' * (timing.images > 1)}"
    if timing.tracing is None:
        return f"TensorFlow still traced the graph of {size}, after {timing.seconds:.0f} seconds"
    since = timing.seconds - timing.tracing
    return (
        f"the graph of {size}, was traced in {timing.tracing:.0f} seconds; the step, which includes TensorFlow's "
        f"optimization of the graph, has run for {since:.0f} seconds"
    )


def _bytes(count):
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def duration(seconds: float) -> str:
    """ "3.2 hours": in the largest unit that gives 1 or more."""
    size, unit = next(((s, u) for s, u in _UNITS if seconds >= s), _UNITS[-1])
    return f"{seconds / size:.1f} {unit}"
