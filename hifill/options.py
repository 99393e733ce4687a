"""Options of HiFill's training and their flags: coefficients of HiFill (H) sections 3.5 and 4.

Sigma, optimizer and learning rate are the authors' release's, because the paper does not give them.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from common.options import option, with_default
from common.training import options as common
from hifill.config import CONFIGS, HiFillConfig

NETWORKS = HiFillConfig  # its fields with a help text are flags


@dataclasses.dataclass(frozen=True)
class DataOptions(common.DataOptions):
    """H section 4: DIV2K is "down-sampled", Places2 "randomly cropped"."""

    REDUCED: ClassVar[tuple] = ("div2k",)


@dataclasses.dataclass(frozen=True)
class TrainingOptions(common.CommonOptions):
    """Coefficients of H sections 3.5 and 4."""

    steps: int = with_default(common.CommonOptions, "steps", 300000)  # H section 4.3
    adam_beta_1: float = with_default(common.CommonOptions, "adam_beta_1", 0.5)  # the release's
    adam_beta_2: float = with_default(common.CommonOptions, "adam_beta_2", 0.9)  # likewise
    critic_steps: int = option(5, "critic updates per generator update; H Algorithm 1", least=0)
    alpha_hole: float = option(1.0, "H eq. 13, alpha_1")
    alpha_context: float = option(1.2, "H eq. 13, alpha_2")
    context_by_area: bool = option(
        False, "average the L1 of the context (H eq. 12) over the context, as in the release"
    )
    log_error_weight: float = option(
        0.0, "weight of the logarithm of the hole's mean squared error (not in the paper)"
    )
    coarse_weight: float = option(1.0, "weight of the coarse network's L1; the release has 1.2")
    adversarial_weight: float = option(1e-4, "H eq. 14, beta; the release has 1e-3")
    gradient_penalty_weight: float = option(10.0, "H eq. 9, sigma")
    adversarial_balance: float = option(
        0.0,
        "limit of the adversarial gradient relative to that of L1; 0: none (docs/training.md)",
        least=0,
    )

    def of_reconstruction(self) -> tuple:
        """The last arguments of `losses.reconstruction`."""
        return (
            self.alpha_hole,
            self.alpha_context,
            self.hole_by_area,
            self.context_by_area,
            self.log_error_weight,
        )


@dataclasses.dataclass(frozen=True)
class Start:
    """Which networks are trained."""

    config: str | None = option(
        None,
        "named configuration; default: that of --weights, else paper",
        choices=tuple(sorted(CONFIGS)),
        flag="hifill_config",
    )
