"""Networks at a fixed size as ONNX or LiteRT files, for programs without TensorFlow.

    image    float32 [1, 3, S, S] in [0, 1], RGB      ->  output  float32 [1, 3, S, S] in 0..255, equal to 255 image
    mask     float32 [1, 1, S, S], 1 = hole                       outside the hole

These are names, shapes and ranges of the LaMa file of OpenCV's model zoo. A model provides the function and may add
outputs. Before a file gets its name it is run once and compared with TensorFlow.
"""

from __future__ import annotations

import logging
from typing import Callable, NamedTuple

import numpy as np
import tensorflow as tf

from common import environment
from common.errors import UsageError, UserError
from common.images.convert import WHITE
from common.models import plain_ops, runtimes
from common.storage import PathLike, atomic_path

# {format: packages that it needs}
FORMATS = {"onnx": ("tf2onnx", "onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}
# Attention compares each of the positions with every other: N * N numbers, 1 GB at this N.
_MOST_POSITIONS = 1 << 14
_OPSET = 17
# Difference between a runtime and TensorFlow, as a share of an output's range, that float32 cannot explain. Trained
# networks stay below 1e-5, untrained ones reach 2e-3.
_TOLERANCE = 1e-2
_PLACEHOLDER = "placeholder"  # domain of the node in the membrane's place


class Network(NamedTuple):
    """`call`: (image, mask) [1, S, S, *] -> {name: tensor}, `output` as [1, S, S, 3] in [0, 1].

    properties: what an ONNX file says about the network besides, as its metadata.
    """

    call: Callable
    size: int
    properties: tuple[tuple[str, str], ...] = ()


def check_size(size: int, least: int, multiple: int, positions: int) -> None:
    """UsageError unless a model can be exported for images of `size`; positions: N of its attention."""
    if size < least or size % multiple:
        raise UsageError(
            f"--size={size}: the networks need a multiple of {multiple} of at least {least}"
        )
    if positions > _MOST_POSITIONS:
        raise UsageError(
            f"--size={size}: attention among {positions:,} positions takes {4e-9 * positions**2:.0f} GB; choose a "
            "smaller size"
        )


def check_installed(kind: str) -> None:
    """UserError where packages of the extra `kind` are missing."""
    packages = {module: module.replace("_", "-") for module in FORMATS[kind]}
    environment.check_installed(f"--format={kind}", packages, kind)


def function(network: Network):
    """The `tf.function` of the module docstring."""

    def call(image, mask):
        image, mask = (tf.transpose(x, [0, 2, 3, 1]) for x in (image, mask))
        hole = tf.cast(mask > 0.5, tf.float32)
        found = network.call(tf.where(hole > 0, 0.0, image), hole)
        output = WHITE * tf.where(hole > 0, found["output"], image)
        return {**found, "output": tf.transpose(output, [0, 3, 1, 2])}

    shape = [network.size, network.size]
    signature = [
        tf.TensorSpec([1, channels, *shape], tf.float32, name)
        for name, channels in (("image", 3), ("mask", 1))
    ]
    return tf.function(call, input_signature=signature, autograph=False)


def export(network: Network, kind: str, path: PathLike) -> float:
    """Writes `network` as a file of a format, a key of `FORMATS`.

    Returns:
      The largest difference of an output from TensorFlow's, as a share of its range.

    Raises:
      UserError: a package is missing, the file cannot be written, or it gives other values than TensorFlow.
    """
    check_installed(kind)
    convert, run = {"onnx": (_to_onnx, _run_onnx), "litert": (_to_litert, _run_litert)}[kind]
    content = convert(network)
    with atomic_path(path, needed=len(content)) as temporary:
        temporary.write_bytes(content)
        inputs = _example(network.size)
        difference = _difference(run(str(temporary), inputs), function(network)(**inputs))
        if not difference <= _TOLERANCE:
            raise UserError(
                f"{path} was not written: its values differ from TensorFlow's by {difference:.1e} of their range; "
                f"try other versions of {', '.join(FORMATS[kind])}"
            )
    return difference


def _example(size):
    """{"image", "mask"}: noise with a square hole."""
    mask = np.zeros((1, 1, size, size), np.float32)
    mask[..., size // 4 : size // 2, size // 3 : size // 2] = 1
    return {
        "image": np.random.default_rng(0).random((1, 3, size, size), dtype=np.float32),
        "mask": mask,
    }


def _difference(found, expected):
    shares = [
        np.abs(found[name] - value.numpy()).max() / (WHITE if name == "output" else 1)
        for name, value in expected.items()
    ]
    return float(np.max(shares))  # NaN stays NaN


def _to_onnx(network):
    import tf2onnx

    def placeholder(image, mask):
        """Stands for the membrane, [1, H, W, *]; `_expand` puts its nodes here."""
        planes = [tf.transpose(x, [0, 3, 1, 2]) for x in (image, mask)]
        fill = tf.numpy_function(lambda *_: None, planes, tf.float32)
        return tf.transpose(tf.reshape(fill, planes[0].shape), [0, 2, 3, 1])

    traced = function(network)
    with plain_ops.only(placeholder):
        traced.get_concrete_function()
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    model, _ = tf2onnx.convert.from_function(
        traced,
        traced.input_signature,
        opset=_OPSET,
        custom_ops={"PyFunc": _PLACEHOLDER},
        extra_opset=[tf2onnx.utils.make_opsetid(_PLACEHOLDER, 1)],
    )
    _expand(model, network.size)
    for key, value in network.properties:
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def _expand(model, size):
    """Replaces the placeholder by the membrane's nodes."""
    from common.models import onnx_membrane

    graph, nodes = model.graph, []
    for node in graph.node:
        if node.domain != _PLACEHOLDER:
            nodes.append(node)
            continue
        own, constants = onnx_membrane.build(*node.input, node.output[0], (1, 3, size, size))
        nodes += own
        graph.initializer.extend(constants)
    versions = [entry for entry in model.opset_import if entry.domain != _PLACEHOLDER]
    for field, kept in ((graph.node, nodes), (model.opset_import, versions)):
        kept = [type(entry).FromString(entry.SerializeToString()) for entry in kept]
        del field[:]
        field.extend(kept)


def _run_onnx(path, inputs):
    return runtimes.load(path, "onnxruntime").run(inputs)


def _to_litert(network):
    with plain_ops.only():
        traced = function(network).get_concrete_function()
    module = tf.Module()  # without it the file would have no names
    module.weights = traced.variables
    return tf.lite.TFLiteConverter.from_concrete_functions([traced], module).convert()


def _run_litert(path, inputs):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(path).get_signature_runner()(**inputs)
