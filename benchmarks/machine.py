"""The machine itself: its convolution rate R, and the time and memory of a call.

These machines are shared and noisy, so a time alone says little. `rate` is what the same TensorFlow reaches on
plain 3x3 convolutions at that moment; time x rate, in GFLOP, is a cost that can be compared between machines.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import statistics
import threading
import time
from typing import Callable

import tensorflow as tf


def rate(side: int = 128, channels: int = 64, repeats: int = 15) -> float:
    """GFLOP/s of a 3x3 convolution [1, side, side, channels] -> the same, float32; the median."""
    image = tf.random.normal([1, side, side, channels])
    kernel = tf.random.normal([3, 3, channels, channels])

    @tf.function
    def convolve(x):
        return tf.nn.conv2d(x, kernel, 1, "SAME")

    flops = 2 * 9 * side * side * channels * channels
    return flops / median_seconds(lambda: convolve(image).numpy(), repeats, warm_up=3) / 1e9


def best_rate() -> float:
    """The best of three shapes, so that a cost in GFLOP is not flattered by an unlucky one."""
    return max(rate(256, 64), rate(128, 128), rate(64, 128))


def median_seconds(call: Callable, repeats: int = 7, warm_up: int = 1) -> float:
    """Median time of `call()`, after `warm_up` calls."""
    for _ in range(warm_up):
        call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def peak_gigabytes(call: Callable) -> float:
    """How far the process's resident memory rises above its present value during `call()`.

    Memory that was freed before is given back to the system first, or a call that finds it would seem to need none.
    Sampled every 2 ms from /proc, so it also works when an earlier call already needed more; where there is no
    /proc, the rise of the process's all-time peak is returned.
    """
    _give_back()
    try:
        before = _resident()
    except OSError:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        call()
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 1e9
    highest, done = [before], threading.Event()

    def watch():
        while not done.wait(0.002):
            highest[0] = max(highest[0], _resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        call()
    finally:
        done.set()
        watcher.join()
    return (max(highest[0], _resident()) - before) / 1e9


def _give_back():
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # not the GNU C library
        ctypes.CDLL(None).malloc_trim(0)


def _resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()
