"""What `studies/evidence/` trains and what it asks of the result. Written down before anything was trained.

Every arm is a chain of train.py runs below `seed-N/`; networks and their names are those of
`studies.kit.networks.ARMS`, which the ablation studies train too. All stages take the same number of steps (`--steps`);
HiFill, which has none, takes as many as two, the others' joint training. Zoom-to-Inpaint's arms of one seed share their
pretrained networks, as the paper's stages do, and all see crops of the same field of view, so that an arm differs from
the next in one thing only:

    pretrain_coarse, pretrain_refinement, pretrain_sr     small masks
    ARM/joint_small, ARM/joint_large                      from these, with small, then large masks
    large_from_start                                      as sr_zoom_gradient, but every stage has large masks
    pixelwise_gates, single_channel_gates                 HiFill, gates of the refinement network
    bicubic_upsampling, nearest_upsampling                pixelwise_gates without its residual aggregation

A `Claim` is one sentence of a paper as a difference between two arms, with the one metric that decides it.
"""

from __future__ import annotations

from typing import NamedTuple

MASKS = ("small", "large")
# Name in the scores -> (title, decimals, whether higher is better). The first four are Z Table 3's, L1 in per cent.
METRICS = {
    "psnr": ("PSNR (dB) ↑", 2, True),
    "ssim": ("SSIM ↑", 4, True),
    "ms_ssim": ("MS-SSIM ↑", 4, True),
    "l1_percent": ("L1 (%) ↓", 3, False),
    "detail_error": ("Detail error ↓", 3, False),
}
HIFILL_STAGES = 2

_DROPS = ("--learning_rate_drops=0.8,0.9",)
_NO_WEIGHTS = ("--coarse_weights=", "--refinement_weights=", "--sr_weights=", "--weights=")


class Run(NamedTuple):
    """One train.py run.

    Attributes:
      network: of `studies.kit.networks.ARMS`, whose small flags come first.
      flags: what this run adds to them.
      starts_from: {flag: the file of another run that it names}.
      stages: its steps are this many times --steps.
    """

    network: str
    flags: tuple[str, ...]
    starts_from: dict[str, str]
    stages: int = 1


class Arm(NamedTuple):
    """What is scored: the weights of the run `run`, filled in by `painter` of `studies.evidence.scores`."""

    label: str
    run: str
    painter: str


class Claim(NamedTuple):
    """A paper's sentence: `better` is better than `worse`, by `metric`, under each of `masks`.

    `rows` are the two arms' rows of Z Table 3, where the paper prints numbers.
    """

    id: str
    says: str
    better: str
    worse: str
    metric: str
    masks: tuple[str, ...]
    rows: tuple[str, ...] = ()


def _pretraining(stage, masks="small", **starts_from):
    flags = (f"--stage={stage}", f"--masks={masks}", "--batch_size=8", "--learning_rate=1e-3")
    return Run("sr_zoom_gradient", (*_NO_WEIGHTS, *flags, *_DROPS), starts_from)


def _joint(arm, network, masks="small", suffix=""):
    """The two joint stages of an arm; with `masks` "large", both have large ones."""
    first = {
        "coarse_weights": f"pretrain_coarse{suffix}/weights.npz",
        "refinement_weights": f"pretrain_refinement{suffix}/weights.npz",
    }
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


# In the order in which they are run: what starts from another run comes after it.
RUNS = {
    "pixelwise_gates": _hifill("pw"),
    "single_channel_gates": _hifill("sc"),
    "pretrain_coarse": _pretraining("pretrain_coarse"),
    "pretrain_refinement": _pretraining(
        "pretrain_refinement", coarse_weights="pretrain_coarse/weights.npz"
    ),
    "pretrain_sr": _pretraining("pretrain_sr"),
    **_joint("no_zoom", "no_zoom"),
    **_joint("bicubic_zoom", "bicubic_zoom"),
    **_joint("sr_zoom", "sr_zoom"),
    **_joint("sr_zoom_gradient", "sr_zoom_gradient"),
    "pretrain_coarse_large": _pretraining("pretrain_coarse", "large"),
    "pretrain_refinement_large": _pretraining(
        "pretrain_refinement", "large", coarse_weights="pretrain_coarse_large/weights.npz"
    ),
    **_joint("large_from_start", "sr_zoom_gradient", "large", "_large"),
}
_ZOOM, _HIFILL = "zoom_to_inpaint", "hifill"
ARMS = {
    "no_zoom": Arm("No zoom", "no_zoom/joint_large", _ZOOM),
    "bicubic_zoom": Arm("Bicubic zoom", "bicubic_zoom/joint_large", _ZOOM),
    "sr_zoom": Arm("SR zoom", "sr_zoom/joint_large", _ZOOM),
    "sr_zoom_gradient": Arm("SR zoom+L∇", "sr_zoom_gradient/joint_large", _ZOOM),
    "large_from_start": Arm(
        "SR zoom+L∇, large masks from the start", "large_from_start/joint_large", _ZOOM
    ),
    "pixelwise_gates": Arm("HiFill, LWGCsc+LWGCpw", "pixelwise_gates", _HIFILL),
    "single_channel_gates": Arm("HiFill, LWGCsc+LWGCsc", "single_channel_gates", _HIFILL),
    "bicubic_upsampling": Arm("HiFill, bicubic upsampling", "pixelwise_gates", "bicubic"),
    "nearest_upsampling": Arm("HiFill, nearest neighbour", "pixelwise_gates", "nearest"),
}
# Trained and scored by the small size of the study: the cheap questions, one process a run.
SMALL_RUNS = ("pixelwise_gates", "single_channel_gates")


CLAIMS = (
    Claim(
        "zooming",
        "refinement at a higher resolution is better than at the input's (Z section 4.4, Table 3)",
        *("bicubic_zoom", "no_zoom", "psnr", MASKS),
        ("Bicubic zoom", "No zoom"),
    ),
    Claim(
        "super_resolution",
        "an SR network zooms better than bicubic interpolation (Z section 4.4, Table 3)",
        *("sr_zoom", "bicubic_zoom", "psnr", MASKS),
        ("SR zoom", "Bicubic zoom"),
    ),
    Claim(
        "gradient_loss",
        "the gradient loss improves all metrics (Z section 4.4, Table 3)",
        *("sr_zoom_gradient", "sr_zoom", "psnr", MASKS),
        ("SR zoom+L∇", "SR zoom"),
    ),
    Claim(
        "all_three",
        "the full model is better than without zoom and gradient loss (Z section 4.4, Table 3)",
        *("sr_zoom_gradient", "no_zoom", "psnr", MASKS),
        ("SR zoom+L∇", "No zoom"),
    ),
    Claim(
        "progressive_masks",
        # Z says faster; what is faster is ahead after equally many steps.
        "small masks first make large ones converge faster, here: ahead after as many steps (Z section 3.2)",
        *("sr_zoom_gradient", "large_from_start", "psnr", ("large",)),
    ),
    Claim(
        "pixelwise_gates",
        "single-channel gates in the refinement network bring artifacts (H section 4.2, Figure 4)",
        *("pixelwise_gates", "single_channel_gates", "l1_percent", MASKS),
    ),
    Claim(
        "aggregation_bicubic",
        "residual aggregation is sharper than bicubic upsampling (H section 4.4, Figure 6)",
        *("pixelwise_gates", "bicubic_upsampling", "detail_error", MASKS),
    ),
    Claim(
        "aggregation_nearest",
        "residual aggregation is sharper than nearest neighbour (H section 4.4, Figure 6)",
        *("pixelwise_gates", "nearest_upsampling", "detail_error", MASKS),
    ),
)


def arms_of(runs) -> list[str]:
    """The arms whose weights come from these runs."""
    return [name for name, arm in ARMS.items() if arm.run in runs]


def ancestors(run: str) -> list[str]:
    """The runs that `run` starts from, directly or not, and itself; in the order of `RUNS`."""
    needed, todo = set(), [run]
    while todo:
        name = todo.pop()
        needed.add(name)
        todo += [file.rpartition("/")[0] for file in RUNS[name].starts_from.values()]
    return [name for name in RUNS if name in needed]
