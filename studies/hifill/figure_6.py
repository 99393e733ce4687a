"""HiFill's Figure 6: residual aggregation against other ways to enlarge the same 512x512 completion.

The paper compares with nearest neighbour, bicubic interpolation and SRGAN (4x, trained on DIV2K), in pictures. Here the
learned method is Zoom-to-Inpaint's super-resolution network for x4, also trained on DIV2K; a folder of PNGs adds
another one. All methods enlarge the same completion and paste it into the hole of the same image. The small setting
uses 512x512 sample photographs and small networks; its SR network is little better than bicubic.
"""

from __future__ import annotations

import cv2
import numpy as np

from studies.hifill import sets
from studies.kit import pictures, plain_enlargement, scores
from studies.kit.bench import Bench
from studies.kit.study import Picture, Result, Study, Table

MULTIPLE = 4
SR_ARM = "scale_4"


def run(bench: Bench) -> Result:
    """See the module docstring."""
    model, network = bench.model(sets.ARM), bench.model(SR_ARM).super_resolution
    (squares,) = sets.squares(bench, model.config.size, (MULTIPLE,), sets.LARGE)
    ways = {"Nearest": cv2.INTER_NEAREST, "Bicubic": cv2.INTER_CUBIC, "SR network x4": network}
    scored = squares.scored(
        {
            **{name: plain_enlargement.painter(model, way) for name, way in ways.items()},
            **squares.others(),
            "Residual aggregation": model.inpaint,
        }
    )
    means, gradients = scored.means(), gradient(scored)
    values = {name: {**means.get(name, {}), "gradient": x} for name, x in gradients.items()}
    table = squares.table(
        values,
        ("psnr", "ssim", "l1_levels", "ms_ssim", "seconds"),
        scored,
        f"Completion of {squares.base}x{squares.base}. Gradient: mean absolute difference of neighbours inside the "
        "hole in levels, which is small where a fill is blurred; the truth's shows how much there should be.",
        first="Enlarged by",
    )
    rows = [[*row, scores.cell(gradients[row[0]], 2)] for row in table.rows]
    table = Table(table.title, [*table.columns, "Gradient"], rows, table.note)
    picture = Picture("details.png", "Details, one pixel to a pixel.", pictures.details(scored))
    return Result([table], [picture], squares.notes(others=True), values)


def gradient(scored) -> dict[str, float]:
    """{method, and "truth": mean over pictures of the absolute difference of neighbours in the hole, in levels}."""
    totals = {name: [] for name in (*scored.folders, "truth")}
    for case in scored.cases:
        truth, mask, results = pictures.read(scored, case)
        for found, image in zip(totals.values(), (*results, truth)):
            values = np.abs(pictures.inner_differences(image.astype(np.int16), mask))
            found.append(values.mean() if values.size else 0.0)
    return {name: float(np.mean(values)) for name, values in totals.items()}


STUDY = Study(
    id="hifill_figure_6",
    item="Figure 6",
    what="residual aggregation against nearest, bicubic and learned enlargement",
    reported="what residual aggregation fills in is sharper and fits its surroundings better (pictures, no numbers).",
    needs="weights of hifill and scale_4, photographs of 2048 pixels, other methods' PNGs; minutes",
    minutes=1,
    run=run,
    arms=(sets.ARM, SR_ARM),
    flags="--dataset=folder --data_dir=HD --predictions=SRGAN",
)
