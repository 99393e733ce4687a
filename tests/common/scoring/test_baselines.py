"""Baselines: known pixels untouched, nothing of the hole leaks, all-hole and one-pixel pictures."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from common.errors import UserError
from common.masks import files as mask_files
from common.scoring import baselines

ROOT = pathlib.Path(__file__).parents[3]
NAMES = list(baselines.NAMES)
# A hole inside, at each kind of edge, a single pixel, everything but one pixel.
HOLES = {
    "inside": np.s_[10:25, 20:40],
    "top left": np.s_[:15, :20],
    "bottom right": np.s_[25:, 40:],
    "left edge": np.s_[:, :10],
    "pixel": np.s_[7:8, 9:10],
    "corner pixel": np.s_[:1, :1],
    "all but the last row": np.s_[:-1],
}


def _picture(height=40, width=60):
    y, x = np.mgrid[:height, :width]
    channels = [2 * x + 40, 3 * y + 60, x + 2 * y]
    noise = np.random.default_rng(0).integers(0, 20, (height, width, 3))
    return (np.stack(channels, axis=-1) + noise).clip(0, 255).astype(np.uint8)


def _mask(where, height=40, width=60):
    mask = np.zeros((height, width), np.uint8)
    mask[where] = 1
    return mask


@pytest.mark.parametrize("hole", HOLES)
@pytest.mark.parametrize("name", NAMES)
def test_known_pixels_are_identical_and_nothing_leaks(name, hole):
    image, mask = _picture(), _mask(HOLES[hole])
    results = []
    for colour in ((255, 0, 255), (0, 255, 0)):
        painted = image.copy()
        painted[mask == 1] = colour
        before = painted.copy()
        results.append(baselines.inpaint(name, painted, mask))
        np.testing.assert_array_equal(painted, before)
    assert results[0].dtype == np.uint8 and results[0].shape == image.shape
    np.testing.assert_array_equal(results[0][mask == 0], image[mask == 0])
    np.testing.assert_array_equal(results[0], results[1])


def test_mean_equals_a_slow_loop():
    image, mask = _picture(9, 7), _mask(np.s_[2:5, 3:], 9, 7)
    result = baselines.inpaint("mean", image, mask)
    for channel in range(3):
        known = [int(image[y, x, channel]) for y in range(9) for x in range(7) if not mask[y, x]]
        assert set(result[mask == 1][:, channel]) == {round(sum(known) / len(known))}


def test_mean_rounds_and_does_not_truncate():
    image = np.array([[[10, 254, 0], [11, 255, 0], [11, 255, 1], [99, 99, 99]]], np.uint8)
    result = baselines.inpaint("mean", image, np.array([[0, 0, 0, 1]], np.uint8))
    np.testing.assert_array_equal(result[0, 3], (11, 255, 0))


@pytest.mark.parametrize("name", ["telea", "ns"])
def test_opencv_beats_the_mean_on_a_smooth_picture(name):
    image, mask = _picture(), _mask(np.s_[3:12, 3:13])

    def error(which):
        result = baselines.inpaint(which, image, mask).astype(float)
        return np.abs(result - image)[mask == 1].mean()

    assert error(name) < 0.5 * error("mean")


def test_telea_and_ns_differ():
    image, mask = _picture(), _mask(HOLES["inside"])
    telea = baselines.inpaint("telea", image, mask)
    assert (telea != baselines.inpaint("ns", image, mask)).any()


@pytest.mark.parametrize("name", NAMES)
def test_every_level_but_0_is_hole(name):
    image, mask = _picture(), _mask(HOLES["inside"])
    expected = baselines.inpaint(name, image, mask)
    np.testing.assert_array_equal(baselines.inpaint(name, image, 255 * mask), expected)


# OpenCV's telea drifts as it marches: 8 levels over 39 rows. The others are exact.
@pytest.mark.parametrize("name, tolerance", [("telea", 10), ("ns", 0), ("mean", 0)])
@pytest.mark.parametrize("value", [0, 1, 77, 255])
@pytest.mark.parametrize("hole", HOLES)
def test_a_constant_picture_stays_constant(name, tolerance, value, hole):
    image, mask = np.full((40, 60, 3), value, np.uint8), _mask(HOLES[hole])
    image[mask == 1] = 255 - value
    result = baselines.inpaint(name, image, mask)
    np.testing.assert_allclose(result.astype(int), value, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_no_hole_and_all_hole(name):
    image = _picture()
    np.testing.assert_array_equal(baselines.inpaint(name, image, _mask(np.s_[:0])), image)
    assert (baselines.inpaint(name, image, _mask(np.s_[:])) == 128).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (8, 1), (2, 2)])
@pytest.mark.parametrize("name", NAMES)
def test_tiny_pictures(name, shape):
    image = np.full((*shape, 3), 77, np.uint8)
    mask = _mask(np.s_[:1, :1], *shape)
    expected = 77 if mask.size > 1 else 128
    result = baselines.inpaint(name, image, mask)
    np.testing.assert_allclose(result.astype(int), expected, atol=5 if name == "telea" else 0)


def test_views_are_accepted():
    image, mask = _picture(), _mask(HOLES["inside"])
    flipped = baselines.inpaint("ns", image[:, ::-1], mask[:, ::-1])
    straight = baselines.inpaint("ns", image[:, ::-1].copy(), mask[:, ::-1].copy())
    np.testing.assert_array_equal(flipped, straight)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"name": "patchmatch"}, "choose from telea, ns, harmonic, mean"),
        ({"mask": np.zeros((60, 40), np.uint8)}, "differ in size"),
        ({"mask": np.zeros((40, 60, 1), np.uint8)}, "mask must be uint8"),
        ({"mask": np.zeros((40, 60), np.float32)}, "mask must be uint8"),
        ({"image": np.zeros((40, 60, 3), np.float32)}, "image must be uint8"),
        ({"image": np.zeros((40, 60), np.uint8)}, "image must be uint8"),
    ],
)
def test_mistakes_of_the_user(change, message):
    arguments = {"name": "ns", "image": _picture(), "mask": _mask(HOLES["inside"]), **change}
    with pytest.raises(UserError, match=message):
        baselines.inpaint(**arguments)


@pytest.mark.default_environment
def test_the_benchmark_measures_a_fill_of_the_hole_it_names(forked, tmp_path):
    flags = [
        "--methods=harmonic",
        "--sides=96",
        "--repeats=1",
        f"--output={tmp_path / 'found.json'}",
    ]
    process = forked("-m", "benchmarks.methods", *flags, cwd=ROOT)
    assert process.returncode == 0, process.stderr
    found = json.loads((tmp_path / "found.json").read_text())["harmonic_96"]
    assert found["hole"] == pytest.approx(mask_files.mask_source("object")(96, 96, 1).mean())
    assert 0.05 < found["hole"] < 0.25
    assert found["seconds"] > 0 and found["peak_gigabytes"] >= 0


def test_the_benchmark_takes_a_runtime(forked, tmp_path):
    words = ("-m", "benchmarks.methods", "--sides=96", "--repeats=1", "--methods=hifill@opencv")
    process = forked(*words, f"--output={tmp_path / 'found.json'}", cwd=ROOT)
    assert process.returncode == 0, process.stderr
    found = json.loads((tmp_path / "found.json").read_text())["hifill_in_opencv_96"]
    assert found["seconds"] > 0 and "peak_gigabytes" not in found
    process = forked(*words[:-1], "--methods=hifill@abacus", "--output=none.json", cwd=ROOT)
    assert process.returncode and "choose a runtime of tensorflow, opencv" in process.stderr
