"""Range conversions, array checks, read_rgb and write_png of common.images.convert."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from common.errors import UserError
from common.images import convert


def noise(shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def test_every_level_survives_the_round_trip():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    unit = convert.to_unit(levels)
    assert unit.dtype == np.float32
    assert unit.min() == 0 and unit.max() == 1
    assert np.array_equal(convert.to_uint8(unit), levels)


def test_to_uint8_rounds_to_the_nearest_and_clips():
    values = np.random.default_rng(1).uniform(-0.3, 1.3, 2000)
    twin = [min(255, max(0, int(np.floor(255 * value + 0.5)))) for value in values]
    assert np.array_equal(convert.to_uint8(values), twin)
    assert convert.to_uint8(np.float32([99.9 / 255]))[0] == 100  # truncation gives 99


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_to_uint8_leaves_its_input_alone(dtype):
    values = np.array([[-1, 0.5, 2]], dtype)
    convert.to_uint8(values)
    assert np.array_equal(values, np.array([[-1, 0.5, 2]], dtype))


def test_to_uint8_counts_what_is_not_finite():
    values = np.zeros((4, 5), np.float32)
    values[0, :2] = np.nan
    values[3, 3] = -np.inf
    with pytest.raises(UserError, match=r"holds 3 values .* \(of 20\)"):
        convert.to_uint8(values)


def test_conversions_refuse_the_other_type():
    with pytest.raises(UserError, match="float32"):
        convert.to_unit(np.zeros(3, np.float32))
    with pytest.raises(UserError, match="uint8"):
        convert.to_uint8(np.zeros(3, np.uint8))


def test_sixteen_bits_are_rounded_not_cut():
    deep = np.arange(65536, dtype=np.uint16)
    twin = np.floor(deep / 257 + 0.5).astype(np.uint8)
    assert np.array_equal(convert.to_eight_bits(deep), twin)
    assert np.array_equal(convert.to_eight_bits(np.arange(256, dtype=np.uint16) * 257), range(256))


GOOD = (np.zeros((5, 4, 3), np.uint8), np.zeros((5, 4), np.uint8))


@pytest.mark.parametrize(
    ("image", "mask", "text"),
    [
        (GOOD[0][..., 0], GOOD[1], r"image must be uint8 \[H, W, 3\], got uint8 \[5, 4\]"),
        (GOOD[0].astype(np.float32), GOOD[1], r"got float32 \[5, 4, 3\]"),
        (np.full((5, 4, 3), np.nan), GOOD[1], "60 values that are NaN"),
        (GOOD[0], GOOD[1][..., None], r"mask must be uint8 \[H, W\], got uint8 \[5, 4, 1\]"),
        (GOOD[0], GOOD[1].astype(bool), "got bool"),
        (GOOD[0], GOOD[1][:4], r"\(5, 4\) and \(4, 4\)"),
        (GOOD[0].tolist(), GOOD[1], "got list"),
        (GOOD[0][:0], GOOD[1][:0], "empty"),
    ],
)
def test_check_array_says_what_it_found(image, mask, text):
    convert.check_array(*GOOD)
    with pytest.raises(UserError, match=text) as caught:
        convert.check_array(image, mask)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA"])
def test_read_rgb_is_the_callers_own(tmp_path, mode):
    image = Image.fromarray(noise((30, 20, 3))).convert(mode)
    image.save(tmp_path / "x.png")
    rgb = convert.read_rgb(tmp_path / "x.png")
    assert np.array_equal(rgb, image.convert("RGB"))
    rgb[:] = 0  # writable


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (300, 7, 3), (257, 16), (16, 1, 3)])
def test_write_png_round_trip(tmp_path, shape):
    path = tmp_path / "new" / "x.png"
    image = noise(shape)
    convert.write_png(path, image)
    assert np.array_equal(np.asarray(Image.open(path)), image)
    rgb = image if image.ndim == 3 else np.stack([image] * 3, axis=-1)
    assert np.array_equal(convert.read_rgb(path), rgb)


def test_write_png_takes_views_and_refuses_floats(tmp_path):
    image = noise((40, 30, 3))
    convert.write_png(tmp_path / "x.png", image[::-2, ::3])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "x.png")), image[::-2, ::3])
    with pytest.raises(UserError, match="float64"):
        convert.write_png(tmp_path / "y.png", np.zeros((4, 4)))
    assert os.listdir(tmp_path) == ["x.png"]


def test_write_png_of_a_flat_image_is_small(tmp_path):
    convert.write_png(tmp_path / "x.png", np.full((400, 400, 3), 77, np.uint8))
    assert (tmp_path / "x.png").stat().st_size < 4000  # 480,000 bytes of pixels


def test_a_single_number_is_converted():
    assert convert.to_uint8(np.float64(0.2)) == 51
