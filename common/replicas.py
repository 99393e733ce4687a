"""Which devices train: every GPU, one device, or several logical CPUs standing in for them."""

from __future__ import annotations

import tensorflow as tf

from common.errors import UsageError


def strategy(num_replicas: int = 0) -> tf.distribute.Strategy:
    """A MirroredStrategy over GPUs or logical CPUs, or the default strategy for one device.

    Args:
      num_replicas: 0 takes every GPU (or the one CPU); N takes the first N GPUs, or N logical CPUs where there is
        no GPU. Call it before anything else touches TensorFlow's devices.
    """
    if num_replicas < 0:
        raise UsageError(f"--num_replicas={num_replicas} is negative; 0 takes every GPU")
    gpus = tf.config.list_physical_devices("GPU")
    wanted = num_replicas or max(1, len(gpus))
    if gpus and wanted > len(gpus):
        raise UsageError(f"--num_replicas={wanted} but this machine has {len(gpus)} GPU(s)")
    if wanted == 1:
        return tf.distribute.get_strategy()
    if gpus:
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(wanted)])
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(wanted)]
    )
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(wanted)])


def check_batch_size(batch_size: int, replicas: int, accumulate: int = 1) -> None:
    """UsageError unless the global batch can be shared evenly by replicas and micro-batches; names the nearest ones."""
    parts = replicas * accumulate
    if batch_size < 1 or batch_size % parts:
        below = batch_size // parts * parts
        nearest = ", ".join(str(b) for b in (below, below + parts) if b > 0)
        whose = f"{replicas} replicas"
        if accumulate > 1:
            whose += f" with --accumulate={accumulate}"
        raise UsageError(f"--batch_size={batch_size} does not divide over {whose}; use {nearest}")
