"""Runs that are killed with SIGKILL, again and again, end as if they had not been.

    pytest -m full tests/test_kills.py -s        the real commands, killed twenty times at random moments: half an hour

The environment variables KILL_SEED and KILLS choose other moments and fewer of them.

The default suite kills a toy model's run where it hurts most: while a checkpoint, the best one and a line of
statistics are being written. The toy is fast, the processes are as real.
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
TIMINGS = ("images_per_second", "steps_per_second")


def _statistics(folder):
    """Lines without what the clock says."""
    lines = [json.loads(line) for line in (folder / "statistics.jsonl").open()]
    return [{k: v for k, v in line.items() if k not in TIMINGS} for line in lines]


def _content(path):
    with np.load(path) as archive:
        return dict(archive)


def assert_same_run(killed, whole):
    """Weights, optimizer slots, counters, best, milestones and every line: 1e-6, as the specification asks."""
    names = {p.relative_to(whole).as_posix() for p in whole.rglob("*.npz")}
    found = {p.relative_to(killed).as_posix() for p in killed.rglob("*")}
    assert names <= found and {n for n in found if n.endswith(".npz")} == names
    assert not [name for name in found if ".partial" in name]
    for name in names:
        one, other = _content(killed / name), _content(whole / name)
        assert one.keys() == other.keys()
        for key in one:
            if one[key].dtype.kind in "fi":
                np.testing.assert_allclose(one[key], other[key], atol=1e-6, rtol=0, err_msg=name)
        if name.startswith("checkpoints"):
            headers = [json.loads(str(x["header.json"])) for x in (one, other)]
            values = [(h.get("best") or {}).pop("value", 0) for h in headers]
            assert abs(values[0] - values[1]) < 1e-6 and headers[0] == headers[1]
    lines, expected = _statistics(killed), _statistics(whole)
    assert [(x["step"], tuple(x)) for x in lines] == [(x["step"], tuple(x)) for x in expected]
    for one, other in zip(lines, expected):
        for key in one:
            assert abs(one[key] - other[key]) <= 1e-6 * max(1, abs(other[key])), (key, one, other)


# --- a toy that is killed at chosen points

TOY = """
import os, signal, sys
import numpy as np
import tensorflow as tf
from tensorflow import keras
from common.training import checkpoints, loop, run_folder

folder, point, count = sys.argv[1], sys.argv[2], int(sys.argv[3])

class Trainer(keras.Model):
    def __init__(self):
        super().__init__()
        self.net = keras.layers.Conv2D(3, 1, kernel_initializer="ones", activation="tanh")
        self.net.build((None, None, None, 4))
        self.adam = keras.optimizers.Adam(0.05)
        self.adam.build(self.net.trainable_variables)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.built = True
        super().compile(optimizer="sgd", jit_compile=False)

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self.net(tf.concat(data, -1)) - data[0]) ** 2)
        variables = self.net.trainable_variables
        self.adam.apply_gradients(zip(tape.gradient(loss, variables), variables))
        self.step.assign_add(1)
        return {"l2": loss, "brightest": tf.reduce_max(data[0]), "hole": tf.reduce_mean(data[1])}

def dataset(first):
    def sample(i):
        noise = tf.random.stateless_uniform([16, 16, 4], tf.stack([tf.constant(7, tf.int64), i]))
        return noise[..., :3], tf.round(noise[..., 3:])
    return tf.data.Dataset.range(first, 10**6).map(sample).batch(2)

def dies(call):
    def wrapped(*arguments, **options):
        wrapped.left -= 1
        if wrapped.left == 0:
            if point == "savez":
                arguments[0].write(b"PK half of a checkpoint")
                arguments[0].flush()
            if point == "append":
                with open(os.path.join(folder, arguments[1]), "a") as stream:
                    stream.write(arguments[2][:20])
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    wrapped.left = count
    return wrapped

savez = np.savez
if point == "savez":
    np.savez = dies(np.savez)
elif point == "link":
    checkpoints._link = dies(checkpoints._link)
elif point == "append":
    run_folder.RunFolder._append = dies(run_folder.RunFolder._append)

trainer = Trainer()
image = np.linspace(0, 1, 2 * 16 * 16 * 3, dtype=np.float32).reshape(2, 16, 16, 3)
mask = np.zeros((2, 16, 16, 1), np.float32)
mask[:, 4:9, 4:9] = 1
recipe = loop.Recipe(
    trainer=trainer,
    layers={"net": trainer.net},
    optimizers={"adam": trainer.adam},
    images_per_step=2,
    size=16,
    preview=lambda x, m: {"result": trainer.net(tf.concat([x, m], -1))},
    save_weights=lambda path: savez(path, kernel=trainer.net.kernel.numpy()),
    validation_terms=lambda x, m: {"l2": tf.reduce_mean((trainer.net(tf.concat([x, m], -1)) - x) ** 2)},
)
schedule = loop.Schedule(
    *(23, 1, 4, 5), keep_checkpoints=2, milestone_every=10, keep_best="validation_l2", validate_every=2
)
loop.train(recipe, dataset, (image, mask), schedule, loop.RunFolder(folder, {"seed": 7}))
"""
# Where it dies, and at which call after its start.
POINTS = (("append", 7), ("savez", 3), ("link", 2))


@pytest.fixture
def toy(forked):
    """toy(folder, point, count) -> what a run prints that dies there, or nowhere."""

    def run(folder, point="never", count=0):
        process = forked("-c", TOY, folder, point, count, cwd=ROOT, CUDA_VISIBLE_DEVICES="-1")
        assert process.returncode == (0 if point == "never" else -signal.SIGKILL), process.stderr
        return process.stdout

    return run


@pytest.mark.default_environment
def test_killed_while_it_writes_a_run_ends_as_if_it_had_not_been(toy, tmp_path):
    toy(tmp_path / "whole")
    seen = set()
    for point, count in POINTS:
        toy(tmp_path / "killed", point, count)
        seen.update(p.name[:9] for p in (tmp_path / "killed").rglob(".partial-*"))
    assert seen == {".partial-"}  # a half-written checkpoint lay there
    out = toy(tmp_path / "killed")
    assert (
        "continuing from step" in out and "are removed" in (tmp_path / "killed/log.txt").read_text()
    )
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


# --- the real command, killed at random moments

COMMON = (
    *("--log_every=1", "--checkpoint_every=3", "--picture_every=25", "--validate_every=7"),
    *("--validation_images=3", "--keep_best=validation_psnr", "--milestone_every=50"),
    *("--learning_rate=1e-3", "--learning_rate_drops=0.3,0.6", "--seed=5", "--dataset=sample"),
    *("--batch_size=2", "--resize", "--flip"),
)
FLAGS = {
    "hifill": (
        *("--hifill_size=64", "--hifill_channels=4", "--coarse_gate=pw", "--critic_steps=1"),
        "--steps=300",
    ),
    "zoom": (
        *("--model=zoom_to_inpaint", "--stage=joint", "--zoom_channels=4", "--zoom_size=16"),
        *("--coarse_weights=none", "--sr_weights=none", "--refinement_weights=none"),
        *("--vgg_weights=none", "--masks=small", "--ema=0.9", "--steps=300"),
        "--batch_norm_warmup",
    ),
}
KILLS = int(os.environ.get("KILLS", "20"))


def _start(model, folder):
    flags = (*COMMON, *FLAGS[model], f"--output={folder}")
    command = [sys.executable, str(ROOT / "train.py"), *flags]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with open(folder.with_suffix(".txt"), "w") as output:  # a pipe would fill up
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output)


def _output(folder):
    return folder.with_suffix(".txt").read_text()[-2000:]


def _lines(folder):
    path = folder / "statistics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _kill_at_random(model, folder, rng):
    """Kills it while it starts (one time in five) or up to 20 lines of statistics later; returns when."""
    with _start(model, folder) as process:
        began = time.monotonic()
        trains = rng.random() > 0.2
        while trains and process.poll() is None and time.monotonic() - began < 900:
            logged = _lines(folder)
            time.sleep(0.2)
            if _lines(folder) > logged > 0:  # it is training
                wanted = _lines(folder) + rng.randrange(20)
                while _lines(folder) < wanted and process.poll() is None:
                    time.sleep(0.001)
                break
        time.sleep(rng.random())
        assert process.poll() is None, _output(folder)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    partial = len(list(folder.rglob(".partial-*")))
    lines = (folder / "statistics.jsonl").read_text().splitlines() if _lines(folder) else ["-"]
    return f"after {time.monotonic() - began:.1f} s, {partial} half-written, last line {lines[-1][:12]}"


@pytest.mark.full
@pytest.mark.parametrize("model", FLAGS)
def test_killed_twenty_times_at_random_moments(model, tmp_path):
    rng = random.Random(os.environ.get("KILL_SEED", "0"))
    with _start(model, tmp_path / "whole") as process:
        assert process.wait() == 0, _output(tmp_path / "whole")
    for number in range(KILLS):
        print(f"kill {number + 1}: {_kill_at_random(model, tmp_path / 'killed', rng)}", flush=True)
    with _start(model, tmp_path / "killed") as process:
        assert process.wait() == 0, _output(tmp_path / "killed")
    assert_same_run(tmp_path / "killed", tmp_path / "whole")
