"""The page that needs no server, examples/browser, in a real Chromium: `make test-browser`.

Filling needs onnxruntime-web: ONNXRUNTIME_WEB names a folder with the two files of it that docs/onnx.md puts beside the
page. The model is the shipped weights'.
"""

from __future__ import annotations

import functools
import http.server
import io
import os
import pathlib
import shutil
import threading

import cv2
import numpy as np
import pytest
import skimage
from PIL import Image, ImageCms

from common.models import opencv_network, pretrained, weights
from examples import onnx_photograph
from hifill import opencv_painter
from hifill.config import SHIPPED

pytestmark = pytest.mark.browser
ROOT = pathlib.Path(__file__).resolve().parents[3]
FOLDERS = ("examples/browser", "inpainting/serve/page")
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm", "model.onnx")
WIDTH, HEIGHT = 800, 601  # more than the network's images, and no multiple of its patches


class Handler(http.server.SimpleHTTPRequestHandler):
    """What `python -m http.server` answers with, but silent."""

    def log_message(self, *_):
        pass


@pytest.fixture
def static(tmp_path):
    """static(file, ...) -> address of examples/browser with these files beside it."""
    servers = []

    def start(*files):
        folder = tmp_path / "site"
        for name in FOLDERS:
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*FILES))
        for file in files:
            (folder / FOLDERS[0] / file.name).symlink_to(file)
        handler = functools.partial(Handler, directory=folder)
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/examples/browser/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def files(tmp_path):
    """The three files, and the shipped weights of the third."""
    folder = os.environ.get("ONNXRUNTIME_WEB")
    if not folder:
        pytest.skip(f"ONNXRUNTIME_WEB names no folder with {FILES[0]} and {FILES[1]}")
    _, arrays = weights.read(
        pretrained.find(opencv_painter.NETWORKS[SHIPPED.size].parent), "hifill"
    )
    model = tmp_path / FILES[2]
    model.write_bytes(opencv_network.whole(opencv_painter.NETWORKS[SHIPPED.size], arrays))
    return [*(pathlib.Path(folder).resolve() / name for name in FILES[:2]), model], arrays


@pytest.fixture
def png(tmp_path):
    """A file of WIDTH x HEIGHT: coarse noise under fine noise, so that there is detail to carry."""
    rng = np.random.default_rng(0)
    coarse = cv2.resize(rng.integers(0, 200, (9, 12, 3), dtype=np.uint8), (WIDTH, HEIGHT))
    path = tmp_path / "photo.png"
    Image.fromarray(coarse + rng.integers(0, 56, coarse.shape, dtype=np.uint8)).save(path)
    return path


def test_it_names_the_files_that_are_missing(static, browse, tmp_path):
    model = tmp_path / "model.onnx"
    model.touch()
    page = browse(static(model))
    page.wait(
        lambda: page["error"].is_displayed() if page.driver.find_elements("id", "error") else None
    )
    said = page["error-text"].text
    assert (
        said.startswith(f"Missing beside this page: {FILES[0]}, {FILES[1]}. ") and "\n" not in said
    )


def test_opened_as_a_file_it_says_that_it_needs_a_web_server(browse):
    page = browse((ROOT / "examples/browser/index.html").as_uri(), complaints=False)
    assert "python -m http.server" in page["not-started"].text


def test_painting_needs_none_of_those_files(static, browse, png):
    """The server's tools are gone, and the others work: brush, undo, masks."""
    page = opened(browse(static()), png)
    tools = page.driver.find_elements("name", "tool")
    assert [tool.get_attribute("value") for tool in tools] == ["paint", "erase", "hand"]
    page.press("s", "x")  # the keys of the tools that are not here
    page.drag((150, 150), (300, 150))
    painted = page.mask()
    assert painted.shape == (HEIGHT, WIDTH) and painted[150, 200] and not painted[400, 400]
    saved = max(page.downloads.iterdir())
    page["undo"].click()
    page["mask-file"].send_keys(str(saved))
    page.wait(lambda: page.status() == "The mask is added.")
    np.testing.assert_array_equal(page.mask(), painted)


def test_it_fills_as_the_numpy_example_does(static, browse, png, files):
    """And again, on top of the first result; what is not painted stays. OpenCV runs the network for the example."""
    paths, arrays = files
    page = opened(browse(static(*paths)), png)
    network = opencv_network.load(opencv_painter.NETWORKS[SHIPPED.size], arrays)

    def run(image, mask):
        return network({"image": image, "mask": mask}, ("output", "attention")).values()

    before = np.asarray(Image.open(png))
    for stroke in (((150, 150), (300, 150)), ((500, 400), (560, 480))):
        page.drag(*stroke)
        hole = page.mask()
        page.fill()
        result = page.download()
        assert result.name.startswith("photo-filled") and result.suffix == ".png"
        after = np.asarray(Image.open(result).convert("RGB"))
        np.testing.assert_array_equal(after[~hole], before[~hole])
        wanted = onnx_photograph.fill(run, SHIPPED.size, before, hole, SHIPPED.detail_blur)
        difference = np.abs(after[hole].astype(int) - wanted[hole])
        assert difference.max() <= 1 and difference.mean() < 0.01
        assert np.abs(wanted[hole].astype(int) - before[hole]).mean() > 1
        before = after


def test_a_fill_is_cancelled_and_the_next_one_works(static, browse, png, files):
    page = opened(browse(static(*files[0])), png)
    page.drag((150, 150), (300, 150))
    page["fill"].click()
    page.wait(page["cancel"].is_displayed)
    page["cancel"].click()
    page.wait(lambda: page.status() == "The fill is cancelled.")
    page.wait(page.idle)
    assert page["download"].get_attribute("aria-disabled") == "true"
    page.fill()
    assert page["download"].get_attribute("aria-disabled") == "false"


def test_a_photograph_smaller_than_the_network_is_refused(static, browse, tmp_path, files):
    page = browse(static(*files[0]))
    Image.new("RGB", (320, 240)).save(tmp_path / "small.png")
    opened(page, tmp_path / "small.png", (320, 240))
    page.drag((60, 60), (140, 60))
    page["fill"].click()
    page.wait(page["error"].is_displayed)
    side = SHIPPED.size
    assert page["error-text"].text == (
        f"The photograph has 320x240 pixels; this model fills photographs of {side}x{side} or more."
    )


def test_it_turns_converts_and_whitens_as_the_docs_say(static, browse, tmp_path, files):
    """Photographs with an orientation, with a colour profile, and with transparent pixels."""
    pixels = np.full((400, 300, 3), 90, np.uint8)
    pixels[:200, :, 0] = 200
    turned, tagged, clear = (tmp_path / name for name in ("turned.jpg", "tagged.png", "clear.png"))
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels).save(turned, exif=exif, quality=95)
    rocket = Image.open(pathlib.Path(skimage.__file__).parent / "data" / "rocket.jpg")
    profile = ImageCms.ImageCmsProfile(io.BytesIO(rocket.info["icc_profile"]))
    rocket.save(tagged, icc_profile=rocket.info["icc_profile"])
    alpha = np.full((400, 300, 1), 255, np.uint8)
    alpha[300:] = 0
    Image.fromarray(np.dstack([pixels, alpha])).save(clear)
    page = browse(static(*files[0]))

    def filled(photo, size):
        opened(page, photo, size)
        page.drag((100, 100), (120, 100))
        hole = page.mask()
        page.fill()
        result = Image.open(page.download())
        assert "icc_profile" not in result.info and not result.getexif()
        return np.asarray(result.convert("RGB"), int), hole

    result, hole = filled(turned, (400, 300))
    assert np.abs(result - np.rot90(pixels, -1))[~hole].mean() < 2  # JPEG
    result, hole = filled(tagged, rocket.size)
    converted = ImageCms.profileToProfile(rocket, profile, ImageCms.createProfile("sRGB"))
    differences = [np.abs(result - other)[~hole].mean() for other in (converted, rocket)]
    assert differences[0] < 1 < 3 < differences[1], differences
    result, hole = filled(clear, (300, 400))
    assert (result[300:] == 255).all()
    np.testing.assert_array_equal(result[:300][~hole[:300]], pixels[:300][~hole[:300]])


def opened(page, photo, size=(WIDTH, HEIGHT)):
    """The page once it has started and shows the photograph."""
    page.size = size
    started = "return document.getElementById('model')?.length || document.getElementById('error-text')?.textContent"
    page.wait(lambda: page.driver.execute_script(started))
    page["photograph-file"].send_keys(str(photo))
    page.wait(lambda: "{} by {} pixels".format(*size) in page.status())
    page.wait(page.idle)
    return page
