"""The discriminator: the paper's layers, slow NumPy twins of convolutions and spectral norm, gradients, precision."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from zoom_to_inpaint import PAPER
from zoom_to_inpaint.discriminator import Discriminator

TINY = dataclasses.replace(PAPER, discriminator_channels=4)


def _inputs(batch=2, height=64, width=64, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.uniform(0, 1, (batch, height, width, 3)).astype(np.float32)
    mask = np.zeros((batch, height, width, 1), np.float32)
    mask[:, height // 4 : height // 2, width // 3 : width // 2] = 1
    return image, mask


def _discriminator(seed=1):
    """Random weights under which scores differ."""
    network = Discriminator(TINY)
    network(_inputs(1))
    rng = np.random.default_rng(seed)
    for variable in network.trainable_variables:
        fan_in = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 25
        variable.assign(rng.normal(0, 1.4 / np.sqrt(fan_in), tuple(variable.shape)))
    return network


@pytest.fixture
def discriminator():
    return _discriminator()


def _parts(convolution):
    """Kernel, bias and power-iteration vector u of a normalised convolution, float64."""
    inner = convolution.layer
    (u,) = convolution.non_trainable_variables
    assert (
        u.name.split("/")[-1].split(":")[0] == "vector_u"
    )  # in both libraries, so that files fit both
    return [np.asarray(variable, np.float64) for variable in (inner.kernel, inner.bias, u)]


def _twin(network, inputs):
    """5x5 'same' convolutions of stride 2 with leaky ReLU, one output pixel at a time; float64."""
    x = np.concatenate(inputs, axis=-1).astype(np.float64)
    for convolution in network.convolutions:
        kernel, bias, _ = _parts(convolution)
        sides = [-(-side // 2) for side in x.shape[1:3]]
        pads = [max((n - 1) * 2 + 5 - side, 0) for n, side in zip(sides, x.shape[1:3])]
        padded = np.pad(x, [(0, 0), *((p // 2, p - p // 2) for p in pads), (0, 0)])
        x = np.zeros((len(x), *sides, kernel.shape[3]))
        for row in range(sides[0]):
            for column in range(sides[1]):
                window = padded[:, 2 * row : 2 * row + 5, 2 * column : 2 * column + 5]
                x[:, row, column] = np.einsum("bijc,ijco->bo", window, kernel) + bias
        x = np.where(x > 0, x, 0.2 * x)
    return x.reshape(len(x), -1)


def _power_iteration(kernel, u):
    """One step: the kernel divided by the estimate of its largest singular value, and the next u."""
    matrix = kernel.reshape(-1, kernel.shape[-1])
    v = u @ matrix.T
    v /= np.linalg.norm(v)
    u = v @ matrix
    u /= np.linalg.norm(u)
    return kernel / (v @ matrix @ u.T), u


def test_layers_are_those_of_the_paper():
    """Z Figure 8."""
    network = Discriminator(PAPER)
    layers = [convolution.layer for convolution in network.convolutions]
    assert [layer.filters for layer in layers] == [64, 128, 256, 256, 256]
    for layer in layers:
        assert tuple(layer.kernel_size) == (5, 5) and tuple(layer.strides) == (2, 2)
        assert layer.padding == "same" and layer.activation is keras.activations.linear


def test_parameter_count():
    network = Discriminator(PAPER)
    network((tf.zeros([1, 32, 32, 3]), tf.zeros([1, 32, 32, 1])))
    widths = [4, 64, 128, 256, 256, 256]
    expected = sum(25 * a * b + b for a, b in zip(widths, widths[1:]))
    found = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    assert found == expected == 4308160
    # u of every layer is all that is remembered besides.
    others = sum(int(np.prod(v.shape)) for v in network.weights) - found
    assert others == sum(widths[1:])


@pytest.mark.parametrize("height, width", [(64, 64), (96, 32), (37, 65), (1, 1)])
def test_equals_slow_numpy(discriminator, height, width):
    inputs = _inputs(3, height, width)
    found, expected = np.asarray(discriminator(inputs)), _twin(discriminator, inputs)
    cells = -(-height // 32) * -(-width // 32)
    assert found.shape == expected.shape == (3, 16 * cells) and found.dtype == np.float32
    assert found.std() > 0.01
    # Five layers of float32 sums of order 1.
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_power_iteration_equals_slow_numpy(discriminator):
    """One training call: kernels divided, u moved on, and the scores are those of the divided kernels."""
    before = [_parts(convolution) for convolution in discriminator.convolutions]
    inputs = _inputs()
    scores = discriminator(inputs, training=True)
    for convolution, (kernel, bias, u) in zip(discriminator.convolutions, before):
        expected, moved = _power_iteration(kernel, u)
        found = _parts(convolution)
        np.testing.assert_allclose(found[0], expected, atol=1e-5)
        np.testing.assert_array_equal(found[1], bias)
        np.testing.assert_allclose(found[2], moved, atol=1e-5)
    np.testing.assert_allclose(scores, _twin(discriminator, inputs), atol=1e-5)


def test_training_makes_the_largest_singular_value_one(discriminator):
    # Power iteration converges at the ratio of the two largest singular values. One that is clearly the largest
    # makes the result independent of the random vector it starts from.
    rng = np.random.default_rng(2)
    for convolution in discriminator.convolutions:
        kernel = convolution.layer.kernel
        rows, columns = int(np.prod(kernel.shape[:-1])), kernel.shape[-1]
        largest = np.outer(rng.choice([-1, 1], rows), rng.choice([-1, 1], columns))
        kernel.assign_add(largest.reshape(kernel.shape).astype(np.float32))
    inputs = _inputs(1)
    step = tf.function(lambda: discriminator(inputs, training=True))
    for _ in range(30):
        step()
    for convolution in discriminator.convolutions:
        kernel = _parts(convolution)[0]
        singular_values = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)
        np.testing.assert_allclose(singular_values[0], 1, atol=1e-4)


@pytest.mark.parametrize("training", [False, None])
def test_judging_changes_nothing(discriminator, training):
    before = [np.asarray(v) for v in discriminator.weights]
    discriminator(_inputs(), training=training)
    for variable, value in zip(discriminator.weights, before):
        np.testing.assert_array_equal(variable, value)


def test_each_sample_is_judged_alone(discriminator):
    image, mask = _inputs(3)
    together = discriminator((image, mask))
    for i in range(3):
        one = slice(i, i + 1)
        alone = discriminator((image[one], mask[one]))
        np.testing.assert_allclose(together[one], alone, atol=1e-6)


def test_a_score_sees_a_patch():
    """Five strides of 2 with 5x5 kernels: far away nothing changes, near by everything does."""
    network, (image, mask) = _discriminator(), _inputs(1, 512, 32)
    other = image.copy()
    other[:, 300:] = 0
    first, second = (np.reshape(network((x, mask)), (16, 16)) for x in (image, other))
    moved = np.abs(first - second).max(axis=1) > 1e-6
    # A score reaches 4 * (1 + 2 + 4 + 8 + 16) / 2 = 62 pixels beyond its own and the stride's alignment.
    assert not moved[:7].any() and moved[9:].all()


def test_mask_and_image_are_seen(discriminator):
    image, mask = _inputs()
    scores = discriminator((image, mask))
    assert np.abs(discriminator((image, 1 - mask)) - scores).max() > 1e-3
    assert np.abs(discriminator((1 - image, mask)) - scores).max() > 1e-3


@pytest.mark.parametrize("training", [False, True])
def test_every_variable_gets_a_gradient(discriminator, training):
    image, mask = _inputs(3)
    image = tf.constant(image)
    with tf.GradientTape() as tape:
        tape.watch(image)
        scores = discriminator((image, mask), training=training)
        loss = tf.reduce_mean(tf.nn.relu(1 - scores))  # hinge
    variables = discriminator.trainable_variables
    assert len(variables) == 10
    gradients = tape.gradient(loss, [image, *variables])
    for name, gradient in zip(["image"] + [v.name for v in variables], gradients):
        assert np.isfinite(gradient).all() and np.any(gradient), name


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_images_have_finite_scores_and_slopes(value):
    network = Discriminator(TINY)  # biases are zero, so that black gives 0, where ReLU bends
    image = tf.fill([1, 32, 32, 3], value)
    with tf.GradientTape() as tape:
        tape.watch(image)
        scores = network((image, tf.zeros([1, 32, 32, 1])), training=True)
    assert np.isfinite(scores).all()
    assert np.isfinite(tape.gradient(scores, image)).all()


@pytest.mark.parametrize("training", [False, True])
def test_graph_of_any_size_equals_eager(training):
    graph_network, eager_network = _discriminator(), _discriminator()
    signature = [tf.TensorSpec([None, None, None, c], tf.float32) for c in (3, 1)]
    graph = tf.function(lambda *x: graph_network(x, training=training), input_signature=signature)
    # u starts at random.
    for target, source in zip(graph_network.weights, eager_network.weights):
        target.assign(source)
    for height, width, batch in ((64, 64, 1), (32, 96, 3)):
        inputs = _inputs(batch, height, width)
        found, eager = graph(*inputs), eager_network(inputs, training=training)
        np.testing.assert_allclose(found, eager, atol=1e-5)


def test_float32_whatever_the_policy():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        network = _discriminator()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    exact, inputs = _discriminator(), _inputs()
    for target, source in zip(network.weights, exact.weights):
        target.assign(source)
    for training in (False, True):
        found, expected = (n(inputs, training=training) for n in (network, exact))
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, expected, atol=1e-6)
    image, mask = (tf.cast(part, tf.bfloat16) for part in inputs)
    assert network((image, mask)).dtype == tf.float32
