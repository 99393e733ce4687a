"""The part of a batch that the refinement network's decoder computes when only the hole is wanted (`HiFill.fill`).

The papers compute whole images and then keep the hole. The encoder and the attention need the whole image, because
every patch of the context may be copied. After the attention each value depends only on its surroundings, so a
rectangle around all holes of the batch is enough: the values of the hole are the same.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

# Reach of the layers after the attention, in pixels: six positions of the 8x reduced features (appendix).
REACH = 48
# The rectangle starts and ends at multiples of this, so that it is whole in every feature map.
_STEP = 16


class HolePart(NamedTuple):
    """A rectangle of an image of `side` x `side` pixels; the other fields are int32 scalars."""

    top: tf.Tensor
    bottom: tf.Tensor
    left: tf.Tensor
    right: tf.Tensor
    side: int

    def cut(self, features: tf.Tensor) -> tf.Tensor:
        """[B, side / r, side / r, C] -> the rectangle of it."""
        step = self.side // features.shape[1]
        top, bottom, left, right = (edge // step for edge in self[:4])
        return features[:, top:bottom, left:right]

    def put_back(self, image: tf.Tensor) -> tf.Tensor:
        """The rectangle [B, h, w, C] -> [B, side, side, C] with 0 around it."""
        around = [
            [self.top, self.side - self.bottom],
            [self.left, self.side - self.right],
        ]
        whole = tf.pad(image, [[0, 0], *around, [0, 0]])
        return tf.ensure_shape(whole, [None, self.side, self.side, image.shape[-1]])


def around(mask: tf.Tensor) -> HolePart:
    """The part around the holes of a batch [B, S, S, 1] in {0, 1}; the whole image if there are none."""
    side = mask.shape[1]
    edges = []
    for axis in (2, 1):
        lines = tf.cast(tf.reduce_max(mask, axis=[0, axis, 3]) > 0, tf.int32)
        first = tf.argmax(lines, output_type=tf.int32)
        stop = side - tf.argmax(lines[::-1], output_type=tf.int32)
        edges += [
            tf.maximum(first - REACH, 0) // _STEP * _STEP,
            tf.minimum(-(-(stop + REACH) // _STEP) * _STEP, side),
        ]
    return HolePart(*edges, side)
