"""The evaluation protocol: making a fixed set of images and masks, painting it, and scoring the results.

    <output>/<masks>/images/NAME.png        true image, 8-bit
    <output>/<masks>/masks/NAME.png         white = hole; set.json beside it says how the set was made
    <output>/<masks>/predictions/METHOD/NAME.png

The three steps are independent and communicate through these files. Scores are of the written 8-bit files, over the
whole picture as in both papers' tables. To score another method, write its PNGs under the same names.
"""

from __future__ import annotations

import json
import pathlib
import re
import time
from collections.abc import Mapping
from typing import Callable, NamedTuple, Union

import cv2
import numpy as np
from tqdm import tqdm

from common import storage
from common.errors import UserError
from common.filling import photographs
from common.images import convert, grid
from common.images import files as image_files
from common.masks.files import mask_source
from common.scoring import metrics, tables

Method = Union[Callable, pathlib.Path]  # a painter, or a folder of results


class Case(NamedTuple):
    """One image of the set: its unique name, and the files of its true pixels [H, W, 3] and mask [H, W] in {0, 1}."""

    name: str
    image: pathlib.Path
    mask: pathlib.Path


def center_crop(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 [H, W, 3] -> center crop [size, size, 3]; smaller photographs are enlarged first.

    size 0 keeps the whole photograph.
    """
    if not size:
        return image
    short = min(image.shape[:2])
    if short < size:
        height, width = (max(size, round(side * size / short)) for side in image.shape[:2])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    top, left = ((side - size) // 2 for side in image.shape[:2])
    return image[top : top + size, left : left + size]


def middle_square(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 [H, W, 3] -> [size, size, 3]: the middle square, reduced by averaging or enlarged bilinearly.

    size 0 keeps the whole photograph.
    """
    if not size:
        return image
    short = min(image.shape[:2])
    middle = np.ascontiguousarray(center_crop(image, short))
    how = cv2.INTER_AREA if size < short else cv2.INTER_LINEAR
    return cv2.resize(middle, (size, size), interpolation=how)


# {--fit: (photograph, size) -> picture of the set}
FITS = {"crop": center_crop, "resize": middle_square}


def make_set(
    paths: list[str],
    masks: str,
    mask_folder: str | None,
    size: int,
    seed: int,
    folder: pathlib.Path,
    fit: str = "crop",
) -> list[Case]:
    """Writes images and masks of a set below `folder` and returns its cases.

    Args:
      paths: photographs.
      masks: kind of mask or a folder of masks, see `common.masks.files.mask_source`. From a folder, a photograph gets
        the mask with its name; if there is none, photograph i gets mask i, starting over at the end of the list.
      mask_folder: object templates, or None.
      size: side of the pictures, 0 for whole photographs.
      fit: a name of `FITS`: a center crop without scaling (a smaller photograph is enlarged), or the largest middle
        square scaled to `size`.
      seed: of random masks; the mask of image i depends only on its size and (seed, i), not on other images.
    """
    source = mask_source(masks, mask_folder)
    own = {pathlib.Path(file).stem: index for index, file in enumerate(source.files)}
    cases = []
    for index, (name, path) in enumerate(zip(_unique_names(paths), paths)):
        image = FITS[fit](convert.read_rgb(path), size)
        height, width = image.shape[:2]
        if source.files:
            mask = source.fixed(own.get(name, index), height, width)
        else:
            mask = source(height, width, (seed, index))
        case = Case(name, folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png")
        convert.write_png(case.image, np.ascontiguousarray(image))
        convert.write_png(case.mask, mask * np.uint8(convert.WHITE))
        cases.append(case)
    made = {
        "masks": masks,
        "seed": seed,
        "size": size,
        "fit": fit,
        "images": dict(zip(_unique_names(paths), paths)),
    }
    storage.write_text(folder / "masks" / "set.json", json.dumps(made, indent=1))
    return cases


def _unique_names(paths):
    """The stems of the paths, with a number added to repeated stems."""
    names = {}  # an ordered set
    for path in paths:
        stem = name = pathlib.Path(path).stem
        number = 1
        while name in names:
            number += 1
            name = f"{stem}_{number}"
        names[name] = path
    return list(names)


def paint(cases: list[Case], painter: Callable, folder: pathlib.Path, label: str) -> dict:
    """Fills every case, writes `folder`/NAME.png, and returns {name: seconds of the fill alone, after a warm-up}."""
    seconds = {}
    painter(convert.read_rgb(cases[0].image), photographs.read_mask(cases[0].mask))
    for case in tqdm(cases, desc=label, unit="image"):
        image = convert.read_rgb(case.image)
        mask = photographs.read_mask(case.mask)
        started = time.perf_counter()
        filled = painter(image, mask)
        seconds[case.name] = time.perf_counter() - started
        convert.write_png(folder / f"{case.name}.png", filled)
    return seconds


def score(cases: list[Case], folder: pathlib.Path, method: str, masks: str, seconds=None) -> list:
    """Scores `folder`/NAME.png (or the same name with another image extension) for every case.

    Raises:
      UserError: a prediction is missing or has another size.
    """
    seconds, found = seconds or {}, []
    for case in cases:
        truth = convert.read_rgb(case.image)
        path = prediction(folder, case.name)
        result = convert.read_rgb(path)
        if result.shape != truth.shape:
            raise UserError(
                f"{path} is {result.shape[1]}x{result.shape[0]} but {case.image} is "
                f"{truth.shape[1]}x{truth.shape[0]}"
            )
        hole = float(photographs.read_mask(case.mask).mean())
        values = metrics.all_metrics(truth, result)
        if case.name in seconds:
            values["seconds"] = seconds[case.name]
        found.append(tables.Score(case.name, method, masks, hole, values))
    return found


def score_methods(
    cases: list[Case],
    methods: Mapping[str, Method],
    folder: pathlib.Path,
    masks: str,
    label: str | None = None,
) -> tuple[dict[str, pathlib.Path], list[tables.Score]]:
    """Paints what has no results yet, and scores every method; returns ({method: folder of its results}, scores).

    Args:
      methods: {name: painter, or folder of results with the images' names}.
      folder: a painter's results are written to `folder`/predictions/NAME (`file_name`).
      masks: kind of masks, as named in the scores.
      label: text of the progress bar; default: `masks`.
    """
    folders, found = {}, []
    for name, method in methods.items():
        seconds, folders[name] = None, method
        if callable(method):
            folders[name] = folder / "predictions" / file_name(name)
            seconds = paint(cases, method, folders[name], f"{name}, {label or masks}")
        found += score(cases, folders[name], name, masks, seconds)
    return folders, found


def file_name(method: str) -> str:
    """A method's name in lower-case letters, digits and "_": "SR zoom+L∇" -> "sr_zoom_l"."""
    return re.sub("[^a-z0-9]+", "_", method.lower()).strip("_")


def prediction(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The path of a picture's result in a folder, a PNG or other image file; UserError if there is none."""
    for extension in (".png", *image_files.EXTENSIONS):
        path = pathlib.Path(folder) / f"{name}{extension}"
        if path.is_file():
            return path
    raise UserError(f"{folder} has no prediction for {name}; expected {name}.png")


def picture_grid(cases: list[Case], folders: dict, path: pathlib.Path, most: int = 12) -> None:
    """Writes a grid of the first cases: input with its hole painted, one column per method, truth.

    folders: {method: folder of predictions}.
    """
    rows = []
    for case in cases[:most]:
        truth, mask = convert.read_rgb(case.image), photographs.read_mask(case.mask)
        results = [convert.read_rgb(prediction(f, case.name)) for f in folders.values()]
        rows.append([grid.paint_hole(truth, mask), *results, truth])
    convert.write_png(path, grid.grid(rows, ["input", *folders, "truth"]))
