"""Zoom-to-Inpaint's commands as a person types them: stages into a model, the model into pictures and scores.

Few, because every one starts TensorFlow; `zoom_to_inpaint/test_zoom_recipe.py` has the flags' contradictions and the
chain of stages in one process, `test_readme.py` one stage and a fill as commands.
"""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

TINY = ("--zoom_channels=4", "--zoom_size=16", "--vgg_weights=none", "--batch_size=1", "--steps=1")
SAMPLE = ("--dataset=sample", "--flagfiles=configs/zoom_to_inpaint/small")
STAGES = ("pretrain_coarse", "pretrain_refinement", "pretrain_sr", "joint_small", "joint_large")


@pytest.fixture(scope="module")
def zoom_weights(tmp_path_factory):
    """Path of a weights file of an untrained tiny model."""
    from zoom_to_inpaint.config import ZoomConfig
    from zoom_to_inpaint.model import ZoomToInpaint

    path = tmp_path_factory.mktemp("zoom_weights") / "tiny.npz"
    config = ZoomConfig(channels=4, sr_channels=4, discriminator_channels=4, size=16)
    ZoomToInpaint(config).save(path)
    return path


def _filled(folder):
    """out.png changes the hole of photo.png and nothing else."""
    before, after = (cv2.imread(str(folder / name)) for name in ("photo.png", "out.png"))
    hole = cv2.imread(str(folder / "mask.png"), 0) > 127
    assert np.array_equal(before[~hole], after[~hole])
    assert not np.array_equal(before[hole], after[hole])


def _check_runs(folder, stages):
    """Every stage has left a run folder with the terms of its losses."""
    for stage in stages:
        (line,) = [
            line
            for line in map(json.loads, (folder / stage / "statistics.jsonl").open())
            if "generator" in line
        ]
        assert line["step"] == 1 and ("discriminator" in line) == stage.startswith("joint")
        for name in ("options.json", "weights.npz", "pictures/latest.png"):
            assert (folder / stage / name).is_file()
        assert list((folder / stage / "checkpoints").glob("step-00000001.npz"))


FILL = ("--model=zoom_to_inpaint", "--image=photo.png", "--mask=mask.png", "--output=out.png")


@pytest.mark.full
def test_all_stages_in_one_command(run_command, photo):
    command = ("train", "--stages=all", *SAMPLE, *TINY, "--output=runs", "--log_every=1")
    process = run_command(*command, cwd=photo, timeout=1800)
    assert process.returncode == 0, process.stderr
    _check_runs(photo / "runs", STAGES)
    process = run_command("inpaint", "--weights=runs/joint_large/weights.npz", *FILL, cwd=photo)
    assert process.returncode == 0, process.stderr
    _filled(photo)
    again = run_command(*command, cwd=photo, timeout=600)
    assert again.returncode == 0 and again.stdout.count("this run is finished") == len(STAGES)


@pytest.mark.default_environment
def test_both_papers_are_scored_with_their_own_weights(
    run_command, tiny_weights, zoom_weights, tmp_path
):
    process = run_command(
        *("evaluate", "--model=hifill,zoom_to_inpaint", "--masks=small", "--size=64", "--count=1"),
        f"--weights=hifill={tiny_weights},zoom_to_inpaint={zoom_weights}",
        "--output=out",
        cwd=tmp_path,
        eagerly=True,
    )
    assert process.returncode == 0, process.stderr
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["images"]
    found = {score["method"]: score["metrics"]["psnr"] for score in scores}
    assert (
        set(found) == {"hifill", "zoom_to_inpaint"} and found["hifill"] != found["zoom_to_inpaint"]
    )
    (truth,) = (tmp_path / "out" / "small" / "images").iterdir()
    hole = cv2.imread(str(tmp_path / "out" / "small" / "masks" / truth.name), 0) > 127
    for method in found:
        painted = cv2.imread(str(tmp_path / "out" / "small" / "predictions" / method / truth.name))
        assert np.array_equal(painted[~hole], cv2.imread(str(truth))[~hole])
