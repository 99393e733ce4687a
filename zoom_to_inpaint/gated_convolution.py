"""Gated convolution with batch normalization in the coarse and refinement networks (Zoom-to-Inpaint (Z) section A.1).

    a, b = halves of conv3x3(x) + bias
    h = ELU(a) * sigmoid(b)
    y = gamma * (h - mean) / sqrt(variance + 1e-3) + beta

One convolution computes feature and gate, so C filters give C / 2 channels. In training, mean and variance are those
of the global batch, synchronised across replicas. At inference, and in training after `freeze_statistics`, they are
moving averages with momentum 0.99 (lower in the first updates after `warm_up_statistics`).

The moving averages start at the mean and variance of h for a white-noise input of variance 1 and Glorot's kernels.
With the usual start, 0 and 1, the signal of a new network vanishes at inference: a ten-thousandth is left after 20
layers (docs/departures.md).

`gated_convolution` is the layer in plain TensorFlow. The layer itself calls `zoom_to_inpaint.fast_kernels`, which
computes the same in less time and memory. In training, gates and statistics are float32 whatever the precision of the
convolution. At inference ELU and sigmoid have that precision; the later steps are float32.
"""

from __future__ import annotations

import functools
from typing import Callable

import numpy as np
import tensorflow as tf
from tensorflow import keras

from common import keras_compat
from zoom_to_inpaint import fast_kernels
from zoom_to_inpaint.fast_kernels import EPSILON, moments

MOMENTUM = 0.99
_NODES = 64  # of the quadrature over a normal distribution; gives three digits or more


def gated_convolution(
    x, kernel, bias, gamma, beta, statistics=None, dilation_rate=1, enlarge=False
):
    """The formulas of the module docstring, for any float type.

    Args:
      x: [B, H, W, Cin].
      kernel: [3, 3, Cin, 2 * C]; bias: [2 * C]; gamma, beta: [C].
      statistics: mean and variance [C]; None: those of the global batch.
      enlarge: x is enlarged by nearest neighbour to [B, 2H, 2W, Cin] first.

    Returns:
      y [B, H, W, C] or [B, 2H, 2W, C]; mean and variance [C].
    """
    if enlarge:
        x = tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)
    x = tf.nn.convolution(x, kernel, padding="SAME", dilations=dilation_rate)
    a, b = tf.split(x + bias, 2, axis=-1)
    h = tf.nn.elu(a) * tf.sigmoid(b)
    mean, variance = statistics or moments(h)  # of all replicas
    return gamma * (h - mean) / tf.sqrt(variance + EPSILON) + beta, mean, variance


class GatedConv2D(keras.layers.Layer):
    """`gated_convolution` as a layer: [B, H, W, Cin] -> [B, H, W, filters / 2].

    Args:
      filters: C, output channels of the convolution: features and gates together.
      dilation_rate: of the 3x3 kernel.
      enlarge: the input is enlarged by nearest neighbour to [B, 2H, 2W, Cin] first (Z section A.1); the output
        has that size.
    """

    def __init__(self, filters, dilation_rate=1, enlarge=False, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.filters, self.dilation_rate, self.enlarge = filters, dilation_rate, enlarge
        self.frozen = False  # see `freeze_statistics`
        self.momentum = lambda: MOMENTUM  # see `warm_up_statistics`

    def build(self, input_shape):
        channels, half = int(input_shape[-1]), self.filters // 2
        mean, variance = initial_statistics(channels, self.filters)
        self.kernel = self._weight("kernel", (3, 3, channels, self.filters), "glorot_uniform")
        self.bias = self._weight("bias", (self.filters,), "zeros")
        self.gamma = self._weight("gamma", (half,), "ones")
        self.beta = self._weight("beta", (half,), "zeros")
        self.moving_mean = self._weight("moving_mean", (half,), mean)
        self.moving_variance = self._weight("moving_variance", (half,), variance)
        self.built = True

    def _weight(self, name, shape, start):
        """A trained weight with a named initializer, or a moving average with its first value."""
        moving = not isinstance(start, str)
        # Always read as float32, which a half-precision policy would round. All replicas assign the same moving
        # average, that of the global batch, so the first replica's is kept.
        options = keras_compat.weight_options(first_replica=moving)
        initializer = keras.initializers.Constant(start) if moving else start
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=not moving, **options
        )

    def call(self, inputs, training=None):
        trained = (self.kernel, self.bias, self.gamma, self.beta)
        averages = (self.moving_mean, self.moving_variance)
        follows = training and not self.frozen
        weights, statistics = ([tf.convert_to_tensor(v) for v in vs] for vs in (trained, averages))
        compute = fast_kernels.train if training else fast_kernels.infer
        y, *batch = compute(
            inputs, *weights, None if follows else statistics, self.dilation_rate, self.enlarge
        )
        if follows:
            momentum = self.momentum()
            for average, now in zip(averages, batch):
                average.assign(momentum * average + (1.0 - momentum) * tf.stop_gradient(now))
        return y

    def get_config(self):
        fields = ("filters", "dilation_rate", "enlarge")
        return {**super().get_config(), **{field: getattr(self, field) for field in fields}}


def freeze_statistics(layer):
    """Makes every `GatedConv2D` in a layer train with its moving averages, which no longer change.

    For fine-tuning with small batches: statistics of few images change the colour of a fill from batch to batch.
    """
    for inner in keras_compat.layers_within(layer, GatedConv2D):
        inner.frozen = True


def warm_up_statistics(layer, steps: Callable):
    """Makes the moving averages of every `GatedConv2D` in a layer follow the first batches closely.

    The momentum is min(0.99, (1 + n) / (10 + n)) after n = `steps()` updates: an average over about the last ninth of
    the updates, and 0.99 from update 890 on. Without it, a stage of a few hundred steps would end with averages of
    its early, hardly trained networks.

    Args:
      layer: a network.
      steps: () -> scalar integer tensor, read in every training step, inside its graph.
    """

    def momentum():
        n = tf.cast(steps(), tf.float32)
        return tf.minimum(MOMENTUM, (1.0 + n) / (10.0 + n))

    for inner in keras_compat.layers_within(layer, GatedConv2D):
        inner.momentum = momentum


@functools.cache
def initial_statistics(channels: int, filters: int) -> tuple[float, float]:
    """Mean and variance of ELU(a) * sigmoid(b) for a, b ~ N(0, s^2), s^2 = 2 * channels / (channels + filters).

    s^2 is the variance of a 3x3 convolution of white noise of variance 1 with Glorot's kernels, whose variance is
    2 / (9 * channels + 9 * filters).
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    x, weights = nodes * np.sqrt(2 * channels / (channels + filters)), weights / weights.sum()
    elu, sigmoid = np.where(x > 0, x, np.expm1(np.minimum(x, 0))), 1 / (1 + np.exp(-x))
    mean = (weights @ elu) * (weights @ sigmoid)
    return float(mean), float((weights @ elu**2) * (weights @ sigmoid**2) - mean**2)
