"""From the scores of `studies/evidence/` to decisions and tables. Trains and paints nothing.

`differences` -> `rule.decide` -> `values` (plain numbers, what result.json keeps) -> `tables`;
`studies.evidence.charts` draws the same values.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping

import numpy as np

from common.scoring.tables import POOLED_NOTE, Score, pooled_psnr
from studies.evidence import rule
from studies.evidence.arms import ARMS, CLAIMS, MASKS, METRICS, Claim
from studies.kit.study import REPORTED, Table

Scored = Mapping[str, Mapping[int, list[Score]]]  # {arm: {seed: scores}}
TOO_FEW = "too few seeds"
# Two intervals need two seeds.
_LEAST_SEEDS = 2
_PSNRS = {"psnr_median": statistics.median, "psnr_pooled": pooled_psnr}
# {column: (title, decimals)}; PSNR's three stand together.
_ARMS_COLUMNS = {
    "psnr": METRICS["psnr"][:2],
    "psnr_median": ("PSNR median ↑", 2),
    "psnr_pooled": ("PSNR pooled ↑", 2),
    **{metric: form[:2] for metric, form in METRICS.items() if metric != "psnr"},
}
_SHORT = {"over_seeds": "95% over seeds", "over_pictures": "95% over pictures"}


def differences(scored: Scored, better: str, worse: str, masks: str, metric: str) -> np.ndarray:
    """d [S, I]: how much better `better` is, pictures by name, seeds that both arms have; above 0 = as claimed."""
    seeds = sorted(scored.get(better, {}).keys() & scored.get(worse, {}).keys())
    sign = 1 if METRICS[metric][2] else -1
    found = []
    for seed in seeds:
        one, other = (_by_picture(scored[arm][seed], masks, metric) for arm in (better, worse))
        if one.keys() != other.keys():
            raise ValueError(f"{better} and {worse}, seed {seed}: scored on different pictures")
        found.append([sign * (one[name] - other[name]) for name in sorted(one)])
    return np.array(found, np.float64).reshape(len(seeds), -1)


def _by_picture(some, masks, metric):
    return {score.name: score.metrics[metric] for score in some if score.masks == masks}


def values(scored: Scored) -> dict:
    """What result.json keeps.

    {"arms": {arm: {masks: {column: {seed: over pictures}}}}, "decisions": [one a claim, masks and metric]}.
    """
    return {
        "arms": {
            arm: {
                masks: {
                    name: {str(s): _over_pictures(some, masks, name) for s, some in seeds.items()}
                    for name in _ARMS_COLUMNS
                }
                for masks in MASKS
            }
            for arm, seeds in scored.items()
        },
        "decisions": [
            decided
            for claim in CLAIMS
            if {claim.better, claim.worse} <= scored.keys()
            for masks in claim.masks
            for metric in METRICS
            for decided in [_decided(scored, claim, masks, metric)]
        ],
    }


def _over_pictures(some, masks, name):
    """A column of the arms' table for one seed: a metric's mean, or one of `_PSNRS`."""
    found = list(_by_picture(some, masks, "psnr" if name in _PSNRS else name).values())
    if name in _PSNRS:
        return _PSNRS[name](found)
    return statistics.fmean(x for x in found if np.isfinite(x))


def _decided(scored, claim, masks, metric):
    about = {"claim": claim.id, "masks": masks, "metric": metric}
    about["deciding"] = metric == claim.metric
    found = differences(scored, claim.better, claim.worse, masks, metric)
    if len(found) < _LEAST_SEEDS:
        return {**about, "word": TOO_FEW, "seeds": len(found)}
    return {**about, **dataclasses.asdict(rule.decide(found)), "seeds": len(found)}


def reported(claim: Claim, masks: str, metric: str) -> float | None:
    """The paper's own difference, above 0 = as claimed; None where it prints no number."""
    if not claim.rows or metric not in ("psnr", "ssim", "ms_ssim", "l1_percent"):
        return None
    one, other = (_paper_row(name, masks)[metric] for name in claim.rows)
    return (one - other) * (1 if METRICS[metric][2] else -1)


def _paper_row(name, masks):
    """{metric: value} of a row of Z Table 3."""
    from zoom_to_inpaint.reported import TABLE_3  # imports TensorFlow

    printed = TABLE_3[masks][name]._asdict()
    printed["l1_percent"] = 100 * printed.pop("l1_fraction")
    return printed


def tables(found: dict) -> list[Table]:
    """The tables of `values`: deciding metrics, all metrics, arms."""
    return [_directions(found), _all_metrics(found), _arms(found)]


def _signed(value, metric):
    return "-" if value is None else f"{value:+.{METRICS[metric][1]}f}"


def _directions(found):
    rows, claims = [], {claim.id: claim for claim in CLAIMS}
    for one in found["decisions"]:
        if not one["deciding"]:
            continue
        claim, metric = claims[one["claim"]], one["metric"]
        paper = _signed(reported(claim, one["masks"], metric), metric)
        row = [claim.says, one["masks"], METRICS[metric][0].rpartition(" ")[0], paper]
        if one["word"] == TOO_FEW:
            rows.append([*row, "-", "-", "-", "-", TOO_FEW])
            continue
        spans = [" to ".join(_signed(x, metric) for x in one[span]) for span in _SHORT]
        seeds = _seeds(one, reported(claim, one["masks"], metric))
        rows.append([*row, _signed(one["mean"], metric), *spans, seeds, _word(one)])
    columns = [
        "The papers say",
        "Holes",
        "Metric",
        "Paper",
        "Here",
        *_SHORT.values(),
        "Seeds",
        "Verdict",
    ]
    note = (
        "Differences are above 0 where they are as the paper says, whatever the metric; the paper's are of Table 3, "
        "DIV2K. The metric and the rule (both intervals on one side of 0) were fixed beforehand. Seeds: how many it "
        "would take to tell the paper's difference from 0, or this one where the paper has none, if more seeds "
        "differed as these do. Where they are more than were trained, this machine cannot settle an "
        "inconclusive direction at this number of steps."
    )
    return Table("Do small networks order as the papers say?", columns, rows, note)


def _seeds(one, paper):
    asked = one["mean"] if paper is None else paper
    needed = rule.seeds_needed(one["by_seed"], asked)
    return f"{needed:,}" if needed else f"over {rule.MOST_SEEDS:,}"


def _all_metrics(found):
    cells = {(x["claim"], x["masks"], x["metric"]): x for x in found["decisions"]}
    rows = []
    for claim in CLAIMS:
        for masks in claim.masks:
            row = [cells.get((claim.id, masks, metric)) for metric in METRICS]
            if all(row):
                arms = f"{ARMS[claim.better].label} against {ARMS[claim.worse].label}"
                rows.append([arms, masks, *map(_cell, row)])
    columns = ["Arms", "Holes", *(title.rpartition(" ")[0] for title, _, _ in METRICS.values())]
    note = "Above 0: as the paper says. Bold: the verdict is not inconclusive."
    return Table("Every metric", columns, rows, note)


def _cell(one):
    if one["word"] == TOO_FEW:
        return "-"
    return f"{_signed(one['mean'], one['metric'])} {_word(one)}"


def _word(one):
    return one["word"] if one["word"] == rule.INCONCLUSIVE else f"**{one['word']}**"


def _arms(found):
    rows = []
    for masks in MASKS:
        for name, by_masks in found["arms"].items():
            some = [list(by_masks[masks][name].values()) for name in _ARMS_COLUMNS]
            numbers = [_spread(x, form[1]) for x, form in zip(some, _ARMS_COLUMNS.values())]
            rows.append([ARMS[name].label, masks, str(len(some[0])), *numbers])
        for name in ("No zoom", "Bicubic zoom", "SR zoom", "SR zoom+L∇"):  # Z Table 3
            printed = _paper_row(name, masks)
            numbers = [
                f"{printed[m]:.{form[1]}f}" if m in printed else "-"
                for m, form in _ARMS_COLUMNS.items()
            ]
            rows.append([f"{REPORTED}{name}", masks, "-", *numbers])
    columns = ["Arm", "Holes", "Seeds", *(title for title, _ in _ARMS_COLUMNS.values())]
    note = (
        f"Mean over seeds ± standard deviation over seeds of the mean over pictures. {POOLED_NOTE} The paper's rows "
        "are of networks of four times the width on other pictures (DIV2K); its full model took 1.28 million steps of "
        "joint training."
    )
    return Table("The arms", columns, rows, note)


def _spread(some, decimals):
    text = f"{statistics.fmean(some):.{decimals}f}"
    return f"{text} ± {statistics.stdev(some):.{decimals}f}" if len(some) > 1 else text
