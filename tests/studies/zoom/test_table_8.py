"""The user study among the other studies: pages, simulated participants, and pages that people have answered."""

from __future__ import annotations

import functools
import json
import shutil

import cv2
import numpy as np
import pytest

from common.errors import UserError
from common.scoring import baselines
from studies import registry
from studies.kit.bench import Bench
from studies.zoom import table_2, table_8

NAME = "zoom_table_8_user_study"


@pytest.fixture(scope="module")
def div2k(tmp_path_factory):
    """Three photographs of 40x40, where DIV2K's validation images lie."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "DIV2K_valid_HR").mkdir()
    for number in range(3):
        coarse = np.random.default_rng(number).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        path = folder / "DIV2K_valid_HR" / f"080{number}.png"
        cv2.imwrite(str(path), cv2.resize(coarse, (40, 40)))
    return folder


def test_it_is_listed():
    assert registry.study(NAME) is table_8.STUDY


def test_small_counts_simulated_participants_and_says_so(tmp_path):
    bench = Bench(NAME, output=tmp_path, image_size=32, seed=3)
    for _ in range(2):  # also over an earlier run
        result = table_8.run(bench)
    (table,) = result.tables
    assert "SIMULATED" in table.title and any("SIMULATED" in note for note in result.notes)
    rows = {row[0]: dict(zip(table.columns, row)) for row in table.rows}
    assert {name for name in rows if not name.startswith("paper: ")} == {
        f"SIMULATED {masks} masks, {what}"
        for masks in ("small", "large")
        for what in ("counts", "prefer ours", "95% interval")
    }
    # 3 sample photographs, 2 other methods, 5 participants.
    assert rows["SIMULATED small masks, counts"]["Total"] == "30"
    assert result.values["simulated"] is True and not result.values["left_out"]
    assert [picture.file for picture in result.pictures] == ["pairs_small.png", "pairs_large.png"]
    for masks in ("small", "large"):
        assert (bench.folder / f"{masks}.html").is_file()
    # Another seed, and a method of --predictions.
    for masks in ("small", "large"):
        (painted,) = bench.folder.glob(f"sample/{masks}/predictions/mean*")
        shutil.copytree(painted, tmp_path / "LaMa" / masks)
    given = (str(tmp_path / "LaMa"),)
    other = Bench(NAME, output=tmp_path, image_size=32, predictions=given)
    (table,) = table_8.run(other).tables
    assert "LaMa vs. Ours" in table.columns
    gone = Bench(NAME, output=tmp_path, predictions=("gone",))
    with pytest.raises(UserError, match="--predictions=gone"):
        table_8.run(gone)


def test_at_the_papers_size_it_waits_for_people_and_keeps_what_they_have_seen(
    div2k, tmp_path, monkeypatch
):
    calls = []

    def scored(bench, photographs, masks):  # without networks
        calls.append(masks)
        painted = {"Zoom-to-Inpaint": "telea", "HiFill": "ns"}
        methods = {k: functools.partial(baselines.inpaint, v) for k, v in painted.items()}
        return bench.scores(methods, masks, photographs)

    monkeypatch.setattr(table_2, "scored", scored)
    bench = Bench(NAME, "paper", tmp_path, div2k_dir=str(div2k), image_size=32)
    waiting = table_8.run(bench)
    assert not waiting.tables and any("No answers yet" in note for note in waiting.notes)
    assert not (bench.folder / "simulated").exists() and calls == ["small", "large"]
    pages = {path: path.read_bytes() for path in bench.folder.glob("*.html")}
    (bench.folder / "answers").mkdir()
    for masks in ("small", "large"):
        key = json.loads((bench.folder / f"{masks}.key.json").read_text(encoding="utf-8"))
        answer = table_8.simulated_result(key, "p1", 1.0, np.random.default_rng(0))
        answer["simulated"] = False
        (bench.folder / "answers" / f"{masks}.json").write_text(json.dumps(answer))
    other = Bench(NAME, "paper", tmp_path, div2k_dir=str(div2k), image_size=32, seed=5)
    result = table_8.run(other)
    assert calls == ["small", "large"]  # nothing was painted again
    assert {path: path.read_bytes() for path in bench.folder.glob("*.html")} == pages
    (table,) = result.tables
    assert "SIMULATED" not in table.title
    rows = {row[0]: dict(zip(table.columns, row)) for row in table.rows}
    assert rows["large masks, counts"]["HiFill [48] vs. Ours"] == "0 vs. 3"
    assert rows["paper: large masks, counts"]["HiFill [48] vs. Ours"] == "412 vs. 713"
