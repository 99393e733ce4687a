"""Baselines: inpainting without learning.

`inpaint(name, image, mask)` takes a uint8 RGB image [H, W, 3] and a uint8 mask [H, W] of 0 and 1
(1 = hole) and returns the filled image, uint8 [H, W, 3]. Known pixels come out byte-identical, and
the content of the hole has no influence.

- `telea`: A. Telea, "An image inpainting technique based on the fast marching method", 2004
  (OpenCV).
- `ns`: M. Bertalmio et al., "Navier-Stokes, fluid dynamics, and image and video inpainting", 2001
  (OpenCV).
- `harmonic`: Laplace's equation in the hole (`common.scoring.harmonic`), the smoothest surface through known pixels.
- `mean`: the mean colour of the known pixels, rounded to nearest.

Two departures from `cv2.inpaint`: (1) The hole is painted in the mean colour first, because OpenCV's `telea` (4.11 and
5.0) reads hole pixels if a hole touches the top or left edge. (2) An image that is all hole becomes mid-gray with every
method; OpenCV returns it unchanged.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.errors import UserError
from common.scoring import harmonic

NAMES = {
    "telea": "fast marching (Telea 2004, OpenCV)",
    "ns": "Navier-Stokes (Bertalmio et al. 2001, OpenCV)",
    "harmonic": "smooth membrane (Laplace's equation)",
    "mean": "mean colour of the known pixels",
}

_OPENCV_METHODS = {"telea": cv2.INPAINT_TELEA, "ns": cv2.INPAINT_NS}
_MID_GREY = 128
_MAX_RADIUS = 100  # OpenCV silently clips the radius to this


def _check(name: str, image: np.ndarray, mask: np.ndarray, radius: float) -> None:
    if name not in NAMES:
        raise UserError(f"no baseline is called '{name}'; choose from {', '.join(NAMES)}")
    if not 1 <= radius <= _MAX_RADIUS:
        raise UserError(f"radius {radius} is impossible; give 1 to {_MAX_RADIUS} pixels")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image must be uint8 [H, W, 3], not {image.dtype} {image.shape}")
    if mask.dtype != np.uint8 or mask.ndim != 2 or mask.max(initial=0) > 1:
        raise ValueError(f"mask must be uint8 [H, W] of 0 and 1, not {mask.dtype} {mask.shape}")
    if mask.shape != image.shape[:2]:
        (h, w), (mask_h, mask_w) = image.shape[:2], mask.shape
        raise UserError(
            f"the mask is {mask_w}x{mask_h} pixels and the image {w}x{h}; "
            "give a mask of the image's size"
        )


def _fill_with_mean(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    filled = image.copy()
    known = image[~hole]
    filled[hole] = np.rint(known.mean(axis=0)).astype(np.uint8) if len(known) else _MID_GREY
    return filled


def harmonic_fill(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """`common.scoring.harmonic.fill`, rounded to uint8 [H, W, 3]."""
    filled = image.copy()
    filled[hole] = np.rint(harmonic.fill(image, hole)[hole])
    return filled


def inpaint(name: str, image: np.ndarray, mask: np.ndarray, radius: float = 3) -> np.ndarray:
    """Fills the hole of `image` with the baseline `name`.

    Args:
      name: a key of `NAMES`.
      image: [H, W, 3] uint8 RGB; any content in the hole.
      mask: [H, W] uint8, 1 = hole, 0 = known.
      radius: neighbourhood of `telea` and `ns` in pixels, 1 to 100; the other methods ignore it.

    Returns:
      [H, W, 3] uint8 RGB, a new array, equal to `image` where `mask` is 0.

    Raises:
      UserError: unknown name, impossible radius, or mask and image of different sizes.
      ValueError: an array of another type, or a mask with values other than 0 and 1.
    """
    _check(name, image, mask, radius)
    hole = mask == 1
    filled = _fill_with_mean(image, hole)
    if name == "mean" or hole.all() or not hole.any():
        return filled
    if name == "harmonic":
        return harmonic_fill(image, hole)
    painted = cv2.inpaint(filled, mask, radius, _OPENCV_METHODS[name])
    return np.where(hole[..., None], painted, image)
