"""The numbers that the Zoom-to-Inpaint paper prints, digit for digit: Tables 1-5 and 7-10. Nothing here is measured.

Data sets are named "div2k" and "places2", masks "small" and "large". PSNR is in dB, SSIM and MS-SSIM are at most 1, L1
is a fraction of the full range, parameters are in millions, times in milliseconds.

Left out: Table 6 is prose; the part of Table 7 for small and large masks repeats Table 2; the last column of Table 2
repeats Table 8.
"""

from __future__ import annotations

from typing import NamedTuple

from common.scoring.tables import Reference


class Scores(NamedTuple):
    """PSNR, SSIM, MS-SSIM and L1 error, under the names of `common.scoring.metrics`; None where nothing is printed."""

    psnr: float | None
    ssim: float | None
    ms_ssim: float | None
    l1_fraction: float | None


class HoleShare(NamedTuple):
    """Hole in per cent of the image, over 10,000 random masks."""

    mean: float
    max: float


class Cost(NamedTuple):
    """Parameters in millions and milliseconds per image."""

    parameters: float
    milliseconds: float


class Ablation(NamedTuple):
    """A row of Table 5; `parameters` in millions."""

    name: str
    channels: int
    small: Scores
    large: Scores
    parameters: float


class Preference(NamedTuple):
    """Choices of the other method and of ours in the user study, and the per cent for ours as printed."""

    other: int
    ours: int
    per_cent: float


# Table 1, last column: "Invalid pixel ratio".
TABLE_1 = {"small": HoleShare(4.3, 15.75), "large": HoleShare(15.12, 50.24)}

# Table 2, 256 x 256. The other methods use their released weights, trained on Places2 (section 4.1).
TABLE_2 = {
    ("places2", "small"): {
        "HiFill [48]": Scores(31.12, 0.9586, 0.9742, 0.00744),
        "Pluralistic [53]": Scores(33.23, 0.9670, 0.9807, 0.00558),
        "DeepFill-v2 [50]": Scores(34.03, 0.9719, 0.9834, 0.00485),
        "EdgeConnect [31]": Scores(33.98, 0.9718, 0.9841, 0.00388),
        "Ours": Scores(34.78, 0.9755, 0.9863, 0.00357),
    },
    ("places2", "large"): {
        "HiFill [48]": Scores(24.94, 0.8891, 0.9134, 0.02034),
        "Pluralistic [53]": Scores(26.17, 0.9022, 0.9191, 0.01784),
        "DeepFill-v2 [50]": Scores(26.77, 0.9158, 0.9326, 0.01536),
        "EdgeConnect [31]": Scores(27.61, 0.9166, 0.9382, 0.01328),
        "Ours": Scores(27.71, 0.9202, 0.9415, 0.01314),
    },
    ("div2k", "small"): {
        "HiFill [48]": Scores(30.91, 0.9633, 0.9777, 0.00700),
        "Pluralistic [53]": Scores(32.73, 0.9703, 0.9820, 0.00543),
        "DeepFill-v2 [50]": Scores(33.11, 0.9741, 0.9852, 0.00467),
        "EdgeConnect [31]": Scores(33.11, 0.9734, 0.9845, 0.00388),
        "Ours": Scores(34.08, 0.9787, 0.9886, 0.00329),
    },
    ("div2k", "large"): {
        "HiFill [48]": Scores(24.23, 0.8739, 0.8993, 0.02302),
        "Pluralistic [53]": Scores(25.62, 0.8890, 0.9071, 0.01949),
        "DeepFill-v2 [50]": Scores(26.07, 0.9018, 0.9229, 0.01735),
        "EdgeConnect [31]": Scores(26.87, 0.9036, 0.9291, 0.01494),
        "Ours": Scores(27.07, 0.9094, 0.9346, 0.01462),
    },
}

# Table 3: ablations on DIV2K. "SR zoom+L∇" is the full model.
TABLE_3 = {
    "small": {
        "No zoom": Scores(32.12, 0.9714, 0.9812, 0.00441),
        "Bicubic zoom": Scores(32.80, 0.9753, 0.9832, 0.00391),
        "SR zoom": Scores(33.40, 0.9770, 0.9853, 0.00363),
        "SR zoom+L∇": Scores(34.08, 0.9787, 0.9886, 0.00329),
    },
    "large": {
        "No zoom": Scores(25.89, 0.8977, 0.9180, 0.01747),
        "Bicubic zoom": Scores(26.09, 0.9016, 0.9219, 0.01657),
        "SR zoom": Scores(26.95, 0.9080, 0.9307, 0.01497),
        "SR zoom+L∇": Scores(27.07, 0.9094, 0.9346, 0.01462),
    },
}


def _of_table_3(name: str, parameters: float) -> Ablation:
    """A row of Table 5 that repeats Table 3, with 64 channels."""
    return Ablation(name, 64, TABLE_3["small"][name], TABLE_3["large"][name], parameters)


# Table 4: time per image on an NVIDIA Tesla T4 without file access; 100 center crops of DIV2K, large masks. HiFill
# ran at 512 x 512 with its pre- and post-processing (60 ms without).
TABLE_4 = {
    "HiFill [48]": Cost(2.7, 127),
    "Pluralistic [53]": Cost(6, 37),
    "DeepFill-v2 [50]": Cost(4.1, 71),
    "EdgeConnect [31]": Cost(21.53, 21),
    "Ours": Cost(4.5, 293),
}
# Methods whose parameter counts are copied from their papers.
TABLE_4_COPIED = ("HiFill [48]", "Pluralistic [53]", "DeepFill-v2 [50]")
HIFILL_NETWORK_MILLISECONDS = 60

# Table 5: the rows of Table 3 and networks with 70 channels, with parameter counts.
TABLE_5 = (
    _of_table_3("No zoom", 4.03),
    _of_table_3("Bicubic zoom", 4.03),
    Ablation(
        *("No zoom", 70),
        small=Scores(32.72, 0.9723, 0.9818, 0.00432),
        large=Scores(26.00, 0.8993, 0.9195, 0.01761),
        parameters=4.82,
    ),
    Ablation(
        *("Bicubic zoom", 70),
        small=Scores(32.78, 0.9730, 0.9833, 0.00413),
        large=Scores(25.99, 0.9000, 0.9212, 0.01685),
        parameters=4.82,
    ),
    _of_table_3("SR zoom", 4.48),
    _of_table_3("SR zoom+L∇", 4.48),
)

# Table 7, "Values copied from the publications": what others printed for Places2 at other sizes and masks (Table 6).
# The paper calls them not directly comparable (appendix C.2). None: not given. HiFill's own paper prints an L1 of
# 5.439 without a unit; it cannot be per cent of the full range, as copied here (docs/departures.md).
TABLE_7_COPIED = {
    "HiFill [48]": Scores(None, None, 0.8840, 0.05439),
    "Pluralistic [53]": Scores(None, None, None, None),
    "DeepFill-v2 [50]": Scores(None, None, None, 0.09100),
    "EdgeConnect [31]": Scores(27.95, 0.9200, None, 0.01500),
}

# Table 8: user study (appendix D), the other method against ours. The counts imply 75 pairs per participant and
# method.
TABLE_8 = {
    "small": {
        "HiFill [48]": Preference(239, 736, 75.49),
        "Pluralistic [53]": Preference(106, 869, 89.13),
        "DeepFill-v2 [50]": Preference(300, 675, 69.23),
        "EdgeConnect [31]": Preference(349, 626, 64.21),
    },
    "large": {
        "HiFill [48]": Preference(412, 713, 63.38),
        "Pluralistic [53]": Preference(322, 803, 71.38),
        "DeepFill-v2 [50]": Preference(780, 345, 30.67),
        "EdgeConnect [31]": Preference(738, 387, 34.4),
    },
}
TABLE_8_TOTALS = {"small": (3900, 74.51), "large": (4500, 49.96)}  # choices, per cent for ours
PARTICIPANTS = {"small": 13, "large": 15}
PAIRS = 300

# Table 9: scale factors, trained on 128 x 128 without the gradient loss, on DIV2K. x1 is "No zoom".
TABLE_9 = {
    "small": {
        1: Scores(29.91, 0.9382, 0.9608, 0.00955),
        2: Scores(30.85, 0.9439, 0.9658, 0.00855),
        3: Scores(30.70, 0.9433, 0.9648, 0.00868),
        4: Scores(29.92, 0.9404, 0.9625, 0.00932),
    },
    "large": {
        1: Scores(23.54, 0.8186, 0.8555, 0.03066),
        2: Scores(24.23, 0.8273, 0.8700, 0.02821),
        3: Scores(24.36, 0.8290, 0.8710, 0.02739),
        4: Scores(23.91, 0.8265, 0.8664, 0.02963),
    },
}

# Table 10: SSIM of the levels of a Laplacian pyramid, "high" = level 0; small masks (Figure 6). The paper names no
# data set; the neighbouring ablations use DIV2K.
TABLE_10 = {
    "low": {"No zoom": 0.9858, "Bicubic zoom": 0.9870, "SR zoom": 0.9888, "SR zoom+L∇": 0.9907},
    "mid": {"No zoom": 0.9730, "Bicubic zoom": 0.9756, "SR zoom": 0.9772, "SR zoom+L∇": 0.9793},
    "high": {"No zoom": 0.9674, "Bicubic zoom": 0.9717, "SR zoom": 0.9727, "SR zoom+L∇": 0.9743},
}

# Section 4.1: "For DIV2K, 256x256 patches were center-cropped"; Places2 images are 256 x 256.
# Values: `common.scoring.protocol.FITS`.
FITS = {"div2k": "crop", "places2": "resize"}
SIZE = 256  # side of the images of Table 2
IMAGES = {"div2k": 100, "places2": 200}  # section 4.1; Places2: 100 of validation, 100 of test
SCOPE = (
    "Zoom-to-Inpaint, Table 2, scores --dataset=div2k and places2 (held-out images) with --masks=small and large "
    f"at --size={SIZE}"
)


def rows(dataset: str, split: str, masks: str, size: int) -> list[Reference]:
    """Rows of Table 2 for a data set, kind of masks and image size; empty if the table has none.

    Table 4 gives times for DIV2K with large masks, so these rows have "seconds" too.
    """
    if split == "train" or size != SIZE:
        return []
    source = (
        f"Zoom-to-Inpaint, Table 2, {size}x{size}, other methods with weights trained on Places2"
    )
    if dataset == "div2k":
        source += "; time under large masks from Table 4, on an NVIDIA Tesla T4"
    found = []
    for method, printed in TABLE_2.get((dataset, masks), {}).items():
        metrics = printed._asdict()
        if (dataset, masks) == ("div2k", "large"):
            metrics["seconds"] = TABLE_4[method].milliseconds / 1000
        found.append(Reference(method, masks, IMAGES[dataset], metrics, source))
    return found
