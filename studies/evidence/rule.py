"""When a difference between two arms counts: the rule of `studies/evidence/`, stated before anything was trained.

Both arms are trained with the same S seeds and scored on the same I pictures with the same holes, so that everything
but the one thing in question is paired: d[s, i] is how much better, in the paper's direction, the arm that the paper
prefers does on picture i with seed s. Two things are drawn by chance, seeds and pictures, and a direction should
survive other seeds as well as other pictures. So there are two Student's t intervals of the mean of d:

    over seeds     of the S means over pictures, S - 1 degrees of freedom
    over pictures  of the I means over seeds, I - 1 degrees of freedom

    agrees        both intervals lie above 0
    disagrees     both lie below 0
    inconclusive  everything else

`seeds_needed` says how many seeds would make the first interval narrow enough for a difference of a given size, if
seeds went on to differ as they did: what a machine must be able to train before it can tell.

With three seeds the first is wide (4.3 standard errors), so that a small difference has to be the same with every seed.
No metric, picture or seed is chosen after the fact: every claim names the metric that decides (`arms.CLAIMS`),
and every other metric is printed with its own decision. Decisions are not corrected for their number: if no arm
differed from another, fewer than one in twenty would be anything but inconclusive.
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
    """What the rule says of one difference.

    Attributes:
      word: `AGREES`, `DISAGREES` or `INCONCLUSIVE`.
      mean: of all d.
      by_seed: means over pictures, one a seed.
      over_seeds, over_pictures: (low, high) of the two intervals.
      pictures: how many took part.
      left_out: pictures without a finite difference for every seed (a result without any error has an infinite PSNR).
    """

    word: str
    mean: float
    by_seed: tuple[float, ...]
    over_seeds: tuple[float, float]
    over_pictures: tuple[float, float]
    pictures: int
    left_out: int


def interval(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Student's t interval of the mean of `values` [N], N at least 2; a point where all are equal."""
    if len(values) < 2:
        raise ValueError(f"an interval needs at least 2 values, not {len(values)}")
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * np.std(values, ddof=1)
    half /= math.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def seeds_needed(
    by_seed: tuple[float, ...], asked: float, confidence: float = CONFIDENCE
) -> int | None:
    """The fewest seeds whose interval of the mean is narrower, to either side, than a difference of `asked`.

    Args:
      by_seed: means over pictures, one a seed, 2 at least; their standard deviation is taken for that of any seed.
      asked: size of the difference that is to be told from 0.

    Returns:
      2 or more; None above `MOST_SEEDS`, or where nothing is asked.
    """
    spread = np.std(by_seed, ddof=1)
    for seeds in range(2, MOST_SEEDS + 1):
        half = stats.t.ppf((1 + confidence) / 2, seeds - 1) * spread / math.sqrt(seeds)
        if half < abs(asked):
            return seeds
    return None


def decide(differences: np.ndarray, confidence: float = CONFIDENCE) -> Decision:
    """The rule of the module docstring.

    Args:
      differences: [S, I] float, d[s, i], above 0 where the paper's preferred arm is better.
      confidence: of both intervals.

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
    over_seeds, over_pictures = (interval(x, confidence) for x in (by_seed, by_picture))
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
