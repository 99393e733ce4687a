"""Networks for other runtimes: the exported function gives what the model gives, in TensorFlow and in each runtime."""

from __future__ import annotations

import dataclasses
import importlib.util

import cv2
import numpy as np
import pytest
import tensorflow as tf

import hifill
import zoom_to_inpaint
from common.errors import UsageError, UserError
from common.models import membrane, plain_ops, portable, window
from examples import onnx_photograph
from hifill import detail, residual_aggregation
from hifill import export as hifill_export
from zoom_to_inpaint import export as zoom_export

MODELS = {
    "hifill": (hifill.HiFill, hifill_export),
    "zoom_to_inpaint": (zoom_to_inpaint.ZoomToInpaint, zoom_export),
}
# What other runtimes lack or compute otherwise.
NOT_PLAIN = {"TopKV2", "While", "StatelessWhile", "Where", "ScatterNd", "TensorListReserve"}
NOT_PLAIN |= {"ScaleAndTranslate", "ResizeBicubic", "PartitionedCall", "StatefulPartitionedCall"}


@pytest.fixture(scope="module")
def tiny():
    """{name: untrained model}, HiFill's of the size that is exported."""
    tf.keras.utils.set_random_seed(1)
    few = {"channels": 4, "coarse_plain_layers": 1}
    # An untrained network's scores are large, and so are their roundings; a low temperature keeps them small.
    zoom = zoom_to_inpaint.ZoomConfig(channels=4, sr_channels=4, size=16, temperature=1e-3)
    return {
        "hifill": hifill.HiFill(dataclasses.replace(hifill.PAPER, size=64, **few)),
        "zoom_to_inpaint": zoom_to_inpaint.ZoomToInpaint(zoom),
    }


def expected(model, name, image, mask):
    """What the model itself gives for channels-first inputs: {"output", and "attention" of HiFill}."""
    planes = image.transpose(0, 2, 3, 1), mask.transpose(0, 2, 3, 1)
    if name == "hifill":
        size = image.shape[2]
        model = model if model.config.size == size else model.at_size(size)
        _, filled, attention = model.generate(*planes)
        outputs = {"attention": attention.numpy()}
    else:
        filled, outputs = model.generate(*planes)[3], {}
    pasted = np.where(planes[1] > 0, filled, planes[0])
    return {"output": 255 * pasted.transpose(0, 3, 1, 2), **outputs}


def example(size):
    """Noise, and a hole that is no rectangle."""
    image = np.random.default_rng(0).random((1, 3, size, size), dtype=np.float32)
    mask = np.zeros((1, 1, size, size), np.float32)
    mask[..., size // 4 : size // 2, size // 3 : size // 2] = 1
    mask[..., : size // 8, -3:] = 1
    return image, mask


def assert_same(found, wanted, tolerance):
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name].shape == value.shape
        scale = 255 if name == "output" else 1
        np.testing.assert_allclose(found[name] / scale, value / scale, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("name", MODELS)
def test_function_of_plain_ops_gives_what_the_model_gives(tiny, name):
    with plain_ops.only():
        traced = portable.function(MODELS[name][1].network(tiny[name], 64)).get_concrete_function()
    inputs = {tensor.name: tuple(tensor.shape) for tensor in traced.inputs[:2]}
    assert inputs == {"image:0": (1, 3, 64, 64), "mask:0": (1, 1, 64, 64)}
    assert not {op.type for op in traced.graph.get_operations()} & NOT_PLAIN
    image, mask = example(64)
    found = traced(image=tf.constant(image), mask=tf.constant(mask))
    found = {key: value.numpy() for key, value in found.items()}
    assert_same(found, expected(tiny[name], name, image, mask), 1e-4)
    outside = mask[0, 0] == 0
    np.testing.assert_array_equal(
        found["output"][0, :, outside], (255 * tf.constant(image))[0].numpy()[:, outside].T
    )


def test_membrane_of_plain_ops():
    rng = np.random.default_rng(0)
    image = tf.constant(rng.random((1, 17, 24, 3), dtype=np.float32))
    mask = tf.constant((rng.random((1, 17, 24, 1)) < 0.7).astype(np.float32))
    usual = membrane.fill(image, mask)
    with plain_ops.only():
        plain = membrane.fill(image, mask)
    np.testing.assert_allclose(plain, usual, atol=1e-5)


@pytest.mark.parametrize("length, new_length, antialias", [(9, 18, False), (24, 8, True)])
def test_resizing_as_sums_of_rows_and_columns(length, new_length, antialias):
    rng = np.random.default_rng(0)
    image = tf.constant(rng.random((2, length, 2 * length, 3), dtype=np.float32))
    size = [new_length, 2 * new_length]
    weighting = rng.random((2, *size, 3), dtype=np.float32)
    found = []
    for resize in (plain_ops.resize, tf.image.resize):
        with tf.GradientTape() as tape:
            tape.watch(image)
            resized = resize(image, size, "bicubic", antialias=antialias)
        found.append((resized, tape.gradient(resized, image, weighting)))
    for ours, theirs in zip(*found):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("detail_blur", [0.0, 2.0])
def test_the_example_adds_residuals_as_the_package_does(detail_blur):
    """The photograph's sides are no multiples of anything, so the example has to pad it."""
    rng, seen = np.random.default_rng(2), []
    image = cv2.resize(rng.integers(0, 256, (12, 15, 3), dtype=np.uint8), (190, 131))
    hole = np.zeros((131, 190), bool)
    hole[50:90, 60:120] = True

    def run(image, mask):  # a network that knows nothing
        output = np.where(mask > 0, rng.random(image.shape, np.float32), image) * 255
        seen.extend((output, rng.dirichlet(np.ones(16), 16).astype(np.float32)[np.newaxis]))
        return seen

    filled = onnx_photograph.fill(run, 64, image, hole, detail_blur)
    np.testing.assert_array_equal(filled[~hole], image[~hole])
    wanted, padded = (
        np.pad(x, [(0, 1), (0, 2), (0, 0)][: x.ndim], "symmetric") for x in (image, hole)
    )
    output = np.ascontiguousarray(seen[0][0].transpose(1, 2, 0))
    blur = detail.blur_of(padded.size**0.5, 64, detail_blur)
    low = residual_aggregation.average_down(wanted, 64)
    touched = window.cells_touching(padded, 64)
    residual_aggregation.fill(wanted, padded, low, touched, output, seen[1][0], blur=blur)
    assert np.abs(filled.astype(int) - wanted[:131, :190])[hole].max() <= 1
    assert (filled != image).any()


@pytest.mark.parametrize(
    "name, size", [("hifill", 32), ("hifill", 100), ("hifill", 4096), ("zoom_to_inpaint", 1024)]
)
def test_sizes_that_cannot_be_exported_are_refused(tiny, name, size):
    with pytest.raises(UsageError, match=f"--size={size}"):
        MODELS[name][1].network(tiny[name], size)


@pytest.mark.parametrize("kind", portable.FORMATS)
def test_a_missing_package_names_the_extra(monkeypatch, kind):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"--format={kind} needs .* pip install '.\[{kind}\]'$"):
        portable.check_installed(kind)


def test_a_file_with_other_values_is_not_written(monkeypatch, tmp_path):
    monkeypatch.setattr(portable, "check_installed", lambda kind: None)
    monkeypatch.setattr(portable, "_to_onnx", lambda network: b"file")
    wrong = {"output": np.full((1, 3, 16, 16), np.nan, np.float32), "right": np.zeros(1)}
    monkeypatch.setattr(portable, "_run_onnx", lambda path, inputs: wrong)
    network = portable.Network(lambda image, mask: {"right": tf.zeros(1), "output": image}, 16)
    with pytest.raises(UserError, match="was not written"):
        portable.export(network, "onnx", tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


# With the weights of the package, in each runtime.


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """files(name, kind) -> (path, inputs, what the model gives); each file is written once."""
    folder, written = tmp_path_factory.mktemp("files"), {}

    def file(name, kind):
        for package in portable.FORMATS[kind]:
            pytest.importorskip(package, reason=f"{package} is not installed (extra {kind})")
        if (name, kind) not in written:
            model_class, export = MODELS[name]
            model = model_class.pretrained()
            path = folder / f"{name}.{'onnx' if kind == 'onnx' else 'tflite'}"
            portable.export(export.network(model, 64), kind, path)
            image, mask = example(64)
            wanted = expected(model, name, image, mask)
            written[name, kind] = str(path), {"image": image, "mask": mask}, wanted
        return written[name, kind]

    return file


def run_openvino(path, inputs):
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    results = openvino.Core().compile_model(path, "CPU", options)(inputs)
    return {key.get_any_name(): value for key, value in results.items()}


def run_opencv(path, inputs):
    engine = [cv2.dnn.ENGINE_CLASSIC] if hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
    network = cv2.dnn.readNetFromONNX(path, *engine)
    for name, value in inputs.items():
        network.setInput(value, name)
    names = ["output", "attention"]
    return dict(zip(names, network.forward(names)))


RUNTIMES = {
    "onnxruntime": ("onnx", portable._run_onnx),
    "openvino": ("onnx", run_openvino),
    "opencv": ("onnx", run_opencv),
    "litert": ("litert", portable._run_litert),
}


@pytest.mark.full
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_each_runtime_gives_what_tensorflow_gives(files, name, runtime):
    if (name, runtime) == ("zoom_to_inpaint", "opencv"):
        pytest.skip("OpenCV does not read Zoom-to-Inpaint's attention (docs/onnx.md)")
    kind, run = RUNTIMES[runtime]
    path, inputs, wanted = files(name, kind)
    assert_same(run(path, inputs), wanted, 1e-4)
