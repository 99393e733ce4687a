"""Zoom-to-Inpaint's Table 10 and Figure 6: SSIM in three frequency bands, and the gain of each ablation.

Gains are relative to No zoom. The bands are those of a two-level Laplacian pyramid
(`common.scoring.frequency_bands`). The paper does not give the scale of SSIM on a band, so gains compare better with
the paper than the values. The small setting scores the sample photographs.
"""

from __future__ import annotations

from common.scoring.frequency_bands import BANDS, band_ssim
from studies.kit import pictures, plots
from studies.kit.bench import Bench
from studies.kit.scores import Scored, cell, reported
from studies.kit.study import REPORTED, Picture, Result, Study, Table
from studies.zoom import sets

_DECIMALS = 4


def run(bench: Bench) -> Result:
    """See the module docstring."""
    data_set, found = sets.scored(bench, sets.ABLATIONS, ("small",))
    measured, printed = band_means(found["small"]), reported("zoom_to_inpaint").TABLE_10
    baseline, *others = sets.labels(sets.ABLATIONS)
    rows = [_row(band, measured[band]) for band in BANDS]
    rows += [_row(f"{REPORTED}{band}", printed[band]) for band in BANDS]
    table = Table(
        f"SSIM per band, {data_set.label}, small masks",
        ["Band", baseline, *others, *(f"{name} - {baseline}" for name in others)],
        rows,
        f"Measured: mean over {len(data_set.paths)} images.",
    )
    panels = {"measured here": measured, "the paper": printed}
    drawn = {
        title: {name: {band: gains(values[band])[name] for band in BANDS} for name in others}
        for title, values in panels.items()
    }
    caption = "As Figure 6: gain in SSIM on No zoom per frequency band, here and in the paper (scales differ)."
    picture = Picture("figure_6.png", caption, plots.bars(drawn, f"gain in SSIM on {baseline}"))
    return Result([table], [picture], sets.notes(bench, data_set), {"ssim": measured})


def band_means(scored: Scored) -> dict[str, dict[str, float]]:
    """{band: {method: mean SSIM over the images}} of the saved results."""
    totals = {band: dict.fromkeys(scored.folders, 0.0) for band in BANDS}
    for case in scored.cases:
        truth, _, results = pictures.read(scored, case)
        for method, image in zip(scored.folders, results):
            for band, value in band_ssim(truth, image).items():
                totals[band][method] += value / len(scored.cases)
    return totals


def gains(values: dict[str, float]) -> dict[str, float]:
    """{method: its gain over the first method}."""
    baseline, *others = values
    return {name: values[name] - values[baseline] for name in others}


def _row(name, values):
    numbers = (cell(value, _DECIMALS) for value in values.values())
    return [name, *numbers, *(f"{gain:+.{_DECIMALS}f}" for gain in gains(values).values())]


STUDY = Study(
    id="zoom_table_10",
    item="Table 10, Figure 6",
    what="SSIM per frequency band of a Laplacian pyramid",
    reported="every part of the method gains in every band under small masks, most in the highest (0.0069 for SR zoom "
    "with gradient loss).",
    needs="weights of four networks, DIV2K; minutes on a GPU",
    minutes=0.5,
    run=run,
    arms=sets.ABLATIONS,
    flags="--div2k_dir=DIV2K",
)
