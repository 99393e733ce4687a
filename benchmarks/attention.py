"""HiFill's attention (section 3.2): the number of patches that a hole patch averages, and the detail that is left.

    python -m benchmarks.attention --image=photos/ --mask=masks/
    python -m benchmarks.attention --image=photos/ --mask=masks/ --weights=runs/mine/weights.npz --factors=1,10,100

The output has one line per factor on the cosines (eq. 2 has none), with medians over photographs of two numbers. The
first is the number of patches that a hole patch averages (median over hole patches of 1 / sum s^2, 1 to 1024). The
second is the share of the true detail in the hole; detail is the part of a photograph that 512 x 512 cannot show.
Residual aggregation gets the true completion, so the attention alone is judged. Photographs must hold the truth under
their masks (white = hole). Sides are cut to multiples of 512.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from absl import app, flags

from common import environment
from common.images import convert, pairing
from common.masks import files as mask_files
from common.models import window as windows

FLAGS = flags.FLAGS
flags.DEFINE_string("image", None, "photograph, or folder of photographs", required=True)
flags.DEFINE_string("mask", None, "mask, or folder of masks", required=True)
flags.DEFINE_string("weights", None, "weights of a HiFill; default: the paper's network, untrained")
flags.DEFINE_list("factors", ["1", "10", "25", "50"], "factors on the cosines")


def measure(model, factor: float, photograph: np.ndarray, hole: np.ndarray) -> tuple[float, float]:
    """(patches averaged, share of the true detail) of one photograph.

    Args:
      model: `hifill.HiFill` that works at 512 x 512 without overlapping patches.
      factor: on the scores before the softmax.
      photograph: uint8 [H, W, 3], H = W a multiple of 512.
      hole: [H, W] bool; the photograph holds the truth there.
    """
    from hifill.residual_aggregation import aggregate_residuals, reduced

    size = model.config.size
    true_low = reduced(photograph, size, np.zeros_like(hole))
    mask = windows.cells_touching(hole, size)[np.newaxis, ..., np.newaxis].astype(np.float32)
    layer = model.refinement.attention
    layer.config = dataclasses.replace(model.config, temperature=factor)
    try:
        unit = true_low[np.newaxis] / convert.WHITE
        attention = model((unit * 2.0 - 1.0, mask))[2].dense().numpy()[0]
    finally:
        layer.config = model.config
    rows = attention[attention.sum(axis=1) > 0]
    completion = np.rint(true_low).astype(np.uint8)
    filled = aggregate_residuals(photograph, hole, completion, attention)
    share = _detail(filled, hole, size) / _detail(photograph, hole, size)
    return float(np.median(1 / np.square(rows).sum(axis=1))), float(share)


def _detail(photograph, hole, size):
    """Standard deviation, inside the hole, of the detail that a reduction to `size` loses."""
    small = cv2.resize(photograph.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    lost = photograph - cv2.resize(small, photograph.shape[1::-1])
    border = 2 * photograph.shape[0] // size * 2 + 1
    inner = cv2.erode(hole.astype(np.uint8), np.ones((border, border), np.uint8))
    return lost[inner > 0].std()


def window(photograph: np.ndarray, hole: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest square around the hole whose side is a multiple of `size`, for `measure`."""
    height, width = hole.shape
    side = min(height, width) // size * size
    left, top, hole_width, hole_height = cv2.boundingRect(hole.astype(np.uint8))
    top = windows.start(top, top + hole_height, side, height)
    left = windows.start(left, left + hole_width, side, width)
    place = slice(top, top + side), slice(left, left + side)
    return np.ascontiguousarray(photograph[place]), np.ascontiguousarray(hole[place])


def main(_):
    import hifill
    from hifill import weights_source

    model = weights_source.load(FLAGS.weights) if FLAGS.weights else hifill.HiFill()
    model = model.at_size(hifill.PAPER.size)
    found = {float(factor): [] for factor in FLAGS.factors}
    for pair in pairing.pairs(FLAGS.image, FLAGS.mask, "."):
        photograph = convert.read_rgb(pair.image)
        hole = mask_files.read_mask(pair.mask) > 0
        seen = window(photograph, hole, model.config.size)
        for factor, measured in found.items():
            measured.append(measure(model, factor, *seen))
            print(f"{pair.image.name}, times {factor:g}: {_text(measured[-1])}", flush=True)
    for factor, measured in found.items():
        print(f"median, times {factor:g}: {_text(np.median(measured, axis=0))}")


def _text(measured):
    return f"{measured[0]:.1f} patches averaged, {100 * measured[1]:.0f}% of the detail"


if __name__ == "__main__":
    environment.check()
    app.run(main)
