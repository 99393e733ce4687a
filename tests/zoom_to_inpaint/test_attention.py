"""Contextual attention: slow NumPy twin, the release's numbers, holes of every kind, chunks, gradients."""

from __future__ import annotations

import functools
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from common.models import plain_ops
from zoom_to_inpaint import attention
from zoom_to_inpaint.attention import ContextualAttention, attention_map, fill, mask_at

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "zoom_release_ch8.npz"
H, W, C = 12, 10, 3  # of the features: 6 x 5 positions
N = H // 2 * (W // 2)

# Gradients are tried through several pieces as well as through one.
IN_PIECES = pytest.mark.parametrize("floored, at_once", [(False, 3 * N), (True, 1 << 24)])


def _features(batch=1, height=H, width=W, channels=C, seed=0, scale=0.5):
    # With deviation 0.5 logits reach about 100, so that float32 knows them to 1e-5.
    shape = (batch, height, width, channels)
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def _mask(*boxes, height=H, width=W):
    mask = np.zeros((1, height, width, 1), np.float32)
    for top, bottom, left, right in boxes:
        mask[:, top:bottom, left:right] = 1
    return mask


MASKS = {
    "box": _mask((4, 8, 3, 6)),
    "corner": _mask((0, 3, 0, 3)),
    "two_boxes": _mask((0, 2, 7, 10), (11, 12, 0, 3)),
    "sampled_pixel": _mask((5, 6, 3, 4)),  # odd row and column: seen at half size
    "unsampled_pixel": _mask((4, 5, 2, 3)),  # a block to fill, yet no key is masked
    "none": _mask(),
    "all": _mask((0, H, 0, W)),
    # Every other column of positions is known, but lies beside one that is not.
    "near_everything": _mask((1, 12, 3, 4), (1, 12, 7, 8)),
}
ANY_MASK = pytest.mark.parametrize("name", MASKS)
CONTEXT = [name for name in MASKS if name not in ("all", "near_everything")]
SIGNATURE = [tf.TensorSpec([None, None, None, channels], tf.float32) for channels in (C, 1)]
SOFTMAX = pytest.mark.parametrize("floored", [False, True], ids=["paper", "release"])


@functools.cache
def _graph(function, temperature=10.0, floored=False):
    """`fill` or `attention_map` as a graph, which is ten times as fast as eager mode on small features."""
    return tf.function(lambda x, m: function(x, m, temperature, floored), input_signature=SIGNATURE)


@functools.cache
def _slope(floored, at_once):
    """(features, mask) -> what `fill` gives, and the slopes of a weighted sum of it; pieces as while tracing."""
    assert at_once == attention._SCORES_AT_ONCE
    weighting = _features(seed=2)

    @tf.function(input_signature=SIGNATURE)
    def run(features, mask):
        filled = fill(features, mask, 10.0, floored)
        return filled, tf.gradients(filled, features, weighting)[0]

    return run


def _fill(features, mask, floored=False):
    return np.asarray(_graph(fill, 10.0, floored)(features, mask))


def _map(features, mask, floored=False):
    return np.asarray(_graph(attention_map, 10.0, floored)(features, mask))


def _patches_twin(image):
    """[h, w, C] -> [h * w, 9C], 3x3 around every position, zeros outside the image."""
    height, width, channels = image.shape
    patches = np.zeros((height, width, 3, 3, channels))
    for row in range(height):
        for column in range(width):
            for y in (-1, 0, 1):
                for x in (-1, 0, 1):
                    if 0 <= row + y < height and 0 <= column + x < width:
                        patches[row, column, y + 1, x + 1] = image[row + y, column + x]
    return patches.reshape(height * width, -1)


def _fuse_twin(scores, height, width):
    """DeepFill's propagation: a 3x3 identity over the flat map, in row order and then in column order."""
    count = height * width
    in_columns = [row * width + column for column in range(width) for row in range(height)]
    for order in (list(range(count)), in_columns):
        total = np.zeros_like(scores)
        for q in range(count):
            for k in range(count):
                for step in (-1, 0, 1):
                    if min(q, k) + step >= 0 and max(q, k) + step < count:
                        total[order[q], order[k]] += scores[order[q + step], order[k + step]]
        scores = total
    return scores


def _context_twin(hole):
    """[h/2 * w/2]: which positions have no hole within one position."""
    small = hole[1::2, 1::2, 0]
    height, width = small.shape
    near = np.zeros_like(small, bool)
    for row in range(height):
        for column in range(width):
            window = small[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            near[row, column] = window.max() > 0
    return ~near.ravel()


def _map_twin(features, hole, temperature, floored):
    """[N, N] of one image, as SPEC'd by Z section A.3 and DeepFill; float64."""
    small = features[1::2, 1::2].astype(np.float64)
    keys = _patches_twin(small)
    queries = keys / np.maximum(np.linalg.norm(keys, axis=1, keepdims=True), 1e-9)
    logits = temperature * _fuse_twin(queries @ keys.T, *small.shape[:2])
    context = _context_twin(hole)
    if not (floored or context.any()):
        context[:] = True
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    if floored:
        weights = weights / weights.sum(axis=1, keepdims=True) * context
        return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    allowed = np.where(context, logits, -np.inf)
    weights = np.exp(allowed - allowed.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _transfer_twin(weights, image, hole):
    """2x2 blocks of `image` weighted by the rows of a map, where there is a hole; float64."""
    width = image.shape[1] // 2
    filled = image.astype(np.float64)
    blocks = [
        image[2 * (i // width) : 2 * (i // width) + 2, 2 * (i % width) : 2 * (i % width) + 2]
        for i in range(len(weights))
    ]
    for row, column in np.argwhere(hole[..., 0] > 0):
        shares = weights[row // 2 * width + column // 2]
        filled[row, column] = sum(s * b[row % 2, column % 2] for s, b in zip(shares, blocks))
    return filled


@SOFTMAX
@ANY_MASK
@pytest.mark.default_environment
def test_map_equals_slow_numpy(name, floored):
    found = _map(_features(), MASKS[name], floored)
    assert found.shape == (1, N, N) and found.dtype == np.float32
    expected = _map_twin(_features()[0], MASKS[name][0], 10.0, floored)
    # float32 logits of up to 100.
    np.testing.assert_allclose(found[0], expected, atol=1e-4)


@SOFTMAX
@pytest.mark.parametrize("height, width", [(2, 2), (2, 8), (10, 2), (4, 14), (14, 6)])
def test_any_shape_equals_slow_numpy(height, width, floored):
    features = _features(height=height, width=width, seed=1)
    mask = _mask((0, 1, 0, 1), height=height, width=width)
    found = _graph(attention_map, 3.0, floored)(features, mask)
    np.testing.assert_allclose(found[0], _map_twin(features[0], mask[0], 3.0, floored), atol=1e-5)


@SOFTMAX
@ANY_MASK
def test_fill_equals_slow_numpy(name, floored):
    weights = _map_twin(_features()[0], MASKS[name][0], 10.0, floored)
    expected = _transfer_twin(weights, _features()[0], MASKS[name][0])
    np.testing.assert_allclose(_fill(_features(), MASKS[name], floored)[0], expected, atol=1e-4)


@SOFTMAX
@ANY_MASK
def test_fill_is_the_whole_map_applied(name, floored):
    """Few rows are computed, in pieces; they are those of the map."""
    weights = _map(_features(), MASKS[name], floored)[0]
    expected = _transfer_twin(weights, _features()[0], MASKS[name][0])
    # Logits of up to 100 from float32 sums in another order.
    np.testing.assert_allclose(_fill(_features(), MASKS[name], floored)[0], expected, atol=1e-4)


@SOFTMAX
@ANY_MASK
def test_what_is_known_stays_to_the_bit(name, floored):
    found = _fill(_features(), MASKS[name], floored)
    known = MASKS[name][..., 0] == 0
    np.testing.assert_array_equal(found[known], _features()[known])
    if name in ("box", "corner", "two_boxes", "sampled_pixel"):
        assert np.abs(found - _features())[~known].max() > 0.05


@ANY_MASK
def test_weights_of_the_paper_add_up_to_one_on_the_context(name):
    weights = _map(_features(), MASKS[name])[0]
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    context = _context_twin(MASKS[name][0])
    assert context.any() == (name in CONTEXT)
    if context.any():
        assert not weights[:, ~context].any()


@ANY_MASK
def test_weights_of_the_release_lie_on_the_context(name):
    weights = _map(_features(), MASKS[name], True)[0]
    assert (weights >= 0).all() and (weights.sum(axis=1) < 1 + 1e-5).all()
    assert not weights[:, ~_context_twin(MASKS[name][0])].any()


@pytest.mark.parametrize("name", ["all", "near_everything"])
def test_without_context_everything_counts(name):
    """By its score, even if all scores are small beside what masks a key."""
    features = _features(scale=0.05)
    expected = _map_twin(features[0], np.zeros((H, W, 1)), 10.0, False)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(_map(features, MASKS[name])[0], expected, atol=1e-5)


def test_release_forgets_positions_that_resemble_themselves_most():
    """Keys are not normalised, so strong features in the hole leave the context nothing; the paper's still fill."""
    inside = MASKS["box"] > 0
    features = np.where(inside, 40, 0.1 + 0.1 * np.abs(_features())).astype(np.float32)
    release, paper = (_fill(features, MASKS["box"], x) for x in (True, False))
    inside = inside[..., 0]
    assert not release[inside].any()
    assert paper[inside].min() > 0.1 and paper[inside].max() < 1


@pytest.mark.parametrize("name", ["box", "corner", "two_boxes", "sampled_pixel"])
def test_nothing_is_copied_from_the_hole(name):
    """Features in the hole ask, but never answer: what is filled lies between the least and most of the context."""
    features = _features()
    hole = MASKS[name][0, ..., 0] > 0
    features[0, hole] = 1e3 * _features(seed=5)[0, hole]
    filled = _fill(features, MASKS[name])[0]
    known = features[0][~hole]
    low, high = known.min(axis=0), known.max(axis=0)
    assert (filled[hole] > low - 1e-5).all() and (filled[hole] < high + 1e-5).all()


def test_no_temperature_is_the_mean_of_the_context():
    found = _graph(attention_map, 0.0)(_features(), MASKS["box"])[0]
    context = _context_twin(MASKS["box"][0])
    expected = np.broadcast_to(context / context.sum(), (N, N))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_copy_is_found():
    """A hole whose features are known elsewhere is filled with what is there, block and all."""
    features = _features(height=16, width=24, scale=2)
    features[0, 6:12, 14:20] = features[0, 6:12, 2:8]  # three by three positions
    mask = _mask((8, 10, 16, 18), height=16, width=24)
    filled = _fill(features, mask)
    # At temperature 10 the right block takes nearly all of the weight.
    np.testing.assert_allclose(filled[0, 8:10, 16:18], features[0, 8:10, 4:6], atol=1e-3)


@SOFTMAX
def test_constant_features_are_filled_with_themselves(floored):
    """Positions at the border see zeros around the image and count less, so others must be in the context."""
    features = np.full((1, 20, 22, C), 0.3, np.float32)
    found = _fill(features, _mask((8, 10, 9, 11), height=20, width=22), floored)
    np.testing.assert_allclose(found, features, atol=1e-5)


@SOFTMAX
def test_batch_of_different_holes_equals_one_by_one(floored):
    masks, features = np.concatenate(list(MASKS.values())), _features(batch=len(MASKS))
    filled, weights = (function(features, masks, floored) for function in (_fill, _map))
    for i in range(len(masks)):
        one = features[i : i + 1], masks[i : i + 1], floored
        np.testing.assert_allclose(filled[i], _fill(*one)[0], atol=1e-5)
        np.testing.assert_allclose(weights[i], _map(*one)[0], atol=1e-5)


@SOFTMAX
@pytest.mark.default_environment
@pytest.mark.parametrize("at_once", [1, 7 * N + 1])
def test_pieces_give_the_same(at_once, floored, monkeypatch):
    features, masks = _features(batch=len(MASKS)), np.concatenate(list(MASKS.values()))
    whole = _fill(features, masks, floored)
    monkeypatch.setattr(attention, "_SCORES_AT_ONCE", at_once)
    pieces = _graph.__wrapped__(fill, 10.0, floored)(features, masks)
    # Products of smaller matrices may add in another order; logits of up to 100.
    np.testing.assert_allclose(pieces, whole, atol=2e-5)


def _tensors_twin(features, hole, floored):
    """The same with TensorFlow's ops over all positions, the way DeepFill does it; any float type, one image."""
    small, height, width = features[:, 1::2, 1::2], H // 2, W // 2
    sizes, one = [1, 3, 3, 1], [1, 1, 1, 1]
    keys = tf.reshape(tf.image.extract_patches(small, sizes, one, one, "SAME"), [N, 9 * C])
    norm = tf.sqrt(tf.reduce_sum(keys**2, axis=1, keepdims=True))
    scores = tf.matmul(keys / tf.maximum(norm, 1e-9), keys, transpose_b=True)
    identity = tf.reshape(tf.eye(3, dtype=scores.dtype), [3, 3, 1, 1])
    for grid in ((height, width), (width, height)):
        scores = tf.nn.conv2d(tf.reshape(scores, [1, N, N, 1]), identity, 1, "SAME")
        scores = tf.transpose(tf.reshape(scores, [*grid, *grid]), [1, 0, 3, 2])
    logits = 10 * tf.reshape(scores, [N, N])
    context = tf.constant(_context_twin(hole[0]), logits.dtype)
    if floored:
        weights = tf.nn.softmax(logits) * context
        weights /= tf.maximum(tf.reduce_sum(weights, 1, keepdims=True), 1e-9)
    else:
        weights = tf.exp(logits - tf.reduce_max(logits)) * context
        weights /= tf.reduce_sum(weights, 1, keepdims=True)
    values = tf.reshape(tf.nn.space_to_depth(features, 2), [N, 4 * C])
    filled = tf.reshape(tf.matmul(weights, values), [1, height, width, 4 * C])
    return tf.where(hole > 0, tf.nn.depth_to_space(filled, 2), features)


@IN_PIECES
@pytest.mark.default_environment
def test_gradient_equals_automatic_differentiation(floored, at_once, monkeypatch):
    monkeypatch.setattr(attention, "_SCORES_AT_ONCE", at_once)
    features, weighting = tf.constant(_features(scale=0.2)), _features(seed=2)
    for name in CONTEXT:
        filled, slope = _slope(floored, at_once)(features, MASKS[name])
        exact = tf.cast(features, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(exact)
            expected = _tensors_twin(exact, MASKS[name], floored)
        np.testing.assert_allclose(filled, expected, atol=1e-5, err_msg=name)
        expected = tape.gradient(expected, exact, tf.cast(weighting, tf.float64))
        # float32 weights known to 1e-5 times temperature and keys.
        tolerance = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(slope, expected, atol=tolerance, err_msg=name)


@pytest.mark.default_environment
def test_xla_computes_the_same_values_and_gradients():
    """Compiled from plain ops, where every block is filled; a batch with different holes."""
    features = tf.constant(_features(batch=2, scale=0.2))
    masks, weighting = np.concatenate([MASKS["box"], MASKS["two_boxes"]]), _features(2, seed=2)

    def both(features):
        with tf.GradientTape() as tape:
            tape.watch(features)
            filled = fill(features, masks)
        return filled, tape.gradient(filled, features, weighting)

    expected = tf.function(both)(features)
    with plain_ops.only(xla=True):
        found = tf.function(both, autograph=False, jit_compile=True)(features)
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


@IN_PIECES
def test_values_and_gradients_are_finite(floored, at_once, monkeypatch):
    """The nasty points: no or nothing but hole, patches without length, scores beyond any softmax."""
    noise = _features()
    half = noise.copy()
    half[:, : H // 2] = 0

    monkeypatch.setattr(attention, "_SCORES_AT_ONCE", at_once)
    slope = _slope(floored, at_once)
    for name, mask in MASKS.items():
        for features in (noise, half, 0 * noise, np.ones_like(noise), 1e4 * noise, 1e-12 * noise):
            for values in (*slope(features, mask), _map(features, mask, floored)):
                assert np.isfinite(values).all(), name


@SOFTMAX
def test_graph_of_any_size_equals_eager(floored):
    for height, width in ((H, W), (6, 16)):
        features = _features(batch=3, height=height, width=width)
        mask = np.concatenate(
            [_mask(*b, height=height, width=width) for b in ([(1, 5, 2, 6)], [], [(0, 99, 0, 99)])]
        )
        for function in (fill, attention_map):
            eager = function(features, mask, 10.0, floored)
            graph = _graph(function, 10.0, floored)(features, mask)
            np.testing.assert_allclose(graph, eager, atol=1e-5)


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_mask_by_nearest_neighbour(factor):
    mask = np.random.default_rng(0).integers(0, 2, (2, 5 * factor, 3 * factor, 1))
    found = mask_at(mask.astype(np.float32), tf.zeros([2, 5, 3, 7]))
    assert found.shape == (2, 5, 3, 1) and found.dtype == tf.float32
    # The middle of every cell, of an even number the pixel below and to the right of it.
    np.testing.assert_array_equal(found, mask[:, factor // 2 :: factor, factor // 2 :: factor])


def _layer(dtype="float32", **options):
    layer = ContextualAttention(2 * C, dtype=keras.mixed_precision.Policy(dtype), **options)
    layer((tf.zeros([1, 4, 4, C]), tf.zeros([1, 4, 4, 1])))
    rng = np.random.default_rng(3)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(0, 0.5, tuple(variable.shape)))
    return layer


def _big(mask, factor=4):
    return np.repeat(np.repeat(mask, factor, axis=1), factor, axis=2)


@SOFTMAX
def test_module_is_two_convolutions_around_fill(floored):
    layer, x = _layer(temperature=5.0, floored=floored), _features()
    f = layer.features(x)
    expected = layer.output_convolution(fill(f, MASKS["box"], 5.0, floored))
    inputs = x, _big(MASKS["box"])
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-6)
    whole = attention_map(f, MASKS["box"], 5.0, floored)
    np.testing.assert_allclose(layer.map(inputs), whole, atol=1e-6)


@pytest.mark.parametrize("name", ["box", "none", "all"])
def test_every_variable_gets_a_gradient(name):
    layer = _layer()
    with tf.GradientTape() as tape:
        out = layer((_features(batch=2), np.repeat(_big(MASKS[name]), 2, axis=0)), training=True)
        loss = tf.reduce_sum(out * _features(batch=2, seed=4))
    variables = layer.trainable_variables
    assert len(variables) == 8
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        assert np.isfinite(gradient).all() and np.any(gradient), variable.name


@pytest.mark.parametrize("training", [False, True])
def test_half_precision_keeps_float32_scores(training, monkeypatch):
    seen = []

    def spy(features, *args):
        seen.append(features)
        return original(features, *args)

    layer, half, original = _layer(), _layer("mixed_bfloat16"), attention.fill
    monkeypatch.setattr(attention, "fill", spy)
    inputs = _features(), _big(MASKS["box"])
    exact = layer(inputs, training=training)
    out = half((tf.cast(inputs[0], tf.bfloat16), inputs[1]), training=training)
    assert out.dtype == tf.bfloat16 and [f.dtype for f in seen] == [tf.float32] * 2
    # Features of order 1 with 8 bits of mantissa; logits of 100 then move by 1, weights with them.
    known = _mask((3, 9, 2, 7))[0, ..., 0] == 0
    difference = np.abs(np.asarray(tf.cast(out, tf.float32)) - exact)[0]
    assert difference[known].max() < 0.1 and difference.mean() < 0.05


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"{GOLDEN.name} is missing")
def test_equals_the_release():
    """Its score map on features at half size, and what it makes of values twice as large."""
    with np.load(GOLDEN) as golden:
        data = {name.split("/")[1]: golden[name] for name in golden if name.startswith("attention")}
    features, mask = (_big(data[name], 2) for name in ("features", "mask"))
    weights = np.asarray(attention_map(features, mask, floored=True))
    assert data["map"].std() > 1e-3
    np.testing.assert_allclose(weights, data["map"], atol=1e-4)
    twin = _map_twin(features[0], mask[0], 10.0, True)
    np.testing.assert_allclose(twin, data["map"][0], atol=1e-4)
    filled = _transfer_twin(weights[0], data["values"][0], data["values_mask"][0])
    np.testing.assert_allclose(filled, data["filled"][0], atol=1e-4)
