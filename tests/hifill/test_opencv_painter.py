"""The shipped weights in OpenCV: what TensorFlow gives, without TensorFlow, in little time and memory."""

from __future__ import annotations

import json
import os
import pathlib
import resource
import subprocess
import sys
import zipfile
from concurrent import futures

import cv2
import numpy as np
import pytest
import skimage.data
import tensorflow as tf

from common.errors import UserError
from common.models import opencv_network, portable, pretrained, weights
from hifill import SHIPPED, HiFill, export, opencv_painter

ROOT = pathlib.Path(__file__).resolve().parents[2]


def photograph(height, width):
    image = cv2.resize(skimage.data.chelsea(), (width, height))
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 : height // 2, width // 4 : width // 2] = 1
    return image, mask


@pytest.fixture(scope="module")
def paint():
    return opencv_painter.load()


# Windows of 256, 512 (medium ones), 256 (a thin photograph), and of 1024, which is reduced to 256.
@pytest.mark.parametrize("size", [(200, 130), (300, 451), (40, 700), (1030, 1100)])
def test_it_fills_as_tensorflow_does(paint, size):
    image, mask = photograph(*size)
    wanted, found = HiFill.pretrained().inpaint(image, mask), paint(image, mask)
    assert np.abs(found[mask == 1].astype(int) - image[mask == 1]).max() > 20
    assert np.abs(found.astype(int) - wanted).max() <= 1
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])


@pytest.mark.parametrize("size", opencv_painter.NETWORKS)
def test_the_file_serves_any_weights_of_the_configuration(size):
    tf.keras.utils.set_random_seed(3)
    model = HiFill(SHIPPED)
    arrays = {name: value.numpy() for name, value in weights.named_variables(model).items()}
    rng = np.random.default_rng(0)
    for name, array in arrays.items():  # also of weights that start as zeros
        arrays[name] = array + 0.02 * rng.standard_normal(array.shape, np.float32)
    weights.assign(model, arrays, "this test")
    inputs = {
        "image": rng.random((1, 3, size, size), np.float32),
        "mask": np.zeros((1, 1, size, size), np.float32),
    }
    inputs["mask"][..., 90:150, 60:200] = 1
    found = opencv_network.load(opencv_painter.NETWORKS[size], arrays)(
        inputs, ("output", "attention")
    )
    wanted = portable.function(export.network(model, size))(**inputs)
    np.testing.assert_allclose(found["output"], wanted["output"], atol=1e-4 * 255)
    np.testing.assert_allclose(found["attention"], wanted["attention"], atol=1e-4)


@pytest.mark.parametrize("path", opencv_painter.NETWORKS.values(), ids=lambda path: path.name)
def test_the_file_holds_no_weights(path):
    with zipfile.ZipFile(path) as archive:
        table = json.loads(archive.read(opencv_network.WEIGHTS))
    assert {key for _, key, _, _ in table} == set(weights.named_variables(HiFill(SHIPPED)))
    assert path.stat().st_size < 100_000


def test_threads_agree(paint):
    image, mask = photograph(256, 256)
    alone = paint(image, mask)
    with futures.ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: paint(image, mask), range(8)):
            np.testing.assert_array_equal(found, alone)


def test_it_is_there_with_the_package_and_needs_no_tensorflow():
    code = "import hifill, sys; hifill.opencv_painter.load(); assert 'tensorflow.python' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=300)


def test_an_unwritable_folder_of_temporary_files_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    paint = opencv_painter.load()
    with pytest.raises(UserError, match=r"cannot write .*gone"):
        paint(*photograph(60, 80))


def fill(folder, *flags):
    """(the finished `inpaint run` of a photograph where TensorFlow cannot be imported, CPU seconds)."""
    (folder / "tensorflow.py").write_text("raise SystemExit('TensorFlow was started')")
    for name, array in zip(("photo.png", "mask.png"), photograph(300, 451)):
        cv2.imwrite(str(folder / name), array if array.ndim == 3 else array * 255)
    command = [sys.executable, "-m", "inpainting", "run", "photo.png", "mask.png", "out.png"]
    path = os.pathsep.join((str(folder), str(ROOT)))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run(
        [*command, *flags],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return process, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_small_photograph_is_filled_in_at_most_four_seconds_and_without_tensorflow(tmp_path):
    process, seconds = fill(tmp_path)
    assert process.returncode == 0, process.stderr
    assert seconds < 4  # of processor time, which other programs do not lengthen
    image, mask = (cv2.imread(str(tmp_path / name)) for name in ("photo.png", "mask.png"))
    found, hole = cv2.imread(str(tmp_path / "out.png")), mask[..., 0] > 0
    np.testing.assert_array_equal(found[~hole], image[~hole])
    assert (found[hole] != image[hole]).any()


def test_tensorflow_can_be_asked_for(tmp_path):
    process, _ = fill(tmp_path, "--runtime=tensorflow")
    assert process.returncode and process.stderr.splitlines()[-1] == "TensorFlow was started"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--weights=none"], "--runtime=opencv runs HiFill with its shipped weights alone"),
        (["--model=zoom_to_inpaint"], "--runtime=opencv runs HiFill with its shipped weights"),
        (["--model=telea"], "--runtime=opencv but --model=telea is no network"),
        (["--weights=net.onnx"], "--runtime=opencv does not run --weights=net.onnx; use onnx"),
    ],
)
def test_other_networks_are_refused(tmp_path, flags, message):
    process, _ = fill(tmp_path, "--runtime=opencv", *flags)
    assert process.returncode == 2 and process.stderr.startswith(f"error: {message}")
    assert not (tmp_path / "out.png").exists()


@pytest.mark.full
def test_the_file_is_what_its_command_writes(tmp_path, monkeypatch):
    for package in portable.FORMATS["onnx"]:
        pytest.importorskip(package, reason=f"{package} is not installed")
    from studies.publish import opencv_network as study

    monkeypatch.setattr(study, "NETWORKS", {256: tmp_path / "network.zip"})
    study.main()
    _, arrays = weights.read(pretrained.find(ROOT / "hifill"), "hifill")
    inputs = {"image": np.ones((1, 3, 256, 256), np.float32)}
    inputs["mask"] = np.tri(256, dtype=np.float32)[None, None]
    shipped, made = (
        opencv_network.load(path, arrays)(inputs, ("output", "attention"))
        for path in (opencv_painter.NETWORKS[256], tmp_path / "network.zip")
    )
    for name, value in shipped.items():
        np.testing.assert_allclose(made[name], value, atol=1e-4)
