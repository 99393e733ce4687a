"""Writes a model as a SavedModel that fills photographs of any size without this package.

    python export.py --model=hifill --weights=W --output=saved/hifill

The folder's README.txt says what goes in and comes out and shows how to call it. A SavedModel that was exported
to --output before is replaced, a folder with anything else in it is refused. Exit code: 0 done, 1 failed, 2 wrong
flags.
"""

from __future__ import annotations

import sys

from absl import flags

import painters
from common import environment, errors
from common.errors import UsageError

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "hifill", f"one of {', '.join(painters.MODELS)}")
flags.DEFINE_string("weights", None, "weights file, release checkpoint or .pb; 'none': untrained")
flags.DEFINE_string("output", None, "folder of the SavedModel")


def _check_flags():
    painters.check_names([FLAGS.model])
    if FLAGS.model not in painters.MODELS:
        raise UsageError(
            f"--model={FLAGS.model} has no network to export; use {', '.join(painters.MODELS)}"
        )
    if not FLAGS.output:
        raise UsageError("--output is missing; name the folder to write")
    if not FLAGS.weights:
        raise UsageError(
            "--weights is missing; name a weights file, or 'none' for an untrained one"
        )


def main(_) -> None:
    _check_flags()
    environment.start_tensorflow()  # takes seconds, so after the flags are checked
    from hifill import export, weights_source

    export.check_folder(FLAGS.output)
    described = FLAGS.weights
    if weights_source.is_untrained(FLAGS.weights):
        described = "none (an untrained network, its fill has no meaning)"
        print(f"{FLAGS.model}: untrained network, its fill has no meaning", file=sys.stderr)
    export.export(weights_source.load(FLAGS.weights), FLAGS.output, described)
    print(f"wrote {FLAGS.output}; {FLAGS.output}/README.txt says how to use it")


if __name__ == "__main__":
    errors.run(main, environment.check)
