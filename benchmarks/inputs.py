"""Inputs of benchmarks: a smooth photograph with a hole, in memory. Importing this imports no TensorFlow."""

from __future__ import annotations

import cv2
import numpy as np

from common.images import convert


def photograph(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth random image uint8 [side, side, 3] and a mask uint8 [side, side] with one block of 10% hole."""
    coarse = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    mask = np.zeros((side, side), np.uint8)
    first, length = int(0.3 * side), int(0.32 * side)
    mask[first : first + length, first : first + length] = 1
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), mask


def batch(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [H, W, 3], [H, W] -> float32 [1, H, W, 3] in [0, 1], [1, H, W, 1], the networks' inputs."""
    return convert.to_unit(image)[None], mask[None, ..., None].astype(np.float32)
