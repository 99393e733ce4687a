"""Results of studies, scores, benchmarks, run folders and user studies that hold something else than expected."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.scoring import tables
from common.training import run_folder
from studies.evidence import scores as evidence_scores
from studies.kit import study
from studies.kit.bench import Bench
from studies.publish import report, result_sources, results
from studies.user_study import results as answers
from studies.user_study import tally
from studies.user_study.page import KEY_FORMAT, RESULT_FORMAT

STUDY = study.Study(
    *("zoom_table_3", "Table 3", "what", "said", "nothing", 1), run=lambda bench: study.Result()
)
KEY = {
    "format": KEY_FORMAT,
    "study": "s1",
    "kind": "small",
    "pairs": {f"p{i}": {"ours": "ab"[i % 2], "method": "telea", "picture": "x"} for i in range(3)},
}
ANSWERS = {
    "format": RESULT_FORMAT,
    **{"study": "s1", "participant": "Ann", "started": "2026-01-01", "exported": "2026-01-02"},
    "answers": [
        {"pair": f"p{i}", "chosen": "a", "first": "b", "switches": 1, "seconds": 2.5}
        for i in range(3)
    ],
}
BENCHMARK = {
    "git_commit": "0" * 40,
    "versions": {"tensorflow": "2"},
    "fill": {"seconds": 1.5, "peak_gigabytes": 2},
    "512": {"generate": {"seconds_per_image": 3, "cost_gflop": 200.0}},
}
RUN = {
    "flags": {"model": ["telea"], "size": 64},
    "versions": {"tensorflow": "2"},
    "git_commit": "0",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the result of a study, its picture, and the scores of an evaluation."""
    folder = tmp_path_factory.mktemp("made")
    result = study.Result(
        [
            study.Table(
                "DIV2K", ["Method", "PSNR"], [["ours", "1"], ["paper: theirs", "2"]], "a note"
            )
        ],
        [study.Picture("p.png", "a caption", np.full((4, 6, 3), 9, np.uint8))],
        ["a note"],
        {"a": [1.0, {"b": 2}]},
    )
    study.save(STUDY, result, Bench("zoom_table_3", output=folder), 61)
    metrics = {"psnr": 20.0, "ssim": 0.5, "l1_percent": 3.0}
    found = [tables.Score(f"{i}", "telea", "small", 0.1, metrics) for i in range(2)]
    tables.write_json(folder / "scores.json", found, tables.summarise(found), [])
    (folder / "run.json").write_text(json.dumps(RUN))
    return folder


@pytest.fixture(scope="module")
def write(damaged, changed_json):
    """write(draw, path, content): the content as JSON, changed or damaged."""

    def written(draw, path, content):
        if draw(st.integers(0, 3)):
            text = json.dumps(changed_json(draw, content)).encode()
        else:
            text = damaged(draw, json.dumps(content).encode())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)

    return written


@given(st.data())
def test_reports_of_studies(attempt, scratch, write, made, data):
    with scratch() as folder:
        root = pathlib.Path(folder)
        path = root / "zoom_table_3" / study.RESULT
        write(data.draw, path, json.loads((made / "zoom_table_3" / study.RESULT).read_text()))
        (path.parent / "p.png").write_bytes((made / "zoom_table_3" / "p.png").read_bytes())
        (root / "secret").write_text("secret")
        taken, pages = attempt("result files", lambda: report.write(root), folder)
        if taken:
            texts = [page.read_text(encoding="utf-8") for page in pages]
            assert "<script" not in texts[1] and "c2VjcmV0" not in texts[1]
            attempt("result files", lambda: results.page([result_sources.read(path.parent)]))


@given(st.data())
def test_added_results(attempt, scratch, write, made, data):
    """Scores of an evaluation and of a benchmark."""
    with scratch() as folder:
        root = pathlib.Path(folder)
        if data.draw(st.booleans()):
            source = root / "benchmark.json"
            write(data.draw, source, BENCHMARK)
        else:
            source, broken = (
                root / "scores",
                data.draw(st.sampled_from(("scores.json", "run.json"))),
            )
            for name in ("scores.json", "run.json"):
                content = json.loads((made / name).read_text())
                if name == broken:
                    write(data.draw, source / name, content)
                else:
                    source.mkdir(exist_ok=True)
                    (source / name).write_text(json.dumps(content))
        attempt("result files", lambda: results.page([result_sources.read(source)]))


@given(st.data())
def test_scores_of_the_evidence(attempt, scratch, write, made, data):
    with scratch() as folder:
        path = pathlib.Path(folder, "scores.json")
        write(data.draw, path, json.loads((made / "scores.json").read_text()))
        attempt("result files", lambda: tables.summarise(evidence_scores.read(path)))


@given(st.data())
def test_user_studies(attempt, scratch, write, data):
    with scratch() as folder:
        root = pathlib.Path(folder)
        broken = data.draw(st.sampled_from(("key.json", "ann.json")))
        for name, content in (("key.json", KEY), ("ann.json", ANSWERS)):
            if name == broken:
                write(data.draw, root / name, content)
            else:
                (root / name).write_text(json.dumps(content))

        def count():
            key = answers.read_key(root / "key.json")
            keys = {key["study"]: key}
            found, left_out = answers.gather(answers.result_files([folder]), keys, incomplete=True)
            kinds = tally.tally(found, keys)
            return tally.table(kinds) if kinds else None, tally.values(kinds, left_out)

        attempt("result files", count)


@given(st.data())
def test_run_folders(attempt, scratch, write, damaged, data):
    """A run resumes whatever options.json and statistics.jsonl hold."""
    with scratch() as folder:
        run = run_folder.RunFolder(folder, {"steps": 3, "masks": "small"})
        write(data.draw, run.folder / "options.json", {"options": {"steps": 2}, "command": ["x"]})
        lines = "".join(json.dumps({"step": i, "loss": 0.5}) + "\n" for i in range(5)).encode()
        (run.folder / run_folder.STATISTICS).write_bytes(damaged(data.draw, lines))
        taken, _ = attempt("result files", lambda: run.start(3), folder)
        assert taken
