"""The networks that `studies/evidence/` trains, and the claims it tests. Both were fixed before the first training.

Every arm is a chain of train.py runs below `seed-N/`. Networks are those of `studies.kit.networks.ARMS`. All stages
take `--steps` steps; HiFill, which has no stages, takes twice as many, like the two stages of joint training.
Zoom-to-Inpaint's arms of one seed share their pretrained networks and the field of view of their crops, so that two
compared arms differ in one thing only:

    pretrain_coarse, pretrain_refinement, pretrain_sr     small masks
    ARM/joint_small, ARM/joint_large                      from the pretrained networks; small, then large masks
    large_from_start                                      as sr_zoom_gradient, with large masks in every stage
    pixelwise_gates, single_channel_gates                 HiFill, gates of the refinement network
    bicubic_upsampling, nearest_upsampling                pixelwise_gates without its residual aggregation

A `Claim` is one sentence of a paper as a difference between two arms, with the metric that decides it.
"""

from __future__ import annotations

from typing import NamedTuple

from common.scoring.tables import Column
from studies.kit import networks

MASKS = ("small", "large")
# {name in the scores: column}. The first four are those of Zoom-to-Inpaint's Table 3, with L1 in per cent.
METRICS = {
    column.key: column
    for column in (
        Column("psnr", "PSNR (dB) ↑", 2),
        Column("ssim", "SSIM ↑", 4),
        Column("ms_ssim", "MS-SSIM ↑", 4),
        Column("l1_percent", "L1 (%) ↓", 3),
        Column("detail_error", "Detail error ↓", 3),
    )
}
TABLE_3 = ("no_zoom", "bicubic_zoom", "sr_zoom", "sr_zoom_gradient")
HIFILL_STAGES = 2

_DROPS = ("--learning_rate_drops=0.8,0.9",)
_NO_WEIGHTS = ("--coarse_weights=", "--refinement_weights=", "--sr_weights=", "--weights=")


class Run(NamedTuple):
    """One train.py run.

    Attributes:
      network: key of `studies.kit.networks.ARMS`, whose small flags come first.
      flags: further flags of this run.
      starts_from: {flag: weights file of another run}.
      stages: the run takes `stages` times --steps steps.
    """

    network: str
    flags: tuple[str, ...]
    starts_from: dict[str, str]
    stages: int = 1


class Arm(NamedTuple):
    """A scored arm: the weights of the run `run`, with the `painter` of `studies.evidence.scores`."""

    label: str
    run: str
    painter: str


class Claim(NamedTuple):
    """A paper's sentence `says`: arm `better` beats arm `worse` by `metric`, under each of `masks`."""

    id: str
    says: str
    better: str
    worse: str
    metric: str = "psnr"
    masks: tuple[str, ...] = MASKS

    @property
    def printed(self) -> bool:
        """Whether both arms are rows of Zoom-to-Inpaint's Table 3."""
        return {self.better, self.worse} <= {*TABLE_3}


def _pretraining(stage, masks="small", **starts_from):
    flags = (f"--stage={stage}", f"--masks={masks}", "--batch_size=8", "--learning_rate=1e-3")
    return Run("sr_zoom_gradient", (*_NO_WEIGHTS, *flags, *_DROPS), starts_from)


def _joint(arm, network, masks="small", suffix=""):
    """The two joint stages of an arm; `masks`: those of the first stage; the second has large masks."""
    stages = ("coarse", "refinement")
    first = {f"{stage}_weights": f"pretrain_{stage}{suffix}/weights.npz" for stage in stages}
    if network.startswith("sr_"):
        first["sr_weights"] = "pretrain_sr/weights.npz"
    second = {
        "weights": f"{arm}/joint_small/weights.npz",
        "discriminator_weights": f"{arm}/joint_small/discriminator.npz",
    }
    small = ("--stage=joint", f"--masks={masks}", "--learning_rate=1e-3", *_DROPS)
    large = ("--stage=joint", "--masks=large", "--learning_rate=1e-4", *_DROPS)
    return {
        f"{arm}/joint_small": Run(network, (*_NO_WEIGHTS, *small), first),
        f"{arm}/joint_large": Run(network, (*_NO_WEIGHTS, *large), second),
    }


def _hifill(gate):
    flags = ("--coarse_gate=sc", f"--refinement_gate={gate}")
    return Run("hifill", flags, {}, HIFILL_STAGES)


def _pretraining_of_both(masks, suffix=""):
    """The pretraining stages that depend on the kind of masks."""
    coarse = {"coarse_weights": f"pretrain_coarse{suffix}/weights.npz"}
    return {
        f"pretrain_coarse{suffix}": _pretraining("pretrain_coarse", masks),
        f"pretrain_refinement{suffix}": _pretraining("pretrain_refinement", masks, **coarse),
    }


# In running order: a run comes after the runs that it starts from.
RUNS = {
    "pixelwise_gates": _hifill("pw"),
    "single_channel_gates": _hifill("sc"),
    **_pretraining_of_both("small"),
    "pretrain_sr": _pretraining("pretrain_sr"),
    **{name: run for arm in TABLE_3 for name, run in _joint(arm, arm).items()},
    **_pretraining_of_both("large", "_large"),
    **_joint("large_from_start", "sr_zoom_gradient", "large", "_large"),
}
_ZOOM, _HIFILL = "zoom_to_inpaint", "hifill"
ARMS = {
    **{arm: Arm(networks.ARMS[arm].label, f"{arm}/joint_large", _ZOOM) for arm in TABLE_3},
    "large_from_start": Arm(
        "SR zoom+L∇, large masks from the start", "large_from_start/joint_large", _ZOOM
    ),
    "pixelwise_gates": Arm("HiFill, LWGCsc+LWGCpw", "pixelwise_gates", _HIFILL),
    "single_channel_gates": Arm("HiFill, LWGCsc+LWGCsc", "single_channel_gates", _HIFILL),
    "bicubic_upsampling": Arm("HiFill, bicubic upsampling", "pixelwise_gates", "bicubic"),
    "nearest_upsampling": Arm("HiFill, nearest neighbour", "pixelwise_gates", "nearest"),
}
# Runs of the study's small size, the cheapest ones.
SMALL_RUNS = ("pixelwise_gates", "single_channel_gates")

# Z: Zoom-to-Inpaint, H: HiFill.
_TABLE_3, _FIGURE_6 = "(Z section 4.4, Table 3)", "(H section 4.4, Figure 6)"
_CLAIMS = (
    Claim(
        "zooming",
        f"refinement at a higher resolution is better than at the input's {_TABLE_3}",
        *("bicubic_zoom", "no_zoom"),
    ),
    Claim(
        "super_resolution",
        f"an SR network zooms better than bicubic interpolation {_TABLE_3}",
        *("sr_zoom", "bicubic_zoom"),
    ),
    Claim(
        "gradient_loss",
        f"the gradient loss improves all metrics {_TABLE_3}",
        *("sr_zoom_gradient", "sr_zoom"),
    ),
    Claim(
        "all_three",
        f"the full model is better than without zoom and gradient loss {_TABLE_3}",
        *("sr_zoom_gradient", "no_zoom"),
    ),
    Claim(
        "progressive_masks",
        # Z says faster: after equally many steps, the faster arm is ahead.
        "small masks first make large ones converge faster, here: ahead after as many steps (Z section 3.2)",
        *("sr_zoom_gradient", "large_from_start"),
        masks=("large",),
    ),
    Claim(
        "pixelwise_gates",
        "single-channel gates in the refinement network bring artifacts (H section 4.2, Figure 4)",
        *("pixelwise_gates", "single_channel_gates", "l1_percent"),
    ),
    Claim(
        "aggregation_bicubic",
        f"residual aggregation is sharper than bicubic upsampling {_FIGURE_6}",
        *("pixelwise_gates", "bicubic_upsampling", "detail_error"),
    ),
    Claim(
        "aggregation_nearest",
        f"residual aggregation is sharper than nearest neighbour {_FIGURE_6}",
        *("pixelwise_gates", "nearest_upsampling", "detail_error"),
    ),
)
CLAIMS = {claim.id: claim for claim in _CLAIMS}


def arms_of(runs) -> list[str]:
    """The arms whose weights come from these runs."""
    return [name for name, arm in ARMS.items() if arm.run in runs]


def ancestors(run: str) -> list[str]:
    """`run` and all runs that it starts from, directly or not, in the order of `RUNS`."""
    needed, todo = set(), [run]
    while todo:
        name = todo.pop()
        needed.add(name)
        todo += [file.rpartition("/")[0] for file in RUNS[name].starts_from.values()]
    return [name for name in RUNS if name in needed]
