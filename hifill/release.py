"""Import of the authors' published weights (a TensorFlow 1 release) into a `HiFill` that takes RGB.

Sources: a TF1 checkpoint prefix, a frozen graph (.pb), or a dict of arrays under the release's names. The release
was trained on images read with OpenCV, so its networks take BGR. The import reverses the first three input channels
of both networks, both RGB outputs and the discriminator's input. The base width is read from the shapes.

A missing or unknown tensor, or one of another shape, is an error that names the tensor. Optimizer state in a
checkpoint is ignored; `load_release_discriminator` imports the discriminator.
"""

from __future__ import annotations

import os
import pathlib
import re

import numpy as np
import tensorflow as tf

from common.errors import UserError
from common.models import release
from hifill.config import RELEASE
from hifill.discriminator import Discriminator
from hifill.model import HiFill

# Release name -> path of our layer. Suffixes of the variables depend on the kind of gate.
_COARSE = {
    "c_en_down_128": "coarse/encoder/0",
    "c_en_conv_128": "coarse/encoder/1",
    "c_en_down_64": "coarse/encoder/2",
    **{f"c_en_conv{i}_64": f"coarse/encoder/{i + 2}" for i in (1, 2, 3)},
    **{f"c_dil_d{i}": f"coarse/encoder/{i + 5}" for i in (1, 2, 3)},
    **{f"c_dil_d{i}": f"coarse/dilated/{i - 4}" for i in range(4, 15)},
    **{f"c_de_conv{i}_64": f"coarse/decoder/{i - 1}" for i in (1, 2, 3)},
    "c_de_up_128/c_de_up_128_conv": "coarse/decoder_half/0",
    "c_de_conv_128": "coarse/decoder_half/1",
    "c_de_toRGB/c_de_toRGB_conv": "coarse/to_rgb",
}
_REFINEMENT = {
    "re_en_down_256": "refinement/encoder_1/0",
    "re_en_conv_256": "refinement/encoder_1/1",
    "re_en_down_128": "refinement/encoder_2/0",
    "re_en_conv_128": "refinement/encoder_2/1",
    "re_en_down_64": "refinement/encoder_3/0",
    "re_en_conv_64": "refinement/encoder_3/1",
    "re_dil_d1": "refinement/encoder_3/2",
    **{f"re_dil_d{2 << i}": f"refinement/dilated/{i}" for i in range(4)},
    "re_att_64_att1": "refinement/attended_3",
    "re_att_64_att3": "refinement/merge",
    "re_de_up__128/re_de_up__128_conv": "refinement/decoder_2/0",
    "re_de_conv_128": "refinement/decoder_2/1",
    "re_de_att_128_1": "refinement/attended_2/0",
    "re_de_att_128_2": "refinement/attended_2/1",
    "re_de_up__256/re_de_up__256_conv": "refinement/decoder_1/0",
    "re_de_conv_256": "refinement/decoder_1/1",
    "re_de_att_256_1": "refinement/attended_1/0",
    "re_de_att_256_2": "refinement/attended_1/1",
    "re_de_toRGB__256/re_de_toRGB__256_conv": "refinement/to_rgb",
}
_COARSE_VARIABLES = {
    "_feat/w": "feature_kernel",
    "_feat/biases": "feature_bias",
    "_gate/w": "gate_kernel",
    "_gate/biases": "gate_bias",
}
_REFINEMENT_VARIABLES = {
    "/w": "feature_kernel",
    "/biases": "feature_bias",
    "/pw": "gate_kernel",
    "/ds_biases": "gate_bias",
}
_GENERATOR = {
    f"generator/{layer}{suffix}": f"{path}/{variable}"
    for layers, variables in (
        (_COARSE, _COARSE_VARIABLES),
        (_REFINEMENT, _REFINEMENT_VARIABLES),
    )
    for layer, path in layers.items()
    for suffix, variable in variables.items()
}
_DISCRIMINATOR = {
    **{f"discriminator/conv{i}/w": f"convolutions/{i - 1}/kernel" for i in range(1, 7)},
    **{f"discriminator/conv{i}/biases": f"convolutions/{i - 1}/bias" for i in range(1, 7)},
    "discriminator/linear/kernel": "score/kernel",
    "discriminator/linear/bias": "score/bias",
}
# Kernels with the image in their first three input channels.
_SEES_IMAGE = {
    *("generator/c_en_down_128_feat/w", "generator/c_en_down_128_gate/w"),
    *("generator/re_en_down_256/w", "generator/re_en_down_256/pw", "discriminator/conv1/w"),
}
# Adam's slots and counters, the step and moving averages: training state, not weights.
_TRAINING_STATE = re.compile(
    r"(/Adam(_\d+)?|/ExponentialMovingAverage|/RMSProp(_\d+)?|/Momentum)$|"
    r"(^|/)(global_step|beta[12]_power(_\d+)?|learning_rate|lr)$"
)


def load_release(source, dtype="float32") -> HiFill:
    """The authors' generator as a `HiFill` with RGB input and output.

    Args:
      source: TF1 checkpoint prefix, path of a frozen graph `.pb`, or {release name: array}.
      dtype: as for `HiFill`.

    Raises:
      UserError: unreadable source; a tensor that is missing, unknown or of another shape, by name.
    """
    arrays, label = _read(source)
    _check_names(arrays, _GENERATOR, label)
    channels = _width(arrays, "generator/c_en_down_128_feat/w", label)
    model = HiFill(release.changed(RELEASE, label, channels=channels), dtype)
    release.assign(model, arrays, _GENERATOR, label, _to_rgb)
    return model


def load_release_discriminator(source, size: int = RELEASE.size) -> Discriminator:
    """The authors' discriminator, RGB in [-1, 1]; a frozen graph does not hold it (UserError)."""
    arrays, label = _read(source)
    _check_names(arrays, _DISCRIMINATOR, label)
    channels = _width(arrays, "discriminator/conv1/w", label)
    config = release.changed(RELEASE, label, discriminator_channels=channels, size=size)
    discriminator = Discriminator(config)
    discriminator(tf.zeros([1, size, size, 3]))
    release.assign(discriminator, arrays, _DISCRIMINATOR, label, _to_rgb)
    return discriminator


def _check_names(arrays, needed, label):
    known = {**_GENERATOR, **_DISCRIMINATOR}
    unknown = [n for n in arrays if n not in known and not _TRAINING_STATE.search(n)]
    release.check_names(arrays, needed, unknown, label)


def _width(arrays, name, label) -> int:
    """Output channels of a layer, from its kernel's shape."""
    shape = np.shape(arrays[name])
    if len(shape) != 4:
        raise UserError(f"{label}: {name} has shape {list(shape)}, expected four dimensions")
    return shape[-1]


def _to_rgb(name, array):
    if name in _SEES_IMAGE:
        return array[:, :, [2, 1, 0, *range(3, array.shape[2])]]
    # A single-channel gate serves all three outputs, so nothing is reversed.
    if "toRGB" in name and array.shape[-1] == 3:
        return np.ascontiguousarray(array[..., ::-1])
    return array


def _read(source):
    if isinstance(source, dict):
        return dict(source), "the given dict"
    path = pathlib.Path(os.fspath(source))
    if path.suffix == ".pb":
        return _read_frozen_graph(path), str(path)
    return release.read_checkpoint(path), str(path)


def _read_frozen_graph(path):
    if not path.is_file():
        raise UserError(f"no such file: {path}")
    graph = tf.compat.v1.GraphDef()
    try:
        content = path.read_bytes()
        graph.ParseFromString(content)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # the class of DecodeError depends on protobuf's version
        raise UserError(f"{path} is not a frozen TensorFlow graph") from error
    layers = {name.rsplit("/", 1)[0] for name in {**_GENERATOR, **_DISCRIMINATOR}}
    tensors = {
        node.name: node.attr["value"].tensor
        for node in graph.node
        if node.op == "Const"
        and node.name.rsplit("/", 1)[0] in layers
        and node.name.rsplit("/", 1)[1] in ("w", "biases", "pw", "ds_biases", "kernel", "bias")
    }
    shapes = [[d.size for d in tensor.tensor_shape.dim] for tensor in tensors.values()]
    release.check_claim(shapes, len(content), str(path))
    return {name: _array(tensor, f"{path}: {name}") for name, tensor in tensors.items()}


def _array(tensor, label):
    try:
        return release.as_floats(tf.make_ndarray(tensor), label)
    except (TypeError, ValueError) as error:  # an unknown type, values that do not fit the shape
        raise UserError(f"{label} is damaged") from error
