"""The report: tables as they were found, pictures inside, nothing from outside, no text that becomes markup."""

from __future__ import annotations

import base64
import html.parser
import json
import re
import sys

import numpy as np
import pytest

from common.errors import UserError
from common.images import convert
from studies.kit import study
from studies.kit.bench import Bench
from studies.publish import report

STUDY = study.Study(
    *("zoom_table_3", "Table 3", "a <b>", "said & done", "nothing", 1),
    run=lambda bench: study.Result(),
)


@pytest.fixture
def folder(tmp_path):
    rows = [["No zoom", "1.00"], ["SR zoom+L∇ | <x>", "12.34"], ["paper: No zoom", "32.12"]]
    result = study.Result(
        [study.Table("DIV2K", ["Method", "PSNR ↑"], rows, "a note")],
        [study.Picture("p.png", 'a "caption"', np.full((4, 6, 3), 9, np.uint8))],
        ["beware <script>alert(1)</script>"],
    )
    study.save(STUDY, result, Bench("zoom_table_3", output=tmp_path), 61)
    return tmp_path


class Checker(html.parser.HTMLParser):
    """Collects tags; open and close must match."""

    VOID = ("meta", "img")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.sources = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_whole_and_holds_everything(folder):
    _, path = report.write(folder, {"zoom_table_9": "no <weights>"})
    text = path.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    assert checker.open == [] and "script" not in checker.tags and "link" not in checker.tags
    assert all(s.startswith(("data:image/png;base64,", "#")) for s in checker.sources)
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    assert base64.b64decode(data) == (folder / "zoom_table_3" / "p.png").read_bytes()
    assert "SR zoom+L∇ | &lt;x&gt;</td><td>12.34</td>" in text
    assert '<tr class="paper first"><td>paper: No zoom</td>' in text
    assert "no &lt;weights&gt;" in text and "said &amp; done" in text


def test_markdown_is_aligned_and_its_pictures_exist(folder):
    path, _ = report.write(folder)
    text = path.read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in table}) == 1 and len(table) == 5
    assert table[3].startswith("| SR zoom+L∇ \\| <x> |")
    for name in re.findall(r"\]\(([^)]+\.png)\)", text):
        assert convert.read_rgb(folder / name).shape == (4, 6, 3)


def test_no_text_of_a_result_becomes_markup(folder):
    """Neither text between tags nor in attributes, whatever the result's file holds."""
    path = folder / "zoom_table_3" / study.RESULT
    result = json.loads(path.read_text(encoding="utf-8"))
    attack = '"><script>alert(1)</script>'
    result.update({name: attack for name in ("item", "what", "reported", "command", "date")})
    result["machine"]["processor"] = result["versions"]["tensorflow"] = attack
    result["tables"][0].update(title=attack, note=attack, columns=[attack, attack])
    result["pictures"][0]["caption"] = attack
    path.write_text(json.dumps(result), encoding="utf-8")
    _, page = report.write(folder, {attack: attack})
    checker = Checker()
    checker.feed(page.read_text(encoding="utf-8"))
    assert checker.open == [] and "script" not in checker.tags
    assert checker.tags.count("img") == 1


def test_without_jinja2_the_report_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for call in (report.check, lambda: report.write(folder)):
        with pytest.raises(UserError, match=r"need Jinja2: pip install '\.\[studies\]'$"):
            call()


def test_a_result_without_its_picture(folder):
    (folder / "zoom_table_3" / "p.png").unlink()
    with pytest.raises(UserError, match=r"p\.png is missing; run the study again"):
        report.write(folder)


def test_nothing_to_report(tmp_path):
    with pytest.raises(UserError, match="holds no result of a study"):
        report.write(tmp_path)
