"""Zoom-to-Inpaint's Figures 1, 4 and 14: the method and others side by side, with closeups.

The study shows the first four images under large masks, then the first four under small masks (the layout of Figure
14), each with a closeup of the square with most of the hole (Figures 1 and 4). No image is chosen by hand. `--count`
sets the number. The small setting shows the sample photographs.
"""

from __future__ import annotations

from studies.kit import pictures
from studies.kit.bench import Bench
from studies.kit.study import Picture, Result, Study
from studies.zoom import sets, table_2

_SHOWN = 4  # of each kind of masks, as in Figure 14


def run(bench: Bench) -> Result:
    """See the module docstring."""
    found = []
    for data_set in bench.data_sets("div2k", "places2"):
        some = data_set._replace(paths=data_set.paths[: bench.count or _SHOWN])
        for masks in ("large", "small"):
            scored = table_2.scored(bench, some, masks)
            caption = f"{some.label}, {masks} masks; below each picture its box, enlarged."
            drawn = pictures.closeups(scored, scored.cases)
            found.append(Picture(f"{some.name}_{masks}.png", caption, drawn))
    notes = ["The first pictures of the set, not chosen ones.", *sets.notes(bench)]
    return Result(pictures=found, notes=notes)


STUDY = Study(
    id="zoom_figure_4",
    item="Figures 1, 4 and 14",
    what="visual comparison with other methods",
    reported="HiFill and Pluralistic are blurred and DeepFill-v2 and EdgeConnect leave colour artifacts where "
    "Zoom-to-Inpaint continues edges and fine texture.",
    needs="weights of sr_zoom_gradient (and hifill), DIV2K or Places2, other methods' PNGs; a minute on a GPU",
    minutes=1,
    run=run,
    arms=table_2.ARMS,
    flags="--div2k_dir=DIV2K --predictions=METHOD,METHOD",
)
