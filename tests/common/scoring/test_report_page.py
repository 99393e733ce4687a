"""The HTML report of an evaluation: whole in one file, with every value escaped, and left out without Jinja2."""

from __future__ import annotations

import base64
import io
import re
import sys

import numpy as np
import pytest
from PIL import Image

from common.images import convert
from common.scoring import protocol, report_page, tables

METHOD = "<b>&mine"


@pytest.fixture
def shown(tmp_path):
    """The pictures of six cases of one method."""
    rng = np.random.default_rng(0)
    cases, scores = [], []
    for number in range(6):
        name = f"{number}<i>"
        case = protocol.Case(name, tmp_path / f"{number}.png", tmp_path / f"{number}-mask.png")
        convert.write_png(case.image, rng.integers(0, 256, (400, 640, 3), dtype=np.uint8))
        convert.write_png(case.mask, np.full((400, 640), 255, np.uint8))
        convert.write_png(tmp_path / f"{name}.png", np.full((400, 640, 3), 90, np.uint8))
        cases.append(case)
        scores.append(tables.Score(name, METHOD, "small", 0.5, {"psnr": 20.0 + number}))
    return report_page.pictures("small", cases, {METHOD: tmp_path}, scores), scores


def _write(path, shown, scores):
    cells = tables.cells(tables.summarise(scores), "hifill")
    return report_page.write(
        path, ["Pictures: <script>"], [("Mean", cells)], ["No & rows"], [shown]
    )


def test_one_file_holds_everything_and_escapes_it(tmp_path, shown):
    path = tmp_path / "report.html"
    assert str(path) in _write(path, *shown)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<script|<b>&|<i>|(src|href)=\"(?!data:|#)|url\(|@import|https?:", text)
    for words in (
        "Pictures: &lt;script&gt;",
        "&lt;b&gt;&amp;mine, 21.00 dB",
        "No &amp; rows",
        "22.50",
    ):
        assert words in text, words
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    assert len(found) == 4 * 3  # the first four cases: input, the method, truth
    sizes = [Image.open(io.BytesIO(base64.b64decode(data))).size for data in found]
    assert set(sizes) == {(320, 200)}


def test_without_jinja2_the_report_is_left_out_and_a_line_says_why(tmp_path, shown, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    said = _write(tmp_path / "report.html", *shown)
    assert said == "no report.html: HTML pages need Jinja2: pip install '.[studies]'"
    assert not (tmp_path / "report.html").exists()
