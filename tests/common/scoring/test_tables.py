"""Means, spreads, bins by hole area, tables and files of an evaluation."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from common.errors import UserError
from common.scoring import metrics, tables


def _score(psnr, name="a.png", method="ns", masks="small", hole=0.04, **others):
    return tables.Score(name, method, masks, hole, {"psnr": psnr, **others})


def _random_scores(n=40):
    rng = np.random.default_rng(0)
    return [
        tables.Score(
            name=f"{index}.png",
            method=("telea", "ns")[index % 2],
            masks=("small", "large")[index // 2 % 2],
            hole_fraction=float(rng.uniform(0, 0.6)),
            metrics={
                "psnr": float(rng.uniform(20, 40)),
                "ssim": float(rng.uniform(0.8, 1)),
                "ms_ssim": float(rng.uniform(0.8, 1)),
                "l1_fraction": float(rng.uniform(0, 0.1)),
                "l1_percent": float(rng.uniform(0, 10)),
                "l1_levels": float(rng.uniform(0, 25)),
            },
        )
        for index in range(n)
    ]


def test_summarise_equals_numpy():
    images = _random_scores()
    summaries = tables.summarise(images)
    assert [(s.masks, s.method) for s in summaries] == [
        ("small", "telea"),
        ("small", "ns"),
        ("large", "telea"),
        ("large", "ns"),
    ]
    for summary in summaries:
        members = [i for i in images if (i.method, i.masks) == (summary.method, summary.masks)]
        assert summary.n == len(members) == 10 and summary.hole_area == "all"
        holes = [i.hole_fraction for i in members]
        assert summary.hole_fraction == pytest.approx(np.mean(holes), rel=1e-12)
        assert tuple(summary.metrics) == metrics.METRICS
        for key, statistic in summary.metrics.items():
            values = [i.metrics[key] for i in members]
            assert statistic.mean == pytest.approx(np.mean(values), rel=1e-12)
            assert statistic.std == pytest.approx(np.std(values, ddof=1), rel=1e-9)
            assert statistic.median == pytest.approx(np.median(values), rel=1e-12)
            assert (statistic.n, statistic.infinite) == (10, 0)


def test_infinite_psnr_is_left_out_and_counted():
    images = [_score(30.0), _score(math.inf), _score(34.0), _score(math.inf)]
    (summary,) = tables.summarise(images)
    assert summary.n == 4
    pooled = pytest.approx(-10 * math.log10((10**-3 + 10**-3.4) / 4))  # two of four without error
    wanted = tables.Statistic(32.0, pytest.approx(math.sqrt(8)), 2, 2, math.inf, pooled)
    assert summary.metrics["psnr"] == wanted
    text = tables.table([summary], "zoom_to_inpaint")
    assert (
        "PSNR: mean of 2 images, without the 2 of infinite value (ns, small, hole area all)."
        in text
    )


def test_a_few_tiny_holes_rule_the_mean_alone():
    """The median says what most pictures have, the pooled PSNR what the errors are."""
    images = [_score(value) for value in (63.0, 54.0, 30.0, 29.0, 28.0)]
    (summary,) = tables.summarise(images)
    row = tables.table([summary], "zoom_to_inpaint", spread=True).splitlines()[-1]
    assert [cell.strip() for cell in row.split("|")[5:-1]] == ["40.80 ± 16.48", "30.00", "31.14"]
    assert tables.flat(summary) == {
        **{"psnr": pytest.approx(40.8), "psnr_median": 30.0, "n": 5},
        "psnr_pooled": pytest.approx(31.1372, abs=1e-3),
    }


def test_pooled_psnr_is_that_of_all_pixels_of_pictures_of_one_size():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 256, (6, 8, 9, 3)).astype(np.uint8)
    result = np.clip(
        truth + rng.normal(0, (1, 2, 4, 8, 20, 60), (8, 9, 3, 6)).transpose(3, 0, 1, 2), 0, 255
    )
    result = result.astype(np.uint8)
    found = [metrics.psnr(one, other) for one, other in zip(truth, result)]
    stacked = metrics.psnr(truth.reshape(-1, 9, 3), result.reshape(-1, 9, 3))
    assert tables.pooled_psnr(found) == pytest.approx(stacked, rel=1e-12)
    assert np.mean(found) > stacked + 5


def test_only_infinite_psnr():
    (summary,) = tables.summarise([_score(math.inf), _score(math.inf)])
    assert summary.metrics["psnr"].mean == math.inf and math.isnan(summary.metrics["psnr"].std)
    text = tables.table([summary], "zoom_to_inpaint", spread=True)
    assert "|    inf |           inf |           inf |" in text and "mean of" not in text


def test_one_image_has_no_spread():
    (summary,) = tables.summarise([_score(30.0)])
    assert summary.metrics["psnr"].mean == 30 and math.isnan(summary.metrics["psnr"].std)
    assert "±" not in tables.table([summary], "zoom_to_inpaint", spread=True)


def test_a_metric_of_some_images_only():
    (summary,) = tables.summarise([_score(30.0, seconds=2.0), _score(31.0)])
    assert summary.metrics["seconds"].n == 1 and summary.metrics["psnr"].n == 2


@pytest.mark.parametrize(
    "hole, label",
    [
        (0.0, "0-5 %"),
        (0.05, "0-5 %"),
        (0.0500001, "5-10 %"),
        (0.1, "5-10 %"),
        (0.2, "10-20 %"),
        (0.29, "20-30 %"),
        (0.3, "20-30 %"),
        (0.5, "30-50 %"),
        (0.51, "50-100 %"),
        (1.0, "50-100 %"),
    ],
)
def test_edges_of_the_hole_area_bins(hole, label):
    (summary,) = tables.by_hole_area([_score(30.0, hole=hole)])
    assert summary.hole_area == label and summary.hole_fraction == hole


def test_hole_area_bins_partition_the_images():
    images = _random_scores(200)
    bins = tables.by_hole_area(images)
    assert sum(summary.n for summary in bins) == 200
    small = [(s.hole_area, s.method) for s in bins if s.masks == "small"]
    labels = ["0-5 %", "5-10 %", "10-20 %", "20-30 %", "30-50 %", "50-100 %"]
    assert small == [(label, method) for label in labels for method in ("telea", "ns")]
    pooled = sum(s.n * s.metrics["psnr"].mean for s in bins) / 200
    assert pooled == pytest.approx(np.mean([i.metrics["psnr"] for i in images]), rel=1e-12)


def test_empty_bins_are_left_out():
    bins = tables.by_hole_area([_score(30.0, hole=0.9), _score(31.0, hole=0.01)])
    assert [summary.hole_area for summary in bins] == ["0-5 %", "50-100 %"]


def test_nothing_scored():
    assert tables.summarise([]) == [] and tables.by_hole_area([]) == []
    assert tables.table([], "hifill").count("\n") == 2


def test_table_in_the_layout_of_zoom_to_inpaint():
    first = _score(34.784, ssim=0.97549, ms_ssim=0.98631, l1_fraction=0.003571, method="ours")
    second = _score(31.1, ssim=0.9, ms_ssim=0.95, l1_fraction=0.0074, masks="large", hole=0.1512)
    text = tables.table(tables.summarise([first, second]), "zoom_to_inpaint")
    assert text == (
        "| Method | Masks | Hole (%) |   n | PSNR ↑ | PSNR median ↑ | PSNR pooled ↑ | SSIM ↑ | MS-SSIM ↑ |    L1 ↓ |\n"
        "| ------ | ----- | -------: | --: | -----: | ------------: | ------------: | -----: | --------: | ------: |\n"
        "| ours   | small |     4.00 |   1 |  34.78 |         34.78 |         34.78 | 0.9755 |    0.9863 | 0.00357 |\n"
        "| ns     | large |    15.12 |   1 |  31.10 |         31.10 |         31.10 | 0.9000 |    0.9500 | 0.00740 |\n"
    )


def test_table_in_the_layout_of_hifill():
    images = [_score(30.0, ms_ssim=0.884, l1_levels=value) for value in (5.0, 6.0)]
    text = tables.table(tables.summarise(images), "hifill", spread=True)
    header, _, row = text.splitlines()
    psnr = ["PSNR ↑", "PSNR median ↑", "PSNR pooled ↑"]
    assert [cell.strip() for cell in header.split("|")[5:-1]] == [
        "L1 (levels) ↓",
        "MS-SSIM ↑",
        *psnr,
    ]
    values = ["5.500 ± 0.707", "0.8840 ± 0.0000", "30.00 ± 0.00", "30.00", "30.00"]
    assert [cell.strip() for cell in row.split("|")[5:-1]] == values
    timed = [_score(30.0, ms_ssim=0.9, l1_levels=5.0, seconds=0.0314)]
    assert "0.031 |" in tables.table(tables.summarise(timed), "hifill")


def test_time_ends_the_layout_of_zoom_to_inpaint():
    full = _score(30.0, ssim=0.9, ms_ssim=0.95, l1_fraction=0.01, seconds=0.2934)
    header, _, row = tables.table(tables.summarise([full]), "zoom_to_inpaint").splitlines()
    assert header.endswith("L1 ↓ | Time (s) ↓ |") and row.endswith("0.01000 |      0.293 |")


def _reference(masks="small", method="Ours", source="Table 2", **values):
    return tables.Reference(method, masks, 100, values, source)


def test_references_stand_below_the_rows_of_their_masks_and_only_in_measured_columns():
    images = [_score(30.0), _score(28.0, method="telea"), _score(20.0, masks="large")]
    references = [
        _reference("large", psnr=27.071, fid=4.9),
        _reference("small", psnr=34.08, seconds=0.3),
        _reference("small", "Other", "Table 9", ssim=0.9),
    ]
    text = tables.table(
        tables.summarise(images), "zoom_to_inpaint", spread=True, references=references
    )
    assert text == (
        "| Method       | Masks | Hole (%) |   n | PSNR ↑ | PSNR median ↑ | PSNR pooled ↑ |\n"
        "| ------------ | ----- | -------: | --: | -----: | ------------: | ------------: |\n"
        "| ns           | small |     4.00 |   1 |  30.00 |         30.00 |         30.00 |\n"
        "| telea        | small |     4.00 |   1 |  28.00 |         28.00 |         28.00 |\n"
        "| paper: Ours  | small |        - | 100 |  34.08 |             - |             - |\n"
        "| paper: Other | small |        - | 100 |      - |             - |             - |\n"
        "| ns           | large |     4.00 |   1 |  20.00 |         20.00 |         20.00 |\n"
        "| paper: Ours  | large |        - | 100 |  27.07 |             - |             - |\n"
        "\n"
        "paper: Table 2; not measured here.\n"
        "paper: Table 9; not measured here.\n"
    )


def test_a_reference_for_masks_that_were_not_measured_is_not_dropped_silently():
    with pytest.raises(ValueError, match="Ours: nothing was measured with masks 'large'"):
        tables.table(
            tables.summarise([_score(30.0)]), "hifill", references=[_reference("large", psnr=27.0)]
        )


def test_references_are_rows_of_tables_by_hole_area_too():
    text = tables.table(
        tables.by_hole_area([_score(30.0)]), "zoom_to_inpaint", references=[_reference(psnr=34.08)]
    )
    assert (
        "| paper: Ours | small | all       |        - | 100 |  34.08 |             - |             - |"
        in text
    )


def test_json_keeps_references_apart(tmp_path):
    images = [_score(30.0)]
    target = tmp_path / "scores.json"
    tables.write_json(target, images, tables.summarise(images), [_reference(psnr=34.08, fid=4.9)])
    content = json.loads(target.read_text(encoding="utf-8"))
    assert list(content) == ["summaries", "reported", "images"]
    assert content["reported"] == [
        {
            "method": "Ours",
            "masks": "small",
            "n": 100,
            "metrics": {"psnr": 34.08, "fid": 4.9},
            "source": "Table 2",
        }
    ]
    assert [row["method"] for row in content["summaries"] + content["images"]] == ["ns", "ns"]
    tables.write_json(target, images, tables.summarise(images))
    assert json.loads(target.read_text(encoding="utf-8"))["reported"] == []


def test_table_by_hole_area_is_aligned():
    text = tables.table(tables.by_hole_area(_random_scores()), "zoom_to_inpaint", spread=True)
    lines = text.splitlines()
    assert "Hole area" in lines[0]
    assert len({len(line) for line in lines}) == 1
    assert len({tuple(i for i, c in enumerate(line) if c == "|") for line in lines}) == 1


def test_a_bar_in_a_name_does_not_break_the_table():
    text = tables.table(tables.summarise([_score(30.0, method="a|b")]), "zoom_to_inpaint")
    assert "a\\|b" in text


def test_absent_metric_is_a_dash():
    images = [_score(30.0, ssim=0.9), _score(31.0, method="other")]
    row = tables.table(tables.summarise(images), "zoom_to_inpaint").splitlines()[-1]
    assert row.endswith("|      - |")


def test_unknown_layout():
    with pytest.raises(UserError, match="choose from zoom_to_inpaint, hifill"):
        tables.table([], "latex")


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_undefined_scores_are_rejected(value):
    with pytest.raises(ValueError, match="psnr of ns"):
        _score(value)


@pytest.mark.parametrize("hole", [-0.1, 1.1, math.nan])
def test_impossible_hole_fractions_are_rejected(hole):
    with pytest.raises(ValueError, match="hole_fraction"):
        _score(30.0, hole=hole)


def test_json_round_trip(tmp_path):
    images = [_score(math.inf), _score(30.0, method="telea", ssim=np.float32(0.5))]
    target = tmp_path / "deep" / "scores.json"
    tables.write_json(target, images, tables.summarise(images))

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads(target.read_text(encoding="utf-8"), parse_constant=refuse)
    assert [image["metrics"] for image in content["images"]] == [
        {"psnr": "inf"},
        {"psnr": 30.0, "ssim": 0.5},
    ]
    assert content["images"][0]["hole_fraction"] == 0.04
    first = content["summaries"][0]
    assert (first["method"], first["masks"], first["hole_area"], first["n"]) == (
        "ns",
        "small",
        "all",
        1,
    )
    assert first["metrics"]["psnr"] == {
        **{"mean": "inf", "std": None, "n": 0, "infinite": 1},
        **{"median": "inf", "pooled": "inf"},
    }
    ssim = content["summaries"][1]["metrics"]["ssim"]
    assert ssim["median"] == 0.5 and ssim["pooled"] is None


def test_csv_round_trip(tmp_path):
    images = [_score(math.inf, name='a, "b".png'), _score(1 / 3, method="telea", ssim=0.5)]
    target = tmp_path / "scores.csv"
    tables.write_csv(target, images)
    with open(target, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["name", "method", "masks", "hole_fraction", "psnr", "ssim"]
    assert rows[0]["name"] == 'a, "b".png' and float(rows[0]["psnr"]) == math.inf
    assert rows[0]["ssim"] == "" and float(rows[1]["psnr"]) == 1 / 3 and rows[1]["ssim"] == "0.5"


def test_files_that_cannot_be_written(tmp_path):
    for write in (
        lambda: tables.write_csv(tmp_path, []),
        lambda: tables.write_json(tmp_path, [], []),
    ):
        with pytest.raises(UserError, match="is a folder"):
            write()
