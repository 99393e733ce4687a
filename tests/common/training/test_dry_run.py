"""A dry run says what would happen, finds what cannot work, and writes nothing."""

from __future__ import annotations

import pathlib
import re
import time

import numpy as np
import pytest
import tensorflow as tf

from common.errors import UsageError, UserError
from common.training import dry_run, learning_rate, loop, step_timing

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
def plan(toy, tmp_path, capsys):
    """plan(recipe=..., output=..., ...) -> {title: text}; whatever it does, tmp_path is as it was."""

    def one(recipe=None, output=tmp_path / "new" / "run", budget=300.0, **schedule):
        before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
        schedule = loop.Schedule(**{"steps": 1000, **schedule})
        capsys.readouterr()
        try:
            dry_run.run(
                *(recipe or toy.recipe(), toy.dataset, toy.pair(), schedule, output),
                *({"rate": "0.1"}, budget),
            )
        finally:
            assert sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*")) == before
        lines = capsys.readouterr().out.splitlines()
        return {line[:12].strip(): line[13:] for line in lines}

    return one


def test_the_plan_says_what_would_be_done(plan):
    found = plan(
        milestone_every=100, keep_checkpoints=2, keep_best="validation_psnr", validate_every=50
    )
    assert found["rate"] == "0.1" and found["networks"] == "net 15 weights"
    assert (
        "trains 1,000 steps, global batch 2, replicas 1, 2 images a step (2,000" in found["steps"]
    )
    assert "every 50 steps on 2 images: validation_psnr, validation_ssim" in found["validation"]
    assert "kept" in found["validation"]
    assert found["one step"] == "float32 [2, 16, 16, 3] and float32 [2, 16, 16, 1]"
    assert "the last 2, 10 milestones, the best" in found["checkpoints"]
    assert "free at" in found["disk"] and "weights and optimizers" in found["memory"]
    assert list(found)[-1] == "nothing was"  # written
    # 1000 steps of what one takes.
    seconds, total, unit = re.match(
        r"(\S+) seconds a step .*: ([\d.]+) (\w+) for 1,000 steps", found["time"]
    ).groups()
    size = {"seconds": 1, "minutes": 60, "hours": 3600}[unit]
    assert abs(float(total) * size / (1000 * float(seconds)) - 1) < 0.1


def test_a_run_that_lies_there_is_looked_at_and_left_alone(plan, train, tmp_path):
    train(3)
    found = plan(output=tmp_path / "run", steps=10)
    assert "goes on from step 3 of 10 steps" in found["steps"] and "for 7 steps" in found["time"]
    assert "is finished (3 steps)" in plan(output=tmp_path / "run", steps=3)["steps"]
    path = tmp_path / "run" / "checkpoints" / "step-00000003.npz"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match="cut short"):
        plan(output=tmp_path / "run")


def test_a_disk_that_is_too_small_is_found(plan, monkeypatch):
    usage = type("Usage", (), {"free": 700})
    monkeypatch.setattr(dry_run.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"need 752 bytes and 700 are free; lower --keep"):
        plan()  # 15 weights, twice as many slots and a counter, four times: (45 * 4 + 8) * 4
    assert plan(keep_checkpoints=2)["disk"].startswith("0.0 MB")


def test_an_output_that_cannot_be_a_folder_is_found(plan, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        plan(output=tmp_path / "file" / "run")


def test_flags_that_the_run_would_refuse_are_refused(plan, toy):
    with pytest.raises(UsageError, match="--keep_best=validation_gone"):
        plan(keep_best="validation_gone")
    recipe = toy.recipe()
    recipe.trainer.skips_nonfinite = False
    with pytest.raises(UsageError, match="--on_nonfinite"):
        plan(recipe, on_nonfinite="skip")


def _element(count=4):
    image = np.zeros((count, 16, 16, 3), np.float32)
    return tf.constant(image), tf.constant(image[..., :1])


def test_a_small_step_comes_first_and_the_whole_one_if_there_is_time(toy):
    recipe, sizes = toy.recipe(), []
    recipe.batch_size = 2  # as with one critic step: a step of 4 images has parts of 2
    step = recipe.trainer.train_step

    def spy(data):
        tf.numpy_function(lambda n: sizes.append(int(n)), [tf.shape(data[0])[0]], [])
        return step(data)

    recipe.trainer.train_step = spy
    timing = step_timing.measure(recipe, _element(), budget=300)
    assert sizes == [2, 2, 4, 4]
    assert (timing.images, timing.whole, timing.first, timing.running) == (4, 4, False, False)
    assert 0 < timing.step_seconds < timing.seconds and 0 < timing.tracing < timing.seconds


def test_a_step_that_does_not_fit_into_memory_names_the_flag(toy):
    recipe = toy.recipe()

    def full(data):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    recipe.trainer.train_step = full
    with pytest.raises(UserError, match="4 images does not fit into memory; lower --batch_size"):
        step_timing.measure(recipe, _element(), budget=300)


def test_a_step_that_is_too_long_is_not_waited_for(toy):
    recipe = toy.recipe()
    step = recipe.trainer.train_step

    def slow(data):
        tf.numpy_function(lambda: time.sleep(3), [], [])
        return step(data)

    recipe.trainer.train_step = slow
    began = time.monotonic()
    timing = step_timing.measure(recipe, _element(), budget=1)
    assert timing.running and timing.step_seconds is None and time.monotonic() - began < 2.5
    assert dry_run._time(timing, 100, 1).startswith("unknown: ")


def test_a_step_that_was_traced_and_did_not_end_says_so():
    timing = step_timing.Timing(60.0, whole=16, images=2, running=True, tracing=41.3)
    assert dry_run._time(timing, 100, 60) == (
        "unknown: the graph of the first step, of 2 images, was traced in 41 seconds; the step, which "
        "includes TensorFlow's optimization of the graph, has run for 19 seconds; "
        "wait longer with --dry_run_seconds=240"
    )


def test_a_step_whose_tracing_takes_too_long_says_so(toy):
    recipe = toy.recipe()

    def endless(data):
        time.sleep(3)
        raise UserError("not waited for")

    recipe.trainer.train_step = endless
    timing = step_timing.measure(recipe, _element(), budget=1)
    assert timing.running and timing.tracing is None
    text = dry_run._time(timing, 100, 1)
    assert text.startswith("unknown: TensorFlow still traced the graph of the first step, of 1 im")
    assert "after 1 seconds; wait longer with --dry_run_seconds=4" in text


def test_only_the_first_step_in_time_is_an_upper_bound():
    timing = step_timing.Timing(9.0, whole=8, images=2, step_seconds=16.0, first=True)
    assert "at most: timed on the first step, of 2 images" in dry_run._time(timing, 100, 9)
    assert "26.7 minutes for 100 steps" in dry_run._time(timing, 100, 9)


def test_the_plan_of_a_run_with_a_time_limit_says_how_far_it_comes(plan):
    timing = step_timing.Timing(9.0, whole=8, images=8, step_seconds=0.5)
    assert dry_run._time(timing, 100_000, 9, minutes=2.5).endswith(
        ": --minutes=2.5 ends it after about 300 of 100,000 steps"
    )
    assert "50.0 seconds for 100 steps" in dry_run._time(timing, 100, 9, minutes=2.5)
    assert "trains 1,000 steps or 2.5 minutes, global batch" in plan(minutes=2.5)["steps"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 seconds"), (59, "59.0 seconds"), (90, "1.5 minutes"), (864000, "10.0 days")],
)
def test_durations(seconds, text):
    assert dry_run.duration(seconds) == text


def test_rates_are_those_of_the_schedule():
    text = learning_rate.describe(1e-3, [0.8, 0.9], 100)
    assert text == "0.001, 0.0001 from step 81, 1e-05 from step 91"
    rate = learning_rate.schedule(1e-3, [0.8, 0.9], 100)
    # The update of step n sees a count of n - 1.
    found = [float(rate(step - 1)) for step in (80, 81, 90, 91)]
    np.testing.assert_allclose(found, [1e-3, 1e-4, 1e-4, 1e-5], rtol=1e-6)
    assert learning_rate.describe(0.5, [], 100) == "0.5"


SLOW = """
import threading, time
import tensorflow as tf
from common.training import dry_run, step_timing

slow = tf.function(lambda: tf.numpy_function(lambda: time.sleep(100), [], []))
threading.Thread(target=slow, daemon=True).start()
time.sleep(1)
print("the plan")
dry_run.leave(step_timing.Timing(1.0, 4, running=False))
print("goes on")
dry_run.leave(step_timing.Timing(1.0, 4, running=True))
print("not reached")
"""


def test_the_process_ends_although_a_step_still_runs(forked):
    process = forked("-c", SLOW, cwd=ROOT, timeout=90)
    assert process.returncode == 0 and process.stdout == "the plan\ngoes on\n"
