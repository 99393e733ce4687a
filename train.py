"""Trains a model.

    python train.py --flagfile=configs/hifill/places2.cfg --data_dir=/data/places2 --output=runs/hifill
    python train.py --flagfile=configs/zoom_to_inpaint/pretrain_coarse.cfg --data_dir=/data/places2
    python train.py --stages=all --places2_dir=/data/places2 --div2k_dir=/data/DIV2K --output=runs/zoom

Photographs are complete images; holes are drawn while training. The folder --output explains itself and goes on
where it stopped when the same command is given again: after SIGTERM (the step is finished and saved, exit code 0),
Ctrl-C, a crash or kill -9. `--dry_run` checks everything, prints the plan and writes nothing. `--stages` runs
Zoom-to-Inpaint's flagfiles one after the other, each starting from the networks of those before it, with fresh
optimizers. What flags or files are missing is said at once, of all stages, before anything is built. Exit code: 0 done,
1 failed, 2 wrong flags.
"""

from __future__ import annotations

import pathlib
import sys

from absl import flags
from absl.testing import flagsaver

from common import command_line, environment, errors
from common.data import datasets
from common.errors import UsageError
from common.training import devices, signals

FLAGS = flags.FLAGS
MODELS = ("hifill", "zoom_to_inpaint")
CACHES = ("none", "ram", "disk")
_CACHE_FLAGS = {"cache_gb": "ram", "cache_dir": "disk", "cache_disk_gb": "disk"}
# Also in modules that import TensorFlow, which takes seconds.
STRATEGIES = ("one", "mirrored", "multi_worker")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
LEARNING_RATE_SCHEDULES = ("constant", "drops", "cosine")
# Flags without a default here have one for each model, the paper's: `DEFAULTS` of its `recipe`.
flags.DEFINE_enum("model", "hifill", MODELS, "what to train")
flags.DEFINE_string("weights", None, "start from these instead of random weights")
flags.DEFINE_enum("dataset", "sample", datasets.NAMES, "photographs")
flags.DEFINE_string("data_dir", None, "where the dataset lies")
flags.DEFINE_string(
    "places2_dir",
    None,
    "where Places2 lies, if --data_dir does not say; default: PLACES2_DIR of the environment",
)
flags.DEFINE_string(
    "div2k_dir", None, "where DIV2K lies, likewise; default: DIV2K_DIR of the environment"
)
flags.DEFINE_string("masks", None, "small, large, irregular, object, mixed, union, any or a folder")
flags.DEFINE_string("mask_dir", None, "object templates for object, mixed, union and any masks")
flags.DEFINE_bool(
    "resize",
    None,
    "reduce photographs to the crop's size before cropping; default: as the paper of --model has --dataset, else no",
)
flags.DEFINE_bool("flip", False, "mirror half of the crops")
flags.DEFINE_enum("cache", "ram", CACHES, "where decoded photographs are kept for their next use")
flags.DEFINE_float("cache_gb", 2.0, "memory for --cache=ram", lower_bound=0)
flags.DEFINE_string("cache_dir", None, "folder for --cache=disk; default: cache below --output")
flags.DEFINE_float("cache_disk_gb", 100.0, "most that --cache=disk writes", lower_bound=0)
flags.DEFINE_string("output", None, "run folder")
flags.DEFINE_integer("steps", None, "generator updates", lower_bound=1)
flags.DEFINE_float("minutes", 0, "stop after this long; 0: no limit", lower_bound=0)
flags.DEFINE_integer("batch_size", None, "images of one update, over all replicas", lower_bound=1)
flags.DEFINE_float("learning_rate", None, "of both Adam optimizers", lower_bound=0)
flags.DEFINE_enum(
    "learning_rate_schedule", None, LEARNING_RATE_SCHEDULES, "default: drops where given"
)
flags.DEFINE_integer("warmup_steps", 0, "over which the learning rate rises", lower_bound=0)
flags.DEFINE_list("learning_rate_drops", [], "shares of --steps after which it is divided by 10")
flags.DEFINE_float("adam_beta_1", None, "of Adam", lower_bound=0, upper_bound=1)
flags.DEFINE_float("adam_beta_2", None, "of Adam", lower_bound=0, upper_bound=1)
flags.DEFINE_integer("seed", 0, "of weights, data order, crops and holes", 0, 2**32 - 1)
flags.DEFINE_enum("strategy", None, STRATEGIES, "devices that train together (docs/distributed.md)")
flags.DEFINE_integer("num_replicas", 0, "GPUs, or logical CPUs without one; 0: all", lower_bound=0)
flags.DEFINE_integer("accumulate", 1, "micro-batches that --batch_size is cut into", lower_bound=1)
flags.DEFINE_enum("precision", "float32", PRECISIONS, "of convolutions (docs/training.md)")
flags.DEFINE_bool("jit", False, "compile with XLA what it can compile")
flags.DEFINE_float(
    "ema", 0, "decay of a moving average that replaces the weights; 0: none", lower_bound=0
)
flags.DEFINE_bool("hole_by_area", False, "the hole's L1 is a mean over the hole, not the image")
flags.DEFINE_integer("log_every", 100, "steps between statistics", lower_bound=1)
flags.DEFINE_integer("picture_every", 1000, "steps between picture grids", lower_bound=1)
flags.DEFINE_integer("checkpoint_every", 1000, "steps between checkpoints", lower_bound=1)
flags.DEFINE_integer("keep_checkpoints", 3, "how many of the last ones stay", lower_bound=1)
flags.DEFINE_integer("milestone_every", 0, "steps between checkpoints that stay; 0: none", 0)
flags.DEFINE_string("keep_best", None, "also keep the best by this, such as validation_psnr")
flags.DEFINE_integer("validate_every", None, "steps between scores; default: --picture_every", 1)
flags.DEFINE_integer("validation_images", 16, "the first ones; fewer where there are", 1)
flags.DEFINE_enum("on_nonfinite", "stop", ("stop", "skip"), "at a NaN or infinite term or gradient")
flags.DEFINE_integer("max_skipped", 10, "steps that --on_nonfinite=skip may leave out", 1)
flags.DEFINE_bool("dry_run", False, "check everything, print the plan, write nothing")
flags.DEFINE_float("dry_run_seconds", 60, "how long --dry_run waits for its steps", 1)
flags.DEFINE_list("stages", [], "'all', or some of Zoom-to-Inpaint's flagfiles, run in their order")
flags.DEFINE_string("flagfiles", None, "folder of the stages' flagfiles; default: the paper's")


@flags.validator("learning_rate_drops", "shares are numbers, such as 0.8,0.9")
def _numbers(words: list) -> bool:
    try:
        return bool([float(word) for word in words] or True)
    except ValueError:
        return False


def place() -> datasets.Place:
    """Where --dataset lies."""
    return datasets.place(FLAGS.dataset, FLAGS.flag_values_dict())


def photographs() -> datasets.Training:
    """Paths of the photographs that the flags name, for training and for validation."""
    return datasets.training(FLAGS.dataset, *place())


# H section 4: DIV2K "down-sampled", Places2 "randomly cropped". Z section 4.1: "Places2 with 256 x 256 images", DIV2K
# "randomly cropped".
_REDUCED = {("hifill", "div2k"), ("zoom_to_inpaint", "places2")}


def reduce_to(recipe) -> int | None:
    """What photographs' shorter sides are reduced to before they are cropped; None: they are cropped as they are."""
    resize = FLAGS.resize
    if resize is None:
        resize = (FLAGS.model, FLAGS.dataset) in _REDUCED
    return recipe.size if resize else None


def holes():
    """The source of the masks that the flags name."""
    from common.masks import files as mask_files

    return mask_files.mask_source(FLAGS.masks, FLAGS.mask_dir)


def samples(recipe, paths):
    """The endless training samples of photographs that the flags describe, in the sizes of the recipe."""
    from common.data import pipeline

    side = reduce_to(recipe)
    decoded = pipeline.Photographs(paths, _cache(side), side)
    return pipeline.Samples(
        *(decoded, holes(), recipe.size, FLAGS.seed, side is not None, FLAGS.flip, recipe.mask_size)
    )


def _cache(side):
    """The cache that the flags describe."""
    from common.data import cache

    if FLAGS.cache == "none" or FLAGS.dry_run:  # which writes nothing
        return cache.NoCache()
    if FLAGS.cache == "ram":
        return cache.MemoryCache(int(FLAGS.cache_gb * (1 << 30)))
    folder = FLAGS.cache_dir or pathlib.Path(FLAGS.output, "cache")
    limit = int(FLAGS.cache_disk_gb * (1 << 30))
    return cache.DiskCache(folder, limit, variant=str(side))


def _report(decoded, run) -> None:
    """What is said of photographs goes to the run: now what its cache cannot hold, later which were skipped."""
    decoded.warn = decoded.cache.warn = run.log
    shortage = decoded.cache.shortage(decoded.decoded_bytes())
    if shortage:
        run.log(shortage)
    run.photographs = decoded


def validation_set(recipe, paths, mask_source):
    """The first of the photographs with fixed holes: the middle of what training crops at random."""
    from common.data import pipeline
    from common.images import convert
    from common.training import validation

    side = reduce_to(recipe)
    fixed_set = validation.FixedSet(
        lambda i: pipeline.reduced(convert.read_rgb(paths[i]), side),
        *(min(FLAGS.validation_images, len(paths)), mask_source, FLAGS.seed),
        *(recipe.preview_size or recipe.size, recipe.size, recipe.holes),
    )
    fixed_set.check()
    return fixed_set


def prepare() -> None:
    """Checks the environment, then defines the models' flags (which imports TensorFlow)."""
    environment.check()
    environment.start_tensorflow()
    for module in _recipes().values():
        module.define_flags()


def _recipes() -> dict:
    """{model: its module `recipe`}."""
    from hifill import recipe as hifill_recipe
    from zoom_to_inpaint import recipe as zoom_recipe

    return {"hifill": hifill_recipe, "zoom_to_inpaint": zoom_recipe}


def _check_flags(recipes) -> None:
    """UsageError for a flag of the model that is not trained: it would be ignored."""
    for model, module in recipes.items():
        for name in module.NAMES:
            if model != FLAGS.model and FLAGS[name].present:
                raise UsageError(f"--{name} is a flag of --model={model}, not of {FLAGS.model}")
    for name, cache in _CACHE_FLAGS.items():
        if FLAGS[name].present and FLAGS.cache != cache:
            raise UsageError(f"--{name} goes with --cache={cache}, not with --cache={FLAGS.cache}")
    if FLAGS.flagfiles:
        raise UsageError("--flagfiles goes with --stages")
    if FLAGS.strategy == "multi_worker" and FLAGS.minutes:
        raise UsageError(
            "--minutes: workers' clocks differ, and they must stop together; use --steps"
        )
    if not 0 <= FLAGS.ema < 1:
        raise UsageError(f"--ema={FLAGS.ema:g} is no decay: at least 0, below 1, such as 0.999")


def _check_output() -> None:
    if not FLAGS.output:
        raise UsageError("--output is missing: name a folder for the run")
    datasets.check_output(FLAGS.dataset, place(), FLAGS.output)


def _set_defaults(recipe) -> None:
    """Gives the flags without a value the ones of the model's paper."""
    for name, value in recipe.DEFAULTS.items():
        if FLAGS[name].value is None:
            FLAGS[name].value = value


def _checks(recipes) -> list:
    """What flags and files alone can tell, before anything is built; the photographs are what the first gives."""
    checks = [photographs, _check_output, lambda: _check_flags(recipes), holes]
    return checks + recipes[FLAGS.model].checks(FLAGS.weights)


def _check_stages(commands: dict) -> None:
    """Raises what is missing for any of the stages {stage: its command line}, and for the chain, as one error."""
    recipes, found, remarks = _recipes(), errors.collect([_check_output])[1], []
    for words in commands.values():
        with flagsaver.flagsaver():
            FLAGS.unparse_flags()
            command_line.parse([sys.argv[0], *words])
            recipe = recipes[FLAGS.model]
            _set_defaults(recipe)
            found += errors.collect(_checks(recipes))[1]
            remarks += recipe.remarks()
    errors.raise_together(found, remarks)


def schedule():
    """The `runs.Schedule` that the flags give."""
    from common.training import loop

    return loop.Schedule(
        steps=FLAGS.steps,
        log_every=FLAGS.log_every,
        picture_every=FLAGS.picture_every,
        checkpoint_every=FLAGS.checkpoint_every,
        keep=FLAGS.keep_checkpoints,
        minutes=FLAGS.minutes,
        validate_every=FLAGS.validate_every,
        milestone_every=FLAGS.milestone_every,
        keep_best=FLAGS.keep_best,
        on_nonfinite=FLAGS.on_nonfinite,
        max_skipped=FLAGS.max_skipped,
    )


def build():
    """(strategy, recipe, samples, a line on the photographs, first sample -> data set, validation set) of the flags.

    Nothing is written.
    """
    from tensorflow import keras

    from common.data import pipeline

    recipes = _recipes()
    chosen = recipes[FLAGS.model]
    _set_defaults(chosen)
    (found, *_), problems = errors.collect(_checks(recipes))
    errors.raise_together(problems, chosen.remarks())
    if place().folder and not FLAGS.data_dir:  # for the run's record: the environment may change
        FLAGS[f"{FLAGS.dataset}_dir"].value = place().folder
    strategy = devices.strategy(FLAGS.num_replicas, FLAGS.strategy)
    keras.utils.set_random_seed(FLAGS.seed)
    recipe = chosen.make(strategy, FLAGS.weights)
    data = samples(recipe, found.train)
    dataset_from = devices.distribute(
        strategy, data, recipe.images_per_step, pipeline.training_dataset
    )
    fixed_set = validation_set(recipe, found.validation, data.mask_source)
    return strategy, recipe, data, found.note, dataset_from, fixed_set


def train(stop: signals.StopRequest) -> None:
    """One run, until it is done or `stop` is set."""
    from common.training import loop

    strategy, recipe, data, note, *sets = build()
    with devices.run_folder(strategy, FLAGS.output) as folder:
        run = loop.RunFolder(folder, FLAGS.flag_values_dict())
        run.log(f"--dataset={FLAGS.dataset}: {note}")
        _report(data.photographs, run)
        loop.train(recipe, *sets, schedule(), run, stop)


def dry_run() -> None:
    """Everything of a run but the run."""
    from common.training import dry_run, learning_rate

    _, recipe, _, note, *sets = build()
    drops = [float(share) for share in FLAGS.learning_rate_drops]
    about = {
        "plan": f"{FLAGS.model} into {FLAGS.output}, seed {FLAGS.seed}",
        "data": f"{FLAGS.dataset}, {FLAGS.masks} masks: {note}",
        "rate": learning_rate.describe(
            *(FLAGS.learning_rate, drops, FLAGS.steps, FLAGS.learning_rate_schedule),
            FLAGS.warmup_steps,
        ),
    }
    dry_run.run(recipe, *sets, schedule(), FLAGS.output, about, FLAGS.dry_run_seconds)


def main(_) -> int:
    with signals.watched() as stop:
        if FLAGS.stages:
            if FLAGS.strategy == "multi_worker":
                raise UsageError(
                    "--stages on several workers: give the stages' flagfiles one by one"
                )
            from zoom_to_inpaint import stages

            arguments = sys.argv[1:]
            stages.run(
                *(FLAGS.stages, FLAGS.flagfiles, FLAGS.output, arguments, stop, FLAGS.dry_run),
                _check_stages,
            )
        elif not FLAGS.dry_run:
            train(stop)
    if FLAGS.dry_run and not FLAGS.stages:  # it has nothing to save: signals end it at once
        dry_run()
    return 0


if __name__ == "__main__":
    command_line.run(main, prepare)
