"""hifill.export: the SavedModel gives what `HiFill.inpaint` gives, for every size, and without this package."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

import hifill
from common.errors import UserError
from hifill import export, graph_pipeline, photograph, residual_aggregation, weights_source

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Few layers, as every one is traced twice.
FAST = {"size": 64, "channels": 4, "coarse_plain_layers": 1}
TINY = dataclasses.replace(hifill.PAPER, **FAST)
TINY_RELEASE = dataclasses.replace(hifill.RELEASE, **FAST)

# (height, width), (top, bottom, left, right) of the hole; the grid is 4, the generator's side 64.
CASES = {
    "square, the generator's side": ((64, 64), (20, 40, 20, 40)),
    "square, multiple": ((256, 256), (50, 90, 150, 190)),
    "square, multiple of the grid only": ((100, 100), (50, 51, 50, 51)),
    "not a multiple of the grid": ((101, 131), (10, 60, 20, 70)),
    "tall, window in a corner": ((300, 80), (250, 300, 40, 80)),
    "wide hole, extended by reflection": ((60, 200), (10, 30, 10, 180)),
    "very wide hole, reflected often": ((17, 150), (0, 17, 30, 100)),
    "thin, several windows": ((17, 900), (0, 17, 30, 860)),
    "thin and tall, known at its end alone": ((900, 17), (0, 880, 0, 17)),
    "no patch without a hole pixel": ((50, 200), (2, 48, 2, 198)),
    "smaller than the generator": ((40, 33), (5, 15, 8, 20)),
    "smallest": ((16, 16), (3, 9, 4, 9)),
}


def photo_and_hole(size, box, seed=0):
    """A smooth image with noise, and a mask of a rectangle whose levels differ on purpose."""
    generator = np.random.default_rng(seed)
    smooth = cv2.resize(generator.uniform(0, 255, (4, 5, 3)), size[::-1])
    image = np.clip(smooth + generator.normal(0, 20, (*size, 3)), 0, 255).astype(np.uint8)
    mask = np.zeros(size, np.uint8)
    top, bottom, left, right = box
    mask[top:bottom, left:right] = generator.integers(1, 256, (bottom - top, right - left))
    return image, mask


@pytest.fixture(scope="module")
def model():
    tf.keras.utils.set_random_seed(1)
    return hifill.HiFill(TINY)


@pytest.mark.parametrize("side", [50, 64, 68, 200, 255, 256, 300])
def test_medium_windows_are_generated_at_the_large_size(side):
    """As `HiFill.inpaint` does; at every side the other size gives another result."""
    tf.keras.utils.set_random_seed(1)
    model = hifill.HiFill(dataclasses.replace(TINY, large_size=128, enlarge=False))
    image, mask = photo_and_hole((side, side + 9), (20, 40, 20, 40))
    found = filled_eagerly(model, image, mask)
    assert_same_picture(found, model.inpaint(image, mask), image, mask)
    other = model.at_size(64 if 64 < side < 256 else 128).inpaint(image, mask)
    assert np.abs(other.astype(int) - found)[mask > 0].max() > 1


def test_several_windows_are_generated_at_the_small_size():
    tf.keras.utils.set_random_seed(1)
    model = hifill.HiFill(dataclasses.replace(TINY, large_size=128))
    image, mask = photo_and_hole((17, 3000), (4, 8, 100, 2900))
    found = filled_eagerly(model, image, mask)
    assert_same_picture(found, model.inpaint(image, mask), image, mask)
    assert_same_picture(found, model.at_size(64).inpaint(image, mask), image, mask)


def run(command, folder):
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    """The folder saved/tiny of an exported model. By the command, in a new process: tests/test_readme.py."""
    folder = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        export.export(model, "saved/tiny", "weights.npz")
    assert [path.name for path in folder.iterdir()] == ["saved"]
    assert [path.name for path in (folder / "saved").iterdir()] == ["tiny"]
    return folder / "saved" / "tiny"


@pytest.fixture(scope="module")
def loaded(saved):
    return tf.saved_model.load(str(saved))


def painted(loaded, image, mask):
    signature = loaded.signatures["serving_default"]
    return signature(image=tf.constant(image), mask=tf.constant(mask))["image"].numpy()


def filled_eagerly(model, image, mask):
    """By the ops that are exported, without a graph of them."""
    image, hole = tf.constant(image), tf.constant(mask > 0)
    return graph_pipeline.fill(model.fill, model.config, image, hole).numpy()


def assert_same_picture(found, expected, image, mask):
    found = np.asarray(found)
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])
    difference = np.abs(found.astype(int) - expected)
    # Both round to levels; sums in another order move a few values over the edge between two levels.
    assert difference.max() <= 1
    assert difference[mask > 0].mean() < 0.05
    assert (expected != image).any()  # something was filled, so the comparison means something


@pytest.mark.parametrize("case", CASES)
def test_saved_model_gives_what_inpaint_gives(model, loaded, case):
    image, mask = photo_and_hole(*CASES[case])
    assert_same_picture(painted(loaded, image, mask), model.inpaint(image, mask), image, mask)


def test_coarser_detail_gives_what_inpaint_gives(eagerly):
    tf.keras.utils.set_random_seed(3)
    model = hifill.HiFill(dataclasses.replace(TINY, detail_blur=2.0))
    for shape in ((300, 280), (64, 100)):
        image, mask = photo_and_hole(shape, (20, 50, 30, 60))
        found = filled_eagerly(model, image, mask)
        assert_same_picture(found, model.inpaint(image, mask), image, mask)


def test_the_release_configuration_gives_what_inpaint_gives(eagerly):
    tf.keras.utils.set_random_seed(2)
    model = hifill.HiFill(TINY_RELEASE)
    image, mask = photo_and_hole((130, 150), (40, 80, 50, 100))
    found = filled_eagerly(model, image, mask)
    assert_same_picture(found, model.inpaint(image, mask), image, mask)


def test_strips_give_what_one_piece_gives(eagerly, model, monkeypatch):
    image, mask = photo_and_hole((101, 131), (10, 60, 20, 70))
    whole = filled_eagerly(model, image, mask)
    # Patches have 25 rows; strips get 7, the last one 4.
    monkeypatch.setattr(graph_pipeline, "_STRIP_VALUES", 7 * 100 * 4 * 3)
    np.testing.assert_array_equal(filled_eagerly(model, image, mask), whole)


def test_what_lies_under_the_hole_is_ignored(loaded):
    image, mask = photo_and_hole((101, 131), (10, 60, 20, 70))
    results = []
    for colour in ((255, 0, 255), (0, 255, 0)):
        under = np.where(mask[..., None] > 0, np.uint8(colour), image)
        results.append(painted(loaded, under, mask))
    np.testing.assert_array_equal(*results)


def test_window_equals_its_numpy_twin():
    generator = np.random.default_rng(3)
    for _ in range(60):
        size = generator.integers(16, 90, 2)
        hole = np.zeros(size, bool)
        top, left = (generator.integers(0, side) for side in size)
        hole[top : top + generator.integers(1, 90), left : left + generator.integers(1, 90)] = True
        least = int(generator.choice([0, 64]))
        expected = photograph.choose_window(hole, 8, least)
        top, left, side = graph_pipeline._choose_window(tf.constant(hole), 8, least)
        assert (int(top), int(left), int(side)) == expected
        array = generator.integers(0, 256, (*size, 3), np.uint8)
        np.testing.assert_array_equal(
            graph_pipeline._cut(array, top, left, side), photograph._cut(array, *expected)
        )


@pytest.mark.parametrize("side", [16, 60, 64, 100, 128, 259])
def test_reduction_equals_its_numpy_twin(side):
    generator = np.random.default_rng(side)
    window = generator.integers(0, 256, (side, side, 3), np.uint8)
    hole = generator.uniform(size=(side, side)) < 0.01
    # float32 means of levels up to 255: relative rounding of a few 1e-7.
    np.testing.assert_allclose(
        graph_pipeline._average_down(tf.constant(window), 64, tf.constant(hole)),
        residual_aggregation.average_down(window, 64, hole),
        atol=2e-4,
    )


def test_every_variable_is_exported_and_no_keras_object(model, saved, loaded):
    assert len(loaded.model_variables) == len(model.variables)
    for found, variable in zip(loaded.model_variables, model.variables):
        np.testing.assert_array_equal(found, np.asarray(variable))
    graph = (saved / "saved_model.pb").read_bytes()
    assert b"_tf_keras" not in graph


def test_no_hole_gives_the_image_unchanged(loaded):
    image, mask = photo_and_hole((33, 70), (0, 0, 0, 0))
    np.testing.assert_array_equal(painted(loaded, image, mask), image)


@pytest.mark.parametrize(
    ("image_size", "mask_size", "level", "message"),
    [
        ((40, 50), (40, 50), 1, "nothing to continue from"),
        ((15, 50), (15, 50), 0, "HiFill takes sides of 16 or more"),
        ((40, 50), (50, 40), 0, "same size"),
    ],
)
def test_impossible_input_fails_with_a_reason(loaded, image_size, mask_size, level, message):
    image, mask = np.zeros((*image_size, 3), np.uint8), np.full(mask_size, level, np.uint8)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        painted(loaded, image, mask)


_ALONE = """
import sys
assert not {"hifill", "common"} & set(sys.modules), "the SavedModel needs this package"
"""


@pytest.mark.default_environment
def test_readme_example_in_a_new_process(model, saved):
    readme = (saved / "README.txt").read_text(encoding="utf-8")
    assert "Weights: weights.npz" in readme
    folder = saved.parents[1]
    image, mask = photo_and_hole((101, 131), (10, 60, 20, 70))
    levels = np.where(mask, np.uint8(255), np.uint8(0))
    # PNG bytes under the example's name, so that no pixel changes: the content decides, not the name.
    (folder / "photo.jpg").write_bytes(cv2.imencode(".png", image[..., ::-1])[1])
    cv2.imwrite(str(folder / "mask.png"), levels)
    example = readme.split("Example:\n")[1]
    (folder / "example.py").write_text(example + _ALONE, encoding="utf-8")
    done = run([sys.executable, "-I", "example.py"], folder)  # -I: no PYTHONPATH
    assert done.returncode == 0, done.stderr
    found = cv2.imread(str(folder / "filled.png"))[..., ::-1]
    assert_same_picture(found, model.inpaint(image, mask), image, mask)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--weights=none"], "--output is missing"),
        (["--output=saved", "--weights=none", "--model=telea"], "cannot be exported"),
        (["--output=saved", "--weights=none", "--model=other"], "is not known"),
    ],
)
def test_command_refuses_wrong_flags(tmp_path, flags, message):
    command = [sys.executable, ROOT / "export.py", *flags]
    done = run(command, tmp_path)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_weights_are_named_or_refused(model, tmp_path):
    model.save(tmp_path / "weights.npz")
    assert weights_source.load(str(tmp_path / "weights.npz")).config == TINY
    for weights, message in (
        ("", "empty"),
        (str(tmp_path), "is a folder"),
        (str(tmp_path / "absent.npz"), "absent.npz does not exist"),
        (str(tmp_path / "absent.index"), "absent.index does not exist"),
    ):
        with pytest.raises(UserError, match=message):
            weights_source.load(weights)
