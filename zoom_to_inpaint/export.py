"""Export of Zoom-to-Inpaint: the whole pipeline as a SavedModel, or the networks as an ONNX or LiteRT file.

`graph_pipeline` repeats in TensorFlow ops what `photograph` does in NumPy and OpenCV. The SavedModel's result equals
that of `ZoomToInpaint.inpaint` within one level. `common.models.saved_model` defines signatures and errors;
`common.models.portable` defines inputs and output of the other files.
"""

from __future__ import annotations

import tensorflow as tf

from common.models import portable, saved_model
from common.storage import PathLike
from zoom_to_inpaint import graph_pipeline
from zoom_to_inpaint.model import ZoomToInpaint
from zoom_to_inpaint.photograph import LARGEST_SIDE

_TITLE = "Zoom-to-Inpaint"
NETWORK_SIZE = 256  # of ONNX and LiteRT files by default: the paper's


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


def network(model: ZoomToInpaint, size: int) -> portable.Network:
    """The networks at a fixed size; UsageError for a size that they cannot have."""
    multiple = model.config.multiple
    portable.check_size(size, 2 * multiple, multiple, (size * model.config.scale // 8) ** 2)

    def call(image, mask):
        return {"output": model((image, mask), training=False)[3]}

    return portable.Network(call, size)
