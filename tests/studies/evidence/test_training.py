"""The chain of runs: what starts from what, what is skipped, what a limit of time does. train.py itself is replaced."""

from __future__ import annotations

import os
import signal
import time
import types

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
    train(plan)
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


def test_no_run_is_started_after_the_time_is_over_and_the_next_start_goes_on(
    plan, trained, monkeypatch
):
    clock = iter(range(0, 10_000, 50))  # seconds; a look at it takes 50
    ticking = types.SimpleNamespace(monotonic=lambda: next(clock), perf_counter=time.perf_counter)
    monkeypatch.setattr(training, "time", ticking)
    train(plan, minutes=2)
    assert len(trained) == 2 and len(plan.missing()) == 2 * len(RUNS) - 2
    train(plan)
    assert plan.missing() == []


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
