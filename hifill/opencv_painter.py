"""Fills with HiFill's shipped weights in OpenCV, as `HiFill.pretrained().inpaint` does, without TensorFlow.

Starting takes a fraction of a second. Results differ from TensorFlow's by at most one level of 255.
"""

from __future__ import annotations

import pathlib
from typing import Callable

from common.models import opencv_network, pretrained, weights
from hifill import onnx_file
from hifill.config import SHIPPED

# The networks of `SHIPPED`, without weights.
NETWORK = pathlib.Path(__file__).with_name("shipped_network.zip")


def load() -> Callable:
    """Returns a function (image, mask) -> filled photograph, like `HiFill.inpaint`.

    UserError if the weights are not the published file.
    """
    _, arrays = weights.read(pretrained.find(NETWORK.parent), "hifill")
    run = opencv_network.load(NETWORK, arrays)
    return onnx_file.painter(lambda inputs: run(inputs, ("output", "attention")), SHIPPED)
