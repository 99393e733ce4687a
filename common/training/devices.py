"""The devices of a training run: one, all of this machine, or those of several machines (docs/distributed.md).

    one            a single device
    mirrored       every GPU of this machine, or several logical CPUs in their place
    multi_worker   every GPU of every machine that the environment variable TF_CONFIG lists, one process per machine
    tpu            every core of the TPU of this machine, or of the one that the environment variable TPU_NAME names

With several machines every process (worker) runs the same command and the same steps. The first worker, the chief, is
the only one that writes to the run folder. The other workers must be able to read the folder, since they start from its
last checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import tempfile

import tensorflow as tf

from common.errors import UsageError
from common.training import signals


def strategy(num_replicas: int = 0, name: str | None = None) -> tf.distribute.Strategy:
    """The strategy of `--strategy` and `--num_replicas`. Call it before anything else uses a device.

    Args:
      num_replicas: 0 takes every GPU (or the one CPU); N takes the first N GPUs, or N logical CPUs without a GPU.
      name: of `common.training.options.STRATEGIES`; None: "mirrored" if there are several devices, else "one".

    Raises:
      UsageError: more GPUs than there are, a number that contradicts the name, no valid TF_CONFIG, or no TPU.
    """
    if num_replicas < 0:
        raise UsageError(f"--num_replicas={num_replicas} is negative; 0 takes every GPU")
    if name == "multi_worker":
        return _multi_worker(num_replicas)
    if name == "tpu":
        return _tpu(num_replicas)
    gpus = tf.config.list_physical_devices("GPU")
    wanted = num_replicas or (1 if name == "one" else max(1, len(gpus)))
    if gpus and wanted > len(gpus):
        raise UsageError(f"--num_replicas={wanted} but this machine has {len(gpus)} GPU(s)")
    if name == "one" and wanted > 1:
        raise UsageError(
            f"--strategy=one trains on one device, --num_replicas={wanted} asks for more"
        )
    if wanted == 1 and name != "mirrored":
        return tf.distribute.get_strategy()
    if gpus:
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(wanted)])
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(wanted)]
    )
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(wanted)])


def _multi_worker(num_replicas):
    if num_replicas:
        raise UsageError(
            "--num_replicas does not go with --strategy=multi_worker, which takes every GPU of every worker; "
            "use CUDA_VISIBLE_DEVICES to hide GPUs"
        )
    given = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(given)
        workers, task = config["cluster"]["worker"], config["task"]
        fits = task["type"] == "worker" and 0 <= int(task["index"]) < len(workers)
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise UsageError(
            "--strategy=multi_worker needs the environment variable TF_CONFIG, such as "
            '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'
        )
    with signals.kept():
        return tf.distribute.MultiWorkerMirroredStrategy()


def _tpu(num_replicas):
    if num_replicas:
        raise UsageError(
            "--num_replicas does not go with --strategy=tpu, which takes every core of the TPU"
        )
    name = os.environ.get("TPU_NAME", "local")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name)
        if name != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise UsageError(
            f"--strategy=tpu: TensorFlow found no TPU '{name}' ({type(error).__name__}); run it on a TPU VM, or name a "
            "TPU by the environment variable TPU_NAME"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def is_tpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether the strategy's replicas are TPU cores."""
    return isinstance(strategy, tf.distribute.TPUStrategy)


def workers(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """(index of this process, number of processes that train together)."""
    resolver = strategy.cluster_resolver
    if (
        not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        or not resolver.task_type
    ):
        return 0, 1
    return resolver.task_id, len(resolver.cluster_spec().job_tasks("worker"))


def any_worker(strategy: tf.distribute.Strategy):
    """A function (this process' answer) -> whether any process answers yes, for decisions that all make together.

    All processes call it at the same points: it waits for them. With one process it is its own answer.
    """
    if workers(strategy)[1] == 1:
        return bool

    @tf.function
    def count(own):
        def over_all(value):
            context = tf.distribute.get_replica_context()
            # `identity` puts the value on the replica's device, as `all_reduce` requires.
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(value))

        return strategy.experimental_local_results(strategy.run(over_all, args=(own,)))[0]

    return lambda own: float(count(tf.constant(float(own)))) > 0


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the chief, which writes the run folder."""
    return workers(strategy)[0] == 0


@contextlib.contextmanager
def run_folder(strategy: tf.distribute.Strategy, folder: str):
    """The folder that this process writes to: `folder` for the chief, a temporary folder for the other workers.

    The other workers do everything that the chief does, so that no worker waits for another. Their folder starts with
    a copy of the chief's last checkpoint and is removed afterwards.
    """
    if is_chief(strategy):
        yield folder
        return
    with tempfile.TemporaryDirectory() as own:
        checkpoints = sorted(pathlib.Path(folder, "checkpoints").glob("step-*.npz"))
        if checkpoints:
            pathlib.Path(own, "checkpoints").mkdir()
            shutil.copy(checkpoints[-1], pathlib.Path(own, "checkpoints"))
        yield own


def distribute(strategy: tf.distribute.Strategy, samples, images_per_step: int, dataset_of):
    """A function first sample -> data set for `fit`, in which every worker reads its own samples only.

    Args:
      samples: random access to samples.
      images_per_step: samples in one element, over all replicas.
      dataset_of: (samples, size of an element, first sample) -> tf.data.Dataset.
    """
    worker, count = workers(strategy)
    if count == 1:
        return lambda first: dataset_of(samples, images_per_step, first)
    own = WorkerSamples(samples, images_per_step, worker, count)
    replicas = strategy.num_replicas_in_sync
    return lambda first: strategy.distribute_datasets_from_function(
        lambda _: dataset_of(own, images_per_step // replicas, first // count)
    )


class WorkerSamples:
    """One worker's samples: from each `images_per_step`, those that a single process would give the same replicas."""

    def __init__(self, samples, images_per_step: int, worker: int, workers: int):
        self._samples, self._step = samples, images_per_step
        self._own = images_per_step // workers
        self._offset = worker * self._own

    def __getitem__(self, sample: int):
        step, place = divmod(sample, self._own)
        return self._samples[step * self._step + self._offset + place]

    def __getattr__(self, name):  # sizes and other attributes of all samples
        return getattr(self._samples, name)


def check_batch_size(batch_size: int, replicas: int, accumulate: int = 1) -> None:
    """UsageError unless replicas and micro-batches share the global batch evenly; names the nearest batch sizes."""
    parts = replicas * accumulate
    if batch_size < 1 or batch_size % parts:
        below = batch_size // parts * parts
        nearest = ", ".join(str(b) for b in (below, below + parts) if b > 0)
        whose = f"{replicas} replicas"
        if accumulate > 1:
            whose += f" with --accumulate={accumulate}"
        raise UsageError(f"--batch_size={batch_size} does not divide over {whose}; use {nearest}")
