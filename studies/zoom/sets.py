"""Images and holes of Zoom-to-Inpaint's evaluation, and the networks of Table 3.

The set is 256x256 center crops of DIV2K's validation images, with small and with large masks. The paper names it for
Tables 5 and 9 (appendices C.1, E). For Table 10 and Figure 6 the paper names none; DIV2K is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from studies.kit import networks
from studies.kit.bench import Bench, DataSet
from studies.kit.scores import Scored, columns, table
from studies.kit.study import Result, Table

MASKS = ("small", "large")
# The networks of Table 3, in its order; `studies.kit.networks.ARMS` defines them.
ABLATIONS = ("no_zoom", "bicubic_zoom", "sr_zoom", "sr_zoom_gradient")
DATA = "div2k"
SIDE = 256
COLUMNS = columns("psnr", "ssim", "ms_ssim", "l1_fraction")
_SMALL_NOTE = (
    "Small setting: a quarter of the paper's width, a minute or two of joint training from random weights. Differences "
    "between such networks mean nothing."
)


def labels(arms: Sequence[str]) -> dict[str, str]:
    """{name in the paper: arm}."""
    return {networks.ARMS[arm].label: arm for arm in arms}


def scored(
    bench: Bench, arms: Sequence[str], masks: Sequence[str] = MASKS
) -> tuple[DataSet, dict[str, Scored]]:
    """(data set, {masks: scores of the arms}) on the set of the module docstring, or on --dataset."""
    (data_set,) = bench.data_sets(DATA)
    painters = {label: bench.painter(arm) for label, arm in labels(arms).items()}
    return data_set, {kind: bench.scores(painters, kind, data_set, SIDE) for kind in masks}


def result(
    bench: Bench, data_set: DataSet, found: Mapping[str, Scored], printed: Mapping[str, Mapping]
) -> Result:
    """One table per kind of masks with the paper's rows below; values are {masks: `Scored.means`}.

    printed: {masks: {method: the scores that the paper prints}}.
    """
    values = {masks: of_masks.means() for masks, of_masks in found.items()}
    tables = [
        scores_table(data_set, masks, of_masks, printed[masks]) for masks, of_masks in found.items()
    ]
    return Result(tables, notes=notes(bench, data_set), values=values)


def scores_table(
    data_set: DataSet, masks: str, found: Scored, printed: Mapping, note: str = ""
) -> Table:
    """The scores of every method and the paper's rows below."""
    title = f"{data_set.label}, {masks} masks"
    note = " ".join(filter(None, (note, found.note())))
    return table(title, found.means(), COLUMNS, printed, note)


def notes(bench: Bench, data_set: DataSet | None = None) -> list[str]:
    """The notes of every result; `data_set`: the measured one, if the table has the paper's rows too."""
    found = [
        f"Holes are drawn with seed {bench.seed}, not the paper's own, unless a test package brings its own.",
        *([_SMALL_NOTE] if bench.small else []),
    ]
    if data_set is not None and data_set.name != DATA:
        found.append("The paper's rows are of DIV2K: other photographs. Do not compare.")
    return found
