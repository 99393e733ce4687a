"""Cost of HiFill on this machine: generator, residual aggregation, whole photographs, a training step.

    python -m benchmarks.hifill --output=benchmarks/results/hifill.json
    python -m benchmarks.hifill --sides=512,2048 --notraining

Every part measures the convolution rate R just before and after; a cost is time x R in GFLOP (see
`benchmarks.machine`). Weights are random, which does not change the time. The hole is one block of about 10%.
"""

from __future__ import annotations

import functools
import statistics
import time

import numpy as np
from absl import flags

from benchmarks import inputs, machine, results

FLAGS = flags.FLAGS
flags.DEFINE_list("sides", ["512", "2048", "4096", "8192"], "sides of square photographs")
flags.DEFINE_integer("repeats", 5, "repetitions of each measurement", lower_bound=1)
flags.DEFINE_bool("training", True, "measure a training step too")


def generator(model) -> dict:
    """The generator alone at its own size, batch 1."""
    batch = inputs.batch(*inputs.photograph(model.config.size))
    return machine.cost(
        lambda: [part.numpy() for part in model.generate(*batch)], FLAGS.repeats, warm_up=2
    )


def with_memory(call) -> dict:
    """Cost and memory of a call."""
    memory = machine.peak_gigabytes(call)
    return {**machine.cost(call, FLAGS.repeats, warm_up=2), "peak_gigabytes": memory}


def aggregation(side: int, model) -> dict:
    """`aggregate_residuals`: averaging down, aggregation, upsampling, pasting."""
    import hifill

    image, mask = inputs.photograph(side)
    rng = np.random.default_rng(1)
    completion = rng.random((model.config.size, model.config.size, 3), dtype=np.float32)
    attention = rng.random((1024, 1024), dtype=np.float32) / 512
    return with_memory(lambda: hifill.aggregate_residuals(image, mask, completion, attention))


def training_step() -> dict:
    """A full-size training step (batch 1, 512 x 512) of generator and critic, and the generator's forward pass."""
    import tensorflow as tf

    import hifill
    from hifill.training import HiFillTrainer, TrainingOptions

    trainer = HiFillTrainer(hifill.HiFill(hifill.PAPER), TrainingOptions(batch_size=1))
    image, mask = map(tf.constant, inputs.batch(*inputs.photograph(512)))
    image = image * 2.0 - 1.0
    calls = {
        "forward": tf.function(lambda: trainer.generator((image, mask))[1]),
        "generator_step": tf.function(lambda: trainer.generator_step(image, mask)),
        "critic_step": tf.function(lambda: trainer.critic_step(image, mask, 0)),
    }
    seconds = {name: [] for name in calls}
    # Interleaved, so that noise affects all calls alike.
    for turn in range(max(5, FLAGS.repeats) + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if turn:  # the first call builds the graph
                seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {**medians, "step_over_forward": medians["generator_step"] / medians["forward"]}


def measure(found: results.Results) -> None:
    """Every part."""
    import hifill

    models = {"paper": hifill.HiFill(hifill.PAPER), "release": hifill.HiFill(hifill.RELEASE)}
    for name, model in models.items():
        found.add(f"generator_{name}", generator(model))
    for side in map(int, FLAGS.sides):
        found.add(f"aggregation_{side}", aggregation(side, models["paper"]))
        call = functools.partial(models["paper"].inpaint, *inputs.photograph(side))
        found.add(f"inpaint_{side}", with_memory(call))
    if FLAGS.training:
        found.add("training_step", training_step())


if __name__ == "__main__":
    results.run(measure)
