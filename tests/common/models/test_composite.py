"""Layers made of layers compute their parts once when they are first called, not once more to be built."""

from __future__ import annotations

import numpy as np
from tensorflow import keras

from common.models.composite import Composite


class Nested(Composite):
    """`depth` layers around one dense layer."""

    def __init__(self, depth):
        super().__init__()
        self.inner = Nested(depth - 1) if depth else keras.layers.Dense(2)
        self.calls = 0

    def call(self, inputs):
        self.calls += 1
        return self.inner(inputs)


def test_every_layer_is_called_once_and_has_its_variables():
    layer = Nested(3)
    layer(np.zeros((1, 5), np.float32))
    assert [tuple(v.shape) for v in layer.trainable_variables] == [(5, 2), (2,)]
    while isinstance(layer, Nested):
        assert layer.built and layer.calls == 1
        layer = layer.inner
