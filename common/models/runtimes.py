"""Runs networks exported as ONNX files (`common.models.portable`), without TensorFlow.

    onnxruntime   starts in a fraction of a second
    openvino      compiles for seconds, then is the fastest on CPUs, in float32 (`benchmarks.runtimes`)

Results differ from TensorFlow's by less than 1e-4 of their range.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Callable, NamedTuple

from common.errors import UserError
from common.storage import PathLike

NAMES = ("onnxruntime", "openvino")  # the preferred one first


class Network(NamedTuple):
    """A loaded file. run: {input: array} -> {output: array}; inputs, outputs: {name: shape}."""

    run: Callable
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]


def installed(runtime: str | None) -> str:
    """`runtime`, or the preferred one that is installed; UserError if there is none."""
    for name in NAMES if runtime is None else (runtime,):
        if importlib.util.find_spec(name):
            return name
    raise UserError(
        f"an ONNX file needs {runtime or ' or '.join(NAMES)}: "
        f"{sys.executable} -m pip install {runtime or NAMES[0]}"
    )


def load(path: PathLike, runtime: str | None = None) -> Network:
    """Loads a file; runtime: of `NAMES`, default: as `installed`.

    Raises:
      UserError: the runtime is missing, or cannot read the file.
    """
    name = installed(runtime)
    try:
        return {"openvino": _openvino, "onnxruntime": _onnxruntime}[name](str(path))
    except Exception as error:  # both raise types of their own, which RuntimeError does not cover
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise UserError(f"{path}: {name} cannot read this file ({reason[0].strip()})") from error


def _openvino(path):
    import openvino

    # Without the hint, processors with bfloat16 instructions would compute in bfloat16.
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(feed):
        return {key.get_any_name(): value for key, value in compiled(feed).items()}

    inputs, outputs = (
        {port.get_any_name(): tuple(port.shape) for port in ports}
        for ports in (compiled.inputs, compiled.outputs)
    )
    return Network(run, inputs, outputs)


def _onnxruntime(path):
    import onnxruntime

    # With the fallback it would print an error of its own and try the same provider again.
    session = onnxruntime.InferenceSession(
        path, providers=["CPUExecutionProvider"], enable_fallback=False
    )
    inputs, outputs = (
        {port.name: tuple(port.shape) for port in ports}
        for ports in (session.get_inputs(), session.get_outputs())
    )
    return Network(lambda feed: dict(zip(outputs, session.run(None, feed))), inputs, outputs)


def is_onnx(weights: str | None) -> bool:
    """Whether a value of --weights names an ONNX file."""
    return bool(weights) and weights.endswith(".onnx")
