"""Images and holes of HiFill's evaluation: "we linearly scale images and masks to various dimensions".

A set holds squares of one side: the middle square of every photograph, enlarged bilinearly or reduced by averaging
(bilinear reduction would alias). An irregular hole is drawn once at the generator's size, scaled bilinearly to every
side and cut at one half. All sides thus show the same images with the same holes. `common.scoring.protocol` fills and
scores the images; its files are

    <study>/<data set>/<side>/images|masks|predictions/METHOD/NAME.png
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Mapping

import cv2
import numpy as np

from common.images import convert
from common.masks import files as mask_files
from common.scoring import protocol
from studies.kit import scores
from studies.kit.bench import Bench, DataSet
from studies.kit.scores import Scored
from studies.kit.study import Table

ARM, OURS = "hifill", "HiFill"
# The sides of Table 2 (512, 1024, 2048, 4096) as multiples of the generator's side.
MULTIPLES = (1, 2, 4, 8)
# Data sets with photographs of 2048 pixels, for the paper's size without --dataset.
LARGE = ("div2k", "places2")
# Larger sets (uncompressed bytes) keep only the files of their first images.
_KEPT_BYTES = 64e9
_CHUNK = 50
_SMALL_NOTE = (
    "Small setting: a generator of half the paper's width at a quarter of its side, trained for 150 steps on nine "
    "photographs. It shows that the study runs; its fills mean nothing."
)
_SCALED_NOTE = (
    "Pictures are the middle squares of the photographs, scaled to each side together with one irregular hole each "
    "(seed {}), as the paper scaled its own; its holes are not published."
)


def photographs(bench: Bench, wanted: tuple[str, ...] = ("places2",)) -> DataSet:
    """The photographs of a study: the whole validation split of the first given data set."""
    if not (bench.small or bench.split or bench.dataset == "folder"):
        bench = dataclasses.replace(bench, split="validation")
    return bench.data_sets(*wanted)[0]


def small_note(bench: Bench) -> list[str]:
    """The note of every result of the small size."""
    return [_SMALL_NOTE] if bench.small else []


def write(folder: pathlib.Path, name: str, image: np.ndarray, mask: np.ndarray) -> protocol.Case:
    """Writes one image and its hole in the folders of `common.scoring.protocol`."""
    case = protocol.Case(name, folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png")
    convert.write_png(case.image, image)
    convert.write_png(case.mask, mask * np.uint8(convert.WHITE))
    return case


def scaled_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """[S, S] uint8 of 0 and 1 -> [side, side]: scaled bilinearly; a pixel is hole from a value of one half on."""
    how = cv2.INTER_AREA if side < len(mask) else cv2.INTER_LINEAR
    levels = cv2.resize(mask.astype(np.float32), (side, side), interpolation=how)
    return (levels >= 0.5).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class Squares:
    """The set of one side: squares of `side` of the photographs of `data_set`, with holes drawn at `base`."""

    bench: Bench
    data_set: DataSet
    side: int
    base: int

    @property
    def folder(self) -> pathlib.Path:
        return self.bench.folder / self.data_set.name / str(self.side)

    @property
    def title(self) -> str:
        return f"{self.data_set.label}, {self.side}x{self.side}"

    def pairs(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """(name, uint8 [side, side, 3], uint8 [side, side]) of every photograph."""
        source = mask_files.mask_source("irregular")
        for index, path in enumerate(self.data_set.paths):
            image = protocol.middle_square(convert.read_rgb(path), self.side)
            drawn = source(self.base, self.base, (self.bench.seed, index))
            # Numbered, because photographs of several folders may have the same name.
            name = f"{index:05d}_{pathlib.Path(path).stem}"
            yield name, image, scaled_mask(drawn, self.side)

    def others(self) -> dict[str, pathlib.Path]:
        """{method: folder} of --predictions that hold results of this side."""
        return self.bench.others(self.data_set, str(self.side), itself=False)

    def scored(self, methods: Mapping[str, protocol.Method]) -> Scored:
        """Paints and scores the whole set at once; all its files are kept."""
        return next(self.chunks(methods, len(self.data_set.paths)))

    def chunks(
        self, methods: Mapping[str, protocol.Method], chunk: int = _CHUNK, keep: bool | None = None
    ) -> Iterator[Scored]:
        """As `scored`, some images at a time.

        The files of a chunk exist until the next chunk is requested. They are kept if the whole set is not too large
        for a disk, as 36,500 images of 4096 x 4096 are. The files of the first chunk are always kept.
        """
        if keep is None:
            size = len(self.data_set.paths) * 3 * self.side**2 * (1 + len(methods))
            keep = size <= _KEPT_BYTES
        remaining, folder = self.pairs(), self.folder
        for number in itertools.count():
            cases = [write(folder, *pair) for pair in itertools.islice(remaining, chunk)]
            if not cases:
                return
            label = str(self.side)
            found = protocol.score_methods(cases, methods, folder, "irregular", label)
            yield Scored(cases, *found)
            if number and not keep:
                for case in cases:
                    painted = folder.glob(f"predictions/*/{case.name}.png")
                    for path in (case.image, case.mask, *painted):
                        path.unlink(missing_ok=True)

    def table(
        self,
        values: Mapping,
        keys: tuple[str, ...],
        scored: Scored,
        note: str,
        first: str = "Method",
    ) -> Table:
        """{method: `Scored.means`} as a table of these metrics."""
        note = f"{note} {scored.note()}"
        return scores.table(self.title, values, scores.columns(*keys), note=note, first=first)

    def notes(self, others: bool = False) -> list[str]:
        """The notes of every result; others: add the note on other methods."""
        drawn = [_SCALED_NOTE.format(self.bench.seed), *small_note(self.bench)]
        return [*drawn, self.bench.others_note("SIDE")] if others else drawn


def squares(
    bench: Bench,
    base: int,
    multiples: tuple[int, ...] = (1,),
    wanted: tuple[str, ...] = ("places2",),
    count: int | None = None,
) -> list[Squares]:
    """The sets of a study: of --image_size alone, or of multiples of the generator's side.

    wanted: data sets of the paper's size, see `Bench.data_sets`. count: only the first photographs.
    """
    found = photographs(bench, wanted)
    found = found._replace(paths=found.paths[:count])
    sides = [bench.image_size] if bench.image_size else [base * multiple for multiple in multiples]
    return [Squares(bench, found, side, base) for side in sides]
