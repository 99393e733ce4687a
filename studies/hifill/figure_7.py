"""HiFill's Figure 7: HiFill against methods without learning: Telea, Navier-Stokes, a membrane, PatchMatch.

The paper compares with programs of the PatchMatch family (Photoshop, Inpaint, an open implementation), in pictures. Its
masks for Photoshop and Inpaint were drawn by hand and may differ; here every method has the same holes. PatchMatch is
the optional library patchmatch-cython, about ten seconds per image at 512; without it, a note replaces its row. Folders
of PNGs add the commercial programs. The small setting uses sample photographs at 128.
"""

from __future__ import annotations

import functools

from common.scoring import baselines, patchmatch
from studies.hifill import sets
from studies.kit import pictures
from studies.kit.bench import Bench
from studies.kit.study import Picture, Result, Study

LABELS = {"telea": "Telea", "ns": "Navier-Stokes", "harmonic": "Membrane"}
_LEFT_OUT = (
    f"PatchMatch was left out: the library {patchmatch.LIBRARY} is not installed (pip install {patchmatch.LIBRARY}; "
    "Python 3.10 or later)."
)


def run(bench: Bench) -> Result:
    """See the module docstring."""
    model = bench.model(sets.ARM)
    (squares,) = sets.squares(bench, model.config.size, wanted=("places2", "div2k"))
    methods = {label: functools.partial(baselines.inpaint, name) for name, label in LABELS.items()}
    notes = [] if patchmatch.available() else [_LEFT_OUT]
    if not notes:
        methods["PatchMatch"] = patchmatch.inpaint
    scored = squares.scored({**methods, **squares.others(), sets.OURS: model.inpaint})
    means, keys = scored.means(), ("l1_levels", "ms_ssim", "psnr", "ssim", "seconds")
    table = squares.table(means, keys, scored, "Whole pictures. The paper shows pictures only.")
    picture = Picture("traditional.png", "Irregular holes.", pictures.details(scored))
    return Result([table], [picture], [*notes, *squares.notes(others=True)], means)


STUDY = Study(
    id="hifill_figure_7",
    item="Figure 7",
    what="against Telea, Navier-Stokes, a membrane and PatchMatch",
    reported="PatchMatch's family gives clear textures but distorted structures (pictures, no numbers).",
    needs="weights of hifill, photographs, other programs' PNGs; minutes",
    minutes=1,
    run=run,
    arms=(sets.ARM,),
    flags="--dataset=folder --data_dir=HD --predictions=PHOTOSHOP,INPAINT",
)
