"""Time and memory of every method of inpaint.py on this machine, up to photographs of 8192x8192.

    python -m benchmarks.methods --output=benchmarks/results/methods.json
    python -m benchmarks.methods --methods=harmonic,telea --sides=512,2048,8192

hifill@RUNTIME is HiFill in a --runtime of inpaint.py: tensorflow, or onnxruntime and openvino, which need the extra
`onnx` and the runtime. What is not installed is left out.

The photograph is smooth random colours; the hole is one of --masks=object, about a tenth of the image. Networks have
the shipped weights. Starting, loading and tracing are not timed. Seconds are medians; the machine's convolution rate R
is also measured (`benchmarks.machine`). Memory is that of one fill beyond the photograph and its mask. It is not
measured for networks, because their libraries keep the memory of earlier fills.
"""

from __future__ import annotations

import os
import tempfile

from absl import flags

from benchmarks import inputs, machine, results
from common import environment
from common.errors import UsageError, UserError
from common.masks import files as mask_files
from common.models import runtimes
from inpainting import painters

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "methods",
    [
        *("hifill", "hifill@tensorflow", "hifill@onnxruntime", "hifill@openvino"),
        *("zoom_to_inpaint", "harmonic", "telea", "ns", "patchmatch"),
    ],
    f"methods, of {', '.join(painters.NAMES)}, or hifill@RUNTIME",
)
flags.DEFINE_list("sides", ["256", "512"], "sides of square photographs")
flags.DEFINE_integer("repeats", 5, "repetitions of each measurement", lower_bound=1)
flags.DEFINE_integer("seed", 1, "seed of the hole", lower_bound=0)


def painter(method: str) -> painters.Painter:
    """The painter of NAME or NAME@RUNTIME with the shipped weights.

    Raises:
      UsageError: unknown name or runtime.
      UserError: something is not installed.
    """
    name, _, runtime = method.partition("@")
    if "@" in method and runtime not in painters.RUNTIMES:
        raise UsageError(f"--methods={method}: choose a runtime of {', '.join(painters.RUNTIMES)}")
    if runtime not in runtimes.NAMES:
        return painters.painter(name, None, runtime=runtime or None)
    runtimes.installed(runtime)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "hifill.onnx")
        environment.start_tensorflow()
        from common.models import portable
        from hifill import HiFill, export

        model = HiFill.pretrained()
        portable.export(export.network(model, model.config.size), "onnx", path)
        return painters.painter(name, path, runtime=runtime)


def one(method: str, paint: painters.Painter, side: int) -> dict[str, float]:
    """Seconds, GB (not of networks), and the share of the picture that is hole, of one method at one side."""
    image, _ = inputs.photograph(side)
    mask = mask_files.mask_source("object")(side, side, FLAGS.seed)

    def call():
        paint(image, mask)

    found = {"seconds": machine.median_seconds(call, FLAGS.repeats), "hole": float(mask.mean())}
    if method.partition("@")[0] not in painters.MODELS:
        found["peak_gigabytes"] = machine.peak_gigabytes(call)
    return found


def measure(found: results.Results) -> None:
    """Every method at every side."""
    found.content["rate_gflops"] = machine.best_rate()
    for method in FLAGS.methods:
        try:
            paint = painter(method)
        except UsageError:
            raise
        except UserError as error:
            print(f"{method}: {error}")
            continue
        for side in map(int, FLAGS.sides):
            found.add(f"{method.replace('@', '_in_')}_{side}", one(method, paint, side))


if __name__ == "__main__":
    results.run(measure)
