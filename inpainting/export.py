"""Writes a model as a SavedModel that fills photographs of any size without this package.

    python export.py --model=hifill --weights=W --output=saved/hifill
    python export.py --model=zoom_to_inpaint --weights=W --output=saved/zoom_to_inpaint

README.txt in the folder describes inputs and outputs and shows an example. An older SavedModel in --output is replaced;
a folder with other files is refused. Exit code: 0 done, 1 failed, 2 wrong flags.
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
flags.DEFINE_string("output", None, "folder of the SavedModel")


def _check_flags():
    painters.check_names([FLAGS.model])
    if FLAGS.model not in painters.MODELS:
        raise UsageError(
            f"--model={FLAGS.model} cannot be exported; use {' or '.join(painters.MODELS)}"
        )
    if not FLAGS.output:
        raise UsageError("--output is missing; name the folder to write")


def main(_) -> None:
    _check_flags()
    weights = painters.chosen_weights(FLAGS.model, FLAGS.weights)
    environment.start_tensorflow()  # takes seconds, so after the flags are checked
    from common.models import saved_model

    saved_model.check_folder(FLAGS.output)
    export = importlib.import_module(f"{FLAGS.model}.export")
    weights_source = importlib.import_module(f"{FLAGS.model}.weights_source")
    described = {
        "none": "none (an untrained network, its fill has no meaning)",
        sources.PRETRAINED: "those that come with the package",
    }.get(weights, weights)
    export.export(weights_source.load(weights), FLAGS.output, described)
    print(f"wrote {FLAGS.output}; {FLAGS.output}/README.txt says how to use it")
