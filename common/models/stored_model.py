"""Saves and loads a paper's model: a weights file or a folder to share. Also loads the package's own weights."""

from __future__ import annotations

import pathlib
from typing import ClassVar

from common.errors import UserError
from common.models import hub, pretrained, weights
from common.storage import PathLike


class StoredModel:
    """Mixin of a Keras model `cls(config, dtype=...)`.

    In the list of base classes it comes before keras.Model, because it replaces `save`.

    NAME: the model's name in weights files.
    CONFIG: class of `self.config`, with `to_dict` and `from_dict`.
    PACKAGE: folder of the paper's package.
    """

    NAME: ClassVar[str]
    CONFIG: ClassVar[type]
    PACKAGE: ClassVar[pathlib.Path]

    def save(self, path: PathLike, half: bool = False) -> None:
        """Writes configuration and weights to one weights file (`common.models.weights`).

        path: .npz, or .safetensors, which other programs read too; half: weights as float16.
        """
        self.check_savable()
        weights.save(path, self.NAME, self.config.to_dict(), self, half)

    def save_pretrained(self, folder: PathLike, half: bool = False) -> None:
        """Writes a folder to share, in the layout of the common model hub (`common.models.hub`); half: as in `save`."""
        self.check_savable()
        weights.save_folder(folder, self, half)

    def check_savable(self) -> None:
        """UserError if weights and configuration do not determine the model."""

    @classmethod
    def from_pretrained(cls, name: PathLike, dtype="float32"):
        """The model of a folder that `save_pretrained` wrote, or of "OWNER/NAME" on the hub (needs huggingface_hub)."""
        return cls.load(hub.find(name), dtype)

    @classmethod
    def pretrained(cls, dtype="float32"):
        """The model with the shipped weights (docs/weights.md); UserError if the weights file is missing or damaged."""
        return cls.load(pretrained.find(cls.PACKAGE), dtype)

    @classmethod
    def load(cls, path: PathLike, dtype="float32"):
        """The model of a file or folder that `save` or `save_pretrained` wrote.

        UserError if it is missing, cut short or of another model.
        """
        fields, arrays = weights.read(path, cls.NAME)
        model = cls(cls.read_config(fields, path), dtype=dtype)
        weights.assign(model, arrays, str(path))
        return model

    @classmethod
    def read_config(cls, fields: dict, path: PathLike):
        """The configuration in a weights file's header; UserError if this version does not know it."""
        try:
            return cls.CONFIG.from_dict(fields)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{path} has a configuration this version cannot read: {error}"
            ) from error
