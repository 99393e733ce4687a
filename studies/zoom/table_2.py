"""Zoom-to-Inpaint's Tables 2 and 7: the method and others on Places2 and DIV2K, under small and large masks.

Images are 100 of Places2's validation and 100 of its test set, reduced to 256x256, and center crops of DIV2K's 100
validation images. The paper does not name the 200 images of Places2; the study takes the first of each split.

HiFill was made for 512x512. As in the paper, images are enlarged bicubically for HiFill and its results reduced. The
paper does not say how; the study reduces bicubically, known pixels too. Table 7 is Table 2 and numbers from the other
methods' papers, which the paper calls not directly comparable.

Other methods are scored from folders of PNGs, FOLDER/<data set>/<masks>/NAME.png. The first run writes their input
images and masks below --output. The small setting trains a small network of each model and scores the samples.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.images import convert
from studies.kit.bench import Bench, DataSet
from studies.kit.scores import Scored, reported, table
from studies.kit.study import Result, Study, Table
from studies.zoom import sets

ARMS = OURS, HIFILL = "sr_zoom_gradient", "hifill"
HIFILL_SIDE = 512  # section 4.1
_HIFILL = "HiFill [48]"


def resized(image: np.ndarray, mask: np.ndarray, size: tuple[int, int]):
    """Image (bicubic) and mask (nearest neighbour) at `size` = (width, height), enlarged as in the paper."""
    large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    return large, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)


def enlarged_for_hifill(inpaint):
    """A painter that enlarges images to 512 for the painter `inpaint`, as in section 4.1.

    The whole result is reduced again (the paper does not say how), so known pixels differ slightly from the input.
    """

    def paint(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        height, width = mask.shape
        scale = HIFILL_SIDE / min(height, width)
        filled = inpaint(*resized(image, mask, (round(width * scale), round(height * scale))))
        return cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)

    return paint


def scored(bench: Bench, data_set: DataSet, masks: str) -> Scored:
    """Scores of HiFill (if it has weights), the methods of --predictions, and Zoom-to-Inpaint on one set."""
    methods = {}
    if bench.small or HIFILL in bench.weights:
        methods["HiFill"] = enlarged_for_hifill(bench.painter(HIFILL))
    methods.update(bench.others(data_set, masks))
    methods["Zoom-to-Inpaint"] = bench.painter(OURS)
    return bench.scores(methods, masks, data_set, sets.SIDE)


def run(bench: Bench) -> Result:
    """See the module docstring."""
    printed = reported("zoom_to_inpaint").TABLE_2
    tables, values = [], {}
    for data_set in bench.data_sets("places2", "div2k"):
        for masks in sets.MASKS:
            found, note = scored(bench, data_set, masks), ""
            rows = printed.get((data_set.name, masks))
            if rows is None:  # the sample photographs: the paper's numbers only show the layout
                rows = printed[sets.DATA, masks]
                note = "The paper's rows are those of DIV2K: other photographs. Do not compare."
            tables.append(sets.scores_table(data_set, masks, found, rows, note))
            values[f"{data_set.name}, {masks}"] = found.means()
    return Result([*tables, copied()], notes=_notes(bench), values=values)


def copied() -> Table:
    """Table 7's first rows; HiFill's L1 as a fraction of the full range, like all others."""
    printed = reported("zoom_to_inpaint").TABLE_7_COPIED
    theirs = reported("hifill").TABLE_2[HIFILL_SIDE]["Ours"].l1_levels
    corrected = printed[_HIFILL]._replace(l1_fraction=theirs / convert.WHITE)
    note = (
        "Other sizes, masks and pictures than above (Zoom-to-Inpaint's Table 6). Do not compare. HiFill's L1 is the "
        f"{theirs} of its own Table 2 in levels of {convert.WHITE}; Zoom-to-Inpaint's Table 7 prints "
        f"{printed[_HIFILL].l1_fraction}, as if it were per cent."
    )
    title = "Table 7, values copied from the publications"
    return table(title, {}, sets.COLUMNS, {**printed, _HIFILL: corrected}, note)


def _notes(bench):
    notes = sets.notes(bench)
    if not bench.small and HIFILL not in bench.weights:
        notes.append("HiFill was left out: no --weights=hifill=FILE.")
    notes.append(
        "HiFill: pictures enlarged bicubically to 512x512 as in the paper, results reduced to 256x256 the same way, "
        "known pixels too."
    )
    return [*notes, bench.others_note("MASKS")]


STUDY = Study(
    id="zoom_table_2",
    item="Tables 2 and 7",
    what="comparison with other methods",
    reported="best of five methods in every score; by 0.75 dB (Places2) and 0.97 dB (DIV2K) under small masks, by 0.1 "
    "and 0.2 dB under large ones.",
    needs="weights of sr_zoom_gradient (and hifill), Places2 or DIV2K, other methods' PNGs; minutes on a GPU",
    minutes=1,
    run=run,
    arms=ARMS,
    flags="--places2_dir=PLACES2 --div2k_dir=DIV2K --predictions=METHOD,METHOD",
)
