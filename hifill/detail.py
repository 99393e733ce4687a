"""Detail for smooth completions: a departure from HiFill section 3.2, used by `hifill.SHIPPED`.

A network that has learned little completes a large hole smoothly. Residuals (eq. 4) hold only what the reduction to
S x S removes, so a band of detail between the completion and the residuals is missing in the hole. Here residuals are
differences to a blurred completion, so they contain this band:

    hole_j = up(blur(completion))_j + g_j sum_i s_ij (image_i - up(blur(low))_i)

The factor g_j <= 1 keeps detail of one surface away from another, such as trees from the sky: the deviation of the
copied band in patch j is at most the one expected there, a mean (geometric, weights 1 / distance^4) over the patches
without a hole.

Arrays are float32 in 0..255. `hifill.graph_pipeline` repeats this module in TensorFlow ops.
"""

from __future__ import annotations

import cv2
import numpy as np

RADIUS = 12  # of the Gaussian kernel, in pixels of the completion
# A window of this many times the completion's side gets the whole blur, one of the same side gets none.
WHOLE = 4
# Deviations below this, in levels, count as this.
LEAST = 1e-3


def blur_of(window: int, size: int, most: float) -> float:
    """Standard deviation, in pixels of the completion, for a window of `window` pixels; `most`: the configuration's.

    Detail that is copied costs PSNR. The finer the photograph is compared with the completion, the smoother the
    completion looks in it.
    """
    return most * min(max((window / size - 1) / (WHOLE - 1), 0.0), 1.0)


def blurred(low: np.ndarray, blur: float) -> np.ndarray:
    """[S, S, 3] -> [S, S, 3]; blur: the standard deviation, above 0. The border is reflected."""
    side = 2 * RADIUS + 1
    return cv2.GaussianBlur(low, (side, side), blur, borderType=cv2.BORDER_REFLECT_101)


def limits(
    band: np.ndarray, weights: np.ndarray, targets: np.ndarray, sources: np.ndarray, n: int
) -> np.ndarray:
    """The factors g [J] of the module docstring.

    Args:
      band: [S, S, 3], the low-resolution image less its blurred copy.
      weights: [J, K] attention of the `targets` over the `sources`, numbers of the n x n patches; S is a multiple of n.
    """
    cells = band.shape[0] // n
    patches = band.reshape(n, cells, n, cells, 3).swapaxes(1, 2).reshape(n * n, -1)[sources]
    near = _nearness(targets, sources, n)
    expected = np.exp(near @ np.log(_deviation(patches)) / near.sum(axis=1))
    return np.minimum(expected / _deviation(weights @ patches), 1).astype(np.float32)


def _deviation(patches):
    return np.maximum(np.sqrt(np.mean(np.square(patches), axis=1)), LEAST)


def _nearness(targets: np.ndarray, sources: np.ndarray, n: int) -> np.ndarray:
    """[J, K] float32: 1 / distance^4 of every target and source, all of which differ."""
    rows = np.subtract.outer(targets // n, sources // n)
    columns = np.subtract.outer(targets % n, sources % n)
    return (1 / np.square(rows**2 + columns**2)).astype(np.float32)
