"""H Figure 3: operators for down- and up-sampling around the generator.

    python studies/run.py --study=hifill_figure_3 --size=paper --dataset=folder --data_dir=HD --weights=hifill=FILE

The paper, in pictures of an HD data set: averaging is the best way down, bilinear and bicubic equally good ways up, so
averaging and bilinear were adopted. Here all twelve pairs of four and three, on pictures four times as large as the
generator's side (2048), scored and shown. The two up-samplings, of the completion and of what residuals are taken
from, are always the same, as the paper demands. It needs the trained network and photographs of 2048 pixels; minutes.
The small setting is 512 on the samples, with a small network of 128.
"""

from __future__ import annotations

import functools

import numpy as np

from common.scoring.tables import POOLED_NOTE
from studies.hifill import crops, sets
from studies.kit.bench import Bench
from studies.kit.score_tables import cell, columns
from studies.kit.study import Picture, Result, Study, Table

MULTIPLE = 4
_DETAIL = 160


def run(bench: Bench) -> Result:
    """See the module docstring."""
    from hifill.patches import UP
    from hifill.residual_aggregation import DOWN

    model = bench.model(sets.ARM)
    (side,) = sets.sides(bench, model.config.size, (MULTIPLE,))
    found = sets.photographs(bench, ("div2k", "places2"))
    methods = {label(d, u): painter(model, d, u) for d in DOWN for u in UP}
    scored = sets.scored(bench, found, methods, side, model.config.size)
    means = sets.means(scored.scores)
    title = f"{found.label}, {side}x{side}, generator {model.config.size}x{model.config.size}"
    shown = [
        *columns("zoom_to_inpaint", ("psnr", "ssim")),
        *columns("hifill", ("l1_levels", "ms_ssim", "seconds")),
    ]
    rows = [[name, *(cell(x.get(c.name), c.decimals) for c in shown)] for name, x in means.items()]
    note = (
        f"Whole pictures; mean over {len(scored.cases)} images. The adopted pair is averaging down and bilinear up. "
        f"{POOLED_NOTE}"
    )
    return Result(
        tables=[Table(title, ["Down, up", *(c.title for c in shown)], rows, note)],
        pictures=[
            Picture(
                "operators.png",
                f"A detail: down-sampling by row ({', '.join(DOWN)}), up-sampling by column.",
                matrix(scored, DOWN, UP),
            )
        ],
        notes=sets.notes(bench),
        values=means,
    )


def label(down: str, up: str) -> str:
    """A pair's name in tables and folders."""
    return f"{down}, {up}"


def painter(model, down: str, up: str):
    """`HiFill.inpaint` with other operators."""
    from hifill import photograph

    pair = {"down": down, "up": up}
    return functools.partial(photograph.inpaint, model.generate, model.config, **pair)


def matrix(scored, downs, ups) -> np.ndarray:
    """The first picture's detail under every pair; the last column is the truth."""
    from common.images import grid

    (first,) = crops.rows(scored, 1, _DETAIL)
    by_pair = dict(zip(scored.folders, first[1:]))
    rows = [[*(by_pair[label(down, up)] for up in ups), first[-1]] for down in downs]
    return grid.grid(rows, [*ups, "truth"], cell=_DETAIL)


STUDY = Study(
    id="hifill_figure_3",
    paper="HiFill",
    item="Figure 3",
    what="operators for down- and up-sampling",
    reported="averaging is the best way down; bilinear and bicubic are equally good ways up (pictures, no numbers).",
    needs="weights of hifill, photographs of 2048 pixels; minutes",
    command="python studies/run.py --study=hifill_figure_3 --size=paper --dataset=folder --data_dir=HD "
    "--weights=hifill=FILE",
    minutes=1,
    run=run,
)
