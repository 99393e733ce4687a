"""Gated convolutions: GC and the three light-weight LWGC (HiFill section 3.4, eq. 5-8, Table 1).

    O = sigmoid(G) * ELU(F),   F = conv(W_f, I),   G = one of four convolutions of I

`gate` picks how G is computed; Table 1 counts its weights (without bias) for a k x k kernel:

    gc  full convolution                  k*k*Cin*Cout
    ds  depthwise, then 1x1 (LWGC-ds)     k*k*Cin + Cin*Cout
    pw  pixelwise 1x1 (LWGC-pw)           Cin*Cout
    sc  one channel for all (LWGC-sc)     k*k*Cin

Kernels start normal with variance 5 / fan-in (features) or 1 / fan-in (gates), biases at 0. The paper names no
initialisation (docs/departures.md). Padding is 'same' (section 3.3). The pixelwise gate follows the stride of the
features and has no dilation, because a 1x1 kernel has nothing to dilate.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from common.models import plain_ops

# Variance of fresh kernels times their fan-in. A gate starts near 1/2 and ELU shrinks negative values, so with the
# usual 1 or 2 for features the signal vanishes over twenty layers. 4 keeps the size of a small signal; a larger
# signal needs slightly more.
_FEATURE_SCALE = 5.0
_GATE_SCALE = 1.0


class GatedConv2D(keras.layers.Layer):
    """A gated convolution: [B, H, W, Cin] -> [B, ceil(H/strides), ceil(W/strides), filters].

    Args:
      filters: Cout.
      kernel_size: side k of the square kernel.
      strides: step of features and gate.
      dilation_rate: dilation of the features, and of gates that have a k x k kernel.
      gate: "gc", "ds", "pw" or "sc", see the module docstring.
    """

    def __init__(self, filters, kernel_size=3, strides=1, dilation_rate=1, gate="gc", **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size = filters, kernel_size
        self.strides, self.dilation_rate, self.gate = strides, dilation_rate, gate

    def build(self, input_shape):
        k, c_in, c_out = self.kernel_size, int(input_shape[-1]), self.filters
        features = (k, k, c_in, c_out)
        self.feature_kernel = self._kernel("feature_kernel", features, _FEATURE_SCALE)
        self.feature_bias = self._bias("feature_bias", c_out)
        if self.gate == "ds":
            self.gate_depthwise = self._kernel("gate_depthwise", (k, k, c_in, 1), fan_in=k * k)
        gate_shape = {
            "gc": (k, k, c_in, c_out),
            "ds": (1, 1, c_in, c_out),
            "pw": (1, 1, c_in, c_out),
            "sc": (k, k, c_in, 1),
        }[self.gate]
        self.gate_kernel = self._kernel("gate_kernel", gate_shape)
        self.gate_bias = self._bias("gate_bias", gate_shape[-1])
        self.built = True

    def _kernel(self, name, shape, scale=_GATE_SCALE, fan_in=None):
        fan_in = fan_in or shape[0] * shape[1] * shape[2]
        normal = keras.initializers.RandomNormal(stddev=(scale / fan_in) ** 0.5)
        return self.add_weight(name=name, shape=shape, initializer=normal, trainable=True)

    def _bias(self, name, size):
        return self.add_weight(name=name, shape=(size,), initializer="zeros", trainable=True)

    def call(self, inputs):
        features = self._convolve(inputs, self.feature_kernel, self.dilation_rate)
        features = _add_bias(features, self.feature_bias)
        gate = _add_bias(self._gate(inputs), self.gate_bias)
        return tf.sigmoid(gate) * tf.nn.elu(features)

    def _gate(self, inputs):
        if self.gate == "pw":
            # Equals a strided 1x1 convolution. The filter gradient of a strided 1x1 convolution overruns memory on
            # CPUs (TensorFlow 2.15 and 2.21 crash at random).
            picked = inputs[:, :: self.strides, :: self.strides]
            return tf.nn.conv2d(picked, tf.cast(self.gate_kernel, inputs.dtype), 1, "SAME")
        if self.gate == "ds":
            depthwise = tf.nn.depthwise_conv2d(
                inputs,
                tf.cast(self.gate_depthwise, inputs.dtype),
                strides=[1, self.strides, self.strides, 1],
                padding="SAME",
                dilations=[self.dilation_rate] * 2,
            )
            return tf.nn.conv2d(depthwise, tf.cast(self.gate_kernel, inputs.dtype), 1, "SAME")
        return self._convolve(inputs, self.gate_kernel, self.dilation_rate)

    def _convolve(self, inputs, kernel, dilation_rate):
        kernel = tf.cast(kernel, inputs.dtype)
        if self.strides == 1 and kernel.shape[-1] <= 3 and not plain_ops.wanted():
            return narrow_convolution(inputs, kernel, dilation_rate)
        return tf.nn.conv2d(inputs, kernel, self.strides, "SAME", dilations=dilation_rate)

    def gate_weights(self):
        """Number of gate weights without biases, the quantity of Table 1."""
        kernels = [self.gate_kernel] + ([self.gate_depthwise] if self.gate == "ds" else [])
        return sum(int(tf.size(tf.convert_to_tensor(kernel))) for kernel in kernels)

    def get_config(self):
        fields = ("filters", "kernel_size", "strides", "dilation_rate", "gate")
        return {**super().get_config(), **{field: getattr(self, field) for field in fields}}


def _add_bias(x, bias):
    bias = tf.cast(bias, x.dtype)
    # On CPUs the gradient of a half-precision bias_add is summed in half precision: over two images of 64 x 64
    # positions a sixteenth of the gradient was left.
    return tf.nn.bias_add(x, bias) if x.dtype == tf.float32 else x + bias


def narrow_convolution(inputs, kernel, dilation_rate):
    """The 'same' convolution for very few output channels: a gate (1) or an RGB image (3).

    TensorFlow's CPU convolution always computes 16 output channels at once, so most of its work would be wasted. Here
    one 1x1 convolution computes all k*k*Cout products of a pixel; the products are then shifted into place and added.
    The sum is the same, and a 64 -> 3 convolution at 512 x 512 takes 15 ms instead of 60 ms.
    """
    k, c_in, c_out = kernel.shape[0], kernel.shape[2], kernel.shape[3]
    taps = tf.reshape(tf.transpose(kernel, [2, 0, 1, 3]), [1, 1, c_in, k * k * c_out])
    products = tf.transpose(tf.nn.conv2d(inputs, taps, 1, "VALID"), [0, 3, 1, 2])
    border = dilation_rate * (k // 2)
    padded = tf.pad(products, [[0, 0], [0, 0], [border, border], [border, border]])
    # Known sides are numbers: a graph of this with sums of tensors takes twice as long to trace.
    height, width = (inputs.shape[axis] or tf.shape(inputs)[axis] for axis in (1, 2))
    shifted = []
    for tap in range(k * k):
        top, left = (dilation_rate * step for step in divmod(tap, k))
        first, last = (
            [0, tap * c_out, top, left],
            [0, (tap + 1) * c_out, top + height, left + width],
        )
        whole = {"begin_mask": 1, "end_mask": 1}  # every image of the batch
        shifted.append(tf.strided_slice(padded, first, last, [1, 1, 1, 1], **whole))
    return tf.transpose(tf.add_n(shifted), [0, 2, 3, 1])


class LWGC(GatedConv2D):
    """Light-weight gated convolution (eq. 6-8): a `GatedConv2D` whose gate is "ds", "pw" or "sc"."""

    def __init__(self, filters, kernel_size=3, strides=1, dilation_rate=1, gate="pw", **kwargs):
        if gate not in ("ds", "pw", "sc"):
            raise ValueError(f"a light-weight gate is 'ds', 'pw' or 'sc', not '{gate}'")
        super().__init__(filters, kernel_size, strides, dilation_rate, gate, **kwargs)


def gated_convolution(gate, *args, **kwargs):
    """The layer class that the paper names for `gate`: GatedConv2D for "gc", LWGC for the others."""
    layer = GatedConv2D if gate == "gc" else LWGC
    return layer(*args, gate=gate, **kwargs)
