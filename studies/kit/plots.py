"""Plots as images: lines over a scale and grouped bars, with matplotlib (the package's extra `studies`).

Every function returns uint8 [H, W, 3] RGB and leaves no figure open. Series differ in colour and in marker or
hatching, so that a black-and-white print is readable.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping

import numpy as np

from common.errors import UserError

# Okabe and Ito's colours, which colour-blind readers can distinguish.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
_STYLE = {
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
}
_DPI = 130

# {panel: {series: {x: y}}}
Panels = Mapping[str, Mapping[str, Mapping]]


@contextlib.contextmanager
def figure(columns: int = 1, width: float = 4.6, height: float = 3.4) -> Iterator:
    """Yields (figure, list of axes side by side); call `pixels` of the figure before the block ends.

    Raises:
      UserError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise UserError("plots need matplotlib: pip install '.[studies]'") from error
    from matplotlib.backends import backend_agg
    from matplotlib.figure import Figure

    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # matplotlib reports its font cache
    with matplotlib.rc_context(_STYLE):
        drawn = Figure(figsize=(width * columns, height), dpi=_DPI, layout="constrained")
        backend_agg.FigureCanvasAgg(drawn)
        yield drawn, list(drawn.subplots(1, columns, squeeze=False)[0])


def pixels(drawn) -> np.ndarray:
    """A matplotlib figure with an Agg canvas as an image."""
    drawn.canvas.draw()
    return np.ascontiguousarray(np.asarray(drawn.canvas.buffer_rgba())[..., :3])


def lines(panels: Panels, x_label: str, y_label: str, ticks: Mapping[float, str]) -> np.ndarray:
    """One panel per entry, one line per series; `ticks`: {x: its label}."""
    with figure(len(panels)) as (drawn, axes):
        for axis, (title, series) in zip(axes, panels.items()):
            for (name, points), colour, marker in zip(series.items(), COLOURS, _MARKERS):
                axis.plot(
                    list(points), list(points.values()), color=colour, marker=marker, label=name
                )
            axis.set(title=title, xlabel=x_label, ylabel=y_label)
            axis.set_xticks(list(ticks), list(ticks.values()))
            axis.legend(fontsize="small")
        return pixels(drawn)


def bars(panels: Panels, y_label: str) -> np.ndarray:
    """One panel per entry, one group per x, one bar per series."""
    with figure(len(panels)) as (drawn, axes):
        for axis, (title, series) in zip(axes, panels.items()):
            groups = list(dict.fromkeys(x for points in series.values() for x in points))
            width = 0.8 / len(series)
            for index, (name, points) in enumerate(series.items()):
                shift = (index - (len(series) - 1) / 2) * width
                style = {"color": COLOURS[index], "hatch": _HATCHES[index], "edgecolor": "white"}
                left = [groups.index(x) + shift for x in points]
                axis.bar(left, list(points.values()), width, label=name, **style)
            axis.axhline(0, color="#444444", linewidth=0.8)
            axis.set(title=title, ylabel=y_label)
            axis.set_xticks(range(len(groups)), groups)
            axis.grid(axis="x", visible=False)
            axis.legend(fontsize="small")
        return pixels(drawn)
