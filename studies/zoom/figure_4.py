"""Z Figures 1, 4 and 14: Zoom-to-Inpaint beside other methods, as pictures with closeups.

    python studies/run.py --study=zoom_figure_4 --size=paper --div2k_dir=DIV2K \\
        --weights=sr_zoom_gradient=FILE,hifill=FILE --predictions=deepfill_v2,edgeconnect,pluralistic

The paper: on chosen pictures HiFill and Pluralistic are blurred, DeepFill-v2 and EdgeConnect leave artifacts of colour,
Zoom-to-Inpaint continues edges and fine texture. It needs what Table 2 needs. Here nothing is chosen: the first four
pictures under large masks, then the first four under small ones (the layout of Figure 14), each with a closeup of where
most of the hole is (Figures 1 and 4). `--count` shows more or fewer.
"""

from __future__ import annotations

from studies.kit.bench import Bench
from studies.kit.study import Picture, Result, Study
from studies.zoom import arms, closeups
from studies.zoom.table_2 import HIFILL, OURS, scored

_SHOWN = 4  # of each kind of masks, as in Figure 14


def run(bench: Bench) -> Result:
    """See the module docstring."""
    found = []
    for photographs in bench.data_sets("div2k", "places2"):
        some = photographs._replace(paths=photographs.paths[: bench.count or _SHOWN])
        sets = {masks: scored(bench, some, masks) for masks in ("large", "small")}
        for masks, results in sets.items():
            caption = (
                f"{some.label}, {masks} masks; below each picture what is in the box, enlarged."
            )
            drawn = closeups.grid([(results, range(len(results.cases)))])
            found.append(Picture(f"{some.name}_{masks}.png", caption, drawn))
    notes = ["The first pictures of the set, not chosen ones.", *arms.notes(bench)]
    return Result(pictures=found, notes=notes)


STUDY = Study(
    id="zoom_figure_4",
    paper="Zoom-to-Inpaint",
    item="Figures 1, 4 and 14",
    what="visual comparison with other methods",
    reported="HiFill and Pluralistic are blurred and DeepFill-v2 and EdgeConnect leave colour artifacts where "
    "Zoom-to-Inpaint continues edges and fine texture.",
    needs="weights of sr_zoom_gradient (and hifill), DIV2K or Places2, other methods' PNGs; a minute on a GPU",
    command="python studies/run.py --study=zoom_figure_4 --size=paper --div2k_dir=DIV2K "
    f"{arms.weights_flag((OURS, HIFILL))} --predictions=METHOD,METHOD",
    minutes=1,
    run=run,
)
