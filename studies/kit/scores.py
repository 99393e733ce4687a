"""Scores of methods on one set of images and holes, in tables with the paper's own rows below.

All scores follow `common.scoring.protocol`, the protocol of evaluate.py.
"""

from __future__ import annotations

import importlib
import math
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from common.scoring import protocol, tables
from studies.kit.study import REPORTED, Table


class Scored(NamedTuple):
    """One set of images and holes: its cases, and the results of `protocol.score_methods`."""

    cases: list[protocol.Case]
    folders: dict[str, pathlib.Path]
    scores: list[tables.Score]

    def means(self) -> dict[str, dict[str, float]]:
        """{method: `tables.flat`}: means, medians, pooled PSNR and the number of images."""
        return {s.method: tables.flat(s) for s in tables.summarise(self.scores)}

    def note(self) -> str:
        """The number of images in a mean, and the number of infinite values left out."""
        infinite = sum(math.isinf(x) for score in self.scores for x in score.metrics.values())
        left_out = f" {infinite} infinite values are left out of means." if infinite else ""
        return f"Measured: mean over {len(self.cases)} images. {tables.POOLED_NOTE}{left_out}"


def reported(paper: str):
    """The module with the numbers of a paper: "zoom_to_inpaint" or "hifill"."""
    return importlib.import_module(f"{paper}.reported")


def columns(*keys: str) -> list[tables.Column]:
    """The columns of these metrics with the papers' titles and decimals (`tables.LAYOUTS`); PSNR has three."""
    every = dict.fromkeys(column for layout in tables.LAYOUTS.values() for column in layout)
    return [column for key in keys for column in every if column.key == key]


def cell(value: float | None, decimals: int) -> str:
    """A number with the papers' decimals; "-" for None."""
    return "-" if value is None else f"{value:.{decimals}f}"


def cells(values: Mapping[str, float], shown: list[tables.Column]) -> list[str]:
    """The cells of one row; values: {name of a column: number}."""
    return [cell(values.get(column.name), column.decimals) for column in shown]


def table(
    title: str,
    measured: Mapping[str, Mapping[str, float]],
    shown: list[tables.Column],
    reported: Mapping[str, NamedTuple] | None = None,
    note: str = "",
    first: str = "Method",
) -> Table:
    """A table with one row per method and, below, one per method of the paper.

    Args:
      measured: {method: {name of a column: value}}, in the order of the rows.
      shown: the columns after the first.
      reported: {method: the paper's scores, with the columns' names}.
      first: title of the first column.
    """
    rows = [[method, *cells(values, shown)] for method, values in measured.items()]
    for method, printed in (reported or {}).items():
        rows.append([f"{REPORTED}{method}", *cells(printed._asdict(), shown)])
    return Table(title, [first, *(column.title for column in shown)], rows, note)
