"""What the coarse and the refinement network are made of: gated convolution, then batch normalization (Z section A.1).

    a, b = halves of conv3x3(x)        h = ELU(a) * sigmoid(b)        y = gamma * (h - mean) / sqrt(var + 1e-3) + beta

One convolution computes feature and gate, so C filters give C / 2 channels. Mean and variance are those of the
global batch while training (synchronised across replicas) and moving averages (momentum 0.99, or less at first, after
`warm_up_statistics`) otherwise, or always, after `freeze_statistics`.

The moving averages start at the mean and variance that h has where a and b are what Glorot's kernels make of white
noise of variance 1. With batch normalization's usual 0 and 1 a new network's signal dies out at inference: what is left
of it after 20 layers is a ten-thousandth (docs/departures.md).

What happens between two convolutions is limited by memory, not arithmetic. While training only the convolution's
output is kept for the backward pass, which computes gate and normalisation again; that is a third of what
automatic differentiation would keep. While training, gates and statistics are float32 whatever the convolutions'
precision; at inference ELU and sigmoid have the convolution's and what follows is float32.
"""

from __future__ import annotations

import functools
from typing import Callable

import numpy as np
import tensorflow as tf
from tensorflow import keras

from common import keras_compat
from zoom_to_inpaint.convolution import convolve, enlarge_and_convolve, recomputable
from zoom_to_inpaint.gate_kernels import gate, scale_and_shift, sum_positions, toward_convolution

EPSILON = 1e-3
MOMENTUM = 0.99
_NODES = 64  # of the quadrature over a normal distribution: three digits and more


class GatedConv2D(keras.layers.Layer):
    """Gated convolution and batch normalization: [B, H, W, Cin] -> [B, H, W, filters / 2].

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
        half = self.filters // 2
        shape = (3, 3, int(input_shape[-1]), self.filters)
        self.kernel = self._weight("kernel", shape, "glorot_uniform")
        self.bias = self._weight("bias", (self.filters,), "zeros")
        self.gamma = self._weight("gamma", (half,), "ones")
        self.beta = self._weight("beta", (half,), "zeros")
        mean, variance = initial_statistics(int(input_shape[-1]), self.filters)
        self.moving_mean = self._statistic("moving_mean", half, mean)
        self.moving_variance = self._statistic("moving_variance", half, variance)
        self.built = True

    def _weight(self, name, shape, initializer, **kwargs):
        # Read as the float32 that it is: a policy of half precision would round it, moving averages included.
        options = {**keras_compat.weight_options(), **kwargs}
        return self.add_weight(name=name, shape=shape, initializer=initializer, **options)

    def _statistic(self, name, size, value):
        # Replicas assign the same value, the global batch's, so any of them may be kept.
        options = keras_compat.weight_options(first_replica=True)
        initializer = keras.initializers.Constant(value)
        return self._weight(name, (size,), initializer, trainable=False, **options)

    def call(self, inputs, training=None):
        kernel = tf.cast(tf.convert_to_tensor(self.kernel), inputs.dtype)
        if not training:
            return self._infer(inputs, kernel)
        if self.enlarge:
            convolved = enlarge_and_convolve(inputs, kernel)
        else:
            convolved = convolve(inputs, kernel, self.dilation_rate)
        return self._gate_and_normalize(convolved)

    def _infer(self, inputs, kernel):
        # Two convolutions, each of which TensorFlow computes in one go with its bias and what follows.
        bias = tf.cast(tf.convert_to_tensor(self.bias), inputs.dtype)
        halves = zip(tf.split(kernel, 2, axis=-1), tf.split(bias, 2))
        features, gates = (tf.nn.bias_add(self._convolve(inputs, k), b) for k, b in halves)
        h = tf.cast(tf.nn.elu(features), tf.float32) * tf.cast(tf.sigmoid(gates), tf.float32)
        scale = self.gamma * tf.math.rsqrt(self.moving_variance + EPSILON)
        return tf.cast(h * scale + (self.beta - self.moving_mean * scale), inputs.dtype)

    def _convolve(self, inputs, kernel):
        if self.enlarge:
            return enlarge_and_convolve(inputs, kernel)
        # Not `convolve`: a gradient of one's own would stand between this and the bias.
        return tf.nn.conv2d(inputs, kernel, 1, "SAME", dilations=self.dilation_rate)

    def _gate_and_normalize(self, convolved):
        trained = (self.bias, self.gamma, self.beta)
        bias, gamma, beta = (tf.convert_to_tensor(variable) for variable in trained)
        averages = (self.moving_mean, self.moving_variance)
        statistics = [tf.convert_to_tensor(a) for a in averages] if self.frozen else None
        normalized, mean, variance = gate_and_normalize(convolved, bias, gamma, beta, statistics)
        if not self.frozen:
            momentum = self.momentum()
            for moving, now in zip(averages, (mean, variance)):
                moving.assign(momentum * moving + (1.0 - momentum) * tf.stop_gradient(now))
        scale = gamma * tf.math.rsqrt(variance + EPSILON)
        # The identity, which waits as convolutions do, keeps the optimizer from merging this with the first time.
        return recomputable(
            normalized, lambda: _normalize(tf.identity(convolved), bias, mean, scale, beta)
        )

    def get_config(self):
        fields = ("filters", "dilation_rate", "enlarge")
        return {**super().get_config(), **{field: getattr(self, field) for field in fields}}


def freeze_statistics(layer):
    """Lets every `GatedConv2D` in a layer train with its moving averages, which then stay as they are.

    For fine-tuning with small batches: statistics of few images change the colour of a fill from batch to batch.
    """
    for inner in keras_compat.layers_within(layer, GatedConv2D):
        inner.frozen = True


def warm_up_statistics(layer, steps: Callable):
    """Lets the moving averages of every `GatedConv2D` in a layer follow the batches closely at first.

    The momentum is min(0.99, (1 + n) / (10 + n)), n = `steps()`, the updates done so far: an average over about the
    last ninth of them, and from update 890 on batch normalization's own. A stage of few hundred steps would otherwise
    end with averages over networks that it left behind long ago.

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

    That is what a 3x3 convolution with Glorot's kernels, of variance 2 / (9 * channels + 9 * filters), makes of white
    noise of variance 1.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    x, weights = nodes * np.sqrt(2 * channels / (channels + filters)), weights / weights.sum()
    elu, sigmoid = np.where(x > 0, x, np.expm1(np.minimum(x, 0))), 1 / (1 + np.exp(-x))
    mean = (weights @ elu) * (weights @ sigmoid)
    return float(mean), float((weights @ elu**2) * (weights @ sigmoid**2) - mean**2)


def gate_and_normalize(convolved, bias, gamma, beta, statistics=None):
    """ELU(a) * sigmoid(b), normalised with the statistics of the global batch or with given ones.

    Args:
      convolved: [B, H, W, 2 * C], a and b along channels, of any float type.
      bias: [2 * C] float32, added first. Here and not behind the convolution, where its gradient would be slow.
      gamma, beta: [C] float32.
      statistics: mean and variance [C] float32, which get no gradient; None: those of the global batch.

    Returns:
      normalized [B, H, W, C] in the type of `convolved`; mean and variance [C] float32 over all replicas.
    """

    @tf.custom_gradient
    def normalized(convolved, bias, gamma, beta):
        h = gate(convolved, bias)
        mean, variance = statistics or _moments(h)
        rstd = tf.math.rsqrt(variance + EPSILON)
        result = scale_and_shift(h, gamma * rstd, beta - mean * gamma * rstd)

        def gradient(upstream, *_):
            # Without this TensorFlow takes the gate from the forward pass and keeps it until now.
            with tf.control_dependencies([upstream]):
                again = tf.identity(convolved)
            wide = tf.cast(upstream, tf.float32)
            total = sum_positions(wide)
            product = (sum_positions(wide * gate(again, bias)) - mean * total) * rstd
            slope, offset = tf.zeros_like(mean), tf.zeros_like(mean)
            if statistics is None:
                mean_total, mean_product, count = _over_replicas(total, product, _count(wide))
                # d loss / d h = gamma * rstd * (u - mean(u) - xhat * mean(u * xhat)), xhat = (h - mean) * rstd
                slope = mean_product / count * rstd
                offset = slope * mean - mean_total / count
            toward = toward_convolution(again, bias, upstream, slope, offset, gamma * rstd)
            return toward, sum_positions(tf.cast(toward, tf.float32)), product, total

        return (tf.cast(result, convolved.dtype), mean, variance), gradient

    return normalized(convolved, bias, gamma, beta)


def _moments(h):
    """Mean and variance [C] of h [B, H, W, C] over all positions of the global batch."""
    total, square, count = _over_replicas(sum_positions(h), sum_positions(tf.square(h)), _count(h))
    mean = total / count
    return mean, tf.maximum(square / count - tf.square(mean), 0.0)


def _normalize(convolved, bias, mean, scale, beta):
    normalized = scale_and_shift(gate(convolved, bias), scale, beta - mean * scale)
    return tf.cast(normalized, convolved.dtype)


def _count(values):
    """[C]: how many positions were summed."""
    channels = values.shape[-1]
    return tf.fill([channels], tf.cast(tf.size(values) // channels, tf.float32))


def _over_replicas(*sums):
    """The [C] tensors, each summed over replicas in one exchange."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return sums
    return tf.unstack(context.all_reduce(tf.distribute.ReduceOp.SUM, tf.stack(sums)))
