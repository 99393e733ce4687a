"""Z Table 3: what zooming, super-resolution and the gradient loss bring.

    python studies/run.py --study=zoom_table_3 --size=paper --div2k_dir=DIV2K \\
        --weights=no_zoom=FILE,bicubic_zoom=FILE,sr_zoom=FILE,sr_zoom_gradient=FILE

The paper: each step improves every score under small and large masks, PSNR from 32.12 to 34.08 dB and from 25.89 to
27.07 dB. It needs DIV2K's 100 validation images and four networks, each trained by a flagfile in
configs/zoom_to_inpaint/ablations/ (1.28 million joint steps each; the paper trained on 8 V100s); scoring takes minutes
on a GPU. The small setting trains four small networks, a minute or two each, which later studies share.
"""

from __future__ import annotations

import statistics

from common.scoring.tables import pooled_psnr
from studies.kit.bench import Bench, Scored, reported
from studies.kit.score_tables import columns, comparison
from studies.kit.study import Result, Study, Table
from studies.zoom import arms

METRICS = ("psnr", "ssim", "ms_ssim", "l1_fraction")


def run(bench: Bench) -> Result:
    """See the module docstring."""
    photographs, found = arms.scored(bench, arms.ABLATIONS)
    printed = reported("zoom_to_inpaint").TABLE_3
    shown = columns("zoom_to_inpaint", METRICS)
    tables, values = [], {}
    for masks, scored in found.items():
        paper = {name: scores._asdict() for name, scores in printed[masks].items()}
        title = f"{photographs.label}, {masks} masks"
        tables.append(comparison(title, scored.means(), shown, paper))
        values[masks] = arms.means(scored.means())
    tables += [gains(scored, masks) for masks, scored in found.items()]
    return Result(tables, notes=arms.notes(bench, photographs), values=values)


def gains(scored: Scored, masks: str) -> Table:
    """What each arm gains on the first one, image by image: mean and its standard error."""
    by_method: dict = {}
    for score in scored.scores:
        by_method.setdefault(score.method, []).append(score.metrics)
    baseline, *others = by_method
    shown = columns("zoom_to_inpaint", METRICS)
    rows = []
    for method in others:
        cells = []
        for column in shown:
            ours, theirs = ([one[column.key] for one in by_method[m]] for m in (method, baseline))
            cells.append(_gain(ours, theirs, column))
        rows.append([method, *cells])
    return Table(
        f"Gain on {baseline}, {masks} masks",
        ["Method", *(column.title for column in shown)],
        rows,
        "Mean over images of the difference on the same image and hole, ± its standard error, and its "
        "median; of the pooled PSNR the difference. Not in the paper.",
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
    paper="Zoom-to-Inpaint",
    item="Table 3",
    what="ablations: zoom, super-resolution, gradient loss",
    reported="every step improves every score: PSNR from 32.12 to 34.08 dB under small masks, from 25.89 to 27.07 dB "
    "under large ones.",
    needs="weights of four networks, DIV2K; minutes on a GPU; to train each, 1.28M joint steps (the paper: 8 V100s)",
    command="python studies/run.py --study=zoom_table_3 --size=paper --div2k_dir=DIV2K "
    f"{arms.weights_flag(arms.ABLATIONS)}",
    minutes=1,
    run=run,
)
