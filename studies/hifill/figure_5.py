"""H Figures 5 and 8 to 11: results side by side at 512, 1024 and 2048, and the worst of them.

    python studies/run.py --study=hifill_figure_5 --size=paper --places2_dir=PLACES2 --weights=hifill=FILE \\
        --predictions=METHOD,METHOD

The paper: as good as others or slightly better at 512, and as good at 1024 and 2048, where others fail; Figure 11
shows failures, where most of an object is missing. Here the first pictures of a set at every size (`--count`, 24 unless
given, of which 6 are shown), every method of --predictions beside HiFill, and the pictures with HiFill's largest error
inside the hole as its failures. It needs the trained network and Places2; minutes. The small setting is 128, 256 and
512 on the samples.
"""

from __future__ import annotations

import numpy as np

from common.filling import photographs
from common.images import convert
from common.scoring import protocol
from studies.hifill import sets
from studies.kit.bench import Bench
from studies.kit.study import Picture, Result, Study, Table

OURS = "HiFill"
MULTIPLES = (1, 2, 4)
FIGURES = {1: "Figures 5 (top) and 8", 2: "Figures 5 (bottom) and 9", 4: "Figure 10"}
COUNT, SHOWN, WORST = 24, 6, 3
_CELL = 320


def run(bench: Bench) -> Result:
    """See the module docstring."""
    model = bench.model(sets.ARM)
    base = model.config.size
    found = sets.photographs(bench)
    found = found._replace(paths=found.paths[: bench.count or COUNT])
    by_side, errors, shown = {}, {}, []
    for side in sets.sides(bench, base, MULTIPLES):
        methods = {**sets.others(bench, found, side), OURS: model.inpaint}
        scored = by_side[side] = sets.scored(bench, found, methods, side, base)
        errors[side] = hole_errors(scored)
        caption = f"As {FIGURES.get(side // base, 'Figure 5')}: {side}x{side}."
        shown.append(_picture(scored, scored.cases[:SHOWN], f"{side}.png", caption))
    side, scored = next(iter(by_side.items()))
    order = sorted(scored.cases, key=lambda case: -errors[side][case.name])
    caption = "As Figure 11: where HiFill errs most inside the hole."
    shown.append(_picture(scored, order[:WORST], "worst.png", caption))
    title = f"{found.label}: HiFill's mean absolute error inside holes, in levels of 255"
    table = Table(title, ["Size", "n", "Mean", "Median", "Largest"], [*map(_row, errors.items())])
    notes = [*sets.notes(bench), sets.predictions_note(bench)]
    return Result([table], shown, notes, {str(side): found for side, found in errors.items()})


def _row(item):
    side, values = item[0], list(item[1].values())
    numbers = (f"{of(values):.1f}" for of in (np.mean, np.median, max))
    return [f"{side}x{side}", str(len(values)), *numbers]


def hole_errors(scored) -> dict[str, float]:
    """{picture: HiFill's mean absolute error inside its hole, in levels}."""
    found = {}
    for case in scored.cases:
        truth, hole = convert.read_rgb(case.image), photographs.read_mask(case.mask) > 0
        result = convert.read_rgb(protocol.prediction(scored.folders[OURS], case.name))
        found[case.name] = (
            float(np.abs(result[hole].astype(int) - truth[hole]).mean()) if hole.any() else 0.0
        )
    return found


def _picture(scored, cases, file, caption):
    from common.images import grid

    rows = []
    for case in cases:
        truth, mask = convert.read_rgb(case.image), photographs.read_mask(case.mask)
        results = [
            convert.read_rgb(protocol.prediction(f, case.name)) for f in scored.folders.values()
        ]
        rows.append([grid.paint_hole(truth, mask), truth, *results])
    drawn = grid.grid(rows, ["input", "truth", *scored.folders], cell=_CELL)
    return Picture(file, caption, drawn)


STUDY = Study(
    id="hifill_figure_5",
    paper="HiFill",
    item="Figures 5, 8-11",
    what="results side by side at three sizes, and failures",
    reported="as good as others or slightly better at 512; as good at 1024 and 2048, where others fail.",
    needs="weights of hifill, Places2, other methods' PNGs; minutes",
    command="python studies/run.py --study=hifill_figure_5 --size=paper --places2_dir=PLACES2 --weights=hifill=FILE "
    "--predictions=METHOD,METHOD",
    minutes=1,
    run=run,
)
