"""HiFill's Figure 4: six configurations of gates in the coarse and the refinement network.

The paper shows pictures of CelebA-HQ and adopts single-channel and pixelwise gates. Its text names three pairs:
single-channel with depth-separable, pixelwise and single-channel gates. The other three are this package's choice
(docs/departures.md). Both settings measure parameters and time at the paper's width and 512x512, with random weights.
The small setting trains six small networks, about a minute each, and scores them on the sample photographs.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks import inputs
from studies.hifill import sets
from studies.kit import networks, pictures, timing
from studies.kit.bench import Bench
from studies.kit.study import Picture, Result, Study

TIMED_IMAGES = {"small": 3, "paper": 100}


def run(bench: Bench) -> Result:
    """See the module docstring."""
    models = {arm.label: bench.model(name) for name, arm in networks.GATES.items()}
    config = bench.model(networks.ADOPTED_GATES).config
    (squares,) = sets.squares(bench, config.size, wanted=())
    scored = squares.scored({label: model.inpaint for label, model in models.items()})
    means = scored.means()
    quality = squares.table(
        means,
        ("l1_levels", "ms_ssim", "psnr", "ssim"),
        scored,
        f"{config.channels} channels. The paper shows pictures only.",
        first="Coarse + refinement",
    )
    costs = {arm.label: cost(arm.fields, bench.size) for arm in networks.GATES.values()}
    timed = timing.table(
        "Parameters and time of the generator, the paper's width, one 512x512 picture",
        [timing.row(label, *of_arm) for label, of_arm in costs.items()],
    )
    caption = "The same holes filled by each configuration."
    picture = Picture("gates.png", caption, pictures.details(scored))
    values = {
        label: {**means[label], "parameters": parameters, **taken._asdict()}
        for label, (parameters, taken) in costs.items()
    }
    return Result([quality, timed], [picture], squares.notes(), values)


def cost(gates: dict[str, str], size: str) -> tuple[int, timing.Timing]:
    """Trainable parameters, and times of the generator alone, for a pair of gates."""
    import hifill

    model = hifill.HiFill(dataclasses.replace(hifill.PAPER, **gates))
    batch = inputs.batch(*inputs.photograph(model.config.size))

    def generate(image, mask):
        return np.asarray(model.generate(image, mask)[1])

    taken = timing.measure(generate, [batch], TIMED_IMAGES[size], generate)
    return timing.parameters(model), taken


STUDY = Study(
    id="hifill_figure_4",
    item="Figure 4",
    what="six configurations of gates: quality, parameters, time",
    reported="single-channel gates in both networks bring visible artifacts, the other five configurations look alike; "
    "single-channel and pixelwise has the fewest parameters of those.",
    needs="weights of six networks, CelebA-HQ; minutes",
    minutes=2,
    run=run,
    arms=tuple(networks.GATES),
    flags="--dataset=folder --data_dir=CELEBA_HQ",
)
