"""Z Table 9 and Figure 13: scale factors x1 to x4 of the zoom.

    python studies/run.py --study=zoom_table_9 --size=paper --div2k_dir=DIV2K \\
        --weights=scale_1=FILE,scale_2=FILE,scale_3=FILE,scale_4=FILE

The paper: trained on 128x128 without the gradient loss, every SR zoom beats No zoom (x1); x2 is best under small masks
and x3 under large ones. It needs DIV2K's 100 validation images, from which 256x256 are cut as everywhere, and four
networks, trained by configs/zoom_to_inpaint/ablations/scale_*.cfg. All four see the same crops, those that x4 needs,
which is why the small setting's x1 and x2 are not the networks of Table 3.
"""

from __future__ import annotations

import numpy as np

from studies.kit import networks, plots
from studies.kit.bench import Bench, reported
from studies.kit.score_tables import columns, comparison
from studies.kit.study import Picture, Result, Study
from studies.zoom import arms
from studies.zoom.table_3 import METRICS

SCALES = {1: "scale_1", 2: "scale_2", 3: "scale_3", 4: "scale_4"}
_DRAWN = {"ssim": "SSIM", "ms_ssim": "MS-SSIM"}


def run(bench: Bench) -> Result:
    """See the module docstring."""
    photographs, found = arms.scored(bench, tuple(SCALES.values()))
    printed = reported("zoom_to_inpaint").TABLE_9
    names = {scale: networks.ARMS[arm].label for scale, arm in SCALES.items()}
    shown = columns("zoom_to_inpaint", METRICS)
    tables, values = [], {}
    for masks, scored in found.items():
        paper = {names[scale]: scores._asdict() for scale, scores in printed[masks].items()}
        title = f"{photographs.label}, {masks} masks"
        tables.append(comparison(title, scored.means(), shown, paper))
        values[masks] = arms.means(scored.means())
    measured = {m: {s: values[m][name] for s, name in names.items()} for m in arms.MASKS}
    paper = {m: {s: scores._asdict() for s, scores in printed[m].items()} for m in arms.MASKS}
    pictures = [
        Picture("figure_13.png", "As Figure 13, measured here.", figure_13(measured)),
        Picture("figure_13_paper.png", "Figure 13, from the paper's Table 9.", figure_13(paper)),
    ]
    return Result(tables, pictures, arms.notes(bench, photographs), values)


def figure_13(points: dict) -> np.ndarray:
    """{masks: {scale: {metric: value}}} -> one panel per kind of masks, SSIM and MS-SSIM over the scale."""
    panels = {
        f"{masks} masks": {
            title: {scale: scores[key] for scale, scores in by_scale.items()}
            for key, title in _DRAWN.items()
        }
        for masks, by_scale in points.items()
    }
    ticks = {scale: f"x{scale}" for scale in SCALES}
    return plots.lines(panels, "scale of the zoom", "SSIM, MS-SSIM", ticks)


STUDY = Study(
    id="zoom_table_9",
    paper="Zoom-to-Inpaint",
    item="Table 9, Figure 13",
    what="scale factors x1 to x4",
    reported="every SR zoom beats No zoom (x1); x2 is best under small masks, x3 under large ones.",
    needs="weights of four networks trained on 128x128, DIV2K; minutes on a GPU; to train each, 1.28M joint steps",
    command="python studies/run.py --study=zoom_table_9 --size=paper --div2k_dir=DIV2K "
    f"{arms.weights_flag(tuple(SCALES.values()))}",
    minutes=3,
    run=run,
)
