"""Trains a model.

    python train.py --flagfile=configs/hifill/places2.cfg --data_dir=/data/places2 --output=runs/hifill
    python train.py --model=hifill --dataset=folder --data_dir=photos/ --output=runs/mine

Photographs are complete images; holes are drawn while training. The folder --output explains itself and goes on
where it stopped when the same command is given again. Exit code: 0 done, 1 failed, 2 wrong flags.
"""

from __future__ import annotations

import numpy as np
from absl import flags

from common import environment, errors
from common.errors import UsageError

FLAGS = flags.FLAGS
flags.DEFINE_enum("model", "hifill", ("hifill", "zoom_to_inpaint"), "what to train")
flags.DEFINE_string("weights", None, "start from these instead of random weights")
flags.DEFINE_enum("dataset", "sample", ("sample", "folder", "div2k", "places2"), "photographs")
flags.DEFINE_string("data_dir", None, "where the dataset lies")
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
flags.DEFINE_float("adam_beta_1", 0.5, "of Adam", lower_bound=0, upper_bound=1)
flags.DEFINE_float("adam_beta_2", 0.9, "of Adam", lower_bound=0, upper_bound=1)
flags.DEFINE_integer("seed", 0, "of weights, data order, crops and holes", lower_bound=0)
flags.DEFINE_integer("num_replicas", 0, "GPUs, or logical CPUs without one; 0: all", lower_bound=0)
flags.DEFINE_integer("log_every", 100, "steps between statistics", lower_bound=1)
flags.DEFINE_integer("picture_every", 1000, "steps between picture grids", lower_bound=1)
flags.DEFINE_integer("checkpoint_every", 1000, "steps between checkpoints", lower_bound=1)
flags.DEFINE_integer("keep_checkpoints", 3, "how many of the last ones stay", lower_bound=1)


def samples(size: int):
    """The endless training samples that the flags describe."""
    from common import datasets, mask_files, pipeline

    photographs = pipeline.Photographs(
        datasets.files(FLAGS.dataset, FLAGS.data_dir, "train"), int(FLAGS.cache_gb * (1 << 30))
    )
    holes = mask_files.mask_source(FLAGS.masks, FLAGS.mask_dir)
    return pipeline.Samples(photographs, holes, size, FLAGS.seed, FLAGS.resize, FLAGS.flip)


def preview_set(training_samples, count: int = 4):
    """(image, mask) float32 batches of the first validation photographs, or of training crops without any."""
    from common import datasets, evaluation, images
    from common.errors import UserError

    size = training_samples.size
    try:
        paths = datasets.files(FLAGS.dataset, FLAGS.data_dir, "validation")[:count]
    except UserError:  # a data set may come without; training goes on
        shown = [training_samples[i] for i in range(count)]
        crops, holes = [s[0] for s in shown], [s[1][..., 0] for s in shown]
    else:
        crops = [evaluation.center_crop(images.read_rgb(path), size) for path in paths]
        holes = [
            training_samples.mask_source(size, size, (FLAGS.seed, i)) for i in range(len(paths))
        ]
    image = np.stack([images.to_unit(np.ascontiguousarray(crop)) for crop in crops])
    return image, np.stack(holes)[..., None].astype(np.float32)


def prepare() -> None:
    """Checks the environment, then defines the models' flags (which imports TensorFlow)."""
    environment.check()
    environment.start_tensorflow()
    from hifill import recipe

    recipe.define_flags()


def main(_) -> int:
    if not FLAGS.output:
        raise UsageError("--output is missing: name a folder for the run")
    if FLAGS.model != "hifill":
        raise UsageError(f"--model={FLAGS.model} is not in this version yet; use hifill")
    from tensorflow import keras

    from common import pipeline, replicas, runs
    from hifill import recipe as hifill_recipe

    strategy = replicas.strategy(FLAGS.num_replicas)
    keras.utils.set_random_seed(FLAGS.seed)
    recipe = hifill_recipe.make(strategy, FLAGS.weights)
    data = samples(recipe.size)
    run = runs.RunFolder(FLAGS.output, FLAGS.flag_values_dict())
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
        lambda first: pipeline.training_dataset(data, recipe.images_per_step, first),
        preview_set(data),
        schedule,
        run,
    )
    return 0


if __name__ == "__main__":
    errors.run(main, prepare)
