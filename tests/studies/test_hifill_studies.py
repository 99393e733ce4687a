"""HiFill's studies on tiny random networks: sets, tables, and every comparison against what it claims to compare."""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np
import pytest

from benchmarks import machine
from common import environment
from common.errors import UserError
from common.images import convert
from common.scoring import fid, metrics, patchmatch
from common.scoring import sets as set_scores
from common.scoring.inception import Inception
from common.scoring.sets import MISSING
from studies import registry
from studies.hifill import figure_1
from studies.hifill.sets import Squares, photographs, squares
from studies.kit import networks, plain_enlargement, study
from studies.kit.bench import Bench

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
    found = {arm: str(folder / f"{arm}.npz") for arm in ("hifill", "scale_4")}
    hifill.HiFill(tiny).save(found["hifill"])
    config = zoom_to_inpaint.ZoomConfig(
        name="tiny", channels=4, sr_channels=4, discriminator_channels=4, size=16, scale=4
    )
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


@pytest.fixture(scope="module")
def bench(weights, photos, tmp_path_factory):
    """bench(study, **fields) -> a Bench of the tiny networks and the two photographs."""
    fixed = {"output": tmp_path_factory.mktemp("studies"), "dataset": "folder"}
    fixed |= {"data_dir": str(photos), "weights": weights}
    return lambda name, **fields: Bench(name, **{**fixed, **fields})


@pytest.fixture(scope="module")
def run(bench):
    """run(study, **fields) -> (result, bench), each once; its numbers can be kept as a file.

    The rate of the machine, measured for two seconds before and after every timing, is tested elsewhere.
    """

    @functools.cache
    def once(name, **fields):
        chosen, found = bench(name, **fields), registry.study(name)
        result = found.run(chosen)
        assert study.load(study.save(found, result, chosen, 1.0))["id"] == name
        return result, chosen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "best_rate", lambda: 100.0)
        yield once


def _column(table, title):
    index = next(i for i, name in enumerate(table.columns) if name.startswith(title))
    return {row[0]: row[index] for row in table.rows}


def _files(chosen, side, name, method="hifill"):
    """(picture, mask, result) as they lie in a set's folder."""
    parts = ("images", "masks", f"predictions/{method}")
    folder = chosen.folder / "folder" / str(side)
    image, mask, result = (convert.read_rgb(folder / part / f"{name}.png") for part in parts)
    return image, np.ascontiguousarray(mask[..., 0]), result


# Sets.


def test_pictures_are_middle_squares_and_holes_are_the_same_at_every_side(bench, photos):
    chosen = bench("hifill_table_2")
    found = photographs(chosen)
    by_side = {side: list(Squares(chosen, found, side, BASE).pairs()) for side in (32, 64, 256)}
    for index, path in enumerate(sorted(photos.iterdir())):
        truth = convert.read_rgb(path)
        height, width = truth.shape[:2]
        short = min(height, width)
        middle = truth[(height - short) // 2 :, (width - short) // 2 :][:short, :short]
        assert {by_side[side][index][0] for side in by_side} == {f"{index:05d}_{path.stem}"}
        hole = by_side[256][index][2]
        # Where it gets smaller pixels are averaged; bilinear weights would leave some of them out.
        for side, how in ((256, cv2.INTER_LINEAR), (32, cv2.INTER_AREA)):
            expected = cv2.resize(np.ascontiguousarray(middle), (side, side), interpolation=how)
            np.testing.assert_array_equal(by_side[side][index][1], expected)
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
    other = next(Squares(bench("x", seed=1), found, 64, BASE).pairs())[2]
    assert not np.array_equal(other, by_side[64][0][2])


def test_chunks_are_one_set_and_large_sets_keep_their_first_chunk(bench):
    chosen = bench("chunks")
    found = photographs(chosen)
    found = found._replace(paths=found.paths * 2)  # four, whose names differ by number
    four, methods = Squares(chosen, found, 48, BASE), {"flat": lambda i, m: 0 * i}

    def files():
        return sorted(path.name for path in chosen.folder.rglob("*.png"))

    whole, kept = four.scored(methods), files()
    assert len(kept) == 3 * 4
    values = [s for chunk in four.chunks(methods, 3, keep=False) for s in chunk.scores]
    for one, other in zip(values, whole.scores):
        assert one.name == other.name and one.metrics["psnr"] == other.metrics["psnr"]
    assert len(values) == 4 and files() == [name for name in kept if not name.startswith("00003")]


def test_the_papers_set_is_all_of_the_validation_split(bench, tmp_path):
    folder = tmp_path / "places2" / "val_256"
    folder.mkdir(parents=True)
    for index in range(101):
        cv2.imwrite(str(folder / f"{index:03d}.png"), np.zeros((4, 4, 3), np.uint8))
    fields = {"dataset": None, "data_dir": None, "places2_dir": str(tmp_path / "places2")}
    (found,) = squares(bench("x", size="paper", **fields), BASE)
    assert len(found.data_set.paths) == 101


# Scores of sets.


def _mean_colours(batch):
    """A stand-in for Inception: three features, and probabilities that follow from them."""
    features = batch.mean(axis=(1, 2)).astype(np.float32)
    powers = np.exp(features / 64)
    return features, powers / powers.sum(axis=1, keepdims=True)


STAND_IN = Inception("Stand-in", _mean_colours)


def test_fid_and_is_are_of_the_files_of_all_chunks(bench, tmp_path):
    rng = np.random.default_rng(0)
    for index in range(12):
        picture = np.full((40, 40, 3), rng.integers(30, 200, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{index:02d}.png"), picture)
    chosen = bench("fid", data_dir=str(tmp_path))
    many = Squares(chosen, photographs(chosen), 32, BASE)
    sets = set_scores.SetScores(STAND_IN)
    methods = {"flat": lambda image, mask: np.where(mask[..., None] > 0, np.uint8(9), image)}
    for chunk in many.chunks(methods, chunk=5):
        sets.add(chunk.cases, chunk.folders)
    truth, result = (
        np.concatenate([_mean_colours(convert.read_rgb(p)[None])[0] for p in sorted(f.iterdir())])
        for f in (many.folder / "images", many.folder / "predictions" / "flat")
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
    (two,) = squares(bench("two", image_size=32), BASE)
    sets, scored = set_scores.SetScores(STAND_IN), two.scored({"same": lambda i, m: i})
    sets.add(scored.cases, scored.folders)
    scores, reasons = sets.of("same")
    assert scores == {} and "FID of 2 images" in reasons[0] and "IS" not in reasons[0]
    assert "Inception Score of 2 images" in reasons[1] and sets.cells(scores) == ["-", "-"]


# Tables and figures.


def test_table_1_counts_what_the_paper_prints(run):
    (table,) = run("hifill_table_1")[0].tables
    counted = _column(table, "3x3, 32 to 32")
    for gate in ("GC", "LWGC-ds", "LWGC-pw", "LWGC-sc"):
        assert counted[gate] == counted[f"{study.REPORTED}{gate}"]
    assert _column(table, "3x3, 128 to 128")["GC"] == f"{9 * 128 * 128:,}"


def test_table_2_scores_the_files_of_every_size(run):
    result, chosen = run("hifill_table_2")
    sides = [table.title.split(",")[1].split()[0] for table in result.tables]
    assert sides == [f"{BASE * k}x{BASE * k}" for k in (1, 2, 4, 8, 16)]
    assert MISSING in result.notes
    for table, side in zip(result.tables, (64, 128)):
        some = (_files(chosen, side, name) for name in ("00000_a", "00001_b"))
        values = [255 * metrics.l1_fraction(image, found) for image, _, found in some]
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


def test_table_2_takes_other_methods_from_folders(run, bench, tmp_path):
    (first,) = squares(run("hifill_table_2")[1], BASE)
    other = tmp_path / "perfect" / "folder" / "64"
    other.mkdir(parents=True)
    for path in (first.folder / "images").iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    chosen = bench("hifill_table_2", image_size=64, predictions=[str(tmp_path / "perfect")])
    (table,) = registry.study("hifill_table_2").run(chosen).tables
    assert _column(table, "L1")["perfect"] == "0.000" and _column(table, "Mean")["perfect"] == "-"
    # A method may lack a size; a folder that is not there is a mistake.
    again = dataclasses.replace(first, bench=chosen)
    assert again.others() == {"perfect": other}
    assert dataclasses.replace(again, side=128).others() == {}
    with pytest.raises(UserError, match="--predictions=gone is not a folder"):
        dataclasses.replace(first, bench=bench("x", predictions=["gone"])).others()
    (other / "00000_a.png").unlink()
    with pytest.raises(UserError, match="has no prediction for 00000_a"):
        again.scored(again.others())


def test_figure_3_has_every_pair_and_the_adopted_one_is_the_model(run):
    result, chosen = run("hifill_figure_3")
    (table,) = result.tables
    assert len(table.rows) == 12 and len({tuple(row[1:-1]) for row in table.rows}) > 6
    image, mask, found = _files(chosen, 4 * BASE, "00000_a", "average_bilinear")
    np.testing.assert_array_equal(found, chosen.model("hifill").inpaint(image, mask))


def test_figure_4_compares_the_papers_six_pairs():
    assert [arm.label for arm in networks.GATES.values()] == PAIRS
    for name, arm in networks.GATES.items():
        flags = {f"--{field}={gate}" for field, gate in arm.fields.items()}
        assert flags < {*arm.small}
        text = (environment.ROOT / arm.flagfile).read_text(encoding="utf-8")
        # What has its own defaults is the adopted pair.
        assert name == networks.ADOPTED_GATES or all(f"{flag}\n" in text for flag in flags)


@pytest.mark.full
def test_figure_4_gives_parameters_and_times_of_six_pairs(run, weights, monkeypatch, tmp_path):
    import hifill

    small = dataclasses.replace(hifill.PAPER, size=BASE, channels=4)
    monkeypatch.setattr(hifill, "PAPER", small)
    for arm, about in networks.GATES.items():
        weights[arm] = str(tmp_path / f"{arm}.npz")
        hifill.HiFill(dataclasses.replace(small, **about.fields)).save(weights[arm])
    result = run("hifill_figure_4")[0]
    quality, timed = result.tables
    assert [row[0] for row in quality.rows] == [row[0] for row in timed.rows] == PAIRS
    parameters = [result.values[name]["parameters"] for name in PAIRS]
    # Section 4.2: the adopted pair needs fewer than the four before it.
    assert parameters[4] < min(parameters[:4]) and parameters[5] < parameters[4]
    expected = hifill.HiFill.load(weights["gates_ds_ds"]).trainable_variables
    assert parameters[1] == sum(int(np.prod(v.shape)) for v in expected)


def test_figure_5_shows_where_the_error_is_largest(run):
    result, chosen = run("hifill_figure_5")
    assert [p.file for p in result.pictures] == ["64.png", "128.png", "256.png", "worst.png"]
    image, mask, found = _files(chosen, 128, "00001_b")
    expected = np.abs(image.astype(int) - found)[mask > 0].mean()
    assert result.values["128"]["00001_b"] == pytest.approx(expected)


def test_figure_6_compares_one_completion(run):
    result, chosen = run("hifill_figure_6")
    (table,) = result.tables
    ways = ["Nearest", "Bicubic", "SR network x4", "Residual aggregation", "truth"]
    assert [row[0] for row in table.rows] == ways and table.columns[-1] == "Gradient"
    image, mask, nearest = _files(chosen, 4 * BASE, "00000_a", "nearest")
    repeat = functools.partial(np.repeat, repeats=4)
    # A network that repeats pixels is nearest neighbour.
    network = plain_enlargement.painter(
        chosen.model("hifill"), lambda low: repeat(repeat(low, axis=1), axis=2)
    )
    np.testing.assert_array_equal(network(image, mask), nearest)
    # Residuals are what it lacks.
    full = _files(chosen, 4 * BASE, "00000_a", "residual_aggregation")[2]
    assert np.abs(full.astype(int) - nearest)[mask > 0].max() > 1


@pytest.mark.parametrize("installed", [True, False])
def test_figure_7_has_patchmatch_where_it_is_installed(run, monkeypatch, installed):
    monkeypatch.setattr(patchmatch, "available", lambda: installed)
    monkeypatch.setattr(patchmatch, "inpaint", lambda image, mask: 255 - image)
    result = run("hifill_figure_7", seed=int(installed))[0]
    names = [row[0] for row in result.tables[0].rows]
    others = ["PatchMatch"] if installed else []
    assert names == ["Telea", "Navier-Stokes", "Membrane", *others, "HiFill"]
    assert any("PatchMatch was left out" in note for note in result.notes) != installed


def test_figure_1_fills_photographs_at_their_own_size(run, photos, monkeypatch):
    monkeypatch.setitem(figure_1.LARGEST, "small", 256)
    result, chosen = run("hifill_figure_1")
    assert [row[0] for row in result.tables[0].rows] == ["120x90", "80x140", "256x256"]
    image, mask, found = _files(chosen, "own", "00001")
    np.testing.assert_array_equal(image, convert.read_rgb(photos / "b.png"))
    np.testing.assert_array_equal(found, chosen.model("hifill").inpaint(image, mask))
