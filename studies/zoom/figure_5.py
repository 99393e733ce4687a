"""Z Figures 5, 15 and 16: the four ablations, as pictures with closeups, and where they fail.

    python studies/run.py --study=zoom_figure_5 --size=paper --div2k_dir=DIV2K \\
        --weights=no_zoom=FILE,bicubic_zoom=FILE,sr_zoom=FILE,sr_zoom_gradient=FILE

The paper: zooming and the gradient loss bring finer detail (Figures 5, 15) and, under large masks, finer artifacts in
the same order (Figure 16). It needs the networks and the data of Table 3. Nothing is chosen: Figures 5 and 15 are the
first pictures under small masks, Figure 16 those with the largest holes under large masks. `--count` limits the set.
"""

from __future__ import annotations

from studies.kit.bench import Bench
from studies.kit.study import Picture, Result, Study
from studies.zoom import arms, closeups

_SHOWN = 4


def run(bench: Bench) -> Result:
    """See the module docstring."""
    photographs, found = arms.scored(bench, arms.ABLATIONS)
    first = range(min(_SHOWN, len(photographs.paths)))
    worst = closeups.largest_holes(found["large"], _SHOWN)
    pictures = [
        Picture(
            "figure_15.png",
            f"As Figures 5 and 15: {photographs.label}, small masks; below, what is in the box.",
            closeups.grid([(found["small"], first)]),
        ),
        Picture(
            "figure_16.png",
            f"As Figure 16: {photographs.label}, the largest holes of large masks; below, what is in the box.",
            closeups.grid([(found["large"], worst)]),
        ),
    ]
    notes = ["Not chosen by hand: the first pictures, and the largest holes."]
    return Result(pictures=pictures, notes=[*notes, *arms.notes(bench)])


STUDY = Study(
    id="zoom_figure_5",
    paper="Zoom-to-Inpaint",
    item="Figures 5, 15 and 16",
    what="visual comparison of the ablations",
    reported="zooming and the gradient loss bring finer detail, and under large masks finer artifacts, too.",
    needs="weights of four networks, DIV2K; minutes on a GPU",
    command="python studies/run.py --study=zoom_figure_5 --size=paper --div2k_dir=DIV2K "
    f"{arms.weights_flag(arms.ABLATIONS)}",
    minutes=0.5,
    run=run,
)
