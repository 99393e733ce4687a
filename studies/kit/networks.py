"""The networks that studies compare, each with the paper's training and a small version that trains in about a minute.

An arm is a network; `--weights=ARM=FILE` names it. A separate train.py process trains the small version on the study's
photographs, in a folder that later studies reuse.
"""

from __future__ import annotations

import json
import pathlib
import signal
from collections.abc import Sequence
from typing import NamedTuple

from common import command_line, storage
from common.errors import UserError
from common.training import signals

WEIGHTS = "weights.npz"
ADOPTED_GATES = "gates_sc_pw"  # the gates of every other HiFill arm
_FLAGS = "study_flags.json"


class Arm(NamedTuple):
    """A network.

    label: name in the paper's tables.
    model: "zoom_to_inpaint" or "hifill"; its `weights_source` loads the weights.
    flagfile: flagfile of the paper's experiment.
    data: further flags of that experiment.
    small: flags of the small network.
    fields: {field of the configuration: value} that the arm's weights must have.
    """

    label: str
    model: str
    flagfile: str
    data: str
    small: tuple[str, ...]
    fields: dict


def _zoom(label, name, zoom, scale, channels=16, config=None):
    """An ablation of Zoom-to-Inpaint; `config`: its --zoom_config if not `name`."""
    return Arm(
        label,
        "zoom_to_inpaint",
        f"configs/zoom_to_inpaint/ablations/{name}.cfg",
        "--places2_dir=PLACES2 --div2k_dir=DIV2K",
        (
            "--flagfile=configs/zoom_to_inpaint/small/study.cfg",
            f"--zoom_config={config or name}",
            f"--zoom_channels={channels}",
            f"--sr_weights={'none' if zoom == 'sr' else ''}",
        ),
        {"zoom": zoom, "scale": scale},
    )


def _gates(coarse, refinement):
    """A configuration of HiFill's Figure 4, on CelebA-HQ, with the paper's label."""
    pair = f"gates_{coarse}_{refinement}"
    gates = {"coarse_gate": coarse, "refinement_gate": refinement}
    names = (gate.upper() if gate == "gc" else f"LWGC{gate}" for gate in gates.values())
    flagfile = "celeba_hq" if pair == ADOPTED_GATES else pair
    flags = (f"--{name}={gate}" for name, gate in gates.items())
    return Arm(
        "+".join(names),
        "hifill",
        f"configs/hifill/{flagfile}.cfg",
        "--data_dir=CELEBA_HQ",
        ("--flagfile=configs/hifill/small/study.cfg", *flags),
        gates,
    )


# The pairs of Figure 4, {arm: network}.
GATES = {
    f"gates_{coarse}_{refinement}": _gates(coarse, refinement)
    for coarse, refinement in (
        *(("gc", "gc"), ("ds", "ds"), ("pw", "pw")),
        *(("sc", "ds"), ("sc", "pw"), ("sc", "sc")),
    )
}
# The paper's 64 channels are 16 here, 70 are 18 (17.5 is no even number).
ARMS = {
    "no_zoom": _zoom("No zoom", "no_zoom", "none", 1),
    "bicubic_zoom": _zoom("Bicubic zoom", "bicubic_zoom", "bicubic", 2),
    "sr_zoom": _zoom("SR zoom", "sr_zoom", "sr", 2),
    "sr_zoom_gradient": _zoom("SR zoom+L∇", "sr_zoom_gradient", "sr", 2, config="paper"),
    "no_zoom_70": _zoom("No zoom, 70 channels", "no_zoom_70", "none", 1, 18),
    "bicubic_zoom_70": _zoom("Bicubic zoom, 70 channels", "bicubic_zoom_70", "bicubic", 2, 18),
    "scale_1": _zoom("No zoom, x1", "scale_1", "none", 1),
    **{f"scale_{n}": _zoom(f"SR zoom, x{n}", f"scale_{n}", "sr", n) for n in (2, 3, 4)},
    "hifill": Arm(
        "HiFill",
        "hifill",
        "configs/hifill/places2.cfg",
        "--data_dir=PLACES2",
        ("--flagfile=configs/hifill/small/study.cfg",),
        {},
    ),
    **GATES,
}
# At the small size both arms train on the same photographs, so one network serves both.
SAME_WHEN_SMALL = {ADOPTED_GATES: "hifill"}


def command(arm: str) -> str:
    """The command that trains the paper's network of an arm."""
    found = ARMS[arm]
    return f"python train.py --flagfile={found.flagfile} {found.data}"


def train(
    arm: str,
    folder: pathlib.Path,
    steps: int | None = None,
    seed: int = 0,
    data: Sequence[str] = ("--dataset=sample",),
    extra: Sequence[str] = (),
) -> pathlib.Path:
    """The weights of an arm's small network in `folder`; trains it, or resumes its training, if they are missing.

    Args:
      arm: a key of `ARMS`.
      folder: run folder.
      steps: generator updates instead of the flagfile's.
      seed: of weights, data order, crops and holes.
      data: train.py's flags that name photographs.
      extra: further flags of train.py; they override the others.

    Raises:
      KeyboardInterrupt: Ctrl-C or SIGTERM; the checkpoints are kept.
      UserError: the folder holds a network trained with other flags, or the training failed.
    """
    wanted = [*ARMS[arm].small, f"--seed={seed}", *data, *extra]
    wanted += [f"--steps={steps}"] if steps else []
    weights, record = folder / WEIGHTS, folder / _FLAGS
    text = json.dumps(wanted, indent=1) + "\n"
    if (record.is_file() or weights.is_file()) and text != _content(record):
        raise UserError(
            f"{folder} holds a network trained with other flags ({_FLAGS} should hold {' '.join(wanted)}); "
            "remove it or choose another --output"
        )
    if weights.is_file():
        return weights
    storage.write_text(record, text)
    print(f"training the small network '{arm}' in {folder}", flush=True)
    with signals.watched() as stop:
        program = command_line.program("train")
        code = signals.run([*program, *wanted, f"--output={folder}"], stop)
    if stop:
        raise KeyboardInterrupt
    if code or not weights.is_file():
        ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise UserError(f"training '{arm}' in {folder} ended with {ended}; its message is above")
    return weights


def _content(path):
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
