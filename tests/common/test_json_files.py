"""What differs from a form is named; what is written is JSON that any program reads."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from common import json_files
from common.json_files import LINE, NUMBER, TEXT, one_of

FORM = {"name": TEXT, "note?": LINE, "kind": one_of("a", "b"), "all": {str: [NUMBER]}}
FITS = {"name": "", "kind": "a", "all": {"x?": [0, 1.5], "y": []}, "more": None}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"name": None}, "'name' is not text"),
        ({"name": "\ud800"}, "'name' is not text"),
        ({"note": "two\nlines"}, "'note' is not a line of text"),
        ({"note": " "}, "'note' is not a line of text"),
        ({"kind": ["a"]}, "'kind' is not a or b"),
        ({"all": []}, "'all' is not an object"),
        ({"all": {"x?": 1}}, "'all.x?' is not a list"),
        ({"all": {"x": [0, True]}}, "'all.x[1]' is not a number from 0 to 1e9"),
        ({"all": {"x": [math.nan]}}, "'all.x[0]' is not a number from 0 to 1e9"),
    ],
)
def test_the_first_difference_is_named(change, message):
    json_files.check(FITS, FORM)
    json_files.check({**FITS, "note": "a line"}, FORM)
    with pytest.raises(ValueError) as error:
        json_files.check({**FITS, **change}, FORM)
    assert str(error.value) == message


def test_a_key_is_missing():
    with pytest.raises(ValueError, match=r"^it is not an object with 'kind'$"):
        json_files.check({"name": "x"}, FORM)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, b"\xff", None])
def test_what_cannot_be_read_is_one_line(tmp_path, text):
    path = tmp_path / "x.json"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError) as error:
        json_files.read(path, {})
    assert str(error.value) and "\n" not in str(error.value)


@dataclasses.dataclass
class Score:
    psnr: float


def test_every_number_is_written(tmp_path):
    path = tmp_path / "folder" / "x.json"
    json_files.write(path, {1: Score(math.inf), "nan": (math.nan, 3), "L∇": None})
    text = path.read_text(encoding="utf-8")
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert json_files.read(path, {}) == {"1": {"psnr": "inf"}, "nan": [None, 3], "L∇": None}
    assert "L∇" in text and text.endswith("}\n")
