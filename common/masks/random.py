"""Random holes: brush strokes (Zoom-to-Inpaint), irregular damage and object shapes (HiFill).

Every mask function returns a new `[H, W]` uint8 array of 0 and 1, 1 = hole, with at least one hole pixel
and at least one known pixel, or raises `UserError`. x runs along the width, y along the height.

A seed is a non-negative int or a sequence of them, e.g. `(run_seed, epoch, index)`. `5` equals `(5,)`;
`(5,)` and `(5, 0)` differ. A seed gives the same mask on every platform and NumPy version, and masks of
different seeds are independent. An empty or full mask is drawn again from the same generator.

`stroke_mask` follows Zoom-to-Inpaint Table 1 (`d` is the image diagonal; thickness is in pixels whatever the
image size):

|       | vertices | piece length  | thickness | angle a            | every other angle   |
|-------|----------|---------------|-----------|--------------------|---------------------|
| small | U{1,12}  | U(1, d/12)    | U{5,30}   | U(0, 2pi)          | a + U(3pi/4, 5pi/4) |
| large | U{4,12}  | N(d/8, d/16)  | U{12,40}  | 2pi/5 + U(-2pi/15, 2pi/15) | 2pi - a             |

Choices that the table leaves open:
- A stroke is a start point, uniform over the image, plus one piece per vertex. It is cut off at the image's border.
- Lengths and angles are real numbers. Large lengths are clipped to [0, d/4], and each vertex draws its own a.
- Each large stroke is mirrored in x and in y with probability 1/2; otherwise all would run to the right.
- A mask has one to four strokes: small masks with equal probabilities, large masks with 0.34, 0.30, 0.21, 0.15. Only
  these numbers were fitted, to the table's mean hole.
- In images below 80 pixels the thickness is at most half the shorter side, so that known pixels remain.

`irregular_mask` (HiFill section 3.5: tears, scratches, spots, manual erasing) adds elements, sized relative to sqrt(H *
W), until the hole reaches a share of the image drawn from U(2%, 25%). An element that would enlarge the hole beyond 25%
(HiFill section 4.3) is dropped. `object_mask` (HiFill section 3.5) moves object templates. The papers give no further
numbers.

Polygons are filled by `cv2.fillConvexPoly`, because thick `cv2.polylines` are one to two pixels too wide and differ
between OpenCV 4 and 5.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Callable, Union

import cv2
import numpy as np

from common.errors import UserError

Seed = Union[int, Sequence[int]]
STROKE_KINDS = ("small", "large")

_MAX_STROKES = 4
_LARGE_STROKE_ODDS = np.cumsum((0.34, 0.30, 0.21))
_IRREGULAR_SHARE = (0.02, 0.25)
_IRREGULAR_ELEMENTS = 60
_TRIES = 100
_SHIFT = 4  # polygon corners are given to OpenCV in 1/16 pixel
_HALF_CIRCLE = np.exp(1j * np.linspace(np.pi / 2, 3 * np.pi / 2, 13))
_CIRCLE = np.exp(2j * np.pi * np.arange(32) / 32)


def _generator(seed: Seed) -> np.random.Generator:
    # SeedSequence pads with zeros; the length makes (5,) and (5, 0) differ.
    words = tuple(seed) if np.ndim(seed) else (int(seed),)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((len(words), *words))))


def sample(
    draw: Callable[[np.random.Generator], np.ndarray], height: int, width: int, seed: Seed
) -> np.ndarray:
    """The first mask of `draw(generator)` with both hole and known pixels.

    Raises:
      UserError: no such mask in 100 draws.
    """
    if min(height, width) >= 2:
        rng = _generator(seed)
        for _ in range(_TRIES):
            mask = draw(rng)
            if 0 < cv2.countNonZero(mask) < mask.size:
                return mask
    raise UserError(
        f"no mask has both hole and known pixels at {height}x{width}; "
        "use a larger size or other masks"
    )


def _fill(mask: np.ndarray, outlines: np.ndarray) -> None:
    """Fills convex polygons; `outlines` [N, corners] complex: x + iy, integers at pixel centres."""
    corners = np.rint(outlines * (1 << _SHIFT)).view(np.float64).astype(np.int32)
    for polygon in corners.reshape(len(corners), -1, 2):
        cv2.fillConvexPoly(mask, polygon, 1, cv2.LINE_8, _SHIFT)


def _capsules(start: np.ndarray, end: np.ndarray, thickness: float | np.ndarray) -> np.ndarray:
    """Outlines [N, 26] of straight pieces with round ends; `start`, `end` [N] complex pixels."""
    piece = end - start
    length = np.abs(piece)
    still = length == 0
    heading = np.where(still, 1, piece) / np.where(still, 1, length)
    # OpenCV also fills the outline's own pixels, so a half-width of (t - 1) / 2 gives t pixels.
    side = (heading * (np.maximum(thickness, 1) - 1) / 2)[:, None] * _HALF_CIRCLE
    return np.concatenate([start[:, None] + side, end[:, None] - side], axis=1)


def _small_pieces(rng: np.random.Generator, diagonal: float) -> tuple[np.ndarray, int]:
    """One small stroke of Zoom-to-Inpaint Table 1: (pieces [vertices] as complex steps, thickness)."""
    vertices = rng.integers(1, 13)
    length = rng.uniform(1, max(1, diagonal / 12), vertices)
    angle = rng.uniform(0, 2 * np.pi, vertices)
    others = vertices // 2
    angle[1::2] = angle[: 2 * others : 2] + rng.uniform(3 * np.pi / 4, 5 * np.pi / 4, others)
    return length * np.exp(1j * angle), rng.integers(5, 31)


def _large_pieces(rng: np.random.Generator, diagonal: float) -> tuple[np.ndarray, int]:
    """One large stroke of Zoom-to-Inpaint Table 1, as `_small_pieces`."""
    vertices = rng.integers(4, 13)
    length = np.clip(rng.normal(diagonal / 8, diagonal / 16, vertices), 0, diagonal / 4)
    angle = 2 * np.pi / 5 + rng.uniform(-2 * np.pi / 15, 2 * np.pi / 15, vertices)
    angle[1::2] *= -1  # 2 pi - a
    pieces = length * np.exp(1j * angle)
    mirror_x, mirror_y = rng.random(2) < 0.5
    if mirror_y:
        pieces = pieces.conj()
    if mirror_x:
        pieces = -pieces.conj()
    return pieces, rng.integers(12, 41)


def _strokes(rng: np.random.Generator, height: int, width: int, kind: str) -> np.ndarray:
    if kind == "small":
        count, draw = rng.integers(1, _MAX_STROKES + 1), _small_pieces
    else:
        count, draw = 1 + np.searchsorted(_LARGE_STROKE_ODDS, rng.random()), _large_pieces
    starts, ends, widths = [], [], []
    for _ in range(count):
        x, y = rng.random(2)
        pieces, thickness = draw(rng, np.hypot(height, width))
        end = complex(x * width - 0.5, y * height - 0.5) + np.cumsum(pieces)
        starts.append(end - pieces)
        ends.append(end)
        widths.append(np.full(len(pieces), min(thickness, max(1, min(height, width) // 2))))
    mask = np.zeros((height, width), np.uint8)
    _fill(mask, _capsules(*map(np.concatenate, (starts, ends, widths))))
    return mask


def stroke_mask(height: int, width: int, kind: str, seed: Seed) -> np.ndarray:
    """One to four brush strokes of Zoom-to-Inpaint Table 1: 'small' (at 256 pixels 4.3% hole on average) or 'large'.

    Raises:
      UserError: the image is too small to have both hole and known pixels.
    """
    draw = functools.partial(_strokes, height=height, width=width, kind=kind)
    return sample(draw, height, width, seed)


def _path(
    rng: np.random.Generator, start: complex, length: float, pieces: int, turn: float
) -> np.ndarray:
    """Corners [pieces + 1] complex of a path that turns by N(bend, turn) radians at each corner."""
    bend = rng.uniform(-turn, turn) / 2
    headings = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(bend, turn, pieces))
    return start + np.concatenate([[0], np.cumsum(np.exp(1j * headings))]) * (length / pieces)


def _damage(rng: np.random.Generator, start: complex, scale: float) -> np.ndarray:
    """Outlines [N, corners] of one scratch, tear, brush curve or group of spots."""
    what = rng.integers(5)
    if what == 0:  # scratch: long, thin, almost straight
        path = _path(rng, start, scale * rng.uniform(0.2, 0.9), 4, 0.12)
        return _capsules(path[:-1], path[1:], scale * rng.uniform(0.006, 0.025))
    if what == 1:  # tear: jagged, widest in the middle
        path = _path(rng, start, scale * rng.uniform(0.2, 0.7), 8, 0.8)
        taper = np.sin(np.pi * (np.arange(8) + 0.5) / 8)
        return _capsules(path[:-1], path[1:], scale * rng.uniform(0.02, 0.06) * taper)
    if what < 4:  # free-hand curve of an eraser, with twice the probability of the other kinds
        path = _path(rng, start, scale * rng.uniform(0.3, 1.0), 12, 0.45)
        return _capsules(path[:-1], path[1:], scale * rng.uniform(0.03, 0.11))
    spots = rng.integers(1, 6)
    centre = start + scale * rng.normal(0, 0.08, (2, spots)).T @ (1, 1j)
    long, short = np.sort(scale * rng.uniform(0.01, 0.08, (2, spots)), axis=0)[::-1]
    ellipse = long[:, None] * _CIRCLE.real + 1j * short[:, None] * _CIRCLE.imag
    return centre[:, None] + np.exp(1j * rng.uniform(0, np.pi, spots))[:, None] * ellipse


def _irregular(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    wanted, limit = height * width * np.array([rng.uniform(*_IRREGULAR_SHARE), _IRREGULAR_SHARE[1]])
    for _ in range(_IRREGULAR_ELEMENTS):
        x, y = rng.random(2)
        start = complex(x * width, y * height)
        trial = mask.copy()
        _fill(trial, _damage(rng, start, np.sqrt(height * width)))
        area = cv2.countNonZero(trial)
        if area <= limit:
            mask = trial
            if area >= wanted:
                break
    return mask


def irregular_mask(height: int, width: int, seed: Seed) -> np.ndarray:
    """Tears, scratches, spots and erasing strokes over up to 25% of the image (HiFill section 3.5).

    Raises:
      UserError: the image is too small to have both hole and known pixels.
    """
    draw = functools.partial(_irregular, height=height, width=width)
    return sample(draw, height, width, seed)


def _object(
    rng: np.random.Generator, height: int, width: int, templates: Sequence[np.ndarray]
) -> np.ndarray:
    template = templates[rng.integers(len(templates))]
    mirror = rng.random() < 0.5
    turn = np.exp(1j * rng.uniform(-np.pi / 2, np.pi / 2))
    factor = rng.uniform(0.8, 1.0) * min(height / template.shape[0], width / template.shape[1])
    u, v = rng.random(2)
    left, top, box_width, box_height = cv2.boundingRect(template)
    half_x = (abs(turn.real) * box_width + abs(turn.imag) * box_height) * factor / 2
    half_y = (abs(turn.imag) * box_width + abs(turn.real) * box_height) * factor / 2
    # A uniform position inside the image; an object larger than the image covers it.
    x, y = half_x + u * (width - 2 * half_x), half_y + v * (height - 2 * half_y)
    x0, x1 = max(0, int(x - half_x)), min(width, int(x + half_x) + 1)
    y0, y1 = max(0, int(y - half_y)), min(height, int(y + half_y) + 1)
    mask = np.zeros((height, width), np.uint8)
    # Template coordinates of the window's pixel centres, as integers, which remap looks up exactly.
    back = turn.conjugate() / factor
    column, row = np.arange(x0, x1) + 0.5 - x, np.arange(y0, y1) + 0.5 - y
    across = (back.real * column)[None, :] - (back.imag * row)[:, None]
    down = (back.imag * column)[None, :] + (back.real * row)[:, None]
    lookup = np.empty((y1 - y0, x1 - x0, 2), np.int16)
    lookup[..., 0] = np.floor((-across if mirror else across) + (left + box_width / 2))
    lookup[..., 1] = np.floor(down + (top + box_height / 2))
    if lookup.size:
        found = cv2.remap(template, lookup, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
        mask[y0:y1, x0:x1] = found > 0
    return mask


def object_mask(height: int, width: int, templates: Sequence[np.ndarray], seed: Seed) -> np.ndarray:
    """One object template, mirrored, turned, scaled and moved at random (HiFill section 3.5).

    The template's frame is fitted into the image, with its aspect ratio, and scaled by U(0.8, 1). The template is
    mirrored left-right with probability 1/2, turned by U(-90, 90) degrees about the object, and placed uniformly such
    that the object's box stays inside the image. Sampling is by nearest neighbour.

    Args:
      templates: [h, w] uint8 each, non-zero = object, sides below 32768; drawn with equal probability.

    Raises:
      UserError: no templates, or templates that are empty.
    """
    draw = functools.partial(_object, height=height, width=width, templates=templates)
    return sample(draw, height, width, seed)


def mixed_mask(
    height: int, width: int, templates: Sequence[np.ndarray], seed: Seed, union: bool = False
) -> np.ndarray:
    """An irregular or an object mask with probability 1/2 each; with `union` both in one mask.

    HiFill section 3.5: the two methods "can be combined or separated". A union may cover more than 25%.
    """

    def draw(rng: np.random.Generator) -> np.ndarray:
        if union:
            return np.maximum(
                _irregular(rng, height, width), _object(rng, height, width, templates)
            )
        if rng.random() < 0.5:
            return _irregular(rng, height, width)
        return _object(rng, height, width, templates)

    return sample(draw, height, width, seed)


def dilate(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Grows the hole of [H, W] uint8 to all pixels within `pixels` (Euclidean distance), up to the whole image."""
    hole = (mask > 0).astype(np.uint8)
    if pixels == 0 or not hole.any():
        return hole
    distance = cv2.distanceTransform(1 - hole, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squared distances are integers; the limit lies half-way between two of them, so rounding cannot matter.
    return (distance <= np.sqrt(pixels**2 + 0.5)).astype(np.uint8)
