"""Both papers' networks at inference: share of the machine's convolution rate, and HiFill beside the authors' graph.

    python -m benchmarks.networks --output=benchmarks/results/networks.json
    python -m benchmarks.networks --frozen_graph=0.pb

HiFill's generator at 512x512 in the paper's and the release's configuration, and Zoom-to-Inpaint at 256x256: `generate`
for all results, and `fill` for the final one. Batch 1, one block of 10% hole, random weights, which do not change the
time. With --precision=bfloat16 the networks compute in bfloat16 and the authors' graph in float32. In every round the
convolution rate R and each network are measured once, one after the other, so that steady other work on the machine
slows all of them. Ratios still depend on such work: measure on an idle machine if you can. A network's numbers are
medians over the rounds:

    seconds           one call
    arithmetic_gflop  operations of its convolutions and matrix products (`benchmarks.flops`)
    convolution_rate  R of the round, in GFLOP/s (`benchmarks.machine`)
    share_of_rate     arithmetic_gflop / (seconds x R)
    times_as_fast     seconds of the authors' graph / seconds, with --frozen_graph
"""

from __future__ import annotations

import pathlib
import statistics
import time
from typing import Callable

from absl import flags

from benchmarks import flops, inputs, machine, results

FLAGS = flags.FLAGS
flags.DEFINE_string("frozen_graph", None, "HiFill's frozen graph as its authors published it, .pb")
flags.DEFINE_enum("precision", "float32", ("float32", "bfloat16"), "of the networks measured")
flags.DEFINE_integer("rounds", 15, "measurements of every network", lower_bound=1)
flags.register_validator(
    "frozen_graph",
    lambda path: path is None or pathlib.Path(path).is_file(),
    "no such file; give the .pb of HiFill's authors",
)
AUTHORS = "hifill_authors_graph"


def frozen_graph(path: str) -> Callable:
    """The authors' frozen graph: (image [1, 512, 512, 3] in [-1, 1], mask [1, 512, 512, 1]) -> refined image."""
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(pathlib.Path(path).read_bytes())
    whole = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    return whole.prune(["img_norm:0", "mask_in:0"], "generator/clip_by_value_1:0")


def networks() -> dict[str, Callable]:
    """{name: a call of the network, which returns when it is done}."""
    import tensorflow as tf

    import hifill
    import zoom_to_inpaint
    from common import keras_compat

    large, small = (
        [tf.constant(part) for part in inputs.batch(*inputs.photograph(side))]
        for side in (512, 256)
    )
    dtype = keras_compat.policy(FLAGS.precision)
    paper, release = hifill.HiFill(hifill.PAPER, dtype), hifill.HiFill(hifill.RELEASE, dtype)
    zoom = zoom_to_inpaint.ZoomToInpaint(dtype=dtype)
    calls = {
        "hifill_paper_generate": lambda: [part.numpy() for part in paper.generate(*large)],
        "hifill_paper_fill": lambda: [part.numpy() for part in paper.fill(*large)],
        "hifill_release_generate": lambda: [part.numpy() for part in release.generate(*large)],
        "hifill_release_fill": lambda: [part.numpy() for part in release.fill(*large)],
        "zoom_to_inpaint_generate": lambda: [part.numpy() for part in zoom.generate(*small)],
        "zoom_to_inpaint_fill": lambda: zoom.fill(*small).numpy(),
    }
    if FLAGS.frozen_graph:
        authors, image = frozen_graph(FLAGS.frozen_graph), large[0] * 2.0 - 1.0
        calls[AUTHORS] = lambda: authors(image, large[1]).numpy()
    return calls


def in_turn(calls: dict[str, Callable], rounds: int, warm_up: int = 2) -> tuple[dict, list[float]]:
    """({name: seconds of every round}, R of every round), after `warm_up` rounds without measurement."""
    seconds, rates = {name: [] for name in calls}, []
    for turn in range(-warm_up, rounds):
        if turn >= 0:
            rates.append(machine.best_rate())
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - started)
    return seconds, rates


def summary(seconds: list, rates: list, gflop: float | None, authors: list | None) -> dict:
    """One network's numbers, see the module docstring; what is not known is left out.

    seconds, rates, authors: of every round; authors: seconds of the authors' graph.
    gflop: arithmetic of one call.
    """
    found = {"seconds": statistics.median(seconds), "convolution_rate": statistics.median(rates)}
    if gflop is not None:
        shares = [gflop / (time * rate) for time, rate in zip(seconds, rates)]
        found.update(arithmetic_gflop=gflop, share_of_rate=statistics.median(shares))
    if authors is not None:
        ratios = [theirs / ours for theirs, ours in zip(authors, seconds)]
        found["times_as_fast"] = statistics.median(ratios)
    return found


def measure(found: results.Results) -> None:
    """Every network."""
    calls = networks()
    seconds, rates = in_turn(calls, FLAGS.rounds)
    for name, call in calls.items():
        # The operations of an imported graph cannot be counted, because it never runs eagerly.
        gflop = None if name == AUTHORS else flops.count(call) / 1e9
        authors = seconds.get(AUTHORS) if name.startswith("hifill") else None
        found.add(name, summary(seconds[name], rates, gflop, authors))


if __name__ == "__main__":
    results.run(measure)
