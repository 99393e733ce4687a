"""New networks as the product makes them: the signal of a photograph reaches every layer, and it can be learned from.

Weights that a test writes would hide a start from which nothing comes through.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from skimage import data
from tensorflow import keras

from zoom_to_inpaint import PAPER
from zoom_to_inpaint.coarse_network import CoarseNetwork
from zoom_to_inpaint.gated_convolution import GatedConv2D
from zoom_to_inpaint.refinement_network import RefinementNetwork

TINY = dataclasses.replace(PAPER, name="tiny", channels=4)
GATES = {CoarseNetwork: 17, RefinementNetwork: 20}
ANY_NETWORK = pytest.mark.parametrize("kind", GATES, ids=lambda kind: kind.__name__)
LEAST = 1e-2  # of a spread; a photograph's own is about 0.2


def _photograph(side=64, hole=True):
    """(masked image, mask) of a piece of scikit-image's astronaut."""
    image = data.astronaut()[60 : 60 + side, 180 : 180 + side].astype(np.float32)[None] / 255
    mask = np.zeros((1, side, side, 1), np.float32)
    mask[:, side // 4 : side // 2, side // 3 : 2 * side // 3] = hole
    return image * (1 - mask), mask


def _spreads(network, inputs, training, monkeypatch):
    """Of every gated layer, in the order of their calls: [channels], deviation over batch and positions."""
    found, call = [], GatedConv2D.call

    def watched(self, x, training=None):
        y = call(self, x, training=training)
        found.append(tf.math.reduce_std(tf.cast(y, tf.float32), [0, 1, 2]).numpy())
        return y

    monkeypatch.setattr(GatedConv2D, "call", watched)
    network(inputs, training=training)
    monkeypatch.undo()
    return found


@ANY_NETWORK
@pytest.mark.parametrize("config", [TINY, PAPER], ids=lambda config: config.name)
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_the_signal_reaches_every_gated_layer(kind, config, training, monkeypatch):
    keras.utils.set_random_seed(0)
    network, inputs = kind(config), _photograph()
    network(inputs)
    spreads = _spreads(network, inputs, training, monkeypatch)
    assert len(spreads) == GATES[kind]
    for number, spread in enumerate(spreads):
        assert spread.min() > LEAST and spread.max() < 20, (number, spread)


@ANY_NETWORK
def test_every_variable_gets_a_gradient_from_the_start(kind):
    keras.utils.set_random_seed(0)
    network, inputs = kind(TINY), _photograph()
    target = np.random.default_rng(5).normal(size=(1, 64, 64, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(inputs, training=True) * target)
    variables = network.trainable_variables
    gradients = tape.gradient(loss, variables)
    assert len(variables) == 4 * GATES[kind] + 2
    largest = max(float(tf.reduce_max(tf.abs(gradient))) for gradient in gradients)
    for variable, gradient in zip(variables, gradients):
        # Well above rounding: a gradient that is only noise is none.
        assert np.isfinite(gradient).all(), variable.name
        assert np.abs(gradient).max() > 1e-4 * largest, variable.name


@pytest.mark.default_environment
def test_a_photograph_can_be_overfitted_from_the_start():
    """By the refinement network; the coarse one's stage as a whole: test_zoom_training.py."""
    keras.utils.set_random_seed(0)
    network, (masked, mask) = RefinementNetwork(TINY), _photograph(16)
    image, _ = _photograph(16, hole=False)
    network((masked, mask))
    history = []
    for _ in range(7):
        with tf.GradientTape() as tape:
            found = network((masked, mask), training=True)
            loss = tf.reduce_sum(tf.abs(found - image) * mask) / tf.reduce_sum(3 * mask)
        variables = network.trainable_variables
        for variable, gradient in zip(variables, tape.gradient(loss, variables)):
            variable.assign_sub(5e-3 * tf.sign(gradient))  # Adam without its memory
        history.append(float(loss))
    assert min(history) < 0.7 * history[0], history
