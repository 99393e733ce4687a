"""H Figure 6: residual aggregation against other ways to enlarge the same 512x512 completion.

    python studies/run.py --study=hifill_figure_6 --size=paper --dataset=folder --data_dir=HD \\
        --weights=hifill=FILE,scale_4=FILE --predictions=SRGAN

The paper, in pictures: what residual aggregation fills in is sharper and fits its surroundings better than the
completion enlarged by nearest neighbour, bicubically, or by SRGAN (4x, trained on DIV2K). Here the learned method is
Zoom-to-Inpaint's super-resolution network for x4, trained on DIV2K too; another one takes part as a folder of PNGs. All
enlarge one completion, which is pasted into the hole of the same picture. It needs both trained networks and
photographs of 2048 pixels; minutes. The small setting is 512 on the samples with small networks, whose SR network is
little more than bicubic.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from common.images import convert
from common.scoring.tables import POOLED_NOTE
from studies.hifill import crops, sets
from studies.kit.bench import Bench
from studies.kit.score_tables import cell, columns
from studies.kit.study import Picture, Result, Study, Table

MULTIPLE = 4
SR_ARM = "scale_4"
OURS = "Residual aggregation"


def run(bench: Bench) -> Result:
    """See the module docstring."""
    model = bench.model(sets.ARM)
    (side,) = sets.sides(bench, model.config.size, (MULTIPLE,))
    found = sets.photographs(bench, ("div2k", "places2"))
    network = bench.model(SR_ARM).super_resolution
    methods = {
        "Nearest": enlarged(model, "nearest"),
        "Bicubic": enlarged(model, "bicubic"),
        "SR network x4": functools.partial(super_resolved, model, network),
        **sets.others(bench, found, side),
        OURS: model.inpaint,
    }
    scored = sets.scored(bench, found, methods, side, model.config.size)
    means = sets.means(scored.scores)
    for method, gradient in sharpness(scored).items():
        means.setdefault(method, {})["gradient"] = gradient
    shown = [
        *columns("zoom_to_inpaint", ("psnr", "ssim")),
        *columns("hifill", ("l1_levels", "ms_ssim", "seconds")),
    ]
    rows = [
        [
            name,
            *(cell(means[name].get(c.name), c.decimals) for c in shown),
            cell(means[name]["gradient"], 2),
        ]
        for name in (*methods, "truth")
    ]
    title = f"{found.label}, {side}x{side}, completion {model.config.size}x{model.config.size}"
    note = (
        f"Whole pictures; mean over {len(scored.cases)} images. {POOLED_NOTE} "
        "Gradient: mean absolute difference of neighbours "
        "inside the hole in levels, which is small where a fill is blurred; the truth's shows how much there should be."
    )
    head = ["Enlarged by", *(c.title for c in shown), "Gradient"]
    picture = Picture("details.png", "Details, one pixel to a pixel.", crops.grid(scored))
    notes = [*sets.notes(bench), sets.predictions_note(bench)]
    return Result([Table(title, head, rows, note)], [picture], notes, means)


def enlarged(model, up: str):
    """A painter: the completion enlarged by an operator of `hifill.patches.UP`, without residuals."""
    from hifill import photograph

    def generate(image, mask):
        coarse, refined, attention = model.generate(image, mask)
        return coarse, refined, np.zeros(tuple(attention.shape), np.float32)

    return functools.partial(photograph.inpaint, generate, model.config, up=up)


def super_resolved(model, network, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The completion of a square picture enlarged by a network [1, S, S, 3] -> [1, sS, sS, 3], then bicubically."""
    from common.models.window import cells_touching
    from hifill.residual_aggregation import average_down

    size, hole = model.config.size, mask > 0
    low, touched = average_down(image, size, hole) / convert.WHITE, cells_touching(hole, size)
    refined = model.generate(low[None], touched[None, ..., None].astype(np.float32))[1]
    completed = np.where(touched[..., None], np.asarray(refined)[0], low)
    large = np.asarray(network(completed[None].astype(np.float32)))[0]
    if large.shape != image.shape:
        large = cv2.resize(large, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.where(hole[..., None], convert.to_uint8(large), image)


def sharpness(scored) -> dict[str, float]:
    """{method, and "truth": mean absolute difference between neighbours of which both are hole, in levels}."""
    from common.filling import photographs
    from common.scoring import protocol

    totals = {name: [] for name in (*scored.folders, "truth")}
    for case in scored.cases:
        hole = photographs.read_mask(case.mask) > 0
        paths = {n: protocol.prediction(f, case.name) for n, f in scored.folders.items()}
        for name, path in {**paths, "truth": case.image}.items():
            totals[name].append(_gradient(convert.read_rgb(path), hole))
    return {name: float(np.mean(values)) for name, values in totals.items()}


def _gradient(image, hole):
    levels, found = image.astype(np.int16), []
    for axis in (0, 1):
        first, second = (np.delete(hole, end, axis) for end in (-1, 0))
        found.append(np.abs(np.diff(levels, axis=axis))[first & second].ravel())
    values = np.concatenate(found)
    return values.mean() if values.size else 0.0


STUDY = Study(
    id="hifill_figure_6",
    paper="HiFill",
    item="Figure 6",
    what="residual aggregation against nearest, bicubic and learned enlargement",
    reported="what residual aggregation fills in is sharper and fits its surroundings better (pictures, no numbers).",
    needs="weights of hifill and scale_4, photographs of 2048 pixels, other methods' PNGs; minutes",
    command="python studies/run.py --study=hifill_figure_6 --size=paper --dataset=folder --data_dir=HD "
    "--weights=hifill=FILE,scale_4=FILE --predictions=SRGAN",
    minutes=1,
    run=run,
)
