"""HiFill from an ONNX file: what the model gives, without TensorFlow, and one line for every other file."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import pathlib
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

import hifill
from common.errors import UserError
from common.models import portable, runtimes
from hifill import export, onnx_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = dataclasses.replace(
    hifill.PAPER, size=64, channels=4, coarse_plain_layers=1, enlarge=False, name="tiny"
)
SHAPES = {"image": (1, 3, 64, 64), "mask": (1, 1, 64, 64)}
OUTPUTS = {"output": (1, 3, 64, 64), "attention": (1, 16, 16)}

# An onnxruntime whose file fills holes with a gray level and attends to nothing, and that file.
NETWORK = '"\tanonymous'  # as a protocol buffer: field 4 holds nine bytes
STAND_IN = f"""
import numpy as np
NETWORK = {NETWORK!r}
class Port:
    def __init__(self, name, *shape):
        self.name, self.shape = name, list(shape)
class SessionOptions:
    log_severity_level = 2
severity = [2]
set_default_logger_severity = severity.append
class InferenceSession:
    def __init__(self, path, options, providers, enable_fallback=True):
        if open(path).read() != NETWORK:
            if enable_fallback or min(options.log_severity_level, severity[-1]) < 4:
                print("EP Error")
            raise RuntimeError("[Error] 7 : INVALID_PROTOBUF\\nprotobuf parsing failed")
    def get_inputs(self):
        return [Port("image", 1, 3, 64, 64), Port("mask", 1, 1, 64, 64)]
    def get_outputs(self):
        return [Port("output", 1, 3, 64, 64), Port("attention", 1, 16, 16)]
    def run(self, names, feed):
        assert feed["image"].dtype == feed["mask"].dtype == np.float32
        return [np.full((1, 3, 64, 64), 77.0, np.float32), np.zeros((1, 16, 16), np.float32)]
"""


def photograph(height, width):
    rng = np.random.default_rng(height)
    image = cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (width, height))
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 : height // 2, width // 4 : width // 2] = 1
    return image, mask


@pytest.mark.parametrize("detail_blur", [0.0, 2.0])
def test_it_fills_as_the_model_does(monkeypatch, detail_blur):
    tf.keras.utils.set_random_seed(1)
    model = hifill.HiFill(dataclasses.replace(TINY, detail_blur=detail_blur))
    exported = export.network(model, 64)
    function = portable.function(exported)
    network = runtimes.Network(
        lambda feed: {name: value.numpy() for name, value in function(**feed).items()},
        SHAPES,
        OUTPUTS,
        dict(exported.properties),
    )
    monkeypatch.setattr(runtimes, "load", lambda path, runtime: network)
    paint = onnx_file.load("tiny.onnx")
    for size in ((64, 64), (150, 110), (40, 33), (60, 400)):
        image, mask = photograph(*size)
        wanted, found = model.inpaint(image, mask), paint(image, mask)
        assert (wanted != image).any()
        assert np.abs(found.astype(int) - wanted).max() <= 1
        np.testing.assert_array_equal(found[mask == 0], image[mask == 0])


@pytest.mark.parametrize("blur", ["much", "nan", "-1", "1e9"])
def test_a_property_that_is_no_blur_is_refused(monkeypatch, blur):
    network = runtimes.Network(None, SHAPES, OUTPUTS, {"detail_blur": blur})
    monkeypatch.setattr(runtimes, "load", lambda path, runtime: network)
    with pytest.raises(UserError, match=rf"net\.onnx: its metadata have detail_blur = '{blur}'"):
        onnx_file.load("net.onnx")


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (SHAPES, {"output": OUTPUTS["output"]}),  # LaMa, Zoom-to-Inpaint
        (SHAPES, {**OUTPUTS, "attention": (1, 16, 9)}),
        ({"image": SHAPES["image"]}, OUTPUTS),
        ({"image": (1, 3, "height", "width"), "mask": SHAPES["mask"]}, OUTPUTS),
        ({}, {}),
        ({**SHAPES, "image": ()}, OUTPUTS),
        ({**SHAPES, "mask": (1, 3, 64, 64)}, OUTPUTS),
        ({**SHAPES, "image": (1, 3, 2**40, 2**40)}, OUTPUTS),
        (
            {"image": (1, 3, 40, 40), "mask": (1, 1, 40, 40)},
            {"output": (1, 3, 40, 40), "attention": (1, 4, 4)},
        ),
    ],
)
def test_another_network_is_refused(monkeypatch, inputs, outputs):
    network = runtimes.Network(None, inputs, outputs)
    monkeypatch.setattr(runtimes, "load", lambda path, runtime: network)
    with pytest.raises(UserError, match=r"lama\.onnx is not a file of HiFill"):
        onnx_file.load("lama.onnx")


@pytest.mark.parametrize(
    "output",
    [
        np.full((1, 3, 64, 64), "x"),
        np.zeros((1, 3, 64, 65), np.float32),
        np.float32(1),
        np.full((1, 3, 64, 64), 0x7F800001, np.uint32).view(np.float32),  # NaN that warns when used
        np.full((1, 3, 64, 64), 1e300),
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")  # it would be printed
def test_what_a_network_gives_must_be_as_its_file_says(monkeypatch, output):
    found = {"output": output, "attention": np.zeros((1, 16, 16), np.float32)}
    network = runtimes.Network(lambda feed: found, SHAPES, OUTPUTS)
    monkeypatch.setattr(runtimes, "load", lambda path, runtime: network)
    paint = onnx_file.load("net.onnx")
    with pytest.raises(UserError, match=r"net\.onnx: the network gives .* as output"):
        paint(*photograph(80, 90))


def test_a_network_that_cannot_be_run_is_one_line(monkeypatch, tmp_path):
    def run(feed):
        raise RuntimeError("Non-zero status code\nInvalid argument")

    (tmp_path / "net.onnx").write_text(NETWORK)
    network = runtimes.Network(run, SHAPES, OUTPUTS)
    monkeypatch.setattr(runtimes, "installed", lambda runtime: "onnxruntime")
    monkeypatch.setattr(runtimes, "_onnxruntime", lambda path: network)
    paint = onnx_file.load(str(tmp_path / "net.onnx"))
    with pytest.raises(
        UserError, match=r"net\.onnx: onnxruntime cannot run .*\(Invalid argument\)"
    ):
        paint(*photograph(80, 90))


@pytest.mark.parametrize("name", ["folder", "pipe", "nothing", "x" * 256])
def test_what_is_no_file_is_not_read(monkeypatch, tmp_path, name):
    (tmp_path / "folder").mkdir()
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(runtimes, "installed", lambda runtime: "onnxruntime")
    with pytest.raises(UserError, match=f"{name} is not a file"):
        onnx_file.load(str(tmp_path / name))


def test_a_missing_runtime_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "openvino" or None)
    assert runtimes.installed(None) == "openvino"
    with pytest.raises(UserError, match=r"needs onnxruntime: .* -m pip install onnxruntime"):
        runtimes.installed("onnxruntime")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs onnxruntime or openvino: .*install onnxruntime"):
        runtimes.installed(None)


@pytest.fixture
def without_tensorflow(tmp_path, run_command):
    """run(*flags) -> the finished `inpaint run` of photo.png where TensorFlow cannot be imported."""
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('TensorFlow was started')")
    (tmp_path / "onnxruntime.py").write_text(STAND_IN)
    (tmp_path / "net.onnx").write_text(NETWORK)
    image, mask = photograph(80, 90)
    cv2.imwrite(str(tmp_path / "photo.png"), image)
    cv2.imwrite(str(tmp_path / "mask.png"), mask * 255)
    path = os.pathsep.join((str(tmp_path), str(ROOT)))

    def run(*flags):
        words = ("-minpainting", "run", "photo.png", "mask.png", "out.png", *flags)
        return run_command(*words, cwd=tmp_path, PYTHONPATH=path)

    return run


def test_the_command_needs_no_tensorflow(without_tensorflow, tmp_path):
    process = without_tensorflow("--weights=net.onnx", "--runtime=onnxruntime")
    assert process.returncode == 0, process.stderr
    image, mask = (cv2.imread(str(tmp_path / name)) for name in ("photo.png", "mask.png"))
    found, hole = cv2.imread(str(tmp_path / "out.png")), mask[..., 0] > 0
    np.testing.assert_array_equal(found[~hole], image[~hole])
    assert np.abs(found[hole].astype(int) - 77).max() < 40


def test_a_damaged_file_and_other_weights_are_one_line(without_tensorflow, tmp_path):
    (tmp_path / "net.onnx").write_text(NETWORK.replace("anonymous", "Anonymous"))
    process = without_tensorflow("--weights=net.onnx")
    said = "error: net.onnx: onnxruntime cannot read this file (protobuf parsing failed)\n"
    assert (process.returncode, process.stdout, process.stderr) == (1, "", said)
    process = without_tensorflow("--runtime=openvino")
    assert process.returncode == 2
    assert process.stderr.startswith("error: --runtime=openvino goes with --weights=FILE.onnx")


@pytest.mark.full
@pytest.mark.parametrize("runtime", runtimes.NAMES)
def test_the_shipped_weights_fill_as_with_tensorflow(tmp_path, runtime):
    for package in (*portable.FORMATS["onnx"], runtime):
        pytest.importorskip(package, reason=f"{package} is not installed")
    model = hifill.HiFill.pretrained().at_size(256)  # a file has one size, whatever the window
    portable.export(export.network(model, 256), "onnx", tmp_path / "net.onnx")
    image, mask = photograph(300, 420)
    wanted, found = (
        paint(image, mask)
        for paint in (model.inpaint, onnx_file.load(str(tmp_path / "net.onnx"), runtime))
    )
    assert np.abs(found.astype(int) - wanted).max() <= 1
