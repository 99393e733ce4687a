"""Data sets of photographs: `sample`, `folder`, `div2k` and `places2`, each with its splits.

`files(name, data_dir, split)` lists the photographs of a split in a fixed order. The layouts are those of the unpacked
archives. If nothing is found, the error gives the expected folders and the publisher of the data.

    sample   photographs inside the scikit-image package; nothing to download
    folder   the folders train/, validation/ and test/ if they exist, else every image below data_dir in each split
    div2k    DIV2K_train_HR/, DIV2K_valid_HR/
    places2  the folder names of the MIT archives, see `_PLACES2`

`place` finds a data set's folder: from --data_dir, the data set's own flag or its environment variable.

`training(name, data_dir)` lists the photographs for training and for validation. The two lists never overlap, unless
there is a single photograph: without validation photographs a share of the training photographs is held out
(`common.data.held_out`).

In place of such a folder, a folder of shards written from it (`common.data.shards`) is accepted.

A folder with image/, mask/small/ and mask/large/ (the test package of the Zoom-to-Inpaint authors) is accepted as the
test or validation split of `folder`, `div2k` and `places2`; `package_masks` finds its masks.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from common.data import held_out, shards
from common.errors import UsageError, UserError
from common.images import files as image_files
from common.options import option

NAMES = ("sample", "folder", "div2k", "places2")
SPLITS = ("train", "validation", "test")

_SAMPLE = {
    "train": (
        *("astronaut.png", "rocket.jpg", "coffee.png", "hubble_deep_field.jpg", "brick.png"),
        *("grass.png", "gravel.png", "camera.png", "moon.png"),
    ),
    "validation": ("coins.png", "ihc.png"),
    "test": ("chelsea.png", "retina.jpg", "motorcycle_right.png"),
}
_DIV2K = {
    "train": ("DIV2K_train_HR",),
    "validation": ("DIV2K_valid_HR",),
    # The test photographs are not public; the papers score on the validation photographs.
    "test": ("DIV2K_valid_HR",),
}
_PLACES2 = {
    "train": (
        *("places365_standard/train", "data_large_standard", "data_256_standard"),
        *("data_large", "data_256", "train"),
    ),
    "validation": ("places365_standard/val", "val_large", "val_256", "val"),
    "test": ("test_large", "test_256", "test"),
}
# Data sets with their own flag and environment variable, such as --div2k_dir and DIV2K_DIR.
_WITH_OWN_FLAG = ("div2k", "places2")
_PUBLISHERS = {
    "div2k": "DIV2K is published by ETH Zurich's computer vision lab (NTIRE 2017 challenge)",
    "places2": "Places2 (Places365) is published by MIT CSAIL; register there to download it",
}


@dataclasses.dataclass(frozen=True)
class DatasetOptions:
    """The data set and its folder."""

    dataset: str = option("sample", "data set of photographs", choices=NAMES)
    data_dir: str | None = option(None, "folder of --dataset")
    places2_dir: str | None = option(
        None,
        "folder of Places2, unless --data_dir is given; default: environment variable PLACES2_DIR",
    )
    div2k_dir: str | None = option(
        None, "folder of DIV2K, unless --data_dir is given; default: environment variable DIV2K_DIR"
    )


class Place(NamedTuple):
    """A data set's folder, or None, and its source: "--data_dir", or for example "--div2k_dir" or "DIV2K_DIR"."""

    folder: str | None
    said_by: str = "--data_dir"


def place(name: str, given: Mapping[str, str | None]) -> Place:
    """The folder of data set `name`: from --data_dir, else the data set's own flag, else its environment variable.

    given: {"data_dir", "div2k_dir", "places2_dir": value of the flag}; other keys are ignored.
    """
    if name in _WITH_OWN_FLAG and not given.get("data_dir"):
        own = f"{name}_dir"
        if given.get(own):
            return Place(given[own], f"--{own}")
        if os.environ.get(own.upper()):
            return Place(os.environ[own.upper()], own.upper())
    return Place(given.get("data_dir"))


def files(
    name: str, data_dir: str | None, split: str, said_by: str = "--data_dir"
) -> Sequence[str]:
    """Sorted paths of the photographs of a split; the 1.8 million of Places2 are listed in seconds.

    Args:
      name: of `NAMES`.
      data_dir: the data set's folder; None for "sample".
      split: of `SPLITS`.
      said_by: source of `data_dir` for messages; see `place`.

    Raises:
      UsageError: no `data_dir`; the message lists the flags and the variable that set it.
      UserError: unknown name, or nothing found; the message gives the expected folders.
    """
    return _listed(name, data_dir, split, said_by)[1]


def groups(
    name: str, data_dir: str | None, said_by: str = "--data_dir"
) -> tuple[dict[str, tuple[os.PathLike, Sequence[str]]], dict[str, str]]:
    """({group: (folder, paths)}, {split: group}) of all splits; splits of the same photographs share a group.

    Arguments and errors are those of `files`; a split without photographs is left out.
    """
    found, splits = {}, {}
    for split in SPLITS:
        try:
            folder, paths = _listed(name, data_dir, split, said_by)
        except UserError:
            if found or split != "test":  # other splits may have photographs
                continue
            raise
        group = next((g for g, (_, others) in found.items() if others == paths), split)
        found.setdefault(group, (folder, paths))
        splits[split] = group
    return found, splits


class Training(NamedTuple):
    """The photographs of a run: paths for training, paths for validation, and a line with their numbers."""

    train: Sequence[str]
    validation: Sequence[str]
    note: str


def training(name: str, data_dir: str | None, said_by: str = "--data_dir") -> Training:
    """Photographs for training and validation: the data set's splits, or its training photographs in two parts.

    A single photograph is used for both. Arguments and errors are those of `files`.
    """
    folder, train = _listed(name, data_dir, "train", said_by)
    try:
        other, validation = _listed(name, data_dir, "validation", said_by)
    except UserError:  # there may be no validation photographs
        other, validation = folder, []
    if other != folder or name == "sample":
        note = f"{len(train):,} photographs to train on, {len(validation):,} for validation"
    elif len(train) == 1:
        validation = train
        note = (
            "a single photograph: validation uses it too, and says nothing about other photographs"
        )
    else:
        train, validation = held_out.split(train, folder)
        note = (
            f"{len(train):,} photographs to train on; {len(validation):,} others, chosen by their names, are held out "
            "for validation"
        )
    return Training(train, validation, note)


def _listed(name, data_dir, split, said_by):
    """(folder of the photographs, their paths)."""
    if name not in NAMES:
        raise UserError(f"--dataset={name} is not known; choose one of {', '.join(NAMES)}")
    if split not in SPLITS:
        raise UserError(f"--split={split} is not known; choose one of {', '.join(SPLITS)}")
    if name == "sample" and data_dir:
        raise UserError(
            f"{said_by}={data_dir} is not read by --dataset=sample; add --dataset=folder"
        )
    if name == "sample":
        return _sample_files(split)
    if not data_dir:
        raise UsageError(f"--dataset={name} needs {wanted(name)}. {expected_tree(name)}")
    root = pathlib.Path(data_dir)
    if not root.is_dir():
        raise UserError(f"{said_by}={data_dir} is not a folder. {expected_tree(name)}")
    if shards.is_set(root):
        group, found = shards.paths(root, split) or (None, [])
        if found:
            return root / group, found
        raise UserError(f"the shards in {said_by}={data_dir} have no {split} photographs")
    for folder in _candidates(name, root, split):
        found = images_below(folder)
        if found:
            return folder, found
    raise UserError(f"no {split} photographs below {said_by}={data_dir}. {expected_tree(name)}")


def check_output(name: str, place: Place, output: str | None) -> None:
    """UserError if files in `output` would be listed among the data set's photographs."""
    if name == "sample" or not place.folder or not output:
        return
    written = pathlib.Path(output).resolve()
    for split in SPLITS:
        for folder in _candidates(name, pathlib.Path(place.folder), split):
            if folder.resolve() in (written, *written.parents):
                raise UserError(
                    f"--output={output} lies among the photographs of {place.said_by}={place.folder} and would be "
                    "listed with them; name a folder elsewhere"
                )


def wanted(name: str) -> str:
    """The flags and the variable that set the folder of data set `name`, for messages."""
    if name not in _WITH_OWN_FLAG:
        return "--data_dir=FOLDER"
    own = f"{name}_dir"
    return f"--data_dir=FOLDER, --{own}=FOLDER or the environment variable {own.upper()}"


def expected_tree(name: str) -> str:
    """One line with the expected folders of data set `name` and its publisher."""
    if name == "folder":
        return "Expected: any tree of .jpg/.png/.webp/.bmp/.tif images"
    layout = {"div2k": _DIV2K, "places2": _PLACES2}[name]
    parts = [f"{split}: {' or '.join(f'{d}/' for d in layout[split])}" for split in SPLITS]
    return f"Expected below it: {'; '.join(parts)}. {_PUBLISHERS[name]}"


def images_below(folder: os.PathLike) -> list[str]:
    """Sorted paths of the files below a folder whose names have an image extension.

    Hidden files and folders are left out, links to folders are not followed, unreadable folders count as empty.
    """
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            os.path.join(parent, name)
            for name in names
            if name.lower().endswith(image_files.EXTENSIONS) and not name.startswith(".")
        ]
    return sorted(found)


def package_masks(data_dir: str | None, kind: str) -> str | None:
    """The folder mask/<kind> of a Zoom-to-Inpaint test package at `data_dir`, or None."""
    if not data_dir or not _is_package(pathlib.Path(data_dir)):
        return None
    folder = pathlib.Path(data_dir) / "mask" / kind
    return str(folder) if folder.is_dir() else None


def _is_package(root):
    return (root / "image").is_dir() and (root / "mask").is_dir()


def _candidates(name, root, split):
    if _is_package(root) and (split != "train" or name == "folder"):
        return [root / "image"]  # leaves the masks out
    if name == "folder":
        has_splits = any((root / s).is_dir() for s in SPLITS)
        return [root / split] if has_splits else [root]
    return [root / folder for folder in {"div2k": _DIV2K, "places2": _PLACES2}[name][split]]


def _sample_files(split):
    folder = pathlib.Path(importlib.util.find_spec("skimage").origin).parent / "data"
    found = [str(folder / name) for name in _SAMPLE[split] if (folder / name).is_file()]
    if not found:
        raise UserError(f"scikit-image at {folder} has no photographs; reinstall scikit-image")
    return folder, found
