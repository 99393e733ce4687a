"""Time and memory of the baselines on this machine, up to photographs of 8192x8192.

    python -m benchmarks.baselines --output=benchmarks/results/baselines.json
    python -m benchmarks.baselines --methods=harmonic,telea --sides=512,2048

The photograph is smooth random colours, the hole one of --masks=object, by default a tenth of the picture. Seconds are
medians, the machine's convolution rate R is measured beside them (`benchmarks.machine`); memory is what one fill needs
beyond the photograph and its mask.
"""

from __future__ import annotations

from absl import flags

from benchmarks import inputs, machine, results
from common.masks import files as mask_files
from common.scoring import baselines

FLAGS = flags.FLAGS
flags.DEFINE_list("methods", ["harmonic"], f"of {', '.join(baselines.NAMES)}")
flags.DEFINE_list("sides", ["512", "2048", "8192"], "of square photographs")
flags.DEFINE_integer("repeats", 3, "of each measurement", lower_bound=1)
flags.DEFINE_integer("seed", 1, "of the hole", lower_bound=0)


def one(method: str, side: int) -> dict[str, float]:
    """Seconds, GB, and the share of the picture that is hole, of one method at one side."""
    image, _ = inputs.photograph(side)
    mask = mask_files.mask_source("object")(side, side, FLAGS.seed)

    def call():
        baselines.inpaint(method, image, mask)

    return {
        "seconds": machine.median_seconds(call, FLAGS.repeats, warm_up=0),
        "peak_gigabytes": machine.peak_gigabytes(call),
        "hole": float(mask.mean()),
    }


def measure(found: results.Results) -> None:
    """Every method at every side."""
    found.content["rate_gflops"] = machine.best_rate()
    for method in FLAGS.methods:
        for side in map(int, FLAGS.sides):
            found.add(f"{method}_{side}", one(method, side))


if __name__ == "__main__":
    results.run(measure)
