"""The weights that come with the package, checked before use.

The folder `weights/` of a paper's package holds one weights file and `SHA256SUMS`, its digest and name as `sha256sum`
writes them. A wheel installs both. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import hashlib
import pathlib

from common.errors import UserError
from common.storage import PathLike

FOLDER = "weights"


def find(package: PathLike) -> pathlib.Path:
    """The weights file of a paper's package; UserError if it is missing or not the published file."""
    folder = pathlib.Path(package) / FOLDER
    digest, name = (folder / "SHA256SUMS").read_text(encoding="ascii").split()
    path = folder / name
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read; install the package again: {error}") from error
    if found != digest:
        raise UserError(f"{path} is not the published file; install the package again")
    return path
