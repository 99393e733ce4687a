"""Zoom-to-Inpaint's Table 5: the ablations, wider networks without super-resolution, and parameter counts.

The study needs the networks of Table 3 and two more. The small setting trains all six, with 16 channels for 64 and 18
for 70. Both settings count the parameters at the paper's width.
"""

from __future__ import annotations

from common.scoring.tables import POOLED_NOTE
from studies.kit import networks
from studies.kit.bench import Bench
from studies.kit.scores import cells, reported
from studies.kit.study import REPORTED, Result, Study, Table
from studies.kit.timing import parameters
from studies.zoom import sets

ARMS = (
    *("no_zoom", "bicubic_zoom", "no_zoom_70", "bicubic_zoom_70"),
    *("sr_zoom", "sr_zoom_gradient"),
)
# The configuration of each row at the paper's width.
_CONFIGS = dict(zip(ARMS, (*ARMS[:5], "paper")))


def run(bench: Bench) -> Result:
    """See the module docstring."""
    data_set, found = sets.scored(bench, ARMS)
    printed = reported("zoom_to_inpaint").TABLE_5
    means = {masks: scored.means() for masks, scored in found.items()}
    rows, counts = [], {}
    for label, arm in sets.labels(ARMS).items():
        model = bench.model(arm)
        counts[label] = parameters(model)
        of_arm = [means[masks][label] for masks in sets.MASKS]
        rows.append(_row(label, model.config.channels, of_arm, counts[label] / 1e6))
    for row in printed:
        of_arm = [getattr(row, masks)._asdict() for masks in sets.MASKS]
        rows.append(_row(f"{REPORTED}{row.name}", row.channels, of_arm, row.parameters))
    titles = [f"{masks}: {column.title}" for masks in sets.MASKS for column in sets.COLUMNS]
    table = Table(
        f"{data_set.label}, small and large masks",
        ["Method", "ch.", *titles, "Parameters"],
        rows,
        f"Measured: mean over {len(data_set.paths)} images. {POOLED_NOTE}",
    )
    tables, values = [table, _at_the_papers_width(printed)], {**means, "parameters": counts}
    return Result(tables, notes=sets.notes(bench, data_set), values=values)


def _row(name, channels, of_masks, millions):
    scores = (text for values in of_masks for text in cells(values, sets.COLUMNS))
    return [name, str(channels), *scores, f"{millions:.2f}M"]


def _at_the_papers_width(printed):
    """Parameter counts of networks of the paper's width; no weights are needed."""
    import zoom_to_inpaint

    rows = []
    for arm, row in zip(ARMS, printed):
        config = zoom_to_inpaint.CONFIGS[_CONFIGS[arm]]
        count = parameters(zoom_to_inpaint.ZoomToInpaint(config))
        label = networks.ARMS[arm].label
        rows.append([label, str(config.channels), f"{count:,}", f"{row.parameters:.2f}M"])
    head = ["Method", "ch.", "Counted here", "The paper"]
    return Table("Trainable parameters at the paper's width", head, rows)


STUDY = Study(
    id="zoom_table_5",
    item="Table 5",
    what="ablations with wider networks, parameters",
    reported="No zoom and Bicubic zoom with 70 channels (4.82M parameters) score less than SR zoom with 64 (4.48M): "
    "the gain is not one of capacity.",
    needs="weights of six networks, DIV2K; minutes on a GPU; to train each, 1.28M joint steps (the paper: 8 V100s)",
    minutes=1.5,
    run=run,
    arms=ARMS,
    flags="--div2k_dir=DIV2K",
)
