"""Contextual attention: ACM computes the scores once, ATM transfers patches with them (HiFill section 3.2).

Attention Computing Module. P3 [B, 2n, 2n, C] is reduced by two to P [B, n, n, C] (n = 32 for 512 pixels) and cut into
N = n*n patches of 3x3. Every patch j inside the mask is compared with every patch i outside it:

    c_ij = <p_i/|p_i|, p_j/|p_j|>   (eq. 1)        s_ij = softmax over i of temperature * c_ij   (eq. 2)

With `standard_features` every channel of P first gets mean 0 and variance 1 over the patches without a hole pixel.

Attention Transfer Module. A feature map of side r*n is cut into n x n patches and p_j = sum_i s_ij p_i (eq. 3).

Two variants, chosen by the configuration:
* paper: only patches that touch the hole have rows. Keys are patches whose 3x3 neighbourhood holds no hole, so each
  row sums to 1. Patches of r x r tile the feature map; features outside the hole are kept. P averages 2x2 positions of
  P3, which keeps P aligned with the patches; taking every second position would shift P by half a cell.
* release: P takes every second position of P3. All N patches have rows. Only the key is normalised, scores are fused
  over neighbouring pairs of patches, and masked keys get weight 0 after the softmax, so rows sum to less than 1.
  Patches of 2r x 2r (3 x 3 on P3) at stride r overlap and are added up without division.

Scores, softmax and transfer are float32 whatever the layers' precision. Slices and reshapes cut the patches, not
tf.image.extract_patches, because their gradients are slices and reshapes again. Layout: [B, query j, key i].
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from tensorflow import keras

from common.models import plain_ops
from hifill.config import HiFillConfig
from hifill.resampling import bilinear

# Lower limit of a squared norm (the release limits the norm to 1e-8).
_MIN_SQUARED_NORM = 1e-16
# Added to the logits of keys next to the hole and of keys in the hole. Keys next to the hole are thus used only if
# there are no others, and keys in the hole only if all keys are in it. Cosines times the temperature stay far below
# the step between the two.
_NEAR_HOLE, _IN_HOLE = -1e3, -2e3
# Added to a variance: a channel with a smaller variance is constant up to rounding.
_LEAST_VARIANCE = 1e-8


class Attention(NamedTuple):
    """Attention of a batch: `scores` [B, K, N] of the patches `rows` [B, K] to be filled; `hole` [B, N] in {0, 1}.

    `rows` is None when every patch has a row (K = N, release and `plain_ops`). Otherwise rows are padded to the
    batch's largest count of hole patches; padding rows are of patches with `hole` 0 and are never used.
    """

    scores: tf.Tensor
    rows: tf.Tensor | None
    hole: tf.Tensor

    def dense(self) -> tf.Tensor:
        """[B, N, N] float32; rows of patches that are not filled are zero."""
        if self.rows is None:
            return self.scores
        padded = tf.pad(self.scores, [[0, 0], [1, 0], [0, 0]])
        return tf.gather(padded, _rank(self.hole) + 1, axis=1, batch_dims=1)


class ContextualAttention(keras.layers.Layer):
    """ACM: (P3 [B, 2n, 2n, C], mask [B, 16n, 16n, 1]) -> `Attention`."""

    def __init__(self, config: HiFillConfig, **kwargs):
        super().__init__(**kwargs)
        self.config = config

    def call(self, features, mask):
        reduced = bilinear(tf.cast(features, tf.float32), 0.5, self.config.half_pixel_centers)
        hole, near_hole = patch_masks(tf.cast(mask, tf.float32))
        if self.config.standard_features:
            reduced = standardise(reduced, hole)
        patches = neighbourhoods(reduced)
        keys = _unit(patches)
        if self.config.fill_hole_only:
            return self._hole_rows(patches, keys, hole, near_hole)
        queries = keys if self.config.cosine_query else patches
        scores = tf.matmul(queries, keys, transpose_b=True)
        if self.config.fuse_scores:
            scores = fuse(scores)
        context = 1.0 - near_hole[:, tf.newaxis]
        weights = tf.nn.softmax(self.config.temperature * scores * context) * context
        return Attention(weights, None, hole)

    def _hole_rows(self, patches, keys, hole, near_hole):
        queries, rows = keys if self.config.cosine_query else patches, None
        if not plain_ops.wanted():
            count = tf.cast(tf.reduce_max(tf.reduce_sum(hole, axis=1)), tf.int32)
            # top_k lists equal values by index, so the hole's patches come first and in order.
            rows = tf.math.top_k(hole, k=count).indices
            queries = tf.gather(queries, rows, batch_dims=1)
        scores = tf.matmul(queries, keys, transpose_b=True)
        penalty = _NEAR_HOLE * near_hole + (_IN_HOLE - _NEAR_HOLE) * hole
        weights = tf.nn.softmax(self.config.temperature * scores + penalty[:, tf.newaxis])
        # With a row for every patch, those of patches that are not filled are zero.
        return Attention(
            weights if rows is not None else weights * hole[..., tf.newaxis], rows, hole
        )


class AttentionTransfer(keras.layers.Layer):
    """ATM (eq. 3): (features [B, r*n, r*n, C], `Attention` over n*n patches) -> filled, same shape."""

    def __init__(self, config: HiFillConfig, **kwargs):
        super().__init__(autocast=False, **kwargs)  # scores stay float32
        self.config = config

    def call(self, features, attention):
        filled = self._fill(tf.cast(features, tf.float32), attention)
        return tf.cast(filled, features.dtype)

    def _fill(self, features, attention):
        n = round(attention.hole.shape[-1] ** 0.5)
        ratio = features.shape[1] // n
        if not self.config.overlap:
            return _fill_tiles(features, attention, n)
        if ratio == 2:
            return _add_overlapping_3x3(features, attention.dense(), n)
        return _add_overlapping_2r(features, attention.dense(), n, ratio)


def neighbourhoods(features: tf.Tensor) -> tf.Tensor:
    """[B, n, n, C] -> [B, n*n, 9*C]: the zero-padded 3x3 patch around every position."""
    n, m, c = features.shape[1], features.shape[2], features.shape[3]
    padded = tf.pad(features, [[0, 0], [1, 1], [1, 1], [0, 0]])
    shifts = [padded[:, dy : dy + n, dx : dx + m] for dy in range(3) for dx in range(3)]
    return tf.reshape(tf.concat(shifts, axis=-1), [-1, n * m, 9 * c])


def standardise(features: tf.Tensor, hole: tf.Tensor) -> tf.Tensor:
    """[B, n, n, C] -> the same, with mean 0 and variance 1 per channel over the patches where `hole` [B, n*n] is 0.

    If every patch of an image touches the hole, all its patches count.
    """
    off_hole = tf.reshape(1.0 - hole, [-1, features.shape[1], features.shape[2], 1])
    some = tf.reduce_max(off_hole, axis=[1, 2], keepdims=True)
    share = tf.where(some > 0, off_hole, 1.0)
    share /= tf.reduce_sum(share, axis=[1, 2], keepdims=True)
    centred = features - tf.reduce_sum(share * features, axis=[1, 2], keepdims=True)
    variance = tf.reduce_sum(share * tf.square(centred), axis=[1, 2], keepdims=True)
    return centred * tf.math.rsqrt(variance + _LEAST_VARIANCE)


def patch_masks(mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mask [B, 16n, 16n, 1] -> whether each patch, and its 3x3 neighbourhood, touches the hole: two [B, n*n]."""
    hole = tf.nn.max_pool2d(mask, 16, 16, "SAME")
    near_hole = tf.nn.max_pool2d(hole, 3, 1, "SAME")
    count = hole.shape[1] * hole.shape[2]
    return tf.reshape(hole, [-1, count]), tf.reshape(near_hole, [-1, count])


def fuse(scores: tf.Tensor) -> tf.Tensor:
    """Adds to each pair's score those of its two neighbouring pairs, along rows, then along columns.

    scores: [B, N, N]. In a neighbouring pair both patches are moved one step the same way, so that copied regions stay
    coherent. The steps wrap over line ends, as in the release's flat 3x3 identity convolution.
    """
    n = round(scores.shape[-1] ** 0.5)
    along_rows = _add_diagonal_neighbours(scores)
    along_columns = _add_diagonal_neighbours(_transpose_grids(along_rows, n))
    return _transpose_grids(along_columns, n)


def _add_diagonal_neighbours(scores):
    before = tf.pad(scores[:, :-1, :-1], [[0, 0], [1, 0], [1, 0]])
    after = tf.pad(scores[:, 1:, 1:], [[0, 0], [0, 1], [0, 1]])
    return before + scores + after


def _transpose_grids(scores, n):
    grids = tf.transpose(tf.reshape(scores, [-1, n, n, n, n]), [0, 2, 1, 4, 3])
    return tf.reshape(grids, [-1, n * n, n * n])


def _unit(patches):
    squared = tf.reduce_sum(tf.square(patches), axis=-1, keepdims=True)
    return patches * tf.math.rsqrt(tf.maximum(squared, _MIN_SQUARED_NORM))


def _rank(hole):
    """[B, N] in {0, 1} -> index among the hole's patches, -1 outside the hole; int32."""
    inside = tf.cast(hole, tf.int32)
    return inside * tf.cumsum(inside, axis=1) - 1


def to_patches(features: tf.Tensor, n: int) -> tf.Tensor:
    """[B, n*r, n*r, C] -> [B, n*n, r*r*C], patches in reading order."""
    r, c = features.shape[1] // n, features.shape[3]
    grid = tf.reshape(features, [-1, n, r, n, r, c])
    return tf.reshape(tf.transpose(grid, [0, 1, 3, 2, 4, 5]), [-1, n * n, r * r * c])


def from_patches(patches: tf.Tensor, n: int, channels: int) -> tf.Tensor:
    """The inverse of `to_patches`."""
    r = round((patches.shape[2] // channels) ** 0.5)
    grid = tf.reshape(patches, [-1, n, n, r, r, channels])
    return tf.reshape(tf.transpose(grid, [0, 1, 3, 2, 4, 5]), [-1, n * r, n * r, channels])


def _fill_tiles(features, attention, n):
    patches = to_patches(features, n)
    filled = tf.matmul(attention.scores, patches)
    if attention.rows is not None:
        candidates = tf.concat([patches, filled], axis=1)
        kept = tf.range(n * n)[tf.newaxis]
        choice = tf.where(attention.hole > 0, n * n + _rank(attention.hole), kept)
        filled = tf.gather(candidates, choice, axis=1, batch_dims=1)
    return from_patches(filled, n, features.shape[3])


def _shifted(grids, dy, dx):
    """Attention [B, n, n, n, n] -> [B, n+1, n+1, n+1, n+1]: query and key both moved by (dy, dx)."""
    return tf.pad(grids, [[0, 0]] + 2 * [[dy, 1 - dy], [dx, 1 - dx]])


def _add_overlapping_2r(features, dense, n, r):
    """Patches of 2r x 2r at stride r, added up.

    Each patch is 2x2 tiles of r x r on a grid shifted by r/2. Tile (dy, dx) of query j receives tile (dy, dx) of key
    i with weight s_ij. Moving the scores instead of the tiles gives the same sum with one product over r x r tiles, a
    quarter of the work.
    """
    grids = tf.reshape(dense, [-1, n, n, n, n])
    moved = tf.add_n([_shifted(grids, dy, dx) for dy in (0, 1) for dx in (0, 1)])
    tiles = (n + 1) ** 2
    border = r // 2
    padded = tf.pad(features, [[0, 0], [border, border], [border, border], [0, 0]])
    values = to_patches(padded, n + 1)
    filled = tf.matmul(tf.reshape(moved, [-1, tiles, tiles]), values)
    filled = from_patches(filled, n + 1, features.shape[3])
    return filled[:, border : border + n * r, border : border + n * r]


def _add_overlapping_3x3(features, dense, n):
    """Patches of 3x3 at stride 2, added up: a patch shares its last row and column with the next ones.

    Pixels are grouped by their place in a 2x2 cell: even rows receive two patches, odd rows one.
    """
    grids = tf.reshape(dense, [-1, n, n, n, n])
    rows = []
    for py in (0, 1):
        columns = []
        for px in (0, 1):
            steps = [(dy, dx) for dy in range(2 - py) for dx in range(2 - px)]
            moved = tf.add_n([_shifted(grids, dy, dx) for dy, dx in steps])
            moved = tf.reshape(moved[:, :n, :n, :n, :n], [-1, n * n, n * n])
            values = features[:, py::2, px::2]
            filled = tf.matmul(moved, tf.reshape(values, [-1, n * n, features.shape[3]]))
            columns.append(tf.reshape(filled, [-1, n, n, features.shape[3]]))
        rows.append(tf.stack(columns, axis=3))
    cells = tf.stack(rows, axis=2)  # [B, n, 2, n, 2, C]
    return tf.reshape(cells, [-1, 2 * n, 2 * n, features.shape[3]])
