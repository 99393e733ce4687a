"""A server in the tests' own process, photographs to send to it, and a browser that shows its page."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import threading
import time

import numpy as np
import pytest
from PIL import Image

from inpainting import painters

ICC = b"\0" * 36 + b"acsp" + b"\0" * 88  # as much of a profile as Pillow looks at


@pytest.fixture(scope="session")
def app():
    """The module, where the extra is installed."""
    pytest.importorskip("starlette", reason="pip install '.[web]'")
    from inpainting.serve import app

    return app


@pytest.fixture
def serve(app):
    """serve(...) -> (client, service) of a server with these arguments of `Service`; closed at the end."""
    from starlette.testclient import TestClient

    opened = []

    def start(painter=painters.painter, local=True, address="http://127.0.0.1:8080", **arguments):
        service = app.Service(lambda name: painter(name, None), **arguments)
        client = TestClient(service.app(local), base_url=address)
        opened.append(client.__enter__())
        return client, service

    yield start
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve):
    return serve(model="telea")[0]


def encoded(pixels, kind="PNG", **options):
    """Bytes of an image file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def noise(height=40, width=60, channels=3):
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def hole(height=40, width=60):
    """[H, W] uint8, 255 in a rectangle."""
    mask = np.zeros((height, width), np.uint8)
    mask[10:20, 15:35] = 255
    return mask


@pytest.fixture(name="encoded", scope="session")
def _encoded():
    return encoded


@pytest.fixture(name="decoded", scope="session")
def _decoded():
    return decoded


@pytest.fixture(name="noise", scope="session")
def _noise():
    return noise


@pytest.fixture(name="hole", scope="session")
def _hole():
    return hole


class Gate:
    """A painter that waits until it is let through, so that tests see it at work."""

    def __init__(self):
        self.started, self.open, self.count = threading.Semaphore(0), threading.Semaphore(0), 0

    def __call__(self, image, mask):
        self.started.release()
        assert self.open.acquire(timeout=30)
        self.count += 1
        return np.where(mask[..., None] > 0, np.uint8(0), image)


@pytest.fixture
def gate():
    return Gate()


SECONDS = 30  # that a page may take


class Page:
    """A tab with the page. Places are pixels of the photograph, whose size is (width, height)."""

    def __init__(self, driver, downloads, size=(320, 240)):
        self.driver, self.downloads, self.size = driver, downloads, size
        self.tab = driver.current_window_handle

    def __getitem__(self, name):
        return self.driver.find_element("id", name)

    def wait(self, holds):
        """The first true value of `holds()`."""
        deadline = time.monotonic() + SECONDS
        while not (found := holds()):
            assert time.monotonic() < deadline, (self.status(), self["error-text"].text)
            time.sleep(0.05)
        return found

    def status(self):
        return self["status"].get_attribute("textContent")

    def open(self, path):
        self.wait(lambda: self["model"].get_attribute("length") != "0")
        self["photograph-file"].send_keys(str(path))
        self.wait(lambda: path.name in self.status() or self["error"].is_displayed())
        self.wait(self.idle)

    def idle(self):
        return not self["busy"].is_displayed()

    def pick(self, tool):
        self.driver.find_element("css selector", f"input[value={tool}]").click()

    def place(self, x, y):
        """(x, y) in the window of a place in the photograph that is shown whole."""
        box, (width, height) = self["canvas"].rect, self.size
        zoom = min((box["width"] - 32) / width, (box["height"] - 32) / height, 16)
        left = box["x"] + (box["width"] - width * zoom) / 2
        top = box["y"] + (box["height"] - height * zoom) / 2
        return round(left + x * zoom), round(top + y * zoom)

    def drag(self, *places, kind="mouse", button=0):
        """A stroke with the mouse, a finger ("touch") or a pen."""
        from selenium.webdriver.common.actions.action_builder import ActionBuilder
        from selenium.webdriver.common.actions.pointer_input import PointerInput

        actions = ActionBuilder(self.driver, mouse=PointerInput(kind, kind), duration=30)
        action = actions.pointer_action
        action.move_to_location(*self.place(*places[0]))
        action.pointer_down(button=button)
        for place in places[1:]:
            action.move_to_location(*self.place(*place))
        action.pointer_up(button=button)
        actions.perform()

    def press(self, *keys):
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def mask(self):
        """[H, W] bool: what is painted, as the page saves it."""
        before = set(self.downloads.iterdir())
        self["save-mask"].click()
        return np.asarray(Image.open(self.downloaded(before)).convert("L")) > 127

    def downloaded(self, before):
        """The file that has come since."""

        def come():
            new = set(self.downloads.iterdir()) - before
            return [p for p in new if not p.name.endswith(".crdownload") and p.name[0] != "."]

        (path,) = self.wait(come)
        return path

    def download(self):
        before = set(self.downloads.iterdir())
        self["download"].click()
        return self.downloaded(before)

    def fill(self, model=None):
        if model:
            self["model"].send_keys(model)
        self["fill"].click()
        self.wait(lambda: self.status().startswith("Filled in"))
        self.wait(self.idle)

    def colour(self, x, y):
        """[R, G, B] that the window shows at a place of the photograph."""
        shot = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        return np.array(shot.getpixel(self.place(x, y)), int)

    def zoom(self):
        return int(self["zoom"].get_attribute("textContent").rstrip("%"))


@pytest.fixture
def browse(tmp_path):
    """browse(address) opens the page in a new browser; what Chromium complained of fails the test.

    complaints=False: not what it complains of here.
    """
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}; `make test-browser` installs it")
    webdriver = pytest.importorskip("selenium.webdriver", reason="make test-browser installs it")
    drivers, silent = [], []

    def open_(address, width=1100, height=800, complaints=True):
        downloads = tmp_path / f"downloads{len(drivers)}"
        downloads.mkdir()
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in (
            *("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            f"--window-size={width},{height}",
            f"--user-data-dir={tmp_path / f'profile{len(drivers)}'}",
        ):
            options.add_argument(argument)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # which Chromium refuses to root
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        drivers.append(webdriver.Chrome(options=options, service=service))
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        drivers[-1].execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        drivers[-1].get(address)
        if not complaints:
            silent.append(drivers[-1])
        return Page(drivers[-1], downloads)

    yield open_
    said = []
    for driver in drivers:
        with contextlib.suppress(Exception):
            found = driver.get_log("browser")
            said += [e["message"] for e in found if e["level"] != "INFO" and driver not in silent]
        driver.quit()
    # A refusal by the server is answered on the page; Chromium notes it, too.
    assert [line for line in said if "Failed to load resource" not in line] == []
