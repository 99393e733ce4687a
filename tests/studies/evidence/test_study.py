"""The study as a whole: flags, small size and result, with training and painting replaced; slowly, for real."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from common import environment
from common.errors import UsageError
from common.scoring.tables import Score
from studies.evidence import arms
from studies.evidence import study as evidence
from studies.kit import bench, study
from studies.publish import report
from studies.publish.results import Results


@pytest.fixture
def photographs(tmp_path):
    """Folders train/ with two pictures and held_out/ with one."""
    for name in ("train/a", "train/b", "held_out/c"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(
            str(path), np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        )
    return tmp_path


@pytest.mark.parametrize(
    "given, code, said",
    [
        (("--data_dir=train",), 2, "--eval_dir is missing"),
        (("--data_dir=train", "--eval_dir=train"), 1, "is below --data_dir and --eval_dir"),
    ],
)
def test_impossible_flags_are_refused_before_any_work(run_command, photographs, given, code, said):
    root = str(environment.ROOT)
    process = run_command(
        "-mstudies.evidence", *given, cwd=photographs, quick=True, PYTHONPATH=root
    )
    assert process.returncode == code and said in process.stderr, process.stderr
    assert process.stderr.count("\n") == 1
    assert not (photographs / "runs").exists()


@pytest.fixture
def replaced(monkeypatch):
    """No training and no painting: scores that depend on arm and seed alone. Returns the plans that were trained."""
    plans = []

    def train(plan, minutes):
        plans.append(plan)
        for seed, run in plan.missing():
            plan.weights(seed, run).parent.mkdir(parents=True, exist_ok=True)
            plan.weights(seed, run).touch()
        return True

    def score(arm, weights, cases, folder):
        assert weights.is_file() and set(cases) == set(arms.MASKS)
        base = 20 + list(arms.ARMS).index(arm) + 0.01 * int(folder.parts[-3][-1])
        values = dict.fromkeys(arms.METRICS, base)
        return [Score(n, arm, masks, 0.1, values) for masks in cases for n in ("a", "b")]

    monkeypatch.setattr(evidence, "train", train)
    monkeypatch.setattr(evidence.scores, "score", score)
    monkeypatch.setattr(evidence.charts, "check", lambda: None)  # no matplotlib is needed
    monkeypatch.setattr(evidence.charts, "pictures", lambda values: [])
    return plans


def test_the_small_size_asks_what_its_runs_can_answer(replaced, tmp_path):
    chosen = bench.Bench("evidence", output=tmp_path, image_size=32, count=2, seed=5)
    found = evidence.run(chosen)
    (plan,) = replaced
    assert plan.seeds == (5, 6) and plan.all_runs() == list(arms.SMALL_RUNS)
    assert plan.data == ("--dataset=sample",) and plan.folder == tmp_path / "evidence"
    asked = {x["claim"]: x["word"] for x in found.values["decisions"] if x["deciding"]}
    # Of l1_percent and detail_error less is better, and later arms have more.
    assert asked == {
        "pixelwise_gates": "agrees",
        "aggregation_bicubic": "agrees",
        "aggregation_nearest": "agrees",
    }
    assert found.values["setting"]["missing"] == 0
    path = study.save(evidence.STUDY, found, chosen, 1.0)
    text = report.as_markdown([study.load(path)], {})
    assert "## Both papers" in text and "4 of 4 runs are trained" in text
    assert json.loads(path.read_text())["size"] == "small"


def test_the_papers_size_has_a_command_of_its_own(tmp_path):
    with pytest.raises(UsageError, match=r"python -m studies\.evidence"):
        evidence.run(bench.Bench("evidence", size="paper", output=tmp_path))


# The command with training, painting and charts replaced: weights appear for all runs but those of the last seed.
COMMAND = """
from common import command_line
from common.scoring.tables import Score
from studies.evidence import arms, charts, scores, study

def train(plan, minutes):
    assert minutes == 1.5
    for seed, run in plan.missing():
        if seed < plan.seeds[-1]:
            plan.weights(seed, run).parent.mkdir(parents=True, exist_ok=True)
            plan.weights(seed, run).touch()

def score(arm, weights, cases, folder):
    base = 20 + list(arms.ARMS).index(arm) + 0.01 * int(folder.parts[-3][-1])
    values = dict.fromkeys(arms.METRICS, base)
    return [Score(case.name + x, arm, m, 0.1, values) for m in cases for case in cases[m] for x in "ab"]

study.train, scores.score = train, score
charts.check, charts.pictures = (lambda: None), (lambda values: [])
command_line.run(study)
"""


def test_the_command_reports_what_there_is_and_says_how_to_go_on(forked, photographs):
    given = ("--data_dir=train", "--eval_dir=held_out", "--steps=7", "--seeds=3", "--minutes=1.5")
    root = str(environment.ROOT)
    process = forked("-c", COMMAND, *given, "--output=out", cwd=photographs, PYTHONPATH=root)
    assert process.returncode == 0, process.stderr
    assert "The same command continues." in process.stdout and "34 of 51 runs" in process.stdout
    result = study.load(photographs / "out" / "evidence" / "result.json")
    setting = result["values"]["setting"]
    # Of the two in train/ one is held out for validation.
    assert (setting["photographs"], setting["held_out"], setting["steps"]) == (1, 1, 7)
    assert result["size"] == "own" and result["machine"]["cores"] and result["commit"]
    assert result["command"].endswith("--output=runs/studies --steps=7 --seeds=3")
    words = {x["claim"]: x["word"] for x in result["values"]["decisions"] if x["deciding"]}
    assert words["zooming"] == "agrees" and words["pixelwise_gates"] == "agrees"
    clone = Results(photographs / "clone")
    clone.docs.mkdir(parents=True)
    clone.add(photographs / "out" / "evidence")
    clone.write()
    assert "**agrees**" in (clone.docs / "results.md").read_text(encoding="utf-8")
    assert "34 of 51 runs" in (clone.docs / "evidence.md").read_text(encoding="utf-8")


@pytest.mark.full
def test_the_small_size_runs(run_command, tmp_path):
    given = ("--study=evidence", "--output=out", "--steps=1", "--image_size=64", "--count=2")
    process = run_command("-mstudies.run", *given, cwd=tmp_path, PYTHONPATH=str(environment.ROOT))
    assert process.returncode == 0, process.stderr
    result = json.loads((tmp_path / "out" / "evidence" / "result.json").read_text())
    assert len(result["tables"]) == 3 and "4 of 4 runs" in result["notes"][0]
    assert len(result["values"]["arms"]) == 4
    again = run_command("-mstudies.run", *given, cwd=tmp_path, PYTHONPATH=str(environment.ROOT))
    assert again.returncode == 0 and "training the small network" not in again.stdout
