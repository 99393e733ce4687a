"""The reader of the published Inception graph, on a small frozen graph with the same tensors; Keras' weights files.

The small graph has what makes the published one old: a producer of version 8, an operation that later graphs may not
hold, and a batch size of 1 written into its middle.
"""

from __future__ import annotations

import cv2
import h5py
import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from common.errors import UsageError, UserError
from common.images import convert
from common.scoring import inception

WIDTH, CLASSES, SIDE = 6, 4, 299
RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(1, 1, 3, WIDTH)).astype(np.float32)
WEIGHTS = RNG.normal(size=(WIDTH, CLASSES)).astype(np.float32)
SCALE = RNG.uniform(0.5, 2, WIDTH).astype(np.float32)


def _node(graph, name, op, *inputs, **attributes):
    node = graph.node.add(name=name, op=op, input=inputs)
    for key, value in attributes.items():
        if isinstance(value, tf.DType):
            node.attr[key].type = value.as_datatype_enum
        elif isinstance(value, bool):
            node.attr[key].b = value
        elif isinstance(value, float):
            node.attr[key].f = value
        elif isinstance(value, str):
            node.attr[key].s = value.encode()
        elif isinstance(value, list):
            node.attr[key].list.i.extend(value)
        else:
            node.attr[key].tensor.CopyFrom(tf.make_tensor_proto(value))


def _constant(graph, name, value):
    value = np.asarray(value)
    _node(graph, name, "Const", dtype=tf.as_dtype(value.dtype), value=value)


def _small_graph(without=()):
    graph = tf.compat.v1.GraphDef()
    graph.versions.producer = 8
    one = tf.float32
    _node(graph, "DecodeJpeg", "Placeholder", dtype=one)
    for name, value in {
        "ExpandDims/dim": np.int32(0),
        "ResizeBilinear/size": np.int32([SIDE, SIDE]),
        "Sub/y": np.float32(128),
        "Mul/y": np.float32(1 / 128),
        "conv/conv2d_params": KERNEL,
        "conv/batchnorm/beta": np.zeros(WIDTH, np.float32),
        "conv/batchnorm/gamma": SCALE,
        "conv/batchnorm/moving_mean": np.zeros(WIDTH, np.float32),
        "conv/batchnorm/moving_variance": np.ones(WIDTH, np.float32),
        "pool_3/_reshape/shape": np.int32([1, WIDTH]),
        "softmax/weights": WEIGHTS,
        "softmax/biases": np.float32([9, 0, 0, 0]),
    }.items():
        _constant(graph, name, value)
    _node(graph, "ExpandDims", "ExpandDims", "DecodeJpeg", "ExpandDims/dim", T=one)
    _node(graph, "ResizeBilinear", "ResizeBilinear", "ExpandDims", "ResizeBilinear/size", T=one)
    _node(graph, "Sub", "Sub", "ResizeBilinear", "Sub/y", T=one)
    _node(graph, "Mul", "Mul", "Sub", "Mul/y", T=one)
    layout = {"strides": [1, 1, 1, 1], "padding": "SAME"}
    _node(graph, "conv/Conv2D", "Conv2D", "Mul", "conv/conv2d_params", T=one, **layout)
    norm = [f"conv/batchnorm/{part}" for part in ("moving_mean", "moving_variance", "beta")]
    _node(
        graph,
        "conv/batchnorm",
        "BatchNormWithGlobalNormalization",
        *("conv/Conv2D", *norm, "conv/batchnorm/gamma"),
        **{"T": one, "variance_epsilon": 0.001, "scale_after_normalization": True},
    )
    _node(graph, "conv", "Relu", "conv/batchnorm", T=one)
    window = {"ksize": [1, SIDE, SIDE, 1], "strides": [1, 1, 1, 1], "padding": "VALID"}
    _node(graph, "pool_3", "AvgPool", "conv", T=one, **window)
    _node(graph, "pool_3/_reshape", "Reshape", "pool_3", "pool_3/_reshape/shape", T=one)
    _node(graph, "softmax/logits/MatMul", "MatMul", "pool_3/_reshape", "softmax/weights", T=one)
    _node(graph, "softmax/logits", "BiasAdd", "softmax/logits/MatMul", "softmax/biases", T=one)
    _node(graph, "softmax", "Softmax", "softmax/logits", T=one)
    kept = [node for node in graph.node if node.name not in without]
    smaller = tf.compat.v1.GraphDef(versions=graph.versions)
    smaller.node.extend(kept)
    return smaller.SerializeToString()


@pytest.fixture(scope="module")
def graph_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / inception.GRAPH
    path.write_bytes(_small_graph())
    return path


@pytest.fixture(scope="module")
def network(graph_file):
    return inception.load(graph=str(graph_file))


def _pictures(count=3, height=40, width=56):
    return np.random.default_rng(height).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def _tf1_resized(picture):
    """TensorFlow 1's bilinear grid by hand: pixel i comes from i * size / 299, without half pixels."""
    x = picture.astype(np.float64)
    for axis in (0, 1):
        size = x.shape[axis]
        position = np.arange(SIDE) * size / SIDE
        below = position.astype(int)
        share = (position - below).reshape([-1, 1, 1] if axis == 0 else [1, -1, 1])
        above = np.minimum(below + 1, size - 1)
        x = np.take(x, below, axis) * (1 - share) + np.take(x, above, axis) * share
    return x


def _expected(pictures):
    scaled = np.stack([(_tf1_resized(picture) - 128) / 128 for picture in pictures])
    features = np.maximum(scaled @ KERNEL[0, 0] * SCALE / np.sqrt(1.001), 0).mean(axis=(1, 2))
    powers = np.exp(features @ WEIGHTS)
    return features, powers / powers.sum(axis=1, keepdims=True)


def test_features_and_probabilities_are_those_of_the_published_code(network):
    """pool_3 of pictures resized by the graph; the softmax without the bias of its layer."""
    pictures = _pictures()
    features, probabilities = network.run(pictures)
    expected = _expected(pictures)
    # Means over 299 x 299 positions in float32.
    np.testing.assert_allclose(features, expected[0], atol=2e-5)
    np.testing.assert_allclose(probabilities, expected[1], atol=2e-5)
    assert features.shape == (3, WIDTH) and probabilities.shape == (3, CLASSES)
    assert network.name == "Inception 2015-12-05"


def test_outputs_of_files_keep_their_order_whatever_their_sizes(network, tmp_path):
    sizes = [(30, 40), (30, 40), (20, 25), (30, 40)]
    pictures = [_pictures(1, *size)[0] + np.uint8(index) for index, size in enumerate(sizes)]
    for index, picture in enumerate(pictures):
        convert.write_png(tmp_path / f"{index}.png", picture)
    paths = [tmp_path / f"{index}.png" for index in range(4)]
    features, probabilities = inception.outputs(network, paths)
    expected = [_expected(picture[None]) for picture in pictures]
    np.testing.assert_allclose(features, np.concatenate([e[0] for e in expected]), atol=2e-5)
    np.testing.assert_allclose(probabilities, np.concatenate([e[1] for e in expected]), atol=2e-5)


def test_batches_are_bounded_in_pixels(network, tmp_path, monkeypatch):
    monkeypatch.setattr(inception, "_BATCH_PIXELS", 2 * 20 * 30)
    for index in range(5):
        cv2.imwrite(str(tmp_path / f"{index}.png"), _pictures(1, 20, 30)[0])
    seen = []
    counting = network._replace(run=lambda batch: seen.append(len(batch)) or network.run(batch))
    inception.outputs(counting, sorted(tmp_path.iterdir()))
    assert seen == [2, 2, 1]


@pytest.mark.parametrize("name", ["ExpandDims", "pool_3", "softmax/logits/MatMul"])
def test_a_graph_without_a_tensor_is_refused_by_its_name(tmp_path, name):
    path = tmp_path / "other.pb"
    path.write_bytes(_small_graph(without=(name,)))
    with pytest.raises(UserError, match=rf"other\.pb lacks {name}: "):
        inception.from_graph(str(path))


def test_a_graph_with_a_hole_in_its_middle_is_refused(tmp_path):
    path = tmp_path / "other.pb"
    path.write_bytes(_small_graph(without=("Sub",)))
    with pytest.raises(UserError, match=r"other\.pb cannot be used: "):
        inception.from_graph(str(path))


def test_every_truncation_of_a_graph_file_is_refused(tmp_path):
    whole = _small_graph()
    path = tmp_path / "cut.pb"
    for length in [*range(0, len(whole), 101), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut\.pb (is not|lacks|cannot)"):
            inception.from_graph(str(path))


def test_no_file_and_no_graph(tmp_path):
    with pytest.raises(
        UserError, match=r"missing\.pb: no such file; give classify_image_graph_def"
    ):
        inception.from_graph(str(tmp_path / "missing.pb"))
    path = tmp_path / "text.pb"
    path.write_text("<html>404</html>")
    with pytest.raises(UserError, match=r"text\.pb is not a frozen"):
        inception.load(graph=str(path))


def test_one_network_at_a_time():
    assert inception.load() is None
    with pytest.raises(UsageError, match="name two networks"):
        inception.load("a.pb", "b.h5")


def test_weights_files_that_cannot_be(tmp_path, graph_file):
    with pytest.raises(UserError, match=r"missing\.h5: no such file"):
        inception.from_keras(str(tmp_path / "missing.h5"))
    with pytest.raises(UserError, match="holds no weights of Keras' InceptionV3"):
        inception.from_keras(str(graph_file))


def _write_published(path, model):
    """The layout of the files that Keras publishes, which Keras 3 reads but no longer writes."""
    with h5py.File(path, "w") as file:
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{index}:0" for index in range(len(layer.get_weights()))]
            for name, array in zip(names, layer.get_weights()):
                group[name] = array
            group.attrs["weight_names"] = [name.encode() for name in names]
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]


@pytest.mark.full
@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("name", ["inception.h5", "inception.weights.h5"])
def test_keras_weights(tmp_path, top, name):
    """A file of a random InceptionV3: the same numbers as that network on pictures resized by hand."""
    keras.utils.set_random_seed(0)
    model = keras.applications.InceptionV3(
        weights=None, include_top=top, pooling=None if top else "avg"
    )
    path = tmp_path / name
    (model.save_weights if "weights" in name else lambda p: _write_published(p, model))(path)
    network = inception.load(weights=str(path))
    pictures = _pictures(2)
    features, probabilities = network.run(pictures)
    resized = np.stack([_tf1_resized(picture) for picture in pictures]).astype(np.float32)
    scaled = tf.constant(keras.applications.inception_v3.preprocess_input(resized))
    expected = model(scaled, training=False).numpy()
    assert features.shape == (2, 2048) and network.name == "Keras InceptionV3"
    if top:
        np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    else:
        np.testing.assert_allclose(features, expected, atol=1e-5)
        assert probabilities is None
    damaged = tmp_path / f"cut_{name}"
    damaged.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match="is cut short"):
        inception.from_keras(str(damaged))
