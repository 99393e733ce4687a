"""The chain of runs: what starts from what, what is skipped, how a budget ends. train.py itself is replaced here."""

from __future__ import annotations

import os
import signal
import time

import pytest

from studies.evidence import arms, training
from studies.evidence.arms import ARMS, RUNS, ancestors
from studies.evidence.training import Plan, train
from studies.kit import networks


@pytest.fixture
def plan(tmp_path):
    return Plan(tmp_path, ("--dataset=sample",), steps=2, seeds=(0, 1))


@pytest.fixture
def trained(monkeypatch):
    """Calls of a `networks.train` that writes the weights of a run at once: (folder, steps, seed, flags)."""
    calls = []

    def stand_in(arm, folder, steps, seed, data, extra):
        calls.append((folder, steps, seed, [*networks.ARMS[arm].small, *data, *extra]))
        folder.mkdir(parents=True, exist_ok=True)
        for name in (networks.WEIGHTS, "discriminator.npz"):
            (folder / name).touch()

    monkeypatch.setattr(networks, "train", stand_in)
    return calls


def _value(flags, name):
    """The flag's last value, which wins."""
    return [f.split("=", 1)[1] for f in flags if f.startswith(f"--{name}=")][-1]


def test_every_run_comes_after_what_it_starts_from(plan, trained):
    assert train(plan)
    order = [folder.relative_to(plan.folder).as_posix() for folder, *_ in trained]
    assert order == [f"seed-{seed}/{run}" for seed in (0, 1) for run in RUNS]
    for _, _, seed, flags in trained:
        for flag in ("weights", "coarse_weights", "sr_weights", "discriminator_weights"):
            given = [f for f in flags if f.startswith(f"--{flag}=") and "/" in f]
            assert all(f"/seed-{seed}/" in f and os.path.exists(f.split("=", 1)[1]) for f in given)
    assert plan.missing() == [] and plan.seconds() >= 0


def test_all_arms_get_the_same_steps_and_differ_in_one_thing(plan, trained):
    train(plan)
    found = {folder.relative_to(plan.folder / "seed-0").as_posix(): (steps, flags)
             for folder, steps, seed, flags in trained if seed == 0}  # fmt: skip
    for name, (steps, _) in found.items():
        assert steps == (4 if RUNS[name].network == "hifill" else 2), name
    progressive, large = (
        found[f"{arm}/joint_small"][1] for arm in ("sr_zoom_gradient", "large_from_start")
    )
    differ = {f.split("=")[0] for f in set(progressive) ^ set(large)}
    assert differ == {"--masks", "--coarse_weights", "--refinement_weights"}
    assert _value(progressive, "masks") == "small" and _value(large, "masks") == "large"
    one, other = (found[arm][1] for arm in ("pixelwise_gates", "single_channel_gates"))
    assert set(one) ^ set(other) == {"--refinement_gate=pw", "--refinement_gate=sc"}
    for arm in ("no_zoom", "bicubic_zoom", "sr_zoom"):
        flags = found[f"{arm}/joint_large"][1]
        assert _value(flags, "masks") == "large" and _value(flags, "zoom_config") == arm
        given = _value(found[f"{arm}/joint_small"][1], "sr_weights")
        assert given.endswith("pretrain_sr/weights.npz") if arm == "sr_zoom" else given == ""


def test_what_is_wanted_brings_what_it_starts_from(tmp_path):
    needed = ancestors("large_from_start/joint_large")
    assert needed == [
        "pretrain_sr", "pretrain_coarse_large", "pretrain_refinement_large",
        "large_from_start/joint_small", "large_from_start/joint_large",
    ]  # fmt: skip
    assert ancestors("pixelwise_gates") == ["pixelwise_gates"]
    plan = Plan(tmp_path, (), 1, (0,), arms.SMALL_RUNS)
    assert plan.all_runs() == list(arms.SMALL_RUNS)
    assert arms.arms_of(plan.all_runs()) == list(ARMS)[5:]


# Stands for train.py: the first run ends at once, others wait for SIGTERM and then end as train.py does.
SLOW_TRAIN = """
import pathlib, signal, sys, time
output = pathlib.Path(next(a.split("=", 1)[1] for a in sys.argv if a.startswith("--output=")))
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(True))
output.mkdir(parents=True, exist_ok=True)
if "--refinement_gate=pw" in sys.argv:
    (output / "weights.npz").touch()
else:
    started = time.monotonic()
    while not told and time.monotonic() - started < 60:
        time.sleep(0.01)
    (output / "saved").touch()
"""


def test_a_budget_ends_the_run_that_it_meets_and_the_next_start_goes_on(
    plan, monkeypatch, tmp_path
):
    (tmp_path / "train.py").write_text(SLOW_TRAIN)
    monkeypatch.setattr(networks, "ROOT", tmp_path)
    started = time.monotonic()
    while len(plan.missing()) == 2 * len(RUNS):  # a loaded machine may not start a process in time
        assert not train(plan, minutes=0.05) and time.monotonic() - started < 120
    first, second = list(RUNS)[:2]
    assert plan.missing()[0] == (0, second) and len(plan.missing()) == 2 * len(RUNS) - 1
    seconds = plan.seconds()
    assert seconds > 1
    written = plan.weights(0, first).stat().st_mtime_ns
    assert not train(plan, minutes=0.05)
    assert plan.weights(0, first).stat().st_mtime_ns == written and plan.seconds() > seconds
    assert (plan.run_folder(0, second) / "saved").is_file()  # it was asked, not killed
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_persons_sigterm_is_no_end_of_the_budget(plan, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        _interrupted(plan, monkeypatch)


def _interrupted(plan, monkeypatch):
    def stand_in(*_):
        with training.signals.watched() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            while not stop:
                time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(networks, "train", stand_in)
    train(plan, minutes=10)


def test_sigterm_between_runs_starts_no_other(plan, monkeypatch):
    calls = []

    def stand_in(arm, folder, *_):
        calls.append(folder)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)

    monkeypatch.setattr(networks, "train", stand_in)
    with pytest.raises(KeyboardInterrupt):
        train(plan)
    assert len(calls) == 1
