"""zoom_to_inpaint.export: the SavedModel gives what `ZoomToInpaint.inpaint` gives, and without this package."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tensorflow as tf

from common.models.weights import named_variables
from zoom_to_inpaint import (
    ZoomConfig,
    ZoomToInpaint,
    export,
    graph_pipeline,
    photograph,
)

# As what is shipped: its start is the one part whose graph differs where no size is known.
TINY = ZoomConfig(start="membrane", channels=4, sr_channels=4, discriminator_channels=4, size=16)

# (height, width), (top, bottom, left, right) of the hole.
CASES = {
    "multiples of everything": ((64, 64), (20, 40, 20, 40)),
    "odd sides": ((101, 131), (10, 60, 20, 70)),
    "sides below the networks' multiple": ((7, 5), (2, 4, 1, 3)),
    "one known pixel": ((1, 2), (0, 1, 0, 1)),
    "one row": ((1, 77), (0, 1, 30, 50)),
    "window at the edge": ((20, 1284), (4, 17, 1200, 1284)),
    "reduced from 1284 to 1024": ((21, 1284), (3, 18, 100, 600)),
}
# The same for windows of 32 pixels at least and 64 at most.
SMALL_CASES = {
    "whole": ((64, 51), (20, 40, 20, 40)),
    "window in a corner": ((200, 91), (193, 200, 0, 6)),
    "window around the hole": ((150, 201), (70, 85, 99, 110)),
    "reduced, square": ((150, 201), (60, 90, 80, 105)),
    "reduced, all of it": ((41, 300), (5, 35, 40, 240)),
    "reduced, one row": ((1, 150), (0, 1, 20, 90)),
    "reduced, one row is known": ((99, 98), (0, 98, 0, 98)),
}


@pytest.fixture
def small_limits(monkeypatch):
    """Windows of 32 to 64 pixels, for what is not traced."""
    for module in (photograph, graph_pipeline):
        monkeypatch.setattr(module, "LARGEST_SIDE", 64)
        monkeypatch.setattr(module, "SMALLEST_WINDOW", 32)


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
    """With statistics that do something, unlike those that batch normalisation starts with."""
    tf.keras.utils.set_random_seed(1)
    model = ZoomToInpaint(TINY)
    generator = np.random.default_rng(1)
    for name, variable in named_variables(model).items():
        if "moving" in name:
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    return model


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    """The folder saved/tiny of an exported model. By the command, in a new process: tests/test_readme.py."""
    folder = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        export.export(model, "saved/tiny", "weights.npz")
    assert [path.name for path in (folder / "saved").iterdir()] == ["tiny"]
    return folder / "saved" / "tiny"


@pytest.fixture(scope="module")
def loaded(saved):
    return tf.saved_model.load(str(saved))


def painted(loaded, image, mask):
    signature = loaded.signatures["serving_default"]
    return signature(image=tf.constant(image), mask=tf.constant(mask))["image"].numpy()


def assert_same_picture(found, expected, image, mask):
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])
    difference = np.abs(found.astype(int) - expected)
    # Both round to levels; sums in another order move a few values over the edge between two levels, and where
    # OpenCV enlarges with weights of 11 bits, 5%.
    assert difference.max() <= 1
    assert difference[mask > 0].mean() < 0.1
    assert (expected != image).any()  # something was filled, so the comparison means something


@pytest.mark.parametrize("case", CASES)
def test_saved_model_gives_what_inpaint_gives(model, loaded, case):
    image, mask = photo_and_hole(*CASES[case])
    assert_same_picture(painted(loaded, image, mask), model.inpaint(image, mask), image, mask)


@pytest.mark.parametrize("case", SMALL_CASES)
def test_windows_and_reductions_give_what_inpaint_gives(model, small_limits, case):
    image, mask = photo_and_hole(*SMALL_CASES[case])
    found = graph_pipeline.fill(model.fill, tf.constant(image), tf.constant(mask > 0)).numpy()
    assert_same_picture(found, model.inpaint(image, mask), image, mask)


def test_scratches_all_over_a_reduced_photograph(model, small_limits):
    image, _ = photo_and_hole((150, 201), (0, 0, 0, 0))
    mask = np.random.default_rng(2).integers(0, 2, (150, 201), np.uint8)
    found = graph_pipeline.fill(model.fill, tf.constant(image), tf.constant(mask > 0)).numpy()
    assert_same_picture(found, model.inpaint(image, mask), image, mask)


@pytest.mark.parametrize("case", ["odd sides", "window at the edge", "reduced from 1284 to 1024"])
def test_what_lies_under_the_hole_is_ignored(loaded, case):
    image, mask = photo_and_hole(*CASES[case])
    results = []
    for colour in ((255, 0, 255), (0, 255, 0)):
        results.append(
            painted(loaded, np.where(mask[..., None] > 0, np.uint8(colour), image), mask)
        )
    np.testing.assert_array_equal(*results)


def test_window_equals_its_numpy_twin(small_limits):
    generator = np.random.default_rng(3)
    for _ in range(60):
        size = generator.integers(1, 200, 2)
        hole = np.zeros(size, bool)
        top, left = (generator.integers(0, side) for side in size)
        hole[top : top + generator.integers(1, 50), left : left + generator.integers(1, 50)] = True
        axes = graph_pipeline._choose_window(tf.constant(hole))
        for axis, expected, found in zip(axes, photograph.choose_window(hole), hole.nonzero()):
            assert (axis.start, axis.start + axis.length) == (expected.start, expected.stop)
            assert (axis.first, axis.extent) == (found.min(), np.ptp(found) + 1)


def overlaps(length, cells):
    """[cells, length] float64: how much of every pixel lies in every cell."""
    edges = np.arange(cells + 1)[:, None] * length / cells
    pixels = np.arange(length)
    return np.clip(np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels), 0, None)


# 1089 / 1024 is among those where OpenCV's own cells add up to less than 1.
@pytest.mark.parametrize(
    ("sides", "size"), [((90, 75), (64, 53)), ((1089, 9), (1024, 8)), ((7, 5), (7, 5))]
)
def test_reduction_equals_its_slow_twin(sides, size):
    generator = np.random.default_rng(sides[0])
    image = generator.integers(0, 256, (*sides, 3), np.uint8)
    hole = generator.uniform(size=sides) < 0.05
    down, across = (overlaps(*pair) for pair in zip(sides, size))
    total = np.einsum("yh,hwc,xw->yxc", down, image / 255 * ~hole[..., None], across, optimize=True)
    weight = np.einsum("yh,hw,xw->yx", down, ~hole, across, optimize=True)
    found, touched = graph_pipeline._reduce(tf.constant(image), tf.constant(hole), list(size))
    # Pixels of which a cell holds less than a thousandth do not count; these sizes have some.
    expected = np.einsum("yh,hw,xw->yx", down > 1e-3, hole, across > 1e-3, optimize=True) > 0
    np.testing.assert_array_equal(touched, expected)
    # float32 means of values up to 1; a cell may be known by a sliver alone, hence not all.
    known = weight > 0.01 * weight.max()
    expected = total[known] / weight[known][:, None]
    np.testing.assert_allclose(found.numpy()[known], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("cells", "sides"), [((45, 61), (91, 124)), ((1, 64), (2, 701)), ((9, 7), (9, 7))]
)
def test_enlargement_equals_opencv(cells, sides):
    generator = np.random.default_rng(cells[0])
    image = generator.integers(0, 256, (*cells, 3), np.uint8)
    expected = cv2.resize(image, sides[::-1], interpolation=cv2.INTER_CUBIC)
    first = 20 if min(sides) > 60 else 0  # the hole's box starts there, in a window at (5, 5)
    rows, columns = (
        graph_pipeline._Axis(*(tf.constant(x) for x in (5, side, 5 + first, side - first)))
        for side in sides
    )
    found = graph_pipeline._enlarge(tf.constant(image, tf.float32), rows, columns)
    found = graph_pipeline._to_levels(found).numpy().astype(int)
    difference = np.abs(found - expected[first:, first:])
    # Without IPP, and of few rows with it, OpenCV's weights have 11 bits.
    assert difference.max() <= 1 and difference.mean() < 0.1


def test_fill_that_is_not_finite_fails():
    image, mask = photo_and_hole((9, 9), (2, 4, 2, 4))
    with pytest.raises(tf.errors.InvalidArgumentError, match="NaN or infinite"):
        graph_pipeline.fill(lambda x, _: x * np.nan, tf.constant(image), tf.constant(mask > 0))


def test_every_variable_is_exported_and_nothing_of_python(model, saved, loaded):
    """So it needs TensorFlow alone; the same example in a new process: hifill/test_export.py."""
    assert len(loaded.model_variables) == len(model.variables)
    for found, variable in zip(loaded.model_variables, model.variables):
        np.testing.assert_array_equal(found, np.asarray(variable))
    graph = (saved / "saved_model.pb").read_bytes()
    assert b"_tf_keras" not in graph and b"PyFunc" not in graph
    readme = (saved / "README.txt").read_text(encoding="utf-8")
    assert readme.startswith("Zoom-to-Inpaint:") and "Weights: weights.npz" in readme


def test_no_hole_gives_the_image_unchanged(loaded):
    image, mask = photo_and_hole((33, 70), (0, 0, 0, 0))
    np.testing.assert_array_equal(painted(loaded, image, mask), image)


@pytest.mark.parametrize(
    ("image_size", "mask_size", "level", "message"),
    [
        ((40, 50), (40, 50), 1, "nothing to continue from"),
        ((50, 0), (50, 0), 0, "Zoom-to-Inpaint takes sides of 1 or more"),
        ((40, 50), (50, 40), 0, "same size"),
    ],
)
def test_impossible_input_fails_with_a_reason(loaded, image_size, mask_size, level, message):
    image, mask = np.zeros((*image_size, 3), np.uint8), np.full(mask_size, level, np.uint8)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        painted(loaded, image, mask)
