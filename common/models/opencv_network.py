"""Networks run by OpenCV, which starts at once where TensorFlow takes seconds.

A file of this kind is a zip archive of two members:
  network.onnx   an ONNX network at a fixed size (`common.models.portable`) without its weights
  weights.json   one entry a weight: name in the network, name in the weights file (`common.models.weights`), order of
                 axes to transpose to, shape in the network
So one small file serves every weights file of a configuration. `studies.publish.opencv_network` writes it. Results
differ from TensorFlow's by less than 1e-4 of their range.
"""

from __future__ import annotations

import json
import pathlib
import tempfile
import threading
import zipfile
from typing import Callable

import cv2
import numpy as np

from common import storage
from common.models import onnx_wire
from common.storage import PathLike

NETWORK, WEIGHTS = "network.onnx", "weights.json"


def load(path: PathLike, arrays: dict[str, np.ndarray]) -> Callable:
    """Loads the network at `path` with the weights `arrays` (float32; all that weights.json names).

    Returns:
      A function ({input: float32 array}, names of outputs) -> {output: float32 array}. One thread at a time runs it;
      others wait.

    Raises:
      UserError: OpenCV reads the network from a temporary file, and that file cannot be written.
    """
    network = _read(whole(path, arrays))
    lock = threading.Lock()  # inputs and outputs belong to the network

    def run(inputs, outputs):
        with lock:
            for name, value in inputs.items():
                network.setInput(value, name)
            return dict(zip(outputs, network.forward(list(outputs))))

    return run


def whole(path: PathLike, arrays: dict[str, np.ndarray]) -> bytes:
    """A complete ONNX file: the network at `path` with `arrays` as its weights."""
    with zipfile.ZipFile(path) as archive:
        content = archive.read(NETWORK)
        weights = json.loads(archive.read(WEIGHTS))
    tensors = {
        name: arrays[key].transpose(axes).reshape(shape) for name, key, axes, shape in weights
    }
    return onnx_wire.with_tensors(content, tensors)


def _read(content):
    # The new engine of OpenCV 5 cannot multiply a feature map by a gate of one channel; the old one reads files alone.
    classic = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
    with storage.named_errors(tempfile.gettempdir()), tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, NETWORK)
        path.write_bytes(content)
        return cv2.dnn.readNetFromONNX(str(path), *(() if classic is None else (classic,)))
