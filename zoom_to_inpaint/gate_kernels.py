"""What a gated convolution does to every value, in as few walks through memory as possible.

    h = ELU(a) * sigmoid(b)        y = h * scale + shift        and the way back

At 512x512 a layer's values fill 134 MB, so arithmetic is cheap and every walk through them is not: TensorFlow's
separate ops took a third of a training step. Large tensors of known shape are therefore compiled by XLA, which
makes one loop of each function here; on a GPU, on several replicas and for small tensors it is not worth it, and the
same functions run as ordinary ops. For training alone: at inference TensorFlow joins them with the convolution.
Everything is computed in float32 whatever the type of the convolution.
"""

from __future__ import annotations

import functools

import tensorflow as tf

from zoom_to_inpaint.convolution import has_gpu

# Values from which compiling, about a tenth of a second for each shape, pays off.
_WORTH_COMPILING = 1 << 21


def _compiled_if_large(function):
    """`function`, compiled for a first argument that is large; see the module docstring."""
    compiled = tf.function(functools.partial(function, xla=True), jit_compile=True)

    @functools.wraps(function)
    def chosen(values, *others):
        return (compiled if _worth_compiling(values) else function)(values, *others)

    return chosen


def _worth_compiling(values):
    # The number of images may be unknown, as in a dry run; every other side is needed.
    large = (values.shape[1:].num_elements() or 0) * (values.shape[0] or 1) >= _WORTH_COMPILING
    return large and tf.distribute.get_strategy().num_replicas_in_sync == 1 and not has_gpu()


def _halves(convolved, bias):
    """Features a and gates b of [B, H, W, 2C] + bias, float32. Slices: tf.split copies by a slower path."""
    channels = convolved.shape[-1] // 2
    biased = tf.cast(convolved, tf.float32) + bias
    return biased[..., :channels], biased[..., channels:]


# XLA's own ELU and sigmoid take twice as long as these formulas; as separate ops it is the other way round.
def _activated(features, xla):
    if not xla:
        return tf.nn.elu(features)
    return tf.where(features > 0, features, tf.exp(tf.minimum(features, 0.0)) - 1.0)


def _opened(gates, xla):
    return 0.5 + 0.5 * tf.tanh(0.5 * gates) if xla else tf.sigmoid(gates)


@_compiled_if_large
def gate(convolved, bias, xla=False):
    """h [B, H, W, C] float32 of convolved [B, H, W, 2C] + bias [2C], features and gates along channels."""
    features, gates = _halves(convolved, bias)
    return _activated(features, xla) * _opened(gates, xla)


@_compiled_if_large
def scale_and_shift(values, scale, shift, xla=False):
    """values [B, H, W, C] * scale [C] + shift [C], float32."""
    del xla
    return values * scale + shift


@_compiled_if_large
def toward_convolution(convolved, bias, upstream, slope, offset, scale, xla=False):
    """Gradient at `convolved` where that at h is (upstream - h * slope + offset) * scale; [B, H, W, 2C] of its type.

    upstream: [B, H, W, C]; slope, offset, scale: [C] float32.
    """
    features, gates = _halves(convolved, bias)
    activated, opened = _activated(features, xla), _opened(gates, xla)
    h = activated * opened
    toward_h = (tf.cast(upstream, tf.float32) - h * slope + offset) * scale
    toward_features = toward_h * opened * tf.where(features > 0, 1.0, activated + 1.0)
    toward_gates = toward_h * h * (1.0 - opened)
    return tf.cast(tf.concat([toward_features, toward_gates], axis=-1), convolved.dtype)


def sum_positions(values):
    """[B, H, W, C] -> [C]: the sum of all positions, row by row.

    A product with ones reads memory at twice the speed of tf.reduce_sum along leading axes, and adding rows up
    before images loses fewer digits than one long sum.
    """
    shape = tf.shape(values)
    rows = tf.reshape(values, [shape[0] * shape[1], shape[2], values.shape[-1]])
    return tf.reduce_sum(tf.matmul(tf.ones([shape[0] * shape[1], 1, shape[2]]), rows), [0, 1])
