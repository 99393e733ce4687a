"""SSIM of two images in each frequency band of a Laplacian pyramid (Zoom-to-Inpaint section 4.4, appendix F).

    g_0 = image,  g_{l+1} = reduce(g_l),  band l = g_l - expand(g_{l+1}),  the last band = g_2, the blurred rest

reduce blurs with a 5-tap kernel and keeps every other pixel; expand is its counterpart (Burt and Adelson, IEEE Trans.
Communications 31, 1983). The paper names "a traditional 5-tap Gaussian kernel" and two levels. Here the kernel is
(1, 4, 6, 4, 1) / 16, that of OpenCV's `pyrDown` and `pyrUp`, with borders reflected without repeating the edge. Level 0
is the paper's "high", level 1 "mid" and the rest "low".

Pixels of bands may be negative, and the paper does not say how it scales them for SSIM. Here they are not scaled, and
the constants are those for 8-bit images, as in `common.scoring.metrics.ssim`. So an error counts relative to the
contrast of the band, and flat parts of a band agree almost perfectly.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.scoring import metrics

LEVELS = 2
BANDS = ("low", "mid", "high")  # of two levels


def laplacian_pyramid(image: np.ndarray) -> list[np.ndarray]:
    """[H, W, 3] of any real dtype -> `LEVELS` bands, finest first, and the blurred rest; float32.

    The sides of band l are those of the image halved l times, rounded up.
    """
    bands, fine = [], np.asarray(image, np.float32)
    for _ in range(LEVELS):
        coarse = cv2.pyrDown(fine)
        bands.append(fine - cv2.pyrUp(coarse, dstsize=(fine.shape[1], fine.shape[0])))
        fine = coarse
    return [*bands, fine]


def band_ssim(truth: np.ndarray, result: np.ndarray) -> dict[str, float]:
    """{"low", "mid", "high": SSIM of that band} of two uint8 images [H, W, 3] of one size.

    Raises:
      UserError: the images differ in size.
      ValueError: an argument is not uint8 [H, W, 3].
    """
    metrics.check_pair(truth, result)
    pairs = list(zip(laplacian_pyramid(truth), laplacian_pyramid(result)))
    return {band: metrics.ssim_of_arrays(*pair) for band, pair in zip(BANDS, reversed(pairs))}
