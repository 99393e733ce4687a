"""HiFill without residual aggregation: the completion is only enlarged (HiFill section 4.4, Figure 6)."""

from __future__ import annotations

from typing import Callable

import cv2
import numpy as np

from common.images import convert


def painter(model, enlarge: Callable | int) -> Callable:
    """A painter of square images: enlarges the completion of `model` and pastes it into the hole.

    Args:
      model: a `hifill.HiFill`.
      enlarge: one of OpenCV's interpolations, or a network [1, S, S, 3] -> [1, sS, sS, 3] in [0, 1]; a network's result
        is resized bicubically to the image's size if needed.
    """
    from common.models.window import cells_touching
    from hifill.residual_aggregation import average_down

    network = enlarge if callable(enlarge) else lambda completed: completed
    interpolation = cv2.INTER_CUBIC if callable(enlarge) else enlarge

    def paint(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        size, hole = model.config.size, mask > 0
        low = average_down(image, size, hole) / np.float32(convert.WHITE)
        touched = cells_touching(hole, size)[..., None]
        completed, _ = model.fill(low[None], touched[None].astype(np.float32))
        large = np.asarray(network(np.asarray(completed)))[0]
        if large.shape != image.shape:
            large = cv2.resize(large, image.shape[1::-1], interpolation=interpolation)
        return np.where(hole[..., None], convert.to_uint8(large), image)

    return paint
