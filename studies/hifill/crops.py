"""Grids of details, as HiFill's figures have them: the same square around the hole, cut from every method's result."""

from __future__ import annotations

import numpy as np

from common.filling import photographs
from common.images import convert
from common.images import grid as pictures
from common.scoring import protocol

_CELL = 256


def around_hole(mask: np.ndarray, side: int) -> tuple[slice, slice]:
    """Rows and columns of a square of `side` (at most the picture) around the densest part of a hole [H, W]."""
    import cv2

    side = min(side, *mask.shape)
    # Share of hole in every window; its largest value is where detail had to be made up.
    share = cv2.boxFilter(mask.astype(np.float32), -1, (side, side), borderType=cv2.BORDER_CONSTANT)
    row, column = np.unravel_index(np.argmax(share), share.shape)
    top, left = (
        int(np.clip(centre - side // 2, 0, length - side))
        for centre, length in zip((row, column), mask.shape)
    )
    return slice(top, top + side), slice(left, left + side)


def rows(chunk, most: int, side: int) -> list[list[np.ndarray]]:
    """Per picture: hole, every method's result, truth; details of `side` x `side` pixels, one to one."""
    found = []
    for case in chunk.cases[:most]:
        truth, mask = convert.read_rgb(case.image), photographs.read_mask(case.mask)
        where = around_hole(mask, side)
        results = [
            convert.read_rgb(protocol.prediction(f, case.name)) for f in chunk.folders.values()
        ]
        all_of_row = [pictures.paint_hole(truth, mask), *results, truth]
        found.append([np.ascontiguousarray(image[where]) for image in all_of_row])
    return found


def grid(chunk, most: int = 3, side: int = _CELL) -> np.ndarray:
    """`rows` as one picture."""
    labels = ["input", *chunk.folders, "truth"]
    return pictures.grid(rows(chunk, most, side), labels, cell=side)
