"""Small-scale evidence on real photographs: do small networks rank as the papers' large networks do?

    python -m studies.evidence --data_dir=photos/ --eval_dir=held_out/ --output=runs/studies

The papers train for up to 1.2 million steps per stage. Here every arm has networks of a quarter of the width (HiFill:
half), the same few hundred steps, three seeds, and one fixed set of images and holes:

    arms                the runs, and the claims with their arms and deciding metrics
    rule                when a difference agrees, disagrees or is inconclusive
    training            trains the runs: finished runs are skipped, interrupted runs are resumed
    scores              the protocol of `common.scoring.protocol`, 256x256 center crops, small and large masks
    report, charts      tables and charts

The study needs a few hundred photographs, others for scoring, and hours on two cores (docs/evidence.md). The same
command resumes it; after `--minutes` no further run starts and the finished runs are reported. The small setting of
studies/run.py trains HiFill's arms alone, with two seeds, for seconds; it only shows that everything runs.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from common import environment
from common.data import datasets
from common.errors import UsageError, UserError
from studies.evidence import arms, charts, report, scores
from studies.evidence.training import Plan, train
from studies.kit import study
from studies.kit.study import Result, Study

if TYPE_CHECKING:
    from studies.kit.bench import Bench

FLAGS = flags.FLAGS
SIZE = 256  # of the scored crops, as in Zoom-to-Inpaint's tables
STEPS = 600
SEEDS = 3
# Small size: enough to run, not to learn.
SMALL_STEPS, SMALL_SEEDS = 5, 2


def prepare() -> None:
    """Checks the environment and defines the flags of `python -m studies.evidence`; studies/run.py has its own."""
    environment.check()
    flags.DEFINE_string("data_dir", None, "folder of training photographs")
    flags.DEFINE_string("eval_dir", None, "folder of other photographs, for scoring")
    flags.DEFINE_integer("steps", STEPS, "steps of every stage of every arm", lower_bound=1)
    flags.DEFINE_integer("seeds", SEEDS, "number of seeds; a decision needs 2", lower_bound=1)
    flags.DEFINE_float("minutes", 0, "start no run after this long; 0: no limit", lower_bound=0)
    flags.DEFINE_string(
        "output", "runs/studies", "output folder; results go to its sub-folder evidence/"
    )


def score(plan: Plan, paths: list[str], size: int) -> dict:
    """{arm: {seed: scores}} of every arm with trained weights."""
    cases = scores.make_cases(paths, plan.folder / "evaluation", size)
    found: dict[str, dict] = {}
    for arm in arms.arms_of(plan.all_runs()):
        for seed in plan.seeds:
            weights = plan.weights(seed, arms.ARMS[arm].run)
            if weights.is_file():
                folder = plan.folder / f"seed-{seed}" / "scores" / arm
                found.setdefault(arm, {})[seed] = scores.score(arm, weights, cases, folder)
    return found


def result(plan: Plan, scored: dict, training: int, held_out: int, size: int) -> Result:
    """Tables, charts and values; `training`, `held_out`: numbers of photographs."""
    values, missing = report.values(scored), len(plan.missing())
    total = len(plan.seeds) * len(plan.all_runs())
    hours = round(plan.seconds() / 3600, 2)
    setting = {
        **{"steps": plan.steps, "seeds": len(plan.seeds), "runs": total, "missing": missing},
        **{"photographs": training, "held_out": held_out, "size": size, "training_hours": hours},
    }
    notes = [
        f"{total - missing} of {total} runs are trained, in {hours} hours; "
        f"{plan.steps} steps a stage, seeds {', '.join(map(str, plan.seeds))}.",
        f"{training} photographs to train on, {held_out} others to score on, {size}x{size} center "
        f"crops, masks drawn with seed {scores.MASK_SEED}.",
    ]
    return Result(
        tables=report.tables(values),
        pictures=charts.pictures(values),
        notes=notes,
        values={"setting": setting, **values},
    )


def train_and_score(
    plan: Plan, held_out: list[str], training: int, size: int, minutes: float = 0
) -> Result:
    """Trains missing runs, starting none after `minutes`, and scores all trained arms."""
    charts.check()
    train(plan, minutes)
    return result(plan, score(plan, held_out, size), training, len(held_out), size)


def run(bench: Bench) -> Result:
    """The study in studies/run.py: the small size only."""
    if not bench.small:
        raise UsageError(f"this study needs two folders of photographs; run: {STUDY.command}")
    (data_set,) = bench.data_sets()
    training = datasets.training(data_set.name, data_set.data_dir).train
    plan = Plan(
        bench.folder.resolve(),
        bench.training_data(),
        bench.steps or SMALL_STEPS,
        tuple(range(bench.seed, bench.seed + SMALL_SEEDS)),
        arms.SMALL_RUNS,
    )
    size = bench.image_size or SIZE
    return train_and_score(plan, data_set.paths, len(training), size)


STUDY = Study(
    id="evidence",
    # Z: Zoom-to-Inpaint, H: HiFill.
    item="Z Table 3, section 3.2; H Figures 4 and 6",
    what="small-scale evidence: directions with seeds and a rule",
    reported=(
        "zooming, the SR network and the gradient loss improve every score; small masks first make training with large "
        "ones converge faster; single-channel gates in both networks bring artifacts; residual aggregation is sharper "
        "than upsampling"
    ),
    needs="two folders of photographs, hours on two cores",
    minutes=3,
    run=run,
    own_command="python -m studies.evidence --data_dir=photos/ --eval_dir=held_out/ --output=runs/studies",
)


def photographs() -> tuple[Sequence[str], list[str]]:
    """Paths below --data_dir (training) and --eval_dir (scoring); UserError if one is in both."""
    for name in ("data_dir", "eval_dir"):
        if not FLAGS[name].value:
            raise UsageError(f"--{name} is missing: name a folder of photographs")
    training = datasets.training("folder", FLAGS.data_dir).train
    held_out = list(datasets.files("folder", FLAGS.eval_dir, "test", "--eval_dir"))
    both = set(map(_resolved, training)) & set(map(_resolved, held_out))
    if both:
        raise UserError(f"{min(both)} is below --data_dir and --eval_dir; score other photographs")
    return training, held_out


def _resolved(path):
    return str(pathlib.Path(path).resolve())


def main(_) -> int:
    from studies.kit import bench
    from studies.publish import report

    started, (training, held_out) = time.perf_counter(), photographs()
    output, steps = pathlib.Path(FLAGS.output), FLAGS.steps
    chosen = bench.Bench(
        STUDY.id, "own", output, dataset="folder", data_dir=FLAGS.data_dir, steps=steps
    )
    data = ("--dataset=folder", f"--data_dir={_resolved(FLAGS.data_dir)}")
    plan = Plan(chosen.folder.resolve(), data, steps, tuple(range(FLAGS.seeds)))
    found = train_and_score(plan, held_out, len(training), SIZE, FLAGS.minutes)
    given = [f"--{n}={FLAGS[n].value}" for n in ("steps", "seeds") if FLAGS[n].present]
    run = dataclasses.replace(STUDY, own_command=" ".join([STUDY.command, *given]))
    path = study.save(run, found, chosen, time.perf_counter() - started)
    for table in study.load(path)["tables"]:
        print("", *report.markdown_table(table, "{}"), sep="\n")
    print("\n".join(["", *found.notes]))
    if plan.missing():
        print("The same command continues.")
    print(f"Result: {path}")
    return 0
