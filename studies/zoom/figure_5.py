"""Zoom-to-Inpaint's Figures 5, 15 and 16: the four ablations side by side, with closeups, and their failures.

Figures 5 and 15 show the first images under small masks, Figure 16 the images with the largest holes under large masks.
No image is chosen by hand. `--count` limits the set. The small setting shows the sample photographs.
"""

from __future__ import annotations

from studies.kit import pictures
from studies.kit.bench import Bench
from studies.kit.scores import Scored
from studies.kit.study import Picture, Result, Study
from studies.zoom import sets

_SHOWN = 4


def run(bench: Bench) -> Result:
    """See the module docstring."""
    data_set, found = sets.scored(bench, sets.ABLATIONS)
    shown = {
        ("figure_15.png", "Figures 5 and 15", "small masks"): found["small"].cases[:_SHOWN],
        ("figure_16.png", "Figure 16", "the largest holes of large masks"): largest_holes(
            found["large"]
        ),
    }
    drawn = [
        Picture(
            file,
            f"As {figure}: {data_set.label}, {what}; below, what is in the box.",
            pictures.closeups(scored, cases),
        )
        for ((file, figure, what), cases), scored in zip(shown.items(), found.values())
    ]
    notes = ["Not chosen by hand: the first pictures, and the largest holes."]
    return Result(pictures=drawn, notes=[*notes, *sets.notes(bench)])


def largest_holes(scored: Scored, count: int = _SHOWN) -> list:
    """The cases with the largest holes, largest first."""
    hole = {score.name: score.hole_fraction for score in scored.scores}
    return sorted(scored.cases, key=lambda case: -hole[case.name])[:count]


STUDY = Study(
    id="zoom_figure_5",
    item="Figures 5, 15 and 16",
    what="visual comparison of the ablations",
    reported="zooming and the gradient loss bring finer detail, and under large masks finer artifacts, too.",
    needs="weights of four networks, DIV2K; minutes on a GPU",
    minutes=0.5,
    run=run,
    arms=sets.ABLATIONS,
    flags="--div2k_dir=DIV2K",
)
