"""PatchMatch inpainting (Barnes et al., 2009), coarse to fine, by the optional library patchmatch-cython.

HiFill section 4.5 compares with commercial programs and with an implementation that has no package; this library is
another implementation. It copies patches of the image into the hole, from the coarsest level of a pyramid on. With a
seed it is deterministic. The hole is painted gray before the call and known pixels are copied back afterwards, so the
hole's content has no influence and known pixels stay.
"""

from __future__ import annotations

from typing import Callable

import numpy as np

from common.errors import UserError
from common.images.convert import check_array

LIBRARY = "patchmatch-cython"
_MISSING = f"PatchMatch needs the library {LIBRARY} (Python 3.10 or later): pip install {LIBRARY}"
_MID_GREY = 128


def checked_painter() -> Callable:
    """`inpaint`, or UserError if the library is missing."""
    if not available():
        raise UserError(_MISSING)
    return inpaint


def available() -> bool:
    """Whether the library is installed."""
    try:
        import patchmatch_cython  # noqa: F401
    except ImportError:
        return False
    return True


def inpaint(image: np.ndarray, mask: np.ndarray, seed: int = 0) -> np.ndarray:
    """Fills the hole of uint8 [H, W, 3] RGB where uint8 [H, W] is not 0; returns uint8 [H, W, 3].

    Takes seconds at 512 x 512, minutes at 2048 x 2048. An image that is all hole becomes mid-gray.

    Raises:
      UserError: the library is not installed, or arrays of another type or size.
    """
    check_array(image, mask)
    hole = mask > 0
    painted = np.where(hole[..., None], np.uint8(_MID_GREY), image)
    if hole.all() or not hole.any():
        return painted
    try:
        from patchmatch_cython import inpaint_pyramid
    except ImportError as error:
        raise UserError(_MISSING) from error
    filled = inpaint_pyramid(painted, hole, seed=seed)
    return np.where(hole[..., None], filled, image)
