"""The gated, normalised convolution: slow NumPy twin, statistics, half precision, two replicas."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from zoom_to_inpaint.gated_convolution import (
    GatedConv2D,
    freeze_statistics,
    gated_convolution,
    initial_statistics,
    warm_up_statistics,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
# (height, width, dilation, enlarge): the network's combinations, on even, odd and tiny sides.
CASES = [
    (6, 8, 1, False),
    (7, 5, 1, False),
    (9, 6, 2, False),
    (5, 12, 4, False),
    (4, 3, 8, False),
    (1, 1, 1, False),
    (4, 6, 1, True),
    (5, 3, 1, True),
    (1, 1, 1, True),
]
ANY_CASE = pytest.mark.parametrize("height, width, dilation, enlarge", CASES)
TRAINED = ("kernel", "bias", "gamma", "beta")
STATISTICS = ("moving_mean", "moving_variance")


def _layer(dilation=1, enlarge=False, filters=6, channels=3, dtype="float32"):
    """A built layer with random weights everywhere, moving averages included."""
    layer = GatedConv2D(filters, dilation, enlarge, dtype=keras.mixed_precision.Policy(dtype))
    layer(tf.zeros([1, 4, 4, channels]))
    rng = np.random.default_rng(0)
    for name in TRAINED + STATISTICS:
        variable = getattr(layer, name)
        variable.assign(rng.normal(0, 0.5, tuple(variable.shape)))
    layer.moving_variance.assign(rng.uniform(0.1, 2, filters // 2))
    return layer


def _inputs(height, width, channels=3, batch=2, seed=1):
    shape = (batch, height, width, channels)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _weights(layer):
    return {n: np.asarray(getattr(layer, n), np.float64) for n in TRAINED + STATISTICS}


def _convolve(x, kernel, dilation=1):
    """A 'same' 3x3 convolution, one output pixel at a time; float64."""
    height, width = x.shape[1:3]
    padded = np.pad(x.astype(np.float64), [(0, 0), (dilation,) * 2, (dilation,) * 2, (0, 0)])
    out = np.zeros((len(x), height, width, kernel.shape[3]))
    for row in range(height):
        for column in range(width):
            reach = 2 * dilation + 1
            window = padded[:, row : row + reach : dilation, column : column + reach : dilation]
            out[:, row, column] = np.einsum("bijc,ijco->bo", window, kernel)
    return out


def _nearest(x):
    return np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)


def _gated_twin(layer, x):
    w = _weights(layer)
    x = _nearest(x) if layer.enlarge else x
    features, gates = np.split(_convolve(x, w["kernel"], layer.dilation_rate) + w["bias"], 2, -1)
    elu = np.where(features > 0, features, np.expm1(np.minimum(features, 0)))
    return elu / (1 + np.exp(-gates))


def _normalized_twin(layer, h, mean, variance):
    w = _weights(layer)
    return w["gamma"] * (h - mean) / np.sqrt(variance + 1e-3) + w["beta"]


@ANY_CASE
def test_inference_equals_slow_numpy(height, width, dilation, enlarge):
    layer, x = _layer(dilation, enlarge), _inputs(height, width)
    w = _weights(layer)
    expected = _normalized_twin(
        layer, _gated_twin(layer, x), w["moving_mean"], w["moving_variance"]
    )
    scale = 2 if enlarge else 1
    for found in (layer(x, training=False), layer(x)):
        assert found.shape == expected.shape == (2, scale * height, scale * width, 3)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    for name in STATISTICS:  # inference leaves them alone
        np.testing.assert_array_equal(_weights(layer)[name], w[name])


@ANY_CASE
def test_training_equals_slow_numpy(height, width, dilation, enlarge):
    layer, x = _layer(dilation, enlarge), _inputs(height, width)
    moving, h = _weights(layer), _gated_twin(layer, x)
    mean, variance = h.mean(axis=(0, 1, 2)), h.var(axis=(0, 1, 2))
    expected = _normalized_twin(layer, h, mean, variance)
    weights = [moving[name] for name in TRAINED]
    plain = gated_convolution(x.astype(np.float64), *weights, None, dilation, enlarge)
    for one, other in zip(plain, (expected, mean, variance)):
        np.testing.assert_allclose(one, other, atol=1e-12)
    # Two values may be as close together as sqrt(eps): their rounding grows thirtyfold.
    np.testing.assert_allclose(layer(x, training=True), expected, atol=3e-5)
    for name, now in (("moving_mean", mean), ("moving_variance", variance)):
        expected = 0.99 * moving[name] + 0.01 * now
        np.testing.assert_allclose(_weights(layer)[name], expected, atol=1e-6)


@ANY_CASE
def test_frozen_training_is_inference_and_moves_nothing(height, width, dilation, enlarge):
    layer, x = _layer(dilation, enlarge), _inputs(height, width)
    inferred, before = layer(x), _weights(layer)
    freeze_statistics(layer)
    np.testing.assert_allclose(layer(x, training=True), inferred, atol=1e-5)
    for name, now in _weights(layer).items():
        np.testing.assert_array_equal(now, before[name])


@pytest.mark.parametrize("channels, filters", [(4, 64), (32, 64), (4, 4), (256, 128)])
def test_initial_statistics_are_those_of_many_samples(channels, filters):
    """A million draws leave 0.3% of a deviation; allowed is three times that."""
    spread = np.sqrt(2 * channels / (channels + filters))
    a, b = np.random.default_rng(0).normal(0, spread, (2, 1_000_000))
    h = np.where(a > 0, a, np.expm1(np.minimum(a, 0))) / (1 + np.exp(-b))
    mean, variance = initial_statistics(channels, filters)
    assert abs(mean - h.mean()) < 3e-3 * h.std()
    assert abs(variance - h.var()) < 1e-2 * h.var()


def test_a_new_layer_normalises_white_noise_at_inference():
    """A little less than 1, as in training: each channel's mean and variance depend on its own random kernel."""
    layer = GatedConv2D(256)
    found = layer(_inputs(24, 24, channels=64)).numpy()[:, 2:-2, 2:-2]
    assert abs(found.mean()) < 0.05 and 0.9 < found.std() < 1.1


def test_moving_averages_find_the_batch():
    """After many steps on one batch inference gives what training does."""
    layer, x = _layer(), _inputs(6, 8)
    step = tf.function(lambda: layer(x, training=True))
    for _ in range(1500):  # 0.99**1500 = 3e-7
        trained = step()
    np.testing.assert_allclose(layer(x), trained, atol=1e-4)


def test_warmed_up_averages_follow_the_first_batches():
    """Momentum min(0.99, (1 + n) / (10 + n)) after n updates, by hand; 0.99 in the end."""
    layer, x, count = _layer(), _inputs(6, 8), tf.Variable(0, dtype=tf.int64)
    weights = len(layer.weights)
    warm_up_statistics(layer, lambda: count)
    assert len(layer.weights) == weights  # the count is no weight of a network
    step = tf.function(lambda: layer(x, training=True))
    h = _gated_twin(layer, x)
    batch = {"moving_mean": h.mean(axis=(0, 1, 2)), "moving_variance": h.var(axis=(0, 1, 2))}
    for done, momentum in ((0, 0.1), (1, 2 / 11), (80, 0.9), (889, 890 / 899), (10**6, 0.99)):
        count.assign(done)
        before = _weights(layer)
        for name, variable in (("moving_mean", 7.0), ("moving_variance", 3.0)):
            getattr(layer, name).assign(tf.fill([3], variable))
            before[name] = variable
        step()
        for name, now in batch.items():
            expected = momentum * before[name] + (1 - momentum) * now
            np.testing.assert_allclose(_weights(layer)[name], expected, rtol=1e-5)


def test_frozen_averages_do_not_warm_up():
    layer, before = _layer(), _weights(_layer())
    warm_up_statistics(layer, lambda: tf.constant(0))
    freeze_statistics(layer)
    layer(_inputs(6, 8), training=True)
    for name in STATISTICS:
        np.testing.assert_array_equal(_weights(layer)[name], before[name])


@pytest.mark.parametrize(
    "height, width, dilation, enlarge", [case for case in CASES if case[0] > 1]
)
@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_equal_automatic_differentiation(height, width, dilation, enlarge, frozen):
    """Of `gated_convolution` in float64, for the input and everything that is trained."""
    layer, x = _layer(dilation, enlarge), _inputs(height, width)
    weighting = _inputs(*layer(x).shape[1:], seed=2)
    statistics = None
    if frozen:
        freeze_statistics(layer)
        statistics = [tf.constant(_weights(layer)[name], tf.float64) for name in STATISTICS]

    exact = [tf.constant(v, tf.float64) for v in (x, *(_weights(layer)[n] for n in TRAINED))]
    with tf.GradientTape() as tape:
        tape.watch(exact)
        plain = gated_convolution(*exact, statistics, dilation, enlarge)[0]
        loss = tf.reduce_sum(plain * weighting.astype(np.float64))
    expected = tape.gradient(loss, exact)

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x, training=True) * weighting)
    found = tape.gradient(loss, [x, *layer.trainable_variables])
    assert len(found) == len(expected) == 5
    for name, one, other in zip(("input", *TRAINED), found, expected):
        # Rounding of float32 sums over up to 140 positions, against the largest slope.
        furthest = np.abs(np.asarray(one) - np.asarray(other)).max()
        assert furthest < 1e-5 * np.abs(other).max() + 1e-6, name


@pytest.mark.parametrize("height, width", [(1, 1), (3, 4)])
def test_gradient_of_a_constant_batch(height, width):
    """Variance 0: eps alone keeps it finite, and what is the same everywhere cannot be told apart."""
    layer, x = _layer(), np.ones((2, height, width, 3), np.float32)
    layer.kernel.assign(tf.zeros_like(layer.kernel))
    with tf.GradientTape() as tape:
        out = layer(x, training=True)
        loss = tf.reduce_sum(out * _inputs(height, width))
    np.testing.assert_allclose(out, np.broadcast_to(layer.beta, out.shape), atol=1e-4)
    for gradient in tape.gradient(loss, layer.trainable_variables):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dilation, enlarge", [(1, False), (2, False), (1, True)])
def test_graph_of_any_size_equals_eager(dilation, enlarge, training):
    layer = _layer(dilation, enlarge)
    signature = [tf.TensorSpec([None, None, None, 3], tf.float32)]
    graph = tf.function(lambda x: layer(x, training=training), input_signature=signature)
    for batch, side in ((1, 6), (3, 7)):
        x = _inputs(side, side + 1, batch=batch)
        # The same kernels, possibly fused: rounding only.
        np.testing.assert_allclose(graph(x), layer(x, training=training), atol=1e-5)


def test_gate_closes_and_opens():
    """Halves of the channels: the first is the feature, the second its gate."""
    layer, x = _layer(), _inputs(5, 5)
    layer.kernel.assign(tf.zeros_like(layer.kernel))
    layer.gamma.assign(tf.ones(3))
    layer.beta.assign(tf.zeros(3))
    layer.moving_mean.assign(tf.zeros(3))
    layer.moving_variance.assign(tf.fill([3], 1 - 1e-3))
    layer.bias.assign([2.0, 2.0, -1.0, 40.0, -40.0, 0.0])
    expected = [2.0, 0.0, np.expm1(-1) / 2]
    np.testing.assert_allclose(layer(x)[0, 2, 2], expected, atol=1e-6)


def test_config_makes_the_same_layer():
    layer = _layer(dilation=4)
    again = GatedConv2D.from_config(layer.get_config())
    for field in ("filters", "dilation_rate", "enlarge"):
        assert getattr(again, field) == getattr(layer, field)
    assert GatedConv2D.from_config(_layer(enlarge=True).get_config()).enlarge


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("enlarge", [False, True])
def test_half_precision_is_close_to_single(enlarge, training):
    layer, half = _layer(enlarge=enlarge), _layer(enlarge=enlarge, dtype="mixed_bfloat16")
    x = _inputs(6, 7)
    out = half(tf.cast(x, tf.bfloat16), training=training)
    assert out.dtype == tf.bfloat16
    # 8 bits of mantissa, sums of 27 products of order 0.5, divided by a deviation down to 0.3.
    np.testing.assert_allclose(tf.cast(out, tf.float32), layer(x, training=training), atol=0.15)
    for variable in (*half.trainable_variables, half.moving_mean, half.moving_variance):
        assert tf.as_dtype(variable.dtype) == tf.float32
    for name in STATISTICS:  # of the same batch, but for the rounding of the convolution
        np.testing.assert_allclose(_weights(half)[name], _weights(layer)[name], atol=1e-3)


REPLICAS = """
import sys
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from zoom_to_inpaint.gated_convolution import GatedConv2D

rng = np.random.default_rng(0)
X = rng.normal(size=(4, 6, 5, 3)).astype(np.float32)
WEIGHTING = rng.normal(size=(4, 6, 5, 3)).astype(np.float32)
START = {"kernel": (3, 3, 3, 6), "bias": 6, "gamma": 3, "beta": 3, "moving_mean": 3}
START = {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in START.items()}

def make():
    layer = GatedConv2D(6, 2)
    layer(tf.zeros([1, 4, 4, 3]))
    for name, value in START.items():
        getattr(layer, name).assign(value)
    return layer

def step(layer, x, weighting):
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = layer(x, training=True)
        loss = tf.reduce_sum(out * weighting)
    slopes = tape.gradient(loss, [x, *layer.trainable_variables])
    context = tf.distribute.get_replica_context()
    return out, slopes[0], context.all_reduce(tf.distribute.ReduceOp.SUM, slopes[1:])

def keep(name, layer, outs, inputs, slopes):
    found[name + "/out"], found[name + "/input"] = np.concatenate(outs), np.concatenate(inputs)
    for number, slope in enumerate(slopes):
        found[f"{name}/slope_{number}"] = slope
    for statistic in ("moving_mean", "moving_variance"):
        found[f"{name}/{statistic}"] = np.asarray(tf.convert_to_tensor(getattr(layer, statistic)))

found = {}
alone = make()
for _ in range(2):
    out, toward_input, slopes = tf.function(step)(alone, tf.constant(X), tf.constant(WEIGHTING))
keep("one", alone, [out], [toward_input], slopes)

strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
with strategy.scope():
    layer = make()
CUT = [slice(0, 3), slice(3, 4)]  # of different size: what counts is positions, not replicas

def share(values):
    part = lambda context: tf.constant(values[CUT[context.replica_id_in_sync_group]])
    return strategy.experimental_distribute_values_from_function(part)

run = tf.function(lambda x, w: strategy.run(step, args=(layer, x, w)))
for _ in range(2):
    out, toward_input, slopes = run(share(X), share(WEIGHTING))
local = strategy.experimental_local_results
keep("two", layer, local(out), local(toward_input), [local(slope)[1] for slope in slopes])
for statistic in (layer.moving_mean, layer.moving_variance):
    value = getattr(statistic, "value", statistic)
    copies = [np.asarray(copy) for copy in local(value() if callable(value) else value)]
    assert all((copy == copies[0]).all() for copy in copies)
found["replicas"] = strategy.num_replicas_in_sync
np.savez(sys.argv[1], **found)
"""


def test_two_replicas_equal_one_with_the_whole_batch(forked, tmp_path):
    """In a process of its own: logical devices must be set up before anything else."""
    target = tmp_path / "found.npz"
    done = forked("-c", REPLICAS, target, cwd=ROOT, CUDA_VISIBLE_DEVICES="-1")
    assert done.returncode == 0, done.stderr
    with np.load(target) as found:
        assert found["replicas"] == 2
        names = [name[len("one/") :] for name in found if name.startswith("one/")]
        assert len(names) == 8  # output, its slopes by input and four variables, two statistics
        for name in names:
            # The same sums in two parts.
            np.testing.assert_allclose(
                found["two/" + name], found["one/" + name], rtol=1e-5, atol=1e-4, err_msg=name
            )
