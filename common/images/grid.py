"""Picture grids like the papers' figures: one picture per row, columns input, results, truth.

All arrays are uint8 RGB [H, W, 3], masks uint8 [H, W] of 0 and 1 (1 = hole). `common.images.convert.write_png` writes
a grid. Pictures are reduced by area averaging, which keeps thin seams visible, and never enlarged. With `cell` equal to
the longer side, pictures keep their pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from common.images.convert import WHITE

MAGENTA = (WHITE, 0, WHITE)

_INK = (0x30, 0x30, 0x30)
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.5
_MARGIN = 5  # pixels above and below a label


def paint_hole(
    image: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int] = MAGENTA
) -> np.ndarray:
    """A copy of `image` [H, W, 3] uint8 with the hole of `mask` [H, W] in one flat colour."""
    painted = image.copy()
    painted[mask != 0] = colour
    return painted


def shrink(image: np.ndarray, cell: int) -> np.ndarray:
    """`image`, reduced if its longer side is above `cell`."""
    height, width = image.shape[:2]
    scale = cell / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _text_size(label: str) -> tuple[int, int, int]:
    """(width, height above the baseline, depth below it) in pixels."""
    (width, height), depth = cv2.getTextSize(label, _FONT, _FONT_SCALE, 1)
    return width, height, depth


def grid(
    rows: Sequence[Sequence[np.ndarray]], labels: Sequence[str], cell: int = 256, gap: int = 4
) -> np.ndarray:
    """Lays pictures out in rows and labelled columns on white.

    Args:
      rows: at least one row. A row has one uint8 picture [H, W, 3] per label, all of one size; rows may differ.
      labels: column titles, ASCII (OpenCV's font) or empty.
      cell: longer side in pixels to which larger pictures are reduced; the aspect ratio stays.
      gap: white pixels between pictures.

    Returns:
      uint8 [H, W, 3] RGB. Columns are as wide as the widest picture or their title, pictures are centred.

    Raises:
      ValueError: a row's length differs from `labels`, or its pictures differ in size.
    """
    small = [[shrink(image, cell) for image in row] for row in rows]
    for row in small:
        if len(row) != len(labels) or len({image.shape for image in row}) != 1:
            raise ValueError(f"expected a row of {len(labels)} pictures of one size")
    heights = [row[0].shape[0] for row in small]
    widest = max(row[0].shape[1] for row in small)
    texts = [_text_size(label) for label in labels]
    widths = [max(widest, text_width) for text_width, _, _ in texts]
    top = max(up + down for _, up, down in texts) + 2 * _MARGIN if any(labels) else gap
    size = top + sum(heights) + gap * len(rows), sum(widths) + gap * (len(labels) + 1), 3
    canvas = np.full(size, WHITE, np.uint8)
    for column, (label, text) in enumerate(zip(labels, texts)):
        # Of the column, doubled.
        middle = 2 * (gap * (column + 1) + sum(widths[:column])) + widths[column]
        origin = (middle - text[0]) // 2, _MARGIN + text[1]
        cv2.putText(canvas, label, origin, _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)
        for number, row in enumerate(small):
            height, width = row[column].shape[:2]
            y = top + sum(heights[:number]) + gap * number
            x = (middle - width) // 2
            canvas[y : y + height, x : x + width] = row[column]
    return canvas
