"""Export of the whole pipeline to a SavedModel that needs nothing but TensorFlow (HiFill section 3.1, Figure 2).

`hifill.graph_pipeline` repeats in TensorFlow ops what `hifill.photograph` does in NumPy and OpenCV. The result equals
that of `HiFill.inpaint` within one level. `common.models.saved_model` defines signatures and errors.
"""

from __future__ import annotations

import tensorflow as tf

from common.models import saved_model
from common.storage import PathLike
from hifill import graph_pipeline
from hifill.model import HiFill
from hifill.photograph import MIN_SIDE

_TITLE = "HiFill"


def build_module(model: HiFill) -> tf.Module:
    """The pipeline of `model` with its functions `inpaint` and `inpaint_encoded`; see `common.models.saved_model`."""
    generate, config = model.generate, model.config

    def fill(image, hole):
        return graph_pipeline.fill(generate, config, image, hole)

    return saved_model.build_module(_TITLE, model.variables, fill, MIN_SIDE)


def export(model: HiFill, folder: PathLike, weights: str = "not recorded") -> None:
    """Writes the SavedModel and its README.txt, see `saved_model.export`; weights: their source.

    Raises:
      UserError: `folder` holds other files, or cannot be written.
    """
    sizes = f"Both sides at least {MIN_SIDE}."
    saved_model.export(build_module(model), folder, _TITLE, sizes, weights)
