"""`make demo-training`: trains from random weights on scikit-image's photographs.

    python -m hifill.demo_training --output=demo_training_output [--minutes=2.5]

1. trains a small HiFill for a few minutes (configs/hifill/small/demo.cfg),
2. scores it beside OpenCV's Telea on held-out photographs,
3. fills a hole in a photograph of 1411 x 1411 pixels,
each with the package's own commands, and prints where the pictures are. Minutes of training on ten photographs show
that everything works, not what the method can do.
"""

from __future__ import annotations

import pathlib

from absl import flags

from common import command_line, environment
from common.data import datasets
from common.filling import photographs
from common.images import convert, grid
from common.masks import files as mask_files
from hifill.demo import command

FLAGS = flags.FLAGS
_PHOTOGRAPH = "retina.jpg"
_MASK_SEED = 5


def prepare() -> None:
    """Checks the environment and defines the flags."""
    environment.check()
    flags.DEFINE_string("output", "demo_training_output", "folder for everything the demo writes")
    flags.DEFINE_float("minutes", 2.5, "of training", lower_bound=0.01)


def large_photograph(output: pathlib.Path, weights: pathlib.Path) -> pathlib.Path:
    """Fills a hole in the photograph of 1411 x 1411 pixels; returns the path of the comparison."""
    photograph = next(p for p in datasets.files("sample", None, "test") if p.endswith(_PHOTOGRAPH))
    image = convert.read_rgb(photograph)
    mask = mask_files.mask_source("object")(*image.shape[:2], _MASK_SEED)
    mask_path, result = output / "photograph_mask.png", output / "photograph_filled.png"
    convert.write_png(mask_path, mask * convert.WHITE)
    files = {"weights": weights, "image": photograph, "mask": mask_path, "output": result}
    command("inpaint", model="hifill", **files, overwrite=True)
    filled = photographs.read_photograph(result).rgb
    side_by_side = output / "photograph.png"
    row = [grid.paint_hole(image, mask), filled, image]
    convert.write_png(side_by_side, grid.grid([row], ["input", "HiFill", "truth"], cell=705))
    return side_by_side


def main(_) -> int:
    output = pathlib.Path(FLAGS.output)
    run, scores = output / "run", output / "evaluation"
    flagfile, weights = "configs/hifill/small/demo.cfg", run / "weights.npz"
    command("train", flagfile=flagfile, minutes=FLAGS.minutes, output=run)
    scored = {"model": "hifill,telea", "weights": weights, "dataset": "sample"}
    command("evaluate", **scored, masks="mixed", size=256, output=scores)
    photograph = large_photograph(output, weights)
    print("\nLook at:")
    print(f"  {scores / 'mixed' / 'pictures.png'}   held-out photographs, HiFill beside Telea")
    print(f"  {photograph}   a hole in 1411 x 1411 pixels")
    print(f"  {run}   the training run; tensorboard --logdir {run} shows its curves and pictures")
    return 0


if __name__ == "__main__":
    command_line.run()
