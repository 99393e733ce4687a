"""Conversion between the values in files and in the program: the only module with the number 255.

In the program images are float32 RGB in [0, 1], and masks are 0 or 1 with 1 = hole. In files images have integer
levels, and the hole of a mask is white. This module converts between the two and checks arrays of public functions.
`read_rgb` and `write_png` read and write uint8 RGB; `common.filling.photographs` also keeps alpha, depth and metadata.
"""

from __future__ import annotations

import numpy as np

from common.errors import UserError
from common.images import files as image_files
from common.storage import PathLike

WHITE = 255  # the highest 8-bit level
DEEP = 257  # 16-bit levels per 8-bit level: 257 * 255 = 65535
THRESHOLD = 127  # a mask's gray levels above it are hole

_EIGHT_BITS = ((np.arange(WHITE * DEEP + 1) + DEEP // 2) // DEEP).astype(np.uint8)


def to_unit(image: np.ndarray) -> np.ndarray:
    """uint8 levels 0 .. 255 -> float32 in [0, 1], any shape."""
    if image.dtype != np.uint8:
        raise UserError(f"expected 8-bit levels (uint8), got {image.dtype}")
    return np.divide(image, np.float32(WHITE), dtype=np.float32)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Floats in [0, 1], any shape -> uint8 levels, rounded to nearest, clipped.

    Raises:
      UserError: not a float type, or NaN or infinite values (the message gives their number).
    """
    image = np.asarray(image)
    if not np.issubdtype(image.dtype, np.floating):
        raise UserError(f"expected floats in [0, 1], got {image.dtype}")
    _check_finite(image, "the image")
    levels = np.asarray(np.clip(image, 0, 1), np.float32)  # a single number, too
    levels *= WHITE
    return np.rint(levels, out=levels).astype(np.uint8)


def to_eight_bits(image: np.ndarray) -> np.ndarray:
    """uint16 -> uint8, rounded v / 257; uint8 is returned as it is."""
    return image if image.dtype == np.uint8 else _EIGHT_BITS[image]


def to_rgb(pixels: np.ndarray, mode: str, palette: bytes | None = None) -> np.ndarray:
    """Pixels as in `image_files.Decoded` -> [H, W, 3] uint8, alpha dropped.

    For 8-bit RGB and RGBA the result is a view of `pixels`, not a copy.
    """
    if pixels.dtype == np.uint16:
        pixels = to_eight_bits(pixels)
    if mode in ("RGB", "RGBA"):
        return pixels[..., :3]
    return np.asarray(image_files.as_image(pixels, palette).convert("RGB"))


def read_rgb(path: PathLike) -> np.ndarray:
    """Any supported image file -> [H, W, 3] uint8, oriented, alpha dropped.

    Raises:
      UserError: the file is missing, unreadable, cut off, or no image.
    """
    decoded = image_files.read(path)
    return to_rgb(decoded.pixels, decoded.mode, decoded.palette).copy()


def write_png(path: PathLike, image: np.ndarray) -> None:
    """Writes [H, W, 3] RGB or [H, W] gray uint8 as a PNG file, at once or not at all."""
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)):
        raise UserError(
            f"expected uint8 [H, W, 3] or [H, W], got {image.dtype} {list(image.shape)}"
        )
    image_files.write(path, image_files.as_image(image), "PNG", compress_level=1)


def check_array(image: np.ndarray, mask: np.ndarray) -> None:
    """Checks a public function's arrays: image uint8 [H, W, 3], mask uint8 [H, W] (not 0: hole).

    Raises:
      UserError: another type, shape or content; the message says what was found.
    """
    _check_one(image, "image", "[H, W, 3]", lambda shape: len(shape) == 3 and shape[2] == 3)
    _check_one(mask, "mask", "[H, W]", lambda shape: len(shape) == 2)
    if image.shape[:2] != mask.shape:
        raise UserError(
            f"image and mask differ in size: {image.shape[:2]} and {mask.shape} (height, width)"
        )
    if image.size == 0:
        raise UserError(f"the image is empty: shape {image.shape}")


def _check_one(array, name, layout, fits):
    if not isinstance(array, np.ndarray):
        raise UserError(f"{name} must be a uint8 array {layout}, got {type(array).__name__}")
    _check_finite(array, f"the {name}")
    if array.dtype != np.uint8 or not fits(array.shape):
        raise UserError(f"{name} must be uint8 {layout}, got {array.dtype} {list(array.shape)}")


def _check_finite(array, name):
    if np.issubdtype(array.dtype, np.floating):
        bad = array.size - np.count_nonzero(np.isfinite(array))
        if bad:
            raise UserError(f"{name} holds {bad} values that are NaN or infinite (of {array.size})")
