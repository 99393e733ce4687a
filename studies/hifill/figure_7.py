"""H Figure 7: HiFill against methods that learn nothing: Telea, Navier-Stokes, a membrane, PatchMatch.

    python studies/run.py --study=hifill_figure_7 --size=paper --dataset=folder --data_dir=HD --weights=hifill=FILE \\
        --predictions=PHOTOSHOP,INPAINT

The paper, in pictures: programs of the PatchMatch family (Photoshop, Inpaint, an open implementation) give clear
textures but distorted structures. Its masks for Photoshop and Inpaint were drawn by hand and may differ; here every
method has the same holes, which is not quite the paper's protocol, and PatchMatch is that of the library
patchmatch-cython, which is optional: without it the study says so and goes on. The commercial programs take part as
folders of PNGs. It needs the trained network and some photographs; PatchMatch takes about ten seconds a picture at 512.
The small setting is 128 on the samples.
"""

from __future__ import annotations

import functools

from common.scoring import baselines, patchmatch
from common.scoring.tables import POOLED_NOTE
from studies.hifill import crops, sets
from studies.kit.bench import Bench
from studies.kit.score_tables import cell, columns
from studies.kit.study import Picture, Result, Study, Table

OURS = "HiFill"
LABELS = {"telea": "Telea", "ns": "Navier-Stokes", "harmonic": "Membrane"}


def run(bench: Bench) -> Result:
    """See the module docstring."""
    model = bench.model(sets.ARM)
    (side,) = sets.sides(bench, model.config.size, (1,))
    found = sets.photographs(bench, ("places2", "div2k"))
    methods = {label: functools.partial(baselines.inpaint, name) for name, label in LABELS.items()}
    notes = sets.notes(bench)
    if patchmatch.available():
        methods["PatchMatch"] = patchmatch.inpaint
    else:
        notes.append(
            f"PatchMatch was left out: the library {patchmatch.LIBRARY} is not installed (pip install "
            f"{patchmatch.LIBRARY}; Python 3.10 or later)."
        )
    methods = {**methods, **sets.others(bench, found, side), OURS: model.inpaint}
    scored = sets.scored(bench, found, methods, side, model.config.size)
    means = sets.means(scored.scores)
    shown = [
        *columns("hifill", ("l1_levels", "ms_ssim")),
        *columns("zoom_to_inpaint", ("psnr", "ssim", "seconds")),
    ]
    rows = [[name, *(cell(x.get(c.name), c.decimals) for c in shown)] for name, x in means.items()]
    note = (
        f"Whole pictures; mean over {len(scored.cases)} images. The paper shows pictures only. "
        f"{POOLED_NOTE}"
    )
    table = Table(
        f"{found.label}, {side}x{side}", ["Method", *(c.title for c in shown)], rows, note
    )
    picture = Picture("traditional.png", "Irregular holes.", crops.grid(scored))
    return Result([table], [picture], [*notes, sets.predictions_note(bench)], means)


STUDY = Study(
    id="hifill_figure_7",
    paper="HiFill",
    item="Figure 7",
    what="against Telea, Navier-Stokes, a membrane and PatchMatch",
    reported="PatchMatch's family gives clear textures but distorted structures (pictures, no numbers).",
    needs="weights of hifill, photographs, other programs' PNGs; minutes",
    command="python studies/run.py --study=hifill_figure_7 --size=paper --dataset=folder --data_dir=HD "
    "--weights=hifill=FILE --predictions=PHOTOSHOP,INPAINT",
    minutes=1,
    run=run,
)
