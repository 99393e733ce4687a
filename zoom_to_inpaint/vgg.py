"""VGG19 features of the VGG loss: phi_{1,4}, the first convolution of the fourth block (eq. 3 and 5).

Images [B, H, W, 3] float32 RGB in [0, 1] of any size -> [B, 28, 28, 512] float32, after the layer's ReLU. Images are
resized to 224x224, bilinear with antialiasing, and preprocessed as for Keras' VGG19 (8-bit levels, BGR, minus
ImageNet's mean). The network ends at that convolution and has 3.5 of VGG19's 20 million convolution weights. The
network is frozen and always computes in float32; gradients flow to the images.

The weights are trained on ImageNet and not part of the package (`load`). Random weights would be useless, so every
array must be in the file, and only --vgg_weights=none trains without the VGG loss.
"""

from __future__ import annotations

import os
import pathlib

import h5py
import numpy as np
import tensorflow as tf
from tensorflow import keras

from common.errors import UserError
from common.images.convert import WHITE
from common.models import plain_ops
from zoom_to_inpaint.options import IMAGENET

NONE = "none"
PUBLISHED = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"  # Keras' file name
# Message about weights that Keras has not downloaded yet.
DOWNLOAD = (
    f"--vgg_weights={IMAGENET} will be downloaded by Keras; where it cannot be, name Keras' file with "
    f"--vgg_weights=FILE, or train without the VGG loss: --vgg_weights={NONE}"
)

_SIZE = 224  # side of the images that VGG19 was trained on
_BLOCKS = ((64, 64), (128, 128), (256, 256, 256, 256), (512,))  # channels; 2x2 max-pooling between
_INPUT_CHANNELS = 3


def convolutions():
    """(name, shape of the kernel) of every convolution, in order, under Keras' names."""
    before = _INPUT_CHANNELS
    for block, widths in enumerate(_BLOCKS, start=1):
        for index, channels in enumerate(widths, start=1):
            yield f"block{block}_conv{index}", (3, 3, before, channels)
            before = channels


class VGGFeatures(keras.layers.Layer):
    """VGG19 up to block4_conv1; see the module docstring. Make it inside `strategy.scope()`.

    arrays: {convolution: (kernel [3, 3, C_in, C_out], bias [C_out])} of block1_conv1 .. block4_conv1.
    """

    def __init__(self, arrays: dict, **kwargs):
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self._pairs = [
            [self._frozen(f"{name}_{part}", x) for part, x in zip(("kernel", "bias"), arrays[name])]
            for name, _ in convolutions()
        ]

    def _frozen(self, name, array):
        return self.add_weight(
            name=name,
            shape=array.shape,
            initializer=keras.initializers.Constant(array),
            trainable=False,
        )

    def call(self, images):
        resize = plain_ops.resize if plain_ops.wanted() else tf.image.resize
        x = resize(images, [_SIZE, _SIZE], "bilinear", antialias=True)
        x = keras.applications.vgg19.preprocess_input(x * WHITE, data_format="channels_last")
        pairs = iter(self._pairs)
        for block, widths in enumerate(_BLOCKS):
            if block > 0:
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            for _ in widths:
                kernel, bias = next(pairs)
                x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias))
        return x


def load(weights: str) -> VGGFeatures | None:
    """The VGG features that `--vgg_weights` names.

    weights:
      FILE      a Keras VGG19 weights file with or without its top: the published .h5, a model saved as .h5, or
                a .weights.h5
      imagenet  the published weights from Keras' cache; Keras downloads them if needed
      none      no VGG loss: returns None

    Raises:
      UserError: nothing given, no such file, a file without all the layers, or a download that failed.
    """
    check(weights)
    if weights == NONE:
        return None
    return VGGFeatures(_published() if weights == IMAGENET else _read(weights))


def check(weights: str) -> None:
    """UserError if the file that --vgg_weights names is missing; a download is not checked."""
    if not weights:
        raise UserError(
            f"--vgg_weights is empty; give a Keras VGG19 weights file, {IMAGENET}, or {NONE} for no VGG loss"
        )
    if weights not in (NONE, IMAGENET) and not pathlib.Path(weights).is_file():
        raise UserError(
            f"--vgg_weights={weights}: no such file; give a Keras VGG19 weights file, {IMAGENET} or {NONE}"
        )


def is_downloaded() -> bool:
    """Whether Keras has the published weights already."""
    return (_cache() / PUBLISHED).is_file()


def _cache():
    """The folder in which Keras keeps weights."""
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    return pathlib.Path(home, "models")


def _published():
    """Keras finds, downloads and checks the file; layers after block4_conv1 are discarded."""
    try:
        model = keras.applications.VGG19(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise UserError(
            f"--vgg_weights={IMAGENET}: Keras could not download the weights; fetch {PUBLISHED} elsewhere and put it "
            f"into {_cache()}, or name it with --vgg_weights=FILE, or train without the VGG loss: --vgg_weights={NONE}"
        ) from error
    return {name: model.get_layer(name).get_weights() for name, _ in convolutions()}


def _read(path):
    try:
        with h5py.File(path, "r") as file:
            return {
                name: _pair(path, file, index, name, shape)
                for index, (name, shape) in enumerate(convolutions())
            }
    except (OSError, RuntimeError) as error:  # HDF5 raises these on opening or on reading an array
        raise UserError(
            f"--vgg_weights={path} is not an HDF5 file, or is cut short; give Keras' {PUBLISHED}"
        ) from error


def _pair(path, file, index, name, shape):
    """(kernel, bias) of one convolution, found by shape, because names within a layer depend on Keras' version."""
    arrays = sorted(_arrays(file, index, name), key=np.ndim, reverse=True)
    if [array.shape for array in arrays] != [shape, shape[-1:]]:
        found = " and ".join(str(list(array.shape)) for array in arrays) or "nothing"
        raise UserError(
            f"--vgg_weights={path} is no VGG19: expected kernel {list(shape)} and bias [{shape[-1]}] of {name}, "
            f"found {found}; give Keras' {PUBLISHED}"
        )
    if not all(np.isfinite(array).all() for array in arrays):
        raise UserError(f"--vgg_weights={path}: {name} holds NaN or infinity; fetch the file again")
    return tuple(array.astype(np.float32) for array in arrays)


def _arrays(file, index, name):
    """All arrays that a file holds for one convolution."""
    if "layers" in file:  # .weights.h5 counts the layers of a class: conv2d, conv2d_1, ...
        key = f"layers/conv2d_{index}/vars" if index else "layers/conv2d/vars"
    else:  # .h5: by name, below model_weights if a whole model was saved
        key = f"model_weights/{name}" if "model_weights" in file else name
    found = []
    if key in file and isinstance(file[key], h5py.Group):
        file[key].visititems(lambda _, item: found.append(item))
    return [np.asarray(item) for item in found if isinstance(item, h5py.Dataset)]
