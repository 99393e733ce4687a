"""HiFill from a file that `export --format=onnx` wrote: the same pipeline, without TensorFlow (docs/onnx.md).

The generator has the file's size S. `hifill.photograph` chooses the window, as for a model of this size that does not
`enlarge`. Starting takes a fraction of a second.
"""

from __future__ import annotations

import types
from typing import Callable

import numpy as np

from common.errors import UserError
from common.images.convert import WHITE
from common.models import runtimes
from common.storage import PathLike
from hifill import photograph


def load(path: PathLike, runtime: str | None = None) -> Callable:
    """(image, mask) -> filled photograph, as `HiFill.inpaint`.

    runtime: of `runtimes.NAMES`; default: the preferred one that is installed.

    Raises:
      UserError: the runtime is missing or cannot read the file, or the file is not HiFill's.
    """
    network = runtimes.load(path, runtime)
    size = network.inputs.get("image", (0,))[-1]
    cells = (size // 16) ** 2 if isinstance(size, int) else 0
    wanted = {"output": (1, 3, size, size), "attention": (1, cells, cells)}
    if not cells or network.outputs != wanted or set(network.inputs) != {"image", "mask"}:
        raise UserError(f"{path} is not a file of HiFill that export.py --format=onnx wrote")
    return painter(network.run, size)


def painter(run: Callable, size: int) -> Callable:
    """(image, mask) -> filled photograph, as `HiFill.inpaint`.

    run: {"image", "mask"} -> {"output", "attention"}, arrays of `common.models.portable` with S = `size`.
    """

    def generate(image, mask):
        feed = {"image": image, "mask": mask}
        feed = {
            n: np.ascontiguousarray(a.transpose(0, 3, 1, 2), np.float32) for n, a in feed.items()
        }
        found = run(feed)
        return None, found["output"].transpose(0, 2, 3, 1) / WHITE, found["attention"]

    config = types.SimpleNamespace(size=size, grid=size // 16, least_window=size)
    return lambda image, mask: photograph.inpaint(generate, config, image, mask)
