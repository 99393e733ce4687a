"""Fills with HiFill's shipped weights in OpenCV, as `HiFill.pretrained().inpaint` does, without TensorFlow.

Starting takes a fraction of a second. Results differ from TensorFlow's by at most one level of 255.
"""

from __future__ import annotations

import functools
import pathlib
from typing import Callable

from common.models import opencv_network, pretrained, weights
from hifill import onnx_file
from hifill.config import SHIPPED

_FOLDER = pathlib.Path(__file__).parent
# The networks of `SHIPPED` at each of its sizes, without weights.
NETWORKS = {size: _FOLDER / f"shipped_network_{size}.zip" for size in SHIPPED.sizes}


def load() -> Callable:
    """Returns a function (image, mask) -> filled photograph, like `HiFill.inpaint`.

    UserError if the weights are not the published file.
    """
    _, arrays = weights.read(pretrained.find(_FOLDER), "hifill")

    @functools.cache
    def network(size):  # when a window first needs it
        return opencv_network.load(NETWORKS[size], arrays)

    def run(inputs):
        return network(inputs["image"].shape[-1])(inputs, ("output", "attention"))

    return onnx_file.painter(run, SHIPPED)
