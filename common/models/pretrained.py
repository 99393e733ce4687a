"""The weights that come with the package, checked before they are used.

A paper's folder `weights/` holds one weights file and `SHA256SUMS`, a line of its digest and name, as `sha256sum`
writes and checks it. A wheel installs both. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import hashlib
import pathlib

from common.errors import UserError
from common.storage import PathLike

FOLDER = "weights"
_SUMS = "SHA256SUMS"


def exist(package: PathLike) -> bool:
    """Whether the folder of a paper's modules comes with weights."""
    return (pathlib.Path(package) / FOLDER / _SUMS).is_file()


def find(package: PathLike) -> pathlib.Path:
    """The weights file of a paper's folder.

    Raises:
      UserError: the package comes without, or the file is missing or not the one that was published.
    """
    package = pathlib.Path(package)
    if not exist(package):
        raise UserError(
            f"no weights of {package.name} come with this package; name a file (docs/weights.md)"
        )
    digest, name = (package / FOLDER / _SUMS).read_text(encoding="ascii").split()
    path = package / FOLDER / name
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read; install the package again: {error}") from error
    if found != digest:
        raise UserError(f"{path} is not the file that was published; install the package again")
    return path
