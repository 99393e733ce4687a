"""The user study's page in a real Chromium, as a participant uses it: `make test-browser`."""

from __future__ import annotations

import json
import os
import shutil
import time

import numpy as np
import pytest

from studies.user_study import page as user_study_page
from studies.user_study import results as user_study_results
from studies.user_study import tally

pytestmark = pytest.mark.browser

NAMES = [f"picture{number}" for number in range(6)]
SECONDS = 20


@pytest.fixture(scope="module")
def page(make_folders, tmp_path_factory):
    """(address of a page of 6 pairs of 48x32, one of each method's pictures being of one colour; its key)."""
    root = tmp_path_factory.mktemp("page")
    where = make_folders(
        root, NAMES, ["other"], lambda f, p: np.full((32, 48, 3), 40 * f + 10 * p, np.uint8)
    )
    target = root / "small.html"
    key = user_study_page.build(target, where, None, 0, "small", user_study_page.QUESTION)
    return target.as_uri(), key


class Visit:
    """A browser with a profile of its own, on the page, and where its downloads go."""

    def __init__(self, address, folder):
        from selenium import webdriver

        self.address, self.downloads = address, folder / "downloads"
        self.downloads.mkdir(exist_ok=True)
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in ("--headless=new", "--disable-dev-shm-usage", "--window-size=1000,800"):
            options.add_argument(argument)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # which Chromium refuses to root
        options.add_argument(f"--user-data-dir={folder / 'profile'}")
        options.add_experimental_option(
            "prefs", {"download.default_directory": str(self.downloads)}
        )
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.get(address)

    def quit(self):
        """Closes the browser; whatever it complained of fails the test."""
        if self.driver is None:
            return
        said = [entry for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]
        self.driver.quit()
        self.driver = None
        assert said == []

    def __getitem__(self, name):
        return self.driver.find_element("id", name)

    def wait(self, holds):
        """The first true value of `holds()`."""
        deadline = time.monotonic() + SECONDS
        while not (found := holds()):
            assert time.monotonic() < deadline, self.driver.page_source[-3000:]
            time.sleep(0.02)
        return found

    def begin(self, participant):
        self["name"].send_keys(participant, "\n")
        self.wait_for_pair()

    def wait_for_pair(self, number=None):
        """Until a pair (the `number`th, from 1) can be looked at."""
        self.wait(lambda: self["showing"].text == "Picture 1 of 2")
        if number:
            self.wait(lambda: self["count"].text == f"Pair {number} of {len(NAMES)}")

    def press(self, *keys):
        """Keys as typed, wherever the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def shown(self):
        """(text beside the picture, source of the one picture that can be seen)."""
        visible = [
            i for i in self.driver.find_elements("css selector", "#stage img") if i.is_displayed()
        ]
        (image,) = visible
        assert image.size["width"] > 100  # enlarged
        return self["showing"].text, image.get_attribute("src")

    def order(self):
        return self.driver.execute_script("return order.map((entry) => [entry.pair, entry.first])")

    def answers(self):
        return self.driver.execute_script("return progress.answers")

    def download(self, count):
        """The content of the `count`th download, oldest first."""

        def files():
            found = sorted(self.downloads.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
            return found if len(found) == count and not list(self.downloads.glob("*.cr*")) else None

        return self.wait(files)[-1]


@pytest.fixture
def visit(page, tmp_path):
    """visit() opens the page in a new browser."""
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}; `make test-browser` installs it")
    pytest.importorskip("selenium", reason="make test-browser installs it")
    opened = []

    def open_(folder="first"):
        (tmp_path / folder).mkdir(exist_ok=True)
        opened.append(Visit(page[0], tmp_path / folder))
        return opened[-1]

    yield open_
    for browser in opened:
        browser.quit()


def test_switching_choosing_and_taking_back(visit):
    from selenium.webdriver.common.keys import Keys

    browser = visit()
    browser.begin("p1")
    first = browser.shown()
    assert not browser["choose-first"].is_enabled() and not browser["choose-second"].is_enabled()
    browser.press("1", "2")  # nothing: the second picture has not been seen
    assert browser.answers() == [] and browser.shown() == first
    seen = {first}
    for act in (
        lambda: browser.press(" "),
        lambda: browser.press(Keys.ARROW_LEFT),
        lambda: browser.press(Keys.ARROW_RIGHT),
        lambda: browser["stage"].click(),
        lambda: browser["switch"].click(),
        lambda: browser.press(" "),  # with the focus on the button
    ):
        before = browser.shown()
        act()
        browser.wait(lambda before=before: browser.shown() != before)
        seen.add(browser.shown())
    assert len(seen) == 2 and len({source for _, source in seen}) == 2
    browser.press("m")
    assert browser.shown()[0] == "Missing: white" and browser.shown() not in seen
    browser.press("m")
    assert browser.shown() == first
    assert not browser["truth"].is_displayed()
    pair, first_side = browser.order()[0]
    browser["choose-second"].click()
    browser.wait_for_pair(2)
    (answer,) = browser.answers()
    assert answer["pair"] == pair and answer["first"] == first_side
    assert answer["chosen"] == "ab"[first_side == "a"] and answer["switches"] == 6
    browser.press(" ")  # the focus is on the picture again, not on the button that was clicked
    assert browser.shown()[0] == "Picture 2 of 2" and len(browser.answers()) == 1
    browser.press("1")
    browser.wait_for_pair(3)
    assert [a["chosen"] == a["first"] for a in browser.answers()] == [False, True]
    browser.press("u")
    browser.wait_for_pair(2)
    browser["undo"].click()
    browser.wait_for_pair(1)
    assert browser.answers() == [] and not browser["undo"].is_enabled()


def test_a_reload_goes_on_and_the_end_downloads_what_tally_reads(visit, page):
    _, key = page
    browser = visit()
    browser.begin("  Ann  7 ")
    order = browser.order()
    for number in (1, 2):
        browser.wait_for_pair(number)
        browser.press(" ", "1")
    browser.wait_for_pair(3)
    browser.driver.refresh()
    browser.wait_for_pair(3)
    assert browser.order() == order and len(browser.answers()) == 2
    browser["export"].click()
    half = browser.download(1)
    (result,), _ = user_study_results.gather([half], {key["study"]: key}, incomplete=True)
    assert len(result.answers) == 2 and json.loads(half.read_text())["complete"] is False
    browser.quit()
    browser = visit()  # the same profile
    for number in (3, 4, 5, 6):
        browser.wait_for_pair(number)
        browser.press(" ", "2")
    browser.wait(lambda: browser["done"].is_displayed())
    whole = browser.download(2)
    assert browser["file"].text == f"user_study_{key['study']}_ann_7.json"
    results, left_out = user_study_results.gather([half, whole], {key["study"]: key})
    assert [(r.participant, len(r.answers)) for r in results] == [("ann 7", 6)]
    assert [(x.path, x.fault) for x in left_out] == [(half, False)]
    chosen = [(a["pair"], a["first"], a["chosen"] == a["first"]) for a in results[0].answers]
    assert chosen == [(*pair, index < 2) for index, pair in enumerate(order)]
    (kind,) = tally.tally(results, {key["study"]: key})
    ours = sum(key["pairs"][a["pair"]]["ours"] == a["chosen"] for a in results[0].answers)
    assert kind.total.ours == ours and kind.total.total == 6
    browser.driver.refresh()
    browser.wait(lambda: browser["done"].is_displayed())
    browser["next"].click()
    browser.begin("ben")
    browser.wait_for_pair(1)
    assert browser.order() != order
    assert len(browser.answers()) == 0


def test_order_and_sides_belong_to_the_participant(visit):
    browser = visit()
    browser.begin("ann")
    orders = browser.driver.execute_script(
        "return [...Array(200).keys()].map((n) => orderOf(`p${n}`).map((entry) => [entry.pair, entry.first]))"
    )
    here = browser.order()
    other = visit("second")  # another browser, the same participant
    other.begin("ANN ")
    assert other.order() == here
    assert all({pair for pair, _ in order} == {pair for pair, _ in here} for order in orders)
    # Of 46,080 orders: two of 200 that agree are chance.
    assert len({json.dumps(order) for order in orders}) >= 197
    # Every pair is first about as often as any other, and each side (standard deviations 5.3 and 7.1).
    leading = [order[0][0] for order in orders]
    assert all(abs(leading.count(pair) - 200 / 6) < 27 for pair, _ in here)
    for pair, _ in here:
        sides = [first for order in orders for found, first in order if found == pair]
        assert abs(sides.count("a") - 100) < 36


def test_keys_are_explained_and_everything_fits_a_telephone(visit):
    from selenium.webdriver.common.keys import Keys

    browser = visit()
    browser.begin("p1")
    browser.press("?")
    browser.wait(lambda: browser["helping"].is_displayed())
    assert "the other picture" in browser["helping"].text and "p1" in browser["helping"].text
    browser.press(Keys.ESCAPE)
    browser.wait(lambda: not browser["helping"].is_displayed())
    browser.press(" ")
    for width, height in ((320, 568), (375, 667), (740, 360), (1920, 1080)):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        needed = browser.wait(
            lambda: browser.driver.execute_async_script(
                "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done("
                "[document.documentElement.scrollWidth, document.documentElement.scrollHeight])))"
            )
        )
        assert needed == [width, height]
        boxes = {}
        for name in ("stage", "switch", "undo", "export", "help", "choose-first", "choose-second"):
            box = browser[name].rect
            assert box["x"] >= 0 and box["x"] + box["width"] <= width, (name, width)
            assert box["y"] >= 0 and box["y"] + box["height"] <= height, (name, height)
            assert min(box["width"], box["height"]) >= 30  # for a finger
            boxes[name] = box
        names = list(boxes)
        for index, a in enumerate(names):  # nothing lies on anything else
            for b in names[index + 1 :]:
                one, two = boxes[a], boxes[b]
                apart = any(
                    first[at] + first[side] <= second[at] + 1
                    for at, side in (("x", "width"), ("y", "height"))
                    for first, second in ((one, two), (two, one))
                )
                assert apart, (a, b, width, height)


# Contrast as WCAG defines it, of every text that is visible, against the background that lies behind it.
CONTRAST = """
const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => v / 255)
  .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (c !== "rgba(0, 0, 0, 0)") return c; } return "rgb(255, 255, 255)"; };
return [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && !e.disabled &&
  [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).map((e) => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
    return [e.tagName + " " + e.id, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]; });
"""


def test_text_has_the_contrast_that_its_style_promises(visit):
    browser = visit()
    found = browser.driver.execute_script(CONTRAST)
    browser.begin("p1")
    browser.press(" ", "m")
    found += browser.driver.execute_script(CONTRAST)
    browser.press("?")
    found += browser.driver.execute_script(CONTRAST)
    assert len(found) > 30
    assert [entry for entry in found if entry[1] < 7] == []


def test_a_browser_that_keeps_nothing_says_so_and_still_works(page, visit):
    browser = visit()
    browser.driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument",
        {"source": "Storage.prototype.setItem = () => { throw new DOMException('full'); };"},
    )
    browser.driver.refresh()
    browser.begin("p1")
    assert browser["unkept"].is_displayed()
    browser.press(" ", "1")
    browser.wait_for_pair(2)
