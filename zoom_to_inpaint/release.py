"""Import of the authors' published weights (Z; their TensorFlow 2 release) into a `ZoomToInpaint`.

Sources: the prefix of a TensorFlow 2 checkpoint (object graph), or a dict of arrays under its names, such as
"model/layer_with_weights-0/kernel". The models are "model" (coarse), "model_sr" and "model_refine"; every gated
convolution is two numbered layers, the convolution and its batch normalization. Channels and scale are read from
the shapes; a checkpoint without "model_sr" becomes the ablation without a trained zoom.

Strict: an array that is missing, unknown or of another shape is an error that names it. Optimizer slots, step counters
and the discriminator of a checkpoint are known and ignored; `load_release_discriminator` imports the latter.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re

import numpy as np
import tensorflow as tf

from common import weights
from common.errors import UserError
from zoom_to_inpaint.config import RELEASE
from zoom_to_inpaint.discriminator import Discriminator
from zoom_to_inpaint.model import ZoomToInpaint

_ENCODER = [
    f"encoder/{level}/{part}"
    for level in ("level_1", "level_2", "bottleneck")
    for part in ("first", "rest/0", "rest/1")
]
_DECODER = [
    f"decoder/{level}/{part}"
    for level in ("level_2", "level_1")
    for part in ("first", "rest/0", "rest/1", "rest/2")
]
_ATTENTION = ["attention/features", "attention/output_convolution", "merge"]
_CONVOLUTION = ("kernel", "bias")
_NORMALIZATION = ("gamma", "beta", "moving_mean", "moving_variance")


def _gated(model, ours, paths):
    """Names of gated convolutions, in the order of the release's layers, and of the plain convolution at the end."""
    names = {}
    for index, path in enumerate(paths):
        for number, variables in ((2 * index, _CONVOLUTION), (2 * index + 1, _NORMALIZATION)):
            for variable in variables:
                release = f"{model}/layer_with_weights-{number}/{variable}"
                names[release] = f"{ours}/{path}/{variable}"
    for variable in _CONVOLUTION:
        release = f"{model}/layer_with_weights-{2 * len(paths)}/{variable}"
        names[release] = f"{ours}/decoder/output_convolution/{variable}"
    return names


_SR_LAYERS = ["first", *(f"blocks/{i}" for i in range(8)), "spread", "last"]
_COARSE = _gated("model", "coarse", _ENCODER + _DECODER)
_REFINEMENT = _gated("model_refine", "refinement", _ENCODER + _ATTENTION + _DECODER)
_SUPER_RESOLUTION = {
    f"model_sr/layer_with_weights-{index}/{variable}": f"super_resolution/{path}/{variable}"
    for index, path in enumerate(_SR_LAYERS)
    for variable in _CONVOLUTION
}
_DISCRIMINATOR_VARIABLES = ("kernel", "layer/bias", "spectral_norm_u", "spectral_norm_v")
_DISCRIMINATOR = [
    f"model_d/layer_with_weights-{index}/{variable}"
    for index in range(5)
    for variable in _DISCRIMINATOR_VARIABLES
]
# Optimizer slots, counters and the like: training state, not weights. In an object graph slots hang below the
# variable they belong to, optimizers and counters have names of their own.
_TRAINING_STATE = re.compile(
    r"\.OPTIMIZER_SLOT|^(optimizer|ckpt|epoch|step|global_step|save_counter|iter|best)[\w./-]*$|"
    r"^_CHECKPOINTABLE_OBJECT_GRAPH$"
)
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def load_release(source, dtype="float32") -> ZoomToInpaint:
    """The authors' three networks as a `ZoomToInpaint`.

    Args:
      source: prefix of a TensorFlow 2 checkpoint, or {release name: array}.
      dtype: as for `ZoomToInpaint`.

    Raises:
      UserError: unreadable source; an array that is missing, unknown or of another shape, by name.
    """
    arrays, label = _read(source)
    names = {**_COARSE, **_REFINEMENT}
    with_sr = any(name.startswith("model_sr/") for name in arrays)
    if with_sr:
        names.update(_SUPER_RESOLUTION)
    _check_names(arrays, names, label)
    model = ZoomToInpaint(_config(arrays, with_sr, label), dtype=dtype)
    _assign(model, arrays, names, label)
    return model


def load_release_discriminator(source, size: int = 512) -> Discriminator:
    """The authors' discriminator, "model_d", with its vectors of power iteration.

    size: side of the images it will see; it sets nothing but the number of patches.
    """
    arrays, label = _read(source)
    _check_names(arrays, _DISCRIMINATOR, label)
    channels = _channels(arrays, "model_d/layer_with_weights-0/kernel", label)
    discriminator = Discriminator(dataclasses.replace(RELEASE, discriminator_channels=channels))
    discriminator((tf.zeros([1, size, size, 3]), tf.zeros([1, size, size, 1])))
    for index, layer in enumerate(discriminator.convolutions):
        prefix = f"model_d/layer_with_weights-{index}"
        found = {name: np.asarray(arrays[f"{prefix}/{name}"]) for name in _DISCRIMINATOR_VARIABLES}
        kernel, bias = layer.layer.kernel, layer.layer.bias
        (vector,) = (v for v in layer.weights if v is not kernel and v is not bias)
        ours = {"kernel": kernel, "layer/bias": bias, "spectral_norm_u": vector}
        theirs = {name: found[name] for name in ours}
        weights.check(ours, theirs, f"{label}, {prefix}")
        for name, variable in ours.items():
            variable.assign(theirs[name])
    return discriminator


def _config(arrays, with_sr, label):
    """The release's configuration with channels and scale read from the shapes."""
    channels = _channels(arrays, "model/layer_with_weights-0/kernel", label)
    if not with_sr:
        # Bicubic and no zoom leave no trace in the weights; the paper's better one is taken.
        return dataclasses.replace(RELEASE, zoom="bicubic", channels=channels)
    sr_channels = _channels(arrays, "model_sr/layer_with_weights-0/kernel", label)
    spread = _channels(arrays, "model_sr/layer_with_weights-9/kernel", label)
    scale = round((spread / sr_channels) ** 0.5)
    try:
        return dataclasses.replace(
            RELEASE, channels=channels, sr_channels=sr_channels, scale=scale, size=_size(scale)
        )
    except ValueError as error:
        raise UserError(f"{label}: {error}") from error


def _size(scale):
    return RELEASE.size if scale == RELEASE.scale else 128  # Z section E


def _channels(arrays, name, label) -> int:
    """Output channels of a layer, from its kernel's shape."""
    shape = np.shape(arrays[name])
    if len(shape) != 4:
        raise UserError(f"{label}: {name} has shape {list(shape)}, expected four dimensions")
    return shape[-1]


def _check_names(arrays, needed, label):
    missing = [name for name in needed if name not in arrays]
    known = {*_COARSE, *_REFINEMENT, *_SUPER_RESOLUTION, *_DISCRIMINATOR}
    unknown = [n for n in arrays if n not in known and not _TRAINING_STATE.search(n)]
    for problem, names in (("lacks", missing), ("holds unknown", unknown)):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            raise UserError(f"{label} {problem} {', '.join(sorted(names)[:5])}{more}")


def _assign(model, arrays, names, label):
    variables = weights.named_variables(model)
    arrays = {name: np.asarray(arrays[name], np.float32) for name in names}
    weights.check({name: variables[ours] for name, ours in names.items()}, arrays, label)
    for name, ours in names.items():
        variables[ours].assign(arrays[name])


def _read(source):
    if isinstance(source, dict):
        return dict(source), "the given dict"
    path = pathlib.Path(os.fspath(source))
    if not pathlib.Path(f"{path}.index").is_file():
        raise UserError(
            f"no checkpoint {path}: {path}.index is missing; give the prefix, without suffix"
        )
    try:
        reader = tf.train.load_checkpoint(str(path))
        names = reader.get_variable_to_shape_map()
        return {name.replace(_VALUE, ""): reader.get_tensor(name) for name in names}, str(path)
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        raise UserError(f"cannot read checkpoint {path}: {str(error).splitlines()[0]}") from error
