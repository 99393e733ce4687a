"""A model as a folder, in the layout of the common model hub; no TensorFlow is imported.

    config.json         model class and name, format, and the whole configuration
    model.safetensors   the arrays of a weights file (`common.models.weights`)
    README.md           the model's card (`common.models.card`)

`find` takes such a folder, or downloads one with the package huggingface_hub.
"""

from __future__ import annotations

import json
import os
import pathlib
import re

from common import json_files, storage
from common.errors import UserError
from common.storage import PathLike

CONFIG = "config.json"
MODEL = "model.safetensors"
CARD = "README.md"
_FORM = {"model": json_files.TEXT, "format": json_files.TEXT, "config": {}}
_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def is_folder(path: PathLike) -> bool:
    """Whether `path` is a folder with a configuration."""
    return (pathlib.Path(path) / CONFIG).is_file()


def find(name: PathLike) -> pathlib.Path:
    """The local path `name`, or else the folder of the hub's model `name` ("owner/name"), downloaded.

    Raises:
      UserError: no such path, no huggingface_hub to download with, or the download failed.
    """
    path, name = pathlib.Path(name), os.fspath(name)
    if path.exists():
        return path
    missing = f"there is no folder {name}"
    if not _NAME.fullmatch(name):
        raise UserError(f"{missing}; name one that save_pretrained wrote, or OWNER/NAME on the hub")
    try:
        import huggingface_hub
    except ImportError:
        raise UserError(
            f"{missing}, and the package to download it is not installed: pip install huggingface_hub, "
            "or download the model's files yourself and name their folder"
        ) from None
    try:
        return pathlib.Path(huggingface_hub.snapshot_download(name, allow_patterns=[CONFIG, MODEL]))
    except Exception as error:  # of the network, the hub and the disk: many types
        raise UserError(
            f"{missing}, and it cannot be downloaded ({error}); check the name, or download the model's "
            "files yourself and name their folder"
        ) from error


def read(folder: PathLike) -> tuple[dict, dict]:
    """(content of config.json, {name: array}); UserError if a file is missing, damaged or of another form."""
    folder = pathlib.Path(folder)
    try:
        header = json_files.read(folder / CONFIG, _FORM)
    except ValueError as error:
        raise UserError(
            f"{folder / CONFIG} is not the configuration of a model of this package: {error}"
        ) from error
    try:
        return header, storage.read_arrays(folder / MODEL)[1]
    except storage.DamagedError as error:
        raise UserError(
            f"{folder / MODEL} is missing, damaged or cut short; copy or download it again"
        ) from error


def write(
    folder: PathLike, model_class: str, header: dict, arrays: dict, card: dict[str, str]
) -> None:
    """Writes a folder; other files in it stay.

    Args:
      header: of a weights file; also part of model.safetensors, which works as a weights file by itself.
      card: {name: text} of README.md and the files it refers to. A README.md that is already there stays, since people
        edit it.
    """
    folder = pathlib.Path(folder)
    if not (folder / CARD).exists():
        for name, text in card.items():
            storage.write_text(folder / name, text)
    storage.write_arrays(folder / MODEL, arrays, header)
    about = {"model_class": model_class, **header}
    storage.write_text(folder / CONFIG, json.dumps(about, indent=2) + "\n")
