"""Object silhouettes for random holes: people, animals, vehicles, plants, vessels, blobs, polygons.

They replace HiFill's object segmentation masks (section 3.5: "single, multiple or crowded objects"),
which were not published with the paper. They are made of ellipses, rounded boxes and polygons.
An outline is [corners] complex, x + iy. A sketch is a list of outlines in about [-1, 1].
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

_FRAME = 256
_LARGEST_OBJECT = 0.25  # of the frame: HiFill section 4.3
_ANGLES = 2 * np.pi * np.arange(48) / 48


def _oval(
    x: float, y: float, rx: float, ry: float, power: float = 2, turn: float = 0
) -> np.ndarray:
    """Outline [48] complex of |x / rx|^power + |y / ry|^power = 1, a rounded box for powers above 2."""
    c, s = np.cos(_ANGLES), np.sin(_ANGLES)
    across = rx * np.sign(c) * np.abs(c) ** (2 / power)
    down = ry * np.sign(s) * np.abs(s) ** (2 / power)
    return x + 1j * y + (across + 1j * down) * np.exp(1j * turn)


def _person(rng: np.random.Generator) -> list[np.ndarray]:
    lean, wide = rng.uniform(0.05, 0.5), rng.uniform(0.16, 0.26)
    legs = [_oval(s * wide / 2, 0.62, wide / 2.2, 0.42, 3, -0.3 * s * lean) for s in (-1, 1)]
    arms = [_oval(s * wide * 1.25, -0.1, wide / 3, 0.4, 2, -s * lean) for s in (-1, 1)]
    return [_oval(0, -0.82, 0.15, 0.18), _oval(0, -0.15, wide, 0.5, 3), *legs, *arms]


def _animal(rng: np.random.Generator) -> list[np.ndarray]:
    high, leg = rng.uniform(0.22, 0.36), rng.uniform(0.05, 0.09)
    legs = [_oval(x, 0.45, leg, 0.4, 3) for x in (-0.5, -0.32, 0.32, 0.5)]
    head = [_oval(0.78, -0.4, 0.24, 0.17, 2, 0.3), _oval(0.58, -0.2, 0.14, 0.35, 2, 0.5)]
    return [_oval(0, 0, 0.65, high, 2.5), *legs, *head, _oval(-0.75, -0.12, 0.28, 0.06, 2, 0.6)]


def _vehicle(rng: np.random.Generator) -> list[np.ndarray]:
    cabin, wheel = rng.uniform(0.35, 0.75), rng.uniform(0.16, 0.24)
    wheels = [_oval(x, 0.38, wheel, wheel) for x in (-0.55, 0.55)]
    return [_oval(0, 0.12, 1, 0.3, 5), _oval(rng.uniform(-0.2, 0.2), -0.2, cabin, 0.32, 4), *wheels]


def _plant(rng: np.random.Generator) -> list[np.ndarray]:
    places = rng.uniform(-0.35, 0.35, (rng.integers(3, 7), 2))
    crown = [_oval(x, y - 0.4, *rng.uniform(0.25, 0.45, 2)) for x, y in places]
    return [_oval(0, 0.35, rng.uniform(0.06, 0.14), 0.65, 4), *crown]


def _vessel(rng: np.random.Generator) -> list[np.ndarray]:
    neck = rng.uniform(0.1, 0.25)
    return [_oval(0, 0.35, rng.uniform(0.35, 0.6), 0.6, 4), _oval(0, -0.45, neck, 0.5, 4)]


def _blob(rng: np.random.Generator) -> list[np.ndarray]:
    orders = np.arange(2, 7)
    waves = np.cos(np.outer(orders, _ANGLES) + rng.uniform(0, 2 * np.pi, (5, 1)))
    return [(0.75 + (rng.uniform(0.05, 0.35, 5) / orders) @ waves) * np.exp(1j * _ANGLES)]


def _polygon(rng: np.random.Generator) -> list[np.ndarray]:
    corners = rng.integers(3, 10)
    angles = 2 * np.pi * (np.arange(corners) + rng.uniform(0, 0.7, corners)) / corners
    return [rng.uniform(0.5, 1, corners) * np.exp(1j * angles)]


_OBJECTS = (_person, _animal, _vehicle, _plant, _vessel, _blob, _polygon)


def _template(rng: np.random.Generator, first: int, count: int) -> np.ndarray:
    """[256, 256] uint8: `count` objects side by side on at most a quarter of the frame.

    Five or more objects are a crowd, all of one kind.
    """
    middle = 0.5 + 0.5j
    size = rng.uniform(0.7, 0.95) * 0.5 / count**0.6
    parts = []
    for number in range(count):
        sketch = _OBJECTS[(first + number * (count < 5)) % len(_OBJECTS)](rng)
        centre, scale = middle, size
        if count > 1:
            centre += 0.6 * ((number + 0.5) / count - 0.5) + 1j * rng.uniform(-0.15, 0.15)
            scale *= rng.uniform(0.75, 1)
        parts += [centre + scale * outline for outline in sketch]
    while True:
        mask = np.zeros((_FRAME, _FRAME), np.uint8)
        for outline in parts:
            corners = np.rint(outline * _FRAME).view(np.float64).astype(np.int32)
            cv2.fillPoly(mask, [corners.reshape(-1, 2)], 1)
        if mask.mean() <= _LARGEST_OBJECT:
            return mask
        parts = [middle + 0.95 * (outline - middle) for outline in parts]


@functools.lru_cache(maxsize=1)
def builtin_templates() -> tuple[np.ndarray, ...]:
    """30 fixed object silhouettes, [256, 256] uint8 of 0 and 1, read-only; made once.

    14 single objects, 9 groups of two to four, 7 crowds of five to eight.
    """
    counts = [1] * 14 + [2, 3, 4] * 3 + [5, 6, 7, 8, 5, 6, 7]
    made = []
    for number, count in enumerate(counts):
        mask = _template(np.random.default_rng(number), number, count)
        mask.setflags(write=False)
        made.append(mask)
    return tuple(made)
