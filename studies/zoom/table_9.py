"""Zoom-to-Inpaint's Table 9 and Figure 13: scale factors x1 to x4 of the zoom.

The networks are trained on 128x128 without the gradient loss, by configs/zoom_to_inpaint/ablations/scale_*.cfg. All
four are trained on the crops that x4 needs, so the small setting's x1 and x2 are not the networks of Table 3.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from studies.kit import networks, plots
from studies.kit.bench import Bench
from studies.kit.scores import reported
from studies.kit.study import Picture, Result, Study
from studies.zoom import sets

SCALES = {scale: f"scale_{scale}" for scale in (1, 2, 3, 4)}
_DRAWN = {"ssim": "SSIM", "ms_ssim": "MS-SSIM"}


def run(bench: Bench) -> Result:
    """See the module docstring."""
    data_set, found = sets.scored(bench, tuple(SCALES.values()))
    names = {scale: networks.ARMS[arm].label for scale, arm in SCALES.items()}
    printed = {
        masks: {names[scale]: scores for scale, scores in by_scale.items()}
        for masks, by_scale in reported("zoom_to_inpaint").TABLE_9.items()
    }
    result = sets.result(bench, data_set, found, printed)
    paper = {m: {name: x._asdict() for name, x in rows.items()} for m, rows in printed.items()}
    pictures = [
        Picture("figure_13.png", "As Figure 13, measured here.", figure_13(result.values)),
        Picture("figure_13_paper.png", "Figure 13, from the paper's Table 9.", figure_13(paper)),
    ]
    return dataclasses.replace(result, pictures=pictures)


def figure_13(values: dict) -> np.ndarray:
    """{masks: {method: {metric: value}}} -> one panel per kind of masks, SSIM and MS-SSIM over the scale."""
    panels = {
        f"{masks} masks": {
            title: {scale: scores[key] for scale, scores in zip(SCALES, by_method.values())}
            for key, title in _DRAWN.items()
        }
        for masks, by_method in values.items()
    }
    ticks = {scale: f"x{scale}" for scale in SCALES}
    return plots.lines(panels, "scale of the zoom", "SSIM, MS-SSIM", ticks)


STUDY = Study(
    id="zoom_table_9",
    item="Table 9, Figure 13",
    what="scale factors x1 to x4",
    reported="every SR zoom beats No zoom (x1); x2 is best under small masks, x3 under large ones.",
    needs="weights of four networks trained on 128x128, DIV2K; minutes on a GPU; to train each, 1.28M joint steps",
    minutes=3,
    run=run,
    arms=tuple(SCALES.values()),
    flags="--div2k_dir=DIV2K",
)
