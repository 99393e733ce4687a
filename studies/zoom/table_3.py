"""Zoom-to-Inpaint's Table 3: the gains of zoom, super-resolution and gradient loss.

The four networks are `sets.ABLATIONS`, defined in `studies.kit.networks`. A flagfile in
configs/zoom_to_inpaint/ablations/ trains each of them. The small setting trains four small networks, a minute or two
each; later studies reuse them.
"""

from __future__ import annotations

import dataclasses
import statistics

from common.scoring.tables import pooled_psnr
from studies.kit.bench import Bench
from studies.kit.scores import Scored, reported
from studies.kit.study import Result, Study, Table
from studies.zoom import sets


def run(bench: Bench) -> Result:
    """See the module docstring."""
    data_set, found = sets.scored(bench, sets.ABLATIONS)
    result = sets.result(bench, data_set, found, reported("zoom_to_inpaint").TABLE_3)
    tables = [gains(scored, masks) for masks, scored in found.items()]
    return dataclasses.replace(result, tables=result.tables + tables)


def gains(scored: Scored, masks: str) -> Table:
    """The gain of each arm over the first, image by image: mean and standard error."""
    by_method: dict = {}
    for score in scored.scores:
        by_method.setdefault(score.method, []).append(score.metrics)
    baseline, *others = by_method
    rows = []
    for method in others:
        cells = []
        for column in sets.COLUMNS:
            ours, theirs = ([one[column.key] for one in by_method[m]] for m in (method, baseline))
            cells.append(_gain(ours, theirs, column))
        rows.append([method, *cells])
    return Table(
        f"Gain on {baseline}, {masks} masks",
        ["Method", *(column.title for column in sets.COLUMNS)],
        rows,
        "Difference on the same image and hole: mean over images ± standard error, and median; for pooled PSNR "
        "the plain difference. Not in the paper.",
    )


def _gain(ours, theirs, column):
    decimals, differences = column.decimals, [a - b for a, b in zip(ours, theirs)]
    if column.shows == "pooled":
        return f"{pooled_psnr(ours) - pooled_psnr(theirs):+.{decimals}f}"
    if column.shows == "median":
        return f"{statistics.median(differences):+.{decimals}f}"
    text = f"{statistics.fmean(differences):+.{decimals}f}"
    if len(differences) < 2:
        return text
    return f"{text} ± {statistics.stdev(differences) / len(differences) ** 0.5:.{decimals}f}"


STUDY = Study(
    id="zoom_table_3",
    item="Table 3",
    what="ablations: zoom, super-resolution, gradient loss",
    reported="every step improves every score: PSNR from 32.12 to 34.08 dB under small masks, from 25.89 to 27.07 dB "
    "under large ones.",
    needs="weights of four networks, DIV2K; minutes on a GPU; to train each, 1.28M joint steps (the paper: 8 V100s)",
    minutes=1,
    run=run,
    arms=sets.ABLATIONS,
    flags="--div2k_dir=DIV2K",
)
