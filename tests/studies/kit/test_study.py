"""Results are kept whole: JSON that any program reads, pictures beside it, and where they come from."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from common.errors import UserError
from common.images import convert
from studies.kit import study
from studies.kit.bench import Bench

STUDY = study.Study(
    *("zoom_table_1", "Table 1", "what", "reported", "nothing", 1),
    run=lambda bench: study.Result(),
)


def test_a_result_is_read_as_it_was_written(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    result = study.Result(
        [study.Table("title", ["Method", "L∇ ↑"], [["ours", "1.0"], ["paper: Ours", "2.0"]], "n")],
        [study.Picture("a.png", "caption", picture)],
        ["note"],
        {"psnr": math.inf, "std": math.nan, "n": np.int64(3), "mean": np.float32(0.5)},
    )
    bench = Bench("zoom_table_1", output=tmp_path, weights={"no_zoom": "file"})
    found = study.load(study.save(STUDY, result, bench, 1.23))
    assert found["tables"][0]["rows"] == [["ours", "1.0"], ["paper: Ours", "2.0"]]
    assert found["values"] == {"psnr": "inf", "std": None, "n": 3, "mean": 0.5}
    assert found["options"]["weights"] == {"no_zoom": "file"}
    assert found["size"] == "small" and found["seconds"] == 1.2
    assert {"date", "machine", "commit", "versions", "notes"} <= found.keys()
    written = convert.read_rgb(tmp_path / "zoom_table_1" / "a.png")
    assert (written == picture).all()


def test_strict_json(tmp_path):
    result = study.Result(values={"x": -math.inf})
    path = study.save(STUDY, result, Bench("zoom_table_1", output=tmp_path), 0)
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))


@pytest.mark.parametrize(
    "text", ["", "[]", '{"id": "x"}', "{", '{"id": "x", "tables": [], "pictures": []}']
)
def test_what_is_no_result_is_one_line(tmp_path, text):
    path = tmp_path / study.RESULT
    path.write_text(text)
    with pytest.raises(UserError, match=r"result\.json is not the result of a study"):
        study.load(path)


def _saved(tmp_path):
    result = study.Result(
        [study.Table("t", ["a", "b"], [["1", "2"]])],
        [study.Picture("p.png", "caption", np.zeros((2, 2, 3), np.uint8))],
    )
    path = study.save(STUDY, result, Bench("zoom_table_1", output=tmp_path), 0)
    return path, json.loads(path.read_text())


# (where, what is written there, what the message says)
DAMAGED = [
    (("id",), '"><script>alert(1)</script>', "'id'"),
    (("id",), "../other", "'id'"),
    (("size",), None, "'size'"),
    (("size",), "large", "'size' is not small or own or paper"),
    (("paper",), "X", "'paper' is not Zoom-to-Inpaint or HiFill or Both papers"),
    (("what",), "half a character \ud800", "'what' is not text"),
    (("seconds",), "long", "'seconds'"),
    (("seconds",), 10**400, "'seconds'"),
    (("machine",), [], "'machine' is not an object"),
    (("machine", "gpus"), [1], "'machine.gpus"),
    (("versions",), {}, "'versions' is not an object with 'tensorflow'"),
    (("notes",), [1], "'notes"),
    (("values",), None, "'values' is not an object"),
    (("tables",), {}, "'tables' is not a list"),
    (("tables", 0), 1, "'tables"),
    (("tables", 0, "rows"), [["1"]], "rows that do not fit"),
    (("tables", 0, "rows", 0, 0), 1, "rows"),
    (("tables", 0, "columns"), [], "columns"),
    (("pictures", 0), "p.png", "'pictures"),
    (("pictures", 0, "file"), "/etc/passwd", "beside the result"),
    (("pictures", 0, "file"), "../p.png", "beside the result"),
    (("pictures", 0, "file"), "/p.png", "beside the result"),
    (("pictures", 0, "file"), "..\\p.png", "beside the result"),
    (("pictures", 0, "file"), "p\0.png", "beside the result"),
    (("pictures", 0, "file"), "p.json", "beside the result"),
]


@pytest.mark.parametrize("where, value, words", DAMAGED)
def test_what_a_report_could_not_show_is_refused(tmp_path, where, value, words):
    path, content = _saved(tmp_path)
    assert study.load(path) == content
    place = content
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=words) as error:
        study.load(path)
    assert "\n" not in str(error.value)


def test_rows_fit_their_columns():
    with pytest.raises(ValueError, match="a row of 1 for 2 columns"):
        study.Table("t", ["a", "b"], [["1"]])


def test_a_study_names_its_paper_and_its_command():
    found = dataclasses.replace(STUDY, arms=("no_zoom", "sr_zoom"), flags="--div2k_dir=DIV2K")
    assert (
        found.paper == "Zoom-to-Inpaint" and dataclasses.replace(STUDY, id="x").paper == study.BOTH
    )
    wanted = "python studies/run.py --study=zoom_table_1 --size=paper"
    assert STUDY.command == wanted
    assert found.command == f"{wanted} --weights=no_zoom=FILE,sr_zoom=FILE --div2k_dir=DIV2K"
