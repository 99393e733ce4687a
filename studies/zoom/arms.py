"""What the studies of Zoom-to-Inpaint share: its arms on one data set, under small and large masks."""

from __future__ import annotations

from collections.abc import Sequence

from common.scoring import tables
from studies.kit import networks
from studies.kit.bench import Bench, Photographs, Scored

MASKS = ("small", "large")
ABLATIONS = ("no_zoom", "bicubic_zoom", "sr_zoom", "sr_zoom_gradient")
DATA = "div2k"
SIDE = 256
SMALL_NOTE = (
    "Small setting: a quarter of the paper's width, a minute or two of joint training from random weights. Differences "
    "between such networks mean nothing."
)


def labels(arms: Sequence[str]) -> dict[str, str]:
    """{the paper's name: arm}."""
    return {networks.ARMS[arm].label: arm for arm in arms}


def scored(
    bench: Bench, arms: Sequence[str], masks: Sequence[str] = MASKS
) -> tuple[Photographs, dict[str, Scored]]:
    """The arms on 256x256 center crops of DIV2K's validation set: {masks: scores}.

    Z names it for Tables 5 and 9 (appendices C.1, E); for Table 10 and Figure 6 it names none, so DIV2K is inferred.
    """
    (photographs,) = bench.data_sets(DATA)
    painters = {label: bench.painter(arm) for label, arm in labels(arms).items()}
    return photographs, {kind: bench.scores(painters, kind, photographs, SIDE) for kind in masks}


def notes(bench: Bench, photographs: Photographs | None = None) -> list[str]:
    """What has to be said about every result of these arms; `photographs`: beside which a paper's rows stand."""
    found = [bench.masks_note(), *([SMALL_NOTE] if bench.small else [])]
    if photographs is not None and photographs.name != DATA:
        found.append(
            "The paper's rows are of DIV2K: other photographs, to be compared with nothing."
        )
    return found


def weights_flag(arms: Sequence[str]) -> str:
    """--weights with a placeholder for every arm, for a study's command."""
    return f"--weights={','.join(f'{arm}=FILE' for arm in arms)}"


def means(summaries) -> dict:
    """{method: `scores.flat`} for a result's values."""
    return {method: tables.flat(summary) for method, summary in summaries.items()}
