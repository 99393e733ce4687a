"""H Figure 1: objects removed from photographs of their full size, up to 8K.

    python studies/run.py --study=hifill_figure_1 --size=paper --dataset=folder --data_dir=PHOTOS --weights=hifill=FILE

The paper shows ultra high-resolution results and says that pictures "as large as 8K with considerable hole sizes" can
be filled. Here every photograph is filled at its own size, with the silhouette of an object as its hole, shown whole
and in a detail of one pixel to a pixel; time and memory are given, and once more for a picture of 8192x8192 (the
largest photograph enlarged). It needs the trained network and photographs of your own; minutes. The small setting
takes the samples, the largest of which is 1411x1411, and enlarges it to 2048x2048.
"""

from __future__ import annotations

import time

import numpy as np

from common.images import convert, grid
from common.masks import files as mask_files
from studies.hifill import crops, sets
from studies.kit import memory
from studies.kit.bench import Bench
from studies.kit.study import Picture, Result, Study, Table

LARGEST = {"small": 2048, "paper": 8192}
COUNT = 6
_WHOLE, _DETAIL = 480, 320


def run(bench: Bench) -> Result:
    """See the module docstring."""
    model = bench.model(sets.ARM)
    found = sets.photographs(bench, ("div2k", "places2"))
    source = mask_files.mask_source("object")
    wholes, details, rows, values, largest = [], [], [], {}, None
    for index, path in enumerate(found.paths[: bench.count or COUNT]):
        image = convert.read_rgb(path)
        mask = source(*image.shape[:2], (bench.seed, index))
        case = sets.write(bench.folder / found.name / "own", f"{index:05d}", image, mask)
        filled, values[case.name] = measured(model, image, mask)
        folder = case.image.parents[1] / "predictions" / "hifill"
        convert.write_png(folder / f"{case.name}.png", filled)
        where = crops.around_hole(mask, _DETAIL)
        holed = grid.paint_hole(image, mask)
        wholes.append([holed, filled])
        details.append([np.ascontiguousarray(x[where]) for x in (holed, filled, image)])
        rows.append(row(mask, values[case.name]))
        largest = image if largest is None or image.size > largest.size else largest
    side = LARGEST[bench.size]
    mask = source(side, side, (bench.seed, len(rows)))
    values["enlarged"] = measured(model, sets.square(largest, side), mask)[1]
    rows.append(row(mask, values["enlarged"]))
    title = f"{found.label}: one photograph, in memory before and after"
    columns = ["Pixels", "Megapixels", "Hole (%)", "Seconds", "Memory (GB)"]
    note = f"One warm-up. The last row is the largest photograph, its middle enlarged to {side}x{side}."
    notes = [f"Full-size results lie in {bench.folder}."]
    return Result(
        [Table(title, columns, rows, note)],
        shown(wholes, details),
        [*notes, *([sets.SMALL_NOTE] if bench.small else [])],
        values,
    )


def shown(wholes: list, details: list) -> list[Picture]:
    """Rows of whole photographs and of details as two pictures."""
    whole = grid.grid(wholes, ["input", "result"], cell=_WHOLE)
    detail = grid.grid(details, ["input", "result", "truth"], cell=_DETAIL)
    return [
        Picture("whole.png", "Whole photographs.", whole),
        Picture("details.png", "Details, one pixel to a pixel.", detail),
    ]


def measured(model, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, dict]:
    """The filled photograph, and its time after a warm-up and memory."""
    taken = memory.peak(lambda: model.inpaint(image, mask))  # warms up too
    started = time.perf_counter()
    filled = model.inpaint(image, mask)
    return filled, {"seconds": time.perf_counter() - started, "memory": taken}


def row(mask: np.ndarray, value: dict) -> list[str]:
    """A photograph's row."""
    height, width = mask.shape
    return [
        f"{width}x{height}",
        f"{height * width / 1e6:.1f}",
        f"{100 * np.mean(mask > 0):.1f}",
        f"{value['seconds']:.2f}",
        memory.cell(value["memory"]),
    ]


STUDY = Study(
    id="hifill_figure_1",
    paper="HiFill",
    item="Figure 1",
    what="photographs filled at their full size, up to 8K",
    reported="pictures as large as 8K with considerable holes can be filled (pictures, no numbers).",
    needs="weights of hifill, large photographs of your own; minutes",
    command="python studies/run.py --study=hifill_figure_1 --size=paper --dataset=folder --data_dir=PHOTOS "
    "--weights=hifill=FILE",
    minutes=1,
    run=run,
)
