"""HiFill's Figure 3: operators for down- and up-sampling around the generator.

The paper shows pictures of an HD data set and adopts averaging and bilinear. This study scores and shows all twelve
pairs of four down- and three up-sampling operators, on images of four times the generator's side (2048). The two
up-samplings, of the completion and of the low-resolution image, always use the same operator, as the paper demands. The
small setting uses 512x512 sample photographs and a small network of 128.
"""

from __future__ import annotations

import functools

import numpy as np

from common.images import grid
from studies.hifill import sets
from studies.kit import pictures
from studies.kit.bench import Bench
from studies.kit.study import Picture, Result, Study

MULTIPLE = 4
_DETAIL = 160


def run(bench: Bench) -> Result:
    """See the module docstring."""
    from hifill.patches import UP
    from hifill.residual_aggregation import DOWN

    model = bench.model(sets.ARM)
    (squares,) = sets.squares(bench, model.config.size, (MULTIPLE,), sets.LARGE)
    scored = squares.scored({label(d, u): painter(model, d, u) for d in DOWN for u in UP})
    means = scored.means()
    table = squares.table(
        means,
        ("psnr", "ssim", "l1_levels", "ms_ssim", "seconds"),
        scored,
        f"Generator of {squares.base}x{squares.base}. The adopted pair is averaging down and bilinear up.",
        first="Down, up",
    )
    caption = f"A detail: down-sampling by row ({', '.join(DOWN)}), up-sampling by column."
    picture = Picture("operators.png", caption, matrix(scored, DOWN, UP))
    return Result([table], [picture], squares.notes(), means)


def label(down: str, up: str) -> str:
    """A pair's name in tables and folders."""
    return f"{down}, {up}"


def painter(model, down: str, up: str):
    """`HiFill.inpaint` with other operators."""
    from hifill import photograph

    return functools.partial(photograph.inpaint, model.fill, model.config, down=down, up=up)


def matrix(scored, downs, ups) -> np.ndarray:
    """The first picture's detail under every pair; the last column is the truth."""
    ((_, *results, truth),) = pictures.detail_rows(scored, 1, _DETAIL)
    by_pair = dict(zip(scored.folders, results))
    rows = [[*(by_pair[label(down, up)] for up in ups), truth] for down in downs]
    return grid.grid(rows, [*ups, "truth"], cell=_DETAIL)


STUDY = Study(
    id="hifill_figure_3",
    item="Figure 3",
    what="operators for down- and up-sampling",
    reported="averaging is the best way down; bilinear and bicubic are equally good ways up (pictures, no numbers).",
    needs="weights of hifill, photographs of 2048 pixels; minutes",
    minutes=1,
    run=run,
    arms=(sets.ARM,),
    flags="--dataset=folder --data_dir=HD",
)
