"""Contextual attention at the bottleneck of the refinement network (Zoom-to-Inpaint section A.3; DeepFill's).

    f        gated convolution of the bottleneck                     [h, w, C]
    score    3x3 patches of f at half size, hole against all         [h/2 * w/2, h/2 * w/2]
    filled   2x2 blocks of f, weighted by softmax(10 * score)        [h, w, C]

Queries are patches of the hole, scaled to unit length; keys are patches of the context, not normalised. Scores are
propagated to neighbouring pairs of patches, first along rows and then along columns. Both steps wrap over line ends,
like a flat 3x3 identity convolution.

The default softmax runs over the context, that is, every key more than one position away from the hole. The release's
softmax (`floored`) runs over all keys; keys outside the context are then set to 0 and the others divided by
max(sum, 1e-9). A patch of the hole resembles itself most, so the sum can be almost 0; the patch is then filled with
zeros.

Known features stay as they are, so only blocks that touch the hole need scores. A bounded number of blocks is computed
at a time; the result does not depend on that number.

Half size takes the odd rows and columns (nearest neighbour). Scores, softmax and transfer are float32 whatever the
layers' precision. Slices cut the patches, not tf.image.extract_patches, because their gradients are slices again.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import tensorflow as tf

from common.models import plain_ops
from common.models.composite import Composite
from zoom_to_inpaint.gated_convolution import GatedConv2D

# Lower limit of the squared length of a query patch (1e-9 on the length).
_MIN_SQUARED_LENGTH = 1e-18
_MIN_WEIGHT = 1e-9
# Added to the logits of keys without weight: far below any score.
_NO_CONTEXT = -1e9
# Scores computed at once (64 MiB).
_SCORES_AT_ONCE = 1 << 24


class ContextualAttention(Composite):
    """The CA module: (x [B, h, w, C], mask [B, H, W, 1]) -> [B, h, w, C]; h and w even, H and W multiples of them.

    Args:
      filters: 2C, of both gated convolutions.
      temperature: factor on the scores before softmax.
      floored: the release's softmax, see the module docstring.
    """

    def __init__(self, filters, temperature=10.0, floored=False, **kwargs):
        super().__init__(**kwargs)
        self.temperature, self.floored = temperature, floored
        self.features = GatedConv2D(filters, dtype=self.dtype_policy)
        self.output_convolution = GatedConv2D(filters, dtype=self.dtype_policy)

    def call(self, inputs, training=None):
        x, mask = inputs
        f = self.features(x, training=training)
        filled = fill(tf.cast(f, tf.float32), mask_at(mask, f), self.temperature, self.floored)
        return self.output_convolution(tf.cast(filled, f.dtype), training=training)

    def map(self, inputs):
        """The attention map [B, N, N] of the layer's inputs; see `attention_map`."""
        x, mask = inputs
        f = tf.cast(self.features(x), tf.float32)
        return attention_map(f, mask_at(mask, f), self.temperature, self.floored)


def mask_at(mask: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
    """Mask [B, H, W, 1] by nearest neighbour at the size of `features` [B, h, w, C], float32."""
    if plain_ops.wanted():
        step = mask.shape[1] // features.shape[1]
        return mask[:, step // 2 :: step, step // 2 :: step]
    size = tf.shape(features)[1:3]
    return tf.image.resize(tf.cast(mask, tf.float32), size, "nearest")


def fill(features: tf.Tensor, mask: tf.Tensor, temperature=10.0, floored=False) -> tf.Tensor:
    """Features with the hole filled from the context.

    Args:
      features: [B, h, w, C] float32, h and w even.
      mask: [B, h, w, 1] float32, 1 = hole.

    Returns:
      [B, h, w, C]; equal to `features` where the mask is 0.
    """

    share = functools.partial(_share, temperature=temperature, floored=floored)

    def fill_one(inputs):
        image, hole = inputs
        patches = _patches(image, hole)
        if plain_ops.wanted():
            weights = _weights(patches, temperature * _every_propagated_score(patches), floored)
            return tf.where(hole > 0, _fill_every_block(patches, image, weights), image)
        touched = tf.nn.max_pool2d(hole[tf.newaxis], 2, 2, "VALID")
        targets = tf.where(tf.reshape(touched, [-1]) > 0)[:, 0]
        blocks = _to_blocks(image)
        filled = _fill_blocks(patches, blocks, tf.cast(targets, tf.int32), share)
        return tf.where(hole > 0, _from_blocks(filled, tf.shape(image)), image)

    if plain_ops.wanted():
        pairs = zip(tf.unstack(features), tf.unstack(mask))
        return tf.stack([fill_one(pair) for pair in pairs])
    spec = tf.TensorSpec(features.shape[1:], tf.float32)
    return tf.map_fn(fill_one, (features, mask), fn_output_signature=spec, parallel_iterations=1)


def attention_map(features: tf.Tensor, mask: tf.Tensor, temperature=10.0, floored=False):
    """The attention map [B, N, N] of features [B, h, w, C] and mask [B, h, w, 1], N = h/2 * w/2 in reading order.

    Row j holds the weights of all positions for position j, inside or outside the hole; `fill` computes only some
    rows.
    """

    def map_one(inputs):
        patches = _patches(*inputs)
        targets = tf.range(patches.height * patches.width)
        weights = _share(patches, targets, temperature, floored)
        return _swap_axes(weights, patches.width, patches.height)

    spec = tf.TensorSpec([None, None], tf.float32)
    return tf.map_fn(map_one, (features, mask), fn_output_signature=spec, parallel_iterations=1)


class _Patches(NamedTuple):
    """3x3 patches of one image at half size: `keys` [N, 9C], `context` [N] in {0, 1}, the grid's sides."""

    keys: tf.Tensor
    context: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor


def _patches(image, hole):
    small, hole = image[1::2, 1::2], hole[1::2, 1::2]
    height, width = tf.shape(small)[0], tf.shape(small)[1]
    padded = tf.pad(small, [[1, 1], [1, 1], [0, 0]])
    shifts = [padded[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)]
    keys = tf.reshape(tf.concat(shifts, axis=-1), [height * width, 9 * image.shape[-1]])
    near_hole = tf.nn.max_pool2d(hole[tf.newaxis], 3, 1, "SAME")
    return _Patches(keys, tf.reshape(1.0 - near_hole, [-1]), height, width)


def _fill_blocks(patches, blocks, targets, share):
    """[N, 4C] blocks -> the same with rows `targets` filled, a bounded number of scores at a time."""
    count = patches.height * patches.width
    values = _swap_grid(blocks, patches.height, patches.width)
    step = tf.maximum(1, _SCORES_AT_ONCE // count)

    def some_more(first, filled):
        rows = targets[first : first + step]
        weights = share(patches, rows)
        updates = tf.matmul(weights, values)
        return first + step, tf.tensor_scatter_nd_update(filled, rows[:, tf.newaxis], updates)

    _, filled = tf.while_loop(
        lambda first, _: first < tf.size(targets), some_more, (0, blocks), parallel_iterations=1
    )
    return filled


def _share(patches, targets, temperature, floored):
    """[K, N] weights of all keys, listed column by column, for the positions `targets` [K] int32."""
    return _weights(patches, temperature * _propagated_scores(patches, targets), floored)


def _weights(patches, logits, floored):
    """Softmax over the context of logits [K, N], whose keys are listed column by column."""
    context = _swap_axes(patches.context[tf.newaxis], patches.height, patches.width)
    if not floored:
        # If every key is near the hole, all keys count.
        allowed = tf.maximum(context, 1.0 - tf.reduce_max(context))
        return tf.nn.softmax(logits + _NO_CONTEXT * (1.0 - allowed))
    weights = tf.nn.softmax(logits) * context
    return weights / tf.maximum(tf.reduce_sum(weights, axis=-1, keepdims=True), _MIN_WEIGHT)


def _propagated_scores(patches, targets):
    """Scores of `targets` plus those of neighbouring pairs; keys listed column by column.

    along rows     p(i, j) = s(i - 1, j - 1) + s(i, j) + s(i + 1, j + 1), positions in reading order
    along columns  the same with p, positions listed column by column
    """
    height, width = patches.height, patches.width
    count = height * width
    down = tf.stack([_move_down(targets, step, height, width) for step in (-1, 0, 1)])
    middle, middle_rank = _distinct(down, count)
    along = tf.stack([_within(middle + step, count) for step in (-1, 0, 1)])
    rows, rank = _distinct(along, count)
    scores = tf.matmul(_unit(tf.gather(patches.keys, rows)), patches.keys, transpose_b=True)
    propagated = _add_moved(scores, tf.gather(rank, along))
    return _add_moved(_swap_axes(propagated, height, width), tf.gather(middle_rank, down))


def _every_propagated_score(patches):
    """`_propagated_scores` of all positions; rows, too, are listed column by column."""
    height, width = patches.height, patches.width
    scores = _add_diagonal(tf.matmul(_unit(patches.keys), patches.keys, transpose_b=True))
    grids = tf.transpose(tf.reshape(scores, [height, width, height, width]), [1, 0, 3, 2])
    return _add_diagonal(tf.reshape(grids, [height * width, height * width]))


def _add_diagonal(scores):
    before = tf.pad(scores[:-1, :-1], [[1, 0], [1, 0]])
    after = tf.pad(scores[1:, 1:], [[0, 1], [0, 1]])
    return before + scores + after


def _fill_every_block(patches, image, weights):
    """The image with every 2x2 block filled; weights [N, N]: rows and keys listed column by column."""
    values = _swap_grid(_to_blocks(image), patches.height, patches.width)
    filled = _swap_grid(tf.matmul(weights, values), patches.width, patches.height)
    return _from_blocks(filled, tf.shape(image))


def _within(positions, count):
    """Positions; those outside [0, count) become `count`, which stands for a row of zeros."""
    inside = tf.logical_and(positions >= 0, positions < count)
    return tf.where(inside, positions, count)


def _move_down(positions, step, height, width):
    """Positions moved `step` rows down; the bottom of a column continues at the top of the next."""
    by_column = positions % width * height + positions // width + step
    moved = by_column % height * width + by_column // height
    return tf.where(_within(by_column, height * width) < height * width, moved, height * width)


def _distinct(positions, count):
    """The distinct valid positions [M], ascending, and the rank [count + 1] of each (M for an invalid one)."""
    flat = tf.reshape(positions, [-1, 1])
    marked = tf.scatter_nd(flat, tf.ones_like(flat[:, 0]), [count + 1])
    marked = tf.cast(marked > 0, tf.int32)[:count]
    found = tf.cast(tf.where(marked > 0)[:, 0], tf.int32)
    rank = tf.concat([tf.cumsum(marked) - 1, [tf.size(found)]], axis=0)
    return found, rank


def _add_moved(scores, ranks):
    """Sum over step -1, 0, 1 of row `ranks[step]` of scores [M, N], its keys moved by `step`; [K, N].

    Rank M stands for a row of zeros.
    """
    padded = tf.pad(scores, [[0, 1], [0, 0]])
    before, same, after = (tf.gather(padded, ranks[step]) for step in range(3))
    before = tf.pad(before[:, :-1], [[0, 0], [1, 0]])
    after = tf.pad(after[:, 1:], [[0, 0], [0, 1]])
    return before + same + after


def _unit(patches):
    squared = tf.reduce_sum(tf.square(patches), axis=-1, keepdims=True)
    return patches * tf.math.rsqrt(tf.maximum(squared, _MIN_SQUARED_LENGTH))


def _swap_axes(rows, height, width):
    """[K, height * width] in reading order -> listed column by column."""
    grids = tf.reshape(rows, [-1, height, width])
    return tf.reshape(tf.transpose(grids, [0, 2, 1]), [-1, height * width])


def _swap_grid(rows, height, width):
    """[height * width, D] in reading order -> listed column by column."""
    grid = tf.reshape(rows, [height, width, rows.shape[-1]])
    return tf.reshape(tf.transpose(grid, [1, 0, 2]), [height * width, rows.shape[-1]])


def _to_blocks(image):
    """[h, w, C] -> [h/2 * w/2, 4C]: its 2x2 blocks in reading order."""
    shape, channels = tf.shape(image), image.shape[-1]
    grid = tf.reshape(image, [shape[0] // 2, 2, shape[1] // 2, 2, channels])
    return tf.reshape(tf.transpose(grid, [0, 2, 1, 3, 4]), [-1, 4 * channels])


def _from_blocks(blocks, shape):
    """The inverse of `_to_blocks`; shape: that of the image."""
    grid = tf.reshape(blocks, [shape[0] // 2, shape[1] // 2, 2, 2, shape[2]])
    return tf.reshape(tf.transpose(grid, [0, 2, 1, 3, 4]), shape)
