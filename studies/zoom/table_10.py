"""Z Table 10 and Figure 6: SSIM in three frequency bands, and what each ablation gains on No zoom in them.

    python studies/run.py --study=zoom_table_10 --size=paper --div2k_dir=DIV2K \\
        --weights=no_zoom=FILE,bicubic_zoom=FILE,sr_zoom=FILE,sr_zoom_gradient=FILE

The paper: under small masks every part of the method gains in every band of a two-level Laplacian pyramid, and more the
higher the frequencies: SR zoom with gradient loss 0.0049 (low), 0.0063 (mid) and 0.0069 (high). It needs the networks
and the data of Table 3: Z does not name this table's data set, DIV2K is inferred. The bands are those of
`common.scoring.frequency_bands`; Z leaves the scale of SSIM on them open, so gains are easier to compare with the paper
than the values themselves.
"""

from __future__ import annotations

from common.scoring import frequency_bands
from studies.kit import plots
from studies.kit.bench import Bench, Scored, reported
from studies.kit.score_tables import cell
from studies.kit.study import REPORTED, Picture, Result, Study, Table
from studies.zoom import arms

_DECIMALS = 4


def run(bench: Bench) -> Result:
    """See the module docstring."""
    photographs, found = arms.scored(bench, arms.ABLATIONS, ("small",))
    measured = band_means(found["small"])
    printed = reported("zoom_to_inpaint").TABLE_10
    baseline, *others = arms.labels(arms.ABLATIONS)
    rows = [_row(band, measured[band], baseline, others) for band in frequency_bands.BANDS]
    rows += [
        _row(f"{REPORTED}{band}", printed[band], baseline, others) for band in frequency_bands.BANDS
    ]
    headers = ["Band", baseline, *others, *(f"{name} - {baseline}" for name in others)]
    table = Table(
        f"SSIM per band, {photographs.label}, small masks",
        headers,
        rows,
        f"Measured: mean over {len(photographs.paths)} images.",
    )
    panels = {"measured here": measured, "the paper": printed}
    drawn = {title: _gains(values, baseline, others) for title, values in panels.items()}
    caption = "As Figure 6: gain in SSIM on No zoom per frequency band, here and in the paper (scales differ)."
    picture = Picture("figure_6.png", caption, plots.bars(drawn, f"gain in SSIM on {baseline}"))
    return Result([table], [picture], arms.notes(bench, photographs), {"ssim": measured})


def band_means(scored: Scored) -> dict[str, dict[str, float]]:
    """{band: {method: mean SSIM over the images}} of results as they were written."""
    from common.images import convert

    totals = {band: dict.fromkeys(scored.folders, 0.0) for band in frequency_bands.BANDS}
    for case in scored.cases:
        truth = convert.read_rgb(case.image)
        for method, folder in scored.folders.items():
            result = convert.read_rgb(folder / f"{case.name}.png")
            for band, value in frequency_bands.band_ssim(truth, result).items():
                totals[band][method] += value / len(scored.cases)
    return totals


def _row(name, values, baseline, others):
    gains = (f"{values[other] - values[baseline]:+.{_DECIMALS}f}" for other in others)
    return [name, *(cell(values[m], _DECIMALS) for m in (baseline, *others)), *gains]


def _gains(values, baseline, others):
    return {
        other: {
            band: values[band][other] - values[band][baseline] for band in frequency_bands.BANDS
        }
        for other in others
    }


STUDY = Study(
    id="zoom_table_10",
    paper="Zoom-to-Inpaint",
    item="Table 10, Figure 6",
    what="SSIM per frequency band of a Laplacian pyramid",
    reported="every part of the method gains in every band under small masks, most in the highest (0.0069 for SR zoom "
    "with gradient loss).",
    needs="weights of four networks, DIV2K; minutes on a GPU",
    command="python studies/run.py --study=zoom_table_10 --size=paper --div2k_dir=DIV2K "
    f"{arms.weights_flag(arms.ABLATIONS)}",
    minutes=0.5,
    run=run,
)
