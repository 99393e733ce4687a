"""The page in a real Chromium, as a person uses it with mouse, fingers and keys: `make test-browser`."""

from __future__ import annotations

import threading
import urllib.request

import numpy as np
import pytest
from PIL import Image

from inpainting import painters

pytestmark = pytest.mark.browser
SECONDS = 30
WIDTH, HEIGHT = 320, 240  # of the test's photographs once they are upright


def textured():
    """[HEIGHT, WIDTH, 3] uint8: smooth, so that JPEG changes it little."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 0.7, y, (x + y) * 0.4], axis=-1).astype(np.uint8)


@pytest.fixture
def site(app):
    """site(...) -> address of a server in this process with these arguments of `Service`."""
    uvicorn = pytest.importorskip("uvicorn")
    from inpainting.serve import command

    servers = []

    def start(painter=lambda name: painters.painter(name, None), **arguments):
        bound = command.listen("127.0.0.1", 0)
        service = app.Service(painter, **arguments)
        server = uvicorn.Server(
            uvicorn.Config(service.app(), log_level="warning", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{bound.getsockname()[1]}", service

    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join(10)


def test_from_a_turned_jpeg_to_the_download(site, browse, tmp_path, tiny_weights, encoded):
    address, _ = site(
        lambda name: painters.painter(name, str(tiny_weights) if name == "hifill" else None)
    )
    exif = Image.Exif()
    exif[274], exif[271] = 6, "maker"
    photo = tmp_path / "turned.jpg"
    photo.write_bytes(encoded(np.rot90(textured()), "JPEG", exif=exif, quality=92, dpi=(300, 300)))
    page = browse(address)
    page.open(photo)
    assert "320 by 240 pixels" in page.status()
    assert abs(page.colour(300, 20) - textured()[20, 300]).max() < 12  # upright
    page.drag((60, 60), (140, 60))
    assert np.ptp(page.colour(100, 60) - textured()[60, 100]) > 60  # tinted
    page.drag((200, 150), (260, 190), kind="touch")
    page.drag((100, 180), (150, 180), kind="pen")
    both = page.mask()
    assert both.shape == (HEIGHT, WIDTH)
    assert both[60, 100] and both[170, 230] and both[180, 125] and not both[10, 10]
    page["undo"].click()
    undone = page.mask()
    assert undone[60, 100] and not undone[180, 125]
    page["redo"].click()
    np.testing.assert_array_equal(page.mask(), both)
    page.press("e", *"[[[[")
    page.drag((90, 60), (110, 60))
    erased = page.mask()
    assert not erased[60, 100] and erased[60, 65] and (erased <= both).all()
    zoomed(page)
    np.testing.assert_array_equal(page.mask(), erased)
    page.fill("HiFill")
    result = page.download()
    assert result.name == "turned-filled.jpg"
    found = Image.open(result)
    assert found.size == (WIDTH, HEIGHT) and found.format == "JPEG"
    assert found.getexif().get(274, 1) == 1 and found.getexif()[271] == "maker"
    before = np.asarray(Image.open(photo).transpose(Image.Transpose.ROTATE_270), int)
    far = ~dilated(erased, 17)  # JPEG's blocks
    assert abs(np.asarray(found, int)[far] - before[far]).max() <= 4
    over_http = posted(address, photo.read_bytes(), encoded(erased.astype(np.uint8) * 255))
    assert result.read_bytes() == over_http  # byte for byte what a program is given
    slid(page)


def dilated(mask, pixels):
    from common.masks import random

    return random.dilate(mask.astype(np.uint8), pixels) > 0


def posted(address, image, mask):
    parts = (("image", "turned.jpg", image), ("mask", "mask.png", mask))
    body = b"".join(
        f'--b\r\ncontent-disposition: form-data; name="{n}"; filename="{f}"\r\n\r\n'.encode()
        + c
        + b"\r\n"
        for n, f, c in parts
    )
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    asked = urllib.request.Request(f"{address}/v1/inpaint", body + b"--b--\r\n", kind)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return answer.read()


def zoomed(page):
    """Wheel, keys, buttons and two fingers zoom, and 0 shows all of it again."""
    whole = page.zoom()
    page.driver.execute_cdp_cmd(
        "Input.dispatchMouseEvent",
        {"type": "mouseWheel", "x": 500, "y": 300, "deltaX": 0, "deltaY": -300},
    )
    page.wait(lambda: page.zoom() > whole)
    page.press("0")
    assert page.zoom() == whole
    page.press("+")
    assert page.zoom() > whole
    page.press("-", "-")
    assert page.zoom() < whole
    page["fit"].click()
    page["zoom-in"].click()
    assert page.zoom() > whole
    page["fit"].click()
    for kind, apart in (
        ("touchStart", 50),
        ("touchMove", 80),
        ("touchMove", 120),
        ("touchEnd", None),
    ):
        points = (
            []
            if apart is None
            else [{"x": 500 - apart, "y": 300, "id": 0}, {"x": 500 + apart, "y": 300, "id": 1}]
        )
        page.driver.execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
        )
    page.wait(lambda: page.zoom() > 2 * whole)
    page["canvas"].send_keys("0")
    assert page.zoom() == whole


def slid(page):
    """The slider, the handle and the key show before and after."""
    from selenium.webdriver.common.keys import Keys

    place = (62, 60)  # in the hole: a tiny untrained network fills it with something else
    after = page.colour(*place)
    page["slider"].send_keys(Keys.END)
    page.wait(lambda: abs(page.colour(*place) - textured()[60, 62]).max() < 12)
    assert page["slider"].get_attribute("aria-valuetext") == "all before"
    page["slider"].send_keys(Keys.HOME)
    page.wait(lambda: (page.colour(*place) == after).all())
    assert abs(after - textured()[60, 62]).max() > 12
    page["canvas"].send_keys("c")
    assert page["slider"].get_attribute("value") == "1000"
    page.drag((WIDTH, HEIGHT / 2), (WIDTH / 2, HEIGHT / 2))
    assert abs(int(page["slider"].get_attribute("value")) - 500) < 10
    page.wait(lambda: not page["compare"].get_attribute("hidden"))


@pytest.fixture
def png(tmp_path, encoded):
    """Path of a PNG photograph."""
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(textured()))
    return path


def test_fill_again_undo_of_fills_masks_and_a_reload(site, browse, png, tmp_path, encoded, hole):
    address, _ = site(model="telea")
    page = browse(address)
    page.open(png)
    mask = tmp_path / "mask.png"
    mask.write_bytes(encoded(hole(HEIGHT, WIDTH)))
    page["mask-file"].send_keys(str(mask))
    page.wait(lambda: page.status() == "The mask is added.")
    np.testing.assert_array_equal(page.mask(), hole(HEIGHT, WIDTH) > 0)
    page.fill()
    one = np.asarray(Image.open(page.download()))
    assert (one[hole(HEIGHT, WIDTH) == 0] == textured()[hole(HEIGHT, WIDTH) == 0]).all()
    assert not page["save-mask"].is_enabled() and page["fill"].text == "Fill again"
    page.drag((200, 100), (240, 140))
    second = page.mask()
    page.fill("Smooth")
    two = np.asarray(Image.open(page.download()))
    assert (two[~second] == one[~second]).all() and (two[second] != one[second]).any()
    page["undo"].click()  # the fill
    np.testing.assert_array_equal(page.mask(), second)
    page["clear"].click()
    assert not page["fill"].is_enabled()
    page["undo"].click()
    page["undo"].click()  # the stroke
    page["undo"].click()  # the first fill
    page.wait(lambda: page["fill"].text == "Fill")
    assert page["download"].get_attribute("aria-disabled") == "true"
    page.driver.refresh()
    page.wait(lambda: "photo.png" in page.status())
    page.wait(page.idle)
    assert (np.asarray(Image.open(page.download())) == two).all()  # its last result


def test_snapping_to_an_object(site, browse, tmp_path, encoded):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside = np.hypot(x - 180, y - 110) < 50
    image = rng.normal(60, 15, (HEIGHT, WIDTH, 3)) + 130 * inside[..., None]
    path = tmp_path / "disc.png"
    path.write_bytes(encoded(np.clip(image, 0, 255).astype(np.uint8)))
    address, _ = site(model="telea")
    page = browse(address)
    page.open(path)
    for tool, places in (("scribble", [(150, 100), (210, 125)]), ("box", [(120, 50), (240, 170)])):
        page.pick(tool)
        page.drag(*places)
        page.wait(lambda: page.status() == "The object is painted over.")
        page.wait(page.idle)
        found = page.mask()
        assert (found & inside).sum() / (found | inside).sum() > 0.9, tool
        page["undo"].click()
        assert not page["save-mask"].is_enabled()


def test_bad_and_huge_files_are_explained_and_the_next_one_works(app, site, browse, png, tmp_path):
    from inpainting.serve.uploads import Limits

    address, service = site(model="telea", limits=Limits(megabytes=1, megapixels=0.1))
    page = browse(address)
    bad, huge, wide = (tmp_path / name for name in ("bad.jpg", "huge.jpg", "wide.png"))
    bad.write_bytes(b"no image")
    huge.write_bytes(b"x" * 1_100_000)
    Image.fromarray(np.zeros((1000, 1000), np.uint8)).save(wide)
    for path, words in ((bad, "not a readable"), (huge, "1 MB"), (wide, "0.1 megapixels")):
        page.open(path)
        assert words in page["error-text"].text and path.name in page["error-text"].text
        page["dismiss"].click()
        assert not page["error"].is_displayed() and page["welcome"].is_displayed()
    page.open(png)
    assert page["canvas"].is_displayed() and not page["error"].is_displayed()
    page["mask-file"].send_keys(str(bad))
    page.wait(lambda: page["error"].is_displayed())
    assert "bad.jpg" in page["error-text"].text
    assert len(list(service.store.root.iterdir())) == 1
    page.driver.get(f"{address}/#unknown")
    page.driver.refresh()
    page.wait(lambda: "not on the server" in page["error-text"].text)


def test_cancel_two_tabs_and_a_closed_one(site, browse, png, gate):
    address, service = site(lambda name: gate, model="telea")
    page = browse(address)
    page.open(png)
    page.drag((60, 60), (140, 60))
    page["fill"].click()
    assert gate.started.acquire(timeout=SECONDS)
    page.wait(lambda: page["cancel"].is_displayed() and page["elapsed"].text.endswith(" s"))
    assert page["progress"].get_dom_attribute("value") is None  # nobody knows how long it takes
    page.driver.switch_to.new_window("tab")
    page.driver.get(address)
    other = type(page)(page.driver, page.downloads)
    other.open(png)
    other.drag((200, 150), (260, 190))
    other["fill"].click()
    other.wait(lambda: "1 ahead" in other["doing"].text)
    other["cancel"].click()
    other.wait(lambda: other.status() == "The fill is cancelled.")
    assert other.mask()[170, 230]  # what was painted is still there
    page.driver.switch_to.window(page.tab)
    page["cancel"].click()
    page.wait(lambda: page.status() == "The fill is cancelled.")
    page["fill"].click()
    page.driver.close()  # while it waits
    page.driver.switch_to.window(other.tab)
    gate.open.release(9)
    other.fill()
    other.wait(lambda: all(job.ended.is_set() for job in service.workers._jobs.values()))
    assert (np.asarray(Image.open(other.download()))[170, 230] == 0).all()


def test_painting_by_keys_and_names_for_screen_readers(site, browse, png):
    from selenium.webdriver.common.keys import Keys

    address, _ = site(model="telea")
    page = browse(address)
    page.open(png)
    page["canvas"].send_keys(Keys.ENTER)
    page.press(" ", *[Keys.ARROW_RIGHT] * 6, " ", Keys.ESCAPE)
    assert "ended" in page.status()
    painted = page.mask()
    y, x = np.nonzero(painted)
    assert painted[HEIGHT // 2, WIDTH // 2] and x.max() - WIDTH // 2 > 2 * (HEIGHT // 2 - y.min())
    page["canvas"].send_keys("f")
    page.wait(lambda: page.status().startswith("Filled in"))
    page.wait(page.idle)
    reached, unnamed = set(), []
    page["open"].send_keys("")
    for _ in range(30):
        page.press(Keys.TAB)
        active = page.driver.switch_to.active_element
        reached.add(active.get_attribute("id") or active.get_attribute("name"))
        if active.tag_name != "body" and not active.accessible_name:
            unnamed.append(active.get_attribute("outerHTML"))
    assert unnamed == []
    assert {
        "open",
        "help",
        "download",
        "canvas",
        "slider",
        "tool",
        "size",
        "undo",
        "model",
    } <= reached
    page.press("?")
    assert page["help-dialog"].is_displayed()
    page.press(Keys.ESCAPE)
    assert not page["help-dialog"].is_displayed()


# Contrast as WCAG defines it, of every text that is visible and enabled, against the background behind it.
CONTRAST = """
const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => v / 255)
  .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (c !== "rgba(0, 0, 0, 0)") return c; } return "rgb(255, 255, 255)"; };
return [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility()
  && !e.closest(":disabled, [aria-disabled=true]")
  && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).map((e) => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
    return [e.tagName + " " + e.id + " " + e.textContent, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]; });
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_and_everything_fits_every_window(site, browse, png, scheme):
    address, _ = site(model="telea")
    page = browse(address)
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    found = page.driver.execute_script(CONTRAST)
    background = page.driver.execute_script(
        "return getComputedStyle(document.body).backgroundColor"
    )
    assert (sum(map(int, background.strip("rgb()").split(","))) < 300) == (scheme == "dark")
    page.open(png)
    page.drag((60, 60), (140, 60))
    page.fill()
    page.drag((60, 60), (140, 60))
    found += page.driver.execute_script(CONTRAST)
    page["help"].click()
    found += page.driver.execute_script(CONTRAST)
    page.press("\ue00c")
    assert len(found) > 30
    assert [entry for entry in found if entry[1] < 4.5] == []
    for width, height in ((320, 568), (375, 667), (740, 360), (1100, 800), (1920, 1080)):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        boxes = page.driver.execute_script(
            "return [...document.querySelectorAll('button, a, select, canvas, input[type=range], .group label')]"
            ".filter((e) => e.checkVisibility() && !e.closest('dialog')).map((e) => {"
            "const b = e.getBoundingClientRect(); return [e.id || e.title, b.left, b.top, b.right, b.bottom]; })"
        )
        assert len(boxes) > 12
        for name, left, top, right, bottom in boxes:
            inside = left >= 0 and top >= 0 and right <= width + 0.5 and bottom <= height + 0.5
            assert inside, (name, width, height, left, top, right, bottom)
        for index, (name, left, top, right, bottom) in enumerate(boxes):
            assert right - left > (60 if name in ("model", "fill") else 20), (name, width)
            for other, *box in boxes[index + 1 :]:  # nothing lies on anything else
                apart = left >= box[2] or right <= box[0] or top >= box[3] or bottom <= box[1]
                assert apart, (name, other, width, height)
        (stage,) = [box for box in boxes if box[0] == "canvas"]
        assert stage[4] - stage[2] >= 0.5 * height, (
            width,
            height,
        )  # the photograph is what is large
