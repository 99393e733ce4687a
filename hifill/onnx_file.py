"""HiFill from a file that `export --format=onnx` wrote: the same pipeline, without TensorFlow (docs/onnx.md).

The generator has the file's size S. `hifill.photograph` chooses the window, as for a model of this size that does not
`enlarge`. Starting takes a fraction of a second.
"""

from __future__ import annotations

import dataclasses
from typing import Callable

import numpy as np

from common.errors import UserError
from common.images.convert import WHITE
from common.models import runtimes
from common.storage import PathLike
from hifill import photograph
from hifill.config import PAPER, SHIPPED, HiFillConfig

DETAIL_BLUR = "detail_blur"  # property of a file, and option of its configuration


def load(path: PathLike, runtime: str | None = None) -> Callable:
    """(image, mask) -> filled photograph, as `HiFill.inpaint`.

    runtime: of `runtimes.NAMES`; default: the preferred one that is installed.

    Raises:
      UserError: the runtime is missing or cannot read the file, or the file is not HiFill's.
    """
    network = runtimes.load(path, runtime)
    size = _size(network)
    if not size:
        raise UserError(f"{path} is not a file of HiFill that export.py --format=onnx wrote")

    config = _config(path, network, size)

    def run(feed):
        return {n: _numbers(path, network, n, array) for n, array in network.run(feed).items()}

    return painter(run, config)


def painter(run: Callable, config: HiFillConfig) -> Callable:
    """(image, mask) -> filled photograph, as `HiFill.inpaint`.

    run: {"image", "mask"} -> {"output", "attention"}, arrays of `common.models.portable`, S in config.sizes.
    """

    def network(image, mask):
        feed = {"image": image, "mask": mask}
        feed = {
            n: np.ascontiguousarray(a.transpose(0, 3, 1, 2), np.float32) for n, a in feed.items()
        }
        found = run(feed)
        return found["output"].transpose(0, 2, 3, 1) / WHITE, found["attention"]

    return lambda image, mask: photograph.inpaint(network, config, image, mask)


def _size(network):
    """The side S of HiFill's file; 0 for every other network."""
    size = (network.inputs.get("image") or (0,))[-1]
    try:
        cells = dataclasses.replace(PAPER, size=size).grid ** 2
    except (TypeError, ValueError):  # names instead of numbers, and sizes that no HiFill has
        return 0
    inputs = {"image": (1, 3, size, size), "mask": (1, 1, size, size)}
    outputs = {"output": (1, 3, size, size), "attention": (1, cells, cells)}
    return size if (network.inputs, network.outputs) == (inputs, outputs) else 0


def _config(path, network, size):
    """What the pipeline needs of the exported configuration; files of other versions do not name `detail_blur`."""
    blur = network.properties.get(DETAIL_BLUR, "0")
    try:
        return dataclasses.replace(SHIPPED.at_size(size), detail_blur=float(blur))
    except ValueError as error:
        raise UserError(f"{path}: its metadata have {DETAIL_BLUR} = {blur!r}") from error


def _numbers(path, network, name, array):
    """float32; UserError if the network gives something else than its file says."""
    array = np.asarray(array)
    if array.dtype.kind not in "fiu" or array.shape != network.outputs[name]:
        raise UserError(f"{path}: the network gives {array.dtype} of shape {array.shape} as {name}")
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.asarray(array, np.float32)
    if not np.isfinite(array).all():
        raise UserError(f"{path}: the network gives NaN or infinite values as {name}")
    return array
