"""A training run with a toy model: its files, how it stops, and that going on gives what never stopping gives."""

from __future__ import annotations

import gc
import json
import math
import types

import numpy as np
import pytest
import tensorflow as tf

from common.data import pipeline
from common.errors import UserError
from common.images import convert
from common.masks import files as mask_files
from common.training import callback, loop

SIZE, BATCH = 16, 2  # the toy's, see conftest.py


def _statistics(folder, key="l2"):
    lines = (folder / "statistics.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if key in line]


def _weights(path):
    with np.load(path) as archive:
        return list(archive.values())


def _checkpoints(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def _log(folder):
    return (folder / "log.txt").read_text()


# --- what a run leaves


def test_a_run_explains_itself(train, tmp_path):
    train(4, log_every=2, picture_every=3, checkpoint_every=1, keep_checkpoints=2)
    folder = tmp_path / "run"
    about = json.loads((folder / "options.json").read_text())
    assert about["options"] == {"steps": 4}
    assert about["versions"]["tensorflow"] == tf.__version__ and about["git_commit"]
    assert about["command"] and about["started"]
    assert "weights.npz" in _log(folder) and _log(folder).startswith("20")
    assert _checkpoints(folder) == ["step-00000003.npz", "step-00000004.npz"]
    assert len(_weights(folder / "weights.npz")) == 2
    assert convert.read_rgb(folder / "pictures" / "latest.png").shape[1] > 4 * SIZE


def test_a_run_says_where_curves_and_pictures_are_when_it_starts_and_ends(train, tmp_path):
    train(1, folder="a run")
    lines = [line for line in _log(tmp_path / "a run").splitlines() if "run folder" in line]
    assert len(lines) == 2
    for line in lines:
        assert f"tensorboard --logdir='{tmp_path / 'a run'}'" in line
        assert line.endswith(f"pictures in {tmp_path / 'a run' / 'pictures' / 'latest.png'}")
    assert (tmp_path / "a run" / "pictures" / "latest.png").is_file()


def test_statistics_have_one_line_per_logging_step(train, tmp_path):
    train(5, log_every=2)
    lines = _statistics(tmp_path / "run")
    assert [line["step"] for line in lines] == [2, 4, 5]  # and the last
    for line in lines:
        assert {"l2", "sample", "images_per_second", "steps_per_second"} <= set(line)
        assert math.isfinite(line["l2"]) and line["seen"] == line["step"]
        ratio = line["images_per_second"] / line["steps_per_second"]
        assert abs(ratio - BATCH) < 1e-9 and line["steps_per_second"] > 0


def test_every_step_sees_the_next_samples(train, tmp_path):
    train(4)
    # Rounded, as the numbers pass through float32.
    seen = [round(line["sample"], 3) for line in _statistics(tmp_path / "run")]
    assert seen == [2, 4, 6, 8]


def test_previews_show_and_score_the_result(train, tmp_path):
    train(5, picture_every=2)
    lines = _statistics(tmp_path / "run", "validation_psnr")
    assert [line["step"] for line in lines] == [2, 4, 5]
    # The toy result is black in the hole: 32 of 256 pixels are 0 instead of level 128.
    expected = 10 * math.log10(255**2 / (128**2 * 32 / 256))
    assert all(abs(line["validation_psnr"] - expected) < 1e-6 for line in lines)


def test_previews_may_have_another_size_and_no_holes(toy, tmp_path):
    recipe, shown = toy.recipe(), []
    assert (recipe.mask_size, recipe.preview_size, recipe.holes) == (None, None, True)
    recipe.preview_size, recipe.holes = 2 * SIZE, False

    def preview(image, mask):
        shown.append((image.shape, mask.shape, float(np.max(mask))))
        return {"bicubic": 0.5 * image, "result": image}

    recipe.preview = preview
    image, mask = (np.repeat(np.repeat(x, 2, axis=1), 2, axis=2) for x in toy.pair())
    run = loop.RunFolder(tmp_path / "run", {})
    loop.train(recipe, toy.dataset, (image, 0 * mask), loop.Schedule(1), run)
    assert shown == [((2, 2 * SIZE, 2 * SIZE, 3), (2, 2 * SIZE, 2 * SIZE, 1), 0.0)]
    # One column each for input, bicubic, result and truth; the input shows no hole.
    grid = convert.read_rgb(tmp_path / "run" / "pictures" / "latest.png")
    assert grid.shape[1] > 4 * 2 * SIZE
    (line,) = _statistics(tmp_path / "run", "validation_psnr")
    assert line["validation_psnr"] == "inf"  # the last of the pictures is what is scored


def test_a_perfect_preview_is_still_valid_json(toy, train, tmp_path):
    recipe = toy.recipe()
    recipe.preview = lambda image, mask: {"result": image}

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    train(1, recipe, picture_every=1)
    for line in (tmp_path / "run" / "statistics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def test_events_hold_scalars_and_pictures(train, tmp_path):
    train(2, picture_every=2)
    gc.collect()  # closes the writer, as the end of the process does
    [path] = (tmp_path / "run").glob("events.*")
    found = {
        (event.step, value.tag)
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert {(1, "l2"), (2, "l2"), (2, "validation"), (2, "validation_psnr")} <= found


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="file"):
        loop.RunFolder(tmp_path / "file" / "run", {})
    run = loop.RunFolder(tmp_path / "run", {})
    (tmp_path / "run" / "log.txt").mkdir()
    with pytest.raises(UserError, match=r"log\.txt"):
        run.log("a line")


# --- how a run stops


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_and_names_the_term_and_the_step(
    toy, train, tmp_path, value
):
    with pytest.raises(UserError) as error:
        train(6, toy.recipe(bad_step=4, bad_value=value), checkpoint_every=2)
    folder, message = tmp_path / "run", str(error.value)
    assert f"'l2' became {value} at step 4;" in message
    assert "\n" not in message and str(folder / "checkpoints") in message
    assert [line["step"] for line in _statistics(folder)] == [1, 2, 3]
    assert _checkpoints(folder) == ["step-00000002.npz"]  # not the one of step 4
    assert f"step 4: 'l2' became {value}" in _log(folder) and not (folder / "weights.npz").exists()


def test_a_damaged_photograph_stops_the_run_and_is_named(toy, train, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    photographs = pipeline.Photographs([str(tmp_path / "bad.png")])
    source = mask_files.mask_source("irregular")
    samples = pipeline.Samples(photographs, source, SIZE, seed=0)
    with pytest.raises(UserError) as error:
        train(3, dataset=lambda first: pipeline.training_dataset(samples, BATCH, first))
    message = str(error.value)
    assert str(tmp_path / "bad.png") in message
    assert "\n" not in message and "Traceback" not in message


def test_minutes_limit_a_run_that_can_go_on(train, tmp_path, monkeypatch):
    clock = types.SimpleNamespace(now=0.0)

    def monotonic():
        clock.now += 7.0  # seconds, at every look
        return clock.now

    with monkeypatch.context() as patch:
        patch.setattr(callback, "time", types.SimpleNamespace(monotonic=monotonic))
        train(50, minutes=1)
    folder = tmp_path / "run"
    last = _statistics(folder)[-1]["step"]
    assert 2 <= last <= 9  # one or two looks a step
    assert f"stopping at step {last}" in _log(folder) and "1 minutes" in _log(folder)
    assert _checkpoints(folder) == [f"step-{last:08d}.npz"]
    assert (folder / "weights.npz").is_file()
    train(last + 2)
    assert [line["step"] for line in _statistics(folder)] == list(range(1, last + 3))


def test_without_a_limit_time_does_not_matter(train, tmp_path, monkeypatch):
    clock = iter(range(0, 10**9, 10**6))
    with monkeypatch.context() as patch:
        patch.setattr(callback, "time", types.SimpleNamespace(monotonic=lambda: float(next(clock))))
        train(3)
    assert _statistics(tmp_path / "run")[-1]["step"] == 3


def test_a_save_that_fails_is_one_line(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="checkpoints"):
        train(2, checkpoint_every=1)


# --- going on


def test_going_on_gives_what_an_uninterrupted_run_gives(train, tmp_path):
    train(7, folder="whole")
    for steps in (3, 4, 7):  # a new recipe each time, as a new process has
        train(steps, folder="parts")
    whole, parts = (_statistics(tmp_path / name) for name in ("whole", "parts"))
    assert [line["step"] for line in parts] == [line["step"] for line in whole] == list(range(1, 8))
    for a, b in zip(whole, parts):
        assert a["sample"] == b["sample"] and a["seen"] == b["seen"]
        assert abs(a["l2"] - b["l2"]) < 1e-6
    for a, b in zip(*(_weights(tmp_path / name / "weights.npz") for name in ("whole", "parts"))):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert "continuing from step 4" in _log(tmp_path / "parts")


def test_going_on_starts_at_the_right_sample_and_step(toy, train):
    firsts = []

    def dataset(first):
        firsts.append(first)
        return toy.dataset(first)

    train(3, dataset=dataset)
    recipe = train(5, dataset=dataset)
    assert firsts == [0, 3 * BATCH]
    assert int(recipe.trainer.step) == 5 and int(recipe.trainer.adam.iterations) == 5


def test_after_a_crash_the_last_checkpoint_counts(toy, train, tmp_path):
    class Crash(Exception):
        pass

    def crashing(first):
        def stop(image, mask):
            if seen.append(1) or len(seen) > 5:
                raise Crash
            return image, mask

        seen = []
        spec = toy.dataset(first).element_spec
        return tf.data.Dataset.from_generator(
            lambda: (stop(*element) for element in toy.dataset(first)), output_signature=spec
        )

    with pytest.raises((Crash, tf.errors.OpError)):
        train(9, dataset=crashing, checkpoint_every=2)
    folder = tmp_path / "run"
    last = int(_checkpoints(folder)[-1][5:13])
    assert last in (2, 4) and not (folder / "weights.npz").exists()
    train(7)
    train(7, folder="whole")
    for a, b in zip(*(_weights(tmp_path / name / "weights.npz") for name in ("run", "whole"))):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_finished_run_says_so_and_changes_nothing(train, tmp_path):
    train(2)
    folder = tmp_path / "run"
    names = ("weights.npz", "statistics.jsonl", "checkpoints/step-00000002.npz")
    before = [(folder / name).read_bytes() for name in names]
    train(2)
    train(1)
    assert [(folder / name).read_bytes() for name in names] == before
    assert _log(folder).count("this run is finished (2 steps)") == 2 and "--steps" in _log(folder)


def test_a_run_that_died_after_its_last_checkpoint_still_gets_its_weights(train, tmp_path):
    train(2)
    path = tmp_path / "run" / "weights.npz"
    expected = _weights(path)
    path.unlink()
    train(2)
    for a, b in zip(expected, _weights(path)):
        np.testing.assert_array_equal(a, b)


def test_a_damaged_checkpoint_is_named_and_not_passed_over(train, tmp_path):
    train(2)
    path = tmp_path / "run" / "checkpoints" / "step-00000002.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"step-00000002\.npz"):
        train(4)


def test_a_changed_option_is_logged_and_a_start_that_fails_changes_nothing(train, tmp_path):
    folder = tmp_path / "run"
    train(2)
    before = (folder / "options.json").read_text()
    (checkpoint,) = (folder / "checkpoints").glob("step-*.npz")
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:100])
    with pytest.raises(UserError):
        train(3)
    assert (folder / "options.json").read_text() == before
    checkpoint.write_bytes(whole)
    train(3)
    assert "--steps was 2, is now 3" in _log(folder)
    assert json.loads((folder / "options.json").read_text())["options"] == {"steps": 3}


@pytest.mark.parametrize("text", ["[]", '{"options": []}', "3", "[" * 100_000])
def test_a_damaged_record_of_options_is_written_anew(train, tmp_path, text):
    train(2)
    path = tmp_path / "run" / "options.json"
    path.write_text(text)
    train(3)
    assert json.loads(path.read_text())["options"] == {"steps": 3}


def test_an_interrupt_keeps_the_last_whole_step(train, tmp_path, monkeypatch):
    report = callback.Progress.on_train_batch_end

    def interrupted(self, batch, logs=None):
        if batch == 2:  # the step is done, its report is not
            raise KeyboardInterrupt
        report(self, batch, logs)

    monkeypatch.setattr(callback.Progress, "on_train_batch_end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(9)
    assert _checkpoints(tmp_path / "run") == ["step-00000003.npz"]
    assert "interrupted at step 3" in _log(tmp_path / "run")
