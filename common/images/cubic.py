"""OpenCV's bicubic interpolation: Keys' kernel with A = -0.75 (TensorFlow's has A = -0.5)."""

from __future__ import annotations

import numpy as np

_A = -0.75


def kernel(distance, where=np.where):
    """Weights at distances >= 0 in pixels, float arrays; with where=tf.where also tensors."""
    near = ((_A + 2) * distance - (_A + 3)) * distance * distance + 1
    far = _A * (((distance - 5) * distance + 8) * distance - 4)
    return where(distance <= 1, near, where(distance < 2, far, 0.0))
