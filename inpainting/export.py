"""Writes a model for programs that do not have this package.

    python export.py --model=hifill --weights=W --output=saved/hifill
    python export.py --model=zoom_to_inpaint --weights=W --output=saved/zoom_to_inpaint
    python export.py --model=hifill --format=onnx --output=hifill.onnx

--format=saved_model (default): a SavedModel that fills photographs of any size with TensorFlow. README.txt in the
folder describes inputs and outputs and shows an example. An older SavedModel in --output is replaced; a folder with
other files is refused. --format=onnx, litert: the networks at a fixed --size as one file (docs/onnx.md).
Exit code: 0 done, 1 failed, 2 wrong flags.
"""

from __future__ import annotations

import importlib

from absl import flags

from common import environment
from common.errors import UsageError
from common.models import weights_source as sources
from inpainting import painters

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "hifill", f"one of {', '.join(painters.MODELS)}")
flags.DEFINE_string(
    "weights",
    None,
    "weights file or folder, release checkpoint, .pb or 'none'; default: the package's own",
)
flags.DEFINE_enum(
    "format", "saved_model", ("saved_model", "onnx", "litert"), "what to write, see above"
)
flags.DEFINE_integer(
    "size",
    None,
    "side in pixels that the networks of --format=onnx and litert take; default: 512 for hifill, 256 for "
    "zoom_to_inpaint",
)
flags.DEFINE_string(
    "output", None, "folder of the SavedModel, or the file FILE.onnx or FILE.tflite"
)
_SUFFIXES = {"onnx": ".onnx", "litert": ".tflite"}


def _check_flags():
    painters.check_names([FLAGS.model])
    if FLAGS.model not in painters.MODELS:
        raise UsageError(
            f"--model={FLAGS.model} cannot be exported; use {' or '.join(painters.MODELS)}"
        )
    if not FLAGS.output:
        raise UsageError("--output is missing; name the folder or the file to write")
    suffix = _SUFFIXES.get(FLAGS.format, "")
    if not FLAGS.output.endswith(suffix):
        raise UsageError(
            f"--output={FLAGS.output}: a file of --format={FLAGS.format} ends with {suffix}"
        )
    if FLAGS.size is not None and not suffix:
        raise UsageError("--size is for --format=onnx and litert; a SavedModel takes any size")


def main(_) -> None:
    _check_flags()
    weights = painters.chosen_weights(FLAGS.model, FLAGS.weights)
    environment.start_tensorflow()  # takes seconds, so after the flags are checked
    export = importlib.import_module(f"{FLAGS.model}.export")
    weights_source = importlib.import_module(f"{FLAGS.model}.weights_source")
    if FLAGS.format != "saved_model":
        _export_network(export, lambda: weights_source.load(weights))
        return
    from common.models import saved_model

    saved_model.check_folder(FLAGS.output)
    described = {
        "none": "none (an untrained network, its fill has no meaning)",
        sources.PRETRAINED: "those that come with the package",
    }.get(weights, weights)
    export.export(weights_source.load(weights), FLAGS.output, described)
    print(f"wrote {FLAGS.output}; {FLAGS.output}/README.txt says how to use it")


def _export_network(export, load) -> None:
    from common.models import portable

    portable.check_installed(FLAGS.format)
    network = export.network(load(), FLAGS.size or export.NETWORK_SIZE)
    difference = portable.export(network, FLAGS.format, FLAGS.output)
    print(
        f"wrote {FLAGS.output} for images of {network.size}x{network.size} pixels; its values differ from "
        f"TensorFlow's by at most {difference:.0e} of their range"
    )
