"""Z Tables 2 and 7: Zoom-to-Inpaint beside other methods, on Places2 and DIV2K, under small and large masks.

    python studies/run.py --study=zoom_table_2 --size=paper --places2_dir=PLACES2 --div2k_dir=DIV2K \\
        --weights=sr_zoom_gradient=FILE,hifill=FILE --predictions=deepfill_v2,edgeconnect,pluralistic

The paper: best in all four scores on both data sets and both kinds of masks, by 0.75 dB PSNR on Places2 and 0.97 dB on
DIV2K under small masks, by 0.1 and 0.2 dB under large ones. It needs the trained network (and HiFill's, if it is to be
compared); 100 images each of Places2's validation and test set, reduced to 256x256, and center crops of DIV2K's 100
validation images; minutes on a GPU. Which 200 images of Places2 the paper took is not said: here the first ones of each
split.

HiFill was made for 512x512. As in the paper, pictures are enlarged bicubically for it and its results reduced; how they
are reduced, and whether known pixels are put back, is not said: here bicubically, and not. Table 7 is Table 2 and what
the other methods' own papers print, which the paper calls not directly comparable.

Other methods are scored from folders of PNGs, FOLDER/<data set>/<masks>/NAME.png; what they are to paint is written
below --output by the first run. The small setting trains a small network of each model and scores them on the samples.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.images import convert
from studies.kit.bench import Bench, Photographs, Scored, reported
from studies.kit.score_tables import columns, comparison
from studies.kit.study import Result, Study, Table
from studies.zoom import arms

OURS, HIFILL = "sr_zoom_gradient", "hifill"
METRICS = ("psnr", "ssim", "ms_ssim", "l1_fraction")
_HIFILL_SIDE = 512  # Z section 4.1
_HIFILL = "HiFill [48]"


def enlarged_for_hifill(inpaint):
    """A painter of any size -> one that works on pictures enlarged to 512, as Z section 4.1 has it.

    The whole result is reduced again (the paper does not say how), so that known pixels are not exactly the
    photograph's.
    """

    def paint(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        height, width = mask.shape
        scale = _HIFILL_SIDE / min(height, width)
        size = round(width * scale), round(height * scale)
        large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        filled = inpaint(large, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST))
        return cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)

    return paint


def scored(bench: Bench, photographs: Photographs, masks: str) -> Scored:
    """HiFill (if there are weights), the methods of --predictions, and Zoom-to-Inpaint on one set."""
    methods = {}
    if bench.small or HIFILL in bench.weights:
        methods["HiFill"] = enlarged_for_hifill(bench.painter(HIFILL))
    methods.update(bench.others(photographs, masks))
    methods["Zoom-to-Inpaint"] = bench.painter(OURS)
    return bench.scores(methods, masks, photographs, arms.SIDE)


def run(bench: Bench) -> Result:
    """See the module docstring."""
    printed = reported("zoom_to_inpaint").TABLE_2
    shown = columns("zoom_to_inpaint", METRICS)
    tables, values = [], {}
    for photographs in bench.data_sets("places2", "div2k"):
        for masks in arms.MASKS:
            found = scored(bench, photographs, masks).means()
            known = printed.get((photographs.name, masks))
            if known is None:  # the sample photographs: the paper's numbers only show the layout
                known = printed["div2k", masks]
            paper = {method: scores._asdict() for method, scores in known.items()}
            title = f"{photographs.label}, {masks} masks"
            tables.append(comparison(title, found, shown, paper, _source(photographs)))
            values[f"{photographs.name}, {masks}"] = arms.means(found)
    return Result([*tables, copied()], notes=_notes(bench), values=values)


def copied() -> Table:
    """Table 7's first rows; HiFill's L1 as a fraction of the full range, as all others are."""
    printed, shown = reported("zoom_to_inpaint").TABLE_7_COPIED, columns("zoom_to_inpaint", METRICS)
    paper = {method: scores._asdict() for method, scores in printed.items()}
    theirs = reported("hifill").TABLE_2[_HIFILL_SIDE]["Ours"].l1_levels
    paper[_HIFILL]["l1_fraction"] = theirs / convert.WHITE
    note = (
        "Other sizes, masks and pictures than above (Z Table 6): to be compared with nothing. HiFill's L1 is the "
        f"{theirs} of its own Table 2 in levels of {convert.WHITE}; Z's Table 7 prints "
        f"{printed[_HIFILL].l1_fraction}, as if it were per cent."
    )
    return comparison("Table 7, values copied from the publications", {}, shown, paper, note)


def _source(photographs):
    if photographs.name in ("div2k", "places2"):
        return ""
    return "The paper's rows are those of DIV2K: other photographs, to be compared with nothing."


def _notes(bench):
    notes = arms.notes(bench)
    if not bench.small and HIFILL not in bench.weights:
        notes.append("HiFill was left out: no --weights=hifill=FILE.")
    notes.append(
        "HiFill: pictures enlarged bicubically to 512x512 as in the paper, results reduced to 256x256 the same way, "
        "known pixels too."
    )
    return [
        *notes,
        f"Other methods: paint {bench.folder}/DATASET/MASKS/images with the masks beside it (white = hole) into "
        "METHOD/DATASET/MASKS, then --predictions=METHOD.",
    ]


STUDY = Study(
    id="zoom_table_2",
    paper="Zoom-to-Inpaint",
    item="Tables 2 and 7",
    what="comparison with other methods",
    reported="best of five methods in every score; by 0.75 dB (Places2) and 0.97 dB (DIV2K) under small masks, by 0.1 "
    "and 0.2 dB under large ones.",
    needs="weights of sr_zoom_gradient (and hifill), Places2 or DIV2K, other methods' PNGs; minutes on a GPU",
    command="python studies/run.py --study=zoom_table_2 --size=paper --places2_dir=PLACES2 --div2k_dir=DIV2K "
    f"{arms.weights_flag((OURS, HIFILL))} --predictions=METHOD,METHOD",
    minutes=1,
    run=run,
)
