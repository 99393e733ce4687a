"""Time and memory per image, measured as in the papers, with the device's convolution rate.

File I/O is excluded: images, masks and results are in memory. Copies to and from the device are included. One call
warms up; then every image is one measurement. The rate R of plain 3x3 convolutions is measured just before and after
(`benchmarks.machine`), so that time x R and FLOPs / (time x R) can be compared between machines, and between times on
a shared machine.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from typing import Callable, NamedTuple

from benchmarks import flops, machine
from studies.kit.study import Table

COLUMNS = (
    *("Method", "Parameters", "Mean (ms)", "Std", "Median (ms)", "Min (ms)", "n"),
    *("GFLOP", "R (GFLOP/s)", "of R"),
)


class Timing(NamedTuple):
    """Seconds per image over `n` images, GFLOP of one image (None: not counted) and the rate R in GFLOP/s."""

    mean: float
    std: float
    median: float
    fastest: float
    n: int
    gflop: float | None
    rate: float

    @property
    def share(self) -> float | None:
        """The share of R that the call reached."""
        return None if self.gflop is None else self.gflop / self.median / self.rate


def of_seconds(seconds: Sequence[float], gflop: float | None, rate: float) -> Timing:
    """The timing of one measurement per image."""
    std = statistics.stdev(seconds) if len(seconds) > 1 else float("nan")
    middle = statistics.median(seconds)
    return Timing(statistics.fmean(seconds), std, middle, min(seconds), len(seconds), gflop, rate)


def measure(
    call: Callable, inputs: Sequence[tuple], n: int, count: Callable | None = None
) -> Timing:
    """Times `call(*inputs[i])` for i = 0 .. n - 1, repeating the inputs if needed.

    Args:
      call: computes one image and returns when it is done.
      inputs: prepared arguments.
      n: images, at least 1.
      count: function whose operations are counted on inputs[0]; default: no count.
    """
    call(*inputs[0])
    following = itertools.cycle(inputs)
    seconds, rate = machine.seconds_and_rate(lambda: call(*next(following)), n, warm_up=0)
    gflop = flops.count(lambda: count(*inputs[0])) / 1e9 if count else None
    return of_seconds(seconds, gflop, rate)


def parameters(model) -> int:
    """Trainable weights of a model."""
    return sum(int(variable.shape.num_elements()) for variable in model.trainable_variables)


def milliseconds(seconds: float | None) -> str:
    """A time as a table cell; "-" for None or NaN."""
    return "-" if seconds is None or seconds != seconds else f"{1000 * seconds:.1f}"


def gigabytes(memory: dict[str, float]) -> str:
    """`machine.peak_memory` as a table cell: "0.52", or "0.52 + 1.30 GPU"."""
    device = f" + {memory['device']:.2f} GPU" if "device" in memory else ""
    return f"{memory['host']:.2f}{device}"


def row(method: str, weights: int, timing: Timing) -> list[str]:
    """A row of `table`; `weights`: number of parameters."""
    return [
        *(method, f"{weights / 1e6:.2f}M"),
        *map(milliseconds, (timing.mean, timing.std, timing.median, timing.fastest)),
        *(str(timing.n), "-" if timing.gflop is None else f"{timing.gflop:.1f}"),
        *(f"{timing.rate:.0f}", "-" if timing.share is None else f"{timing.share:.0%}"),
    ]


def table(title: str, rows: list[list[str]]) -> Table:
    """A table of measured rows and the paper's, with the columns `COLUMNS`."""
    note = (
        "File I/O excluded, one warm-up call, one measurement per image. GFLOP: convolutions and matrix products of "
        "one image. R: what plain 3x3 convolutions reached on the same device in the same minute; 'of R' is GFLOP / "
        "median time / R."
    )
    return Table(title, list(COLUMNS), rows, note)
