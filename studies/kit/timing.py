"""Time per image as the papers take it, beside what the device can do.

Photographs and masks are in memory before the clock starts and results after it stops (file I/O is excluded), but they
do cross to the device and back. One call on every kind of input warms up; then every image is one measurement. The
rate R of plain 3x3 convolutions is measured just before and after (`benchmarks.machine`), so that time x R and FLOPs /
(time x R) can be compared between machines and between hours of a shared one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Callable, NamedTuple

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
        """Which part of R the call reached."""
        return None if self.gflop is None else self.gflop / self.median / self.rate


def measure(
    call: Callable, inputs: Sequence[tuple], n: int, count: Callable | None = None
) -> Timing:
    """Times `call(*inputs[i])` for i = 0 .. n - 1, from the first input again after the last.

    Args:
      call: computes one image and returns when it is done.
      inputs: arguments, prepared.
      n: images, at least 1.
      count: what is counted in place of `call(*inputs[0])`; default: nothing is.
    """
    from benchmarks import flops, machine

    call(*inputs[0])
    before = machine.best_rate()
    seconds = []
    for index in range(n):
        arguments = inputs[index % len(inputs)]
        started = time.perf_counter()
        call(*arguments)
        seconds.append(time.perf_counter() - started)
    rate = (before + machine.best_rate()) / 2
    return Timing(
        statistics.fmean(seconds),
        statistics.stdev(seconds) if n > 1 else float("nan"),
        statistics.median(seconds),
        min(seconds),
        n,
        flops.count(lambda: count(*inputs[0])) / 1e9 if count else None,
        rate,
    )


def row(method: str, parameters: int, timing: Timing) -> list[str]:
    """A row of `table`."""
    milliseconds = [1000 * x for x in (timing.mean, timing.std, timing.median, timing.fastest)]
    counted = "-" if timing.gflop is None else f"{timing.gflop:.1f}"
    share = "-" if timing.share is None else f"{timing.share:.0%}"
    return [
        *(method, f"{parameters / 1e6:.2f}M"),
        *("-" if x != x else f"{x:.1f}" for x in milliseconds),
        *(str(timing.n), counted, f"{timing.rate:.0f}", share),
    ]


def table(title: str, rows: list[list[str]]) -> Table:
    """Measured rows and the paper's, `COLUMNS` wide."""
    note = (
        "File I/O excluded, one warm-up call, one measurement per image. GFLOP: convolutions and matrix products of "
        "one image. R: what plain 3x3 convolutions reached on the same device in the same minute; 'of R' is GFLOP / "
        "median time / R."
    )
    return Table(title, list(COLUMNS), rows, note)
