"""H Table 2: L1, MS-SSIM, FID, IS, time and peak memory from 512x512 to 4096x4096, and 8192x8192.

    python studies/run.py --study=hifill_table_2 --size=paper --places2_dir=PLACES2 --weights=hifill=FILE \\
        --inception_graph=classify_image_graph_def.pb --predictions=METHOD,METHOD

The paper: L1 5.439 (in levels of 255, see `hifill.reported`), MS-SSIM 0.8840, FID 4.898, IS 17.72 and 25 ms at 512,
nearly the same scores up to 4096 (87.3 ms on a GTX 1080 Ti), where other methods deteriorate or run out of memory. It
needs the trained network, the 36,500 pictures of Places2's validation set and the published Inception graph; a day on a
GPU, most of it scoring at 2048 and 4096 (`--count` takes the first ones; FID needs 2,049 at least). 8192 is not in the
paper; its first 20 pictures.
How sets are made and scaled: `studies.hifill.sets`. The small setting goes from 128 to 2048 on three photographs, with
a small network, so the paper's 512 stands for 128 there; three pictures have no FID and no IS.
"""

from __future__ import annotations

import statistics

import numpy as np

from common.filling import photographs
from common.images import convert
from common.scoring import protocol
from common.scoring.sets import MISSING, SetScores
from common.scoring.tables import POOLED_NOTE
from studies.hifill import sets as hifill_sets
from studies.kit import memory
from studies.kit.bench import Bench, reported
from studies.kit.score_tables import cell, columns
from studies.kit.study import REPORTED, Picture, Result, Study, Table

OURS = "HiFill"
# The paper's four, and "8K".
MULTIPLES = (*hifill_sets.MULTIPLES, 16)
_LARGEST_COUNT = 20
_PAPER_BASE = 512
# Before those of sets and the costs; the paper has the first two.
SHOWN = columns("hifill", ("l1_levels", "ms_ssim", "psnr"))


def run(bench: Bench) -> Result:
    """See the module docstring."""
    bench.inception()  # a file that cannot be used ends the study before hours of work
    model = bench.model(hifill_sets.ARM)
    base = model.config.size
    found = hifill_sets.photographs(bench)
    gflop = generator_gflop(bench, model, found)
    tables, values, grids, notes = [], {}, [], []
    for side in hifill_sets.sides(bench, base, MULTIPLES):
        of_side = found
        if side >= 16 * base:
            of_side = found._replace(paths=found.paths[:_LARGEST_COUNT])
        table, value, picture, reasons = one_side(bench, model, of_side, side, gflop)
        tables.append(table)
        values[str(side)] = value
        grids.append(picture)
        notes += reasons
    notes = [*hifill_sets.notes(bench), *dict.fromkeys(notes), hifill_sets.predictions_note(bench)]
    if bench.inception() is None:
        notes.append(MISSING)
    return Result(tables, grids, notes, values)


def one_side(bench: Bench, model, found, side: int, gflop: float):
    """(table, {method: numbers}, picture, reasons for empty cells) of one size."""
    base = model.config.size
    methods = {**hifill_sets.others(bench, found, side), OURS: model.inpaint}
    sets, scores, first = SetScores(bench.inception()), [], None
    for chunk in hifill_sets.scored_in_chunks(bench, found, methods, side, base):
        sets.add(chunk.cases, chunk.folders)
        scores += chunk.scores
        first = first or grid(chunk, side)
    means, reasons = hifill_sets.means(scores), []
    rows = []
    for method, value in means.items():
        of_set, missing = sets.of(method)
        value.update(of_set)
        reasons += missing
        if method == OURS:
            seconds = [x.metrics["seconds"] for x in scores if x.method == OURS]
            _, image, mask = next(hifill_sets.pairs(bench, found, side, base))
            value.update(cost(image, mask, model, gflop, seconds))
        rows.append(row(method, value, sets.cells(of_set)))
    rows += paper_rows(round(_PAPER_BASE * side / base))
    titles = [column.title for column in SHOWN]
    head = ["Method", "n", *titles, *sets.columns(), *COST_COLUMNS]
    stands = f" (the paper's {_PAPER_BASE * side // base})" if base != _PAPER_BASE else ""
    table = Table(f"{found.label}, {side}x{side}{stands}", head, rows, f"{POOLED_NOTE} {COST_NOTE}")
    return table, means, first, reasons


COST_COLUMNS = ("Mean (ms)", "Std", "Median (ms)", "Memory (GB)", "GFLOP", "of R")
COST_NOTE = (
    "Time: the whole pipeline from 8-bit picture to 8-bit picture, file I/O excluded, one warm-up, one measurement per "
    "image. Memory: what one image needs beyond the network. GFLOP: the generator's convolutions and matrix products; "
    "'of R': GFLOP / median time / what plain convolutions reach on this device."
)


def generator_gflop(bench: Bench, model, found) -> float:
    """What the generator computes for the first picture; the same at every side, as it works on its own."""
    from benchmarks import flops

    size = model.config.size
    _, image, mask = next(hifill_sets.pairs(bench, found, size, size))
    batch = convert.to_unit(image)[None], mask[None, ..., None].astype(np.float32)
    return flops.count(lambda: model.generate(*batch)) / 1e9


def cost(image: np.ndarray, mask: np.ndarray, model, gflop: float, seconds: list[float]) -> dict:
    """Spread of the times of one side, memory of one picture, and the part of the device's rate."""
    from benchmarks import machine

    rate, median = machine.best_rate(), statistics.median(seconds)
    return {
        "median": median,
        "std": statistics.stdev(seconds) if len(seconds) > 1 else float("nan"),
        "memory": memory.peak(lambda: model.inpaint(image, mask)),
        "gflop": gflop,
        "rate": rate,
        "of_rate": gflop / median / rate,
    }


def row(method: str, value: dict, of_set: list[str]) -> list[str]:
    """One method's row; what was not measured is a dash."""
    milliseconds = [1000 * value[k] if k in value else None for k in ("seconds", "std", "median")]
    return [
        *(method, str(value["n"])),
        *(cell(value.get(c.name), c.decimals) for c in SHOWN),
        *of_set,
        *("-" if x is None or x != x else f"{x:.1f}" for x in milliseconds),
        memory.cell(value["memory"]) if "memory" in value else "-",
        cell(value.get("gflop"), 2),
        f"{value['of_rate']:.0%}" if "of_rate" in value else "-",
    ]


def paper_rows(side: int) -> list[list[str]]:
    """Table 2's rows of a side; none if it has no such column."""
    printed = reported("hifill")
    return [
        [
            *(f"{REPORTED}{method}", str(printed.IMAGES)),
            *(
                _digits(x.l1_levels),
                f"{x.ms_ssim:.4f}",
                *["-"] * (len(SHOWN) - 2),
                _digits(x.fid),
                f"{x.inception_score:.2f}",
            ),
            *(f"{x.milliseconds:g}", "-", "-", "-", "-", "-"),
        ]
        for method, x in printed.TABLE_2.get(side, {}).items()
    ]


def _digits(value: float) -> str:
    """Four of them, as the paper prints L1 and FID."""
    return f"{value:#.4g}"


def grid(chunk, side: int) -> Picture:
    """The first pictures of a set: hole, every method, truth."""
    from common.images import grid as pictures

    rows = []
    for case in chunk.cases[:3]:
        truth, mask = convert.read_rgb(case.image), photographs.read_mask(case.mask)
        results = [
            convert.read_rgb(protocol.prediction(f, case.name)) for f in chunk.folders.values()
        ]
        rows.append([pictures.paint_hole(truth, mask), *results, truth])
    drawn = pictures.grid(rows, ["input", *chunk.folders, "truth"])
    return Picture(f"{side}.png", f"The first pictures at {side}x{side}.", drawn)


STUDY = Study(
    id="hifill_table_2",
    paper="HiFill",
    item="Table 2",
    what="L1, MS-SSIM, FID, IS, time and memory from 512 to 4096 and 8192",
    reported="L1 5.439 (taken as levels of 255), MS-SSIM 0.8840, FID 4.898, IS 17.72 and 25 ms at 512x512; nearly the "
    "same scores and 87.3 ms at 4096x4096 on a GTX 1080 Ti, where other methods run out of memory.",
    needs="weights of hifill, Places2, the Inception graph, other methods' PNGs; a day on a GPU",
    command="python studies/run.py --study=hifill_table_2 --size=paper --places2_dir=PLACES2 --weights=hifill=FILE "
    "--inception_graph=classify_image_graph_def.pb --predictions=METHOD,METHOD",
    minutes=1,
    run=run,
)
