"""The work after every step of a run: checking, reporting, validating, saving, stopping.

The lines of a step are written before its checkpoint, so that a resumed run continues exactly. If a process is asked to
stop before a due validation, the checkpoint notes this and the next start validates. If one worker is asked to stop,
all workers stop after the same step: a worker that continued alone would wait for the others for ever.
"""

from __future__ import annotations

import contextlib
import math
import time

from tensorflow import keras

from common.training import devices, validation
from common.training.checkpoints import BEST
from common.training.progress_bar import ProgressBar

BEST_WEIGHTS = "weights_best.npz"


class Progress(keras.callbacks.Callback):
    """Callback of one `fit`.

    Args:
      recipe: `loop.Recipe`.
      checkpoints: `checkpoints.Checkpoints`.
      fixed_set: `validation.FixedSet`, or a sequence of the same items.
      schedule: `options.Schedule`.
      run: `run_folder.RunFolder`.
      guard: `nonfinite.Guard`.
      stop: `signals.StopRequest`.
      header: of the checkpoint from which the run resumes; {"step": 0} for a new run.
    """

    def __init__(self, recipe, checkpoints, fixed_set, schedule, run, guard, stop, header):
        super().__init__()
        self.recipe, self.checkpoints, self.fixed_set = recipe, checkpoints, fixed_set
        self.schedule, self.run, self.guard, self.stop = schedule, run, guard, stop
        self.step = self._first = self._saved = header["step"]
        best = header.get("best") or {}
        self.best = best if best.get("metric") == schedule.keep_best else {}
        self._validation_is_due = header.get("validation_is_due", False)
        strategy = recipe.trainer.distribute_strategy
        self.replicas = strategy.num_replicas_in_sync
        self._any_worker = devices.any_worker(strategy)
        self.bar = ProgressBar(schedule.steps, self.step, 60 * schedule.minutes)
        self._started = self._since = time.monotonic()
        self._since_step = self.step

    def start(self) -> None:
        """Logs the batch size, and makes the validation that the last start skipped."""
        self.run.log(
            f"{self.replicas} replica{'s' * (self.replicas > 1)}, global batch {self._global_batch()}, "
            f"{self.recipe.images_per_step} images a step"
        )
        if self._validation_is_due:
            self._look(scored=True, shown=False)
            self.save()

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        values = {name: float(value) for name, value in (logs or {}).items()}
        self.guard.check(self.step, values)
        self.bar.update(time.monotonic() - self._started)
        if self._due(self.schedule.log_every):
            self._report(values)
        elif self.step == self._first + 1:  # the first step also traced the graph: not timed
            self._since, self._since_step = time.monotonic(), self.step
        with self._clock_stopped():
            self._look_and_save()
        minutes = self.schedule.minutes
        if minutes and time.monotonic() - self._started > 60 * minutes:
            self.run.log(f"stopping at step {self.step}: {minutes:g} minutes are over")
            self.model.stop_training = True
        if self.must_stop():
            self.model.stop_training = True

    def must_stop(self) -> bool:
        """Whether this process or another worker was asked to stop. All workers must call it at the same points."""
        if not self._any_worker(bool(self.stop)):
            return False
        if not self.stop:
            self.stop.terminate()
        return True

    def _look_and_save(self):
        schedule, step = self.schedule, self.step
        scored = self._due(schedule.validate_every or schedule.picture_every)
        # Only seconds may be left: the picture is skipped, the next start computes the scores.
        if self.must_stop():
            self._validation_is_due = scored
            self.save()
            return
        self._look(scored, self._due(schedule.picture_every))
        milestone = bool(schedule.milestone_every) and step % schedule.milestone_every == 0
        last = self._due(schedule.checkpoint_every)
        if last or milestone:
            self.save(last=last, milestone=milestone)

    def _due(self, interval):
        return self.step % interval == 0 or self.step == self.schedule.steps

    def _global_batch(self):
        return self.recipe.batch_size or self.recipe.images_per_step

    @contextlib.contextmanager
    def _clock_stopped(self):
        """Time in the block does not count for images per second."""
        before = time.monotonic()
        yield
        self._since += time.monotonic() - before

    def _report(self, values):
        now = time.monotonic()
        steps_per_s = (self.step - self._since_step) / max(now - self._since, 1e-9)
        first_report = self._since_step <= self._first + 1
        self._since, self._since_step = now, self.step
        values["images_per_second"] = steps_per_s * self.recipe.images_per_step
        values["steps_per_second"] = steps_per_s
        values["global_batch"], values["replicas"] = self._global_batch(), self.replicas
        if self.guard.skipped:
            values["skipped_steps"] = self.guard.skipped
        values.update(self.run.counts())
        self.run.statistics(self.step, values)
        rate = f"{values['images_per_second']:.1f} images/s"
        self.bar.rate(rate)
        if first_report:
            self.run.log(f"step {self.step}: {rate}, {steps_per_s:.3g} steps/s")

    def finish(self):
        """Validates, draws and saves the last step, unless it is done already."""
        schedule = self.schedule
        scored = not self._due(schedule.validate_every or schedule.picture_every)
        self._look(scored, not self._due(schedule.picture_every))
        if not self._due(schedule.checkpoint_every):
            self.save()

    def _look(self, scored, shown):
        """Validates: scores, with a checkpoint of the best so far; and writes the picture grid."""
        if shown and not scored:
            self.run.picture(self.step, validation.grid(self.recipe, self.fixed_set))
        if not scored:
            return
        values, grid = validation.look(self.recipe, self.fixed_set)
        if shown:
            self.run.picture(self.step, grid)
        self._validation_is_due = False
        self.run.statistics(self.step, values)
        metric = self.schedule.keep_best
        if metric and self._is_best(values[metric]):
            self.best = {"metric": metric, "value": values[metric], "step": self.step}
            self.recipe.save_weights(self.run.folder / BEST_WEIGHTS)
            self.save(last=False, best=True)
            self.run.log(
                f"step {self.step}: best {metric} so far, {values[metric]:.6g}; saved as {BEST}"
            )

    def _is_best(self, value):
        sign = 1 if validation.higher_is_better(self.schedule.keep_best) else -1
        return sign * value > sign * self.best.get("value", -sign * math.inf)

    def save(self, **names):
        """Writes a checkpoint of the current step; names: as in `Checkpoints.save`."""
        self.run.flush()
        header = {
            "images_per_step": self.recipe.images_per_step,
            "skipped_steps": self.guard.skipped,
            "validation_is_due": self._validation_is_due,
            "best": self.best,
        }
        if self.run.photographs:
            header["photographs_skipped"] = self.run.photographs.state()
        self.checkpoints.save(self.step, header, **names)
        if names.get("last", True):
            self._saved = self.step

    def save_if_missing(self):
        """Saves the current step unless a checkpoint has it: a stop may come where no checkpoint is due."""
        if self._saved != self.step:
            self.save()
