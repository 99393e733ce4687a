"""What the commands' `--weights` may name, understood in one place.

pretrained       the weights that come with the package (docs/weights.md)
none             random weights, for trying a command out; the caller says so (`is_untrained`)
FILE.npz         a weights file written by `HiFill.save` or `train.py`
FILE.pb, PREFIX  the authors' release: a frozen graph, or a TensorFlow 1 checkpoint without its suffix
"""

from __future__ import annotations

import pathlib

from common.errors import UserError
from common.models import pretrained
from hifill.config import PAPER
from hifill.model import HiFill
from hifill.release import load_release

UNTRAINED = pretrained.UNTRAINED
_CHECKPOINT_PARTS = (".index", ".meta", ".data-00000-of-00001")


def is_untrained(weights: str) -> bool:
    """Whether `weights` asks for a model with random weights, whose output is meaningless."""
    return weights == UNTRAINED


def load(weights: str, dtype: str = "float32") -> HiFill:
    """The model that `weights` names; see the module docstring.

    Raises:
      UserError: nothing given, no such file, or not weights of HiFill.
    """
    if not weights:
        raise UserError(
            f"--weights is empty; name a weights file, or '{UNTRAINED}' for an untrained model"
        )
    if is_untrained(weights):
        return HiFill(PAPER, dtype)
    if weights == pretrained.NAME:
        return HiFill.pretrained(dtype)
    path = pathlib.Path(weights)
    if path.suffix == ".npz":
        return HiFill.load(path, dtype)
    if path.is_dir():
        raise UserError(
            f"--weights={weights} is a folder; name a file in it, or a checkpoint's prefix"
        )
    if path.is_file() and not path.name.endswith((".pb", *_CHECKPOINT_PARTS)):
        raise UserError(
            f"--weights={weights} is no weights file; give an .npz of train.py, a .pb or a checkpoint's prefix"
        )
    for suffix in _CHECKPOINT_PARTS:  # what a shell's completion stops at
        if path.name.endswith(suffix):
            path = path.with_name(path.name[: -len(suffix)])
    return load_release(path, dtype)
