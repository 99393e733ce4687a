"""HiFill's Table 2: L1, MS-SSIM, FID, IS, time and peak memory from 512x512 to 4096x4096, and 8192x8192.

The paper's size uses the 36,500 images of Places2's validation set and the published Inception graph. It takes a day on
a GPU, mostly for scoring at 2048 and 4096; `--count` limits the images (FID needs at least 2,049). The paper's L1 is
taken to be in levels of 255 (`hifill.reported`). 8192, on the first 20 images, is not in the paper. The sets are
described in `studies.hifill.sets`. The small setting uses three photographs at 128 to 2048 and a small network; its 128
stands beside the paper's 512. Three images give no FID and no IS.
"""

from __future__ import annotations

from benchmarks import flops, inputs, machine
from common.scoring.sets import MISSING, SetScores
from common.scoring.tables import POOLED_NOTE
from studies.hifill import sets
from studies.kit import pictures, timing
from studies.kit.bench import Bench
from studies.kit.scores import cell, cells, columns, reported
from studies.kit.study import REPORTED, Picture, Result, Study, Table

# The paper's four sides, and "8K".
MULTIPLES = (*sets.MULTIPLES, 16)
_LARGEST_COUNT = 20
_PAPER_BASE = 512
# Shown before the scores of sets and the costs; the paper prints the first two.
SHOWN = columns("l1_levels", "ms_ssim", "psnr")
COSTS = ("Mean (ms)", "Std", "Median (ms)", "Memory (GB)", "GFLOP", "of R")
COST_NOTE = (
    "Time: the whole pipeline from 8-bit picture to 8-bit picture, file I/O excluded, one warm-up, one measurement per "
    "image. Memory: what one image needs beyond the network. GFLOP: the generator's convolutions and matrix products; "
    "'of R': GFLOP / median time / what plain convolutions reach on this device."
)


def run(bench: Bench) -> Result:
    """See the module docstring."""
    bench.inception()  # an unusable file fails before hours of work
    model = bench.model(sets.ARM)
    base = model.config.size
    every = sets.squares(bench, base, MULTIPLES)
    gflop = generator_gflop(model, every[0])
    tables, values, shown, reasons = [], {}, [], []
    for squares in every:
        data_set = squares.data_set
        if squares.side >= 16 * base:
            data_set = data_set._replace(paths=data_set.paths[:_LARGEST_COUNT])
        squares = sets.Squares(bench, data_set, squares.side, base)
        table, values[str(squares.side)], picture, missing = one_side(squares, model, gflop)
        tables.append(table)
        shown.append(picture)
        reasons += missing
    notes = [*every[0].notes(others=True), *dict.fromkeys(reasons)]
    return Result(tables, shown, [*notes, MISSING] if bench.inception() is None else notes, values)


def one_side(squares: sets.Squares, model, gflop: float):
    """(table, {method: numbers}, picture, reasons for empty cells) of one size."""
    methods = {**squares.others(), sets.OURS: model.inpaint}
    of_sets, scores, picture = SetScores(squares.bench.inception()), [], None
    for chunk in squares.chunks(methods):
        of_sets.add(chunk.cases, chunk.folders)
        scores += chunk.scores
        if picture is None:
            caption = f"The first pictures at {squares.side}x{squares.side}."
            drawn = pictures.whole(chunk, chunk.cases[:3])
            picture = Picture(f"{squares.side}.png", caption, drawn)
    means, rows, reasons = chunk._replace(scores=scores).means(), [], []
    for method, value in means.items():
        of_set, missing = of_sets.of(method)
        value.update(of_set)
        reasons += missing
        if method == sets.OURS:
            seconds = [x.metrics["seconds"] for x in scores if x.method == method]
            value.update(cost(squares, model, gflop, seconds))
        rows.append(row(method, value, of_sets.cells(of_set)))
    stands = squares.side * _PAPER_BASE // squares.base
    rows += paper_rows(stands)
    title = (
        squares.title if squares.base == _PAPER_BASE else f"{squares.title} (the paper's {stands})"
    )
    head = ["Method", "n", *(column.title for column in SHOWN), *of_sets.columns(), *COSTS]
    return Table(title, head, rows, f"{POOLED_NOTE} {COST_NOTE}"), means, picture, reasons


def generator_gflop(model, squares: sets.Squares) -> float:
    """What the generator computes for the first picture; the same at every side, as it works on its own."""
    _, image, mask = next(
        sets.Squares(squares.bench, squares.data_set, squares.base, squares.base).pairs()
    )
    return flops.count(lambda: model.generate(*inputs.batch(image, mask))) / 1e9


def cost(squares: sets.Squares, model, gflop: float, seconds: list[float]) -> dict:
    """Spread of the times of one side, memory of one picture, and the part of the device's rate."""
    taken = timing.of_seconds(seconds, gflop, machine.best_rate())
    _, image, mask = next(squares.pairs())
    return {
        "median": taken.median,
        "std": taken.std,
        "memory": machine.peak_memory(lambda: model.inpaint(image, mask)),
        "gflop": gflop,
        "rate": taken.rate,
        "of_rate": taken.share,
    }


def row(method: str, value: dict, of_set: list[str]) -> list[str]:
    """One method's row; what was not measured is a dash."""
    return [
        *(method, str(value["n"]), *cells(value, SHOWN), *of_set),
        *(timing.milliseconds(value.get(name)) for name in ("seconds", "std", "median")),
        timing.gigabytes(value["memory"]) if "memory" in value else "-",
        cell(value.get("gflop"), 2),
        f"{value['of_rate']:.0%}" if "of_rate" in value else "-",
    ]


def paper_rows(side: int) -> list[list[str]]:
    """Table 2's rows of a side; none if it has no such column. L1 and FID have four digits, as in the paper."""
    printed, blank = reported("hifill"), ["-"] * (len(SHOWN) - 2)
    return [
        [
            *(f"{REPORTED}{method}", str(printed.IMAGES)),
            *(f"{x.l1_levels:#.4g}", f"{x.ms_ssim:.4f}", *blank),
            *(f"{x.fid:#.4g}", f"{x.inception_score:.2f}", f"{x.milliseconds:g}"),
            *["-"] * (len(COSTS) - 1),
        ]
        for method, x in printed.TABLE_2.get(side, {}).items()
    ]


STUDY = Study(
    id="hifill_table_2",
    item="Table 2",
    what="L1, MS-SSIM, FID, IS, time and memory from 512 to 4096 and 8192",
    reported="L1 5.439 (taken as levels of 255), MS-SSIM 0.8840, FID 4.898, IS 17.72 and 25 ms at 512x512; nearly the "
    "same scores and 87.3 ms at 4096x4096 on a GTX 1080 Ti, where other methods run out of memory.",
    needs="weights of hifill, Places2, the Inception graph, other methods' PNGs; a day on a GPU",
    minutes=1,
    run=run,
    arms=(sets.ARM,),
    flags="--places2_dir=PLACES2 --inception_graph=classify_image_graph_def.pb --predictions=METHOD,METHOD",
)
