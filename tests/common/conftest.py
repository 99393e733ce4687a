"""A toy run for the tests of what is around a training step: fast to build, and its numbers tell which data it saw."""

from __future__ import annotations

import math
import types

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from tensorflow import keras

from common.training import loop

SIZE, BATCH = 16, 2


@pytest.fixture
def small_photograph():
    """A function: side, a power of 2 -> uint8 [side, side, 3]."""

    def reduced(side=64):
        step = 512 // side
        cells = skimage.data.astronaut().reshape(side, step, side, step, 3)
        return cells.mean(axis=(1, 3)).round().astype(np.uint8)

    return reduced


class Trainer(keras.Model):
    """One 1x1 convolution that learns to reproduce an image from it and its mask; `bad_step` reports `bad_value`."""

    skips_nonfinite = True

    def __init__(self, bad_step=-1, bad_value=math.nan):
        super().__init__()
        self.net = keras.layers.Conv2D(3, 1, kernel_initializer="ones", activation="tanh")
        self.net.build((None, None, None, 4))
        self.adam = keras.optimizers.Adam(0.02)
        self.adam.build(self.net.trainable_variables)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.bad_step, self.bad_value = bad_step, bad_value
        self.built = True
        super().compile(optimizer="sgd", jit_compile=False)

    def train_step(self, data):
        image, mask = data
        with tf.GradientTape() as tape:
            filled = self.net(tf.concat([image, mask], -1))
            loss = tf.reduce_mean((filled - image) ** 2)
        variables = self.net.trainable_variables
        self.adam.apply_gradients(zip(tape.gradient(loss, variables), variables))
        self.step.assign_add(1)
        shown = tf.where(self.step == self.bad_step, self.bad_value, loss)
        return {"l2": shown, "sample": tf.reduce_max(image) * 255.0, "seen": self.step}


def recipe_of(**options):
    trainer = Trainer(**options)

    def preview(image, mask):
        return {"coarse": tf.zeros_like(image), "result": tf.constant(image) * (1 - mask)}

    def save_weights(path):
        np.savez(path, *[variable.numpy() for variable in trainer.net.weights])

    return loop.Recipe(
        trainer=trainer,
        layers={"net": trainer.net},
        optimizers={"adam": trainer.adam},
        images_per_step=BATCH,
        size=SIZE,
        preview=preview,
        save_weights=save_weights,
    )


def dataset_from(first):
    """Batches whose brightest value is the number of their last sample, in levels of 255."""

    def sample(i):
        seeds = tf.stack([tf.constant(7, tf.int64), i])
        noise = tf.random.stateless_uniform([SIZE, SIZE, 3], seeds)
        level = tf.cast(i + 1, tf.float32) / 255.0
        return noise * level / tf.reduce_max(noise), tf.zeros([SIZE, SIZE, 1])

    return tf.data.Dataset.range(first, 200).map(sample).batch(BATCH, drop_remainder=True)


def validation_pair():
    image = np.full((2, SIZE, SIZE, 3), 0.5, np.float32)
    mask = np.zeros((2, SIZE, SIZE, 1), np.float32)
    mask[:, 4:8, 4:12] = 1
    return image, mask


@pytest.fixture
def toy():
    """SIZE, BATCH, recipe(**options of the trainer), dataset(first sample) and pair(): (images, masks)."""
    return types.SimpleNamespace(
        SIZE=SIZE, BATCH=BATCH, recipe=recipe_of, dataset=dataset_from, pair=validation_pair
    )


@pytest.fixture
def train(tmp_path):
    """train(steps=..., ...) -> the recipe it trained; all in tmp_path/run."""

    def one(
        steps,
        recipe=None,
        dataset=dataset_from,
        folder="run",
        validation=None,
        stop=None,
        **schedule,
    ):
        schedule = {"log_every": 1, "picture_every": 100, "checkpoint_every": 100, **schedule}
        recipe = recipe or recipe_of()
        run = loop.RunFolder(tmp_path / folder, {"steps": steps})
        shown = validation or validation_pair()
        loop.train(recipe, dataset, shown, loop.Schedule(steps, **schedule), run, stop)
        return recipe

    return one
