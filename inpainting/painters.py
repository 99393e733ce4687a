"""Painters: functions that fill a hole, made from `--model`, `--weights`, `--precision` and `--high_res`.

A painter takes a photograph uint8 [H, W, 3] RGB and a mask uint8 [H, W] (1 = hole) and returns uint8 [H, W, 3] with
the known pixels unchanged. The papers' models need weights. The baselines (`common.scoring.baselines`) and PatchMatch
need no weights. PatchMatch needs an optional library.

This module also combines the two papers. With `--high_res=residual`, HiFill's residual aggregation gets
Zoom-to-Inpaint's completion of a reduced photograph and its attention.
"""

from __future__ import annotations

import pathlib
import sys
import types
from typing import Callable

import numpy as np

from common import environment
from common.errors import UsageError
from common.models import pretrained, runtimes
from common.models import weights_source as sources
from common.scoring import baselines, patchmatch

Painter = Callable[[np.ndarray, np.ndarray], np.ndarray]

MODELS = ("hifill", "zoom_to_inpaint")
NAMES = (*MODELS, *baselines.NAMES, "patchmatch")
PRECISIONS = ("float32", "bfloat16")
TENSORFLOW, OPENCV = "tensorflow", "opencv"
# What runs a network. OpenCV runs HiFill's shipped weights alone, the runtimes ONNX files alone.
RUNTIMES = (TENSORFLOW, OPENCV, *runtimes.NAMES)
# How Zoom-to-Inpaint fills photographs that are too large for its networks.
HIGH_RES = ("auto", "crop", "residual")
# For `residual`: side of the reduced photograph, and number of HiFill's patches along it (HiFill section 3.2).
_RESIDUAL = types.SimpleNamespace(size=256, grid=32, least_window=0, large_size=0, detail_blur=0.0)


def check_names(names: list[str]) -> None:
    """UsageError for an unknown --model; lists the known names."""
    for name in names:
        if name not in NAMES:
            raise UsageError(f"--model={name} is not known; choose one of {', '.join(NAMES)}")


def check_network(name: str, weights: str | None) -> None:
    """UsageError if --weights is given for a --model that is no network."""
    if weights and name not in MODELS:
        raise UsageError(f"--weights={weights} but --model={name} is no network")


def check_runtime(name: str, weights: str | None, runtime: str | None) -> None:
    """UsageError if --runtime cannot run this --model with these --weights."""
    if runtime and name not in MODELS:
        raise UsageError(f"--runtime={runtime} but --model={name} is no network")
    if runtime in runtimes.NAMES and not runtimes.is_onnx(weights):
        raise UsageError(f"--runtime={runtime} goes with --weights=FILE.onnx (docs/onnx.md)")
    if runtime in (TENSORFLOW, OPENCV) and runtimes.is_onnx(weights):
        raise UsageError(
            f"--runtime={runtime} does not run --weights={weights}; use {' or '.join(runtimes.NAMES)}"
        )
    if runtime == OPENCV and not _is_shipped_hifill(name, weights):
        raise UsageError("--runtime=opencv runs HiFill with its shipped weights alone")


def _is_shipped_hifill(name, weights):
    return name == "hifill" and weights in (None, sources.PRETRAINED)


def needs_tensorflow(name: str, weights: str | None, runtime: str | None) -> bool:
    """Whether TensorFlow runs this --model with these --weights. Only then does a GPU help."""
    if name == "hifill" and runtimes.is_onnx(weights):
        return False
    return name in MODELS and (runtime == TENSORFLOW or not _is_shipped_hifill(name, weights))


def check_large(name: str, precision: str, high_res: str) -> None:
    """UsageError if --precision or --high_res is given for a --model that has no such choice."""
    if name != "zoom_to_inpaint" and (precision, high_res) != ("float32", "auto"):
        raise UsageError(f"--precision and --high_res go with --model=zoom_to_inpaint, not {name}")


def check_weights(name: str, weights: str | None) -> None:
    """UserError if the weights of a model do not exist. Call it before TensorFlow is started, which takes seconds."""
    if name in MODELS and weights:
        sources.check_file(weights)


def chosen_weights(name: str, weights: str | None) -> str:
    """The --weights of model `name`, by default the weights that come with the package.

    Unless --weights names a file, prints on stderr which weights are used.
    """
    check_weights(name, weights)
    weights = weights or sources.PRETRAINED
    if weights == sources.PRETRAINED:
        path = pretrained.find(pathlib.Path(__file__).resolve().parents[1] / name)
        print(f"{name}: weights {path.name}, which come with the package", file=sys.stderr)
    elif weights == sources.UNTRAINED:
        print(f"{name}: untrained network, its fill has no meaning", file=sys.stderr)
    return weights


def weights_of(name: str, given: list[str], models: list[str]) -> str | None:
    """The entry of --weights for model `name`: FILE, or NAME=FILE if --model has both models."""
    pairs = [entry.split("=", 1) for entry in given if entry.split("=", 1)[0] in MODELS]
    plain = [entry for entry in given if entry.split("=", 1)[0] not in MODELS]
    named = dict(pairs)
    networks = [model for model in models if model in MODELS]
    unused = [model for model in named if model not in networks]
    if unused:
        raise UsageError(f"--weights={unused[0]}=... but {unused[0]} is not among --model")
    if plain and not networks:
        raise UsageError(f"--weights={plain[0]} but --model has no method with weights")
    if len(plain) > 1 or (plain and (named or len(networks) > 1)) or len(named) < len(pairs):
        raise UsageError(
            f"--weights must name each model: --weights={','.join(f'{model}=FILE' for model in networks)}"
        )
    return named.get(name, plain[0] if plain else None)


def painter(
    name: str,
    weights: str | None,
    precision: str = "float32",
    high_res: str = "auto",
    runtime: str | None = None,
) -> Painter:
    """The painter of a --model with --weights (a path; None: the package's own; "none": untrained).

    runtime: a name of `RUNTIMES`. None: HiFill's shipped weights run in OpenCV, ONNX files in the first runtime
      installed, everything else in TensorFlow.
    """
    check_names([name])
    check_runtime(name, weights, runtime)
    check_large(name, precision, high_res)
    if name == "patchmatch":
        return patchmatch.checked_painter()
    if name in baselines.NAMES:
        return lambda image, mask: baselines.inpaint(name, image, mask)
    weights = chosen_weights(name, weights)
    if not needs_tensorflow(name, weights, runtime):
        return _hifill_without_tensorflow(weights, runtime)
    environment.start_tensorflow()  # takes seconds: only when needed
    if name == "hifill":
        from hifill import weights_source

        return weights_source.load(weights).inpaint
    return _zoom_to_inpaint(weights, precision, high_res)


def _hifill_without_tensorflow(weights, runtime):
    if runtimes.is_onnx(weights):
        from hifill import onnx_file

        return onnx_file.load(weights, runtime)
    from hifill import opencv_painter

    return opencv_painter.load()


def _zoom_to_inpaint(weights, precision, high_res):
    from common import keras_compat
    from zoom_to_inpaint import weights_source

    model = weights_source.load(weights, keras_compat.policy(precision))
    if high_res == "crop":
        return model.inpaint
    return with_residuals(model) if high_res == "residual" else whichever_is_sharp(model)


def whichever_is_sharp(model) -> Painter:
    """Fills a window at full resolution if the window need not be reduced; otherwise as `with_residuals`."""
    from zoom_to_inpaint import photograph

    residuals = with_residuals(model)

    def paint(image, mask):
        hole = mask > 0
        reduced = hole.any() and photograph.is_reduced(photograph.choose_window(hole))
        return (residuals if reduced else model.inpaint)(image, mask)

    return paint


def with_residuals(model) -> Painter:
    """Zoom-to-Inpaint on a reduced photograph, with details from HiFill's residual aggregation (HiFill section 3.2).

    The attention between patches comes from the bottleneck of Zoom-to-Inpaint's refinement network. A patch covers
    several positions of the bottleneck; `pooled` combines them.
    """
    from hifill import photograph

    def network(image, mask):
        attention = np.asarray(model.attention(image, mask))
        output = np.asarray(model.fill(image, mask))
        return output, pooled(attention[0], _RESIDUAL.grid)[None]

    return lambda image, mask: photograph.inpaint(network, _RESIDUAL, image, mask)


def pooled(attention: np.ndarray, grid: int) -> np.ndarray:
    """Attention [N, N] between positions -> [grid^2, grid^2] between squares of positions.

    Keys are summed and queries averaged, so rows still sum to 1.
    """
    per_side = round(attention.shape[0] ** 0.5) // grid
    cells = attention.reshape(*(grid, per_side) * 4).sum(axis=(5, 7)).mean(axis=(1, 3))
    return cells.reshape(grid * grid, grid * grid)
