"""Runs networks exported as ONNX files (`common.models.portable`), without TensorFlow.

    onnxruntime   starts in a fraction of a second
    openvino      compiles for seconds, then is the fastest on CPUs, in float32 (`benchmarks.runtimes`)

Results differ from TensorFlow's by less than 1e-4 of their range.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Mapping
from typing import Callable, NamedTuple

from common.errors import UserError
from common.models import onnx_wire
from common.storage import PathLike

NAMES = ("onnxruntime", "openvino")  # the preferred one first
_FATAL = 4  # of onnxruntime's log


class Network(NamedTuple):
    """A loaded file.

    run: {input: array} -> {output: array}, UserError if it fails; inputs, outputs: {name: shape}; properties: the
    file's metadata.
    """

    run: Callable
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    properties: Mapping[str, str] = types.MappingProxyType({})


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
      UserError: the runtime is missing or cannot read the file, or the file's data lie in other files.
    """
    name = installed(runtime)
    properties = _checked_properties(path)
    with _one_line(f"{path}: {name} cannot read this file"):
        network = {"openvino": _openvino, "onnxruntime": _onnxruntime}[name](str(path))

    def run(feed):
        with _one_line(f"{path}: {name} cannot run this network"):
            return network.run(feed)

    return network._replace(run=run, properties=properties)


def _checked_properties(path):
    """The file's metadata; UserError unless `path` is an ONNX file that holds all of its data."""
    if not os.path.isfile(path):  # pathlib raises an OSError for some names that no file can have
        raise UserError(f"{path} is not a file")
    try:
        if not onnx_wire.names_other_files(path):
            return onnx_wire.properties(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not an ONNX file, or is damaged ({error})") from error
    raise UserError(
        f"{path} names other files for its data, which are not read; export it as one file"
    )


@contextlib.contextmanager
def _one_line(what):
    """Turns any exception of a runtime into a UserError."""
    try:
        yield
    except Exception as error:  # both raise types of their own, which RuntimeError does not cover
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise UserError(f"{what} ({reason[0].strip()})") from error


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

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL  # else errors are printed before they are raised
    onnxruntime.set_default_logger_severity(_FATAL)
    # With the fallback it would print an error of its own and try the same provider again.
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"], enable_fallback=False
    )
    inputs, outputs = (
        {port.name: tuple(port.shape) for port in ports}
        for ports in (session.get_inputs(), session.get_outputs())
    )
    return Network(lambda feed: dict(zip(outputs, session.run(None, feed))), inputs, outputs)


def is_onnx(weights: str | None) -> bool:
    """Whether a value of --weights names an ONNX file."""
    return bool(weights) and weights.endswith(".onnx")
