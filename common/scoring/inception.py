"""Inception's outputs for FID and IS (`common.scoring.fid`), from weights that the user provides.

Pictures uint8 [B, H, W, 3] RGB -> features [B, 2048] float32 and class probabilities [B, classes] float32.

- `from_graph`: classify_image_graph_def.pb of 2015-12-05, the network of both published scores. As in the authors'
  code, pictures are fed to "ExpandDims:0" as levels 0..255, and the graph resizes them to 299 x 299 (bilinear,
  TensorFlow 1's grid, no antialiasing). Features are "pool_3:0". Probabilities are the softmax over 1,008 classes of
  the features times the weights of "softmax/logits/MatMul", without that layer's bias.
- `from_keras`: a weights file of Keras' InceptionV3, a different network. Its FID and IS are not the published scores,
  and `name` says so in every table. Pictures are resized in the same way. A file without the top layer gives no
  probabilities, hence no IS.

Both scores ignore details that 299 x 299 pixels do not show.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Callable, NamedTuple

import h5py
import numpy as np
import tensorflow as tf
from tensorflow import keras

from common.errors import UsageError, UserError
from common.images import convert

GRAPH = "classify_image_graph_def.pb"
GRAPH_NAME = "Inception 2015-12-05"
KERAS_NAME = "Keras InceptionV3"

_INPUT, _FEATURES, _LOGITS = "ExpandDims", "pool_3", "softmax/logits/MatMul"
_SIDE = 299  # of the network's input
# Pixels in a batch, to limit memory for large pictures.
_BATCH_PIXELS = 4 << 20
_LARGEST_BATCH = 50


class Inception(NamedTuple):
    """A network: `name` in tables, and the function `run`: uint8 [B, H, W, 3] -> (features, probabilities or None)."""

    name: str
    run: Callable


def load(graph: str | None = None, weights: str | None = None) -> Inception | None:
    """The network of --inception_graph or --inception_weights; None if neither is given.

    Raises:
      UsageError: both are given.
      UserError: the file cannot be used; see `from_graph` and `from_keras`.
    """
    if graph and weights:
        raise UsageError("--inception_graph and --inception_weights name two networks; give one")
    if graph:
        return from_graph(graph)
    return from_keras(weights) if weights else None


def from_graph(path: str) -> Inception:
    """The published network from the frozen graph at `path`.

    Raises:
      UserError: no such file, not a frozen graph, a truncated one, or a graph without the three named tensors.
    """
    definition = _read_graph(path)
    missing = {_INPUT, _FEATURES, _LOGITS} - {node.name for node in definition.node}
    if missing:
        raise UserError(
            f"--inception_graph={path} lacks {', '.join(sorted(missing))}: the file is cut short or another network; "
            f"give {GRAPH} of inception-2015-12-05"
        )
    # A session, because the old graph has ops that tf.function does not accept.
    network = tf.Graph()
    try:
        with network.as_default():
            pictures, features, probabilities = _connect(definition)
    except (ValueError, tf.errors.OpError) as error:
        first_line = str(error).splitlines()[0]
        raise UserError(f"--inception_graph={path} cannot be used: {first_line}") from error
    # Some of these ops have CPU kernels only.
    options = tf.compat.v1.ConfigProto(allow_soft_placement=True)
    options.gpu_options.allow_growth = True
    session = tf.compat.v1.Session(graph=network, config=options)

    def run(batch):
        return session.run((features, probabilities), {pictures: batch})

    return Inception(GRAPH_NAME, run)


def _connect(definition):
    """Imports the graph for batches of any size; returns (input, [B, D] features, [B, classes] probabilities)."""
    pictures = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])
    pool, product = tf.import_graph_def(
        definition, {f"{_INPUT}:0": pictures}, [f"{_FEATURES}:0", _LOGITS], name=""
    )
    weights = product.inputs[1]
    features = tf.reshape(pool, [-1, weights.shape[0]])
    return pictures, features, tf.nn.softmax(tf.matmul(features, weights))


def _read_graph(path):
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(pathlib.Path(path).read_bytes())
    except OSError as error:
        raise UserError(
            f"--inception_graph={path}: no such file; give {GRAPH} of inception-2015-12-05"
        ) from error
    except Exception as error:  # protobuf's DecodeError differs between its versions
        raise UserError(
            f"--inception_graph={path} is not a frozen TensorFlow graph, or is cut short"
        ) from error
    return definition


def from_keras(path: str) -> Inception:
    """Keras' InceptionV3 with the weights file at `path`, with or without its top layer.

    Raises:
      UserError: no such file, not HDF5, a truncated file, or the weights of another network.
    """
    if not pathlib.Path(path).is_file():
        raise UserError(
            f"--inception_weights={path}: no such file; give a Keras InceptionV3 weights file"
        )
    try:
        with h5py.File(path, "r") as file:
            names = []
            file.visit(names.append)
        # The top layer has its own name in the published .h5, its class's name in a .weights.h5.
        top = any(name.split("/")[-1] in ("predictions", "dense") for name in names)
        model = keras.applications.InceptionV3(
            weights=None, include_top=top, pooling=None if top else "avg"
        )
        model.load_weights(path)
    except (OSError, RuntimeError, ValueError, KeyError) as error:  # of HDF5 and Keras
        raise UserError(
            f"--inception_weights={path} holds no weights of Keras' InceptionV3, or is cut short"
        ) from error
    outputs = [model.get_layer("avg_pool").output, model.output] if top else [model.output]
    network = keras.Model(model.input, outputs)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def forward(batch):
        resized = tf.raw_ops.ResizeBilinear(images=batch, size=[_SIDE, _SIDE])
        return network(resized / (convert.WHITE / 2) - 1, training=False)

    def run(batch):
        found = forward(batch.astype(np.float32))
        found = [part.numpy() for part in (found if isinstance(found, (list, tuple)) else [found])]
        return (found[0], found[1]) if top else (found[0], None)

    return Inception(KERAS_NAME, run)


def outputs(network: Inception, paths: Sequence) -> tuple[np.ndarray, np.ndarray | None]:
    """Features [N, D] and probabilities [N, classes] (or None) of image files, in the order of `paths`."""
    features, probabilities = [], []
    for batch in _batches(paths):
        one, other = network.run(batch)
        features.append(one)
        probabilities.append(other)
    if probabilities[0] is None:
        return np.concatenate(features), None
    return np.concatenate(features), np.concatenate(probabilities)


def _batches(paths):
    """Batches uint8 [B, H, W, 3] of consecutive images of one size, limited by memory."""
    batch = []
    for path in paths:
        image = convert.read_rgb(path)
        most = max(1, min(_LARGEST_BATCH, _BATCH_PIXELS // (image.shape[0] * image.shape[1])))
        if batch and (image.shape != batch[0].shape or len(batch) >= most):
            yield np.stack(batch)
            batch = []
        batch.append(image)
    yield np.stack(batch)
