"""Pairs of photograph and mask.

A single mask file belongs to all photographs. In a folder of masks, the mask of `dog.jpg` is `dog.png` or, as LaMa
names masks, `dog_mask000.png`. A photograph may have several numbered masks; they may lie in the photographs' folder.
Every pair gives one result, named after the photograph or after its numbered mask.
"""

from __future__ import annotations

import os
import pathlib
import re
from typing import NamedTuple

from common.errors import UserError
from common.images.files import EXTENSIONS

_NUMBERED = re.compile(r"(.+)_mask\d*$")


class Pair(NamedTuple):
    """A photograph, its mask and the path of the result.

    mask: None if the hole is the transparent part of the photograph.
    """

    image: pathlib.Path
    mask: pathlib.Path | None
    output: pathlib.Path


def pairs(image: str, mask: str | None, output: str) -> list[Pair]:
    """The pairs that --image, --mask and --output describe, sorted by name.

    Args:
      image: a file or a folder.
      mask: a file or a folder. Without it the numbered masks beside a photograph are used, or else its transparent
        part.
      output: an image file (for one photograph), or a folder for lossless PNGs.

    Raises:
      UserError: a path does not exist, a photograph has no mask, or several results would have one name.
    """
    image_path = pathlib.Path(image)
    mask_path = pathlib.Path(mask) if mask else _folder_of(image_path)
    for flag, path in (("--image", image_path), ("--mask", mask_path)):
        if not path.exists():
            raise UserError(f"{flag}={path} does not exist; check its name")
        if not (path.is_file() or path.is_dir()):
            raise UserError(f"{flag}={path} is neither a file nor a folder")
    found = _matches(image_path, mask_path, needed=bool(mask))
    target = pathlib.Path(output)
    to_file = bool(target.suffix) and not target.is_dir() and not output.endswith("/")
    if to_file and image_path.is_dir():
        raise UserError(
            f"--output={output} is one file but --image={image} is a folder; name a folder"
        )
    if to_file and len(found) > 1:
        raise UserError(
            f"--output={output} is one file but {image} has {len(found)} masks; name a folder"
        )
    if to_file:
        return distinct([Pair(found[0][0], found[0][1], target)])
    for source in (image_path, mask_path):
        if source.is_dir() and target.is_dir() and target.samefile(source):
            raise UserError(
                f"--output={output} is the folder of --image or --mask: the next run would read results as "
                "photographs; name another folder"
            )
    return distinct([Pair(i, m, target / f"{stem}.png") for i, m, stem in found])


def _folder_of(path):
    return path if path.is_dir() else path.parent


def _matches(image_path, mask_path, needed):
    """[(photograph, mask, stem of the result)]; the mask may be None unless it is `needed`."""
    images = [image_path] if image_path.is_file() else _image_files(image_path)
    if mask_path.is_file():
        return _some([(image, mask_path, image.stem) for image in images], image_path)
    masks = _image_files(mask_path)
    if mask_path.samefile(_folder_of(image_path)):
        images = [i for i in images if not _NUMBERED.match(i.stem)]
        masks = [m for m in masks if _NUMBERED.match(m.stem)]
    by_name = _by_name(masks)
    found = [m for image in images for m in _masks_of(image, by_name, mask_path, needed)]
    return _some(found, image_path)


def _by_name(masks):
    """{name of a photograph: [its mask, its numbered masks]}, both sorted."""
    found = {}
    for mask in masks:
        found.setdefault(mask.stem, ([], []))[0].append(mask)
        numbered = _NUMBERED.match(mask.stem)
        if numbered:
            found.setdefault(numbered.group(1), ([], []))[1].append(mask)
    return found


def _some(found, image_path):
    if not found:
        raise UserError(f"--image={image_path} holds no image ({', '.join(EXTENSIONS)})")
    return found


def _masks_of(image, by_name, folder, needed):
    same, numbered = by_name.get(image.stem, ([], []))
    if not same + numbered and not needed:
        return [(image, None, image.stem)]
    if not same + numbered:
        raise UserError(
            f"no mask for {image.name} in {folder}; name it {image.stem}.png or {image.stem}_mask000.png"
        )
    if len(same) > 1:
        raise UserError(f"{image.name} has two masks: {same[0]} and {same[1]}; remove one")
    return [(image, mask, mask.stem) for mask in same + numbered]


def _image_files(folder):
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS and path.is_file() and path.name[0] != "."
    )


def distinct(found: list[Pair]) -> list[Pair]:
    """`found`; UserError if a result would replace its photograph or mask, or two results have one path."""
    by_output = {}
    for pair in found:
        for source in filter(None, (pair.image, pair.mask)):
            # os.path, since pathlib raises an OSError for some names that no file can have.
            both = os.path.exists(pair.output) and os.path.exists(source)
            if both and pair.output.samefile(source):
                raise UserError(f"--output would overwrite {source}; name another folder or file")
        other = by_output.setdefault(pair.output, pair)
        if other is not pair:
            raise UserError(
                f"{other.image} and {pair.image} would both be written to {pair.output}"
            )
    return found
