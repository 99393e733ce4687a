"""Z Table 4: number of parameters and time per image.

    python studies/run.py --study=zoom_table_4 --size=paper --div2k_dir=DIV2K \\
        --weights=sr_zoom_gradient=FILE,hifill=FILE

The paper: 4.5M parameters and 293 ms for Zoom-to-Inpaint, 2.7M and 127 ms for HiFill (60 ms without its pre- and
post-processing), on an NVIDIA Tesla T4; means over 100 center crops of DIV2K under large masks, 256x256 (HiFill:
512x512), file I/O excluded. It needs DIV2K; the networks are the paper's with random weights unless --weights names
some, as weights change no timing; minutes on any GPU. The small setting times the same networks on three photographs.
"""

from __future__ import annotations

import cv2
import numpy as np

from studies.kit import timing
from studies.kit.bench import Bench, reported
from studies.kit.study import REPORTED, Result, Study
from studies.zoom import arms
from studies.zoom.table_2 import HIFILL, OURS
from studies.zoom.table_5 import parameters


def run(bench: Bench) -> Result:
    """See the module docstring."""
    (photographs,) = bench.data_sets(arms.DATA)
    size = arms.SIDE if bench.image_size is None else bench.image_size
    pairs = crops(bench, photographs, size)
    count = len(pairs)
    ours, hifill = model(bench, OURS), model(bench, HIFILL)
    batches = [batch(*pair) for pair in pairs]
    large = [enlarged(*pair, side=hifill.config.size) for pair in pairs]
    large_batches = [batch(*pair) for pair in large]

    def network(image, mask):
        return np.asarray(hifill.generate(image, mask)[1])

    found = {
        "HiFill, without pre- and post-processing": (
            hifill,
            timing.measure(network, large_batches, count, network),
        ),
        "HiFill": (hifill, timing.measure(hifill.inpaint, large, count)),
        "Zoom-to-Inpaint": (
            ours,
            timing.measure(
                lambda *x: np.asarray(ours.generate(*x)[3]), batches, count, ours.generate
            ),
        ),
        "Zoom-to-Inpaint, what the hole needs": (
            ours,
            timing.measure(lambda *x: np.asarray(ours.fill(*x)), batches, count, ours.fill),
        ),
    }
    rows = [timing.row(name, parameters(net), taken) for name, (net, taken) in found.items()]
    rows += paper_rows(reported("zoom_to_inpaint"))
    title = f"Parameters and time per image, {photographs.label}, {size}x{size}, large masks"
    notes = [
        f"HiFill works on {hifill.config.size}x{hifill.config.size}: pictures are enlarged before the clock starts. "
        "With pre- and post-processing it starts from a photograph of 8 bits and ends with one.",
        "'What the hole needs' is inpaint.py's way: the same result without what the final blend would drop.",
        "The paper's times are of an NVIDIA Tesla T4.",
        *(
            []
            if bench.weights
            else ["Networks of the paper's width with random weights, which change no timing."]
        ),
    ]
    values = {name: taken._asdict() for name, (_, taken) in found.items()}
    return Result([timing.table(title, rows)], notes=notes, values=values)


def model(bench: Bench, arm: str):
    """The arm's network with --weights, or as wide as the paper's with random ones."""
    if arm in bench.weights:
        return bench.model(arm)
    import hifill
    import zoom_to_inpaint

    return {HIFILL: hifill.HiFill, OURS: zoom_to_inpaint.ZoomToInpaint}[arm]()


def crops(bench: Bench, photographs, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Center crops uint8 [size, size, 3] and large masks [size, size], as `Bench.scores` makes them."""
    from common.images import convert
    from common.masks import files as mask_files
    from common.scoring import protocol

    source = mask_files.mask_source("large")
    found = []
    for index, path in enumerate(photographs.paths):
        image = protocol.center_crop(convert.read_rgb(path), size)
        found.append((np.ascontiguousarray(image), source(*image.shape[:2], (bench.seed, index))))
    return found


def enlarged(image: np.ndarray, mask: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture and mask at side x side: bicubic and nearest neighbour."""
    return (
        cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC),
        cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST),
    )


def batch(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [H, W, 3], [H, W] -> float32 [1, H, W, 3] in [0, 1], [1, H, W, 1]."""
    from common.images import convert

    return convert.to_unit(image)[None], mask[None, ..., None].astype(np.float32)


def paper_rows(printed) -> list[list[str]]:
    """Table 4's rows, HiFill's as two; an asterisk as there: a number copied from the method's own paper."""
    costs = {name: (cost.parameters, cost.milliseconds) for name, cost in printed.TABLE_4.items()}
    alone = printed.TABLE_4["HiFill [48]"].parameters, printed.HIFILL_NETWORK_MILLISECONDS
    costs = {"HiFill [48], without pre- and post-processing": alone, **costs}
    blank = ["-"] * (len(timing.COLUMNS) - 4)
    return [
        [
            f"{REPORTED}{name}",
            f"{millions:g}M{'*' * any(method in name for method in printed.TABLE_4_COPIED)}",
            f"{milliseconds:g}",
            "-",
            *blank,
        ]
        for name, (millions, milliseconds) in costs.items()
    ]


STUDY = Study(
    id="zoom_table_4",
    paper="Zoom-to-Inpaint",
    item="Table 4",
    what="parameters and time per image",
    reported="4.5M parameters and 293 ms for Zoom-to-Inpaint, 2.7M and 127 ms for HiFill (60 ms without pre- and "
    "post-processing), on an NVIDIA Tesla T4.",
    needs="DIV2K (weights change no timing); minutes",
    command="python studies/run.py --study=zoom_table_4 --size=paper --div2k_dir=DIV2K "
    f"{arms.weights_flag((OURS, HIFILL))}",
    minutes=1,
    run=run,
)
