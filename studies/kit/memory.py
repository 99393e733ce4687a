"""How much memory a call takes: of the process, and of a GPU where there is one."""

from __future__ import annotations

from typing import Callable


def peak(call: Callable) -> dict[str, float]:
    """{"host": GB, "device": GB} that `call()` needs beyond what was held before; no "device" without a GPU."""
    import tensorflow as tf

    from benchmarks import machine

    if not tf.config.list_physical_devices("GPU"):
        return {"host": machine.peak_gigabytes(call)}
    before = tf.config.experimental.get_memory_info("GPU:0")["current"]
    tf.config.experimental.reset_memory_stats("GPU:0")
    host = machine.peak_gigabytes(call)
    after = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return {"host": host, "device": (after - before) / 1e9}


def cell(found: dict[str, float]) -> str:
    """GB as a table has them: "0.52", or "0.52 + 1.30 GPU"."""
    device = f" + {found['device']:.2f} GPU" if "device" in found else ""
    return f"{found['host']:.2f}{device}"
