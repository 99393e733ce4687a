"""Learning rates: constant, divided by 10 late in a run as in Zoom-to-Inpaint's release, or along a cosine.

Each may start with a warm-up from 0. The optimizer counts updates from 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from tensorflow import keras

from common.errors import UsageError

FACTOR = 0.1


def schedule(rate: float, drops: Sequence[float], steps: int, name: str | None = None, warmup=0):
    """The learning rate of an optimizer, a number or a schedule.

    Args:
      rate: the highest.
      drops: shares of the run, ascending in (0, 1), after which the rate is a tenth of what it was.
      steps: length of the run in updates.
      name: of `common.training.options.SCHEDULES`; None: "drops" if there are any, else "constant".
      warmup: updates over which a factor on the rate rises linearly to 1.

    Returns:
      `rate` itself if it never changes, else a Keras schedule of the optimizer's update count.

    Raises:
      UsageError: drops that are not ascending shares, drops with another schedule, or a warm-up as long as the run.
    """
    if list(drops) != sorted(set(drops)) or any(not 0 < share < 1 for share in drops):
        given = ",".join(f"{share:g}" for share in drops)
        raise UsageError(
            f"--learning_rate_drops={given} are not ascending shares of the run, such as 0.8,0.9"
        )
    name = name or ("drops" if drops else "constant")
    if (name == "drops") != bool(drops):
        what = "needs" if name == "drops" else "does not go with"
        raise UsageError(f"--learning_rate_schedule={name} {what} --learning_rate_drops")
    if warmup and warmup >= steps:
        raise UsageError("--warmup_steps is not shorter than --steps")
    found = {"constant": lambda: rate, "drops": lambda: _dropping(rate, drops, steps)}.get(
        name, lambda: keras.optimizers.schedules.CosineDecay(rate, steps)
    )()
    return WarmUp(found, warmup) if warmup else found


def _dropping(rate, drops, steps):
    # Keras keeps a value up to and including its boundary, and counts updates from 0.
    boundaries = [max(0, round(share * steps) - 1) for share in drops]
    values = [rate * FACTOR**count for count in range(len(drops) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)


def describe(rate: float, drops: Sequence[float], steps: int, name=None, warmup=0) -> str:
    """`schedule` in one line: "0.001, 0.0001 from step 800"."""
    later = [
        f"{rate * FACTOR**count:g} from step {round(share * steps) + 1}"
        for count, share in enumerate(drops, start=1)
    ]
    first = [f"rising over {warmup} updates"] if warmup else []
    if name == "cosine":
        later = [f"falling along a cosine to 0 at step {steps}"]
    return ", ".join([f"{rate:g}", *first, *later])


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A rate or schedule times min(1, (update + 1) / updates)."""

    def __init__(self, rate, updates: int):
        self.rate, self.updates = rate, updates

    def __call__(self, step):
        rate = self.rate(step) if callable(self.rate) else self.rate
        return rate * tf.minimum(1.0, (tf.cast(step, tf.float32) + 1.0) / self.updates)

    def get_config(self):
        return {"rate": self.rate, "updates": self.updates}
