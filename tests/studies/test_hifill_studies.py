"""HiFill's studies on tiny random networks: sets, tables, and every comparison against what it claims to compare."""

from __future__ import annotations

import dataclasses
import pathlib

import cv2
import numpy as np
import pytest

from benchmarks import machine
from common.errors import UserError
from common.images import convert
from common.scoring import fid, metrics, patchmatch
from common.scoring import sets as set_scores
from common.scoring.inception import Inception
from studies import registry
from studies.hifill import crops, figure_4
from studies.hifill import sets as hifill_sets
from studies.kit import networks, study
from studies.kit.bench import Bench, Photographs

BASE = 64
PAIRS = [
    *("GC+GC", "LWGCds+LWGCds", "LWGCpw+LWGCpw"),
    *("LWGCsc+LWGCds", "LWGCsc+LWGCpw", "LWGCsc+LWGCsc"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """{arm: file} of random networks of a few thousand weights."""
    import hifill
    import zoom_to_inpaint

    folder = tmp_path_factory.mktemp("arms")
    tiny = dataclasses.replace(hifill.PAPER, name="tiny", size=BASE, channels=4)
    found = {"hifill": str(folder / "hifill.npz")}
    hifill.HiFill(tiny).save(found["hifill"])
    config = zoom_to_inpaint.ZoomConfig(
        name="tiny", channels=4, sr_channels=4, discriminator_channels=4, size=16, scale=4
    )
    found["scale_4"] = str(folder / "scale_4.npz")
    zoom_to_inpaint.ZoomToInpaint(config).save(found["scale_4"])
    return found


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of two textured photographs, one upright."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, size in (("a", (120, 90)), ("b", (80, 140))):
        small = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{name}.png"), cv2.resize(small, size))
    return folder


@pytest.fixture(autouse=True)
def rate(monkeypatch):
    """What is measured for two seconds before and after every timing is tested elsewhere."""
    monkeypatch.setattr(machine, "best_rate", lambda: 100.0)


@pytest.fixture
def bench(weights, photos, tmp_path):
    """bench(study, **fields) -> a Bench of the tiny networks and the two photographs."""

    def make(name, **fields):
        fields = {"dataset": "folder", "data_dir": str(photos), "weights": weights, **fields}
        return Bench(name, output=tmp_path, **fields)

    return make


def run(bench, name, **fields):
    """(result, bench) of a study; it can be kept as a file."""
    chosen, found = bench(name, **fields), registry.study(name)
    result = found.run(chosen)
    assert study.load(study.save(found, result, chosen, 1.0))["id"] == name
    return result, chosen


def _column(table, title):
    index = next(i for i, name in enumerate(table.columns) if name.startswith(title))
    return {row[0]: row[index] for row in table.rows}


# Sets.


def test_pictures_are_middle_squares_and_holes_are_the_same_at_every_side(bench, photos):
    chosen = bench("hifill_table_2")
    found = hifill_sets.photographs(chosen)
    by_side = {side: list(hifill_sets.pairs(chosen, found, side, BASE)) for side in (32, 64, 256)}
    for index, path in enumerate(sorted(photos.iterdir())):
        truth = convert.read_rgb(path)
        height, width = truth.shape[:2]
        short = min(height, width)
        middle = truth[(height - short) // 2 :, (width - short) // 2 :][:short, :short]
        names = {by_side[side][index][0] for side in by_side}
        assert names == {f"{index:05d}_{path.stem}"}
        large, hole = by_side[256][index][1:]
        expected = cv2.resize(
            np.ascontiguousarray(middle), (256, 256), interpolation=cv2.INTER_LINEAR
        )
        np.testing.assert_array_equal(large, expected)
        # Where it gets smaller pixels are averaged; bilinear weights would leave some of them out.
        means = cv2.resize(np.ascontiguousarray(middle), (32, 32), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(by_side[32][index][1], means)
        base = by_side[64][index][2]
        # Away from the edge, where bilinear scaling rounds corners, it is the same hole four times as large.
        edge = cv2.morphologyEx(base, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        same = np.kron(base, np.ones((4, 4), np.uint8)) == hole
        assert same[np.kron(edge, np.ones((4, 4), np.uint8)) == 0].all()
        for side in by_side:
            # Strokes of a few pixels do not keep their width at half the size.
            tolerance = 0.005 if side > BASE else 0.04
            assert by_side[side][index][2].mean() == pytest.approx(base.mean(), abs=tolerance)
    assert not np.array_equal(by_side[64][0][2], by_side[64][1][2])
    other = next(hifill_sets.pairs(bench("x", seed=1), found, 64, BASE))[2]
    assert not np.array_equal(other, by_side[64][0][2])


def test_chunks_are_one_set_and_large_sets_keep_their_first_chunk(bench, tmp_path):
    chosen = bench("x")
    found = hifill_sets.photographs(chosen)
    found = found._replace(paths=found.paths * 2)  # four, whose names differ by number

    def painter(image, mask):
        return np.where(mask[..., None] > 0, np.uint8(7), image)

    def files():
        return sorted(path.name for path in (tmp_path / "x").rglob("*.png"))

    whole = hifill_sets.scored(chosen, found, {"flat": painter}, 48, BASE)
    kept = files()
    assert len(kept) == 3 * 4
    chunks = hifill_sets.scored_in_chunks(chosen, found, {"flat": painter}, 48, BASE, 3, keep=False)
    values = [score for chunk in chunks for score in chunk.scores]
    for one, other in zip(values, whole.scores):
        assert one.name == other.name and one.metrics["psnr"] == other.metrics["psnr"]
    assert len(values) == 4 and files() == [name for name in kept if not name.startswith("00003")]


def test_the_papers_set_is_all_of_the_validation_split(bench, tmp_path):
    folder = tmp_path / "places2" / "val_256"
    folder.mkdir(parents=True)
    for index in range(101):
        cv2.imwrite(str(folder / f"{index:03d}.png"), np.zeros((4, 4, 3), np.uint8))
    fields = {"dataset": None, "data_dir": None, "places2_dir": str(tmp_path / "places2")}
    found = hifill_sets.photographs(bench("x", size="paper", **fields))
    assert isinstance(found, Photographs) and len(found.paths) == 101


def test_a_detail_is_cut_where_the_hole_is():
    mask = np.zeros((100, 200), np.uint8)
    mask[60:80, 150:170] = 1
    rows, columns = crops.around_hole(mask, 40)
    assert mask[rows, columns].shape == (40, 40) and mask[rows, columns].sum() == mask.sum()
    rows, columns = crops.around_hole(mask, 500)
    assert mask[rows, columns].shape == (100, 100)


# Scores of sets.


def _mean_colours(batch):
    """A stand-in for Inception: three features, and probabilities that follow from them."""
    features = batch.mean(axis=(1, 2)).astype(np.float32)
    powers = np.exp(features / 64)
    return features, powers / powers.sum(axis=1, keepdims=True)


STAND_IN = Inception("Stand-in", _mean_colours)


def test_fid_and_is_are_of_the_files_of_all_chunks(bench, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "many").mkdir()
    for index in range(12):
        picture = np.full((40, 40, 3), rng.integers(30, 200, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "many" / f"{index:02d}.png"), picture)
    chosen = bench("x", data_dir=str(tmp_path / "many"))
    found = hifill_sets.photographs(chosen)
    sets = set_scores.SetScores(STAND_IN)
    methods = {"flat": lambda image, mask: np.where(mask[..., None] > 0, np.uint8(9), image)}
    for chunk in hifill_sets.scored_in_chunks(chosen, found, methods, 32, BASE, chunk=5):
        sets.add(chunk.cases, chunk.folders)
    folder = tmp_path / "x" / "folder" / "32"
    truth, result = (
        np.concatenate([_mean_colours(convert.read_rgb(p)[None])[0] for p in sorted(f.iterdir())])
        for f in (folder / "images", folder / "predictions" / "flat")
    )
    scores, reasons = sets.of("flat")
    assert not reasons and scores["fid"] > 1
    assert scores["fid"] == pytest.approx(fid.fid(truth, result), rel=1e-6)
    powers = np.exp(result / 64)
    expected = fid.inception_score(powers / powers.sum(axis=1, keepdims=True))
    found = scores["inception_score"], scores["inception_score_std"]
    assert found == pytest.approx(expected, rel=1e-5)
    assert sets.columns() == ["FID (Stand-in, N=12) ↓", "IS (Stand-in) ↑"]
    assert sets.cells(scores)[1].startswith(f"{expected[0]:.2f} ± ")


def test_sets_that_are_too_small_say_why(bench):
    chosen = bench("x")
    sets = set_scores.SetScores(STAND_IN)
    photographs = hifill_sets.photographs(chosen)
    scored = hifill_sets.scored(chosen, photographs, {"same": lambda i, m: i}, 32, BASE)
    sets.add(scored.cases, scored.folders)
    scores, reasons = sets.of("same")
    assert scores == {} and "FID of 2 images" in reasons[0] and "IS" not in reasons[0]
    assert "Inception Score of 2 images" in reasons[1] and sets.cells(scores) == ["-", "-"]


# Tables and figures.


def test_table_1_counts_what_the_paper_prints(bench):
    (table,) = run(bench, "hifill_table_1")[0].tables
    counted = _column(table, "3x3, 32 to 32")
    for gate in ("GC", "LWGC-ds", "LWGC-pw", "LWGC-sc"):
        assert counted[gate] == counted[f"{study.REPORTED}{gate}"]
    assert _column(table, "3x3, 128 to 128")["GC"] == f"{9 * 128 * 128:,}"


def test_table_2_scores_the_files_of_every_size(bench, monkeypatch):
    result, chosen = run(bench, "hifill_table_2")
    assert [t.title.split(",")[1].split()[0] for t in result.tables] == [
        f"{BASE * k}x{BASE * k}" for k in (1, 2, 4, 8, 16)
    ]
    assert any("FID and IS need Inception" in note for note in result.notes)
    for table, side in zip(result.tables, (64, 128)):
        folder = chosen.folder / "folder" / str(side)
        values = [
            metrics.l1_levels(
                *(
                    convert.read_rgb(folder / part / p.name)
                    for part in ("images", "predictions/hifill")
                )
            )
            for p in sorted((folder / "images").iterdir())
        ]
        assert _column(table, "L1")["HiFill"] == f"{np.mean(values):.3f}"
        found = result.values[str(side)]["HiFill"]
        for name in ("median", "pooled"):
            assert _column(table, f"PSNR {name}")["HiFill"] == f"{found[f'psnr_{name}']:.2f}"
    # What stands for the paper's 512 and 4096 has its rows; what stands for 8192 has none.
    assert _column(result.tables[0], "FID")["paper: Ours"] == "4.898"
    assert _column(result.tables[3], "Mean (ms)")["paper: Ours"] == "87.3"
    assert [row[0] for row in result.tables[4].rows] == ["HiFill"]
    cost = result.values["64"]["HiFill"]
    assert cost["of_rate"] == pytest.approx(cost["gflop"] / cost["median"] / cost["rate"])
    assert cost["memory"]["host"] >= 0 and cost["seconds"] > 0


def test_table_2_takes_other_methods_from_folders(bench, tmp_path):
    first = bench("hifill_table_2", image_size=64)
    registry.study("hifill_table_2").run(first)
    other = tmp_path / "perfect" / "folder" / "64"
    other.mkdir(parents=True)
    for path in (first.folder / "folder" / "64" / "images").iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    again = dataclasses.replace(first, predictions=[str(tmp_path / "perfect")])
    (table,) = registry.study("hifill_table_2").run(again).tables
    assert _column(table, "L1")["perfect"] == "0.000" and _column(table, "Mean")["perfect"] == "-"
    # A method may lack a size; a folder that is not there is a mistake.
    photographs = hifill_sets.photographs(again)
    assert hifill_sets.others(again, photographs, 64) == {"perfect": other}
    assert hifill_sets.others(again, photographs, 128) == {}
    gone = dataclasses.replace(first, predictions=["gone"])
    with pytest.raises(UserError, match="--predictions=gone is not a folder"):
        hifill_sets.others(gone, photographs, 64)
    (other / "00000_a.png").unlink()
    with pytest.raises(UserError, match="has no prediction for 00000_a"):
        registry.study("hifill_table_2").run(again)


def test_figure_3_has_every_pair_and_the_adopted_one_is_the_model(bench):
    result, chosen = run(bench, "hifill_figure_3")
    (table,) = result.tables
    assert len(table.rows) == 12 and len({tuple(row[1:-1]) for row in table.rows}) > 6
    folder = chosen.folder / "folder" / str(4 * BASE)
    image, mask = (convert.read_rgb(folder / part / "00000_a.png") for part in ("images", "masks"))
    expected = chosen.model("hifill").inpaint(image, np.ascontiguousarray(mask[..., 0]))
    found = convert.read_rgb(folder / "predictions" / "average_bilinear" / "00000_a.png")
    np.testing.assert_array_equal(found, expected)


def test_figure_4_compares_the_papers_six_pairs():
    root = pathlib.Path(networks.__file__).parents[2]
    assert [figure_4.label(arm) for arm in figure_4.ARMS] == PAIRS
    for arm, (coarse, refinement) in figure_4.GATES.items():
        fields = {"coarse_gate": coarse, "refinement_gate": refinement}
        assert networks.ARMS[arm].fields == fields
        assert {f"--{name}={gate}" for name, gate in fields.items()} < {*networks.ARMS[arm].small}
        text = (root / networks.ARMS[arm].flagfile).read_text(encoding="utf-8")
        spelled = all(f"--{name}={gate}\n" in text for name, gate in fields.items())
        assert spelled or arm == figure_4.ADOPTED  # the default


@pytest.mark.full
def test_figure_4_gives_parameters_and_times_of_six_pairs(bench, weights, monkeypatch, tmp_path):
    import hifill

    small = dataclasses.replace(hifill.PAPER, size=BASE, channels=4)
    monkeypatch.setattr(figure_4, "full_size", lambda: small)
    for arm in figure_4.ARMS:
        weights = {**weights, arm: str(tmp_path / f"{arm}.npz")}
        hifill.HiFill(dataclasses.replace(small, **networks.ARMS[arm].fields)).save(weights[arm])
    result = run(bench, "hifill_figure_4", weights=weights)[0]
    quality, timed = result.tables
    assert [row[0] for row in quality.rows] == [row[0] for row in timed.rows] == PAIRS
    parameters = [result.values[name]["parameters"] for name in PAIRS]
    # Section 4.2: the adopted pair needs fewer than the four before it.
    assert parameters[4] < min(parameters[:4]) and parameters[5] < parameters[4]
    expected = hifill.HiFill(dataclasses.replace(small, coarse_gate="ds", refinement_gate="ds"))
    assert parameters[1] == sum(int(np.prod(v.shape)) for v in expected.trainable_variables)


def test_figure_5_shows_where_the_error_is_largest(bench):
    result, chosen = run(bench, "hifill_figure_5")
    assert [p.file for p in result.pictures] == ["64.png", "128.png", "256.png", "worst.png"]
    folder = chosen.folder / "folder" / "128"
    name = "00001_b"
    image, found, mask = (
        convert.read_rgb(folder / part / f"{name}.png").astype(int)
        for part in ("images", "predictions/hifill", "masks")
    )
    expected = np.abs(image - found)[mask[..., 0] > 0].mean()
    assert result.values["128"][name] == pytest.approx(expected)


def test_figure_6_compares_one_completion(bench):
    from studies.hifill import figure_6

    result, chosen = run(bench, "hifill_figure_6")
    (table,) = result.tables
    assert [row[0] for row in table.rows] == [
        *("Nearest", "Bicubic", "SR network x4", "Residual aggregation", "truth")
    ]
    folder = chosen.folder / "folder" / str(4 * BASE)
    image = convert.read_rgb(folder / "images" / "00000_a.png")
    mask = np.ascontiguousarray(
        convert.read_rgb(folder / "masks" / "00000_a.png")[..., 0] > 0
    ).astype(np.uint8)
    model = chosen.model("hifill")
    nearest = figure_6.enlarged(model, "nearest")(image, mask)

    def repeated(low):
        return np.repeat(np.repeat(low, 4, axis=1), 4, axis=2)

    # A network that repeats pixels is nearest neighbour, up to the rounding of one level.
    learned = figure_6.super_resolved(model, repeated, image, mask)
    assert np.abs(learned.astype(int) - nearest).max() <= 1
    np.testing.assert_array_equal(learned[mask == 0], image[mask == 0])
    # Residuals are what it lacks.
    full = model.inpaint(image, mask)
    assert np.abs(full.astype(int) - nearest)[mask > 0].max() > 1


def test_gradient_inside_holes():
    from studies.hifill.figure_6 import _gradient

    image = np.zeros((4, 6, 3), np.uint8)
    image[:, ::2] = 10  # neighbours in a row differ by 10, in a column by nothing
    hole = np.zeros((4, 6), bool)
    hole[:2, :2] = True
    assert _gradient(image, hole) == pytest.approx((2 * 10 + 2 * 0) / 4)
    assert _gradient(image, np.zeros((4, 6), bool)) == 0


@pytest.mark.parametrize("installed", [True, False])
def test_figure_7_has_patchmatch_where_it_is_installed(bench, monkeypatch, installed):
    monkeypatch.setattr(patchmatch, "available", lambda: installed)
    monkeypatch.setattr(patchmatch, "inpaint", lambda image, mask: 255 - image)
    result = run(bench, "hifill_figure_7")[0]
    names = [row[0] for row in result.tables[0].rows]
    expected = [
        "Telea",
        "Navier-Stokes",
        "Membrane",
        *(["PatchMatch"] if installed else []),
        "HiFill",
    ]
    assert names == expected
    assert any("PatchMatch was left out" in note for note in result.notes) != installed


def test_figure_1_fills_photographs_at_their_own_size(bench, photos, monkeypatch):
    from studies.hifill import figure_1

    monkeypatch.setitem(figure_1.LARGEST, "small", 256)
    result, chosen = run(bench, "hifill_figure_1")
    assert [row[0] for row in result.tables[0].rows] == ["120x90", "80x140", "256x256"]
    folder = chosen.folder / "folder" / "own"
    image = convert.read_rgb(photos / "b.png")
    mask = np.ascontiguousarray(convert.read_rgb(folder / "masks" / "00001.png")[..., 0])
    found = convert.read_rgb(folder / "predictions" / "hifill" / "00001.png")
    np.testing.assert_array_equal(found, chosen.model("hifill").inpaint(image, mask))
