"""Trains a model.

    python train.py --flagfile=configs/hifill/places2.cfg --data_dir=/data/places2 --output=runs/hifill
    python train.py --flagfile=configs/zoom_to_inpaint/pretrain_coarse.cfg --data_dir=/data/places2
    python train.py --stages=all --places2_dir=/data/places2 --div2k_dir=/data/DIV2K --output=runs/zoom

Photographs have no holes; masks are drawn while training. The same command resumes a run that was stopped by SIGTERM
(the step is finished and saved, exit code 0), Ctrl-C, a crash or kill -9. `--dry_run` checks everything, prints the
plan and writes nothing. `--stages` runs Zoom-to-Inpaint's flagfiles one after the other; each stage starts from the
networks of earlier stages, with new optimizers. All missing flags and files of all stages are reported in one message
before anything is built. Exit code: 0 done, 1 failed, 2 wrong flags.

Flags are made from dataclasses: `datasets.DatasetOptions`, `common.training.options`, and `options` and `config` of the
two papers' packages. Defaults that differ between the papers are in their modules `options`.
"""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
import sys
from typing import Any

from absl import flags
from absl.testing import flagsaver

from common import command_line, environment, errors, options
from common.data import cache, datasets
from common.errors import UsageError
from common.options import option
from common.training import options as training
from common.training import signals
from hifill import options as hifill_options
from zoom_to_inpaint import options as zoom_options

FLAGS = flags.FLAGS
# {model: its module `options`}
MODELS = {"hifill": hifill_options, "zoom_to_inpaint": zoom_options}


@dataclasses.dataclass(frozen=True)
class Command:
    """The model to train and what the command does with it."""

    model: str = option("hifill", "model to train", choices=tuple(MODELS))
    weights: str | None = option(
        None, "start from this weights file or folder instead of random weights"
    )
    output: str | None = option(None, "run folder")
    export_step: str | None = option(
        None, "write one step for JAX into this folder instead of training (docs/xla.md)"
    )
    dry_run: bool = option(False, "check everything, print the plan, write nothing")
    dry_run_seconds: float = option(60.0, "time limit for the steps of --dry_run", least=1)
    stages: tuple = option((), "'all', or names of Zoom-to-Inpaint's stages, run in their order")
    flagfiles: str | None = option(None, "folder of the stages' flagfiles; default: the paper's")


def define_flags() -> None:
    """Defines every flag, by group."""

    def of_models(name):
        return {model: getattr(module, name) for model, module in MODELS.items()}

    options.define_flags("run", Command)
    options.define_flags("run", training.Schedule)
    options.define_flags("data", datasets.DatasetOptions)
    options.define_flags("data", training.DataOptions, of_models("DataOptions"))
    options.define_flags("optimisation", training.CommonOptions, of_models("TrainingOptions"))
    options.define_flags("several devices", training.DeviceOptions)
    for model, module in MODELS.items():
        group = _group(model)
        options.define_flags(group, module.Start)
        options.define_flags(group, module.TrainingOptions, without=training.CommonOptions)
        options.define_flags(group, module.NETWORKS, optional="the configuration's")


def _group(model):
    return f"--model={model}"


@dataclasses.dataclass(frozen=True)
class Job:
    """One training, as the flags describe it.

    values: {flag: value}, including the defaults of the model's paper.
    """

    values: dict[str, Any]
    command: Command
    data: training.DataOptions

    @classmethod
    def of_flags(cls) -> Job:
        """The job of the currently parsed flags."""
        values = FLAGS.flag_values_dict()
        module = MODELS[values["model"]]
        for kind in (module.DataOptions, module.TrainingOptions):
            given = dataclasses.asdict(options.from_flags(kind, values))
            values |= {name: given[name] for name in options.names(kind)}
        return cls(
            values,
            options.from_flags(Command, values),
            options.from_flags(module.DataOptions, values),
        )

    @property
    def recipe(self):
        """The model's module `recipe`."""
        return importlib.import_module(f"{self.command.model}.recipe")

    @property
    def place(self) -> datasets.Place:
        """The folder of --dataset."""
        return datasets.place(self.values["dataset"], self.values)

    def record(self) -> dict[str, Any]:
        """{flag: value} for the run folder, including a data folder that comes from an environment variable."""
        if self.place.folder and not self.values["data_dir"]:
            return {**self.values, f"{self.values['dataset']}_dir": self.place.folder}
        return self.values

    @property
    def schedule(self) -> training.Schedule:
        """Length and intervals of the run."""
        found = options.from_flags(training.Schedule, self.values)
        return dataclasses.replace(found, steps=self.values["steps"])

    def photographs(self) -> datasets.Training:
        """Paths of the photographs for training and for validation."""
        return datasets.training(self.values["dataset"], *self.place)

    def reduce_to(self, size: int) -> int | None:
        """Shorter side to which photographs are reduced before they are cropped to `size`; None: not reduced."""
        return size if self.data.reduces(self.values["dataset"]) else None

    def holes(self):
        """The mask source of --masks and --mask_dir."""
        from common.masks import files as mask_files

        return mask_files.mask_source(self.data.masks, self.data.mask_dir)

    def checks(self) -> list:
        """Checks of flags and files, to run before anything is built; the first returns the photographs."""
        first = [self.photographs, self.check_output, self.check_flags, self.holes]
        return first + self.recipe.checks(self.values)

    def check_output(self) -> None:
        """UserError for a missing run folder, or one among the photographs."""
        if not self.command.output:
            raise UsageError("--output is missing: name a folder for the run")
        datasets.check_output(self.values["dataset"], self.place, self.command.output)

    def check_flags(self) -> None:
        """UsageError for flags that would have no effect, such as flags of the other model."""
        for model in MODELS:
            if model != self.command.model:
                _refuse_given(_group(model), self.command.model)
        if self.command.flagfiles:
            raise UsageError("--flagfiles goes with --stages")
        if self.values["strategy"] == "multi_worker" and self.values["minutes"]:
            raise UsageError(
                "--minutes: workers' clocks differ, and they must stop together; use --steps"
            )


def _refuse_given(group, model):
    for flag in FLAGS.flags_by_module_dict()[group]:
        if flag.present:
            raise UsageError(f"--{flag.name} is a flag of {group}, not of {model}")


def samples(job: Job, recipe, paths):
    """The endless training samples, in the sizes of a `loop.Recipe`."""
    from common.data import pipeline

    values, data = job.values, job.data
    reduce_to = job.reduce_to(recipe.size)
    gigabytes = 0 if job.command.dry_run else data.cache_gb
    kept = cache.MemoryCache(int(gigabytes * (1 << 30)))
    photographs = pipeline.Photographs(paths, kept, reduce_to)
    return pipeline.Samples(
        *(photographs, job.holes(), recipe.size, values["seed"]),
        *(reduce_to is not None, data.flip, recipe.mask_size),
    )


def validation_set(job: Job, recipe, paths, mask_source):
    """Center crops of the first photographs, with fixed masks; photographs are reduced as for training."""
    from common.data import pipeline
    from common.images import convert
    from common.training import validation

    reduce_to = job.reduce_to(recipe.size)
    fixed_set = validation.FixedSet(
        lambda i: pipeline.reduced(convert.read_rgb(paths[i]), reduce_to),
        *(min(job.values["validation_images"], len(paths)), mask_source, job.values["seed"]),
        *(recipe.preview_size or recipe.size, recipe.size, recipe.holes),
    )
    fixed_set.check()
    return fixed_set


def build(job: Job):
    """(strategy, recipe, samples, line about the photographs, function first sample -> data set, validation set).

    Writes nothing.
    """
    from tensorflow import keras

    from common.data import pipeline
    from common.training import devices

    (found, *_), problems = errors.collect(job.checks())
    errors.raise_together(problems, job.recipe.remarks(job.values))
    strategy = devices.strategy(job.values["num_replicas"], job.values["strategy"])
    keras.utils.set_random_seed(job.values["seed"])
    recipe = job.recipe.make(strategy, job.values)
    data = samples(job, recipe, found.train)
    dataset_from = devices.distribute(
        strategy, data, recipe.images_per_step, pipeline.training_dataset
    )
    fixed_set = validation_set(job, recipe, found.validation, data.mask_source)
    return strategy, recipe, data, found.note, dataset_from, fixed_set


def train(job: Job, stop: signals.StopRequest) -> None:
    """Runs a training until it is finished or `stop` is set."""
    from common.training import devices, loop

    strategy, recipe, data, note, *sets = build(job)
    with devices.run_folder(strategy, job.command.output) as folder:
        run = loop.RunFolder(folder, job.record())
        run.log(f"--dataset={job.values['dataset']}: {note}")
        data.photographs.warn = run.log
        shortage = data.photographs.cache.shortage(data.photographs.decoded_bytes())
        if shortage:
            run.log(shortage)
        run.photographs = data.photographs
        loop.train(recipe, *sets, job.schedule, run, stop)


def dry_run(job: Job) -> None:
    """Checks everything and prints the plan; see `common.training.dry_run`."""
    from common.training import dry_run, learning_rate

    values = job.values
    _, recipe, _, note, *sets = build(job)
    about = {
        "plan": f"{values['model']} into {values['output']}, seed {values['seed']}",
        "data": f"{values['dataset']}, {values['masks']} masks: {note}",
        "rate": learning_rate.describe(
            *(values["learning_rate"], values["learning_rate_drops"], values["steps"]),
            *(values["learning_rate_schedule"], values["warmup_steps"]),
        ),
    }
    dry_run.run(recipe, *sets, job.schedule, values["output"], about, values["dry_run_seconds"])


def export_step(job: Job) -> None:
    """Writes a step, with the state of the run's last checkpoint, for machines that have JAX and no TensorFlow."""
    environment.check_installed("--export_step", {"jax": "jax"}, "jax", beside_addons=False)
    from tensorflow import keras

    from common.training import devices, portable_step
    from common.training.checkpoints import Checkpoints

    values = job.values
    _, problems = errors.collect([job.check_flags, job.holes, *job.recipe.checks(values)])
    errors.raise_together(problems, job.recipe.remarks(values))
    keras.utils.set_random_seed(values["seed"])
    recipe = job.recipe.make(devices.strategy(name="one"), values)
    folder = pathlib.Path(job.command.output or "", "checkpoints")
    saved = Checkpoints(folder, recipe.layers, recipe.optimizers)
    if job.command.output and saved.paths():
        recipe.trainer.step.assign(saved.restore(saved.paths()[-1])["step"])
    about = {name: values[name] for name in ("masks", "mask_dir", "seed", "flip")}
    about["reduce_to"] = job.reduce_to(recipe.size)
    portable_step.write(recipe, job.command.export_step, about)
    print(f"wrote step {int(recipe.trainer.step)} to {job.command.export_step} (docs/xla.md)")


def _check_stages(commands: dict) -> None:
    """Raises the errors of all stages {stage: its command line}, and of --output, as one error."""
    found, remarks = errors.collect([Job.of_flags().check_output])[1], []
    for words in commands.values():
        with flagsaver.flagsaver():
            FLAGS.unparse_flags()
            command_line.parse([sys.argv[0], *words])
            job = Job.of_flags()
            found += errors.collect(job.checks())[1]
            remarks += job.recipe.remarks(job.values)
    errors.raise_together(found, remarks)


def _run_stages(command: Command, stop: signals.StopRequest) -> None:
    from zoom_to_inpaint import stages

    if command.export_step:
        raise UsageError("--export_step with --stages: export the stages' flagfiles one by one")
    if FLAGS.strategy == "multi_worker":
        raise UsageError("--stages on several workers: run the stages' flagfiles one by one")
    stages.run(
        *(command.stages, command.flagfiles, command.output, sys.argv[1:], stop, command.dry_run),
        _check_stages,
    )


def main(_) -> int:
    job = Job.of_flags()
    environment.start_tensorflow()  # takes seconds, so after the flags are parsed
    if job.command.export_step and not job.command.stages:
        export_step(job)
        return 0
    if job.command.dry_run and not job.command.stages:  # nothing to save, so signals end it at once
        dry_run(job)
        return 0
    with signals.watched() as stop:
        if job.command.stages:
            _run_stages(job.command, stop)
        else:
            train(job, stop)
    return 0


def prepare() -> None:
    """Checks the environment and defines the flags, without TensorFlow."""
    environment.check()
    define_flags()
