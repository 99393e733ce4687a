"""Networks run by OpenCV, which starts at once where TensorFlow takes seconds.

A file of this kind is a zip archive of two members:
  network.onnx   an ONNX network at a fixed size (`common.models.portable`) without its weights
  weights.json   for each weight: its name in the network, its name in a weights file (`common.models.weights`), the
                 order of axes and the shape that the network has it in
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
from common.storage import PathLike

NETWORK, WEIGHTS = "network.onnx", "weights.json"
# Numbers of ONNX's fields in its protocol buffers: ModelProto.graph, GraphProto.initializer, and those of TensorProto.
_GRAPH, _INITIALIZER = 7, 5
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_FLOAT = 1


def load(path: PathLike, arrays: dict[str, np.ndarray]) -> Callable:
    """The network of a file with the weights `arrays`, float32, all that the file names.

    Returns:
      ({input: float32 array}, names of outputs) -> {output: float32 array}, for one thread at a time (others wait).

    Raises:
      UserError: the folder of temporary files, which the whole network passes through, cannot be written.
    """
    with zipfile.ZipFile(path) as archive:
        content = archive.read(NETWORK)
        weights = json.loads(archive.read(WEIGHTS))
    tensors = [
        _field(_INITIALIZER, _tensor(name, arrays[key].transpose(axes).reshape(shape)))
        for name, key, axes, shape in weights
    ]
    # Protocol buffers that stand one after the other are read as one: this adds the weights to the graph.
    content += _field(_GRAPH, b"".join(tensors))
    network = _read(content)
    lock = threading.Lock()  # inputs and outputs belong to the network

    def run(inputs, outputs):
        with lock:
            for name, value in inputs.items():
                network.setInput(value, name)
            return dict(zip(outputs, network.forward(list(outputs))))

    return run


def _read(content):
    # The new engine of OpenCV 5 cannot multiply a feature map by a gate of one channel; the old one reads files alone.
    classic = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
    with storage.named_errors(tempfile.gettempdir()), tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, NETWORK)
        path.write_bytes(content)
        return cv2.dnn.readNetFromONNX(str(path), *(() if classic is None else (classic,)))


def _tensor(name, array):
    """A TensorProto."""
    dims = b"".join(_varint(_DIMS << 3) + _varint(length) for length in array.shape)
    kind = _varint(_DATA_TYPE << 3) + _varint(_FLOAT)
    raw = np.ascontiguousarray(array, "<f4").tobytes()
    return dims + kind + _field(_NAME, name.encode()) + _field(_RAW_DATA, raw)


def _field(number, content):
    """A field of bytes: its number and type 2, its length, itself."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    """Seven bits a byte, the lowest first; the high bit is set in all but the last byte."""
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes(parts) + bytes([value])
