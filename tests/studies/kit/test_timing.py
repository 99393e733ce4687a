"""FLOPs are those of the definition; times are of every image; files play no part."""

from __future__ import annotations

import math
import sys
import time

import pytest
import tensorflow as tf

from benchmarks import flops, machine
from studies.kit import timing

IMAGE, KERNEL = tf.zeros([1, 8, 10, 3]), tf.zeros([3, 3, 3, 4])


@tf.function
def convolved(image):
    return tf.nn.conv2d(image, KERNEL, 1, "SAME")


def loop():
    return tf.while_loop(lambda i: i < 3, lambda i: (i + 0 * tf.size(convolved(IMAGE)) + 1,), [0])


@pytest.mark.parametrize(
    "call, wanted",
    [
        (lambda: convolved(IMAGE), 2 * 9 * 3 * 4 * 80),
        (loop, 3 * 2 * 9 * 3 * 4 * 80),
        (lambda: tf.nn.conv2d(IMAGE, KERNEL, 2, "SAME"), 2 * 9 * 3 * 4 * 20),
        (lambda: tf.nn.depthwise_conv2d(IMAGE, KERNEL[..., :1], [1] * 4, "SAME"), 2 * 9 * 3 * 80),
        (lambda: tf.keras.layers.Conv2D(4, 3)(IMAGE), 2 * 9 * 3 * 4 * 48),
        (
            lambda: tf.nn.conv2d_transpose(IMAGE, tf.zeros([2, 2, 5, 3]), [1, 16, 20, 5], 2),
            2 * 4 * 5 * 3 * 80,
        ),
        (lambda: tf.matmul(tf.zeros([5, 7]), tf.zeros([7, 2])), 2 * 5 * 7 * 2),
        (lambda: tf.matmul(tf.zeros([7, 5]), tf.zeros([7, 2]), transpose_a=True), 2 * 5 * 7 * 2),
        (lambda: tf.zeros([3, 5, 7]) @ tf.zeros([3, 7, 2]), 2 * 3 * 5 * 7 * 2),
        (lambda: IMAGE + 1, 0),
    ],
)
def test_operations_by_definition(call, wanted):
    assert flops.count(call) == wanted


def test_counting_leaves_functions_as_they_were():
    with pytest.raises(ZeroDivisionError):
        flops.count(lambda: 1 / 0)
    assert not tf.config.functions_run_eagerly()
    assert flops.count(lambda: None) == 0


def test_every_image_is_a_measurement(monkeypatch):
    monkeypatch.setattr(machine, "best_rate", lambda: 100.0)
    seen = []

    def call(seconds):
        seen.append(seconds)
        time.sleep(seconds)

    found = timing.measure(call, [(0.01,), (0.03,)], 4)
    assert seen == [0.01, 0.01, 0.03, 0.01, 0.03]  # the first warms up
    assert found.n == 4 and found.fastest >= 0.01 and found.mean >= 0.02 and found.std > 0.005
    assert found.gflop is None and found.share is None


def test_share_of_the_rate():
    taken = timing.Timing(2.0, math.nan, 2.0, 2.0, 1, 50.0, 100.0)
    assert taken.share == 0.25
    assert timing.row("m", 4_481_161, taken) == [
        *("m", "4.48M", "2000.0", "-", "2000.0", "2000.0", "1", "50.0", "100", "25%")
    ]


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs /proc and the GNU C library"
)
def test_memory_that_was_freed_before_is_counted_again():
    def call():
        held = [b"x" * (100_000 + i) for i in range(1000)]  # too small for pages of their own
        time.sleep(0.05)
        return held

    last = call()[-1]  # it lies above the freed ones, which the C library therefore keeps
    assert machine.peak_gigabytes(call) > 0.08 and last
