"""SSIM of one picture against another in each frequency band of a Laplacian pyramid.

    g_0 = picture,  g_{l+1} = reduce(g_l),  band l = g_l - expand(g_{l+1}),  the last band = what is left, blurred

The frequency bands of Zoom-to-Inpaint (section 4.4, appendix F). As Burt and Adelson (IEEE Trans. Communications 31,
1983) do it: reduce blurs with a 5-tap kernel and keeps every other pixel, expand is its counterpart. The paper names "a
traditional 5-tap Gaussian kernel" and two levels; here that is (1, 4, 6, 4, 1) / 16, OpenCV's `pyrDown` and `pyrUp`,
whose borders are reflected without repeating the edge. Level 0 is the paper's "high", level 1 "mid" and what is left
"low".

The paper does not say on which scale it takes SSIM of bands, whose pixels may be negative: here they are left as they
are, with the constants for 8-bit pictures, as in `common.scoring.metrics.ssim`. So an error counts against the contrast
that the band has in the picture, and flat parts of a band agree almost perfectly.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.scoring import metrics

LEVELS = 2
BANDS = ("low", "mid", "high")  # of two levels


def laplacian_pyramid(image: np.ndarray, levels: int = LEVELS) -> list[np.ndarray]:
    """[H, W, 3] of any real dtype -> `levels` bands, finest first, and what is left; float32.

    Band l has the sides of the picture halved l times, odd ones rounded up.
    """
    bands, fine = [], np.asarray(image, np.float32)
    for _ in range(levels):
        coarse = cv2.pyrDown(fine)
        bands.append(fine - cv2.pyrUp(coarse, dstsize=(fine.shape[1], fine.shape[0])))
        fine = coarse
    return [*bands, fine]


def band_ssim(truth: np.ndarray, result: np.ndarray) -> dict[str, float]:
    """{"low", "mid", "high": SSIM of that band} of two uint8 pictures [H, W, 3] of one size.

    Raises:
      UserError: the pictures differ in size.
      ValueError: an argument is not uint8 [H, W, 3].
    """
    metrics.check_pair(truth, result)
    pairs = list(zip(laplacian_pyramid(truth), laplacian_pyramid(result)))
    return {band: metrics.ssim_of_arrays(*pair) for band, pair in zip(BANDS, reversed(pairs))}
