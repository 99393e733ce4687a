"""The critic: layers of the appendix, parameter counts, slow NumPy twin, samples apart, gradients."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from hifill import PAPER, RELEASE
from hifill.discriminator import Discriminator

TINY = dataclasses.replace(PAPER, size=64, discriminator_channels=4)


def _count(layer):
    return sum(int(np.prod(v.shape)) for v in layer.trainable_variables)


def _images(batch=2, height=64, width=64, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (batch, height, width, 3)).astype(np.float32)


def _critic(config=TINY, seed=1):
    critic = Discriminator(config)
    critic(tf.zeros([1, config.size, config.size, 3]))
    rng = np.random.default_rng(seed)
    for variable in critic.trainable_variables:
        fan_in = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 25
        variable.assign(rng.normal(0, 1.4 / np.sqrt(fan_in), tuple(variable.shape)))
    return critic


def _twin(critic, images):
    """K-S2 'same' convolutions with leaky ReLU, one output pixel at a time, and a dense layer; float64."""
    x = images.astype(np.float64)
    for layer in critic.convolutions:
        kernel, bias = (np.asarray(v, np.float64) for v in (layer.kernel, layer.bias))
        k, side = len(kernel), -(-x.shape[1] // 2)
        total = max((side - 1) * 2 + k - x.shape[1], 0)
        edge = (total // 2, total - total // 2)
        padded = np.pad(x, [(0, 0), edge, edge, (0, 0)])
        x = np.zeros((len(x), side, side, kernel.shape[3]))
        for row in range(side):
            for column in range(side):
                window = padded[:, 2 * row : 2 * row + k, 2 * column : 2 * column + k]
                x[:, row, column] = np.einsum("bijc,ijco->bo", window, kernel) + bias
        x = np.where(x > 0, x, 0.2 * x)
    kernel, bias = (np.asarray(v, np.float64) for v in (critic.score.kernel, critic.score.bias))
    return x.reshape(len(x), -1) @ kernel + bias


@pytest.mark.parametrize("config, kernel", [(PAPER, 3), (RELEASE, 5)], ids=["paper", "release"])
def test_layers_are_those_of_the_appendix(config, kernel):
    critic = Discriminator(config)
    assert [layer.filters for layer in critic.convolutions] == [64, 128, 256, 256, 256, 256]
    for layer in critic.convolutions:
        assert tuple(layer.kernel_size) == (kernel, kernel) and tuple(layer.strides) == (2, 2)
        assert layer.padding == "same"


@pytest.mark.parametrize("config, count", [(PAPER, 2157441), (RELEASE, 5961601)])
def test_parameter_counts(config, count):
    critic = Discriminator(config)
    critic(tf.zeros([1, 512, 512, 3]))
    widths, k = [3, 64, 128, 256, 256, 256, 256], config.discriminator_kernel
    convolutions = sum(k * k * a * b + b for a, b in zip(widths, widths[1:]))
    # Six halvings of 512 leave 8x8 positions for the dense layer.
    assert _count(critic) == convolutions + 8 * 8 * 256 + 1 == count


@pytest.mark.parametrize("base", [PAPER, RELEASE], ids=lambda config: config.name)
def test_equals_slow_numpy(base):
    critic = _critic(dataclasses.replace(base, size=64, discriminator_channels=4))
    images = _images()
    found = np.asarray(critic(images))
    assert found.shape == (2, 1) and found.dtype == np.float32
    assert np.std(found) > 0.01
    # Six layers of float32 sums of order 1.
    np.testing.assert_allclose(found, _twin(critic, images), atol=1e-5)


def test_odd_sides():
    critic = Discriminator(TINY)
    assert critic(_images(3, 65, 97)).shape == (3, 1)


def test_scores_are_unbounded():
    critic = _critic()
    critic.score.bias.assign([-1000.0])
    assert np.all(np.asarray(critic(_images())) < -900)


def test_each_sample_is_judged_alone():
    critic, images = _critic(), _images(4)
    together = np.asarray(critic(images))
    alone = np.concatenate([critic(images[i : i + 1]) for i in range(4)])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    with tf.GradientTape() as tape:
        x = tf.constant(images)
        tape.watch(x)
        first = critic(x)[0, 0]
    gradient = np.asarray(tape.gradient(first, x))
    assert np.any(gradient[0]) and not np.any(gradient[1:])


def test_every_variable_gets_a_gradient():
    critic = Discriminator(TINY)  # as training starts with it
    critic(_images())
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(critic(_images()))
    for variable, gradient in zip(
        critic.trainable_variables, tape.gradient(loss, critic.trainable_variables)
    ):
        assert gradient is not None and np.isfinite(gradient).all(), variable.name
        assert np.any(gradient), variable.name


def test_graph_equals_eager():
    critic, images = _critic(), _images()
    np.testing.assert_allclose(tf.function(critic)(images), critic(images), atol=1e-6)
