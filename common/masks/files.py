"""Masks from files and folders, and of the random kinds of `common.masks.random`.

Files: white = hole (gray level above 127), in any format that `common.images.files` reads. A folder's masks are found
at any depth and sorted by path. Arrays: [H, W] uint8 of 0 and 1, 1 = hole. Masks are resized by nearest neighbour.

Training and scoring use `mask_source(spec)`, a callable `(height, width, seed) -> [H, W]`. Its result has at least one
hole pixel and one known pixel, and depends on the arguments alone.
"""

from __future__ import annotations

import functools
import os
import pathlib

import cv2
import numpy as np

from common.data import datasets
from common.errors import UserError
from common.images import convert
from common.images import files as image_files
from common.masks import random as random_masks
from common.masks.shapes import builtin_templates
from common.storage import PathLike

OBJECT_KINDS = ("object", "mixed", "union", "any")
_ANY = ("small", "large", "irregular", "object")
KINDS = (*random_masks.STROKE_KINDS, "irregular", *OBJECT_KINDS)

_CACHED_MASKS = 64  # at one bit per pixel, 64 masks of 8192x8192 are 512 MiB


def list_masks(folder: PathLike) -> list[pathlib.Path]:
    """Paths of all image files below `folder`, sorted; hidden files are left out.

    Raises:
      UserError: the folder is missing or has no image.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise UserError(f"mask folder {folder} does not exist or is not a folder")
    found = [pathlib.Path(path) for path in datasets.images_below(folder)]
    if not found:
        raise UserError(f"mask folder {folder} has no image (white = hole) in it or below it")
    return found


def read_mask(
    path: PathLike,
    size: tuple[int, int] | None = None,
    invert: bool = False,
    dilate: int = 0,
    of: str = "the image",
) -> np.ndarray:
    """Reads a mask file of any mode: white (gray level above 127) is hole.

    Alpha is ignored, with one exception: if all pixels have one colour and alpha varies, the opaque pixels are the
    hole. Such a mask was drawn in one colour on a transparent layer.

    Args:
      size: (height, width) that the mask must have; None accepts any.
      invert: black is hole instead.
      dilate: then grow the hole by this many pixels (Euclidean distance).
      of: owner of `size`, for the error message.

    Returns:
      [H, W] uint8, 1 = hole, 0 = known. May be empty or full: see `coverage_warning`.

    Raises:
      UserError: the file cannot be read, or has another size.
    """
    decoded = image_files.read(path)
    found = decoded.pixels.shape[:2]
    if size is not None and found != tuple(size):
        raise UserError(
            f"mask {path} has {found[1]}x{found[0]} pixels but {of} has {size[1]}x{size[0]} (width x height); they "
            "must match"
        )
    mask = (_mask_levels(decoded) > convert.THRESHOLD).astype(np.uint8)
    return random_masks.dilate(1 - mask if invert else mask, dilate)


def _mask_levels(decoded):
    """[H, W] uint8: alpha if only alpha varies, else gray."""
    rgb = convert.to_rgb(decoded.pixels, decoded.mode, decoded.palette)
    if decoded.mode in ("LA", "RGBA"):
        alpha = convert.to_eight_bits(decoded.pixels[..., -1])
        if alpha.min() < alpha.max() and (rgb == rgb[:1, :1]).all():
            return alpha
    return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)


def coverage_warning(mask: np.ndarray, name: str) -> str | None:
    """A sentence for the user if over half of `mask` ([H, W], 1 = hole) is hole, else None."""
    share = float(np.mean(mask != 0))
    if share <= 0.5:
        return None
    return (
        f"{name} marks {share:.0%} of the picture as hole (white = hole); "
        "if black is meant to be the hole, pass --invert_mask"
    )


class MaskSource:
    """Draws masks of one kind.

    Args:
      spec: 'small' or 'large' (Zoom-to-Inpaint Table 1); 'irregular', 'object', 'mixed' (irregular or object) or
        'union' (irregular and object in one mask) (HiFill section 3.5); 'any' (small, large, irregular or object with
        equal probability); or the path of a folder of mask files, drawn with equal probability and resized to the
        requested size.
      folder: object templates (white = object) for 'object', 'mixed', 'union' and 'any'; by default
        `builtin_templates`.
    """

    def __init__(self, spec: PathLike, folder: PathLike | None = None):
        self.spec = os.fspath(spec)
        self.files: list[pathlib.Path] = []
        self._templates: tuple[np.ndarray, ...] = ()
        if folder and self.spec not in OBJECT_KINDS:
            raise UserError(
                f"template folder {folder} is not used with masks '{self.spec}'; "
                f"it goes with {', '.join(OBJECT_KINDS)}"
            )
        if self.spec in OBJECT_KINDS:
            templates = folder and tuple(read_mask(path) for path in list_masks(folder))
            self._templates = templates or builtin_templates()
        elif self.spec not in KINDS:
            if not os.path.isdir(self.spec):
                raise UserError(
                    f"masks '{self.spec}' is neither a folder nor one of {', '.join(KINDS)}"
                )
            self.files = list_masks(self.spec)
        self._packed = functools.lru_cache(maxsize=_CACHED_MASKS)(self._read)

    def __call__(self, height: int, width: int, seed: random_masks.Seed) -> np.ndarray:
        """The mask of a seed: [height, width] uint8 of 0 and 1, with hole and known pixels.

        Raises:
          UserError: the size is too small, or no file has both hole and known pixels at this size.
        """
        if self.files:
            return random_masks.sample(
                lambda rng: self._file(rng.integers(len(self.files)), height, width),
                height,
                width,
                seed,
            )
        kind = self.spec
        if kind == "any":
            kind = _ANY[np.random.default_rng(seed).integers(len(_ANY))]
        if kind == "irregular":
            return random_masks.irregular_mask(height, width, seed)
        if kind == "object":
            return random_masks.object_mask(height, width, self._templates, seed)
        if kind in OBJECT_KINDS:
            return random_masks.mixed_mask(
                height, width, self._templates, seed, self.spec == "union"
            )
        return random_masks.stroke_mask(height, width, kind, seed)

    def fixed(self, index: int, height: int, width: int) -> np.ndarray:
        """Mask `index` for scoring: file `index` (modulo the number of files), or for a random kind the seed `index`.

        Raises:
          UserError: as `__call__`, or the file has no hole or no known pixel at this size.
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


mask_source = MaskSource
