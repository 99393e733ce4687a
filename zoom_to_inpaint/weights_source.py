"""Values of the commands' weight flags for Zoom-to-Inpaint (`common.models.weights_source`).

A weights file holds the whole model, one network (`PARTS`, written by the pretraining stages) or the discriminator
(written by joint training). The authors' release is a TensorFlow 2 checkpoint, named without its suffix. A flag for one
network also takes a file of the whole model.
"""

from __future__ import annotations

from common.errors import UserError
from common.models import weights as weights_files
from common.models import weights_source
from common.storage import PathLike
from zoom_to_inpaint.model import ZoomToInpaint
from zoom_to_inpaint.release import load_release, load_release_discriminator

# Model names in files of one network.
PARTS = {
    network: f"{ZoomToInpaint.NAME}, {network} network alone"
    for network in ("coarse", "super_resolution", "refinement")
}
DISCRIMINATOR = f"{ZoomToInpaint.NAME}, discriminator"


def check_files(given: dict[str, str | None]) -> None:
    """UserError that names every missing file of {flag: file}."""
    files = [(flag, file) for flag, file in given.items() if file]
    missing = [f"--{flag}={file}" for flag, file in files if weights_source.is_missing(file)]
    if missing:
        verb = "does" if len(missing) == 1 else "do"
        raise UserError(
            f"{' and '.join(missing)} {verb} not exist; train the stages that write them first, or name other files"
        )


def load(weights: str, dtype: str = "float32") -> ZoomToInpaint:
    """The whole model that `weights` names; errors as in `common.models.weights_source.load`."""
    return weights_source.load(ZoomToInpaint, load_release, weights, dtype)


def load_network(model: ZoomToInpaint, network: str, weights: str, flag: str) -> None:
    """Gives one network of `model` its weights from a file of that network or of the whole model.

    Raises:
      UserError: no such file, another network's, or one that does not fit the configuration.
    """
    path = weights_source.existing(weights, flag)
    layer = getattr(model, network)
    if not weights_source.is_own(path):
        arrays = weights_files.arrays_of(getattr(load_release(path), network))
    else:
        owner, fields, arrays = weights_files.read_any(path)
        if owner not in (ZoomToInpaint.NAME, PARTS[network]):
            raise UserError(
                f"{flag}={weights} holds weights of '{owner}', not of the {network} network"
            )
        model.read_config(fields, path)
        if owner == ZoomToInpaint.NAME:
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
    path = weights_source.existing(weights, flag)
    if weights_source.is_own(path):
        _, arrays = weights_files.read(path, DISCRIMINATOR)
    else:
        arrays = weights_files.arrays_of(load_release_discriminator(path))
    weights_files.assign(discriminator, arrays, f"{flag}={weights}")


def save_discriminator(discriminator, config, path: PathLike) -> None:
    """Writes a weights file of the discriminator."""
    weights_files.save(path, DISCRIMINATOR, config.to_dict(), discriminator)
