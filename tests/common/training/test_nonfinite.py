"""A term that is NaN or infinite: it is named, its batch is kept, and the run stops or counts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from common.data import pipeline
from common.errors import UsageError, UserError
from common.images import convert
from common.masks import files as mask_files
from common.training import loop, nonfinite


def _lines(folder):
    return [json.loads(line) for line in (folder / "statistics.jsonl").open()]


def test_the_batch_of_the_step_is_kept(train, toy, tmp_path):
    with pytest.raises(UserError) as error:
        train(6, toy.recipe(bad_step=4))
    folder = tmp_path / "run" / "nonfinite" / "step-00000004"
    assert f"'l2' became nan at step 4; its batch is in {folder}." in str(error.value)
    image, mask = (x.numpy() for x in next(iter(toy.dataset(3 * toy.BATCH))))
    with np.load(folder / "batch.npz") as kept:
        np.testing.assert_array_equal(kept["images"], image)
        np.testing.assert_array_equal(kept["masks"], mask)
        assert kept["samples"].tolist() == [6, 7] and kept["step"] == 4
    terms = json.loads((folder / "terms.json").read_text())
    assert terms["l2"] == "nan" and float(terms["seen"]) == 4
    assert convert.read_rgb(folder / "batch.png").shape[1] > 2 * toy.SIZE


def test_the_kept_samples_are_those_of_the_run_and_their_holes_are_shown(toy, tmp_path):
    """With the real data: sample i of (seed, i), masks of half the size."""
    names = []
    for index in range(3):
        names.append(str(tmp_path / f"{index}.png"))
        image = np.random.default_rng(index).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        convert.write_png(names[-1], image)
    source = mask_files.mask_source("irregular")
    samples = pipeline.Samples(pipeline.Photographs(names), source, 32, seed=11, mask_size=16)
    run = loop.RunFolder(tmp_path / "run", {"seed": 11})

    def batch_of(step):
        first = (step - 1) * 2
        image, mask = next(iter(pipeline.training_dataset(samples, 2, first)))
        return first, image.numpy(), mask.numpy()

    guard = nonfinite.Guard(run, batch_of, "stop", 0)
    guard.check(1, {"l1": 0.5})
    with pytest.raises(UserError):
        guard.check(5, {"l1": 0.5, "generator_gradient_norm": math.inf})
    folder = tmp_path / "run" / "nonfinite" / "step-00000005"
    with np.load(folder / "batch.npz") as kept:
        assert kept["samples"].tolist() == [8, 9] and kept["seed"] == 11
        for i, image, mask in zip(kept["samples"], kept["images"], kept["masks"]):
            expected = samples[int(i)]
            np.testing.assert_array_equal(np.rint(image * 255), expected[0])
            np.testing.assert_array_equal(mask, expected[1])
    shown = convert.read_rgb(folder / "batch.png")
    assert (shown == (255, 0, 255)).all(-1).sum() > 20  # holes in magenta


def test_a_batch_that_is_itself_not_finite_can_be_looked_at(tmp_path):
    run = loop.RunFolder(tmp_path / "run", {})
    image = np.full((1, 8, 8, 3), np.nan, np.float32)
    guard = nonfinite.Guard(run, lambda step: (0, image, np.zeros((1, 8, 8, 1))), "stop", 0)
    with pytest.raises(UserError, match="'a' became nan, 'b' became -inf at step 1;"):
        guard.check(1, {"a": math.nan, "b": -math.inf})
    assert (tmp_path / "run/nonfinite/step-00000001/batch.png").is_file()


def test_steps_left_out_are_counted_over_the_whole_run(train, toy, tmp_path):
    folder = tmp_path / "run"
    train(4, toy.recipe(bad_step=3), on_nonfinite="skip", max_skipped=2)
    lines = {line["step"]: line for line in _lines(folder) if "l2" in line}
    assert lines[3]["l2"] == "nan" and lines[4]["skipped_steps"] == 1
    assert "skipped_steps" not in lines[2]
    with np.load(folder / "checkpoints" / "step-00000004.npz") as archive:
        assert json.loads(str(archive["header.json"]))["skipped_steps"] == 1
    train(6, toy.recipe(bad_step=6), on_nonfinite="skip", max_skipped=2)
    assert _lines(folder)[-2]["skipped_steps"] == 2
    with pytest.raises(UserError) as error:
        train(8, toy.recipe(bad_step=7), on_nonfinite="skip", max_skipped=2)
    message = str(error.value)
    assert "'l2' became nan at step 7 after 2 skipped steps (--max_skipped)" in message
    names = sorted(path.name for path in (folder / "nonfinite").iterdir())
    assert names == ["step-00000003", "step-00000006", "step-00000007"]
    assert "step skipped (2 of at most 2)" in (folder / "log.txt").read_text()


def test_a_trainer_that_cannot_leave_updates_out_is_refused(train, toy, tmp_path):
    recipe = toy.recipe()
    recipe.trainer.skips_nonfinite = False
    with pytest.raises(UsageError, match="--on_nonfinite=skip: Trainer cannot"):
        train(2, recipe, on_nonfinite="skip")
    assert not list((tmp_path / "run").iterdir())
