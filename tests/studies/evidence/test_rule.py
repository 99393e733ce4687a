"""The decision rule: against values worked out by hand, its symmetries, its edge cases and its error rate."""

from __future__ import annotations

import math

import numpy as np
import pytest

from studies.evidence import rule
from studies.evidence.rule import AGREES, DISAGREES, INCONCLUSIVE, decide, interval

# Student's t quantiles at 97.5%, from a printed table.
T_2, T_3 = 4.303, 3.182


def _noise(seeds=3, pictures=24, seed=0):
    return np.random.default_rng(seed).normal(size=(seeds, pictures))


def test_intervals_are_those_worked_out_by_hand():
    low, high = interval(np.array([1.0, 2.0, 3.0]))
    assert (low, high) == pytest.approx((2 - T_2 / math.sqrt(3), 2 + T_2 / math.sqrt(3)), abs=1e-3)
    d = np.array([[1.0, 2.0, 3.0, 2.0], [2.0, 3.0, 4.0, 3.0], [3.0, 4.0, 5.0, 4.0]])
    found = decide(d)
    assert found.mean == 3 and found.by_seed == (2, 3, 4) and found.pictures == 4
    assert found.over_seeds == pytest.approx(
        (3 - T_2 / math.sqrt(3), 3 + T_2 / math.sqrt(3)), abs=1e-3
    )
    half = T_3 * math.sqrt(2 / 3) / 2
    assert found.over_pictures == pytest.approx((3 - half, 3 + half), abs=1e-3)
    assert found.word == AGREES


def test_opposite_differences_give_the_opposite_word():
    d = 1 + 0.1 * _noise()
    assert (decide(d).word, decide(-d).word) == (AGREES, DISAGREES)
    assert decide(-d).over_seeds == pytest.approx(tuple(-x for x in decide(d).over_seeds[::-1]))


def test_neither_scale_nor_order_matters():
    d = 0.3 + _noise()
    shuffled = d[[2, 0, 1]][:, np.random.default_rng(1).permutation(24)]
    assert decide(d).word == decide(1e-4 * d).word == decide(1e4 * d).word == decide(shuffled).word


@pytest.mark.parametrize("sign", [1, -1])
def test_a_direction_has_to_survive_other_seeds_and_other_pictures(sign):
    seeds_disagree = np.array([[3.0], [0.1], [-0.5]]) + 0.01 * _noise()
    one_picture_decides = 0.01 * _noise()
    one_picture_decides[:, 0] += 20
    for d in (seeds_disagree, one_picture_decides):
        found = decide(sign * d)
        assert found.word == INCONCLUSIVE
    assert decide(seeds_disagree).over_pictures[0] > 0  # the pictures alone would have agreed
    assert decide(one_picture_decides).over_seeds[0] > 0  # the seeds alone would have agreed


def test_equal_arms_are_noise_and_a_constant_difference_is_none():
    assert decide(np.zeros((3, 5))).word == INCONCLUSIVE
    assert decide(np.full((2, 2), 0.25)).word == AGREES


def test_pictures_without_a_finite_difference_are_left_out_for_all_seeds():
    d = 1 + 0.1 * _noise()
    spoiled = d.copy()
    spoiled[0, 3], spoiled[2, 7] = np.nan, np.inf
    found = decide(spoiled)
    assert (found.left_out, found.pictures) == (2, 22)
    assert found.mean == pytest.approx(np.delete(d, [3, 7], axis=1).mean())


@pytest.mark.parametrize("shape", [(3,), (1, 24), (3, 1), (3, 24, 1)])
def test_too_little_to_decide_is_an_error(shape):
    with pytest.raises(ValueError, match="seeds"):
        decide(np.ones(shape))


def test_without_a_difference_few_decisions_are_wrong_and_a_clear_one_is_found():
    """Seeds and pictures both shift scores; 1000 experiments of three seeds and 24 pictures."""
    rng = np.random.default_rng(0)
    words = {0.0: [], 1.0: []}
    for truth in words:
        for _ in range(1000):
            shifts = 0.1 * rng.normal(size=(3, 1)) + 0.5 * rng.normal(size=(1, 24))
            words[truth].append(decide(truth + shifts + 0.5 * rng.normal(size=(3, 24))).word)
    assert sum(word != INCONCLUSIVE for word in words[0.0]) < 50
    assert words[1.0].count(AGREES) > 900 and DISAGREES not in words[1.0]


@pytest.mark.parametrize("asked", [0.2, 1.0, 5.0])
def test_as_many_seeds_as_needed_tell_and_one_fewer_do_not(asked):
    by_seed = (0.4, -0.3, 0.8)
    needed = rule.seeds_needed(by_seed, asked)

    def half(count):  # of an interval of `count` seeds that differ as those three do
        values = np.random.default_rng(0).normal(size=count)
        values = (values - values.mean()) / values.std(ddof=1) * np.std(by_seed, ddof=1)
        return rule.interval(values)[1]

    assert half(needed) < asked
    assert needed == 2 or half(needed - 1) >= asked
    assert needed == rule.seeds_needed(by_seed, -asked)


def test_what_no_number_of_seeds_tells():
    assert rule.seeds_needed((1.0, -1.0, 0.5), 0.0) is None
    assert rule.seeds_needed((1.0, -1.0, 0.5), 1e-3) is None
