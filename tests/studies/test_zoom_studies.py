"""Zoom-to-Inpaint's studies: measured numbers in the paper's layout, the paper's digits below them."""

from __future__ import annotations

import dataclasses
import importlib.util

import cv2
import numpy as np
import pytest

from benchmarks import machine
from common.errors import UsageError
from common.images import convert
from common.masks import random as random_masks
from studies import registry
from studies.kit.bench import Scored
from studies.zoom import arms, table_2, table_3, table_4, table_5

needs_plots = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib"
)


def run(bench):
    return registry.study(bench.study).run(bench)


def cells(table, row):
    return next(dict(zip(table.columns, r)) for r in table.rows if r[0] == row)


@needs_plots
def test_table_1_counts_masks(small_bench):
    (table,) = run(small_bench("zoom_table_1", count=30, image_size=256)).tables
    drawn = [100 * random_masks.stroke_mask(256, 256, "large", (0, i)).mean() for i in range(30)]
    found = cells(table, "large masks")
    assert found["Mean (%)"] == f"{np.mean(drawn):.2f}" and found["Max (%)"] == f"{max(drawn):.2f}"
    assert cells(table, "paper: small masks")["Max (%)"] == "15.75"


@needs_plots
def test_one_mask_has_no_deviation(small_bench):
    (table,) = run(small_bench("zoom_table_1", count=1, image_size=256)).tables
    assert cells(table, "large masks")["Std"] == "-"


def test_masks_without_a_side_are_refused(small_bench):
    with pytest.raises(UsageError, match="--image_size=0"):
        run(small_bench("zoom_table_1", image_size=0))


def test_table_2_is_laid_out_like_the_papers(small_bench, flat_models, tmp_path):
    bench = small_bench("zoom_table_2")
    result = run(bench)
    small, large, copied = result.tables
    assert (small.title, large.title) == ("DIV2K, small masks", "DIV2K, large masks")
    assert cells(copied, "paper: HiFill [48]") == {
        **{"Method": "paper: HiFill [48]", "PSNR ↑": "-", "SSIM ↑": "-"},
        **{"PSNR median ↑": "-", "PSNR pooled ↑": "-"},
        **{"MS-SSIM ↑": "0.8840", "L1 ↓": "0.02133"},
    }
    assert "5.439 of its own Table 2 in levels of 255" in copied.note and "0.05439" in copied.note
    assert [row[0] for row in small.rows[:2]] == ["HiFill", "Zoom-to-Inpaint"]
    assert cells(large, "paper: EdgeConnect [31]") == {
        **{"Method": "paper: EdgeConnect [31]", "PSNR ↑": "26.87", "SSIM ↑": "0.9036"},
        **{"PSNR median ↑": "-", "PSNR pooled ↑": "-"},
        **{"MS-SSIM ↑": "0.9291", "L1 ↓": "0.01494"},
    }
    value = result.values["div2k, small"]["Zoom-to-Inpaint"]
    ours = cells(small, "Zoom-to-Inpaint")
    assert ours["PSNR ↑"] == f"{value['psnr']:.2f}" and value["n"] == 4
    assert ours["PSNR median ↑"] == f"{value['psnr_median']:.2f}"
    assert ours["PSNR pooled ↑"] == f"{value['psnr_pooled']:.2f}"
    assert value["psnr_pooled"] < value["psnr"] and "PSNR pooled: of the mean" in small.note
    # Another method's PNGs, here this one's own, get the same scores under its own name.
    ours = bench.folder / "div2k"
    for kind in arms.MASKS:
        source = ours / kind / "predictions" / "zoom_to_inpaint"
        target = tmp_path / "other" / "div2k" / kind
        target.mkdir(parents=True)
        for path in source.glob("*.png"):
            (target / path.name).write_bytes(path.read_bytes())
    again = run(small_bench("zoom_table_2", predictions=[str(tmp_path / "other")]))
    for table in again.tables[:2]:
        assert cells(table, "other")["PSNR ↑"] == cells(table, "Zoom-to-Inpaint")["PSNR ↑"]


def test_table_2_without_hifill_says_so(small_bench, flat_models):
    result = run(small_bench("zoom_table_2", size="paper", weights={"sr_zoom_gradient": "x"}))
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


def test_table_3_and_its_paired_gains(small_bench, flat_models):
    result = run(small_bench("zoom_table_3"))
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
    from common.scoring.tables import Score

    metrics = dict.fromkeys(("psnr", "ssim", "ms_ssim", "l1_fraction"), 0.0)
    found = [
        Score(str(i), method, "small", 0.1, {**metrics, "psnr": 10.0 * i + (method == "b")})
        for method in ("a", "b")
        for i in range(3)
    ]
    table = table_3.gains(Scored([], {}, found), "small")
    psnr = ["+1.00 ± 0.00", "+1.00", "+1.00"]
    assert table.rows == [["b", *psnr, *["+0.0000 ± 0.0000"] * 2, "+0.00000 ± 0.00000"]]


WEIGHTS = {"hifill": "x", "sr_zoom_gradient": "x"}


def test_table_4_is_laid_out_like_the_papers(small_bench, flat_models, monkeypatch):
    monkeypatch.setattr(machine, "best_rate", lambda: 1.0)
    result = run(small_bench("zoom_table_4", weights=WEIGHTS))
    (table,) = result.tables
    found = result.values["Zoom-to-Inpaint"]
    assert found["n"] == 4 and 0 < found["fastest"] <= found["median"]
    assert cells(table, "Zoom-to-Inpaint")["Mean (ms)"] == f"{1000 * found['mean']:.1f}"
    assert cells(table, "paper: HiFill [48]")["Mean (ms)"] == "127"
    alone = "paper: HiFill [48], without pre- and post-processing"
    assert cells(table, alone)["Mean (ms)"] == "60"
    assert cells(table, "paper: Ours")["Parameters"] == "4.5M"


@pytest.mark.full
def test_table_4_measures_networks(tiny_weights, tiny_zoom_weights, small_bench, monkeypatch):
    monkeypatch.setattr(machine, "best_rate", lambda: machine.rate(16, 4, 1))  # seconds otherwise
    weights = {"hifill": str(tiny_weights), "sr_zoom_gradient": str(tiny_zoom_weights)}
    values = run(small_bench("zoom_table_4", weights=weights, count=2)).values
    for found in values.values():
        assert found["n"] == 2 and found["mean"] > 0
    needed = values["Zoom-to-Inpaint, what the hole needs"]["gflop"]
    assert values["Zoom-to-Inpaint"]["gflop"] > needed > 0


def test_table_4_sees_the_set_that_is_scored(small_bench):
    """Center crops and large masks of table 4 are those that `Bench.scores` writes."""
    bench = small_bench("s", seed=3)
    (photographs,) = bench.data_sets()
    pairs = table_4.crops(bench, photographs, 64)
    cases = bench.scores({"same": lambda image, mask: image}, "large", photographs).cases
    for (image, mask), case in zip(pairs, cases):
        assert (convert.read_rgb(case.image) == image).all()
        assert (convert.read_rgb(case.mask)[..., 0] // 255 == mask).all()


def test_table_5_names_channels_and_parameters(small_bench, flat_models, monkeypatch):
    monkeypatch.setattr(table_5, "_at_the_papers_width", lambda printed: None)
    table, _ = run(small_bench("zoom_table_5")).tables
    assert len(table.rows) == 12 and len(table.columns) == 15
    wide = table.rows[8]
    assert wide[:3] == ["paper: No zoom", "70", "32.72"] and wide[-1] == "4.82M"


@needs_plots
def test_table_9_draws_both_papers_and_its_own(small_bench, flat_models):
    result = run(small_bench("zoom_table_9"))
    assert [row[0] for row in result.tables[0].rows[:2]] == ["No zoom, x1", "SR zoom, x2"]
    assert cells(result.tables[1], "paper: SR zoom, x3")["PSNR ↑"] == "24.36"
    ours, paper = (picture.pixels for picture in result.pictures)
    assert ours.shape == paper.shape and (ours != paper).any()


@needs_plots
def test_table_10_gains_are_differences_of_its_values(small_bench, flat_models):
    result = run(small_bench("zoom_table_10"))
    (table,) = result.tables
    assert cells(table, "paper: high")["SR zoom+L∇ - No zoom"] == "+0.0069"
    ssim = result.values["ssim"]["mid"]
    gain = float(cells(table, "mid")["SR zoom - No zoom"])
    assert gain == pytest.approx(ssim["SR zoom"] - ssim["No zoom"], abs=6e-5)
    assert result.pictures[0].pixels.dtype == np.uint8


@pytest.mark.parametrize("name, pictures", [("zoom_figure_4", 2), ("zoom_figure_5", 2)])
def test_figures_show_every_method(small_bench, flat_models, name, pictures):
    result = run(small_bench(name))
    assert len(result.pictures) == pictures
    for picture in result.pictures:
        assert picture.pixels.dtype == np.uint8 and picture.pixels.shape[0] > 8 * 64


@pytest.mark.full
@needs_plots
def test_all_with_real_networks(small_bench, tmp_path):
    """Every study with untrained tiny networks of its own arms; the paper's numbers of parameters."""
    import hifill
    import zoom_to_inpaint
    from studies.kit import networks

    weights = {"hifill": str(tmp_path / "hifill.npz")}
    tiny = {"channels": 4, "discriminator_channels": 4}
    hifill.HiFill(dataclasses.replace(hifill.PAPER, size=64, **tiny)).save(weights["hifill"])
    for arm, about in networks.ARMS.items():
        if about.model == "zoom_to_inpaint":
            weights[arm] = str(tmp_path / f"{arm}.npz")
            config = zoom_to_inpaint.ZoomConfig(size=16, sr_channels=4, **tiny, **about.fields)
            zoom_to_inpaint.ZoomToInpaint(config).save(weights[arm])
    results = {
        name: run(small_bench(name, weights=weights, count=2))
        for name in registry.NAMES
        if name.startswith("zoom_") and name != "zoom_table_1"
    }
    counted = [row[2:] for row in results["zoom_table_5"].tables[1].rows]
    assert counted[4] == ["4,481,161", "4.48M"]
    for count, printed in counted:
        assert f"{int(count.replace(',', '')) / 1e6:.2f}M" == printed
