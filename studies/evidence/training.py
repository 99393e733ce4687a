"""Trains the runs of `studies/evidence/`, each in its own train.py process, within a time limit.

    <output>/seed-N/RUN/                run folder of train.py
    <output>/seed-N/RUN/seconds.json    training time, over all starts

Seeds are trained one after the other, so that a time limit leaves complete seeds rather than complete arms. Finished
runs are skipped; an interrupted run continues from its last checkpoint. Changed flags are an error, because the arms
would then differ in more than one thing.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time

from common import json_files
from common.training import signals
from studies.evidence.arms import RUNS, ancestors
from studies.kit import networks

SECONDS = "seconds.json"


@dataclasses.dataclass(frozen=True)
class Plan:
    """The runs to train.

    Attributes:
      folder: output folder; absolute, because runs name each other's files.
      data: train.py's flags for every run: the photographs, and any others.
      steps: steps of every stage.
      seeds: such as (0, 1, 2).
      runs: names of `arms.RUNS`; the runs that they start from are trained too.
    """

    folder: pathlib.Path
    data: tuple[str, ...]
    steps: int
    seeds: tuple[int, ...]
    runs: tuple[str, ...] = tuple(RUNS)

    def all_runs(self) -> list[str]:
        """`runs` and all runs that they start from, in running order."""
        needed = {name for run in self.runs for name in ancestors(run)}
        return [name for name in RUNS if name in needed]

    def run_folder(self, seed: int, run: str) -> pathlib.Path:
        return self.folder / f"seed-{seed}" / run

    def weights(self, seed: int, run: str) -> pathlib.Path:
        return self.run_folder(seed, run) / networks.WEIGHTS

    def flags_of(self, seed: int, name: str) -> list[str]:
        """train.py's flags for a run, without those of its network, data, steps and seed."""
        run, folder = RUNS[name], self.folder / f"seed-{seed}"
        return [
            *run.flags,
            *(f"--{flag}={folder / file}" for flag, file in run.starts_from.items()),
        ]

    def missing(self) -> list[tuple[int, str]]:
        """(seed, run) of all runs that are not trained yet."""
        every = [(seed, run) for seed in self.seeds for run in self.all_runs()]
        return [(seed, run) for seed, run in every if not self.weights(seed, run).is_file()]

    def seconds(self) -> float:
        """Training time so far."""
        records = (self.run_folder(s, run) / SECONDS for s in self.seeds for run in self.all_runs())
        return sum(json.loads(path.read_text()) for path in records if path.is_file())


def train(plan: Plan, minutes: float = 0) -> None:
    """Trains missing runs; starts no run after `minutes` (0: no limit).

    Raises:
      KeyboardInterrupt: Ctrl-C or SIGTERM.
      UserError: a run failed, or its folder holds a run with other flags.
    """
    begun = time.monotonic()
    with signals.watched() as stop:
        for seed in plan.seeds:
            for name in plan.all_runs():
                if minutes and time.monotonic() - begun > 60 * minutes:
                    return
                if stop:
                    raise KeyboardInterrupt
                _train_one(plan, seed, name)


def _train_one(plan, seed, name):
    run, folder, started = RUNS[name], plan.run_folder(seed, name), time.perf_counter()
    new = not plan.weights(seed, name).is_file()
    try:
        steps, extra = plan.steps * run.stages, plan.flags_of(seed, name)
        networks.train(run.network, folder, steps, seed, plan.data, extra)
    finally:
        if new and folder.is_dir():
            _add_seconds(folder / SECONDS, time.perf_counter() - started)


def _add_seconds(path, seconds):
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else 0
    json_files.write(path, round(before + seconds, 1))
