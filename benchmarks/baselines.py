"""Time and memory of the baselines on this machine, up to photographs of 8192x8192.

    python -m benchmarks.baselines --output=benchmarks/results/baselines.json
    python -m benchmarks.baselines --methods=harmonic,telea --sides=512,2048

The photograph is smooth random colours, the hole one of --masks=object, by default a tenth of the picture. Seconds are
medians, the machine's convolution rate R is measured beside them (`benchmarks.machine`); memory is what one fill needs
beyond the photograph and its mask.
"""

from __future__ import annotations

import json

import cv2
import numpy as np
from absl import app, flags

from benchmarks import machine
from common import environment, storage
from common.masks import files as mask_files
from common.scoring import baselines

FLAGS = flags.FLAGS
flags.DEFINE_list("methods", ["harmonic"], f"of {', '.join(baselines.NAMES)}")
flags.DEFINE_list("sides", ["512", "2048", "8192"], "of square photographs")
flags.DEFINE_integer("repeats", 3, "of each measurement", lower_bound=1)
flags.DEFINE_integer("seed", 1, "of the hole", lower_bound=0)
flags.DEFINE_string("output", None, "JSON file for the results")


def measure(method: str, side: int, repeats: int, seed: int) -> dict[str, float]:
    """Seconds, GB, and the share of the picture that is hole, of one method at one side."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    mask = mask_files.mask_source("object")(side, side, seed)

    def call():
        baselines.inpaint(method, image, mask)

    return {
        "seconds": machine.median_seconds(call, repeats, warm_up=0),
        "peak_gigabytes": machine.peak_gigabytes(call),
        "hole": float(mask.mean()),
    }


def main(_):
    results = {"versions": environment.versions(), "git_commit": environment.git_commit()}
    results["rate_gflops"] = machine.best_rate()
    for method in FLAGS.methods:
        for side in map(int, FLAGS.sides):
            found = results[f"{method}_{side}"] = measure(method, side, FLAGS.repeats, FLAGS.seed)
            print(f"{method} {side}", ", ".join(f"{k} {v:.3g}" for k, v in found.items()))
    if FLAGS.output:
        storage.write_text(FLAGS.output, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    environment.check()
    app.run(main)
