"""Keys' kernel against what OpenCV enlarges an impulse to."""

from __future__ import annotations

import cv2
import numpy as np
import tensorflow as tf

from common.images import cubic


def test_the_kernel_is_opencvs():
    impulse = np.zeros((1, 9), np.float32)
    impulse[0, 4] = 1
    scale = 16
    found = cv2.resize(impulse, (9 * scale, 1), interpolation=cv2.INTER_CUBIC)[0]
    distance = np.abs((np.arange(9 * scale) + 0.5) / scale - 0.5 - 4)
    np.testing.assert_allclose(cubic.kernel(distance), found, atol=1e-6)
    in_graph = cubic.kernel(tf.constant(distance), tf.where)
    np.testing.assert_allclose(in_graph, cubic.kernel(distance), atol=1e-12)
