"""What happens after every step of a run: counting, checking, reporting, validating, saving, stopping.

The order within a step matters for going on exactly: its lines are written before the checkpoint that says that the
step is done. Whatever was due and could not be done any more, because the process was asked to stop, is noted in the
checkpoint and made good by the next start. Of several workers all stop after the same step, whichever was asked: one
that went on alone would wait for the others for ever.
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
      recipe: `runs.Recipe`.
      checkpoints: `checkpoints.Checkpoints`.
      fixed_set: `validation.FixedSet`, or what has its items.
      schedule: `runs.Schedule`.
      run: `run_folder.RunFolder`.
      guard: `nonfinite.Guard`.
      stop: `signals.StopRequest`.
      header: of the checkpoint that the run goes on from; {"step": 0} at the start.
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
        """Says what a step is, and validates what the last start had no time for."""
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
        elif self.step == self._first + 1:  # it traced the graph: no measure of the others
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
        """Whether this process or another worker was asked to stop; all workers call it at the same points."""
        if not self._any_worker(bool(self.stop)):
            return False
        if not self.stop:
            self.stop.terminate()
        return True

    def _look_and_save(self):
        schedule, step = self.schedule, self.step
        scored = self._due(schedule.validate_every or schedule.picture_every)
        # There may be seconds left: the picture can be missed, the scores are made good.
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
        """What is done in the block does not count as training in images per second."""
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
        """Shows and saves the last step, unless it was due anyway."""
        schedule = self.schedule
        scored = not self._due(schedule.validate_every or schedule.picture_every)
        self._look(scored, not self._due(schedule.picture_every))
        if not self._due(schedule.checkpoint_every):
            self.save()

    def _look(self, scored, shown):
        """Validates: scores, with a checkpoint of the best so far, and pictures."""
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
                f"step {self.step}: best {metric} so far, {values[metric]:.6g}; kept as {BEST}"
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
        """Saves a step that is in no checkpoint yet: the process may be asked to stop after saving was not due."""
        if self._saved != self.step:
            self.save()
