"""Several devices: batch sizes that divide, and two logical CPUs that train, save and resume like one device."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest
import tensorflow as tf

from common.errors import UsageError
from common.models import plain_ops
from common.training import trainer
from common.training.devices import any_worker, check_batch_size, strategy
from common.training.options import CommonOptions

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(("batch_size", "replicas"), [(1, 1), (7, 1), (2, 2), (8, 2), (12, 4)])
def test_batches_that_divide_are_fine(batch_size, replicas):
    assert check_batch_size(batch_size, replicas) is None


@pytest.mark.parametrize(
    ("batch_size", "replicas", "advice"),
    [(3, 2, "use 2, 4"), (1, 2, "use 2"), (9, 4, "use 8, 12"), (0, 3, "use 3")],
)
def test_other_batches_name_the_flag_and_what_would_do(batch_size, replicas, advice):
    with pytest.raises(UsageError) as error:
        check_batch_size(batch_size, replicas)
    message = str(error.value)
    assert message.endswith(advice) and "\n" not in message
    assert f"--batch_size={batch_size}" in message and f"{replicas} replicas" in message


def test_without_a_tpu_the_flag_says_so():
    with pytest.raises(
        UsageError, match=r"--strategy=tpu: TensorFlow found no TPU 'local'.*TPU_NAME"
    ):
        strategy(name="tpu")
    with pytest.raises(UsageError, match="--num_replicas does not go with --strategy=tpu"):
        strategy(2, "tpu")


def test_the_tpu_of_the_environment_is_asked_for(monkeypatch):
    asked = []
    monkeypatch.setenv("TPU_NAME", "mine")
    monkeypatch.setattr(
        tf.distribute.cluster_resolver,
        "TPUClusterResolver",
        lambda name: asked.append(name) or "found",
    )
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", asked.append)
    monkeypatch.setattr(tf.tpu.experimental, "initialize_tpu_system", asked.append)
    monkeypatch.setattr(tf.distribute, "TPUStrategy", lambda resolver: ("strategy", resolver))
    assert strategy(name="tpu") == ("strategy", "found")
    assert asked == ["mine", "found", "found"]


def test_a_tpu_traces_plain_ops_and_compiles_by_itself(monkeypatch):
    monkeypatch.setattr(trainer, "is_tpu", lambda strategy: True)
    made = trainer.Trainer(CommonOptions(jit=True))
    update = made.for_xla(plain_ops.for_xla)
    assert made.uses_xla and update() is True and not plain_ops.wanted()
    monkeypatch.setattr(type(tf.distribute.get_strategy()), "num_replicas_in_sync", 4)
    trainer.check_devices(CommonOptions(jit=True), tf.distribute.get_strategy())


# Devices are set up once in a process, so each test of them is a process of its own.
TRAIN = """
import json
import sys
import numpy as np
import tensorflow as tf
from tensorflow import keras
from common.training import devices
from common.training.checkpoints import Checkpoints

class Trainer(keras.Model):
    def __init__(self):
        super().__init__()
        self.net = keras.layers.Dense(1)
        self.net.build((None, 3))
        self.net.kernel.assign([[0.5], [-0.25], [1.0]])
        self.adam = keras.optimizers.Adam(0.1)
        self.adam.build(self.net.trainable_variables)
        self.built = True
        super().compile(optimizer="sgd", jit_compile=False)
        self.distribute_reduction_method = "first"

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((self.net(x) - y) ** 2) / 4  # of the global batch
        variables = self.net.trainable_variables
        self.adam.apply_gradients(zip(tape.gradient(loss, variables), variables))
        context = tf.distribute.get_replica_context()
        rows = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.shape(x)[0])
        return {"loss": context.all_reduce(tf.distribute.ReduceOp.SUM, loss), "rows": rows}

rng = np.random.default_rng(0)
X = rng.normal(size=(24, 3)).astype(np.float32)
Y = rng.normal(size=(24, 1)).astype(np.float32)

def fit(strategy, folder, steps, restore=None):
    with strategy.scope():
        trainer = Trainer()
    kept = Checkpoints(folder, {"net": trainer.net}, {"adam": trainer.adam})
    first = kept.restore(restore)["step"] if restore else 0
    data = tf.data.Dataset.from_tensor_slices((X[4 * first :], Y[4 * first :])).batch(4)
    history = trainer.fit(data, epochs=1, steps_per_epoch=steps - first, verbose=0, shuffle=False)
    path = kept.save(steps, {})
    values = {k: v.tolist() for k, v in np.load(path).items() if k != "header.json"}
    logs = {name: float(value[-1]) for name, value in history.history.items()}
    return {"values": values, "logs": logs, "path": str(path)}

two = devices.strategy(2)
one = tf.distribute.get_strategy()
found = {"replicas": two.num_replicas_in_sync, "devices": len(tf.config.list_logical_devices("CPU"))}
found["two"] = fit(two, sys.argv[1] + "/two", 6)
found["one"] = fit(one, sys.argv[1] + "/one", 6)
half = fit(two, sys.argv[1] + "/half", 3)
found["resumed"] = fit(two, sys.argv[1] + "/resumed", 6, half["path"])
print(json.dumps(found))
"""


@pytest.fixture
def last_line(forked):
    """last_line(code, arguments) -> the last line that it prints."""

    def run(code, *arguments):
        process = forked("-c", code, *arguments, cwd=ROOT, CUDA_VISIBLE_DEVICES="-1")
        assert process.returncode == 0, process.stderr
        return process.stdout.splitlines()[-1]

    return run


def _furthest(a, b):
    assert a["values"].keys() == b["values"].keys() and a["values"]
    flat = [
        (x, y)
        for name in a["values"]
        for x, y in zip(_flat(a["values"][name]), _flat(b["values"][name]))
    ]
    return max(abs(x - y) for x, y in flat)


def _flat(value):
    return [x for item in value for x in _flat(item)] if isinstance(value, list) else [value]


def test_two_logical_cpus_train_save_and_resume_like_one_device(last_line, tmp_path):
    found = json.loads(last_line(TRAIN, tmp_path))
    assert (found["replicas"], found["devices"]) == (2, 2)
    assert found["two"]["logs"]["rows"] == 4  # the global batch, shared between the two
    # Sums of four gradients in another order, through six steps of Adam.
    assert _furthest(found["one"], found["two"]) < 1e-5
    assert abs(found["one"]["logs"]["loss"] - found["two"]["logs"]["loss"]) < 1e-5
    assert _furthest(found["two"], found["resumed"]) < 1e-6


AGREE = """
from common.training import devices
strategy = devices.strategy(0, "multi_worker")
any_worker = devices.any_worker(strategy)
number = devices.workers(strategy)[0]
print([any_worker(own) for own in (False, number == 1, number == 0, False, True)])
"""


@pytest.mark.default_environment
def test_workers_agree_on_what_any_of_them_says():
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    cluster = {"worker": [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]}
    for one in sockets:
        one.close()
    processes = []
    for index in range(2):
        config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        environment = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CONFIG": json.dumps(config)}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", AGREE],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    try:
        found = [process.communicate(timeout=600)[0].splitlines()[-1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert found == ["[False, True, True, False, True]"] * 2


def test_one_process_is_its_own_answer():
    agree = any_worker(tf.distribute.get_strategy())
    assert agree(True) is True and agree(False) is False


DEVICES = """
import tensorflow as tf
from common.training import devices
from common.errors import UsageError

for count in (-1, -2):
    try:
        devices.strategy(count)
    except UsageError as error:
        assert "--num_replicas" in str(error), error
    else:
        raise AssertionError(count)

for count in (0, 1):  # one device is the default strategy, which costs nothing
    strategy = devices.strategy(count)
    assert strategy is tf.distribute.get_strategy() and strategy.num_replicas_in_sync == 1

physical = tf.config.list_physical_devices
tf.config.list_physical_devices = lambda kind: ["a", "b"] if kind == "GPU" else physical(kind)
try:
    devices.strategy(3)
except UsageError as error:
    assert "--num_replicas=3" in str(error) and "2 GPU" in str(error), error
else:
    raise AssertionError("three replicas on two GPUs")
print("done")
"""


def test_one_device_and_counts_that_are_impossible(last_line):
    assert last_line(DEVICES) == "done"
