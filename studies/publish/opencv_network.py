"""Writes hifill/shipped_network_SIZE.zip: HiFill's shipped configuration for OpenCV (`common.models.opencv_network`).

    python -m studies.publish.opencv_network

It needs the packages of the extra `onnx`. Run it after the networks change. New weights alone do not need it.
The network is exported with random weights. All values differ, so each weight can be recognised in the ONNX file by its
values.
"""

from __future__ import annotations

import itertools
import json
import pathlib
import tempfile
import zipfile

import numpy as np
import tensorflow as tf

from common import storage
from common.models import opencv_network, portable, weights
from hifill import SHIPPED, HiFill, export
from hifill.opencv_painter import NETWORKS


def main() -> None:
    tf.keras.utils.set_random_seed(0)
    model = HiFill(SHIPPED)
    arrays = _randomize(model)
    for size, path in NETWORKS.items():
        _write(path, model, size, arrays)


def _write(target, model, size, arrays):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "network.onnx")
        portable.export(export.network(model, size), "onnx", path)
        content, table = without_weights(path, arrays)
    members = {opencv_network.NETWORK: content, opencv_network.WEIGHTS: json.dumps(table).encode()}
    with storage.atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in members.items():
            # Without a date, so that the same network gives the same file.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, 9)
    print(f"wrote {target}, {target.stat().st_size / 1000:.0f} kB, {len(table)} weights")


def _randomize(model):
    """Gives every weight a random value, so that none equals another or a constant; returns {name: array}."""
    rng, found = np.random.default_rng(0), {}
    for name, variable in weights.named_variables(model).items():
        spread = 1 / np.sqrt(np.prod(variable.shape[:-1], dtype=int))
        found[name] = (rng.standard_normal(variable.shape) * spread).astype(np.float32)
        variable.assign(found[name])
    return found


def without_weights(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> tuple[bytes, list]:
    """(the ONNX file without `arrays`, the table of `opencv_network`); ValueError unless each is in it exactly once."""
    import onnx
    from onnx import numpy_helper

    model, table, kept = onnx.load(str(path)), [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        place = _find(values, arrays)
        if place is None:
            kept.append(tensor.SerializeToString())
        else:
            table.append([tensor.name, *place, list(values.shape)])
    if sorted(key for _, key, _, _ in table) != sorted(arrays):
        raise ValueError("the weights are not in the network as they are, each once")
    del model.graph.initializer[:]
    model.graph.initializer.extend(onnx.TensorProto.FromString(content) for content in kept)
    return model.SerializeToString(), table


def _find(values, arrays):
    """(name, order of axes) of the weight that `values` are, or None."""
    for name, array in arrays.items():
        if array.size == values.size and np.isin(values.flat[0], array):
            for axes in itertools.permutations(range(array.ndim)):
                if np.array_equal(array.transpose(axes).ravel(), values.ravel()):
                    return name, list(axes)
    return None


if __name__ == "__main__":
    main()
