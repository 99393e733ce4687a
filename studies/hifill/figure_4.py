"""H Figure 4: six configurations of gates in the coarse and the refinement network.

    python studies/run.py --study=hifill_figure_4 --size=paper --dataset=folder --data_dir=CELEBA_HQ \\
        --weights=gates_gc_gc=FILE,gates_ds_ds=FILE,gates_pw_pw=FILE,gates_sc_ds=FILE,gates_sc_pw=FILE,gates_sc_sc=FILE

The paper, in pictures of CelebA-HQ: single-channel gates in both networks bring visible artifacts, the other five
configurations look alike; single-channel and pixelwise was adopted, as it needs fewer parameters than those. Its text
names single-channel with depth-separable, pixelwise and single-channel gates; which the other three of its six are is
this package's reading. It needs six trained networks (configs/hifill/gates_*.cfg and celeba_hq.cfg) and held-out
pictures. Parameters and times are of the paper's width at 512x512 with random weights, which change neither, in both
settings. The small setting trains six small networks, about a minute each, and scores them on the samples.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from common.scoring.tables import POOLED_NOTE
from studies.hifill import crops, sets
from studies.kit import networks, timing
from studies.kit.bench import Bench
from studies.kit.score_tables import cell, columns
from studies.kit.study import Picture, Result, Study, Table

ADOPTED = networks.ADOPTED_GATES
ARMS = ("gates_gc_gc", "gates_ds_ds", "gates_pw_pw", "gates_sc_ds", ADOPTED, "gates_sc_sc")
GATES = {
    "gates_gc_gc": ("gc", "gc"),
    "gates_ds_ds": ("ds", "ds"),
    "gates_pw_pw": ("pw", "pw"),
    "gates_sc_ds": ("sc", "ds"),
    ADOPTED: ("sc", "pw"),
    "gates_sc_sc": ("sc", "sc"),
}
TIMED_IMAGES = {"small": 3, "paper": 100}


def run(bench: Bench) -> Result:
    """See the module docstring."""
    models = {arm: bench.model(arm) for arm in ARMS}
    base = models[ADOPTED].config.size
    (side,) = sets.sides(bench, base, (1,))
    found = sets.photographs(bench, ())
    labels = {arm: label(arm) for arm in ARMS}
    methods = {labels[arm]: model.inpaint for arm, model in models.items()}
    scored = sets.scored(bench, found, methods, side, base)
    means = sets.means(scored.scores)
    shown = [
        *columns("hifill", ("l1_levels", "ms_ssim")),
        *columns("zoom_to_inpaint", ("psnr", "ssim")),
    ]
    rows = [[name, *(cell(x.get(c.name), c.decimals) for c in shown)] for name, x in means.items()]
    quality = Table(
        f"{found.label}, {side}x{side}, {models[ADOPTED].config.channels} channels",
        ["Coarse + refinement", *(c.title for c in shown)],
        rows,
        f"Mean over {len(scored.cases)} images; the paper shows pictures only. {POOLED_NOTE}",
    )
    costs = {labels[arm]: cost(*GATES[arm], bench.size) for arm in ARMS}
    timed = timing.table(
        "Parameters and time of the generator, the paper's width, one 512x512 picture",
        [timing.row(name, parameters, taken) for name, (parameters, taken) in costs.items()],
    )
    picture = Picture(
        "gates.png", "The same holes filled by each configuration.", crops.grid(scored)
    )
    values = {
        name: {**means[name], "parameters": costs[name][0], **costs[name][1]._asdict()}
        for name in means
    }
    return Result([quality, timed], [picture], sets.notes(bench), values)


def label(arm: str) -> str:
    """As the paper writes a configuration."""
    names = [gate.upper() if gate == "gc" else f"LWGC{gate}" for gate in GATES[arm]]
    return "+".join(names)


def cost(coarse: str, refinement: str, size: str) -> tuple[int, timing.Timing]:
    """Trainable parameters, and times of the generator alone, for a pair of gates."""
    import hifill

    gates = {"coarse_gate": coarse, "refinement_gate": refinement}
    model = hifill.HiFill(dataclasses.replace(full_size(), **gates))
    side = model.config.size
    image = np.random.default_rng(0).random((1, side, side, 3), dtype=np.float32)
    mask = np.zeros((1, side, side, 1), np.float32)
    mask[:, side // 4 : side // 2, side // 4 : side // 2] = 1

    def generate(image, mask):
        return np.asarray(model.generate(image, mask)[1])

    parameters = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    taken = timing.measure(generate, [(image, mask)], TIMED_IMAGES[size], generate)
    return parameters, taken


def full_size():
    """The configuration whose parameters and time are given."""
    import hifill

    return hifill.PAPER


STUDY = Study(
    id="hifill_figure_4",
    paper="HiFill",
    item="Figure 4",
    what="six configurations of gates: quality, parameters, time",
    reported="single-channel gates in both networks bring visible artifacts, the other five configurations look alike; "
    "single-channel and pixelwise has the fewest parameters of those.",
    needs="weights of six networks, CelebA-HQ; minutes",
    command="python studies/run.py --study=hifill_figure_4 --size=paper --dataset=folder --data_dir=CELEBA_HQ "
    f"--weights={','.join(f'{arm}=FILE' for arm in ARMS)}",
    minutes=2,
    run=run,
)
