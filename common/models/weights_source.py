"""Values of the weights flags, for either paper's model. Nothing here imports TensorFlow.

pretrained     the weights that come with the package (docs/weights.md)
none           random weights, to try a command; the caller prints a note
FILE           a weights file of this package, .npz or .safetensors
FOLDER         a folder that `save_pretrained` wrote (`common.models.hub`)
FILE, PREFIX   the authors' release, read by the paper's module `release`
"""

from __future__ import annotations

import pathlib
from typing import Callable

from common import storage
from common.errors import UserError
from common.models import hub

PRETRAINED = "pretrained"
UNTRAINED = "none"
_CHECKPOINT_PARTS = (".index", ".meta", ".data-00000-of-00001")


def is_missing(weights: str) -> bool:
    """Whether `weights` names a file, or a checkpoint's prefix, that does not exist."""
    return weights not in (UNTRAINED, PRETRAINED) and not storage.exists(weights)


def check_file(weights: str) -> None:
    """UserError if the file of --weights does not exist."""
    if is_missing(weights):
        raise UserError(
            f"--weights={weights} does not exist; name a weights file that train.py wrote, or the authors' release"
        )


def existing(weights: str, flag: str) -> pathlib.Path:
    """The path of an existing file or hub's folder, or the prefix of an existing checkpoint.

    A checkpoint's own file is taken as its prefix, since a shell completes file names only.

    Raises:
      UserError: none exists, or the path is another folder.
    """
    path = pathlib.Path(weights)
    for suffix in _CHECKPOINT_PARTS:
        if path.name.endswith(suffix):
            path = path.with_name(path.name[: -len(suffix)])
    if path.is_dir() and not hub.is_folder(path):
        raise UserError(
            f"{flag}={weights} is a folder without {hub.CONFIG}; name a file in it, or a checkpoint's prefix"
        )
    if not storage.exists(path):
        raise UserError(
            f"{flag}={weights} does not exist; train the stage that writes it first, or name another file"
        )
    return path


def is_own(path: pathlib.Path) -> bool:
    """Whether a path of `existing` is of this package's forms, not a release."""
    return path.suffix in (".npz", storage.SAFETENSORS) or path.is_dir()


def load(model: type, load_release: Callable, weights: str, dtype: str = "float32"):
    """The model that `weights` names; see the module docstring.

    Args:
      model: class of the model, with `load(path, dtype)` and `pretrained(dtype)`; model(dtype=...) is the paper's.
      load_release: (path, dtype) -> model, reads the authors' release.
      weights: value of --weights.
      dtype: of the model's computation.

    Raises:
      UserError: empty, no such file, or not weights of the model.
    """
    if not weights:
        raise UserError(
            f"--weights is empty; name a weights file, or '{UNTRAINED}' for an untrained model"
        )
    if weights == UNTRAINED:
        return model(dtype=dtype)
    if weights == PRETRAINED:
        return model.pretrained(dtype)
    path = existing(weights, "--weights")
    if is_own(path):
        return model.load(path, dtype)
    if path.suffix != ".pb" and not storage.exists(f"{path}.index"):
        raise UserError(
            f"--weights={weights} is not a weights file; name an .npz, a .safetensors, a .pb or a checkpoint's prefix"
        )
    return load_release(path, dtype)
