"""Plots as pictures: lines over a scale, bars in groups, with matplotlib (the extra `studies` of the package).

Every function returns uint8 [H, W, 3] RGB and leaves no figure open. Series are told apart by colour and by marker or
hatching, so that they survive a printer without colours.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from common.errors import UserError

# Okabe and Ito's colours, which people with colour-blindness tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
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


@contextlib.contextmanager
def figure(columns: int = 1, width: float = 4.6, height: float = 3.4) -> Iterator:
    """Yields (figure, list of axes) side by side; `pixels` of the figure are taken before the block ends.

    Raises:
      UserError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise UserError("plots need matplotlib: pip install '.[studies]'") from error
    from matplotlib.backends import backend_agg
    from matplotlib.figure import Figure

    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells about its font cache
    with matplotlib.rc_context(_STYLE):
        drawn = Figure(figsize=(width * columns, height), dpi=_DPI, layout="constrained")
        backend_agg.FigureCanvasAgg(drawn)
        axes = drawn.subplots(1, columns, squeeze=False)[0]
        yield drawn, list(axes)


def pixels(drawn) -> np.ndarray:
    """The picture of a matplotlib figure with an Agg canvas."""
    drawn.canvas.draw()
    return np.ascontiguousarray(np.asarray(drawn.canvas.buffer_rgba())[..., :3])


def lines(
    panels: Mapping[str, Mapping[str, Mapping[float, float]]],
    x_label: str,
    y_label: str | Sequence[str],
    ticks: Mapping[float, str] | None = None,
) -> np.ndarray:
    """One panel per entry, one line per series: {panel: {series: {x: y}}}.

    A series whose name begins with "paper: " is drawn dashed in the colour of the one without. `y_label`: one for all
    panels or one for each.
    """
    labels = [y_label] * len(panels) if isinstance(y_label, str) else y_label
    with figure(len(panels)) as (drawn, axes):
        for axis, (title, series), label in zip(axes, panels.items(), labels):
            names = list(dict.fromkeys(name.removeprefix("paper: ") for name in series))
            for name, points in series.items():
                index = names.index(name.removeprefix("paper: "))
                style = "--" if name.startswith("paper: ") else "-"
                axis.plot(
                    *(list(points), list(points.values())),
                    *(style,),
                    color=COLOURS[index % len(COLOURS)],
                    marker=MARKERS[index % len(MARKERS)],
                    markerfacecolor="white" if style == "--" else None,
                    label=name,
                )
            axis.set(title=title, xlabel=x_label, ylabel=label)
            if ticks:
                axis.set_xticks(list(ticks), list(ticks.values()))
            axis.legend(fontsize="small")
        return pixels(drawn)


def bars(
    panels: Mapping[str, Mapping[str, Mapping[str, float]]],
    y_label: str,
    errors: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
) -> np.ndarray:
    """One panel per entry, one group per category, one bar per series: {panel: {series: {category: y}}}.

    errors: half the length of each bar's error mark, nested alike; a panel without them has none.
    """
    with figure(len(panels)) as (drawn, axes):
        for axis, (title, series) in zip(axes, panels.items()):
            categories = list(dict.fromkeys(c for values in series.values() for c in values))
            width = 0.8 / max(1, len(series))
            for index, (name, values) in enumerate(series.items()):
                spread = (errors or {}).get(title, {}).get(name)
                axis.bar(
                    [categories.index(c) + (index - (len(series) - 1) / 2) * width for c in values],
                    list(values.values()),
                    width,
                    label=name,
                    color=COLOURS[index % len(COLOURS)],
                    hatch=HATCHES[index % len(HATCHES)],
                    edgecolor="white",
                    yerr=[spread[c] for c in values] if spread else None,
                    error_kw={"ecolor": "#444444", "capsize": 2, "elinewidth": 1},
                )
            axis.axhline(0, color="#444444", linewidth=0.8)
            axis.set(title=title, ylabel=y_label)
            axis.set_xticks(range(len(categories)), categories)
            axis.grid(axis="x", visible=False)
            axis.legend(fontsize="small")
        return pixels(drawn)
