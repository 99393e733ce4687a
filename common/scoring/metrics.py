"""Full-reference scores of 8-bit results.

Input: `truth` and `result`, two uint8 arrays [H, W, 3] RGB of one size. Output: Python floats. The scores are those of
Table 2 of Zoom-to-Inpaint and of HiFill (except FID and IS, which are scores of sets, see `common.scoring.fid`).

| score         | unit            | best | papers                                               |
|---------------|-----------------|------|------------------------------------------------------|
| `psnr`        | dB              | inf  | Zoom-to-Inpaint                                      |
| `ssim`        | 1               | 1    | Zoom-to-Inpaint; Wang et al., IEEE TIP 13(4), 2004   |
| `ms_ssim`     | 1               | 1    | both papers; Wang et al., Asilomar 2003              |
| `l1_fraction` | fraction of 1   | 0    | Zoom-to-Inpaint ("L1 error", 0.00357)                |
| `l1_percent`  | per cent        | 0    | `l1_fraction` times 100                              |
| `l1_levels`   | levels of 255   | 0    | HiFill ("L1", 5.439, see `hifill.reported`)          |

Choices that the papers leave open:
- Scores are over the whole image, hole and known pixels.
- PSNR is computed from the squared error of all pixels and channels together; identical images give infinity.
- SSIM: Gaussian window 11x11, sigma 1.5, K1 = 0.01, K2 = 0.03, weighted (not sample) covariance, window positions
  inside the image only. It is computed per channel, then averaged over the three; there is no conversion to gray.
- MS-SSIM (as `tf.image.ssim_multiscale`): five scales, each the 2x2 mean of the finer scale (an odd row or column is
  repeated first). The terms are the contrast of the four finer scales and SSIM of the coarsest. Negative means count as
  0, and each term is raised to its published power. The product is taken per channel, then averaged over the three.
- Small images: a side shorter than 11 shrinks the window (same sigma) to the largest odd size that fits. MS-SSIM then
  uses only scales whose shorter side has 11 pixels or more (at least one), with powers rescaled to sum to 1. All five
  scales need 161 pixels. Compare scores only between images of one size.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.errors import UserError

METRICS = ("psnr", "ssim", "ms_ssim", "l1_fraction", "l1_percent", "l1_levels")

_PEAK = float(np.iinfo(np.uint8).max)
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
_POWERS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# Rows at a time: limits the memory of an 8K image and keeps temporaries in cache.
_STRIP = 64


def check_pair(truth: np.ndarray, result: np.ndarray) -> None:
    """UserError if the images differ in size, ValueError if one is not uint8 [H, W, 3]."""
    for name, image in (("truth", truth), ("result", result)):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"{name} must be uint8 [H, W, 3], not {image.dtype} {image.shape}")
    if truth.shape != result.shape:
        (h, w), (result_h, result_w) = truth.shape[:2], result.shape[:2]
        raise UserError(
            f"the result is {result_w}x{result_h} pixels and the original {w}x{h}; "
            "score pictures of one size"
        )


def _gaussian(shorter_side: int) -> np.ndarray:
    """Weights [k] float64 that sum to 1; k is odd, at most 11 and at most `shorter_side`."""
    radius = (min(_WINDOW, shorter_side) - 1) // 2
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * _SIGMA**2))
    return weights / weights.sum()


def _similarity(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over all window positions of SSIM and of its contrast factor, each [3] float64."""
    x, y = x.astype(np.float32), y.astype(np.float32)
    radius = len(weights) // 2
    inside = (slice(radius, x.shape[0] - radius), slice(radius, x.shape[1] - radius))

    def blur(plane: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(plane, -1, weights, weights)[inside]

    mean_x, mean_y = blur(x), blur(y)
    mean_product, mean_power = 2 * mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    covariance = 2 * blur(x * y) - mean_product
    # One blur of the sum, not two: then identical pictures give exactly 1.
    variance = blur(x * x + y * y) - mean_power
    contrast = (covariance + _C2) / (variance + _C2)
    ssim_map = (mean_product + _C1) / (mean_power + _C1) * contrast
    return np.array(cv2.sumElems(ssim_map)[:3]), np.array(cv2.sumElems(contrast)[:3])


def _scale_terms(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean SSIM and mean contrast factor of one scale, each [3] float64."""
    height, width = x.shape[:2]
    weights = _gaussian(min(height, width))
    overlap = len(weights) - 1
    rows, columns = height - overlap, width - overlap
    strips = [slice(top, min(top + _STRIP, rows) + overlap) for top in range(0, rows, _STRIP)]
    sums = [_similarity(x[strip], y[strip], weights) for strip in strips]
    total = np.sum(sums, axis=0) / (rows * columns)
    return total[0], total[1]


def _halve(image: np.ndarray) -> np.ndarray:
    """2x2 means, [H, W, 3] -> [ceil(H / 2), ceil(W / 2), 3] float32; odd ends are repeated."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    # Strided views are summed, to avoid a float32 copy of a whole 8K image.
    total = image[0::2, 0::2].astype(np.float32)
    for row, column in ((0, 1), (1, 0), (1, 1)):
        total += image[row::2, column::2]
    total *= 0.25
    return total


def _ms_ssim(x: np.ndarray, y: np.ndarray, finest: tuple[np.ndarray, np.ndarray]) -> float:
    """MS-SSIM, given the terms of the finest scale."""
    ssims, contrasts = [finest[0]], [finest[1]]
    while len(ssims) < len(_POWERS) and (min(x.shape[:2]) + 1) // 2 >= _WINDOW:
        x, y = _halve(x), _halve(y)
        ssim_term, contrast = _scale_terms(x, y)
        ssims.append(ssim_term)
        contrasts.append(contrast)
    terms = np.maximum(np.stack([*contrasts[:-1], ssims[-1]]), 0)
    powers = np.array(_POWERS[: len(terms)])
    if len(terms) < len(_POWERS):
        powers /= powers.sum()
    return float(np.mean(np.prod(terms ** powers[:, None], axis=0)))


def psnr(truth: np.ndarray, result: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, at least 0; infinity for identical images. Errors: as `check_pair`."""
    check_pair(truth, result)
    squared = cv2.norm(truth, result, cv2.NORM_L2SQR)
    return float("inf") if squared == 0 else float(10 * np.log10(_PEAK**2 * truth.size / squared))


def ssim(truth: np.ndarray, result: np.ndarray) -> float:
    """Structural similarity in (-1, 1], exactly 1 for identical images. Errors: as `check_pair`."""
    check_pair(truth, result)
    return ssim_of_arrays(truth, result)


def ssim_of_arrays(truth: np.ndarray, result: np.ndarray) -> float:
    """`ssim` of arrays [H, W, 3] of one size and any real dtype, with the constants for 8-bit images."""
    return float(np.mean(_scale_terms(truth, result)[0]))


def l1_fraction(truth: np.ndarray, result: np.ndarray) -> float:
    """Mean absolute error of images scaled to [0, 1]: Zoom-to-Inpaint's "L1 error". Errors: as `check_pair`."""
    check_pair(truth, result)
    return float(cv2.norm(truth, result, cv2.NORM_L1) / (truth.size * _PEAK))


def all_metrics(truth: np.ndarray, result: np.ndarray) -> dict[str, float]:
    """All scores, keyed as in `METRICS`. Errors: as `check_pair`."""
    l1 = l1_fraction(truth, result)
    finest = _scale_terms(truth, result)
    return {
        "psnr": psnr(truth, result),
        "ssim": float(np.mean(finest[0])),
        "ms_ssim": _ms_ssim(truth, result, finest),
        "l1_fraction": l1,
        "l1_percent": 100 * l1,
        "l1_levels": _PEAK * l1,
    }
