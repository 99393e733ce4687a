"""Learning rates that drop by a factor of ten late in a run, as both papers' optimizers take them."""

from __future__ import annotations

from collections.abc import Sequence

from tensorflow import keras

from common.errors import UsageError

FACTOR = 0.1


def schedule(rate: float, drops: Sequence[float], steps: int):
    """What an optimizer takes as its learning rate.

    Args:
      rate: at the start.
      drops: shares of the run, ascending in (0, 1), after which the rate is a tenth of what it was.
      steps: length of the run.

    Returns:
      `rate` itself without drops, otherwise a Keras schedule of the optimizer's own step count.

    Raises:
      UsageError: drops that are not ascending shares.
    """
    if list(drops) != sorted(set(drops)) or any(not 0 < share < 1 for share in drops):
        given = ",".join(f"{share:g}" for share in drops)
        raise UsageError(
            f"--learning_rate_drops={given} are not ascending shares of the run, such as 0.8,0.9"
        )
    if not drops:
        return rate
    # Keras keeps a value up to and including its boundary, and counts updates from 0.
    boundaries = [max(0, round(share * steps) - 1) for share in drops]
    values = [rate * FACTOR**count for count in range(len(drops) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)


def describe(rate: float, drops: Sequence[float], steps: int) -> str:
    """One line of what `schedule` does: "0.001, 0.0001 from step 800"."""
    later = [
        f"{rate * FACTOR**count:g} from step {round(share * steps) + 1}"
        for count, share in enumerate(drops, start=1)
    ]
    return ", ".join([f"{rate:g}", *later])
