"""Where masks come from: a folder of files, object templates, the random kinds of `masks`.

Files: white = hole (grey value above 127), any format OpenCV reads, found at any depth below the
folder and ordered by path. Arrays: [H, W] uint8 of 0 and 1, 1 = hole. A resized mask is sampled by
nearest neighbour, so it stays binary.

`mask_source(spec)` is what training and scoring use: a callable `(height, width, seed) -> [H, W]`
whose result has at least one hole and one known pixel and depends on its arguments alone.

`builtin_templates` stands in for H's object segmentation masks (section 3.5: "single, multiple or
crowded objects"), which the paper did not publish as a list: silhouettes made of ellipses, rounded
boxes and polygons.
"""

from __future__ import annotations

import functools
import os
import pathlib
from typing import Union

import cv2
import numpy as np

from common import masks
from common.errors import UserError

PathLike = Union[str, "os.PathLike[str]"]

OBJECT_KINDS = ("object", "mixed", "union")
KINDS = (*masks.STROKE_KINDS, "irregular", *OBJECT_KINDS)

_SUFFIXES = frozenset(
    (
        ".png",
        ".jpg",
        ".jpeg",
        ".jp2",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".webp",
        ".pgm",
        ".pbm",
        ".ppm",
    )
)
_CACHED_MASKS = 64  # at most, one bit a pixel: 64 masks of 8192x8192 are 512 MiB
_FRAME = 256
_LARGEST_OBJECT = 0.25  # of the frame: H section 4.3
_ANGLES = 2 * np.pi * np.arange(48) / 48


def list_masks(folder: PathLike) -> list[pathlib.Path]:
    """Paths of all image files below `folder`, sorted; hidden files are left out.

    Raises:
      UserError: the folder is missing or has no image.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise UserError(f"mask folder {folder} does not exist or is not a folder")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise UserError(f"mask folder {folder} has no image (white = hole) in it or below it")
    return found


def read_mask(path: PathLike) -> np.ndarray:
    """[H, W] uint8, 1 where the file's grey value is above 127.

    Raises:
      UserError: the file cannot be read as an image.
    """
    try:
        # Not cv2.imread: it cannot open every path on Windows, and prints instead of raising.
        encoded = np.fromfile(os.fspath(path), np.uint8)
        grey = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE) if encoded.size else None
    except (OSError, cv2.error):
        grey = None
    if grey is None:
        raise UserError(f"mask file {path} cannot be read as an image; replace or remove it")
    return (grey > 127).astype(np.uint8)


def load_masks(folder: PathLike) -> list[np.ndarray]:
    """Every mask below `folder`, in the order of `list_masks`, each in its own size.

    Raises:
      UserError: the folder is missing or has no image, or a file cannot be read.
    """
    return [read_mask(path) for path in list_masks(folder)]


class MaskSource:
    """Draws masks of one kind; see `mask_source`."""

    def __init__(self, spec: PathLike, folder: PathLike | None = None):
        self.spec = os.fspath(spec)
        self.files: list[pathlib.Path] = []
        self._templates: tuple[np.ndarray, ...] = ()
        if folder and self.spec not in OBJECT_KINDS:
            raise UserError(
                f"template folder {folder} has no use with masks '{self.spec}'; "
                f"it goes with {', '.join(OBJECT_KINDS)}"
            )
        if self.spec in OBJECT_KINDS:
            self._templates = tuple(load_masks(folder)) if folder else builtin_templates()
        elif self.spec not in KINDS:
            if not os.path.isdir(self.spec):
                raise UserError(
                    f"masks '{self.spec}' is neither a folder nor one of {', '.join(KINDS)}"
                )
            self.files = list_masks(self.spec)
        self._packed = functools.lru_cache(maxsize=_CACHED_MASKS)(self._read)

    def __call__(self, height: int, width: int, seed: masks.Seed) -> np.ndarray:
        """The seed's mask: [height, width] uint8 of 0 and 1, with hole and known pixels.

        Raises:
          UserError: the size is too small, or no file has both hole and known pixels at that size.
        """
        if self.files:
            return masks.sample(
                lambda rng: self._file(rng.integers(len(self.files)), height, width),
                height,
                width,
                seed,
            )
        if self.spec == "irregular":
            return masks.irregular_mask(height, width, seed)
        if self.spec == "object":
            return masks.object_mask(height, width, self._templates, seed)
        if self.spec in OBJECT_KINDS:
            return masks.mixed_mask(height, width, self._templates, seed, self.spec == "union")
        return masks.stroke_mask(height, width, self.spec, seed)

    def fixed(self, index: int, height: int, width: int) -> np.ndarray:
        """Mask `index` for scoring: file `index` modulo their number; a random kind's seed `index`.

        Raises:
          UserError: as a call; or that file has no hole or nothing else at this size.
        """
        if not self.files:
            return self(height, width, index)
        mask = self._file(index, height, width)
        if not 0 < cv2.countNonZero(mask) < mask.size:
            path = self.files[index % len(self.files)]
            raise UserError(
                f"mask file {path} is all hole or no hole at {height}x{width}; "
                "white (> 127) is hole"
            )
        return mask

    def _file(self, index: int, height: int, width: int) -> np.ndarray:
        packed = self._packed(int(index) % len(self.files), height, width)
        return np.unpackbits(packed, count=height * width).reshape(height, width)

    def _read(self, index: int, height: int, width: int) -> np.ndarray:
        mask = read_mask(self.files[index])
        if mask.shape != (height, width):
            mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
        return np.packbits(mask)


def mask_source(spec: PathLike, folder: PathLike | None = None) -> MaskSource:
    """The source of masks that a flag names.

    Args:
      spec: 'small' or 'large' (Z Table 1); 'irregular', 'object', 'mixed' (either of the two) or
        'union' (both in one mask) (H section 3.5); or the path of a folder of mask files, which are
        drawn with equal probability and resized, if need be, to the size asked for.
      folder: object templates (white = object) for 'object', 'mixed' and 'union'; by default
        `builtin_templates`.

    Raises:
      UserError: an unknown spec; a folder that is missing, has no image or is of no use here.
    """
    return MaskSource(spec, folder)


def _oval(
    x: float, y: float, rx: float, ry: float, power: float = 2, turn: float = 0
) -> np.ndarray:
    """Outline [48] complex of |x / rx|^power + |y / ry|^power = 1; above 2 a rounded box."""
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
    """[256, 256] uint8: `count` objects side by side, at most a quarter of the frame.

    Five and more are of one kind: a crowd.
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
    """30 object silhouettes, [256, 256] uint8 of 0 and 1; always the same, made once, read-only.

    14 are single objects, 9 groups of two to four, 7 crowds of five to eight.
    """
    counts = [1] * 14 + [2, 3, 4] * 3 + [5, 6, 7, 8, 5, 6, 7]
    made = []
    for number, count in enumerate(counts):
        mask = _template(np.random.default_rng(number), number, count)
        mask.setflags(write=False)
        made.append(mask)
    return tuple(made)
