"""From scores to decisions and tables: invented scores whose answer is known. Nothing is trained."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from common.errors import UserError
from common.scoring.tables import Score
from studies.evidence import arms, charts, report
from studies.evidence.arms import ARMS, CLAIMS, MASKS, METRICS
from studies.kit.study import REPORTED

PICTURES = 8
# Mean PSNR of each arm; SSIM and the rest follow it.
PSNR = dict(zip(ARMS, (20.0, 21.0, 22.0, 21.0, 20.0, 25.0, 25.0, 24.0, 23.0)))


def _score(arm, masks, seed, picture, psnr):
    metrics = dict(psnr=psnr, ssim=psnr / 40, ms_ssim=psnr / 40, l1_percent=50 - psnr)
    metrics["detail_error"] = 3 - psnr / 10
    return Score(f"picture_{picture}", arm, masks, 0.1, metrics)


def _scored(arms=tuple(ARMS), seeds=3):
    """Every arm better on easy pictures; the noise is small against the differences of `PSNR`."""
    rng, found = np.random.default_rng(0), {}
    for arm in arms:
        for seed in range(seeds):
            found.setdefault(arm, {})[seed] = [
                _score(arm, masks, seed, picture, PSNR[arm] + picture + rng.normal(0, 0.02))
                for masks in MASKS
                for picture in range(PICTURES)
            ]
    return found


def _words(found, metric=None):
    """{(claim, masks): word} of the deciding metric, or of one metric."""
    return {
        (x["claim"], x["masks"]): x["word"]
        for x in found["decisions"]
        if (x["metric"] == metric if metric else x["deciding"])
    }


def test_decisions_follow_the_scores_whatever_is_higher_or_lower():
    found = report.values(_scored())
    words = _words(found)
    assert words["zooming", "small"] == words["aggregation_nearest", "large"] == "agrees"
    assert words["gradient_loss", "small"] == "disagrees"  # 21 against 22
    assert words["pixelwise_gates", "large"] == "inconclusive"
    for metric in METRICS:
        assert _words(found, metric)["zooming", "small"] == "agrees", metric
        assert _words(found, metric)["gradient_loss", "large"] == "disagrees", metric


def test_differences_are_those_of_the_same_picture_and_seed():
    scored = _scored()
    scored["no_zoom"][1].reverse()  # order is no matter
    del scored["no_zoom"][0]  # that seed is not finished
    found = report.differences(scored, "bicubic_zoom", "no_zoom", "small", "l1_percent")
    assert found.shape == (2, PICTURES) and found == pytest.approx(np.ones((2, PICTURES)), abs=0.2)
    scored["no_zoom"][1].pop()
    with pytest.raises(ValueError, match="different pictures"):
        report.differences(scored, "bicubic_zoom", "no_zoom", "small", "psnr")


def test_one_seed_decides_nothing_and_an_arm_that_is_missing_is_not_asked_about():
    found = report.values(_scored(seeds=1))
    assert set(_words(found).values()) == {report.TOO_FEW}
    few = report.values(_scored(("pixelwise_gates", "single_channel_gates")))
    assert {claim for claim, _ in _words(few)} == {"pixelwise_gates"}
    for some in (found, few, report.values({})):
        assert len(report.tables(some)) == 3


def test_tables_say_what_was_found_beside_the_papers_numbers():
    found = report.values(_scored())
    assert json.loads(json.dumps(found)) == json.loads(json.dumps(found))  # plain values
    directions, every, arms = report.tables(found)
    row = next(
        row for row in directions.rows if row[0].startswith("refinement at") and row[1] == "small"
    )
    assert row[3] == "+0.68" and row[-1] == "**agrees**" and directions.columns[-1] == "Verdict"
    assert float(row[4]) == pytest.approx(1, abs=0.03)  # the noise of 24 pictures
    assert (
        len(directions.rows)
        == sum(len(claim.masks) for claim in CLAIMS.values())
        == len(every.rows)
    )
    named = [row[0] for row in arms.rows]
    assert named.count(f"{REPORTED}SR zoom+L∇") == 2 and named.count("SR zoom+L∇") == 2
    paper = next(row for row in arms.rows if row[0] == f"{REPORTED}No zoom" and row[1] == "small")
    assert paper[3:] == ["32.12", "-", "-", "0.9714", "0.9812", "0.441", "-"]
    zoomed = next(row for row in arms.rows if row[0] == "SR zoom" and row[1] == "small")
    mean, median, pooled = (float(cell.split()[0]) for cell in zoomed[3:6])
    # 22 dB and pictures that are 0 to 7 dB easier.
    assert mean == pytest.approx(25.5, abs=0.1) and median == pytest.approx(25.5, abs=0.1)
    errors = [10 ** (-(22 + easier) / 10) for easier in range(PICTURES)]
    assert pooled == pytest.approx(-10 * np.log10(np.mean(errors)), abs=0.1)


def test_the_papers_differences_are_as_claimed_in_every_metric():
    """Z Table 3 itself orders so; a swapped pair of rows or sign would show here."""
    asked = [claim for claim in CLAIMS.values() if claim.printed]
    assert len(asked) == 4
    for claim in asked:
        for masks in MASKS:
            for metric in ("psnr", "ssim", "ms_ssim", "l1_percent"):
                assert report.reported(claim, masks, metric) > 0, (claim.id, masks, metric)
    assert report.reported(CLAIMS["zooming"], "small", "detail_error") is None


def test_claims_name_arms_and_metrics_that_exist():
    for claim in CLAIMS.values():
        assert {claim.better, claim.worse} <= ARMS.keys() and claim.metric in METRICS
        assert ARMS[claim.better].painter == ARMS[claim.worse].painter or claim.id.startswith(
            "aggregation"
        )
    assert {arm.run for arm in ARMS.values()} <= arms.RUNS.keys()


def test_charts_show_every_claim():
    pytest.importorskip("matplotlib")
    charts.check()
    made = charts.pictures(report.values(_scored()))
    assert [p.file for p in made] == ["psnr_differences.png", "detail_differences.png", "psnr.png"]
    for picture in made:
        assert picture.pixels.dtype == np.uint8 and picture.pixels.std() > 5
    alone = charts.pictures(report.values(_scored(seeds=1)))
    assert [p.file for p in alone] == ["psnr.png"]  # nothing was decided
    assert charts.pictures(report.values({})) == []


def test_without_matplotlib_nothing_is_begun(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match="matplotlib"):
        charts.check()
