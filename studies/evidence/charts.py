"""Charts of `report.values`, without photographs. Needs matplotlib (`studies.kit.plots`)."""

from __future__ import annotations

import statistics

import numpy as np

from studies.evidence import rule
from studies.evidence.arms import ARMS, CLAIMS, MASKS
from studies.evidence.report import TOO_FEW, reported, title
from studies.kit import plots
from studies.kit.study import Picture

_COLOURS = {
    rule.AGREES: plots.COLOURS[2],
    rule.DISAGREES: plots.COLOURS[1],
    rule.INCONCLUSIVE: plots.COLOURS[-1],
}
_DIFFERENCES = (
    "Differences in {}; above 0: as the papers say. Dot: mean; thick line: 95% interval over pictures; thin line: over "
    "seeds; diamond: the paper's difference on DIV2K."
)
_ARMS = "PSNR of every arm. Circles: one seed each, mean over pictures; line: mean over seeds."


def check() -> None:
    """UserError without matplotlib, raised before hours of training."""
    with plots.figure():
        pass


def pictures(found: dict) -> list[Picture]:
    """Differences in PSNR and in detail error, and every arm's PSNR; a chart without numbers is left out."""
    made = []
    for metric, file in (("psnr", "psnr_differences"), ("detail_error", "detail_differences")):
        some = [d for d in found["decisions"] if d["metric"] == metric and d["word"] != TOO_FEW]
        if some:
            name = title(metric)
            pixels = _differences(some, metric, name)
            made.append(Picture(f"{file}.png", _DIFFERENCES.format(name), pixels))
    return [*made, Picture("psnr.png", _ARMS, _arms(found["arms"]))] if found["arms"] else made


def _differences(some, metric, name) -> np.ndarray:
    with plots.figure(1, width=8.4, height=1.2 + 0.27 * len(some)) as (drawn, (axis,)):
        labels = []
        for row, one in enumerate(some):
            colour = _COLOURS[one["word"]]
            for span, width in (("over_seeds", 1), ("over_pictures", 4)):
                axis.plot(one[span], (row, row), color=colour, linewidth=width)
            axis.plot(one["mean"], row, "o", color=colour, markeredgecolor="white")
            paper = reported(CLAIMS[one["claim"]], one["masks"], metric)
            if paper is not None:
                axis.plot(paper, row, "D", color=plots.COLOURS[0], fillstyle="none")
            labels.append(f"{one['claim'].replace('_', ' ')}, {one['masks']} holes: {one['word']}")
        axis.axvline(0, color="#444444", linewidth=0.8)
        axis.set(xlabel=f"difference in {name}", ylim=(len(some) - 0.5, -0.5))
        axis.set_yticks(range(len(some)), labels)
        return plots.pixels(drawn)


def _arms(arms) -> np.ndarray:
    with plots.figure(len(MASKS), width=4.6, height=1.2 + 0.3 * len(arms)) as (drawn, axes):
        for axis, masks in zip(axes, MASKS):
            for row, name in enumerate(arms):
                some = list(arms[name][masks]["psnr"].values())
                axis.plot(some, [row] * len(some), "o", color=plots.COLOURS[0], fillstyle="none")
                mean = statistics.fmean(some)
                axis.plot((mean, mean), (row - 0.3, row + 0.3), color=plots.COLOURS[-1])
            axis.set(title=f"{masks} holes", xlabel="PSNR (dB)", ylim=(len(arms) - 0.5, -0.5))
            axis.set_yticks(range(len(arms)), [ARMS[name].label for name in arms])
            axis.locator_params(axis="x", nbins=5)
        axes[-1].set_yticklabels([])
        return plots.pixels(drawn)
