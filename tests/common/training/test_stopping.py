"""How a run is stopped from outside and goes on: what is saved, said and counted once."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest

from common.data import pipeline
from common.training import callback, loop, signals


def _lines(folder):
    lines = [json.loads(line) for line in (folder / "statistics.jsonl").open()]
    clock = ("images_per_second", "steps_per_second")
    return [{k: v for k, v in line.items() if k not in clock} for line in lines]


def _names(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


@pytest.fixture
def at_step(monkeypatch):
    """at_step(n, number): that signal arrives while step n is being reported, once."""

    def arrange(step, number):
        report = callback.Progress._report

        def reporting(self, values):
            report(self, values)
            if self.step == step and not self.stop:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(callback.Progress, "_report", reporting)

    return arrange


def test_sigterm_saves_the_step_and_returns(train, at_step, tmp_path):
    handler = signal.getsignal(signal.SIGTERM)
    at_step(3, signal.SIGTERM)
    recipe = train(9)
    folder = tmp_path / "run"
    assert int(recipe.trainer.step) == 3 and _names(folder) == ["step-00000003.npz"]
    assert [line["step"] for line in _lines(folder)] == [1, 2, 3]
    assert "terminated at step 3" in (folder / "log.txt").read_text()
    assert not (folder / "weights.npz").exists()  # it is not finished
    assert signal.getsignal(signal.SIGTERM) == handler


def test_ctrl_c_saves_the_step_and_is_raised(train, at_step, tmp_path):
    at_step(3, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(9)
    assert _names(tmp_path / "run") == ["step-00000003.npz"]
    assert "interrupted at step 3" in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.parametrize("step", [3, 4, 8])
def test_stopped_and_gone_on_is_not_stopped(train, at_step, tmp_path, monkeypatch, step):
    """Step 4 has a validation, which is made good; step 8 is the last."""
    options = {"validate_every": 4, "checkpoint_every": 3, "keep_best": "validation_psnr"}
    train(8, folder="whole", **options)
    with monkeypatch.context():
        at_step(step, signal.SIGTERM)
        train(8, folder="parts", **options)
    assert len(_lines(tmp_path / "parts")) < len(_lines(tmp_path / "whole"))
    monkeypatch.undo()
    train(8, folder="parts", **options)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert sorted(_lines(parts), key=str) == sorted(_lines(whole), key=str)
    assert {"step-00000008.npz", "best.npz"} <= set(_names(parts))
    with np.load(whole / "weights.npz") as one, np.load(parts / "weights.npz") as other:
        for name in one:
            np.testing.assert_allclose(one[name], other[name], atol=1e-6)
    before = _lines(parts)
    train(8, folder="parts", **options)
    assert _lines(parts) == before  # what was made good is not made again


def test_a_run_that_is_asked_to_stop_before_its_first_step_takes_none(train, tmp_path):
    stop = signals.StopRequest()
    stop.terminate()
    recipe = train(5, stop=stop)
    assert int(recipe.trainer.step) == 0 and not (tmp_path / "run" / "checkpoints").exists()
    assert "terminated at step 0" in (tmp_path / "run" / "log.txt").read_text()


def test_statistics_after_the_checkpoint_are_taken_out(train, tmp_path):
    train(4)
    path = tmp_path / "run" / "statistics.jsonl"
    whole = path.read_text()
    later = '{"step": 5, "l2": 1.0}\n{"step": 4, "other": 2.0}\nno json\n'
    path.write_text(whole + later + whole.splitlines()[3] + '\n{"step": 6, "l2')
    train(6)
    lines = _lines(tmp_path / "run")
    steps = [line["step"] for line in lines if "l2" in line]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert all(line.get("l2") != 1.0 for line in lines)
    assert path.read_text().startswith(whole)  # not a byte of the past changes
    assert (
        "4 lines of statistics.jsonl after step 4 are removed"
        in (tmp_path / "run" / "log.txt").read_text()
    )


def test_a_run_that_died_before_its_first_checkpoint_starts_anew(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "statistics.jsonl").write_text('{"step": 1, "l2": 9.0}\n')
    (tmp_path / "run" / ".partial-abc.npz").write_text("half of the weights")
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "checkpoints" / ".partial-abc.npz").write_text("half a checkpoint")
    train(2)
    assert [line["step"] for line in _lines(tmp_path / "run") if "l2" in line] == [1, 2]
    assert not list((tmp_path / "run").rglob(".partial-*"))


def test_weights_older_than_the_last_checkpoint_are_written_again(train, tmp_path):
    """A run goes on after --minutes, and dies between its last checkpoint and its weights."""
    train(2)
    path = tmp_path / "run" / "weights.npz"
    expected = path.read_bytes()
    path.write_bytes(b"those of the first part")
    os.utime(path, ns=(0, 0))
    train(2)
    assert path.read_bytes() == expected


def test_photographs_that_were_skipped_stay_counted(toy, tmp_path):
    names = [str(tmp_path / f"{number}.png") for number in range(200)]  # none of which exists
    for steps in (2, 4):
        photographs = pipeline.Photographs(names)
        photographs.warn = lambda line: None
        if steps == 2:
            assert photographs.get(7) is None
        run = loop.RunFolder(tmp_path / "run", {})
        run.photographs = photographs
        schedule = loop.Schedule(steps, log_every=1, picture_every=100, checkpoint_every=100)
        loop.train(toy.recipe(), toy.dataset, toy.pair(), schedule, run)
    counted = [x["photographs_skipped"] for x in _lines(tmp_path / "run") if "l2" in x]
    assert counted == [1, 1, 1, 1]
    assert list(photographs.skipped) == [7] and "7.png" in photographs.skipped[7]


def test_a_stop_during_a_validation_loses_no_step(train, tmp_path, monkeypatch):
    look = callback.Progress._look

    def looking(self, scored, shown):
        look(self, scored, shown)
        if self.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(callback.Progress, "_look", looking)
    train(9, validate_every=4)
    assert _names(tmp_path / "run") == ["step-00000004.npz"]
    assert "terminated at step 4" in (tmp_path / "run" / "log.txt").read_text()
