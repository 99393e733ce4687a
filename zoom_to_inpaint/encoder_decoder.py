"""The encoder-decoder of the coarse and the refinement network (Zoom-to-Inpaint section A.1, Figures 9 and 10).

    encoder 1      G(ch)                    + residual over 2 x G(ch)
    encoder 2      max-pool 2x2, G(2ch)     + residual over 2 x G(2ch)
    bottleneck     max-pool 2x2, G(4ch, d=2) + residual over G(4ch, d=4), G(4ch, d=8)
    (between)      nothing in the coarse network, contextual attention in the refinement network
    decoder 2      nearest x2, G(2ch)       + residual over 3 x G(2ch)
    decoder 1      nearest x2, G(ch)        + residual over 3 x G(ch)
    output         3x3 convolution to 3 channels without gate and normalization; its kernel starts at zero with a
                   membrane start (`ZoomConfig.start`)

G(C) is `GatedConv2D`, whose C filters give C / 2 channels. [B, H, W, 4] -> [B, H, W, 3], H and W multiples of 4.

Inference needs little memory at any size: the levels at full and half resolution are computed in strips of rows
(`zoom_to_inpaint.strips`), and `Decoder` can be restricted to a box. In training, batch statistics depend on all
positions, so the whole image is computed at once.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from common.models.composite import Composite
from zoom_to_inpaint.gated_convolution import GatedConv2D
from zoom_to_inpaint.strips import Strips

# Halo of encoder 1 and 2 (3 convolutions each, the second three on half the rows), and of decoder 2 and 1 with the
# output: rows rounded up to whole positions of the bottleneck.
ENCODER_HALO, DECODER_HALO = 3, 4


class Level(Composite):
    """One G, then a residual block of further G: y = first(x); y + rest(y)."""

    def __init__(self, filters, dilations, enlarge=False, **kwargs):
        super().__init__(**kwargs)
        first, *rest = dilations
        policy = self.dtype_policy
        self.first = GatedConv2D(filters, first, enlarge, dtype=policy)
        self.rest = [GatedConv2D(filters, dilation, dtype=policy) for dilation in rest]

    def call(self, inputs, training=None):
        first = x = self.first(inputs, training=training)
        for convolution in self.rest:
            x = convolution(x, training=training)
        return first + x


class Encoder(Composite):
    """[B, H, W, 4] -> bottleneck [B, H/4, W/4, 2ch]."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.level_1 = Level(channels, (1, 1, 1), dtype=policy)
        self.level_2 = Level(2 * channels, (1, 1, 1), dtype=policy)
        self.bottleneck = Level(4 * channels, (2, 4, 8), dtype=policy)

    def call(self, inputs, training=None):
        if training:
            pooled = self._pooled(inputs, training)
        else:
            strips = Strips(4, 1, ENCODER_HALO, self.level_1.first.filters)
            channels = self.level_2.first.filters // 2
            pooled = strips.apply(self._pooled, inputs, channels, self.compute_dtype)
        return self.bottleneck(pooled, training=training)

    def _pooled(self, x, training=False):
        for level in (self.level_1, self.level_2):
            x = tf.nn.max_pool2d(level(x, training=training), 2, 2, "VALID")
        return x


class Decoder(Composite):
    """Bottleneck [B, h, w, C] -> image [B, 4h, 4w, 3], unbounded float32."""

    def __init__(self, channels, last_initializer=None, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.level_2 = Level(2 * channels, (1, 1, 1, 1), enlarge=True, dtype=policy)
        self.level_1 = Level(channels, (1, 1, 1, 1), enlarge=True, dtype=policy)
        self.output_convolution = keras.layers.Conv2D(
            *(3, 3),
            padding="same",
            kernel_initializer=last_initializer or "glorot_uniform",
            dtype=policy,
        )

    def call(self, inputs, training=None, box=None):
        """box: (top, bottom, left, right) in positions of the bottleneck; outside it the result is 0."""
        if training:
            return self._image(inputs, training)
        if box is None:
            return self._in_strips(inputs)
        height, width = tf.shape(inputs)[1], tf.shape(inputs)[2]
        top, left = tf.maximum(box[0] - DECODER_HALO, 0), tf.maximum(box[2] - DECODER_HALO, 0)
        seen = inputs[:, top : box[1] + DECODER_HALO, left : box[3] + DECODER_HALO]
        first = 4 * (box[0] - top), 4 * (box[2] - left)
        size = 4 * (box[1] - box[0]), 4 * (box[3] - box[2])
        inside = self._in_strips(seen)
        inside = inside[:, first[0] : first[0] + size[0], first[1] : first[1] + size[1]]
        around = [[4 * box[0], 4 * (height - box[1])], [4 * box[2], 4 * (width - box[3])]]
        return tf.pad(inside, [[0, 0], *around, [0, 0]])

    def _in_strips(self, x):
        strips = Strips(1, 4, DECODER_HALO, 16 * self.level_1.first.filters)
        return strips.apply(self._image, x, 3, tf.float32)

    def _image(self, x, training=False):
        for level in (self.level_2, self.level_1):
            x = level(x, training=training)
        return tf.cast(self.output_convolution(x), tf.float32)


def hole_box(mask: tf.Tensor, margin: int) -> tuple:
    """(top, bottom, left, right) of the hole of mask [B, H, W, 1] in cells of 4x4 pixels, with `margin` cells around.

    For a batch, one box around all holes; the whole image if there is no hole.
    """
    cells = tf.nn.max_pool2d(mask, 4, 4, "VALID")
    box = []
    for axes in ([0, 2, 3], [0, 1, 3]):
        touched = tf.cast(tf.reduce_max(cells, axes) > 0, tf.int32)
        length = tf.size(touched)
        first = tf.argmax(touched, output_type=tf.int32)
        last = length - tf.argmax(tf.reverse(touched, [0]), output_type=tf.int32)
        box += [tf.maximum(first - margin, 0), tf.minimum(last + margin, length)]
    return tuple(box)
