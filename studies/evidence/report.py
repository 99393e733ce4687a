"""Decisions and tables from the scores of `studies/evidence/`.

`differences` -> `rule.decide` -> `values` (plain numbers for result.json) -> `tables`; `studies.evidence.charts`
draws the same values.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping

import numpy as np

from common.scoring.tables import POOLED_NOTE, Score, flat, summarise
from studies.evidence import rule
from studies.evidence.arms import ARMS, CLAIMS, MASKS, METRICS, TABLE_3, Claim
from studies.kit import scores
from studies.kit.study import REPORTED, Table

Scored = Mapping[str, Mapping[int, list[Score]]]  # {arm: {seed: scores}}
TOO_FEW = "too few seeds"
# An interval over seeds needs two seeds.
_LEAST_SEEDS = 2
# Columns of the arms' table, with the three of PSNR side by side.
_COLUMNS = [METRICS["psnr"], *scores.columns("psnr")[1:], *list(METRICS.values())[1:]]
_SHORT = {"over_seeds": "95% over seeds", "over_pictures": "95% over pictures"}


def differences(scored: Scored, better: str, worse: str, masks: str, metric: str) -> np.ndarray:
    """d [S, I] over the seeds of both arms and the images by name; above 0: `better` is better."""
    seeds = sorted(scored.get(better, {}).keys() & scored.get(worse, {}).keys())
    found = []
    for seed in seeds:
        one, other = (_by_picture(scored[arm][seed], masks, metric) for arm in (better, worse))
        if one.keys() != other.keys():
            raise ValueError(f"{better} and {worse}, seed {seed}: scored on different pictures")
        found.append([_sign(metric) * (one[name] - other[name]) for name in sorted(one)])
    return np.array(found, np.float64).reshape(len(seeds), -1)


def _sign(metric):
    return 1 if "↑" in METRICS[metric].title else -1


def _by_picture(some, masks, metric):
    return {score.name: score.metrics[metric] for score in some if score.masks == masks}


def values(scored: Scored) -> dict:
    """The values of result.json.

    {"arms": {arm: {masks: {column: {seed: over pictures}}}}, "decisions": [one per claim, masks and metric]}.
    """
    return {
        "arms": {
            arm: {masks: _over_pictures(seeds, masks) for masks in MASKS}
            for arm, seeds in scored.items()
        },
        "decisions": [
            decided
            for claim in CLAIMS.values()
            if {claim.better, claim.worse} <= scored.keys()
            for masks in claim.masks
            for metric in METRICS
            for decided in [_decided(scored, claim, masks, metric)]
        ],
    }


def _over_pictures(seeds, masks):
    """{column: {seed: value over images}} of one arm."""
    found = {}
    for seed, some in seeds.items():
        (summary,) = summarise([score for score in some if score.masks == masks])
        found[str(seed)] = flat(summary)
    return {c.name: {seed: x[c.name] for seed, x in found.items()} for c in _COLUMNS}


def _decided(scored, claim, masks, metric):
    about = {"claim": claim.id, "masks": masks, "metric": metric}
    about["deciding"] = metric == claim.metric
    found = differences(scored, claim.better, claim.worse, masks, metric)
    if len(found) < _LEAST_SEEDS:
        return {**about, "word": TOO_FEW, "seeds": len(found)}
    return {**about, **dataclasses.asdict(rule.decide(found)), "seeds": len(found)}


def reported(claim: Claim, masks: str, metric: str) -> float | None:
    """The paper's own difference, above 0 = as claimed; None if the paper prints no number."""
    if not claim.printed or metric == "detail_error":
        return None
    one, other = (_paper_row(arm, masks)[metric] for arm in (claim.better, claim.worse))
    return _sign(metric) * (one - other)


def _paper_row(arm, masks):
    """{metric: value} of a row of Zoom-to-Inpaint's Table 3."""
    printed = scores.reported("zoom_to_inpaint").TABLE_3[masks][ARMS[arm].label]._asdict()
    printed["l1_percent"] = 100 * printed.pop("l1_fraction")
    return printed


def tables(found: dict) -> list[Table]:
    """The tables of `values`: deciding metrics, all metrics, all arms."""
    return [_directions(found), _all_metrics(found), _arms(found)]


def title(metric: str) -> str:
    """The title of a metric without its arrow."""
    return METRICS[metric].title.rpartition(" ")[0]


def _signed(value, metric):
    return "-" if value is None else f"{value:+.{METRICS[metric].decimals}f}"


def _directions(found):
    rows = []
    for one in found["decisions"]:
        if not one["deciding"]:
            continue
        claim, metric = CLAIMS[one["claim"]], one["metric"]
        paper = reported(claim, one["masks"], metric)
        here = ["-", "-", "-", "-", TOO_FEW]
        if one["word"] != TOO_FEW:
            spans = [" to ".join(_signed(x, metric) for x in one[span]) for span in _SHORT]
            here = [_signed(one["mean"], metric), *spans, _seeds(one, paper), _word(one)]
        about = [claim.says, one["masks"], title(metric), _signed(paper, metric)]
        rows.append([*about, *here])
    columns = [
        *("The papers say", "Holes", "Metric", "Paper", "Here"),
        *(*_SHORT.values(), "Seeds", "Verdict"),
    ]
    note = (
        "A difference above 0 agrees with the paper, whatever the metric; the paper's are those of Table 3, DIV2K. "
        "The metric and the rule (both intervals on one side of 0) were fixed beforehand. Seeds: the number "
        "needed to distinguish the paper's difference from 0 (or the measured one, if the paper prints none), if "
        "further seeds vary as much. If more seeds are needed than were trained, an inconclusive direction stays "
        "open at this number of steps."
    )
    return Table("Do small networks order as the papers say?", columns, rows, note)


def _seeds(one, paper):
    asked = one["mean"] if paper is None else paper
    needed = rule.seeds_needed(one["by_seed"], asked)
    return f"{needed:,}" if needed else f"over {rule.MOST_SEEDS:,}"


def _all_metrics(found):
    cells = {(x["claim"], x["masks"], x["metric"]): x for x in found["decisions"]}
    rows = []
    for claim in CLAIMS.values():
        for masks in claim.masks:
            row = [cells.get((claim.id, masks, metric)) for metric in METRICS]
            if all(row):
                arms = f"{ARMS[claim.better].label} against {ARMS[claim.worse].label}"
                rows.append([arms, masks, *map(_cell, row)])
    columns = ["Arms", "Holes", *map(title, METRICS)]
    note = "Above 0: as the paper says. Bold: agrees or disagrees."
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
            some = [list(by_masks[masks][column.name].values()) for column in _COLUMNS]
            numbers = [_spread(x, column.decimals) for x, column in zip(some, _COLUMNS)]
            rows.append([ARMS[name].label, masks, str(len(some[0])), *numbers])
        for name in TABLE_3:
            numbers = scores.cells(_paper_row(name, masks), _COLUMNS)
            rows.append([f"{REPORTED}{ARMS[name].label}", masks, "-", *numbers])
    columns = ["Arm", "Holes", "Seeds", *(column.title for column in _COLUMNS)]
    note = (
        f"Mean over seeds ± standard deviation over seeds of the mean over pictures. {POOLED_NOTE} The paper's rows "
        "are of networks of four times the width on other pictures (DIV2K); its full model took 1.28 million steps of "
        "joint training."
    )
    return Table("The arms", columns, rows, note)


def _spread(some, decimals):
    text = f"{statistics.fmean(some):.{decimals}f}"
    return f"{text} ± {statistics.stdev(some):.{decimals}f}" if len(some) > 1 else text
