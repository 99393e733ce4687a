"""Zoom-to-Inpaint's Table 1 and Figure 3: the share of an image that small and large masks cover.

The study draws 10,000 masks of each kind, as in the paper; the small setting draws 1,000. `--count` sets the number.
"""

from __future__ import annotations

import numpy as np

from common.errors import UsageError
from common.images import grid
from common.images.convert import WHITE
from common.masks import random as random_masks
from studies.kit import plots
from studies.kit.bench import Bench
from studies.kit.scores import cell, reported
from studies.kit.study import REPORTED, Picture, Result, Study, Table
from studies.zoom.sets import SIDE

MASKS = {"small": 1_000, "paper": 10_000}
_EXAMPLES = 8


def run(bench: Bench) -> Result:
    """See the module docstring."""
    if bench.image_size == 0:
        raise UsageError("--image_size=0 means whole photographs; masks alone need a side")
    count, side = bench.count or MASKS[bench.size], bench.image_size or SIDE
    shares, rows, examples = {}, [], []
    for kind in random_masks.STROKE_KINDS:

        def mask(index, kind=kind):
            return random_masks.stroke_mask(side, side, kind, (bench.seed, index))

        shares[kind] = 100 * np.array([mask(index).mean() for index in range(count)])
        printed = reported("zoom_to_inpaint").TABLE_1[kind]
        rows.append([f"{kind} masks", *_row(shares[kind])])
        mean, largest = cell(printed.mean, 2), cell(printed.max, 2)
        rows.append([f"{REPORTED}{kind} masks", "10000", mean, "-", "-", "-", largest])
        some = (mask(index)[..., None] * WHITE for index in range(_EXAMPLES))
        examples.append([np.repeat(one, 3, axis=2) for one in some])
    columns = ["Masks", "n", "Mean (%)", "Std", "Median", "95th", "Max (%)"]
    title = f"Share of the picture that is hole, {side}x{side}"
    caption = f"As Figure 3: the first {_EXAMPLES} small masks (top) and large masks (bottom)."
    drawn = grid.grid(examples, [""] * _EXAMPLES, cell=128)
    return Result(
        tables=[Table(title, columns, rows, "Median and 95th percentile are not in the paper.")],
        pictures=[
            Picture("share.png", "Distribution of the hole share.", _histogram(shares)),
            Picture("examples.png", caption, drawn),
        ],
        notes=["The largest value grows with the number of masks: compare it at 10,000 masks."],
        values={kind: {"mean": x.mean(), "max": x.max(), "n": count} for kind, x in shares.items()},
    )


def _row(share):
    std = float(share.std(ddof=1)) if len(share) > 1 else None
    found = float(share.mean()), std, *map(float, np.percentile(share, (50, 95))), share.max()
    return [str(len(share)), *(cell(value, 2) for value in found)]


def _histogram(shares):
    with plots.figure(width=6.4) as (drawn, (axis,)):
        bins = np.arange(0, max(x.max() for x in shares.values()) + 1, 1)
        for (kind, share), colour in zip(shares.items(), plots.COLOURS):
            weights = np.full(len(share), 100 / len(share))
            axis.hist(share, bins, weights=weights, alpha=0.7, label=kind, color=colour)
            axis.axvline(share.mean(), color=colour, linestyle="--")
        axis.set(xlabel="share of the picture that is hole (%)", ylabel="masks (%)")
        axis.legend(title="dashed: mean")
        return plots.pixels(drawn)


STUDY = Study(
    id="zoom_table_1",
    item="Table 1, Figure 3",
    what="hole share of small and large masks",
    reported="small masks cover 4.3% on average and 15.75% at most, large ones 15.12% and 50.24%.",
    needs="nothing",
    minutes=0.1,
    run=run,
)
