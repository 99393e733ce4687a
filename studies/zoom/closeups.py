"""Pictures for visual comparison: whole pictures with a box, and below them what is in the box, enlarged.

Nothing is picked by hand: the box is where most of the hole is. All arrays are uint8, pictures [H, W, 3] RGB, masks
[H, W] with 1 = hole.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from common.images import convert
from common.images import grid as pictures
from studies.kit.bench import Scored

_SHARE = 4  # the box is a quarter of the shorter side
_INK = (0, 158, 240)


def window(mask: np.ndarray, side: int) -> tuple[int, int]:
    """(top, left) of the square of `side` pixels that covers most of the hole; the first of equals."""
    sums = cv2.integral(mask)
    covered = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(int(covered.argmax()), covered.shape)
    return int(top), int(left)


def boxed(image: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    """A copy with the outline of a square, two pixels wide, drawn around it."""
    drawn = image.copy()
    for out in (1, 2):  # one by one: OpenCV draws a thick line on both sides
        cv2.rectangle(
            drawn, (left - out, top - out), (left + side + out - 1, top + side + out - 1), _INK, 1
        )
    return drawn


def enlarged(image: np.ndarray, top: int, left: int, side: int, to: int) -> np.ndarray:
    """The square, enlarged to `to` x `to` without smoothing, so that pixels show."""
    part = image[top : top + side, left : left + side]
    return cv2.resize(part, (to, to), interpolation=cv2.INTER_NEAREST)


def rows(scored: Scored, index: int) -> list[list[np.ndarray]]:
    """Two rows for one image of a set: input, every method, truth; and their closeups."""
    case = scored.cases[index]
    truth, mask = convert.read_rgb(case.image), convert.read_rgb(case.mask)[..., 0] // convert.WHITE
    results = [convert.read_rgb(folder / f"{case.name}.png") for folder in scored.folders.values()]
    whole = [pictures.paint_hole(truth, mask), *results, truth]
    side = max(8, min(mask.shape) // _SHARE)
    box = *window(mask, side), side
    close = [enlarged(image, *box, to=min(mask.shape)) for image in whole]
    return [[boxed(image, *box) for image in whole], close]


def grid(sets: Sequence[tuple[Scored, Sequence[int]]]) -> np.ndarray:
    """One picture of rows of several sets with the same methods: (set, which of its images)."""
    labels = ["Masked image", *sets[0][0].folders, "Ground truth"]
    found = [row for scored, indices in sets for index in indices for row in rows(scored, index)]
    # OpenCV's letters are ASCII.
    return pictures.grid(found, [label.replace("L∇", "gradient") for label in labels], cell=224)


def largest_holes(scored: Scored, count: int) -> list[int]:
    """Indices of the images of a set with the largest holes, largest first."""
    hole = {score.name: score.hole_fraction for score in scored.scores}
    order = sorted(range(len(scored.cases)), key=lambda i: -hole[scored.cases[i].name])
    return order[:count]
