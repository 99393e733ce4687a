"""What a run's progress bar says is left: of a time limit, of the steps, whichever ends first."""

from __future__ import annotations

import io
import re
import types

import pytest
from tqdm import tqdm

from common.training import loop, progress_bar


@pytest.fixture
def clock(monkeypatch):
    """What tqdm's clock shows; a test moves it."""
    clock = types.SimpleNamespace(now=1000.0)
    monkeypatch.setattr("tqdm.std.time", lambda: clock.now)
    return clock


@pytest.fixture
def shown(monkeypatch):
    """Everything that bars print, as text."""
    stream = io.StringIO()
    monkeypatch.setattr(
        progress_bar, "tqdm", lambda **options: tqdm(file=stream, ncols=120, **options)
    )
    return stream


def _drive(bar, clock, steps, seconds_of, start=0.0):
    """Steps one after the other, of `seconds_of(step)` each; returns the seconds since the start."""
    elapsed = start
    for step in range(steps):
        clock.now += seconds_of(step)
        elapsed += seconds_of(step)
        bar.update(elapsed)
    return elapsed


def _last(shown):
    return shown.getvalue().split("\r")[-1]


def _remaining(shown):
    """Seconds that the bar says are left."""
    words = re.search(r"<([\d:]+)", _last(shown)).group(1).split(":")
    return sum(int(word) * 60**i for i, word in enumerate(reversed(words)))


def test_of_a_run_with_minutes_the_time_is_left(clock, shown):
    """Ten times as long for the first step, which traces the graph; 100,000 steps would take 14 hours."""
    bar = progress_bar.ProgressBar(100_000, 0, 150.0)
    elapsed = _drive(bar, clock, 60, lambda step: 0.5 if step else 5.0)
    bar.rate("25.3 images/s")
    assert abs(_remaining(shown) - (150 - elapsed)) <= 1
    assert f"{100 * elapsed / 150:.0f}%" in _last(shown) and "34/150 s" in _last(shown)
    assert "step 60, 25.3 images/s" in _last(shown)
    _drive(bar, clock, 231, lambda step: 0.5, elapsed)
    assert "100%" in _last(shown) and _remaining(shown) == 0
    bar.close()


def test_steps_that_end_before_the_time_are_what_is_left(clock, shown):
    bar = progress_bar.ProgressBar(120, 0, 3600.0)
    elapsed = _drive(bar, clock, 60, lambda step: 2.0 if step else 20.0)
    assert abs(_remaining(shown) - 120) <= 1  # 60 steps of two seconds
    _drive(bar, clock, 60, lambda step: 2.0, elapsed)
    assert "100%" in _last(shown) and _remaining(shown) == 0
    bar.close()


def test_steps_of_earlier_starts_took_none_of_this_time(clock, shown):
    bar = progress_bar.ProgressBar(120, 100, 3600.0)
    _drive(bar, clock, 11, lambda step: 2.0)
    assert abs(_remaining(shown) - 18) <= 1 and "step 111" in _last(shown)
    bar.close()


def test_after_the_first_step_alone_the_time_is_left(clock, shown):
    """It traced the graph and says nothing of the others."""
    bar = progress_bar.ProgressBar(4, 0, 60.0)
    _drive(bar, clock, 1, lambda step: 20.0)
    assert abs(_remaining(shown) - 40) <= 1
    bar.close()


def test_without_minutes_steps_are_counted(clock, shown):
    bar = progress_bar.ProgressBar(40, 10, 0.0)
    _drive(bar, clock, 10, lambda step: 2.0)
    bar.rate("8.0 images/s")
    assert "20/40" in _last(shown) and "50%" in _last(shown) and "8.0 images/s" in _last(shown)
    assert abs(_remaining(shown) - 40) <= 1
    bar.close()


def test_a_run_with_minutes_shows_time_and_images(toy, shown, tmp_path):
    run = loop.RunFolder(tmp_path / "run", {})
    schedule = loop.Schedule(100_000, log_every=1, minutes=0.02)
    loop.train(toy.recipe(), lambda first: toy.dataset(first).repeat(), toy.pair(), schedule, run)
    assert re.search(r"/1 s \[.*step \d+, [\d.]+ images/s", shown.getvalue())
