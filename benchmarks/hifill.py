"""Cost of HiFill on this machine: generator, residual aggregation, whole photographs, a training step.

    python -m benchmarks.hifill --output=benchmarks/results/hifill.json
    python -m benchmarks.hifill --sides=512,2048 --notraining

Every part measures the convolution rate R just before and after; a cost is time x R in GFLOP (see
`benchmarks.machine`). Weights are random: they change no timing. The hole is one block of about 10%.
"""

from __future__ import annotations

import json
import time

import numpy as np
from absl import app, flags

from benchmarks import machine
from common import environment, storage

FLAGS = flags.FLAGS
flags.DEFINE_list("sides", ["512", "2048", "4096", "8192"], "of square photographs")
flags.DEFINE_integer("repeats", 5, "of each measurement", lower_bound=1)
flags.DEFINE_bool("training", True, "measure a training step too")
flags.DEFINE_string("output", None, "JSON file for the results")


def photograph(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth random image uint8 [side, side, 3] and a mask with one block of 10% hole."""
    import cv2

    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((side, side), np.uint8)
    first, length = int(0.3 * side), int(0.32 * side)
    mask[first : first + length, first : first + length] = 1
    return image, mask


def with_rate(call) -> dict:
    """Seconds of `call`, the rate R around it, and their product in GFLOP."""
    before = machine.best_rate()
    seconds = machine.median_seconds(call, FLAGS.repeats, warm_up=2)
    rate = (before + machine.best_rate()) / 2
    return {"seconds": seconds, "rate_gflops": rate, "cost_gflop": seconds * rate}


def generator(model) -> dict:
    """The generator alone at its own size, batch 1."""
    image, mask = photograph(model.config.size)
    unit = image[None].astype(np.float32) / image.max()
    mask = mask[None, ..., None].astype(np.float32)
    return with_rate(lambda: [part.numpy() for part in model.generate(unit, mask)])


def aggregation(side: int, model) -> dict:
    """`aggregate_residuals`: averaging down, aggregation, upsampling, pasting."""
    import hifill

    image, mask = photograph(side)
    rng = np.random.default_rng(1)
    completion = rng.random((model.config.size, model.config.size, 3), dtype=np.float32)
    attention = rng.random((1024, 1024), dtype=np.float32) / 512

    def call():
        hifill.aggregate_residuals(image, mask, completion, attention)

    return {**with_rate(call), "peak_gigabytes": machine.peak_gigabytes(call)}


def whole(side: int, model) -> dict:
    """`model.inpaint` of one photograph in memory."""
    image, mask = photograph(side)

    def call():
        model.inpaint(image, mask)

    return {**with_rate(call), "peak_gigabytes": machine.peak_gigabytes(call)}


def training_step() -> dict:
    """A full-size generator step (batch 1, 512 x 512, critic included) against the generator's forward."""
    import tensorflow as tf

    import hifill
    from hifill.training import HiFillTrainer, TrainingOptions

    trainer = HiFillTrainer(hifill.HiFill(hifill.PAPER), TrainingOptions(batch_size=1))
    image, mask = photograph(512)
    image = tf.constant(image[None] / image.max() * 2.0 - 1.0, tf.float32)
    mask = tf.constant(mask[None, ..., None], tf.float32)
    forward = tf.function(lambda: trainer.generator((image, mask))[1])
    step = tf.function(lambda: trainer.generator_step(image, mask))
    critic = tf.function(lambda: trainer.critic_step(image, mask, 0))
    calls = {"forward": forward, "generator_step": step, "critic_step": critic}
    seconds = {name: [] for name in calls}
    for turn in range(max(5, FLAGS.repeats) + 1):  # interleaved, so that noise meets all of them
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if turn:  # the first call builds the graph
                seconds[name].append(time.perf_counter() - started)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    return {**medians, "step_over_forward": medians["generator_step"] / medians["forward"]}


def main(_):
    import hifill

    results = {"versions": environment.versions(), "git_commit": environment.git_commit()}
    models = {"paper": hifill.HiFill(hifill.PAPER), "release": hifill.HiFill(hifill.RELEASE)}
    for name, model in models.items():
        results[f"generator_{name}"] = _say(f"generator {name}", generator(model))
    for side in map(int, FLAGS.sides):
        results[f"aggregation_{side}"] = _say(
            f"aggregation {side}", aggregation(side, models["paper"])
        )
        results[f"inpaint_{side}"] = _say(f"inpaint {side}", whole(side, models["paper"]))
    if FLAGS.training:
        results["training_step"] = _say("training step", training_step())
    if FLAGS.output:
        storage.write_text(FLAGS.output, json.dumps(results, indent=1) + "\n")


def _say(label, values):
    print(f"{label:18}", ", ".join(f"{k} {v:.3g}" for k, v in values.items()), flush=True)
    return values


if __name__ == "__main__":
    environment.check()
    app.run(main)
