"""The numbers that the HiFill paper prints, digit for digit: Tables 1 and 2. Nothing here is measured.

L1 is taken to be in levels of 255, because the table names no unit. Zoom-to-Inpaint's Table 7 copies 5.439 as
0.05439, that is, as per cent of the full range. With holes of at most 25% this would be twice the error of a fill
with the mean colour of the known pixels (measured in docs/departures.md). MS-SSIM is at most 1; FID and the Inception
Score are computed over the whole set; times are in milliseconds per image on an NVIDIA GTX 1080 Ti. Table 3 lists
only sources of photographs.
"""

from __future__ import annotations

from typing import NamedTuple

from common.scoring.tables import Reference


class Scores(NamedTuple):
    """A cell of Table 2; the first two fields have their names from `common.scoring.metrics`."""

    l1_levels: float
    ms_ssim: float
    fid: float
    inception_score: float
    milliseconds: float


# Table 1: parameters of the gates of one 3x3 layer from 32 to 32 channels, without biases; named as in `config.GATES`.
TABLE_1 = {"gc": 9216, "ds": 1312, "pw": 1024, "sc": 288}

# Table 2 by image side. A method that ran out of memory has no row.
TABLE_2 = {
    512: {
        "DeepFillV1 [20]": Scores(6.733, 0.8442, 7.541, 17.56, 62),
        "DeepFillV2 [19]": Scores(6.050, 0.8848, 4.939, 18.20, 78),
        "PEN-Net [21]": Scores(9.732, 0.8280, 14.13, 14.51, 35),
        "PartialConv [16]": Scores(8.197, 0.8399, 29.32, 13.13, 35),
        "Global-local [10]": Scores(8.617, 0.8469, 21.27, 13.48, 53),
        "Ours": Scores(5.439, 0.8840, 4.898, 17.72, 25),
    },
    1024: {
        "DeepFillV1 [20]": Scores(7.270, 0.8424, 10.21, 17.69, 663),
        "DeepFillV2 [19]": Scores(6.942, 0.8784, 8.347, 17.04, 696),
        "PEN-Net [21]": Scores(10.42, 0.8128, 19.36, 12.51, 289),
        "PartialConv [16]": Scores(11.19, 0.8381, 32.20, 13.53, 110),
        "Global-local [10]": Scores(9.232, 0.8392, 26.23, 13.05, 219),
        "Ours": Scores(5.439, 0.8840, 4.899, 17.72, 31),
    },
    2048: {
        "PartialConv [16]": Scores(16.19, 0.8373, 41.23, 11.17, 920),
        "Global-local [10]": Scores(9.308, 0.8347, 27.09, 12.61, 219),
        "Ours": Scores(5.492, 0.8840, 4.893, 17.85, 37),
    },
    4096: {
        "Ours": Scores(5.503, 0.8840, 4.895, 17.81, 87.3),
    },
}

# Sections 4 and 4.3: DIV2K "down-sampled"; for Table 2 "we linearly scale images and masks". Values:
# `common.scoring.protocol.FITS`.
FITS = {"div2k": "resize", "places2": "resize"}
SIZE = 512  # side at which all methods were compared; the generator's own side
IMAGES = 36_500  # section 4.3: "all 36,500 images of the Places2 validation set"
SCOPE = (
    "HiFill, Table 2, scores --dataset=places2 (validation) with --masks=irregular at --size="
    + ", ".join(map(str, TABLE_2))
)


def rows(dataset: str, split: str, masks: str, size: int) -> list[Reference]:
    """Rows of Table 2 for a data set, kind of masks and image size; empty if the table has none.

    The paper scaled images and masks to each size; `evaluate.py` scales the middle squares, but draws new holes at each
    size.
    """
    if (dataset, split, masks) != ("places2", "validation", "irregular"):
        return []
    source = f"HiFill, Table 2, pictures scaled to {size}x{size}; time on an NVIDIA GTX 1080 Ti"
    found = []
    for method, printed in TABLE_2.get(size, {}).items():
        metrics = printed._asdict()
        metrics["seconds"] = metrics.pop("milliseconds") / 1000
        found.append(Reference(method, masks, IMAGES, metrics, source))
    return found
