"""Export of HiFill: the whole pipeline as a SavedModel, or the generator as an ONNX or LiteRT file.

`hifill.graph_pipeline` repeats in TensorFlow ops what `hifill.photograph` does in NumPy and OpenCV. The SavedModel's
result equals that of `HiFill.inpaint` within one level. `common.models.saved_model` defines signatures and errors.

`common.models.portable` defines inputs and output of the other files. `attention` [1, N, N] is a second output, as
`HiFill.generate` gives it. With it a program fills a photograph at its own size (HiFill section 3.1, Figure 2), see
examples/onnx_photograph.py.
"""

from __future__ import annotations

import tensorflow as tf

from common.models import portable, saved_model
from common.storage import PathLike
from hifill import graph_pipeline, onnx_file
from hifill.model import HiFill
from hifill.photograph import MIN_SIDE

_TITLE = "HiFill"
NETWORK_SIZE = 512  # of ONNX and LiteRT files by default: the paper's


def build_module(model: HiFill) -> tf.Module:
    """The pipeline of `model` with its functions `inpaint` and `inpaint_encoded`; see `common.models.saved_model`."""

    def fill(image, hole):
        return graph_pipeline.fill(model.fill, model.config, image, hole)

    return saved_model.build_module(_TITLE, model.variables, fill, MIN_SIDE)


def export(model: HiFill, folder: PathLike, weights: str = "not recorded") -> None:
    """Writes the SavedModel and its README.txt, see `saved_model.export`; weights: their source.

    Raises:
      UserError: `folder` holds other files, or cannot be written.
    """
    sizes = f"Both sides at least {MIN_SIDE}."
    saved_model.export(build_module(model), folder, _TITLE, sizes, weights)


def network(model: HiFill, size: int) -> portable.Network:
    """The generator at a fixed size; UsageError for a size that it cannot have."""
    portable.check_size(size, 64, 32, (size // 16) ** 2)
    model = model.at_size(size)

    def call(image, mask):
        _, refined, attention = model((image * 2.0 - 1.0, mask))
        return {"output": (refined + 1.0) / 2.0, "attention": attention.dense()}

    properties = ((onnx_file.DETAIL_BLUR, str(model.config.detail_blur)),)
    return portable.Network(call, size, properties)
