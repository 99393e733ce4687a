"""The layer everything but the SR network is made of: gated convolution, then batch normalization (Z section A.1).

    a, b = halves of conv3x3(x)        h = ELU(a) * sigmoid(b)        y = gamma * (h - mean) / sqrt(var + 1e-3) + beta

One convolution computes feature and gate, so C filters give C / 2 channels. Mean and variance are those of the
global batch while training (synchronised across replicas) and moving averages (momentum 0.99) otherwise.

What happens between two convolutions is limited by memory, not arithmetic. While training only the convolution's
output is kept for the backward pass, which computes gate and normalisation again; that is a third of what
automatic differentiation would keep. Gates and statistics are float32 whatever the convolutions' precision.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

EPSILON = 1e-3
MOMENTUM = 0.99

_KERAS_3 = hasattr(keras, "ops")


class Composite(keras.layers.Layer):
    """A layer made of layers, which build themselves when it is first called and cast for themselves.

    Left alone Keras 3 traces the call of every such layer to build it, those within once for every layer around
    them: two seconds a model.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def build(self, input_shape):
        del input_shape
        self.built = True


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

    def build(self, input_shape):
        half = self.filters // 2
        shape = (3, 3, int(input_shape[-1]), self.filters)
        self.kernel = self._weight("kernel", shape, "glorot_uniform")
        self.bias = self._weight("bias", (self.filters,), "zeros")
        self.gamma = self._weight("gamma", (half,), "ones")
        self.beta = self._weight("beta", (half,), "zeros")
        self.moving_mean = self._statistic("moving_mean", half, "zeros")
        self.moving_variance = self._statistic("moving_variance", half, "ones")
        self.built = True

    def _weight(self, name, shape, initializer, **kwargs):
        # Read as the float32 that it is: a policy of half precision would round it, moving averages included.
        autocast = "autocast" if _KERAS_3 else "experimental_autocast"
        kwargs[autocast] = False
        return self.add_weight(name=name, shape=shape, initializer=initializer, **kwargs)

    def _statistic(self, name, size, initializer):
        # Replicas assign the same value, the global batch's, so any of them may be kept. Keras 3 names it by a word.
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        aggregation = "only_first_replica" if _KERAS_3 else first
        return self._weight(name, (size,), initializer, trainable=False, aggregation=aggregation)

    def call(self, inputs, training=None):
        kernel = tf.cast(tf.convert_to_tensor(self.kernel), inputs.dtype)
        if self.enlarge:
            convolved = enlarge_and_convolve(inputs, kernel)
        else:
            convolved = tf.nn.conv2d(inputs, kernel, 1, "SAME", dilations=self.dilation_rate)
        convolved = tf.nn.bias_add(convolved, tf.cast(self.bias, inputs.dtype))
        if training:
            return self._normalize_batch(convolved)
        scale = self.gamma * tf.math.rsqrt(self.moving_variance + EPSILON)
        return _normalize(convolved, self.moving_mean, scale, self.beta)

    def _normalize_batch(self, convolved):
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        normalized, mean, variance = gate_and_normalize(convolved, gamma, beta)
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(MOMENTUM * moving + (1.0 - MOMENTUM) * tf.stop_gradient(now))
        return normalized

    def get_config(self):
        fields = ("filters", "dilation_rate", "enlarge")
        return {**super().get_config(), **{field: getattr(self, field) for field in fields}}


def _gate(convolved):
    features, gates = tf.split(convolved, 2, axis=-1)
    return tf.nn.elu(features) * tf.sigmoid(gates)


def enlarge_and_convolve(inputs, kernel):
    """The 'same' 3x3 convolution of the image enlarged twice by nearest neighbour, without enlarging it.

    An even output row sees two input rows, the lower one twice, an odd one likewise; so each of the four positions
    of a 2x2 cell is a 2x2 convolution of the small image with sums of kernel taps: 4/9 of the arithmetic.

    inputs: [B, H, W, Cin]; kernel: [3, 3, Cin, C]. Returns [B, 2H, 2W, C].
    """
    rows = (
        tf.stack([kernel[0], kernel[1] + kernel[2]]),
        tf.stack([kernel[0] + kernel[1], kernel[2]]),
    )
    lines = []
    for row, taps in enumerate(rows):
        pair = []
        left, middle, right = (taps[:, column] for column in range(3))
        columns = (tf.stack([left, middle + right], 1), tf.stack([left + middle, right], 1))
        for column, small in enumerate(columns):
            padding = [[0, 0], [1 - row, row], [1 - column, column], [0, 0]]
            pair.append(tf.nn.conv2d(inputs, small, 1, padding))
        lines.append(tf.stack(pair, axis=3))
    cells = tf.stack(lines, axis=2)  # [B, H, 2, W, 2, C]
    shape = tf.shape(inputs)
    return tf.reshape(cells, [shape[0], 2 * shape[1], 2 * shape[2], kernel.shape[3]])


@tf.custom_gradient
def gate_and_normalize(convolved, gamma, beta):
    """ELU(a) * sigmoid(b), normalised with the statistics of the global batch.

    Args:
      convolved: [B, H, W, 2 * C], a and b along channels, of any float type.
      gamma, beta: [C] float32.

    Returns:
      normalized [B, H, W, C] in the type of `convolved`; mean and variance [C] float32 over all replicas.
    """
    mean, variance = _global_moments(convolved)
    rstd = tf.math.rsqrt(variance + EPSILON)
    normalized = _normalize(convolved, mean, gamma * rstd, beta)

    def gradient(upstream, *_):
        sums = _upstream_sums(convolved, upstream, mean, rstd)
        count = tf.cast(tf.size(upstream) // upstream.shape[-1], tf.float32)
        means = _over_replicas(tf.concat([sums, tf.fill([1, sums.shape[1]], count)], axis=0))
        means = means[:2] / means[2:]
        convolved_gradient = _convolved_gradient(convolved, upstream, mean, rstd, gamma, means)
        return convolved_gradient, sums[1], sums[0]

    return (normalized, mean, variance), gradient


def _over_replicas(sums):
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return sums
    return context.all_reduce(tf.distribute.ReduceOp.SUM, sums)


def _global_moments(convolved):
    total, square, count = tf.unstack(_over_replicas(_sums(convolved)))
    mean = total / count
    return mean, tf.maximum(square / count - tf.square(mean), 0.0)


def _sums(convolved):
    """[3, C] float32: sums of h, of its square, and the number of values."""
    h = _gate(tf.cast(convolved, tf.float32))
    axes = [0, 1, 2]
    total, square = tf.reduce_sum(h, axes), tf.reduce_sum(tf.square(h), axes)
    return tf.stack(
        [total, square, tf.fill(tf.shape(total), tf.cast(tf.size(h) // h.shape[-1], tf.float32))]
    )


def _normalize(convolved, mean, scale, beta):
    h = _gate(tf.cast(convolved, tf.float32))
    return tf.cast(h * scale + (beta - mean * scale), convolved.dtype)


def _upstream_sums(convolved, upstream, mean, rstd):
    h = _gate(tf.cast(convolved, tf.float32))
    upstream = tf.cast(upstream, tf.float32)
    axes = [0, 1, 2]
    total = tf.reduce_sum(upstream, axes)
    product = (tf.reduce_sum(upstream * h, axes) - mean * total) * rstd
    return tf.stack([total, product])


def _convolved_gradient(convolved, upstream, mean, rstd, gamma, means):
    features, gates = tf.split(tf.cast(convolved, tf.float32), 2, axis=-1)
    activated, opened = tf.nn.elu(features), tf.sigmoid(gates)
    h = activated * opened
    # d loss / d h = gamma * rstd * (u - mean(u) - xhat * mean(u * xhat)), xhat = (h - mean) * rstd
    slope = means[1] * rstd
    offset = slope * mean - means[0]
    toward_h = (tf.cast(upstream, tf.float32) - h * slope + offset) * (gamma * rstd)
    toward_features = toward_h * opened * tf.where(features > 0, 1.0, activated + 1.0)
    toward_gates = toward_h * h * (1.0 - opened)
    return tf.cast(tf.concat([toward_features, toward_gates], axis=-1), convolved.dtype)
