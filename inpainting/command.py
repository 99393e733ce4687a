"""Fills holes in photographs; trains, scores and exports the models for it.

    inpaint run photo.jpg mask.png filled.png
    inpaint run --help
    inpaint train --flagfile=configs/hifill/places2.cfg --data_dir=/data/places2 --output=runs/hifill
    inpaint evaluate --dataset=div2k --masks=small --div2k_dir=/data/DIV2K
    inpaint export --model=hifill --output=exported

    run        fills photographs
    bulk       fills any number of photographs, on many processors or machines
    serve      serves a page for the browser, to paint holes and to fill them
    train      trains a model
    shards     writes a data set as a few large files for training
    evaluate   scores models
    export     writes a SavedModel, an ONNX or a LiteRT file

Each command has its own flags. In a clone `python inpaint.py`, `train.py`, `evaluate.py` and `export.py` do the same.
"""

from __future__ import annotations

import importlib
import sys

from common import command_line
from common.errors import UsageError

# {command: its module}
COMMANDS = {
    **{name: f"inpainting.{name}" for name in ("run", "train", "shards", "evaluate", "export")},
    "bulk": "inpainting.bulk.command",
    "serve": "inpainting.serve.command",
}


def _module(words: list[str]):
    """The module of the command in the first word."""
    if words[0] not in COMMANDS:
        raise UsageError(f"'{words[0]}' is not a command; choose one of {', '.join(COMMANDS)}")
    return importlib.import_module(COMMANDS[words[0]])


def main() -> None:
    """Runs the command of the command line and ends the program with its exit code."""
    words = sys.argv[1:]
    if not words or words[0].lstrip("-") in ("help", "h"):
        print(__doc__.strip())
        sys.exit(0 if words else UsageError.exit_code)
    module = command_line.guarded(_module, words)
    sys.argv = [f"inpaint {words[0]}", *words[1:]]
    command_line.run(module)
