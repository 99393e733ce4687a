"""Import of the authors' published weights (a TensorFlow 2 release) into a `ZoomToInpaint`.

Sources: the prefix of a TensorFlow 2 checkpoint (object graph), or a dict of arrays under its names, such as
"model/layer_with_weights-0/kernel". The networks are "model" (coarse), "model_sr" and "model_refine". Every gated
convolution is two numbered layers, the convolution and its batch normalization. Channels and scale are read from the
shapes; a checkpoint without "model_sr" becomes the ablation without a trained zoom.

A missing or unknown array, or one of another shape, is an error that names the array. Optimizer slots and step
counters are ignored; `load_release_discriminator` imports the discriminator.
"""

from __future__ import annotations

import os
import re

import numpy as np
import tensorflow as tf

from common.errors import UserError
from common.models import release, weights
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
                theirs = f"{model}/layer_with_weights-{number}/{variable}"
                names[theirs] = f"{ours}/{path}/{variable}"
    for variable in _CONVOLUTION:
        theirs = f"{model}/layer_with_weights-{2 * len(paths)}/{variable}"
        names[theirs] = f"{ours}/decoder/output_convolution/{variable}"
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
_KNOWN = {*_COARSE, *_REFINEMENT, *_SUPER_RESOLUTION, *_DISCRIMINATOR}
# Training state, not weights. In an object graph an optimizer's slots are below their variable; optimizers
# ("optimizer", "optimizer_d") and counters (scalars) are beside the networks.
_SLOT = "/.OPTIMIZER_SLOT/"
_OPTIMIZER = re.compile(r"optimizer(_\w+)?/")
_COUNTER = re.compile(r"(ckpt|epoch|step|global_step|save_counter|iter|best)(_\w+)?$")
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
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
    arrays = _needed(arrays, names, label)
    model = ZoomToInpaint(_config(arrays, with_sr, label), dtype=dtype)
    release.assign(model, arrays, names, label)
    return model


def load_release_discriminator(source, size: int = 512) -> Discriminator:
    """The authors' discriminator, "model_d", with its vectors of power iteration.

    size: side of the input images; it affects only the number of patches.
    """
    arrays, label = _read(source)
    arrays = _needed(arrays, _DISCRIMINATOR, label)
    layer = "model_d/layer_with_weights-0"
    channels = _channels(arrays, f"{layer}/kernel", f"{layer}/layer/bias", label)
    discriminator = Discriminator(release.changed(RELEASE, label, discriminator_channels=channels))
    discriminator((tf.zeros([1, size, size, 3]), tf.zeros([1, size, size, 1])))
    for index, layer in enumerate(discriminator.convolutions):
        prefix = f"model_d/layer_with_weights-{index}"
        found = {name: arrays[f"{prefix}/{name}"] for name in _DISCRIMINATOR_VARIABLES}
        kernel, bias = layer.layer.kernel, layer.layer.bias
        (vector,) = (v for v in layer.weights if v is not kernel and v is not bias)
        ours = {"kernel": kernel, "layer/bias": bias, "spectral_norm_u": vector}
        # The other vector is not state: every step computes it from this one.
        other = np.empty([1, int(np.prod(kernel.shape[:-1]))])
        weights.check({**ours, "spectral_norm_v": other}, found, f"{label}, {prefix}")
        for name, variable in ours.items():
            variable.assign(found[name])
    return discriminator


def _config(arrays, with_sr, label):
    """The release's configuration with channels and scale read from the shapes."""
    layer = "layer_with_weights"
    names = [("model", 0), ("model_sr", 0), ("model_sr", 9)] if with_sr else [("model", 0)]
    channels, *of_sr = (
        _channels(arrays, f"{model}/{layer}-{i}/kernel", f"{model}/{layer}-{i}/bias", label)
        for model, i in names
    )
    if not with_sr:
        # The weights do not tell bicubic zoom from no zoom; bicubic scores better in the paper.
        return release.changed(RELEASE, label, zoom="bicubic", channels=channels)
    sr_channels, spread = of_sr
    scale = round((spread / sr_channels) ** 0.5)
    size = RELEASE.size if scale == RELEASE.scale else 128  # Zoom-to-Inpaint section E
    return release.changed(
        RELEASE, label, channels=channels, sr_channels=sr_channels, scale=scale, size=size
    )


def _channels(arrays, kernel, bias, label) -> int:
    """Output channels of a layer; UserError if its kernel and its bias disagree."""
    shapes = arrays[kernel].shape, arrays[bias].shape
    if len(shapes[0]) != 4 or shapes[0][-1:] != shapes[1] or 0 in shapes[0]:
        raise UserError(
            f"{label}: {kernel} has shape {list(shapes[0])} and {bias} {list(shapes[1])}, "
            "expected a 4-dimensional kernel and one bias for each of its channels"
        )
    return shapes[0][-1]


def _needed(arrays, names, label) -> dict:
    """{name: float32 array} of `names`; UserError if one is missing or `arrays` holds an unknown array."""
    unknown = [n for n, a in arrays.items() if n not in _KNOWN and not _is_training_state(n, a)]
    release.check_names(arrays, names, unknown, label)
    return {name: release.as_floats(arrays[name], f"{label}: {name}") for name in names}


def _is_training_state(name, array) -> bool:
    variable, slot, _ = name.partition(_SLOT)
    if slot:
        return variable in _KNOWN
    if _COUNTER.match(name):
        return np.ndim(array) == 0
    return name == _OBJECT_GRAPH or _OPTIMIZER.match(name) is not None


def _read(source):
    if isinstance(source, dict):
        return {str(name).replace(_VALUE, ""): a for name, a in source.items()}, "the given dict"
    if not isinstance(source, (str, os.PathLike)):
        raise UserError(
            f"expected a checkpoint's prefix or a dict of arrays, got {type(source).__name__}"
        )
    arrays = release.read_checkpoint(source)
    return {name.replace(_VALUE, ""): array for name, array in arrays.items()}, str(source)
