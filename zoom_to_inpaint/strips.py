"""Convolutions on one strip of rows after the other: the same result with bounded memory.

A feature map of a 2048 x 2048 image with 64 channels takes a gigabyte, and a layer needs several. At inference a row of
the result depends only on nearby rows of the input. A strip extended by these rows (its halo) therefore gives the same
rows as the whole image; at the image's border the zero padding of 'same' convolutions is also the same.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from common.models import plain_ops

# A strip's widest feature map, in values (64 MiB as float32).
_STRIP_VALUES = 16 << 20


class Strips(NamedTuple):
    """Sizes for computing a function of 'same' convolutions, pooling and enlarging on strips of rows.

    rows_in, rows_out: rows of input and result per unit; strips start at whole units.
    halo: units above and below a strip that its result depends on.
    width: values of the largest feature map per position of the input.
    """

    rows_in: int
    rows_out: int
    halo: int
    width: int

    def apply(self, function, x, channels, dtype):
        """`function(x)`, one strip after the other; x: [B, H, W, C] -> [B, H', W', channels] of `dtype`."""
        if plain_ops.wanted():
            return function(x)
        units = tf.shape(x)[1] // self.rows_in
        per_unit = tf.shape(x)[0] * tf.shape(x)[2] * self.rows_in * self.width
        step = tf.maximum(2 * self.halo, _STRIP_VALUES // tf.maximum(per_unit, 1))
        count = (units + step - 1) // step

        def one_more(index, parts):
            first, last = index * step, tf.minimum((index + 1) * step, units)
            above, below = tf.maximum(first - self.halo, 0), tf.minimum(last + self.halo, units)
            result = function(x[:, above * self.rows_in : below * self.rows_in])
            own = result[:, (first - above) * self.rows_out : (last - above) * self.rows_out]
            # Rows first, so that strips of different heights can be joined.
            return index + 1, parts.write(index, tf.transpose(own, [1, 0, 2, 3]))

        shape = [None, None, None, channels]
        parts = tf.TensorArray(dtype, count, infer_shape=False, element_shape=shape)
        _, parts = tf.while_loop(
            lambda index, _: index < count, one_more, (0, parts), parallel_iterations=1
        )
        return tf.transpose(parts.concat(), [1, 0, 2, 3])
