"""HiFill's Figure 1: objects removed from photographs at their full size, up to 8K.

The paper shows ultra high-resolution results and says that images "as large as 8K with considerable hole sizes" can be
filled. This study fills every photograph at its own size, with the silhouette of an object as its hole, and shows the
whole result and an unscaled detail. It measures time and memory, also for an image of 8192x8192 (the largest photograph
enlarged). The small setting uses the sample photographs and enlarges the largest, 1411x1411, to 2048x2048.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks import machine
from common.images import convert, grid
from common.masks import files as mask_files
from common.scoring import protocol
from studies.hifill import sets
from studies.kit import pictures, timing
from studies.kit.bench import Bench
from studies.kit.study import Picture, Result, Study, Table

LARGEST = {"small": 2048, "paper": 8192}
COUNT = 6
_WHOLE, _DETAIL = 480, 320


def run(bench: Bench) -> Result:
    """See the module docstring."""
    model, source = bench.model(sets.ARM), mask_files.mask_source("object")
    found = sets.photographs(bench, sets.LARGE)
    paths = found.paths[: bench.count or COUNT]
    wholes, details, rows, values = [], [], [], {}
    for index, path in enumerate(paths):
        image = convert.read_rgb(path)
        mask = source(*image.shape[:2], (bench.seed, index))
        case = sets.write(bench.folder / found.name / "own", f"{index:05d}", image, mask)
        filled, values[case.name] = measured(model, image, mask)
        folder = case.image.parents[1] / "predictions" / "hifill"
        convert.write_png(folder / f"{case.name}.png", filled)
        where, holed = pictures.around_hole(mask, _DETAIL), grid.paint_hole(image, mask)
        wholes.append([holed, filled])
        details.append([np.ascontiguousarray(x[where]) for x in (holed, filled, image)])
        rows.append(row(mask, values[case.name]))
    side = LARGEST[bench.size]
    mask = source(side, side, (bench.seed, len(rows)))
    largest = max(map(convert.read_rgb, paths), key=np.size)
    values["enlarged"] = measured(model, protocol.middle_square(largest, side), mask)[1]
    rows.append(row(mask, values["enlarged"]))
    table = Table(
        f"{found.label}: one photograph, in memory before and after",
        ["Pixels", "Megapixels", "Hole (%)", "Seconds", "Memory (GB)"],
        rows,
        f"One warm-up. The last row is the largest photograph, its middle enlarged to {side}x{side}.",
    )
    shown = [
        Picture("whole.png", "Whole photographs.", grid.grid(wholes, ["input", "result"], _WHOLE)),
        Picture(
            "details.png",
            "Details, one pixel to a pixel.",
            grid.grid(details, ["input", "result", "truth"], _DETAIL),
        ),
    ]
    notes = [f"Full-size results are in {bench.folder}.", *sets.small_note(bench)]
    return Result([table], shown, notes, values)


def measured(model, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, dict]:
    """The filled photograph, and time (after a warm-up) and memory."""
    memory = machine.peak_memory(lambda: model.inpaint(image, mask))  # warms up too
    started = time.perf_counter()
    filled = model.inpaint(image, mask)
    return filled, {"seconds": time.perf_counter() - started, "memory": memory}


def row(mask: np.ndarray, value: dict) -> list[str]:
    """A photograph's row."""
    height, width = mask.shape
    return [
        *(f"{width}x{height}", f"{height * width / 1e6:.1f}", f"{100 * np.mean(mask > 0):.1f}"),
        *(f"{value['seconds']:.2f}", timing.gigabytes(value["memory"])),
    ]


STUDY = Study(
    id="hifill_figure_1",
    item="Figure 1",
    what="photographs filled at their full size, up to 8K",
    reported="pictures as large as 8K with considerable holes can be filled (pictures, no numbers).",
    needs="weights of hifill, large photographs of your own; minutes",
    minutes=1,
    run=run,
    arms=(sets.ARM,),
    flags="--dataset=folder --data_dir=PHOTOS",
)
