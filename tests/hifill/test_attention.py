"""Attention scores and transfer against slow NumPy; row sums, batches, empty and full holes, gradients."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from tensorflow import keras

from benchmarks.attention import measure
from common.models import plain_ops
from hifill import PAPER, RELEASE, HiFill
from hifill.attention import (
    Attention,
    AttentionTransfer,
    ContextualAttention,
    from_patches,
    fuse,
    neighbourhoods,
    patch_masks,
    to_patches,
)
from hifill.resampling import bilinear

N = 8  # patches along one side
SIZE = 16 * N
CONFIGS = [dataclasses.replace(config, size=SIZE, channels=4) for config in (PAPER, RELEASE)]
PAPER_SMALL, RELEASE_SMALL = CONFIGS
PRINTED = dataclasses.replace(PAPER_SMALL, standard_features=False, temperature=1.0)  # eq. 1, 2
BY_NAME = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)


def _features(batch=1, side=2 * N, channels=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(batch, side, side, channels)).astype(np.float32)


def _mask(*boxes):
    """[1, SIZE, SIZE, 1] with a hole in every (top, bottom, left, right)."""
    mask = np.zeros((1, SIZE, SIZE, 1), np.float32)
    for top, bottom, left, right in boxes:
        mask[:, top:bottom, left:right] = 1
    return mask


# The last one has context, yet every patch has a hole among its neighbours.
EVERYWHERE = [(y, y + 1, x, x + 1) for y in range(8, SIZE, 32) for x in range(8, SIZE, 32)]
MASKS = {
    "box": _mask((40, 75, 30, 60)),
    "two_boxes": _mask((0, 17, 0, 33), (100, 128, 64, 128)),
    "one_pixel": _mask((31, 32, 16, 17)),
    "none": _mask(),
    "all": _mask((0, SIZE, 0, SIZE)),
    "near_everything": _mask(*EVERYWHERE),
}
ANY_MASK = pytest.mark.parametrize("name", MASKS)
SOME_CONTEXT = ("box", "two_boxes", "one_pixel")  # patches exist that are far from the hole


def _patch_masks_twin(mask):
    hole = np.zeros((N, N), bool)
    for row, column in np.argwhere(mask[0, ..., 0] > 0) // 16:
        hole[row, column] = True
    near = np.zeros_like(hole)
    for row, column in np.argwhere(hole):
        near[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
    return hole.ravel(), near.ravel()


def _neighbourhoods_twin(features):
    """[n, n, C] -> [n*n, 9*C], one patch at a time."""
    side = len(features)
    patches = np.zeros((side, side, 3, 3, features.shape[-1]))
    for row in range(side):
        for column in range(side):
            for y in range(3):
                for x in range(3):
                    at = row + y - 1, column + x - 1
                    if min(at) >= 0 and max(at) < side:
                        patches[row, column, y, x] = features[at]
    return patches.reshape(side * side, -1)


def _fuse_twin(scores):
    """DeepFill's propagation: a 3x3 identity over the flat map, in row order and then in column order."""
    n = round(len(scores) ** 0.5)
    in_columns = [row * n + column for column in range(n) for row in range(n)]
    for order in (list(range(n * n)), in_columns):
        total = np.zeros_like(scores)
        for q in range(n * n):
            for k in range(n * n):
                for step in (-1, 0, 1):
                    if min(q, k) + step >= 0 and max(q, k) + step < n * n:
                        total[order[q], order[k]] += scores[order[q + step], order[k + step]]
        scores = total
    return scores


def _scores_twin(config, features, mask):
    """[N*N, N*N] of one image, row by row: H eq. 1 and 2, or the release's version of them."""
    cells = features[0].astype(np.float64).reshape(N, 2, N, 2, -1)
    reduced = cells[:, 0, :, 0] if config.name == "release" else cells.mean(axis=(1, 3))
    hole, near = _patch_masks_twin(mask)
    if config.standard_features:
        seen = reduced.reshape(N * N, -1)[~hole if not hole.all() else hole]
        reduced = (reduced - seen.mean(axis=0)) / np.sqrt(seen.var(axis=0) + 1e-8)
    patches = _neighbourhoods_twin(reduced)
    keys = patches / np.maximum(np.linalg.norm(patches, axis=1, keepdims=True), 1e-8)
    if config.name == "release":
        logits = config.temperature * _fuse_twin(patches @ keys.T) * ~near
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True) * ~near
    allowed = next(keep for keep in (~near, ~hole, np.ones_like(hole)) if keep.any())
    scores = np.zeros((N * N, N * N))
    for j in np.flatnonzero(hole):
        weights = np.exp(config.temperature * (keys @ keys[j])) * allowed
        scores[j] = weights / weights.sum()
    return scores


def _transfer_twin(config, features, dense, hole):
    """H eq. 3, one patch at a time, on [r*N, r*N, C]."""
    r = len(features) // N
    if not config.overlap:
        filled = features.astype(np.float64)
        tiles = [_tile(features, i, r).astype(np.float64) for i in range(N * N)]
        for j in np.flatnonzero(hole):
            _tile(filled, j, r)[:] = sum(w * tile for w, tile in zip(dense[j], tiles))
        return filled
    # 'same' padding of patches of `size` at stride r: `before` zeros in front, the rest behind.
    size, before = (3, 0) if r == 2 else (2 * r, r // 2)
    padded = np.pad(features.astype(np.float64), [(before, size), (before, size), (0, 0)])
    total = np.zeros_like(padded)
    corners = [(i // N * r, i % N * r) for i in range(N * N)]
    patches = [padded[y : y + size, x : x + size] for y, x in corners]
    for (y, x), weights in zip(corners, dense):
        total[y : y + size, x : x + size] += sum(w * p for w, p in zip(weights, patches))
    return total[before : before + r * N, before : before + r * N]


def _tile(features, index, r):
    y, x = index // N * r, index % N * r
    return features[y : y + r, x : x + r]


def _random_attention(batch, holes, seed=4):
    """`Attention` with a row for every patch, as the release has."""
    dense = np.random.default_rng(seed).random((batch, N * N, N * N)).astype(np.float32)
    dense /= dense.sum(axis=2, keepdims=True)
    return Attention(tf.constant(dense), None, tf.constant(holes, tf.float32)), dense


@ANY_MASK
def test_patch_masks_equal_slow_numpy(name):
    found = patch_masks(tf.constant(MASKS[name]))
    for one, expected in zip(found, _patch_masks_twin(MASKS[name])):
        np.testing.assert_array_equal(one[0], expected)


@pytest.mark.parametrize(
    "row, column, neighbours", [(15, 15, 4), (15, 16, 6), (16, 15, 6), (16, 16, 9), (127, 0, 4)]
)
def test_one_pixel_belongs_to_one_patch(row, column, neighbours):
    hole, near = patch_masks(tf.constant(_mask((row, row + 1, column, column + 1))))
    assert np.flatnonzero(hole[0]).tolist() == [row // 16 * N + column // 16]
    assert np.count_nonzero(near[0]) == neighbours


def test_neighbourhoods_equal_slow_numpy():
    features = _features(side=N)
    found = np.asarray(neighbourhoods(tf.constant(features)))
    np.testing.assert_array_equal(found[0], _neighbourhoods_twin(features[0]))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_fuse_equals_slow_numpy(n):
    scores = np.random.default_rng(n).normal(size=(n * n, n * n)).astype(np.float32)
    found = np.asarray(fuse(tf.constant(scores[None])))[0]
    # Sums of nine numbers of order 1.
    np.testing.assert_allclose(found, _fuse_twin(scores), atol=1e-5)


@ANY_MASK
@pytest.mark.parametrize("config", [*CONFIGS, PRINTED], ids=["paper", "release", "printed"])
def test_scores_equal_slow_numpy(config, name):
    features = _features()
    found = ContextualAttention(config)(features, MASKS[name]).dense()
    expected = _scores_twin(config, features, MASKS[name])
    assert found.shape == (1, N * N, N * N)
    # The release's logits reach 10 * 9 * 7, where float32 has 4e-5; the paper's stay below 100.
    tolerance = 1e-3 if config.name == "release" else 1e-4
    np.testing.assert_allclose(found[0], expected, atol=tolerance)


def test_cosine_query_of_the_release_equals_slow_numpy():
    """Fused scores of cosines: what `cosine_query` adds to the release's configuration."""
    config = dataclasses.replace(RELEASE_SMALL, cosine_query=True)
    patches = _neighbourhoods_twin(_features()[0, ::2, ::2].astype(np.float64))
    keys = patches / np.linalg.norm(patches, axis=1, keepdims=True)
    context = ~_patch_masks_twin(MASKS["box"])[1]
    weights = np.exp(10 * _fuse_twin(keys @ keys.T) * context)
    expected = weights / weights.sum(axis=1, keepdims=True) * context
    found = ContextualAttention(config)(_features(), MASKS["box"]).dense()
    # Logits up to 90 in float32.
    np.testing.assert_allclose(found[0], expected, atol=1e-4)


@ANY_MASK
def test_paper_rows_sum_to_one_in_the_hole_and_are_zero_outside(name):
    dense = np.asarray(ContextualAttention(PAPER_SMALL)(_features(), MASKS[name]).dense())[0]
    hole, near = _patch_masks_twin(MASKS[name])
    np.testing.assert_allclose(dense[hole].sum(axis=1), 1, atol=1e-5)
    assert not dense[~hole].any()
    if name in SOME_CONTEXT:
        assert not dense[:, near].any()
    elif name == "near_everything":
        assert near.all() and not dense[:, hole].any()
    assert (dense >= 0).all()


@ANY_MASK
def test_release_weights_lie_on_context(name):
    dense = np.asarray(ContextualAttention(RELEASE_SMALL)(_features(), MASKS[name]).dense())[0]
    near = _patch_masks_twin(MASKS[name])[1]
    assert not dense[:, near].any()
    assert (dense >= 0).all() and (dense.sum(axis=1) <= 1 + 1e-5).all()
    if name in SOME_CONTEXT:
        assert (dense.sum(axis=1) > 0).all()


def test_what_lies_in_the_hole_is_no_key():
    """Paper: other features under the hole change the queries, yet nothing is ever copied from there."""
    features = _features(side=4 * N)
    attention = ContextualAttention(PAPER_SMALL)(_features(), MASKS["box"])
    filled = AttentionTransfer(PAPER_SMALL)(features, attention)
    hole = np.repeat(np.repeat(_patch_masks_twin(MASKS["box"])[0].reshape(N, N), 4, 0), 4, 1)
    other = np.where(hole[None, ..., None], 1e6, features).astype(np.float32)
    np.testing.assert_array_equal(AttentionTransfer(PAPER_SMALL)(other, attention), filled)


@BY_NAME
def test_equal_features_get_equal_weights(config):
    features = np.ones((1, 2 * N, 2 * N, 3), np.float32)
    dense = ContextualAttention(config)(features, MASKS["box"]).dense().numpy()[0]
    hole, near = _patch_masks_twin(MASKS["box"])
    if (
        config.name == "paper"
    ):  # inner patches only: zeros surround the image, so border ones differ
        inner = np.zeros((N, N), bool)
        inner[1:-1, 1:-1] = True
        weights = dense[hole][:, ~near & inner.ravel()]
        assert hole.sum() and weights.min() > 0
        np.testing.assert_allclose(weights, weights[:, :1].repeat(weights.shape[1], 1), rtol=1e-5)
    assert np.isfinite(dense).all()


def test_the_default_selects_patches_and_the_printed_form_averages():
    """What a fresh network of the paper's size copies, on a photograph of 1024 x 1024 pixels (H section 3.2).

    Patches that a hole patch averages: the median of 1 / sum s^2. Detail: what 512 x 512 cannot show, with the true
    completion, so that attention alone is judged. 60% and 40 patches are what the default was chosen for.
    """
    keras.utils.set_random_seed(0)
    photograph, hole = (
        skimage.data.retina()[200:1224, 200:1224].copy(),
        np.zeros((1024, 1024), bool),
    )
    hole[400:620, 300:600] = True
    model = HiFill(PAPER)
    averaged, detail = measure(model, PAPER.temperature, photograph, hole)
    assert averaged < 40 and 0.6 < detail < 1.4
    printed = measure(model, 1.0, photograph, hole)
    assert printed[0] > 300 and printed[1] < detail - 0.1


def test_training_cannot_make_the_default_average_by_making_features_alike():
    """Whatever mean and scale the channels get, the selection is the same; of plain cosines, a mean makes averages."""
    alike = 5.0 + _features() * np.array([0.02, 0.1, 0.5, 1.0, 0.01], np.float32)
    found = []
    for features in (_features(), alike):
        for standard in (True, False):
            config = dataclasses.replace(PAPER_SMALL, standard_features=standard)
            dense = ContextualAttention(config)(features, MASKS["box"]).dense().numpy()[0]
            rows = dense[dense.sum(axis=1) > 0]
            found.append((dense, np.median(1 / np.square(rows).sum(axis=1))))
    (apart, few), _, (alike, still_few), (_, many) = found
    np.testing.assert_allclose(alike, apart, atol=2e-3)
    assert few < 2 and still_few < 2 and many > 10


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_tiles_equal_slow_numpy(ratio):
    features = _features(side=ratio * N, seed=1)
    for name in ("box", "none", "all"):
        attention = ContextualAttention(PAPER_SMALL)(_features(), MASKS[name])
        found = AttentionTransfer(PAPER_SMALL)(features, attention)
        hole = _patch_masks_twin(MASKS[name])[0]
        dense = attention.dense().numpy()[0]
        expected = _transfer_twin(PAPER_SMALL, features[0], dense, hole)
        np.testing.assert_allclose(found[0], expected, atol=1e-5)
        kept = np.repeat(np.repeat(~hole.reshape(N, N), ratio, 0), ratio, 1)
        np.testing.assert_array_equal(found[0][kept], features[0][kept])


def test_tiles_with_a_row_for_every_patch_equal_slow_numpy():
    config = dataclasses.replace(PAPER_SMALL, fill_hole_only=False)
    attention, dense = _random_attention(1, np.zeros((1, N * N)))
    features = _features(side=4 * N)
    found = AttentionTransfer(config)(features, attention)
    expected = _transfer_twin(config, features[0], dense[0], np.ones(N * N, bool))
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


@pytest.mark.parametrize("ratio", [2, 4, 6, 8])
def test_overlapping_patches_equal_slow_numpy(ratio):
    """Ratio 2 has patches of 3x3, the others of 2r x 2r; border patches reach over the edge."""
    attention, dense = _random_attention(2, np.zeros((2, N * N)))
    features = _features(batch=2, side=ratio * N, channels=3, seed=2)
    found = AttentionTransfer(RELEASE_SMALL)(features, attention)
    for one, x, scores in zip(found, features, dense):
        expected = _transfer_twin(RELEASE_SMALL, x, scores, None)
        # Sums of 4 x 64 products whose weights add up to 4.
        np.testing.assert_allclose(one, expected, atol=1e-5)


@pytest.mark.parametrize("ratio", [2, 4])
def test_overlapping_identity_counts_the_patches_on_a_pixel(ratio):
    """Every patch filled with itself gives the number of patches that cover a pixel: 1, 2 or 4."""
    identity = tf.eye(N * N)[tf.newaxis]
    ones = tf.ones([1, ratio * N, ratio * N, 1])
    attention = Attention(identity, None, tf.zeros([1, N * N]))
    found = AttentionTransfer(RELEASE_SMALL)(ones, attention).numpy()[0, ..., 0]
    expected = _transfer_twin(RELEASE_SMALL, ones.numpy()[0], np.eye(N * N), None)[..., 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert set(np.unique(expected)) == {1, 2, 4}


def test_patches_there_and_back():
    features = tf.constant(_features(batch=2, side=4 * N))
    patches = to_patches(features, N)
    np.testing.assert_array_equal(patches[1, N + 2], np.ravel(features[1, 4:8, 8:12]))
    np.testing.assert_array_equal(from_patches(patches, N, 5), features)


@BY_NAME
def test_batch_of_different_holes_equals_one_by_one(config):
    masks = np.concatenate([MASKS[name] for name in MASKS])
    features, values = _features(batch=len(masks)), _features(batch=len(masks), side=4 * N, seed=5)
    attention = ContextualAttention(config)(features, masks)
    filled = AttentionTransfer(config)(values, attention)
    for i in range(len(masks)):
        one = slice(i, i + 1)
        alone = ContextualAttention(config)(features[one], masks[one])
        np.testing.assert_allclose(attention.dense()[one], alone.dense(), atol=1e-5)
        alone = AttentionTransfer(config)(values[one], alone)
        np.testing.assert_allclose(filled[one], alone, atol=1e-5)


def test_paper_computes_rows_of_hole_patches_only():
    masks = np.concatenate([MASKS["one_pixel"], MASKS["box"], MASKS["none"]])
    attention = ContextualAttention(PAPER_SMALL)(_features(batch=3), masks)
    # The box touches rows 2..4 and columns 1..3.
    assert attention.scores.shape == (3, 9, N * N)
    np.testing.assert_array_equal(tf.reduce_sum(attention.hole, axis=1), [1, 9, 0])


@ANY_MASK
@BY_NAME
def test_values_and_gradients_are_finite(config, name):
    """The nasty points: no or nothing but hole, and patches whose norm is zero."""
    acm, atm = ContextualAttention(config), AttentionTransfer(config)
    noise = _features()
    half = noise.copy()
    half[:, :N] = 0
    for features in (noise, half, np.zeros_like(noise), np.ones_like(noise), 1e4 * noise):
        x = tf.constant(features)
        with tf.GradientTape() as tape:
            tape.watch(x)
            attention = acm(x, MASKS[name])
            filled = atm(x, attention)
            loss = tf.reduce_sum(tf.square(filled)) / (1 + float(np.abs(features).max()) ** 2)
        gradient = tape.gradient(loss, x)
        for values in (attention.dense(), filled, gradient):
            assert np.isfinite(values).all()


@BY_NAME
def test_gradients_reach_scores_and_values(config):
    """Against a central difference of the whole of ACM and ATM along one random direction."""
    acm, atm = ContextualAttention(config), AttentionTransfer(config)
    rng = np.random.default_rng(6)
    # Small features keep the release's softmax away from saturation.
    x = tf.constant(0.05 * _features())
    direction = tf.constant(rng.normal(size=x.shape).astype(np.float32))
    weighting = tf.constant(rng.normal(size=x.shape).astype(np.float32))

    def loss(features):
        return tf.reduce_sum(weighting * atm(features, acm(features, MASKS["box"])))

    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(x)
    analytic = float(tf.reduce_sum(tape.gradient(value, x) * direction))
    step = 2e-4
    slope = float(loss(x + step * direction) - loss(x - step * direction)) / (2 * step)
    # float32 differences: rounding 1e-6 of a loss of order 10 over 4e-4.
    assert abs(analytic - slope) < 0.01 * abs(slope) + 0.05


@BY_NAME
@pytest.mark.default_environment
def test_xla_computes_the_same_values_and_gradients(config):
    """Compiled from plain ops, where every patch has a row; with the bilinear reduction, and enlargement after it."""
    acm, atm = ContextualAttention(config), AttentionTransfer(config)
    x, weighting = tf.constant(0.1 * _features(2)), _features(2, side=4 * N, seed=1)
    mask = np.concatenate([MASKS["two_boxes"], MASKS["one_pixel"]])
    hole = tf.nn.max_pool2d(mask, SIZE // (2 * N), SIZE // (2 * N), "SAME") > 0

    def both(features):
        with tf.GradientTape() as tape:
            tape.watch(features)
            filled = atm(features, acm(features, mask))
            # As the refinement network pastes.
            filled = tf.where(hole, filled, features) if config.fill_hole_only else filled
            large = bilinear(filled, 2, config.half_pixel_centers)
        return large, tape.gradient(large, features, weighting)

    expected = both(x)
    with plain_ops.only(xla=True):
        found = tf.function(both, autograph=False, jit_compile=True)(x)
    for ours, theirs in zip(found, expected):
        # Scores times a temperature of 50.
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


@BY_NAME
def test_graph_equals_eager(config):
    acm, atm = ContextualAttention(config), AttentionTransfer(config)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2 * N, 2 * N, 5], tf.float32),
            tf.TensorSpec([None, SIZE, SIZE, 1], tf.float32),
        ]
    )
    def graph(features, mask):
        return atm(features, acm(features, mask))

    for name in ("box", "none"):
        eager = atm(_features(), acm(_features(), MASKS[name]))
        # The same sums, possibly in another order.
        np.testing.assert_allclose(graph(_features(), MASKS[name]), eager, atol=1e-5)


@BY_NAME
def test_half_precision_layers_keep_float32_scores(config):
    """Keras casts what enters a layer of mixed precision; scores must come through unrounded."""
    features = tf.cast(_features(), tf.bfloat16)
    exact = ContextualAttention(config)(tf.cast(features, tf.float32), MASKS["box"])
    policy = keras.mixed_precision.Policy("mixed_bfloat16")
    attention = ContextualAttention(config, dtype=policy)(features, MASKS["box"])
    assert attention.scores.dtype == tf.float32
    np.testing.assert_allclose(attention.dense(), exact.dense(), atol=1e-6)
    filled = AttentionTransfer(config, dtype=policy)(features, attention)
    assert filled.dtype == tf.bfloat16
    expected = AttentionTransfer(config)(tf.cast(features, tf.float32), exact)
    # The result alone is rounded to 8 bits of mantissa: half a unit in the last place is 2**-9.
    np.testing.assert_allclose(tf.cast(filled, tf.float32), expected, rtol=2**-8, atol=1e-6)


def test_overlapping_patches_of_the_papers_cosines():
    """How docs/departures.md says to get them: the whole map is refilled, by weights that lie on the context."""
    config = dataclasses.replace(PAPER_SMALL, overlap=True, fill_hole_only=False)
    attention = ContextualAttention(config)(_features(), MASKS["box"])
    dense, near = attention.dense().numpy()[0], _patch_masks_twin(MASKS["box"])[1]
    assert not dense[:, near].any() and (dense.sum(axis=1) > 0).all()
    features = _features(side=4 * N, seed=3)
    found = AttentionTransfer(config)(features, attention)
    expected = _transfer_twin(config, features[0], dense, None)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
