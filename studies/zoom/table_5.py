"""Z Table 5: the ablations beside wider networks without super-resolution, with their numbers of parameters.

    python studies/run.py --study=zoom_table_5 --size=paper --div2k_dir=DIV2K --weights=no_zoom=FILE,no_zoom_70=FILE,...

The paper: No zoom and Bicubic zoom with 70 channels have 4.82M parameters, more than SR zoom's 4.48M, and still score
less, so the gain is not one of capacity. It needs what Table 3 needs and two more networks. The small setting trains
all six with 16 channels for 64 and 18 for 70; the numbers of parameters at the paper's width are counted in any case.
"""

from __future__ import annotations

from common.scoring.tables import POOLED_NOTE
from studies.kit import networks
from studies.kit.bench import Bench, reported
from studies.kit.score_tables import cell, columns
from studies.kit.study import REPORTED, Result, Study, Table
from studies.zoom import arms
from studies.zoom.table_3 import METRICS

ARMS = (
    *("no_zoom", "bicubic_zoom", "no_zoom_70", "bicubic_zoom_70"),
    *("sr_zoom", "sr_zoom_gradient"),
)
# The configuration of each row at the paper's width.
_CONFIGS = dict(zip(ARMS, (*ARMS[:5], "paper")))


def parameters(model) -> int:
    """Trainable weights of a model."""
    return sum(int(variable.shape.num_elements()) for variable in model.trainable_variables)


def run(bench: Bench) -> Result:
    """See the module docstring."""
    photographs, found = arms.scored(bench, ARMS)
    printed = reported("zoom_to_inpaint").TABLE_5
    shown = columns("zoom_to_inpaint", METRICS)
    means = {masks: arms.means(scored.means()) for masks, scored in found.items()}
    rows, counts = [], {}
    for label, arm in arms.labels(ARMS).items():
        model = bench.model(arm)
        counts[label] = parameters(model)
        scores = [cell(means[m][label].get(c.name), c.decimals) for m in arms.MASKS for c in shown]
        rows.append([label, str(model.config.channels), *scores, f"{counts[label] / 1e6:.2f}M"])
    for row in printed:
        given = {"small": row.small._asdict(), "large": row.large._asdict()}
        scores = [cell(given[m].get(c.name), c.decimals) for m in arms.MASKS for c in shown]
        name = f"{REPORTED}{row.name}"
        rows.append([name, str(row.channels), *scores, f"{row.parameters:.2f}M"])
    titles = [f"{m}: {c.title}" for m in arms.MASKS for c in shown]
    table = Table(
        f"{photographs.label}, small and large masks",
        ["Method", "ch.", *titles, "Parameters"],
        rows,
        f"Measured: mean over {len(photographs.paths)} images. {POOLED_NOTE}",
    )
    tables, values = [table, _at_the_papers_width(printed)], {**means, "parameters": counts}
    return Result(tables, notes=arms.notes(bench, photographs), values=values)


def _at_the_papers_width(printed):
    """Parameters of networks as wide as the paper's, which needs no weights."""
    import zoom_to_inpaint

    rows = []
    for arm, row in zip(ARMS, printed):
        config = zoom_to_inpaint.CONFIGS[_CONFIGS[arm]]
        count = parameters(zoom_to_inpaint.ZoomToInpaint(config))
        label = networks.ARMS[arm].label
        rows.append([label, str(config.channels), f"{count:,}", f"{row.parameters:.2f}M"])
    columns_ = ["Method", "ch.", "Counted here", "The paper"]
    return Table("Trainable parameters at the paper's width", columns_, rows)


STUDY = Study(
    id="zoom_table_5",
    paper="Zoom-to-Inpaint",
    item="Table 5",
    what="ablations with wider networks, parameters",
    reported="No zoom and Bicubic zoom with 70 channels (4.82M parameters) score less than SR zoom with 64 (4.48M): "
    "the gain is not one of capacity.",
    needs="weights of six networks, DIV2K; minutes on a GPU; to train each, 1.28M joint steps (the paper: 8 V100s)",
    command="python studies/run.py --study=zoom_table_5 --size=paper --div2k_dir=DIV2K "
    f"{arms.weights_flag(ARMS)}",
    minutes=1.5,
    run=run,
)
