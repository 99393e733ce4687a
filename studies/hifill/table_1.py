"""HiFill's Table 1: gate weights of one gated convolution, for GC and the three LWGC.

Weights are counted in the layers, without biases, for the paper's layer and two other layers of the networks. The small
setting is the same.
"""

from __future__ import annotations

from studies.kit.bench import Bench
from studies.kit.scores import reported
from studies.kit.study import REPORTED, Result, Study, Table

# (kernel, input channels, output channels): the paper's example first.
LAYERS = ((3, 32, 32), (5, 4, 32), (3, 128, 128))
LABELS = {"gc": "GC", "ds": "LWGC-ds", "pw": "LWGC-pw", "sc": "LWGC-sc"}


def run(bench: Bench) -> Result:
    """See the module docstring."""
    del bench
    counts = {gate: [gate_weights(gate, *layer) for layer in LAYERS] for gate in LABELS}
    rows = [[LABELS[gate], *(f"{n:,}" for n in found)] for gate, found in counts.items()]
    blank = ["-"] * (len(LAYERS) - 1)
    for gate, printed in reported("hifill").TABLE_1.items():
        rows.append([f"{REPORTED}{LABELS[gate]}", f"{printed:,}", *blank])
    columns = ["Gate", *(f"{k}x{k}, {before} to {after}" for k, before, after in LAYERS)]
    table = Table("Weights of the gates of one layer", columns, rows, "Without biases.")
    return Result([table], values={gate: found[0] for gate, found in counts.items()})


def gate_weights(gate: str, kernel: int, before: int, after: int) -> int:
    """Weights of the gate of a layer `kernel` x `kernel` from `before` to `after` channels, counted in the layer."""
    from hifill.gated_convolution import GatedConv2D

    layer = GatedConv2D(after, kernel, gate=gate)
    layer.build((None, None, None, before))
    return layer.gate_weights()


STUDY = Study(
    id="hifill_table_1",
    item="Table 1",
    what="weights of the gates of one layer",
    reported="9,216 weights for GC, 1,312 for LWGC-ds, 1,024 for LWGC-pw, 288 for LWGC-sc.",
    needs="nothing",
    minutes=0.1,
    run=run,
)
