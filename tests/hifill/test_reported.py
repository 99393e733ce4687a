"""The paper's printed numbers: against its own formulas and sentences, so that a slip of the finger shows."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from common.data import datasets
from common.images import convert
from common.masks import files as mask_files
from common.scoring import baselines, metrics, protocol, tables
from hifill import config, reported

TEXT = pathlib.Path(__file__).parents[2] / ".." / "shared" / "papers" / "hifill.txt"
OTHERS = ("DeepFillV1 [20]", "DeepFillV2 [19]", "PEN-Net [21]", "PartialConv [16]")


def test_table_1_is_its_own_calculation():
    kernel, inputs, outputs = 3 * 3, 32, 32
    assert {
        "gc": kernel * inputs * outputs,
        "ds": kernel * inputs + inputs * outputs,
        "pw": inputs * outputs,
        "sc": kernel * inputs,
    } == reported.TABLE_1
    assert tuple(reported.TABLE_1) == config.GATES


@pytest.mark.skipif(not TEXT.is_file(), reason="needs the paper's text beside the checkout")
@pytest.mark.parametrize("method", reported.TABLE_2[512])
def test_every_cell_of_table_2_is_in_the_papers_text(method):
    lines = TEXT.read_text(encoding="utf-8").splitlines()
    label = method.replace(" [", "[") + " "
    (line,) = [line for line in lines if line.startswith(label)]
    cells = line[len(label) :].split()
    filled = [float(cell.removesuffix("ms")) for cell in cells if cell != "\N{EN DASH}"]
    assert len(cells) == 20
    assert filled == [
        value for table in reported.TABLE_2.values() if method in table for value in table[method]
    ]


def test_methods_leave_table_2_as_they_run_out_of_memory():
    sizes = tuple(reported.TABLE_2)
    assert sizes == (512, 1024, 2048, 4096)
    assert [len(reported.TABLE_2[size]) for size in sizes] == [6, 6, 3, 1]
    for size in sizes[1:]:
        assert set(reported.TABLE_2[size]) <= set(reported.TABLE_2[size // 2])


def _best(column, size, largest=False):
    table = reported.TABLE_2[size]
    values = {method: getattr(printed, column) for method, printed in table.items()}
    return (max if largest else min)(values, key=values.get)


def test_ours_is_best_where_section_4_3_says_so():
    assert _best("l1_levels", 512) == _best("fid", 512) == "Ours"
    # "lowest L1 loss and FID on 512x512", and no more than that.
    assert _best("ms_ssim", 512, True) == _best("inception_score", 512, True) == "DeepFillV2 [19]"
    for size in (1024, 2048, 4096):
        for column in ("l1_levels", "fid", "milliseconds"):
            assert _best(column, size) == "Ours", (size, column)
        for column in ("ms_ssim", "inception_score"):
            assert _best(column, size, largest=True) == "Ours", (size, column)


@pytest.mark.parametrize(("size", "times"), [(1024, 3.5), (2048, 5.9)])
def test_speed_is_what_section_4_3_says(size, times):
    ours, second, *_ = sorted(row.milliseconds for row in reported.TABLE_2[size].values())
    assert round(second / ours, 1) == times
    ours, second, *_ = sorted(row.milliseconds for row in reported.TABLE_2[512].values())
    assert round(100 * (1 - ours / second), 1) == 28.6
    assert reported.TABLE_2[4096]["Ours"].milliseconds == 87.3


def test_ours_hardly_changes_with_size_and_others_get_worse():
    ours = [reported.TABLE_2[size]["Ours"] for size in reported.TABLE_2]
    assert {row.ms_ssim for row in ours} == {0.8840}
    assert max(r.l1_levels for r in ours) - min(r.l1_levels for r in ours) < 0.07
    for method in (*OTHERS, "Global-local [10]"):
        small, large = reported.TABLE_2[512][method], reported.TABLE_2[1024][method]
        assert large.l1_levels > small.l1_levels and large.ms_ssim < small.ms_ssim
        assert large.fid > small.fid and large.milliseconds > small.milliseconds


def test_zoom_to_inpaint_copies_the_same_numbers():
    # Z Table 7, "Values copied from the publications": MS-SSIM 0.8840, L1 0.05439, as if H's were per cent.
    ours = reported.TABLE_2[512]["Ours"]
    assert (ours.ms_ssim, ours.l1_levels) == (0.8840, pytest.approx(100 * 0.05439))


def test_table_2_is_no_per_cent_of_the_full_range():
    """As per cent, the best that is printed would be far worse than one colour; as levels it is near that."""
    source = mask_files.mask_source("irregular")
    found = []
    for index, path in enumerate(datasets.files("sample", None, "test")):
        photograph = protocol.center_crop(convert.read_rgb(path), 256)
        for drawn in range(4):
            filled = baselines.inpaint("mean", photograph, source(256, 256, (drawn, index)))
            found.append(metrics.all_metrics(photograph, filled))
    percent, levels = (np.mean([x[k] for x in found]) for k in ("l1_percent", "l1_levels"))
    ours = reported.TABLE_2[512]["Ours"].l1_levels
    assert ours > 3 * percent and levels < ours < 2 * levels  # even surfaces: easier than Places2


def test_rows_are_those_of_the_size_evaluated():
    for size, table in reported.TABLE_2.items():
        found = reported.rows("places2", "validation", "irregular", size)
        assert [row.method for row in found] == list(table)
        assert found[-1].metrics["l1_levels"] == table["Ours"].l1_levels
        assert all(row.n == 36500 and row.masks == "irregular" for row in found)
    ours = reported.rows("places2", "validation", "irregular", 4096)[0].metrics
    assert ours["seconds"] == pytest.approx(0.0873)
    columns = {column.key for column in tables.LAYOUTS["hifill"]}
    assert columns - {"psnr"} <= set(ours) and {"fid", "inception_score"} <= set(ours)
    assert columns - {"seconds"} <= set(metrics.METRICS)


@pytest.mark.parametrize(
    "asked",
    [
        *((name, "validation", "irregular", 512) for name in ("div2k", "sample", "folder")),
        ("places2", "train", "irregular", 512),
        ("places2", "test", "irregular", 512),
        ("places2", "validation", "small", 512),
        ("places2", "validation", "irregular", 256),
        ("places2", "validation", "irregular", 0),
    ],
)
def test_no_rows_for_what_the_paper_does_not_print(asked):
    assert asked[0] in datasets.NAMES
    assert reported.rows(*asked) == []
