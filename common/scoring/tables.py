"""Tables of an evaluation: from one score per image to tables like the papers'.

A `Score` is the result of one method on one image with one mask; each image counts once, whatever its size. PSNR is
infinite for a result without error. Mean and deviation leave such images out, with a note below the table; the median
includes them.

A few images with tiny holes (60 dB and more) dominate a mean of decibels. So PSNR has two more columns: the median, and
the pooled PSNR, 10 log10(1 / mean over images of the squared error), where an image without error counts as 0. If all
images have one size, it is the PSNR of all their pixels together.

An infinite value is inf in CSV and the text "inf" in JSON, which has no infinity. An undefined value (the deviation of
fewer than two images) is null in JSON.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Callable, NamedTuple

from common import json_files, markdown, storage
from common.errors import UserError


class Column(NamedTuple):
    """One column of a table: the key in `Score.metrics`, title, decimals, and the field of `Statistic` to show."""

    key: str
    title: str
    decimals: int
    shows: str = "mean"

    @property
    def name(self) -> str:
        """The column's name in `flat` and `Reference`: "psnr" for a mean, otherwise such as "psnr_median"."""
        return self.key if self.shows == "mean" else f"{self.key}_{self.shows}"


# Metrics in decibels: their mean is not that of the errors.
POOLED = ("psnr",)
POOLED_NOTE = (
    "PSNR median: over images. PSNR pooled: of the mean squared error over images, each counting once; with images of "
    "one size, that of all pixels together."
)
_PSNR = (
    Column("psnr", "PSNR ↑", 2),
    Column("psnr", "PSNR median ↑", 2, "median"),
    Column("psnr", "PSNR pooled ↑", 2, "pooled"),
)

# The columns and decimals of Table 2 of each paper (times: Zoom-to-Inpaint Table 4). HiFill's table has no PSNR; it is
# added. FID and the Inception Score are of sets, not images, and have no column here. A column without values is left
# out of a table.
LAYOUTS = {
    "zoom_to_inpaint": (
        *_PSNR,
        Column("ssim", "SSIM ↑", 4),
        Column("ms_ssim", "MS-SSIM ↑", 4),
        Column("l1_fraction", "L1 ↓", 5),
        Column("seconds", "Time (s) ↓", 3),
    ),
    "hifill": (
        Column("l1_levels", "L1 (levels) ↓", 3),
        Column("ms_ssim", "MS-SSIM ↑", 4),
        *_PSNR,
        Column("seconds", "Time (s) ↓", 3),
    ),
}

# Upper edges of the bins, in per cent of the picture; a hole on an edge belongs to the lower bin.
HOLE_AREA_EDGES = (5, 10, 20, 30, 50, 100)
_AREAS = ("all", *(f"{a}-{b} %" for a, b in zip((0, *HOLE_AREA_EDGES), HOLE_AREA_EDGES)))


@dataclasses.dataclass(frozen=True)
class Score:
    """One result.

    Attributes:
      name: the image, unique within method and masks.
      method: e.g. "telea".
      masks: kind of mask, e.g. "small".
      hole_fraction: share of hole pixels, in [0, 1].
      metrics: {name: finite or +infinite value}: those of `common.scoring.metrics`, and others such as "seconds".
    """

    name: str
    method: str
    masks: str
    hole_fraction: float
    metrics: Mapping[str, float]

    def __post_init__(self) -> None:
        if not 0 <= self.hole_fraction <= 1:
            raise ValueError(f"{self.name}: hole_fraction {self.hole_fraction} is outside [0, 1]")
        for key, value in self.metrics.items():
            if math.isnan(value) or value == -math.inf:
                raise ValueError(f"{self.name}: {key} of {self.method} is {value}")


@dataclasses.dataclass(frozen=True)
class Statistic:
    """Mean and sample standard deviation (n - 1) of `n` finite values; `infinite` is the number of infinite values.

    The mean is infinite if all values are. median: of all values. pooled: see the module docstring; NaN but for PSNR.
    """

    mean: float
    std: float
    n: int
    infinite: int
    median: float
    pooled: float = math.nan


@dataclasses.dataclass(frozen=True)
class Summary:
    """One row of a table: `n` images of one method, kind of masks and range of hole areas.

    `hole_area` is "all" or a range such as "5-10 %"; `hole_fraction` is the mean over the images.
    """

    method: str
    masks: str
    hole_area: str
    n: int
    hole_fraction: float
    metrics: Mapping[str, Statistic]


@dataclasses.dataclass(frozen=True)
class Reference:
    """A row that was not measured here, such as a row of a paper's table: means over `n` images, without spread.

    method: the source's name for it; masks, metrics: as in `Score`.
    source: where the values are printed, and their conditions, for a note below the table.
    """

    method: str
    masks: str
    n: int
    metrics: Mapping[str, float]
    source: str


def pooled_psnr(values: Iterable[float]) -> float:
    """The PSNR in dB of the mean squared error of images with these PSNRs; infinite if no image has an error."""
    error = statistics.fmean(10 ** (-value / 10) for value in values)
    return -10 * math.log10(error) if error else math.inf


def _statistic(key: str, values: Sequence[float]) -> Statistic:
    finite = [value for value in values if math.isfinite(value)]
    return Statistic(
        mean=statistics.fmean(finite) if finite else math.inf,
        std=statistics.stdev(finite) if len(finite) > 1 else math.nan,
        n=len(finite),
        infinite=len(values) - len(finite),
        median=statistics.median(values),
        pooled=pooled_psnr(values) if key in POOLED else math.nan,
    )


def _metric_names(scores: Iterable[Score]) -> list[str]:
    return list(dict.fromkeys(key for score in scores for key in score.metrics))


def _summary(hole_area: str, scores: Sequence[Score]) -> Summary:
    metrics = {}
    for key in _metric_names(scores):
        values = [float(score.metrics[key]) for score in scores if key in score.metrics]
        metrics[key] = _statistic(key, values)
    holes = statistics.fmean(score.hole_fraction for score in scores)
    return Summary(scores[0].method, scores[0].masks, hole_area, len(scores), holes, metrics)


def _summaries(scores: Sequence[Score], area_of: Callable[[Score], int]) -> list[Summary]:
    """Groups scores by kind of mask, index of the area in `_AREAS`, and method, in this order."""
    kinds = list(dict.fromkeys(score.masks for score in scores))
    methods = list(dict.fromkeys(score.method for score in scores))
    groups = collections.defaultdict(list)
    for score in scores:
        key = kinds.index(score.masks), area_of(score), methods.index(score.method)
        groups[key].append(score)
    return [_summary(_AREAS[key[1]], groups[key]) for key in sorted(groups)]


def summarise(scores: Sequence[Score]) -> list[Summary]:
    """One `Summary` per kind of mask and method, in order of first appearance."""
    return _summaries(scores, lambda score: 0)


def by_hole_area(scores: Sequence[Score]) -> list[Summary]:
    """One `Summary` per kind of mask, range of hole areas (empty ones left out) and method."""

    def area(score):  # in fractions, as 100 * 0.29 is not exactly 29
        return 1 + sum(score.hole_fraction > edge / 100 for edge in HOLE_AREA_EDGES)

    return _summaries(scores, area)


def flat(summary: Summary) -> dict[str, float]:
    """{name of a column: value, "n": images}: every mean, every median, and the pooled PSNR."""
    found = {}
    for key, statistic in summary.metrics.items():
        found[key] = statistic.mean
        found[f"{key}_median"] = statistic.median
        if key in POOLED:
            found[f"{key}_pooled"] = statistic.pooled
    return {**found, "n": summary.n}


def _number(summary: Summary, column: Column, spread: bool) -> str:
    if column.key not in summary.metrics:
        return "-"
    statistic = summary.metrics[column.key]
    text = f"{getattr(statistic, column.shows):.{column.decimals}f}"
    if spread and column.shows == "mean" and not math.isnan(statistic.std):
        text += f" ± {statistic.std:.{column.decimals}f}"
    return text


def _notes(summaries: Sequence[Summary], columns: Sequence[Column]) -> list[str]:
    """A line for every mean that leaves infinite values out."""
    notes = []
    for summary in summaries:
        for column in columns:
            found = summary.metrics.get(column.key)
            if found and column.shows == "mean" and found.infinite and found.n:
                notes.append(
                    f"{column.title.split()[0]}: mean of {found.n} images, without the {found.infinite} of infinite "
                    f"value ({summary.method}, {summary.masks}, hole area {summary.hole_area})."
                )
    return notes


def _measured_row(summary: Summary, columns: Sequence[Column], spread: bool, binned: bool) -> list:
    names = [summary.method, summary.masks, *([summary.hole_area] if binned else [])]
    numbers = [_number(summary, c, spread) for c in columns]
    return [*names, f"{100 * summary.hole_fraction:.2f}", str(summary.n), *numbers]


def _reference_row(reference: Reference, columns: Sequence[Column], binned: bool) -> list:
    values = [(reference.metrics.get(c.name), c.decimals) for c in columns]
    numbers = ["-" if value is None else f"{value:.{decimals}f}" for value, decimals in values]
    names = [f"paper: {reference.method}", reference.masks, *(["all"] if binned else [])]
    return [*names, "-", str(reference.n), *numbers]


class Cells(NamedTuple):
    """A table as text: titles of the columns, rows, and notes below it; the first `text_columns` hold no numbers."""

    header: list[str]
    rows: list[list[str]]
    notes: list[str]
    text_columns: int


def cells(
    summaries: Sequence[Summary],
    layout: str,
    spread: bool = False,
    references: Sequence[Reference] = (),
) -> Cells:
    """The cells of a table of `summaries`, laid out like a paper's table.

    Args:
      summaries: from `summarise` or `by_hole_area`, printed in their order, grouped by kind of masks.
      layout: a key of `LAYOUTS`; UserError for another.
      spread: whether to print "mean ± standard deviation"; medians and pooled PSNR have no deviation.
      references: printed as "paper: METHOD" below the rows of the same kind of masks (ValueError if there are none), in
        the summaries' columns.
    """
    if layout not in LAYOUTS:
        raise UserError(f"no table is laid out '{layout}'; choose from {', '.join(LAYOUTS)}")
    kinds = list(dict.fromkeys(summary.masks for summary in summaries))
    for reference in references:
        if reference.masks not in kinds:
            raise ValueError(
                f"{reference.method}: nothing was measured with masks '{reference.masks}'"
            )
    columns = [c for c in LAYOUTS[layout] if any(c.key in summary.metrics for summary in summaries)]
    binned = any(summary.hole_area != "all" for summary in summaries)
    rows = []
    for kind in kinds:
        rows += [_measured_row(s, columns, spread, binned) for s in summaries if s.masks == kind]
        rows += [_reference_row(r, columns, binned) for r in references if r.masks == kind]
    header = ["Method", "Masks", *(["Hole area"] if binned else []), "Hole (%)", "n"]
    sources = dict.fromkeys(reference.source for reference in references)
    notes = [*_notes(summaries, columns), *(f"paper: {s}; not measured here." for s in sources)]
    return Cells([*header, *(c.title for c in columns)], rows, notes, 2 + binned)


def table(*arguments, **options) -> str:
    """`cells` as an aligned Markdown table with its notes below."""
    header, rows, notes, text_columns = cells(*arguments, **options)
    lines = markdown.table(header, rows, text_columns)
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def write_json(
    target: storage.PathLike,
    scores: Sequence[Score],
    summaries: Sequence[Summary],
    references: Sequence[Reference] = (),
) -> None:
    """Writes {"summaries": [...], "reported": [...], "images": [...]}, fields as in `Summary`, `Reference`, `Score`.

    "summaries" and "images" are measured, "reported" is not.

    Raises:
      UserError: `target` cannot be written.
    """
    content = {"summaries": summaries, "reported": references, "images": scores}
    json_files.write(target, content)


def write_csv(target: storage.PathLike, scores: Sequence[Score]) -> None:
    """Writes one row per image: name, method, masks, hole_fraction, then every metric (empty if missing).

    Raises:
      UserError: `target` cannot be written.
    """
    names = _metric_names(scores)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "method", "masks", "hole_fraction", *names])
    for score in scores:
        values = [float(score.metrics[key]) if key in score.metrics else "" for key in names]
        writer.writerow([score.name, score.method, score.masks, score.hole_fraction, *values])
    storage.write_text(target, text.getvalue())
