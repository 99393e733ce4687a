"""Zoom-to-Inpaint's framework with HiFill as its coarse network (Zoom-to-Inpaint sections 3.1.3 and 5).

    X_m, M --HiFill's generator--> X_c --zoom in by 2--> refinement at high resolution --zoom out--> output

    python -m examples.zoomed_hifill --hifill_weights=runs/mine/weights.npz --data_dir=photos/ --test_dir=others/ \
        --output=runs/zoomed --steps=2000 [--zoom=sr] [--joint]

Trains the refinement network, the SR network with --zoom=sr, and HiFill's generator with --joint, by
Zoom-to-Inpaint's joint training without VGG loss. HiFill's size S is the low resolution; labels have side 2S. To train
the networks apart first, as Zoom-to-Inpaint does, make a run with --gan_weight=0, then a run with --joint and
--refinement_weights of the first run. Train for much more than a hundred steps: until then the moving averages of the
refinement network's normalization are wrong and tint the fill.

The run folder is as train.py's. The networks are in weights.npz (refinement network), super_resolution.npz and
hifill.npz. At the end the original and the zoomed HiFill are scored on S x S reductions of held-out crops: table.md,
scores.json, pictures.png, test/. To score a HiFill that was trained further instead, on the same set:

    python evaluate.py --model=hifill --weights=W --dataset=folder --data_dir=runs/zoomed/test/images \
        --masks=runs/zoomed/test/masks --size=S --output=longer
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np
import tensorflow as tf
from absl import flags
from tensorflow import keras

import hifill
import zoom_to_inpaint
from common import command_line, environment, storage
from common.data import datasets, pipeline
from common.errors import UsageError
from common.filling import photographs
from common.images import convert
from common.masks import files as mask_files
from common.scoring import protocol, tables
from common.training import loop
from hifill import weights_source as hifill_weights
from zoom_to_inpaint import weights_source as zoom_weights
from zoom_to_inpaint.joint_training import JointTraining
from zoom_to_inpaint.training import TrainingOptions, reduced_to

FLAGS = flags.FLAGS


def prepare() -> None:
    """Checks the environment and defines the flags."""
    environment.check()
    flags.DEFINE_string("hifill_weights", None, "trained HiFill: .npz, .pb or checkpoint prefix")
    flags.DEFINE_string("refinement_weights", None, "refinement network; default: random")
    flags.DEFINE_string("sr_weights", None, "SR network; default: random")
    flags.DEFINE_enum("zoom", "bicubic", ("bicubic", "sr"), "how to zoom in")
    flags.DEFINE_integer("zoom_channels", 16, "width of Zoom-to-Inpaint's networks (paper: 64)")
    flags.DEFINE_bool("joint", False, "train HiFill's generator too")
    flags.DEFINE_string("data_dir", None, "folder of photographs to train on")
    flags.DEFINE_string("test_dir", None, "held-out photographs; default: test/ of --data_dir")
    flags.DEFINE_string("masks", "mixed", "kind of masks, or a folder of them")
    flags.DEFINE_bool("resize", True, "reduce photographs to the crop's size before cropping")
    flags.DEFINE_string("output", None, "run folder")
    flags.DEFINE_integer("steps", 2000, "updates", lower_bound=1)
    flags.DEFINE_float("minutes", 0, "stop after this time; 0: no limit", lower_bound=0)
    flags.DEFINE_integer("batch_size", 4, "images of one update", lower_bound=1)
    flags.DEFINE_float("learning_rate", 1e-3, "rate of both Adam optimizers", lower_bound=0)
    flags.DEFINE_float("gan_weight", TrainingOptions.gan_weight, "lambda of eq. 5", lower_bound=0)
    flags.DEFINE_integer("seed", 0, "random seed of weights, crops and masks", lower_bound=0)


class HiFillCompletion(keras.layers.Layer):
    """HiFill's generator as a coarse network: ((masked image, mask), training) -> completion [B, S, S, 3] in [0, 1].

    It converts ranges: HiFill's networks use [-1, 1].
    """

    def __init__(self, generator: hifill.HiFill, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.generator = generator

    def call(self, inputs, training=None):
        size = self.generator.config.size
        image, mask = (tf.ensure_shape(x, [None, size, size, None]) for x in inputs)
        _, refined, _ = self.generator((image * 2.0 - 1.0, mask), training=training)
        return (refined + 1.0) / 2.0


def build(generator: hifill.HiFill, zoom: str, channels: int, joint: bool):
    """The `ZoomToInpaint` whose coarse network is HiFill; without `joint` HiFill is not trained."""
    widths = dict.fromkeys(("channels", "sr_channels", "discriminator_channels"), channels)
    try:
        config = dataclasses.replace(
            zoom_to_inpaint.PAPER, name="hifill", zoom=zoom, size=generator.config.size, **widths
        )
    except ValueError as error:
        raise UsageError(f"--zoom_channels={channels}: {error}") from error
    coarse = HiFillCompletion(generator)
    coarse.trainable = joint
    return zoom_to_inpaint.ZoomToInpaint(config, coarse=coarse)


def save_parts(model, path) -> None:
    """Writes the refinement network to `path` and the other networks beside it."""
    folder = pathlib.Path(path).parent
    model.coarse.generator.save(folder / "hifill.npz")
    if model.config.zoom == "sr":
        zoom_weights.save_network(model, "super_resolution", folder / "super_resolution.npz")
    zoom_weights.save_network(model, "refinement", path)


def make_recipe(model, options: TrainingOptions) -> loop.Recipe:
    """Zoom-to-Inpaint's joint training of `model`, for `common.training.loop.train`."""
    trainer = JointTraining(model, options)

    def preview(image, mask):
        coarse, _, _, output = model.generate(image, mask)
        return {name: np.clip(x, 0.0, 1.0) for name, x in (("hifill", coarse), ("zoomed", output))}

    return loop.Recipe(
        trainer=trainer,
        layers={**trainer.networks(), "discriminator": trainer.discriminator},
        optimizers=trainer.state(),
        images_per_step=options.batch_size,
        size=model.config.crop_size,
        mask_size=model.config.size,
        preview=preview,
        save_weights=lambda path: save_parts(model, path),
    )


def held_out(paths, config, masks: str, resize: bool, seed: int, folder: pathlib.Path) -> list:
    """The evaluation cases: S x S reductions of crops made as in training, and masks."""
    crops = []
    for index, path in enumerate(paths):
        rng = np.random.default_rng((seed, index))
        photograph = convert.read_rgb(path)
        crop = pipeline.random_crop(photograph, config.crop_size, rng, resize, flip=False)
        small = reduced_to(convert.to_unit(np.ascontiguousarray(crop))[None], config.size)
        crops.append(str(folder / "crops" / f"{index:04d}_{pathlib.Path(path).stem}.png"))
        convert.write_png(crops[-1], convert.to_uint8(np.asarray(small)[0]))
    return protocol.make_set(crops, masks, None, config.size, seed, folder)


def preview_set(cases) -> tuple:
    """(image, mask) of the cases as float32 batches."""
    image = [convert.to_unit(convert.read_rgb(case.image)) for case in cases]
    mask = [photographs.read_mask(case.mask)[..., None].astype(np.float32) for case in cases]
    return np.stack(image), np.stack(mask)


def compare(methods: dict, cases: list, masks: str, output: pathlib.Path) -> str:
    """Scores {name: painter} on the cases; writes scores and pictures, returns the table."""
    folders, found = protocol.score_methods(cases, methods, output / "test", masks)
    summaries = tables.summarise(found)
    table = tables.table(summaries, "zoom_to_inpaint", spread=True)
    protocol.picture_grid(cases, folders, output / "pictures.png")
    tables.write_json(output / "scores.json", found, summaries)
    storage.write_text(output / "table.md", table)
    return table


def photograph_files(data_dir: str, test_dir: str | None) -> tuple[list[str], list[str]]:
    """Paths of (training, held-out) photographs; UsageError if the two share one."""
    train = datasets.files("folder", data_dir, "train")
    test = datasets.files(
        "folder", test_dir or data_dir, "test", "--test_dir" if test_dir else "--data_dir"
    )
    if {os.path.realpath(path) for path in train} & {os.path.realpath(path) for path in test}:
        raise UsageError("--data_dir and --test_dir share photographs: name another --test_dir")
    return train, test


def load_model():
    """The model that the flags describe."""
    for name in ("hifill_weights", "data_dir", "output"):
        if not FLAGS[name].value:
            raise UsageError(f"--{name} is missing; see the command in examples/zoomed_hifill.py")
    if FLAGS.sr_weights and FLAGS.zoom != "sr":
        raise UsageError("--sr_weights is for --zoom=sr")
    keras.utils.set_random_seed(FLAGS.seed)
    generator = hifill_weights.load(FLAGS.hifill_weights)
    model = build(generator, FLAGS.zoom, FLAGS.zoom_channels, FLAGS.joint)
    for network, flag in (("refinement", "refinement_weights"), ("super_resolution", "sr_weights")):
        if FLAGS[flag].value:
            zoom_weights.load_network(model, network, FLAGS[flag].value, f"--{flag}")
    return model


def main(_) -> int:
    model = load_model()
    coefficients = ("batch_size", "gan_weight", "learning_rate")
    recipe = make_recipe(
        model, TrainingOptions(**{name: FLAGS[name].value for name in coefficients})
    )
    train, test = photograph_files(FLAGS.data_dir, FLAGS.test_dir)
    samples = pipeline.Samples(
        *(pipeline.Photographs(train), mask_files.mask_source(FLAGS.masks)),
        *(recipe.size, FLAGS.seed, FLAGS.resize, True, recipe.mask_size),
    )
    output = pathlib.Path(FLAGS.output)
    run = loop.RunFolder(output, FLAGS.flag_values_dict())
    cases = held_out(test, model.config, FLAGS.masks, FLAGS.resize, FLAGS.seed, output / "test")
    loop.train(
        recipe,
        lambda first: pipeline.training_dataset(samples, FLAGS.batch_size, first),
        preview_set(cases[:4]),
        loop.Schedule(FLAGS.steps, 20, 200, 200, minutes=FLAGS.minutes),
        run,
    )
    methods = {"hifill": hifill_weights.load(FLAGS.hifill_weights).inpaint}
    if FLAGS.joint:
        methods["hifill_joint"] = model.coarse.generator.inpaint
    methods["zoomed_hifill"] = model.inpaint
    print("\n" + compare(methods, cases, pathlib.Path(FLAGS.masks).name, output))
    return 0


if __name__ == "__main__":
    command_line.run()
