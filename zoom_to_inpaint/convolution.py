"""3x3 convolutions whose backward pass holds one gradient at a time.

TensorFlow may put off the gradients of kernels, which nothing waits for, until the gradient of the network's input
is there; by then the gradient at every layer's output is held as well, which is gigabytes at 512x512. Here a
layer's kernel gradient is computed before the gradient of its input, so what it needed is free for the next layer.
A kernel gradient needs the layer's input; where that can be made again from what is kept anyway, `recomputable` says
how, and it is not kept. The arithmetic is TensorFlow's own, but for kernel gradients of wide or dilated layers on
CPUs, which are products of matrices (`_taps`).
"""

from __future__ import annotations

import functools

import tensorflow as tf


def recomputable(tensor, again):
    """`tensor`, with the function that makes it again during the backward pass of a convolution of it."""
    # As Keras does with masks: layers pass a tensor on as it is, so what belongs to it travels with it.
    tensor._recomputed = again
    return tensor


def convolve(inputs, kernel, dilation_rate=1):
    """'Same' convolution: inputs [B, H, W, Cin], kernel [3, 3, Cin, C] of one float type -> [B, H, W, C]."""
    again = getattr(inputs, "_recomputed", lambda: inputs)

    @tf.custom_gradient
    def convolution(inputs, kernel):
        size = tf.shape(inputs)
        options = {"padding": "SAME", "dilations": [1, dilation_rate, dilation_rate, 1]}

        def gradient(upstream):
            recomputed = _after(upstream, again)
            if (dilation_rate > 1 or inputs.shape[-1] >= _WIDE) and not has_gpu():
                toward_kernel = _taps(recomputed, upstream, dilation_rate)
            else:
                toward_kernel = _toward_kernel(recomputed, kernel, upstream, options)
            return _toward_input(size, kernel, upstream, options, toward_kernel), toward_kernel

        return tf.nn.conv2d(inputs, kernel, 1, "SAME", dilations=dilation_rate), gradient

    return convolution(inputs, kernel)


# Positions of a 2x2 cell.
_CELL = ((0, 0), (0, 1), (1, 0), (1, 1))


def enlarge_and_convolve(inputs, kernel):
    """The 'same' 3x3 convolution of the image enlarged twice by nearest neighbour, without enlarging it.

    An even output row sees two input rows, the lower one twice, an odd one likewise; so each of the four positions
    of a 2x2 cell is a 2x2 convolution of the small image with sums of kernel taps: 4/9 of the arithmetic.

    inputs: [B, H, W, Cin]; kernel: [3, 3, Cin, C]. Returns [B, 2H, 2W, C].
    """
    again = getattr(inputs, "_recomputed", lambda: inputs)

    @tf.custom_gradient
    def convolutions(inputs, kernels):
        height, width = tf.shape(inputs)[1], tf.shape(inputs)[2]
        batch, channels = tf.shape(inputs)[0], kernels.shape[-1]
        parts = [
            tf.nn.conv2d(inputs, small, 1, [[0, 0], [1 - row, row], [1 - column, column], [0, 0]])
            for small, (row, column) in zip(tf.unstack(kernels), _CELL)
        ]
        lines = [tf.stack(parts[first : first + 2], axis=3) for first in (0, 2)]
        cells = tf.stack(lines, axis=2)  # [B, H, 2, W, 2, C]

        def gradient(upstream):
            # The four as one of 4C channels, of which each cell's position takes its own: a plain convolution has the
            # fastest gradients.
            cells = tf.reshape(upstream, [batch, height, 2, width, 2, channels])
            toward = tf.concat(
                [
                    tf.pad(
                        cells[:, :, row, :, column],
                        [[0, 0], [row, 1 - row], [column, 1 - column], [0, 0]],
                    )
                    for row, column in _CELL
                ],
                axis=-1,
            )
            options = {"padding": "VALID"}
            padded = tf.pad(_after(upstream, again), [[0, 0], [1, 1], [1, 1], [0, 0]])
            wide = tf.concat(tf.unstack(kernels), axis=-1)
            toward_wide = _toward_kernel(padded, wide, toward, options)
            size = [batch, height + 2, width + 2, inputs.shape[-1]]
            toward_padded = _toward_input(size, wide, toward, options, toward_wide)
            return toward_padded[:, 1:-1, 1:-1], tf.stack(tf.split(toward_wide, 4, axis=-1))

        return tf.reshape(cells, [batch, 2 * height, 2 * width, channels]), gradient

    return convolutions(inputs, _cell_kernels(kernel))


def _cell_kernels(kernel):
    """[3, 3, Cin, C] -> [4, 2, 2, Cin, C]: sums of taps for the positions of a 2x2 cell."""
    upper, middle, lower = tf.unstack(kernel)
    small = []
    for taps in (tf.stack([upper, middle + lower]), tf.stack([upper + middle, lower])):
        left, middle, right = (taps[:, column] for column in range(3))
        small.append(tf.stack([left, middle + right], axis=1))
        small.append(tf.stack([left + middle, right], axis=1))
    return tf.stack(small)


def _after(upstream, function):
    """`function()`, not computed before `upstream` is there."""
    with tf.control_dependencies([upstream]):
        return function()


def _toward_kernel(inputs, kernel, upstream, options):
    return tf.raw_ops.Conv2DBackpropFilter(
        input=inputs,
        filter_sizes=tf.shape(kernel),
        out_backprop=upstream,
        strides=[1, 1, 1, 1],
        **options,
    )


def _toward_input(size, kernel, upstream, options, toward_kernel):
    """Gradient of the input, after that of the kernel."""
    with tf.control_dependencies([toward_kernel]):
        return tf.raw_ops.Conv2DBackpropInput(
            input_sizes=size,
            filter=kernel,
            out_backprop=upstream,
            strides=[1, 1, 1, 1],
            **options,
        )


@functools.cache
def has_gpu() -> bool:
    """Whether there is one to compute on, where other ways than a CPU's are the fast ones."""
    return bool(tf.config.list_physical_devices("GPU"))


# Input channels from which `_taps` is the faster way.
_WIDE = 128


def _taps(inputs, upstream, dilation):
    """Gradient of a 'same' 3x3 kernel, one product [Cin, N] x [N, C] for each tap: up to twice as fast on CPUs.

    With a margin as wide as the dilation around both, listed in reading order, all pairs of values that a tap
    multiplies are equally far apart, and what lies in the margin of `upstream` is 0: slices of the lists will do.
    """
    margin = [[0, 0], [dilation, dilation], [dilation, dilation], [0, 0]]
    padded = tf.pad(upstream, margin)
    shape = tf.shape(padded)
    line, count = shape[2], shape[0] * shape[1] * shape[2]
    values = tf.reshape(tf.pad(inputs, margin), [count, inputs.shape[-1]])
    first = dilation * line + dilation
    length = count - 2 * first
    towards = tf.reshape(padded, [count, upstream.shape[-1]])[first : first + length]
    taps = []
    for row in (-1, 0, 1):
        for column in (-1, 0, 1):
            start = first + dilation * (row * line + column)
            seen = values[start : start + length]
            taps.append(tf.matmul(seen, towards, transpose_a=True))
    return tf.reshape(tf.stack(taps), [3, 3, inputs.shape[-1], upstream.shape[-1]])
