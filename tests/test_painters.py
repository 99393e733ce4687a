"""What --model, --weights, --precision and --high_res mean: whose weights, and the two papers put together."""

from __future__ import annotations

import pathlib
import re
import types

import numpy as np
import pytest
import tensorflow as tf

from common.errors import UsageError, UserError
from inpainting import painters

BOTH = ["hifill", "zoom_to_inpaint"]


def _refused(call, *arguments):
    with pytest.raises(UsageError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- whose weights


@pytest.mark.parametrize(
    ("name", "given", "models", "expected"),
    [
        ("hifill", ["a.npz"], ["hifill"], "a.npz"),
        ("hifill", ["a.npz"], ["telea", "hifill", "ns"], "a.npz"),
        ("zoom_to_inpaint", ["zoom_to_inpaint=a.npz"], ["zoom_to_inpaint"], "a.npz"),
        ("hifill", ["zoom_to_inpaint=z", "hifill=h"], BOTH, "h"),
        ("zoom_to_inpaint", ["zoom_to_inpaint=z", "hifill=h"], BOTH, "z"),
        ("hifill", ["runs/lr=1/a.npz"], ["hifill"], "runs/lr=1/a.npz"),
        ("hifill", ["hifill=runs/lr=1/a.npz"], BOTH, "runs/lr=1/a.npz"),
        ("hifill", ["zoom_to_inpaint=z"], BOTH, None),
        ("hifill", [], ["hifill"], None),
        ("telea", ["a.npz"], ["telea", "hifill"], "a.npz"),
    ],
)
def test_an_entry_is_meant_for_a_model(name, given, models, expected):
    assert painters.weights_of(name, given, models) == expected


@pytest.mark.parametrize(
    ("given", "models", "words"),
    [
        (["a.npz"], BOTH, "hifill=FILE,zoom_to_inpaint=FILE"),
        (["a.npz", "b.npz"], BOTH, "hifill=FILE"),
        (["a.npz", "b.npz"], ["hifill"], "hifill=FILE"),
        (["a.npz", "hifill=b.npz"], ["hifill"], "hifill=FILE"),
        (["hifill=a.npz", "hifill=b.npz"], ["hifill"], "hifill=FILE"),
        (["zoom_to_inpaint=z"], ["hifill"], "zoom_to_inpaint is not among --model"),
        (["a.npz"], ["telea"], "no method with weights"),
    ],
)
def test_weights_for_nobody_or_for_anybody_are_refused(given, models, words):
    assert words in _refused(painters.weights_of, models[0], given, models)


def test_an_unknown_model_and_flags_of_another_one_are_refused():
    assert "lama" in _refused(painters.painter, "lama", None)
    for flags in (("bfloat16", "crop"), ("float32", "residual")):
        for name in ("hifill", "telea"):
            message = _refused(painters.painter, name, "none", *flags)
            assert "zoom_to_inpaint" in message and name in message


@pytest.mark.parametrize("name", BOTH)
def test_weights_left_out_are_those_of_the_package(capsys, name):
    for given in (None, "", "pretrained"):
        assert painters.chosen_weights(name, given) == "pretrained"
        said = capsys.readouterr().err
        assert re.search(rf"{name}: weights {name}-\d+\.npz, which come with the package", said)
    here = str(pathlib.Path(__file__))
    assert painters.chosen_weights(name, here) == here
    assert capsys.readouterr().err == ""


def test_weights_that_do_not_exist_are_named():
    for name in BOTH:
        with pytest.raises(UserError, match=r"gone\.npz"):
            painters.painter(name, "gone.npz")


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", "float32"), ("bfloat16", "mixed_bfloat16")]
)
def test_precision_is_that_of_the_convolutions(monkeypatch, tmp_path, precision, dtype):
    from zoom_to_inpaint import weights_source

    seen = []

    def load(*arguments):
        seen.append(arguments)
        return types.SimpleNamespace(inpaint="the painter")

    monkeypatch.setattr(weights_source, "load", load)
    file = tmp_path / "w.npz"
    file.touch()
    assert painters.painter("zoom_to_inpaint", str(file), precision, "crop") == "the painter"
    assert seen == [(str(file), dtype)]


def test_auto_takes_the_window_where_it_fits_and_residuals_where_it_would_be_reduced(monkeypatch):
    """Of the side that docs/departures.md names, 1024 pixels."""
    from zoom_to_inpaint import weights_source

    model = types.SimpleNamespace(inpaint=lambda image, mask: "window")
    monkeypatch.setattr(weights_source, "load", lambda *arguments: model)
    monkeypatch.setattr(painters, "with_residuals", lambda model: lambda image, mask: "residuals")
    paint = painters.painter("zoom_to_inpaint", "none")
    mask = np.zeros((1400, 1500), np.uint8)
    assert paint(None, mask) == "window"
    mask[10:351, 20:30] = 1  # three times 341 pixels
    assert paint(None, mask) == "window"
    mask[10:352, 20:30] = 1
    assert paint(None, mask) == "residuals"


# --- attention between patches


def _pooled_twin(attention, grid):
    """Loops over all pairs of positions: keys are summed, queries averaged."""
    side = round(len(attention) ** 0.5)
    per_side = side // grid
    pooled = np.zeros((grid * grid, grid * grid))
    for query in range(side * side):
        for key in range(side * side):
            cells = [
                position // side // per_side * grid + position % side // per_side
                for position in (query, key)
            ]
            pooled[tuple(cells)] += attention[query, key] / per_side**2
    return pooled


@pytest.mark.parametrize(("grid", "per_side"), [(2, 3), (3, 2), (4, 1), (1, 4)])
def test_pooled_attention_is_that_of_the_loops(grid, per_side):
    rng = np.random.default_rng(0)
    attention = rng.random(((grid * per_side) ** 2,) * 2)
    attention /= attention.sum(axis=1, keepdims=True)
    found = painters.pooled(attention, grid)
    np.testing.assert_allclose(found, _pooled_twin(attention, grid), atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    if per_side == 1:
        np.testing.assert_array_equal(found, attention)


def test_pooled_attention_to_one_place_points_to_its_square():
    attention = np.zeros((36, 36))
    attention[:, 6 * 5 + 1] = 1  # every position looks at row 5, column 1 of 6x6
    expected = np.zeros((9, 9))
    expected[:, 3 * 2 + 0] = 1
    np.testing.assert_array_equal(painters.pooled(attention, 3), expected)


# --- Zoom-to-Inpaint below HiFill's residual aggregation


class _Model:
    """Fills the hole with 0.25; attention of all positions to the whole context, as Z's model gives it."""

    scale = 2

    def fill(self, image, mask):
        assert image.shape == (1, 64, 64, 3) and mask.shape == (1, 64, 64, 1)
        assert 0 <= image.min() <= image.max() <= 1 and set(np.unique(mask)) <= {0, 1}
        return tf.where(mask > 0, 0.25, image)

    def attention(self, image, mask):
        side = self.scale * image.shape[1] // 8
        context = 1 - mask[0, 4::8, 4::8, 0].repeat(2, axis=0).repeat(2, axis=1)
        row = (context / context.sum()).reshape(-1)
        assert row.size == side * side
        return tf.constant(np.tile(row, (1, side * side, 1)), tf.float32)


def test_what_the_networks_see_of_a_large_photograph_is_256_wide():
    class Seen(Exception):
        pass

    def attention(image, mask):
        raise Seen(image.shape, mask.shape)

    image, mask = np.zeros((600, 1100, 3), np.uint8), np.zeros((600, 1100), np.uint8)
    mask[100:500, 100:200] = 1
    with pytest.raises(Seen) as seen:
        painters.with_residuals(types.SimpleNamespace(attention=attention))(image, mask)
    assert seen.value.args == ((1, 256, 256, 3), (1, 256, 256, 1))


@pytest.fixture
def small_grid(monkeypatch):
    """Photographs are reduced to 64x64 and patches are 8 of these pixels, as with 256 and 32 for large ones."""
    monkeypatch.setattr(
        painters,
        "_RESIDUAL",
        types.SimpleNamespace(size=64, grid=8, least_window=0, large_size=0, detail_blur=0.0),
    )


@pytest.mark.parametrize("shape", [(128, 128), (192, 256), (150, 131)])
def test_residuals_change_the_hole_alone(small_grid, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before, mask = image.copy(), np.zeros(shape, np.uint8)
    mask[40:70, 50:90] = 1
    mask[-30:-20, :40] = 1
    filled = painters.with_residuals(_Model())(image, mask)
    np.testing.assert_array_equal(image, before)
    assert filled.dtype == np.uint8 and filled.shape == image.shape
    np.testing.assert_array_equal(filled[mask == 0], image[mask == 0])
    assert (filled[mask > 0] != image[mask > 0]).mean() > 0.9


def test_without_detail_around_residuals_add_nothing(small_grid):
    image = np.full((256, 256, 3), 100, np.uint8)
    mask = np.zeros((256, 256), np.uint8)
    mask[96:160, 64:128] = 1
    filled = painters.with_residuals(_Model())(image, mask)
    inside = filled[110:150, 80:110].astype(int)  # off the border, where the paste is soft
    assert np.abs(inside - 64).max() <= 1  # 0.25 of white, rounded


def test_a_network_fills_a_large_photograph_with_residuals(small_grid, eagerly, tmp_path):
    from zoom_to_inpaint.config import ZoomConfig
    from zoom_to_inpaint.model import ZoomToInpaint

    path = tmp_path / "weights.npz"
    config = ZoomConfig(channels=4, sr_channels=4, discriminator_channels=4, size=16)
    ZoomToInpaint(config).save(path)
    image = np.random.default_rng(1).integers(0, 256, (128, 160, 3), dtype=np.uint8)
    mask = np.zeros((128, 160), np.uint8)
    mask[50:80, 60:90] = 1
    paint = painters.painter("zoom_to_inpaint", str(path), "float32", "residual")
    filled = paint(image, mask)
    np.testing.assert_array_equal(filled[mask == 0], image[mask == 0])
    assert (filled[mask > 0] != image[mask > 0]).mean() > 0.9


@pytest.mark.parametrize(
    ("name", "weights", "runtime", "expected"),
    [
        ("hifill", None, None, False),
        ("hifill", "pretrained", "opencv", False),
        ("hifill", None, "tensorflow", True),
        ("hifill", "w.npz", None, True),
        ("hifill", "w.onnx", None, False),
        ("zoom_to_inpaint", None, None, True),
        ("zoom_to_inpaint", "w.onnx", None, True),
        ("telea", None, None, False),
    ],
)
def test_what_needs_tensorflow(name, weights, runtime, expected):
    assert painters.needs_tensorflow(name, weights, runtime) == expected
