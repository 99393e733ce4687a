"""The machine's convolution rate R, and time and memory of a call. TensorFlow is imported only when needed.

On a shared, noisy machine a time alone says little. `rate` is the rate of plain 3x3 convolutions in the same
TensorFlow at that moment; time x rate, in GFLOP, is a cost that can be compared between machines.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import statistics
import threading
import time
from typing import Callable

from common import memory


def rate(side: int = 128, channels: int = 64, repeats: int = 15) -> float:
    """GFLOP/s of a 3x3 convolution [1, side, side, channels] -> the same, float32; the median."""
    import tensorflow as tf

    image = tf.random.normal([1, side, side, channels])
    kernel = tf.random.normal([3, 3, channels, channels])

    @tf.function
    def convolve(x):
        return tf.nn.conv2d(x, kernel, 1, "SAME")

    flops = 2 * 9 * side * side * channels * channels
    return flops / median_seconds(lambda: convolve(image).numpy(), repeats, warm_up=3) / 1e9


def best_rate() -> float:
    """The best rate of three shapes, so that a slow shape does not make costs in GFLOP look low."""
    return max(rate(256, 64), rate(128, 128), rate(64, 128))


def cost(call: Callable, repeats: int, warm_up: int = 1) -> dict[str, float]:
    """Median seconds of `call`, the rate R just before and after, and their product in GFLOP."""
    times, measured = seconds_and_rate(call, repeats, warm_up)
    median = statistics.median(times)
    return {"seconds": median, "rate_gflops": measured, "cost_gflop": median * measured}


def seconds_and_rate(call: Callable, repeats: int, warm_up: int = 1) -> tuple[list[float], float]:
    """The time of every `call()`, and the rate R: the mean of the rates just before and after."""
    before = best_rate()
    times = seconds(call, repeats, warm_up)
    return times, (before + best_rate()) / 2


def median_seconds(call: Callable, repeats: int = 7, warm_up: int = 1) -> float:
    """Median time of `call()`."""
    return statistics.median(seconds(call, repeats, warm_up))


def seconds(call: Callable, repeats: int, warm_up: int = 1) -> list[float]:
    """The time of every `call()` after `warm_up` calls."""
    times = []
    for _ in range(warm_up + repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return times[warm_up:]


def peak_memory(call: Callable) -> dict[str, float]:
    """{"host": GB, "device": GB} that `call()` needs beyond the memory held before; no "device" without a GPU."""
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return {"host": peak_gigabytes(call)}
    memory = tf.config.experimental
    before = memory.get_memory_info("GPU:0")["current"]
    memory.reset_memory_stats("GPU:0")
    host = peak_gigabytes(call)
    return {"host": host, "device": (memory.get_memory_info("GPU:0")["peak"] - before) / 1e9}


def peak_gigabytes(call: Callable) -> float:
    """How far the process's resident memory rises above its present value during `call()`.

    Memory that was freed before is returned to the system first; otherwise a call that reuses it would seem free.
    The value is sampled from /proc every 2 ms, so an earlier call may have needed more. NaN except on Linux.
    """
    gc.collect()
    memory.give_back()
    before = _resident()
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


def most_gigabytes(pid: int | str = "self") -> float:
    """The highest resident memory of a process so far, by default of this one; NaN where Linux does not tell."""
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/status") as status:
        return int(status.read().split("VmHWM:")[1].split()[0]) * 1024 / 1e9
    return float("nan")


def _resident():
    with contextlib.suppress(OSError), open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * mmap.PAGESIZE
    return float("nan")
