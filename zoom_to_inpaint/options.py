"""Stages and coefficients of Zoom-to-Inpaint's training (Zoom-to-Inpaint (Z) section 4.1) and their flags."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from common.options import option, with_default
from common.training import options as common
from zoom_to_inpaint.config import CONFIGS, ZoomConfig

STAGES = ("pretrain_coarse", "pretrain_refinement", "pretrain_sr", "joint")
IMAGENET = "imagenet"  # value of --vgg_weights: Keras' file, downloaded


NETWORKS = ZoomConfig  # its fields with a help text are flags


@dataclasses.dataclass(frozen=True)
class DataOptions(common.DataOptions):
    """Z section 4.1: "Places2 with 256 x 256 images", DIV2K "randomly cropped"; joint training ends on large masks."""

    REDUCED: ClassVar[tuple] = ("places2",)

    masks: str = with_default(common.DataOptions, "masks", "large")


@dataclasses.dataclass(frozen=True)
class TrainingOptions(common.CommonOptions):
    """Coefficients of Z section 4.1; the defaults are those of joint training.

    The weight of the gradient loss is a field of the configuration, because rows of Tables 3 and 5 differ in it.
    """

    steps: int = with_default(common.CommonOptions, "steps", 1200000)
    batch_size: int = with_default(common.CommonOptions, "batch_size", 16)
    learning_rate: float = with_default(common.CommonOptions, "learning_rate", 1e-5)
    coarse_vgg_weight: float = option(
        0.01, "Z eq. 3, lambda; also in pretraining of the refinement network"
    )
    refinement_vgg_weight: float = option(1e-5, "Z eq. 5, lambda")
    gan_weight: float = option(0.5, "Z eq. 5, lambda; 0: no discriminator")
    frozen_batch_norm: bool = option(
        False, "normalise as at inference, with the averages of --weights, which no longer change"
    )
    batch_norm_warmup: bool = option(
        False,
        "batch norm's averages follow the first batches closely, for short stages (docs/training.md)",
    )


@dataclasses.dataclass(frozen=True)
class Start:
    """Which stage is trained, and which networks it starts from."""

    stage: str = option(
        "joint", "Z section 4.1; joint: with small, then large masks", choices=STAGES
    )
    config: str = option(
        "paper", "named configuration", choices=tuple(sorted(CONFIGS)), flag="zoom_config"
    )
    coarse_weights: str | None = option(None, "pretrained coarse network; 'none': random")
    sr_weights: str | None = option(None, "pretrained SR network; 'none': random")
    refinement_weights: str | None = option(None, "pretrained refinement network; 'none': random")
    discriminator_weights: str | None = option(
        None, "discriminator.npz of a joint run, or the release's checkpoint"
    )
    vgg_weights: str = option(
        IMAGENET, "file of VGG19's weights, 'imagenet', or 'none': no VGG loss"
    )
