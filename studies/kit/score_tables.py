"""Tables of scores in the papers' layout, with the papers' own rows below what was measured here."""

from __future__ import annotations

from collections.abc import Mapping

from common.scoring import tables
from studies.kit.study import REPORTED, Table


def columns(layout: str, keys: tuple[str, ...] = ()) -> list[tables.Column]:
    """The columns of a paper's table (`common.scoring.tables.LAYOUTS`); `keys`: only those of these metrics."""
    return [c for c in tables.LAYOUTS[layout] if not keys or c.key in keys]


def cell(value: float | None, decimals: int) -> str:
    """A number as the papers print it; "-" where there is none."""
    return "-" if value is None else f"{value:.{decimals}f}"


def comparison(
    title: str,
    measured: Mapping[str, tables.Summary],
    shown: list[tables.Column],
    reported: Mapping[str, Mapping[str, float]],
    note: str = "",
) -> Table:
    """One row per method and, below, one per method of the paper.

    Args:
      title: of the table.
      measured: {method: its summary}, in the order of the rows.
      shown: the columns.
      reported: {method: {metric: value}} as the paper prints them.
      note: what stands below the table, before the number of images.
    """
    rows = []
    for method, summary in measured.items():
        found = tables.flat(summary)
        rows.append([method, *(cell(found.get(c.name), c.decimals) for c in shown)])
    for method, printed in reported.items():
        values = (cell(printed.get(c.name), c.decimals) for c in shown)
        rows.append([f"{REPORTED}{method}", *values])
    counts = sorted({summary.n for summary in measured.values()})
    over = f"Measured: mean over {' or '.join(map(str, counts))} images."
    images = f"{over} {tables.POOLED_NOTE}" if counts else ""
    infinite = sum(s.infinite for m in measured.values() for s in m.metrics.values())
    left_out = f" {infinite} infinite values are left out of means." if infinite else ""
    return Table(
        title,
        ["Method", *(c.title for c in shown)],
        rows,
        " ".join(part for part in (note, images + left_out) if part),
    )
