"""What the commands' weight flags may name, understood in one place.

pretrained     the weights that come with the package, of the whole model (docs/weights.md)
none           random weights, for trying a command out; the caller says so (`is_untrained`)
FILE.npz       a weights file: of the whole model, or of one network, as the pretraining stages write it; of the
               discriminator, as joint training writes it
PREFIX         the authors' release: a TensorFlow 2 checkpoint without its suffix

A file of one network is `PARTS[network]`; where one network is asked for, a file of the whole model will do.
"""

from __future__ import annotations

import pathlib

from common.errors import UserError
from common.models import pretrained
from common.models import weights as weights_files
from common.storage import PathLike
from zoom_to_inpaint.config import PAPER
from zoom_to_inpaint.model import MODEL_NAME, ZoomToInpaint, read_config
from zoom_to_inpaint.release import load_release, load_release_discriminator

UNTRAINED = pretrained.UNTRAINED
_CHECKPOINT_PARTS = (".index", ".data-00000-of-00001")
# Names of the model in a file that holds one of its networks.
PARTS = {
    network: f"{MODEL_NAME}, {network} network alone"
    for network in ("coarse", "super_resolution", "refinement")
}
DISCRIMINATOR = f"{MODEL_NAME}, discriminator"


def is_untrained(weights: str) -> bool:
    """Whether `weights` asks for random weights, whose output is meaningless."""
    return weights == UNTRAINED


def check_files(given: dict[str, str | None]) -> None:
    """UserError that names every file of {flag: what it names} that is not there."""
    missing = [
        f"--{flag}={file}" for flag, file in given.items() if file and pretrained.is_missing(file)
    ]
    if missing:
        remedy = (
            "do not exist; train the stages that write them first, or name other files",
            "does not exist; train the stage that writes it first, or name another file",
        )[len(missing) == 1]
        raise UserError(f"{' and '.join(missing)} {remedy}")


def load(weights: str, dtype: str = "float32") -> ZoomToInpaint:
    """The model that `weights` names; see the module docstring.

    Raises:
      UserError: nothing given, no such file, or not weights of the whole model.
    """
    if not weights:
        raise UserError(
            f"--weights is empty; name a weights file, or '{UNTRAINED}' for an untrained model"
        )
    if is_untrained(weights):
        return ZoomToInpaint(PAPER, dtype=dtype)
    if weights == pretrained.NAME:
        return ZoomToInpaint.pretrained(dtype)
    path = _existing(weights, "--weights")
    return ZoomToInpaint.load(path, dtype) if path.suffix == ".npz" else load_release(path, dtype)


def load_network(model: ZoomToInpaint, network: str, weights: str, flag: str) -> None:
    """Gives one network of `model` its weights from a file of that network or of the whole model.

    Raises:
      UserError: no such file, another network's, or one that does not fit the configuration.
    """
    path = _existing(weights, flag)
    layer = getattr(model, network)
    if path.suffix != ".npz":
        source = weights_files.named_variables(getattr(load_release(path), network))
        arrays = {name: variable.numpy() for name, variable in source.items()}
    else:
        owner, fields, arrays = weights_files.read_any(path)
        if owner not in (MODEL_NAME, PARTS[network]):
            raise UserError(
                f"{flag}={weights} holds weights of '{owner}', not of the {network} network"
            )
        read_config(fields, path)
        if owner == MODEL_NAME:
            prefix = f"{network}/"
            arrays = {n[len(prefix) :]: a for n, a in arrays.items() if n.startswith(prefix)}
    weights_files.assign(layer, arrays, f"{flag}={weights}")


def save_network(model: ZoomToInpaint, network: str, path: PathLike) -> None:
    """Writes a weights file of one network of `model`."""
    layer = getattr(model, network)
    weights_files.save(path, PARTS[network], model.config.to_dict(), layer)


def load_discriminator(discriminator, weights: str) -> None:
    """Gives the discriminator its weights from a joint run's discriminator.npz or the authors' checkpoint.

    Raises:
      UserError: no such file, another network's, or one that does not fit the configuration.
    """
    flag = "--discriminator_weights"
    path = _existing(weights, flag)
    if path.suffix == ".npz":
        _, arrays = weights_files.read(path, DISCRIMINATOR)
    else:
        source = weights_files.named_variables(load_release_discriminator(path))
        arrays = {name: variable.numpy() for name, variable in source.items()}
    weights_files.assign(discriminator, arrays, f"{flag}={weights}")


def save_discriminator(discriminator, config, path: PathLike) -> None:
    """Writes a weights file of the discriminator."""
    weights_files.save(path, DISCRIMINATOR, config.to_dict(), discriminator)


def _existing(weights, flag):
    """The path of an .npz that exists, or the prefix of a checkpoint that does."""
    path = pathlib.Path(weights)
    for suffix in _CHECKPOINT_PARTS:  # what a shell's completion stops at
        if path.name.endswith(suffix):
            path = path.with_name(path.name[: -len(suffix)])
    if path.is_dir():
        raise UserError(
            f"{flag}={weights} is a folder; name a file in it, or a checkpoint's prefix"
        )
    if not path.is_file() and not pathlib.Path(f"{path}.index").is_file():
        raise UserError(
            f"{flag}={weights} does not exist; train the stage that writes it first, or name another file"
        )
    return path
