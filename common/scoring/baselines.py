"""Baselines: inpainting without learning.

`inpaint(name, image, mask)` takes a uint8 RGB image [H, W, 3] and a uint8 mask [H, W] (not 0: hole) and returns the
filled image, uint8 [H, W, 3]. Known pixels come out byte-identical, and the content of the hole has no influence.

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
from common.images.convert import check_array
from common.scoring import harmonic

NAMES = {
    "telea": "fast marching (Telea 2004, OpenCV)",
    "ns": "Navier-Stokes (Bertalmio et al. 2001, OpenCV)",
    "harmonic": "smooth membrane (Laplace's equation)",
    "mean": "mean colour of the known pixels",
}

_OPENCV_METHODS = {"telea": cv2.INPAINT_TELEA, "ns": cv2.INPAINT_NS}
_MID_GREY = 128
_RADIUS = 3  # pixels around a hole pixel that OpenCV's methods see


def _fill_with_mean(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    filled = image.copy()
    known = image[~hole]
    filled[hole] = np.rint(known.mean(axis=0)).astype(np.uint8) if len(known) else _MID_GREY
    return filled


def inpaint(name: str, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fills the hole of `image` with the baseline `name`.

    Args:
      name: a key of `NAMES`.
      image: [H, W, 3] uint8 RGB; any content in the hole.
      mask: [H, W] uint8, 0 = known, all else = hole.

    Returns:
      [H, W, 3] uint8 RGB, a new array, equal to `image` where `mask` is 0.

    Raises:
      UserError: unknown name, or arrays of another type or size.
    """
    if name not in NAMES:
        raise UserError(f"no baseline is called '{name}'; choose from {', '.join(NAMES)}")
    check_array(image, mask)
    hole = mask > 0
    filled = _fill_with_mean(image, hole)
    if name == "mean" or hole.all() or not hole.any():
        return filled
    if name == "harmonic":
        filled[hole] = np.rint(harmonic.fill(image, hole)[hole])
        return filled
    painted = cv2.inpaint(filled, mask, _RADIUS, _OPENCV_METHODS[name])
    return np.where(hole[..., None], painted, image)
