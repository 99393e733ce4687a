"""Export of the whole pipeline to a SavedModel that needs nothing but TensorFlow (section 3.1, Figure 2).

`graph_pipeline` repeats in TensorFlow ops what `photograph` does in NumPy and OpenCV. The result equals that of
`ZoomToInpaint.inpaint` within one level. `common.models.saved_model` defines signatures and errors.
"""

from __future__ import annotations

import tensorflow as tf

from common.models import saved_model
from common.storage import PathLike
from zoom_to_inpaint import graph_pipeline
from zoom_to_inpaint.model import ZoomToInpaint
from zoom_to_inpaint.photograph import LARGEST_SIDE

_TITLE = "Zoom-to-Inpaint"


def build_module(model: ZoomToInpaint) -> tf.Module:
    """The pipeline of `model` with its functions `inpaint` and `inpaint_encoded`; see `common.models.saved_model`."""

    def fill(image, hole):
        return graph_pipeline.fill(model.fill, image, hole)

    return saved_model.build_module(_TITLE, model.variables, fill)


def export(model: ZoomToInpaint, folder: PathLike, weights: str = "not recorded") -> None:
    """Writes the SavedModel and its README.txt, see `saved_model.export`; weights: their source.

    Raises:
      UserError: `folder` holds other files, or cannot be written.
    """
    sizes = f"Beyond {LARGEST_SIDE} pixels a side, a window around the hole is filled."
    saved_model.export(build_module(model), folder, _TITLE, sizes, weights)
