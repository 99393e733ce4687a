"""Trains a model.

    python train.py --flagfile=configs/hifill/places2.cfg --data_dir=/data/places2 --output=runs/hifill
    python train.py --flagfile=configs/zoom_to_inpaint/pretrain_coarse.cfg --data_dir=/data/places2
    python train.py --stages=all --places2_dir=/data/places2 --div2k_dir=/data/DIV2K --output=runs/zoom

Photographs are complete images; holes are drawn while training. The folder --output explains itself and goes on
where it stopped when the same command is given again. `--stages` runs Zoom-to-Inpaint's flagfiles one after the other,
each starting from the networks of those before it, with fresh optimizers. Exit code: 0 done, 1 failed, 2 wrong flags.
"""

from __future__ import annotations

import sys

import numpy as np
from absl import flags

from common import datasets, environment, errors
from common.errors import UsageError

FLAGS = flags.FLAGS
MODELS = ("hifill", "zoom_to_inpaint")
# Also in modules that import TensorFlow, which takes seconds.
STRATEGIES = ("one", "mirrored", "multi_worker")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
LEARNING_RATE_SCHEDULES = ("constant", "drops", "cosine")
flags.DEFINE_enum("model", "hifill", MODELS, "what to train")
flags.DEFINE_string("weights", None, "start from these instead of random weights")
flags.DEFINE_enum("dataset", "sample", datasets.NAMES, "photographs")
flags.DEFINE_string("data_dir", None, "where the dataset lies")
flags.DEFINE_string("places2_dir", None, "where Places2 lies, if --data_dir does not say")
flags.DEFINE_string("div2k_dir", None, "where DIV2K lies, likewise")
flags.DEFINE_string("masks", "mixed", "small, large, irregular, object, mixed, union or a folder")
flags.DEFINE_string("mask_dir", None, "object templates for object, mixed and union masks")
flags.DEFINE_bool("resize", False, "reduce photographs to the crop's size before cropping")
flags.DEFINE_bool("flip", False, "mirror half of the crops")
flags.DEFINE_float("cache_gb", 2.0, "memory for decoded photographs", lower_bound=0)
flags.DEFINE_string("output", None, "run folder")
flags.DEFINE_integer("steps", 300000, "generator updates", lower_bound=1)
flags.DEFINE_float("minutes", 0, "stop after this long; 0: no limit", lower_bound=0)
flags.DEFINE_integer("batch_size", 8, "images of one update, over all replicas", lower_bound=1)
flags.DEFINE_float("learning_rate", 1e-4, "of both Adam optimizers", lower_bound=0)
flags.DEFINE_enum(
    "learning_rate_schedule", None, LEARNING_RATE_SCHEDULES, "default: drops where given"
)
flags.DEFINE_integer("warmup_steps", 0, "over which the learning rate rises", lower_bound=0)
flags.DEFINE_list("learning_rate_drops", [], "shares of --steps after which it is divided by 10")
flags.DEFINE_float("adam_beta_1", 0.5, "of Adam", lower_bound=0, upper_bound=1)
flags.DEFINE_float("adam_beta_2", 0.9, "of Adam", lower_bound=0, upper_bound=1)
flags.DEFINE_integer("seed", 0, "of weights, data order, crops and holes", lower_bound=0)
flags.DEFINE_enum("strategy", None, STRATEGIES, "devices that train together (docs/distributed.md)")
flags.DEFINE_integer("num_replicas", 0, "GPUs, or logical CPUs without one; 0: all", lower_bound=0)
flags.DEFINE_integer("accumulate", 1, "micro-batches that --batch_size is cut into", lower_bound=1)
flags.DEFINE_enum("precision", "float32", PRECISIONS, "of convolutions (docs/training.md)")
flags.DEFINE_bool("jit", False, "compile with XLA what it can compile")
flags.DEFINE_float(
    "ema", 0, "decay of a moving average that replaces the weights; 0: none", lower_bound=0
)
flags.DEFINE_integer("log_every", 100, "steps between statistics", lower_bound=1)
flags.DEFINE_integer("picture_every", 1000, "steps between picture grids", lower_bound=1)
flags.DEFINE_integer("checkpoint_every", 1000, "steps between checkpoints", lower_bound=1)
flags.DEFINE_integer("keep_checkpoints", 3, "how many of the last ones stay", lower_bound=1)
flags.DEFINE_list("stages", [], "'all', or some of Zoom-to-Inpaint's flagfiles, run in their order")
flags.DEFINE_string("flagfiles", None, "folder of the stages' flagfiles; default: the paper's")


@flags.validator("learning_rate_drops", "shares are numbers, such as 0.8,0.9")
def _numbers(words: list) -> bool:
    try:
        return bool([float(word) for word in words] or True)
    except ValueError:
        return False


def data_dir() -> str | None:
    """The folder of --dataset: --data_dir, or the flag that is named after the data set."""
    own = {"places2": FLAGS.places2_dir, "div2k": FLAGS.div2k_dir}
    return FLAGS.data_dir or own.get(FLAGS.dataset)


def samples(recipe):
    """The endless training samples that the flags describe, in the sizes of the recipe."""
    from common import mask_files, pipeline

    photographs = pipeline.Photographs(
        datasets.files(FLAGS.dataset, data_dir(), "train"), int(FLAGS.cache_gb * (1 << 30))
    )
    holes = mask_files.mask_source(FLAGS.masks, FLAGS.mask_dir)
    return pipeline.Samples(
        photographs, holes, recipe.size, FLAGS.seed, FLAGS.resize, FLAGS.flip, recipe.mask_size
    )


def preview_set(training_samples, recipe, count: int = 4):
    """(image, mask) float32 batches of the first validation photographs, or of training crops without any."""
    from common import evaluation, images
    from common.errors import UserError

    size = recipe.preview_size or recipe.size
    try:
        paths = datasets.files(FLAGS.dataset, data_dir(), "validation")[:count]
        shown = [images.read_rgb(path) for path in paths]
    except UserError:  # a data set may come without; training goes on
        shown = [training_samples[i][0] for i in range(count)]
    holes = [training_samples.mask_source(size, size, (FLAGS.seed, i)) for i in range(len(shown))]
    crops = [np.ascontiguousarray(evaluation.center_crop(image, size)) for image in shown]
    mask = np.stack(holes)[..., None].astype(np.float32)
    return np.stack([images.to_unit(crop) for crop in crops]), mask * recipe.holes


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
    if FLAGS.flagfiles:
        raise UsageError("--flagfiles goes with --stages")
    if FLAGS.strategy == "multi_worker" and FLAGS.minutes:
        raise UsageError(
            "--minutes: workers' clocks differ, and they must stop together; use --steps"
        )
    if not 0 <= FLAGS.ema < 1:
        raise UsageError(f"--ema={FLAGS.ema:g} is no decay: at least 0, below 1, such as 0.999")
    if not FLAGS.output:
        raise UsageError("--output is missing: name a folder for the run")


def train() -> None:
    """One run: builds what the flags describe and trains it."""
    from tensorflow import keras

    from common import pipeline, replicas, runs

    recipes = _recipes()
    _check_flags(recipes)
    strategy = replicas.strategy(FLAGS.num_replicas, FLAGS.strategy)
    keras.utils.set_random_seed(FLAGS.seed)
    recipe = recipes[FLAGS.model].make(strategy, FLAGS.weights)
    data = samples(recipe)
    with replicas.run_folder(strategy, FLAGS.output) as folder:
        run = runs.RunFolder(folder, FLAGS.flag_values_dict())
        schedule = runs.Schedule(
            FLAGS.steps,
            FLAGS.log_every,
            FLAGS.picture_every,
            FLAGS.checkpoint_every,
            FLAGS.keep_checkpoints,
            FLAGS.minutes,
        )
        runs.train(
            recipe,
            replicas.distribute(strategy, data, recipe.images_per_step, pipeline.training_dataset),
            preview_set(data, recipe),
            schedule,
            run,
        )


def main(_) -> int:
    if FLAGS.stages:
        if FLAGS.strategy == "multi_worker":
            raise UsageError("--stages on several workers: give the stages' flagfiles one by one")
        from zoom_to_inpaint import stages

        stages.run(FLAGS.stages, FLAGS.flagfiles, FLAGS.output, sys.argv[1:])
    else:
        train()
    return 0


if __name__ == "__main__":
    errors.run(main, prepare)
