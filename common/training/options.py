"""Options of a training of either paper; `common.options` makes the flags of train.py from them.

Subclasses hold a paper's own defaults. Nothing here imports TensorFlow, so --help and wrong flags are answered at once.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from common import options
from common.masks.files import KINDS, OBJECT_KINDS
from common.options import option

PRECISIONS = ("float32", "bfloat16", "float16")
SCHEDULES = ("constant", "drops", "cosine")
STRATEGIES = ("one", "mirrored", "multi_worker", "tpu")
STOP, SKIP = "stop", "skip"


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """How photographs and holes become samples.

    REDUCED: data sets whose photographs the paper reduces to the crop's size before cropping.
    """

    REDUCED: ClassVar[tuple] = ()

    masks: str = option("mixed", f"{', '.join(KINDS)} or a folder")
    mask_dir: str | None = option(None, f"object templates for the masks {', '.join(OBJECT_KINDS)}")
    resize: bool | None = option(
        None,
        "reduce photographs to the crop's size before cropping; default: as the paper does with --dataset",
    )
    flip: bool = option(False, "mirror half of the crops")
    cache_gb: float = option(
        2.0, "memory in GB that keeps decoded photographs for reuse; 0: none", least=0
    )

    def reduces(self, dataset: str) -> bool:
        """Whether photographs of `dataset` are reduced before they are cropped."""
        return dataset in self.REDUCED if self.resize is None else self.resize


@dataclasses.dataclass(frozen=True)
class CommonOptions:
    """Options of the optimisation that both papers share."""

    steps: int = option(1, "generator updates", least=1)
    batch_size: int = option(8, "images of one update, over all replicas", least=1)
    learning_rate: float = option(1e-4, "the highest rate of Adam", least=0)
    learning_rate_schedule: str | None = option(
        None, "default: drops if --learning_rate_drops is given, else constant", choices=SCHEDULES
    )
    learning_rate_drops: tuple = option(
        (), "shares of --steps after which the rate is divided by 10", item=float
    )
    warmup_steps: int = option(0, "updates over which the learning rate rises", least=0)
    adam_beta_1: float = option(0.9, "decay of Adam's first moment", least=0, most=1)
    adam_beta_2: float = option(0.999, "decay of Adam's second moment", least=0, most=1)
    ema: float = option(
        0.0, "decay of a moving average that replaces the weights; 0: none", least=0, most=1
    )
    hole_by_area: bool = option(False, "average the L1 of the hole over the hole, not the image")
    precision: str = option(
        "float32", "data type of convolutions (docs/training.md)", choices=PRECISIONS
    )
    accumulate: int = option(1, "number of micro-batches into which --batch_size is cut", least=1)
    jit: bool = option(False, "compile the updates with XLA (docs/training.md)")
    seed: int = option(
        0, "random seed of weights, data order, crops and masks", least=0, most=2**32 - 1
    )

    def __post_init__(self):
        options.check(self)
        if self.ema == 1:
            raise ValueError(
                "ema 1 keeps the first weights for ever; use less than 1, such as 0.999"
            )


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Length and intervals of a run; steps count generator updates.

    steps: as in `CommonOptions`.
    """

    steps: int = 1
    log_every: int = option(100, "steps between statistics", least=1)
    picture_every: int = option(1000, "steps between picture grids", least=1)
    checkpoint_every: int = option(1000, "steps between checkpoints", least=1)
    keep_checkpoints: int = option(3, "number of latest checkpoints to keep", least=1)
    minutes: float = option(0.0, "stop after this training time; 0: no limit", least=0)
    validation_images: int = option(
        16, "number of validation photographs (all, if there are fewer)", least=1
    )
    validate_every: int | None = option(
        None, "steps between validations; default: --picture_every", least=1
    )
    milestone_every: int = option(
        0, "steps between checkpoints that are kept for good; 0: none", least=0
    )
    keep_best: str | None = option(
        None,
        "keep the checkpoint and weights with the best value of this metric, such as validation_psnr",
    )
    on_nonfinite: str = option(
        STOP, "what to do at a NaN or infinite loss or gradient", choices=(STOP, SKIP)
    )
    max_skipped: int = option(10, "steps that --on_nonfinite=skip may skip in a run", least=1)


@dataclasses.dataclass(frozen=True)
class DeviceOptions:
    """The devices of a run (docs/distributed.md)."""

    strategy: str | None = option(
        None, "default: mirrored if there are several devices, else one", choices=STRATEGIES
    )
    num_replicas: int = option(0, "GPUs, or logical CPUs without one; 0: all", least=0)
