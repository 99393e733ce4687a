"""Photographs and holes as HiFill's evaluation has them: "we linearly scale images and masks to various dimensions".

A set is of squares of one side: the middle square of every photograph, scaled bilinearly (by averaging where it gets
smaller, which would alias otherwise), and an irregular hole that is drawn once at the generator's size and scaled
bilinearly to every other, then cut at one half. So every side shows the same pictures with the same holes. Files lie as
`common.scoring.protocol` lays them out, which paints and scores them:

    <study>/<data set>/<side>/images|masks|predictions/METHOD/NAME.png
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Mapping

import cv2
import numpy as np

from common.errors import UserError
from common.images import convert
from common.masks import files as mask_files
from common.scoring import protocol, tables
from studies.kit.bench import Bench, Method, Photographs, Scored, file_name

ARM = "hifill"
# What Table 2 calls 512, 1024, 2048 and 4096, as multiples of the generator's side.
MULTIPLES = (1, 2, 4, 8)
# Sets that would be larger than this, without compression, keep the files of their first images alone.
_KEPT_BYTES = 64e9
_CHUNK = 50
SMALL_NOTE = (
    "Small setting: a generator of half the paper's width at a quarter of its side, trained for 150 steps on nine "
    "photographs. It shows that the study runs; what it fills in means nothing."
)


def photographs(bench: Bench, wanted: tuple[str, ...] = ("places2",)) -> Photographs:
    """The pictures of a study: of the paper's data sets all of the validation split, where Z takes a hundred."""
    if not (bench.small or bench.split or bench.dataset == "folder"):
        bench = dataclasses.replace(bench, split="validation")
    return bench.data_sets(*wanted)[0]


def notes(bench: Bench) -> list[str]:
    """What has to be said about every result on such sets."""
    drawn = (
        "Pictures are the middle squares of the photographs, scaled to each side together with one irregular hole each "
        f"(seed {bench.seed}), as the paper scaled its own; its holes are not published."
    )
    return [drawn, *([SMALL_NOTE] if bench.small else [])]


def sides(bench: Bench, base: int, multiples: tuple[int, ...] = MULTIPLES) -> list[int]:
    """The sides of a study: --image_size alone, or multiples of the generator's."""
    return [bench.image_size] if bench.image_size else [base * multiple for multiple in multiples]


def square(image: np.ndarray, side: int) -> np.ndarray:
    """[H, W, 3] uint8 -> [side, side, 3]: the middle square, scaled."""
    return protocol.middle_square(image, side)


def scaled_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """[S, S] uint8 of 0 and 1 -> [side, side]: bilinear, hole where at least half of it is."""
    levels = mask.astype(np.float32)
    how = cv2.INTER_AREA if side < len(mask) else cv2.INTER_LINEAR
    return (cv2.resize(levels, (side, side), interpolation=how) >= 0.5).astype(np.uint8)


def pairs(bench: Bench, found: Photographs, side: int, base: int) -> Iterator[tuple]:
    """(name, uint8 [side, side, 3], uint8 [side, side]) of every photograph; holes are drawn at `base`."""
    source = mask_files.mask_source("irregular")
    for index, path in enumerate(found.paths):
        image = square(convert.read_rgb(path), side)
        drawn = source(base, base, (bench.seed, index))
        # Numbered, as photographs of several folders may share a name.
        yield f"{index:05d}_{pathlib.Path(path).stem}", image, scaled_mask(drawn, side)


def write(folder: pathlib.Path, name: str, image: np.ndarray, mask: np.ndarray) -> protocol.Case:
    """Writes one picture and its hole as `common.scoring.protocol` has them."""
    case = protocol.Case(name, folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png")
    convert.write_png(case.image, image)
    convert.write_png(case.mask, mask * np.uint8(convert.WHITE))
    return case


def scored(
    bench: Bench, found: Photographs, methods: Mapping[str, Method], side: int, base: int
) -> Scored:
    """Paints and scores the set of one side; all its files are kept."""
    chunks = scored_in_chunks(bench, found, methods, side, base, len(found.paths), keep=True)
    return next(iter(chunks))


def scored_in_chunks(
    bench: Bench,
    found: Photographs,
    methods: Mapping[str, Method],
    side: int,
    base: int,
    chunk: int = _CHUNK,
    keep: bool | None = None,
) -> Iterator[Scored]:
    """As `scored`, some images at a time.

    The files of a chunk are there until the next one is asked for. They stay after that if the whole set is of a
    size that a disk takes (36,500 pictures of 4096 x 4096 are not), and those of the first chunk do in any case.

    Args:
      methods: {name: painter, or a folder with PNGs of the images' names}.
    """
    folder = bench.folder / found.name / str(side)
    if keep is None:
        keep = len(found.paths) * 3 * side**2 * (1 + len(methods)) <= _KEPT_BYTES
    remaining = pairs(bench, found, side, base)
    for number in itertools.count():
        cases = [write(folder, *pair) for pair in itertools.islice(remaining, chunk)]
        if not cases:
            return
        yield _scored_chunk(cases, methods, folder, side)
        if number and not keep:
            for case in cases:
                for path in (case.image, case.mask, *folder.glob(f"predictions/*/{case.name}.png")):
                    path.unlink(missing_ok=True)


def _scored_chunk(cases, methods, folder, side):
    values, folders = [], {}
    for name, method in methods.items():
        seconds, folders[name] = None, method
        if callable(method):
            folders[name] = folder / "predictions" / file_name(name)
            seconds = protocol.paint(cases, method, folders[name], f"{name}, {side}")
        values += protocol.score(cases, folders[name], name, "irregular", seconds)
    return Scored(cases, folders, values)


def others(bench: Bench, found: Photographs, side: int) -> dict[str, pathlib.Path]:
    """{name: folder} of --predictions that hold results of one side: FOLDER/<data set>/<side> or FOLDER/<side>.

    A method without results of this side is left out, as in the paper's tables those that ran out of memory.

    Raises:
      UserError: a folder that does not exist.
    """
    result = {}
    for given in map(pathlib.Path, bench.predictions):
        if not given.is_dir():
            raise UserError(f"--predictions={given} is not a folder")
        candidates = (given / found.name / str(side), given / str(side))
        folder = next((path for path in candidates if path.is_dir()), None)
        if folder is not None:
            result[given.name] = folder
    return result


def predictions_note(bench: Bench) -> str:
    """How other methods take part."""
    return (
        f"Other methods: paint {bench.folder}/DATASET/SIDE/images with the masks beside it (white = hole) into "
        "METHOD/DATASET/SIDE, then --predictions=METHOD."
    )


def means(found: list[tables.Score]) -> dict[str, dict[str, float]]:
    """{method: `scores.flat`}: means, medians, pooled PSNR and the number of images."""
    return {summary.method: tables.flat(summary) for summary in tables.summarise(found)}
