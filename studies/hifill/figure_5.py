"""HiFill's Figures 5 and 8 to 11: results side by side at 512, 1024 and 2048, and the worst of them.

The study fills the first images of a set (`--count`, default 24) at every size and shows 6 of them, with the methods of
--predictions beside HiFill. As failures (Figure 11) it shows the images with HiFill's largest error in the hole. The
small setting uses sample photographs at 128, 256 and 512.
"""

from __future__ import annotations

import numpy as np

from studies.hifill import sets
from studies.kit import pictures
from studies.kit.bench import Bench
from studies.kit.study import Picture, Result, Study, Table

FIGURES = {1: "Figures 5 (top) and 8", 2: "Figures 5 (bottom) and 9", 4: "Figure 10"}
COUNT, SHOWN, WORST = 24, 6, 3
_CELL = 320


def run(bench: Bench) -> Result:
    """See the module docstring."""
    model = bench.model(sets.ARM)
    errors, shown, worst = {}, [], None
    every = sets.squares(bench, model.config.size, tuple(FIGURES), count=bench.count or COUNT)
    for squares in every:
        scored = squares.scored({**squares.others(), sets.OURS: model.inpaint})
        errors[squares.side] = hole_errors(scored)
        figure = FIGURES.get(squares.side // squares.base, "Figure 5")
        caption = f"As {figure}: {squares.side}x{squares.side}."
        picture = pictures.whole(scored, scored.cases[:SHOWN], _CELL)
        shown.append(Picture(f"{squares.side}.png", caption, picture))
        worst = worst or (scored, errors[squares.side])
    scored, of_case = worst
    order = sorted(scored.cases, key=lambda case: -of_case[case.name])
    caption = "As Figure 11: HiFill's largest errors in the hole."
    shown.append(Picture("worst.png", caption, pictures.whole(scored, order[:WORST], _CELL)))
    title = (
        f"{every[0].data_set.label}: HiFill's mean absolute error inside holes, in levels of 255"
    )
    table = Table(title, ["Size", "n", "Mean", "Median", "Largest"], [*map(_row, errors.items())])
    values = {str(side): found for side, found in errors.items()}
    return Result([table], shown, every[0].notes(others=True), values)


def _row(item):
    side, values = item[0], list(item[1].values())
    numbers = (f"{of(values):.1f}" for of in (np.mean, np.median, max))
    return [f"{side}x{side}", str(len(values)), *numbers]


def hole_errors(scored) -> dict[str, float]:
    """{picture: HiFill's mean absolute error inside its hole, in levels}."""
    found = {}
    for case in scored.cases:
        truth, mask, results = pictures.read(scored, case)
        hole, result = mask > 0, results[list(scored.folders).index(sets.OURS)]
        errors = np.abs(result[hole].astype(int) - truth[hole])
        found[case.name] = float(errors.mean()) if errors.size else 0.0
    return found


STUDY = Study(
    id="hifill_figure_5",
    item="Figures 5, 8-11",
    what="results side by side at three sizes, and failures",
    reported="as good as others or slightly better at 512; as good at 1024 and 2048, where others fail.",
    needs="weights of hifill, Places2, other methods' PNGs; minutes",
    minutes=1,
    run=run,
    arms=(sets.ARM,),
    flags="--places2_dir=PLACES2 --predictions=METHOD,METHOD",
)
