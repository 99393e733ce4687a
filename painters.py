"""What `--model` and `--weights` mean to every command: a function that fills a hole.

A painter takes a photograph uint8 [H, W, 3] RGB and a mask uint8 [H, W] (1 = hole) and returns uint8 [H, W, 3] with
the known pixels unchanged. The papers' models need weights; OpenCV's Telea and Navier-Stokes do not.
"""

from __future__ import annotations

import sys
from typing import Callable

import numpy as np

from common import baselines, environment
from common.errors import UsageError

Painter = Callable[[np.ndarray, np.ndarray], np.ndarray]

MODELS = ("hifill",)
NAMES = (*MODELS, *baselines.NAMES)


def check_names(names: list[str]) -> None:
    """UsageError for a --model that does not exist; lists those that do."""
    for name in names:
        if name == "zoom_to_inpaint":
            raise UsageError("--model=zoom_to_inpaint is not in this version yet; use hifill")
        if name not in NAMES:
            raise UsageError(f"--model={name} is not known; choose one of {', '.join(NAMES)}")


def painter(name: str, weights: str | None) -> Painter:
    """The painter of a --model with --weights (a path, or "none" for an untrained network).

    Raises:
      UsageError: unknown model, or a network without --weights.
      UserError: the weights cannot be loaded.
    """
    check_names([name])
    if name in baselines.NAMES:
        return lambda image, mask: baselines.inpaint(name, image, mask)
    if not weights:
        raise UsageError(
            f"--model={name} needs --weights=FILE; --weights=none runs an untrained network"
        )
    environment.start_tensorflow()  # takes seconds: only when needed
    from hifill import weights_source

    if weights_source.is_untrained(weights):
        print(f"{name}: untrained network, its fill has no meaning", file=sys.stderr)
    return weights_source.load(weights).inpaint
