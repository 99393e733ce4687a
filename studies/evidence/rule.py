"""The rule by which `studies/evidence/` judges a difference between two arms, fixed before the first training.

Both arms are trained with the same S seeds and scored on the same I images with the same holes. d[s, i] is the
difference on image i with seed s, positive if the arm that the paper prefers is better. A direction should hold for
other seeds as well as for other images, so there are two Student's t intervals of the mean of d:

    over seeds     of the S means over images, S - 1 degrees of freedom
    over pictures  of the I means over seeds, I - 1 degrees of freedom

    agrees        both intervals are above 0
    disagrees     both intervals are below 0
    inconclusive  otherwise

`seeds_needed` gives the number of seeds at which the interval over seeds would be narrower than a given difference, if
further seeds varied as much.

With three seeds the interval over seeds is wide (4.3 standard errors), so a small difference must be nearly the same
with every seed. No metric, image or seed is chosen afterwards: every claim names its deciding metric (`arms.CLAIMS`),
and all other metrics are printed with their own decisions. Decisions are not corrected for their number: if no arm
differed from another, fewer than one decision in twenty would be other than inconclusive.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy import stats

AGREES, DISAGREES, INCONCLUSIVE = "agrees", "disagrees", "inconclusive"
CONFIDENCE = 0.95
MOST_SEEDS = 1000


@dataclasses.dataclass(frozen=True)
class Decision:
    """The rule's decision on one difference.

    Attributes:
      word: `AGREES`, `DISAGREES` or `INCONCLUSIVE`.
      mean: of all d.
      by_seed: means over images, one per seed.
      over_seeds, over_pictures: (low, high) of the two intervals.
      pictures: number of images that count.
      left_out: number of images without a finite difference for every seed (a result without error has infinite PSNR).
    """

    word: str
    mean: float
    by_seed: tuple[float, ...]
    over_seeds: tuple[float, float]
    over_pictures: tuple[float, float]
    pictures: int
    left_out: int


def interval(values: np.ndarray) -> tuple[float, float]:
    """Student's 95% t interval of the mean of `values` [N], N at least 2; a point if all values are equal."""
    if len(values) < 2:
        raise ValueError(f"an interval needs at least 2 values, not {len(values)}")
    half = _half_width(len(values), np.std(values, ddof=1))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def _half_width(count, spread):
    """Half of the interval of `count` values with this standard deviation."""
    return stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * spread / math.sqrt(count)


def seeds_needed(by_seed: tuple[float, ...], asked: float) -> int | None:
    """The smallest number of seeds whose interval has a half-width below `asked`.

    Args:
      by_seed: means over images, one per seed, at least 2; their standard deviation is assumed for further seeds.
      asked: difference to be distinguished from 0.

    Returns:
      At least 2; None above `MOST_SEEDS`, or if `asked` is 0.
    """
    spread = np.std(by_seed, ddof=1)
    for seeds in range(2, MOST_SEEDS + 1):
        if _half_width(seeds, spread) < abs(asked):
            return seeds
    return None


def decide(differences: np.ndarray) -> Decision:
    """The rule of the module docstring.

    Args:
      differences: [S, I] float, d[s, i], above 0 if the paper's preferred arm is better.

    Raises:
      ValueError: another shape, or fewer than 2 seeds or 2 pictures with a finite difference.
    """
    differences = np.asarray(differences, np.float64)
    if differences.ndim != 2:
        raise ValueError(f"differences have shape {differences.shape}; expected [seeds, pictures]")
    kept = differences[:, np.isfinite(differences).all(axis=0)]
    if min(kept.shape) < 2:
        raise ValueError(f"{kept.shape[0]} seeds and {kept.shape[1]} pictures: at least 2 of each")
    by_seed, by_picture = kept.mean(axis=1), kept.mean(axis=0)
    over_seeds, over_pictures = (interval(x) for x in (by_seed, by_picture))
    word = INCONCLUSIVE
    if min(over_seeds[0], over_pictures[0]) > 0:
        word = AGREES
    elif max(over_seeds[1], over_pictures[1]) < 0:
        word = DISAGREES
    return Decision(
        word=word,
        mean=float(kept.mean()),
        by_seed=tuple(map(float, by_seed)),
        over_seeds=over_seeds,
        over_pictures=over_pictures,
        pictures=kept.shape[1],
        left_out=differences.shape[1] - kept.shape[1],
    )
