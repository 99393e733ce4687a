"""docs/results.md and docs/evidence.md are what docs/results/ gives; and what --add makes of each kind of source."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.errors import UserError
from common.scoring import tables
from studies.kit import bench, study
from studies.publish import report, result_sources, results
from studies.publish.results import Results

PUBLISHED = Results()


@pytest.fixture
def clone(tmp_path):
    """A repository's folder with a page of older results, as `Results`."""
    root = tmp_path / "clone"
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "results.md").write_text("An older page.\n", encoding="utf-8")
    return Results(root)


def page_of(found):
    """What docs/results.md says after `found.write()`."""
    found.write()
    return (found.docs / "results.md").read_text(encoding="utf-8")


@pytest.fixture
def evidence(tmp_path):
    """The folder of a study's result with a chart and a command that names a folder of one machine."""
    folder = tmp_path / "runs" / "evidence"
    chosen = bench.Bench(
        "evidence", size="own", output=folder.parent, data_dir="/some/where/photos"
    )
    table = study.Table("Directions", ["Says", "Here"], [["zoom | SR", "+0.1"]], "A note.")
    chart = study.Picture("chart.png", "A chart.", np.zeros((4, 5, 3), np.uint8))
    about = dict(item="Table 3", what="small-scale Z evidence", reported="-", needs="-")
    command = "python -m studies.evidence --data_dir=/some/where/photos"
    made = study.Study(id="evidence", **about, own_command=command, minutes=1, run=lambda _: None)
    study.save(made, study.Result([table], [chart], ["3 of 4 runs."], {"x": 1 / 3}), chosen, 2.0)
    return folder


# What is published.


def test_results_are_what_the_json_gives():
    text = (PUBLISHED.docs / "results.md").read_text(encoding="utf-8")
    assert text == results.page(PUBLISHED.all()), "run: python -m studies.publish.results"


def test_evidence_is_what_the_json_gives():
    found = [result for result in PUBLISHED.all() if result["name"] == results.EVIDENCE]
    path = PUBLISHED.docs / "evidence.md"
    assert path.is_file() == bool(found)
    for result in found:
        assert path.read_text(encoding="utf-8") == results.document(result)
        assert all((PUBLISHED.docs / "evidence" / p["file"]).is_file() for p in result["pictures"])


def test_every_published_result_says_when_where_and_of_which_commit():
    for result in PUBLISHED.all():
        assert result["tables"] and result["command"].startswith("python "), result["name"]
        assert len(result["date"]) >= 10 and result["machine"]["cores"] >= 1
        assert result["commit"][:10] in results.page(PUBLISHED.all())


# What --add makes.


def test_a_study_becomes_a_table_and_a_document(clone, evidence):
    clone.add(evidence)
    page = page_of(clone)
    assert page.startswith("# Results\n") and "older page" not in page
    result = json.loads((clone.folder / "evidence.json").read_text(encoding="utf-8"))
    document = (clone.docs / "evidence.md").read_text(encoding="utf-8")
    for text in (page, document):
        assert "| zoom \\| SR | +0.1 |" in text and "A note." in text
        assert "python -m studies.evidence --data_dir=photos" in text and "/some" not in text
        assert result["date"][:10] in text and result["commit"][:10] in text
    assert "## Small-scale Z evidence" in page and "3 of 4 runs." in document
    assert (clone.docs / "evidence" / "chart.png").is_file()
    assert "the study's own size" in report.as_markdown([study.load(evidence / study.RESULT)], {})
    assert "(evidence/chart.png)" in document and "chart.png" not in page
    assert result["values"] == {"x": 1 / 3}
    assert page_of(clone) == page


def test_an_evaluation_becomes_a_table_of_means(clone, tmp_path):
    folder = tmp_path / "held_out"
    found = [
        tables.Score(f"{i}", "telea", "small", 0.1, dict(psnr=20.0 + i, ssim=0.5, ms_ssim=0.25, l1_percent=1.5))
        for i in range(3)
    ]  # fmt: skip
    printed = tables.Reference("Ours", "small", 100, dict(psnr=30.0, l1_fraction=0.02), "Z")
    tables.write_json(
        folder / "scores.json",
        found,
        tables.summarise(found) + tables.by_hole_area(found),
        [printed, tables.Reference("Theirs", "small", 9, dict(l1_levels=5.1), "H")],
    )
    flags = dict(
        model=["telea"], dataset="folder", data_dir="/a/b/kodak", masks=["small"], size=256, count=0
    )
    run = {"flags": flags, "git_commit": "0123456789abcdef", "versions": {"tensorflow": "2.0"}}
    (folder / "run.json").write_text(json.dumps(run))
    result = json.loads(clone.add(folder).read_text(encoding="utf-8"))
    assert result["name"] == "held_out" and result["commit"] == run["git_commit"]
    assert result["tables"][0]["rows"] == [
        ["telea", "small", "3", "21.00", "21.00", "20.92", "0.5000", "0.2500", "1.500"],
        ["paper: Ours", "small", "100", "30.00", "-", "-", "-", "-", "2.000"],
        ["paper: Theirs", "small", "9", "-", "-", "-", "-", "-", "2.000"],
    ]
    given = "--model=telea --dataset=folder --data_dir=kodak --masks=small --size=256"
    assert result["command"] == f"python evaluate.py {given}"


def test_a_scores_file_from_before_medians_and_pooled_scores_has_dashes(clone, tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    one = {"method": "telea", "masks": "small", "n": 3, "hole_area": "all"}
    one["metrics"] = {"psnr": {"mean": 21.0, "std": 1.0, "n": 3, "infinite": 0}}
    (folder / "scores.json").write_text(json.dumps({"summaries": [one], "reported": []}))
    run = {"flags": {}, "git_commit": "0123456789abcdef", "versions": {"tensorflow": "2.0"}}
    (folder / "run.json").write_text(json.dumps(run))
    clone.add(folder)
    wanted = "| telea  | small |   3 |  21.00 |             - |             - |      - |         - |        - |"
    assert wanted in results.page(clone.all())


def test_a_benchmark_becomes_a_table_of_times(clone, tmp_path):
    path = tmp_path / "hifill.json"
    measured = {
        "versions": {"tensorflow": "2.0"},
        "git_commit": "0123456789abcdef",
        "generator_paper": {"seconds": 0.25, "rate_gflops": 100.0, "cost_gflop": 1366.2},
        "training": {"step": {"seconds_per_image": 4.0, "peak_gigabytes": 1.5}},
        "setting": {"seconds": 9},
    }
    path.write_text(json.dumps(measured))
    result = json.loads(clone.add(path).read_text(encoding="utf-8"))
    assert result["name"] == "benchmark_hifill"
    assert result["tables"][0]["columns"] == [
        "What",
        "Time (s)",
        "Cost (GFLOP)",
        "Peak memory (GB)",
    ]
    assert result["tables"][0]["rows"] == [
        ["generator paper", "0.25", "1,366", "-"],
        ["training step, an image", "4", "-", "1.5"],
    ]
    assert "## Time and memory: hifill" in page_of(clone)
    clone.add(path, "another", "Another title")
    assert [r["name"] for r in clone.all()] == ["another", "benchmark_hifill"]
    assert "## Another title" in page_of(clone)


def test_shares_of_the_convolution_rate_are_a_table(clone, tmp_path):
    path = tmp_path / "networks.json"
    known = {"versions": {"tensorflow": "2.0"}, "git_commit": "0123456789abcdef"}
    network = {"seconds": 0.2, "convolution_rate": 200.0, "arithmetic_gflop": 30.0}
    network.update(share_of_rate=0.75, times_as_fast=1.5)
    path.write_text(json.dumps({**known, "network": network}))
    table = json.loads(clone.add(path).read_text(encoding="utf-8"))["tables"][0]
    assert table["columns"][2:] == [
        "Arithmetic (GFLOP)",
        "Convolution rate (GFLOP/s)",
        "Of that rate",
        "Authors' graph takes (times)",
    ]
    assert table["rows"] == [["network", "0.2", "30", "200", "0.75", "1.5"]]
    assert table["note"].startswith("Rate of plain convolutions")


def test_only_folders_are_cut():
    text = '{"a": "/b/c/d e.png", "b": "x=/b/c,/d/e", "c": "1/2 or a / b", "d": "runs/x"}'
    cut = '{"a": "d e.png", "b": "x=c,e", "c": "1/2 or a / b", "d": "runs/x"}'
    assert result_sources.without_folders(text) == cut


@pytest.mark.parametrize("content", [None, "{}", '{"git_commit": "0"}'])
def test_anything_else_is_refused(clone, tmp_path, content):
    source = tmp_path / "other.json"
    if content is not None:
        source.write_text(content)
    with pytest.raises(UserError, match=r"other\.json"):
        clone.add(source)
    assert not clone.folder.exists()


def test_a_study_without_a_table_is_refused(clone, evidence):
    path = evidence / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tables": []}))
    with pytest.raises(UserError, match=r"result\.json has no table"):
        clone.add(evidence)


def test_without_results_the_page_says_so(clone):
    assert "Nothing has been measured" in page_of(clone)
    assert not (clone.docs / "evidence.md").exists()


RUN = {"flags": {}, "versions": {"tensorflow": "2"}, "git_commit": "0"}
SUMMARY = {"method": "m", "masks": "small", "n": 1, "hole_area": "all", "metrics": {}}


@pytest.mark.parametrize(
    ("run", "scored"),
    [
        ({**RUN, "versions": []}, {"summaries": [], "reported": []}),
        (RUN, {"summaries": [{**SUMMARY, "n": "many"}], "reported": []}),
        (RUN, {"summaries": [{**SUMMARY, "metrics": {"psnr": 3}}], "reported": []}),
        (RUN, {"summaries": []}),
        (RUN, [1]),
    ],
)
def test_other_scores_are_one_line(tmp_path, run, scored):
    (tmp_path / "run.json").write_text(json.dumps(run))
    (tmp_path / "scores.json").write_text(json.dumps(scored))
    with pytest.raises(UserError, match=r"is no result of evaluate\.py or of benchmarks/"):
        result_sources.read(tmp_path)


@pytest.mark.parametrize("content", [[], {"git_commit": 1}, {**RUN, "fill": {"seconds": 10**400}}])
def test_another_benchmark_is_one_line(tmp_path, content):
    (tmp_path / "bench.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"bench\.json is no(t a)? result"):
        result_sources.read(tmp_path / "bench.json")
