"""Zoom-to-Inpaint's Table 4: number of parameters and time per image.

The paper's times are means over 100 center crops of DIV2K under large masks, 256x256 (HiFill: 512x512), file I/O
excluded, on an NVIDIA Tesla T4. The networks have the paper's width, with random weights unless --weights is given:
weights do not change the time. The small setting times the same networks on three photographs.
"""

from __future__ import annotations

import numpy as np

from benchmarks import inputs
from common.images import convert
from common.masks import files as mask_files
from studies.kit import timing
from studies.kit.bench import Bench
from studies.kit.scores import reported
from studies.kit.study import REPORTED, Result, Study
from studies.zoom import sets
from studies.zoom.table_2 import ARMS, HIFILL, OURS, resized

_HIFILL = "HiFill [48]"
_NETWORK_ALONE = "without pre- and post-processing"


def run(bench: Bench) -> Result:
    """See the module docstring."""
    (data_set,) = bench.data_sets(sets.DATA)
    cases = bench.cases("large", data_set, sets.SIDE)
    pairs = [(convert.read_rgb(case.image), mask_files.read_mask(case.mask)) for case in cases]
    ours, hifill = model(bench, OURS), model(bench, HIFILL)
    side = hifill.config.size
    batches = [inputs.batch(*pair) for pair in pairs]
    large = [resized(*pair, (side, side)) for pair in pairs]
    large_batches = [inputs.batch(*pair) for pair in large]
    # {name: (network, call, inputs, function whose operations are counted)}
    timed = {
        f"HiFill, {_NETWORK_ALONE}": (
            hifill,
            lambda *x: np.asarray(hifill.generate(*x)[1]),
            large_batches,
            hifill.generate,
        ),
        "HiFill": (hifill, hifill.inpaint, large, None),
        "Zoom-to-Inpaint": (
            ours,
            lambda *x: np.asarray(ours.generate(*x)[3]),
            batches,
            ours.generate,
        ),
        "Zoom-to-Inpaint, what the hole needs": (
            ours,
            lambda *x: np.asarray(ours.fill(*x)),
            batches,
            ours.fill,
        ),
    }
    rows, values = [], {}
    for name, (network, call, seen, count) in timed.items():
        taken = timing.measure(call, seen, len(cases), count)
        rows.append(timing.row(name, timing.parameters(network), taken))
        values[name] = taken._asdict()
    height, width = pairs[0][1].shape
    title = f"Parameters and time per image, {data_set.label}, {width}x{height}, large masks"
    notes = [
        f"HiFill works on {side}x{side}: pictures are enlarged before the clock starts. With pre- and post-processing "
        "it takes and returns an 8-bit photograph.",
        "'What the hole needs' is how inpaint.py fills: the same result without what the final blend discards.",
        "The paper's times were measured on an NVIDIA Tesla T4.",
    ]
    if not bench.weights:
        notes.append("Networks of the paper's width with random weights, which change no timing.")
    return Result([timing.table(title, rows + paper_rows())], notes=notes, values=values)


def model(bench: Bench, arm: str):
    """The arm's network with --weights, or the paper's width with random weights."""
    if arm in bench.weights:
        return bench.model(arm)
    import hifill
    import zoom_to_inpaint

    return {HIFILL: hifill.HiFill, OURS: zoom_to_inpaint.ZoomToInpaint}[arm]()


def paper_rows() -> list[list[str]]:
    """Table 4's rows, two of them HiFill's; an asterisk marks numbers copied from a method's own paper."""
    printed = reported("zoom_to_inpaint")
    alone = printed.TABLE_4[_HIFILL]._replace(milliseconds=printed.HIFILL_NETWORK_MILLISECONDS)
    blank, rows = ["-"] * (len(timing.COLUMNS) - 3), []
    for name, cost in {f"{_HIFILL}, {_NETWORK_ALONE}": alone, **printed.TABLE_4}.items():
        star = "*" * any(method in name for method in printed.TABLE_4_COPIED)
        millions = f"{cost.parameters:g}M{star}"
        rows.append([f"{REPORTED}{name}", millions, f"{cost.milliseconds:g}", *blank])
    return rows


STUDY = Study(
    id="zoom_table_4",
    item="Table 4",
    what="parameters and time per image",
    reported="4.5M parameters and 293 ms for Zoom-to-Inpaint, 2.7M and 127 ms for HiFill (60 ms without pre- and "
    "post-processing), on an NVIDIA Tesla T4.",
    needs="DIV2K (weights change no timing); minutes",
    minutes=1,
    run=run,
    arms=ARMS,
    flags="--div2k_dir=DIV2K",
)
