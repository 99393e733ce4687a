"""Zoom-to-Inpaint's studies: measured numbers in the paper's layout, the paper's digits below them."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util

import cv2
import numpy as np
import pytest

from benchmarks import machine
from common.errors import UsageError
from common.masks import random as random_masks
from common.scoring.tables import Score
from studies import registry
from studies.kit.scores import Scored
from studies.zoom import figure_5, sets, table_2, table_3, table_4, table_5

needs_plots = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib"
)


@pytest.fixture(scope="module")
def run(small_bench, flat_models):
    """run(study, **fields) -> (result, bench), each once, without networks."""

    @functools.cache
    def once(name, **fields):
        chosen = small_bench(name, **fields)
        return registry.study(name).run(chosen), chosen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "best_rate", lambda: 1.0)
        patch.setattr(table_4, "model", lambda bench, arm: bench.model(arm))
        patch.setattr(table_5, "_at_the_papers_width", lambda printed: None)
        yield once


def cells(table, row):
    return next(dict(zip(table.columns, r)) for r in table.rows if r[0] == row)


@needs_plots
def test_table_1_counts_masks(run):
    (table,) = run("zoom_table_1", count=30, image_size=256)[0].tables
    drawn = [100 * random_masks.stroke_mask(256, 256, "large", (0, i)).mean() for i in range(30)]
    found = cells(table, "large masks")
    assert found["Mean (%)"] == f"{np.mean(drawn):.2f}" and found["Max (%)"] == f"{max(drawn):.2f}"
    assert cells(table, "paper: small masks")["Max (%)"] == "15.75"


@needs_plots
def test_one_mask_has_no_deviation(run):
    (table,) = run("zoom_table_1", count=1, image_size=256)[0].tables
    assert cells(table, "large masks")["Std"] == "-"


def test_masks_without_a_side_are_refused(run):
    with pytest.raises(UsageError, match="--image_size=0"):
        run("zoom_table_1", image_size=0)


def test_table_2_is_laid_out_like_the_papers(run, tmp_path):
    result, bench = run("zoom_table_2")
    small, large, copied = result.tables
    assert (small.title, large.title) == ("DIV2K, small masks", "DIV2K, large masks")
    blank = {"PSNR median ↑": "-", "PSNR pooled ↑": "-"}
    assert cells(copied, "paper: HiFill [48]") == {
        **{"Method": "paper: HiFill [48]", "PSNR ↑": "-", "SSIM ↑": "-", **blank},
        **{"MS-SSIM ↑": "0.8840", "L1 ↓": "0.02133"},
    }
    assert "5.439 of its own Table 2 in levels of 255" in copied.note and "0.05439" in copied.note
    assert [row[0] for row in small.rows[:2]] == ["HiFill", "Zoom-to-Inpaint"]
    assert cells(large, "paper: EdgeConnect [31]") == {
        **{"Method": "paper: EdgeConnect [31]", "PSNR ↑": "26.87", "SSIM ↑": "0.9036", **blank},
        **{"MS-SSIM ↑": "0.9291", "L1 ↓": "0.01494"},
    }
    value = result.values["div2k, small"]["Zoom-to-Inpaint"]
    ours = cells(small, "Zoom-to-Inpaint")
    shown = {"PSNR ↑": "psnr", "PSNR median ↑": "psnr_median", "PSNR pooled ↑": "psnr_pooled"}
    assert {title: f"{value[key]:.2f}" for title, key in shown.items()}.items() <= ours.items()
    assert value["psnr_pooled"] < value["psnr"] and "PSNR pooled: of the mean" in small.note
    assert value["n"] == 4
    # Another method's PNGs, here this one's own, get the same scores under its own name.
    for kind in sets.MASKS:
        target = tmp_path / "other" / "div2k" / kind
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(bench.folder / "div2k" / kind / "predictions" / "zoom_to_inpaint")
    again = dataclasses.replace(bench, predictions=[str(tmp_path / "other")])
    for table in registry.study("zoom_table_2").run(again).tables[:2]:
        assert cells(table, "other")["PSNR ↑"] == cells(table, "Zoom-to-Inpaint")["PSNR ↑"]


def test_table_2_without_hifill_says_so(small_bench, run):
    chosen = small_bench("zoom_table_2", size="paper", weights={"sr_zoom_gradient": "x"})
    result = registry.study("zoom_table_2").run(chosen)
    assert result.tables[0].rows[0][0] == "Zoom-to-Inpaint"
    assert any("HiFill was left out" in note for note in result.notes)


def test_hifill_sees_512_and_its_whole_result_is_reduced():
    seen = {}

    def inpaint(image, mask):
        seen.update(image=image, mask=mask)
        return 255 - image

    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (256, 256))
    mask = np.zeros((256, 256), np.uint8)
    mask[100:120, 30:90] = 1
    result = table_2.enlarged_for_hifill(inpaint)(image, mask)
    assert seen["image"].shape == (512, 512, 3) and set(np.unique(seen["mask"])) == {0, 1}
    assert seen["mask"].mean() == mask.mean()
    assert result.shape == image.shape
    assert np.abs(result.astype(int) - (255 - image)).mean() < 1  # known pixels, too


def test_table_3_and_its_paired_gains(run):
    result, _ = run("zoom_table_3")
    small, large, gains, _ = result.tables
    names = ["No zoom", "Bicubic zoom", "SR zoom", "SR zoom+L∇"]
    assert [row[0] for row in small.rows] == names + [f"paper: {name}" for name in names]
    assert cells(large, "paper: SR zoom")["L1 ↓"] == "0.01497"
    means = result.values["small"]
    wanted = means["SR zoom"]["psnr"] - means["No zoom"]["psnr"]
    shown, error = cells(gains, "SR zoom")["PSNR ↑"].split(" ± ")
    assert float(shown) == pytest.approx(wanted, abs=0.006) and float(error) > 0


def test_gains_are_of_the_same_image():
    """An arm that is better by 1 on every image has a gain of 1 without spread, however images differ."""
    metrics = dict.fromkeys(("psnr", "ssim", "ms_ssim", "l1_fraction"), 0.0)
    found = [
        Score(str(i), method, "small", 0.1, {**metrics, "psnr": 10.0 * i + (method == "b")})
        for method in ("a", "b")
        for i in range(3)
    ]
    table = table_3.gains(Scored([], {}, found), "small")
    psnr = ["+1.00 ± 0.00", "+1.00", "+1.00"]
    assert table.rows == [["b", *psnr, *["+0.0000 ± 0.0000"] * 2, "+0.00000 ± 0.00000"]]


def test_table_4_is_laid_out_like_the_papers(run):
    result, _ = run("zoom_table_4")
    (table,) = result.tables
    found = result.values["Zoom-to-Inpaint"]
    assert found["n"] == 4 and 0 < found["fastest"] <= found["median"]
    assert cells(table, "Zoom-to-Inpaint")["Mean (ms)"] == f"{1000 * found['mean']:.1f}"
    assert cells(table, "paper: HiFill [48]")["Mean (ms)"] == "127"
    alone = "paper: HiFill [48], without pre- and post-processing"
    assert cells(table, alone)["Mean (ms)"] == "60"
    assert cells(table, "paper: Ours")["Parameters"] == "4.5M"


def test_table_5_names_channels_and_parameters(run):
    table, _ = run("zoom_table_5")[0].tables
    assert len(table.rows) == 12 and len(table.columns) == 15
    wide = table.rows[8]
    assert wide[:3] == ["paper: No zoom", "70", "32.72"] and wide[-1] == "4.82M"


@needs_plots
def test_table_9_draws_both_papers_and_its_own(run):
    result, _ = run("zoom_table_9")
    assert [row[0] for row in result.tables[0].rows[:2]] == ["No zoom, x1", "SR zoom, x2"]
    assert cells(result.tables[1], "paper: SR zoom, x3")["PSNR ↑"] == "24.36"
    ours, paper = (picture.pixels for picture in result.pictures)
    assert ours.shape == paper.shape and (ours != paper).any()


@needs_plots
def test_table_10_gains_are_differences_of_its_values(run):
    result, _ = run("zoom_table_10")
    (table,) = result.tables
    assert cells(table, "paper: high")["SR zoom+L∇ - No zoom"] == "+0.0069"
    ssim = result.values["ssim"]["mid"]
    gain = float(cells(table, "mid")["SR zoom - No zoom"])
    assert gain == pytest.approx(ssim["SR zoom"] - ssim["No zoom"], abs=6e-5)
    assert result.pictures[0].pixels.dtype == np.uint8


@pytest.mark.parametrize("name", ["zoom_figure_4", "zoom_figure_5"])
def test_figures_show_every_method(run, name):
    result, _ = run(name)
    assert len(result.pictures) == 2
    for picture in result.pictures:
        assert picture.pixels.dtype == np.uint8 and picture.pixels.shape[0] > 8 * 64


def test_largest_holes_first():
    found = [Score(n, "m", "large", h, {}) for n, h in (("a", 0.1), ("b", 0.3), ("c", 0.2))]
    cases = [type("Case", (), {"name": score.name}) for score in found]
    assert figure_5.largest_holes(Scored(cases, {}, found), 2) == [cases[1], cases[2]]
