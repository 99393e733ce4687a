"""VGG features: against a direct computation from the file's arrays, and every way in which a file can be wrong.

The weights are random: what is tested is that the file's own numbers are used, all of them, and no others.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from common.errors import UserError
from zoom_to_inpaint import vgg

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = [f"block{b}_conv{c}" for b, n in ((1, 2), (2, 2), (3, 4), (4, 1)) for c in range(1, n + 1)]
MEAN = (123.68, 116.779, 103.939)  # of ImageNet, red, green, blue


@pytest.fixture(scope="module")
def network():
    """A random VGG19 whose biases are not zero either."""
    keras.utils.set_random_seed(0)
    model = keras.applications.VGG19(weights=None, include_top=False)
    rng = np.random.default_rng(0)
    for name in NAMES:
        bias = model.get_layer(name).bias
        bias.assign(rng.normal(0, 5, bias.shape))
    return model


@pytest.fixture(scope="module")
def arrays(network):
    return {name: network.get_layer(name).get_weights() for name in NAMES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("vgg")


def _write(path, arrays, top=True):
    """A file in the layout of the two that Keras publishes (the layers that are not needed are left small)."""
    rest = {"block4_conv2": [np.ones((3, 3, 8, 8), np.float32), np.ones(8, np.float32)]}
    if top:
        rest["fc1"] = [np.ones((8, 8), np.float32), np.ones(8, np.float32)]
    with h5py.File(path, "w") as file:
        file.create_group("block1_pool")
        for name, (kernel, bias) in {**rest, **arrays}.items():
            file[f"{name}/{name}_W_1:0"] = kernel
            file[f"{name}/{name}_b_1:0"] = bias
        file.attrs["layer_names"] = [name.encode() for name in file]
    return path


@pytest.fixture(scope="module")
def published(folder, arrays):
    return _write(folder / "published.h5", arrays)


@pytest.fixture(scope="module")
def features(published):
    return vgg.load(str(published))


def _triangle_matrix(before, after):
    """Antialiased bilinear resampling as a matrix: triangles as wide as the coarser of the two grids."""
    matrix = np.zeros((after, before))
    width = max(before / after, 1)
    for row in range(after):
        centre = (row + 0.5) * before / after
        for column in range(before):
            matrix[row, column] = max(0, 1 - abs(column + 0.5 - centre) / width)
        matrix[row] /= matrix[row].sum()
    return matrix


def _direct(images, arrays):
    """The features from the arrays, every step written out."""
    rows, columns = (_triangle_matrix(side, 224) for side in images.shape[1:3])
    resized = np.einsum("yh,xw,bhwc->byxc", rows, columns, images, optimize=True)
    x = tf.constant((resized * 255 - MEAN)[..., ::-1], tf.float32)
    for name in NAMES:
        if name in ("block2_conv1", "block3_conv1", "block4_conv1"):
            b, h, w, c = x.shape
            x = tf.reduce_max(tf.reshape(x, [b, h // 2, 2, w // 2, 2, c]), axis=[2, 4])
        kernel, bias = arrays[name]
        x = tf.maximum(tf.nn.conv2d(x, kernel, strides=1, padding="SAME") + bias, 0)
    return x


def _images(height, width, batch=1):
    return np.random.default_rng(1).uniform(0, 1, (batch, height, width, 3)).astype(np.float32)


def _assert_features(found, expected):
    assert found.shape[1:] == (28, 28, 512) and found.dtype == tf.float32
    # 9 convolutions in float32 of values that start at 255: relative to the largest.
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.max(expected))


@pytest.mark.parametrize("size", [(224, 224), (300, 256), (64, 90)])
def test_features_equal_the_direct_computation(features, arrays, size):
    images = _images(*size)
    expected = _direct(images, arrays)
    assert 0.1 < np.mean(expected.numpy() > 0) < 0.9  # neither dead nor linear
    _assert_features(features(images), expected)


def test_features_are_those_of_keras_network(features, network):
    images = _images(224, 224)
    until = keras.Model(network.input, network.get_layer("block4_conv1").output)
    _assert_features(
        features(images), until(keras.applications.vgg19.preprocess_input(images * 255.0))
    )


def _same_variables(layer, arrays):
    expected = [array for name in NAMES for array in arrays[name]]
    assert len(layer.weights) == len(expected) == 18
    for variable, array in zip(layer.weights, expected):
        np.testing.assert_array_equal(variable, array)


def test_both_published_files_load(features, arrays, folder):
    _same_variables(features, arrays)
    _same_variables(vgg.load(str(_write(folder / "notop.h5", arrays, top=False))), arrays)


@pytest.mark.parametrize("name", ["vgg19.weights.h5", "whole_model.h5", "legacy.h5"])
def test_files_that_keras_writes_load(network, arrays, folder, name):
    path = str(folder / name)
    save = network.save if name == "whole_model.h5" else network.save_weights
    try:
        save(path)
    except ValueError as error:
        assert name == "legacy.h5"
        pytest.skip(f"Keras 3 no longer writes this kind: {error}")
    _same_variables(vgg.load(path), arrays)


def test_nothing_is_trained_and_nothing_behind_the_layer_is_kept(features):
    assert not features.trainable and features.trainable_variables == []
    # Up to block4_conv1, biases included; the whole VGG19 has 20,024,384.
    assert sum(int(np.prod(variable.shape)) for variable in features.weights) == 3_505_728


def test_slopes_reach_the_images_in_a_graph(features):
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def slope(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            value = tf.reduce_mean(features(images))
        return value, tape.gradient(value, images)

    for size in ((96, 80), (64, 64)):  # one graph, two sizes
        images = _images(*size)
        value, found = slope(images)
        np.testing.assert_allclose(value, tf.reduce_mean(features(images)), rtol=1e-5)
        assert np.isfinite(found).all() and np.mean(found.numpy() != 0) > 0.9


def test_slope_is_finite_on_a_constant_image(features):
    images = tf.zeros([1, 64, 64, 3])
    with tf.GradientTape() as tape:
        tape.watch(images)
        value = tf.reduce_sum(tf.abs(features(images) - features(images)))
    assert float(value) == 0 and np.isfinite(tape.gradient(value, images)).all()


def test_features_are_float32_under_a_half_precision_policy(published, features):
    images = _images(64, 64)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        _assert_features(vgg.load(str(published))(images), features(images))
    finally:
        keras.mixed_precision.set_global_policy("float32")


def test_works_in_a_mirrored_strategy(published, features):
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        mirrored = vgg.load(str(published))
    images = _images(64, 64)
    found = tf.function(lambda: strategy.run(mirrored, args=(tf.constant(images),)))()
    _assert_features(found, features(images))


def test_none_turns_the_term_off():
    assert vgg.load("none") is None


def _message(weights):
    with pytest.raises(UserError) as error:
        vgg.load(str(weights))
    message = str(error.value)
    assert "--vgg_weights" in message and "\n" not in message
    assert str(weights) in message
    return message


def test_nothing_given_is_an_error():
    assert "is empty" in _message("")


def test_a_missing_file_is_an_error(tmp_path):
    assert "no such file" in _message(tmp_path / "vgg.h5")
    assert "no such file" in _message(tmp_path)  # a folder


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_file_cut_short_is_an_error(published, tmp_path, share):
    content = published.read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: int(share * len(content))])
    assert "cut short" in _message(tmp_path / "cut.h5")


def test_another_kind_of_file_is_an_error(tmp_path):
    (tmp_path / "readme.h5").write_text("weights follow")
    assert "not an HDF5 file" in _message(tmp_path / "readme.h5")


def test_damaged_arrays_are_an_error(arrays, tmp_path):
    """A file that opens, with an array that does not check out."""
    path = tmp_path / "damaged.h5"
    with h5py.File(path, "w") as file:
        for name in NAMES:
            for array in arrays[name]:
                file.create_dataset(f"{name}/{array.ndim}", data=array, fletcher32=True)
        offset = file["block3_conv2/4"].id.get_chunk_info(0).byte_offset
    with open(path, "r+b") as stream:
        stream.seek(offset)
        stream.write(b"scratch")
    assert "cut short" in _message(path)


@pytest.mark.parametrize("missing", NAMES)
def test_a_file_without_one_layer_is_an_error(arrays, tmp_path, missing):
    kept = {name: pair for name, pair in arrays.items() if name != missing}
    message = _message(_write(tmp_path / "part.h5", kept))
    assert f"of {missing}, found nothing" in message


def test_vgg16_is_not_vgg19(tmp_path):
    model = keras.applications.VGG16(weights=None, include_top=False)
    by_name = {x.name: x.get_weights() for x in model.layers if x.name in NAMES}
    assert "of block3_conv4, found nothing" in _message(_write(tmp_path / "vgg16.h5", by_name))
    path = tmp_path / "vgg16.weights.h5"
    model.save_weights(str(path))
    message = _message(path)
    assert "of block3_conv4, found [3, 3, 256, 512] and [512]" in message


@pytest.mark.parametrize("fault", ["no bias", "shape", "empty", "array for a layer"])
def test_a_layer_that_does_not_fit_is_an_error(arrays, tmp_path, fault):
    path = _write(tmp_path / "odd.h5", arrays)
    kernel, bias = arrays["block2_conv2"]
    with h5py.File(path, "r+") as file:
        del file["block2_conv2"]
        if fault == "no bias":
            file["block2_conv2/W:0"] = kernel
        elif fault == "shape":
            file["block2_conv2/W:0"], file["block2_conv2/b:0"] = kernel[..., :64], bias
        elif fault == "empty":
            file.create_group("block2_conv2")
        else:
            file["block2_conv2"] = bias
    assert re.search(
        r"expected kernel \[3, 3, 128, 128\] and bias \[128\] of block2_conv2", _message(path)
    )


def test_values_that_are_no_numbers_are_an_error(arrays, tmp_path):
    kernel, bias = arrays["block4_conv1"]
    broken = {**arrays, "block4_conv1": [kernel, np.where(np.arange(512) == 7, np.nan, bias)]}
    assert "block4_conv1 holds NaN" in _message(_write(tmp_path / "nan.h5", broken))


def test_published_weights_come_from_keras_by_name(network, arrays, monkeypatch):
    asked = []

    def keras_network(**options):
        asked.append(options)
        return network

    monkeypatch.setattr(keras.applications, "VGG19", keras_network)
    _same_variables(vgg.load("imagenet"), arrays)
    assert asked == [{"include_top": False, "weights": "imagenet"}]


OFFLINE = """
import socket

def refuse(*args, **kwargs):
    raise OSError("offline")

socket.getaddrinfo = refuse
from common.errors import UserError
from zoom_to_inpaint import vgg
try:
    vgg.load("imagenet")
except UserError as error:
    print("one line:", error)
"""


def test_a_failed_download_says_what_to_fetch(tmp_path):
    """A process of its own, because Keras 3 reads the place of its cache when it is imported."""
    result = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        cwd=ROOT,
        env={**os.environ, "KERAS_HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    line = result.stdout.strip().splitlines()[-1]
    assert line.startswith("one line: --vgg_weights=imagenet"), result.stderr
    for part in (
        vgg.PUBLISHED,
        str(tmp_path / "models"),
        "--vgg_weights=FILE",
        "--vgg_weights=none",
    ):
        assert part in line
