"""`train.py --strategy=multi_worker`: two processes on the loopback do the step of one, only one writes, both stop."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
TRAIN = (
    str(ROOT / "train.py"),
    *("--dataset=sample", "--log_every=1", "--batch_size=4", "--keep_checkpoints=5"),
)
SMALL = {
    "hifill": (
        "--model=hifill", "--hifill_config=small", "--hifill_size=64", "--hifill_channels=4",
        "--critic_steps=1", "--masks=irregular",
    ),
    "zoom": (
        "--model=zoom_to_inpaint", "--stage=pretrain_coarse", "--zoom_config=small", "--zoom_channels=4",
        "--zoom_size=32", "--vgg_weights=none", "--masks=small",
    ),
}  # fmt: skip


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _start(arguments, log_path, **environment):
    with open(log_path, "w") as log:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


@contextlib.contextmanager
def _workers(arguments, folder):
    """Two processes that train together, Python with these arguments; none outlives the block."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in _free_ports(2)]}
    processes = []
    for index in range(2):
        config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes.append(
            _start(
                arguments,
                folder / f"worker{index}.log",
                TF_CONFIG=json.dumps(config),
            )
        )
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()


def _finish(processes, folder):
    """Waits for both and expects them to end well; returns their outputs."""
    codes = [process.wait(timeout=1800) for process in processes]
    outputs = [(folder / f"worker{index}.log").read_text()[-3000:] for index in range(2)]
    assert codes == [0, 0], outputs
    return outputs


def _two_workers(arguments, folder):
    """Trains with two processes; returns their outputs."""
    with _workers([*TRAIN, *arguments, "--strategy=multi_worker"], folder) as processes:
        return _finish(processes, folder)


def _arrays(path):
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files if name != "header.json"}


def _statistics(folder):
    lines = (folder / "statistics.jsonl").read_text().splitlines()
    found = {}
    for line in map(json.loads, lines):
        found.setdefault(line["step"], {}).update(line)
    return found


@pytest.mark.full  # five processes that import and trace, minutes on two cores
@pytest.mark.parametrize("model", SMALL)
def test_two_processes_do_the_step_of_one_and_go_on(model, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    step = [*SMALL[model], "--steps=1"]
    alone = _start([*TRAIN, *step, "--strategy=one", f"--output={one}"], tmp_path / "one.log")
    assert alone.wait(timeout=1800) == 0, (tmp_path / "one.log").read_text()[-3000:]
    _two_workers([*step, f"--output={two}"], tmp_path)

    expected, found = _statistics(one)[1], _statistics(two)[1]
    assert (expected["replicas"], found["replicas"]) == (1, 2)
    about = {"replicas", "images_per_second", "steps_per_second"}
    terms = expected.keys() - about
    assert terms == found.keys() - about and len(terms) > 3
    for name in terms:
        assert abs(found[name] - expected[name]) <= 1e-4 * max(abs(expected[name]), 1e-2), name
    ours, theirs = (_arrays(run / "checkpoints" / "step-00000001.npz") for run in (two, one))
    assert ours.keys() == theirs.keys() and len(ours) > 100
    worst = 0
    for name, value in theirs.items():
        # Adam's first momenta are the gradients, up to a factor; batch norm's statistics are weights.
        if value.dtype == np.float32 and ("optimizer" in name or "moving" in name):
            scale = max(np.abs(value).max(), 1e-9)
            worst = max(worst, np.abs(ours[name] - value).max() / scale)
    print(model, "largest relative difference", worst)
    assert worst < 1e-3

    # The chief alone has written, and both go on from what it wrote.
    before = {path.name for path in two.rglob("*")}
    _two_workers([*SMALL[model], "--steps=2", f"--output={two}"], tmp_path)
    assert "continuing from step 1" in (two / "log.txt").read_text()
    after = {path.name for path in two.rglob("*") if "events" not in path.name}
    assert after - before == {"step-00000002.npz"}
    assert sorted(_statistics(two)) == [1, 2]
    assert len(list(two.glob("events*"))) == 2  # one a start


# The loop that all runs share around a network that is traced in a second.
TOY = """
import os
import shutil
import signal
import sys
import numpy as np
import tensorflow as tf
from tensorflow import keras
from common.data import pipeline
from common.training import devices, loop, signals, updates
from common.training.trainer import CommonOptions, Trainer

class Toy(Trainer):
    def __init__(self):
        super().__init__(CommonOptions(batch_size=2))
        self.net = keras.layers.Conv2D(3, 1)
        self.net.build((None, None, None, 4))
        self.add_part("generator", [self.net])

    def train_step(self, data):
        part = self.parts["generator"]
        with tf.GradientTape() as tape:
            loss = self.mean(tf.reduce_mean((self.net(tf.concat(data, -1)) - data[0]) ** 2, [1, 2, 3]))
        found = {"generator": tape.gradient(loss, part.variables)}
        terms = updates.apply(self.parts, found, {"generator": loss})
        self.step.assign_add(1)
        return terms

class Samples:
    size = mask_size = 16

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        return rng.integers(256, size=(16, 16, 3), dtype=np.uint8), rng.integers(2, size=(16, 16, 1), dtype=np.uint8)

watching = signals.watched()
stop = watching.__enter__()  # as train.py does, before TensorFlow takes SIGTERM for itself
strategy = devices.strategy(0, "multi_worker")
if sys.argv[3:] and devices.is_chief(strategy):
    os.kill(os.getpid(), signal.SIGTERM)
with strategy.scope():
    toy = Toy()
recipe = loop.Recipe(
    trainer=toy,
    layers={"net": toy.net},
    optimizers=toy.state(),
    images_per_step=2,
    size=16,
    preview=lambda image, mask: {"result": tf.constant(image)},
    save_weights=lambda path: np.savez(path, toy.net.kernel.numpy()),
)
pair = np.zeros((1, 16, 16, 3), np.float32), np.ones((1, 16, 16, 1), np.float32)
schedule = loop.Schedule(int(sys.argv[2]), log_every=1, picture_every=10**6, checkpoint_every=10**6)
with devices.run_folder(strategy, sys.argv[1]) as folder:
    data = devices.distribute(strategy, Samples(), 2, pipeline.training_dataset)
    loop.train(recipe, data, pair, schedule, loop.RunFolder(folder, {}), stop)
"""


@pytest.mark.full
@pytest.mark.parametrize("terminated", ["chief", "other", "both"])
def test_when_one_is_terminated_both_save_the_step_and_stop(terminated, tmp_path):
    """As SLURM stops a job, at different moments of a step."""
    run = tmp_path / "run"
    statistics = run / "statistics.jsonl"
    with _workers(["-c", TOY, str(run), str(10**6)], tmp_path) as processes:
        while not (statistics.exists() and statistics.read_bytes().count(b"\n") > 3):
            assert [process.poll() for process in processes] == [None, None]
            time.sleep(0.05)
        asked = {"chief": processes[:1], "other": processes[1:], "both": processes}[terminated]
        for process in asked:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.01)
        outputs = _finish(processes, tmp_path)
    (checkpoint,) = (run / "checkpoints").iterdir()
    step = int(checkpoint.stem[5:])
    assert step == max(_statistics(run)) < 10**6
    for output in outputs:
        assert f"terminated at step {step}" in output
    with _workers(["-c", TOY, str(run), str(step + 2)], tmp_path) as processes:
        _finish(processes, tmp_path)
    assert f"continuing from step {step}" in (run / "log.txt").read_text()
    lines = [json.loads(line) for line in statistics.open()]
    assert [x["step"] for x in lines if "generator" in x] == list(range(1, step + 3))


@pytest.mark.full
def test_being_terminated_while_networks_are_built_is_not_forgotten(tmp_path):
    run = tmp_path / "run"
    with _workers(["-c", TOY, str(run), str(10**6), "early"], tmp_path) as processes:
        outputs = _finish(processes, tmp_path)
    assert all("terminated at step 0;" in output for output in outputs), outputs
    assert not (run / "statistics.jsonl").exists()


# Stand-ins for what a cluster has: two machines, a task on each.
CLUSTER = {
    "scontrol": 'test "$*" = "show hostnames nodes[1-2]" && printf "node1\\nnode2\\n"',
    "srun": 'for i in 0 1; do SLURM_PROCID=$i "$@"; done',
    "python": 'echo "$TF_CONFIG|$*"',
}


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_the_slurm_script_of_the_docs_tells_every_task_its_place(tmp_path):
    text = (ROOT / "docs" / "distributed.md").read_text()
    script = "#!/bin/bash\n#SBATCH" + text.partition("#!/bin/bash\n#SBATCH")[2].partition("```")[0]
    for name, body in CLUSTER.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        env={**os.environ, "PATH": path, "SLURM_JOB_NODELIST": "nodes[1-2]"},
        capture_output=True,
        text=True,
        check=True,
    )
    tasks = [line.split("|") for line in done.stdout.splitlines()]
    assert len(tasks) == 2
    for index, (config, command) in enumerate(tasks):
        cluster = {"worker": ["node1:12345", "node2:12345"]}
        assert json.loads(config) == {
            "cluster": cluster,
            "task": {"type": "worker", "index": index},
        }
        words = command.split()
        assert words[0] == "train.py" and "--strategy=multi_worker" in words
        flagfile = next(w for w in words if w.startswith("--flagfile="))
        assert (ROOT / flagfile.partition("=")[2]).is_file()
