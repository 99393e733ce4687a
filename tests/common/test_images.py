"""Range conversions, decoding and PNG writing of common.images."""

from __future__ import annotations

import io
import os
import pathlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from common import images
from common.errors import UserError


def noise(shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def encode(image, kind, **arguments):
    buffer = io.BytesIO()
    image.save(buffer, kind, **arguments)
    return buffer.getvalue()


def photo(height=90, width=120):
    """Smooth content, so that a JPEG of it has several segments' worth of coefficients."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([2 * x, 2 * y, x + y], axis=-1) % 256 + noise((height, width, 3)) // 16
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))


def test_every_level_survives_the_round_trip():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    unit = images.to_unit(levels)
    assert unit.dtype == np.float32
    assert unit.min() == 0 and unit.max() == 1
    assert np.array_equal(images.to_uint8(unit), levels)


def test_to_uint8_rounds_to_the_nearest_and_clips():
    values = np.random.default_rng(1).uniform(-0.3, 1.3, 2000)
    twin = [min(255, max(0, int(np.floor(255 * value + 0.5)))) for value in values]
    assert np.array_equal(images.to_uint8(values), twin)
    assert images.to_uint8(np.float32([99.9 / 255]))[0] == 100  # truncation gives 99


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_to_uint8_leaves_its_input_alone(dtype):
    values = np.array([[-1, 0.5, 2]], dtype)
    images.to_uint8(values)
    assert np.array_equal(values, np.array([[-1, 0.5, 2]], dtype))


def test_to_uint8_counts_what_is_not_finite():
    values = np.zeros((4, 5), np.float32)
    values[0, :2] = np.nan
    values[3, 3] = -np.inf
    with pytest.raises(UserError, match=r"holds 3 values .* \(of 20\)"):
        images.to_uint8(values)


def test_conversions_refuse_the_other_type():
    with pytest.raises(UserError, match="float32"):
        images.to_unit(np.zeros(3, np.float32))
    with pytest.raises(UserError, match="uint8"):
        images.to_uint8(np.zeros(3, np.uint8))


def test_sixteen_bits_are_rounded_not_cut():
    deep = np.arange(65536, dtype=np.uint16)
    twin = np.floor(deep / 257 + 0.5).astype(np.uint8)
    assert np.array_equal(images.to_eight_bits(deep), twin)
    assert np.array_equal(images.to_eight_bits(np.arange(256, dtype=np.uint16) * 257), range(256))


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
    images.check_array(*GOOD)
    with pytest.raises(UserError, match=text) as caught:
        images.check_array(image, mask)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA", "CMYK"])
def test_decode_rgb_agrees_with_pillow(kind, mode):
    image = photo().convert("RGB").convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(noise((90, 120))))
    try:
        data = encode(image, kind)
    except OSError:
        pytest.skip(f"Pillow writes no {mode} {kind}")
    reference = Image.open(io.BytesIO(data))
    if reference.mode in ("LA", "RGBA"):  # alpha is dropped, not blended
        bands = reference.split()
        reference = Image.merge("RGB", bands[:3] if len(bands) == 4 else bands[:1] * 3)
    got = images.decode_rgb(data, "x")
    # Two JPEG libraries may round differently by one level; everything else is exact.
    tolerance = 1 if kind == "JPEG" else 0
    difference = got.astype(int) - np.asarray(reference.convert("RGB"))
    assert got.shape == (90, 120, 3) and got.dtype == np.uint8
    assert np.abs(difference).max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_applied(kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    arguments = {"lossless": True} if kind == "WEBP" else {}
    data = encode(photo(40, 56), kind, exif=exif, **arguments)
    reference = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    got = images.decode_rgb(data, "x").astype(int)
    assert got.shape[:2] == ((40, 56) if orientation < 5 else (56, 40))
    assert np.abs(got - np.asarray(reference)).max() <= (1 if kind == "JPEG" else 0)


def test_png_gamma_does_not_change_the_levels():
    data = encode(photo(), "PNG")
    gamma = images.png_chunk(b"gAMA", (20000).to_bytes(4, "big"))
    assert np.array_equal(images.decode_rgb(data[:33] + gamma + data[33:], "x"), photo())


def test_a_thumbnail_does_not_pass_for_the_end(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "x"
    head = encode(photo(), "JPEG", exif=exif)
    segment = b"Exif\0\0" + encode(photo(20, 20), "JPEG")
    extra = b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment
    data = head[:2] + extra + head[2:]
    assert images.decode_rgb(data, "x").shape == (90, 120, 3)
    with pytest.raises(UserError, match="cut off or damaged"):
        images.decode_rgb(data[:-400], "x")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {}),
        ("BMP", {}),
    ],
)
def test_a_cut_off_file_is_never_read(kind, arguments, share):
    data = encode(photo(), kind, **arguments)
    cut = data[: int(len(data) * share)]
    for damaged in (cut, cut + bytes(len(data) - len(cut))):
        if kind not in ("JPEG", "PNG") and damaged is not cut:
            continue  # zeros are pixels there
        with pytest.raises(UserError) as caught:
            images.decode_rgb(damaged, "photo.x")
        assert "photo.x" in str(caught.value) and "\n" not in str(caught.value)


def test_what_follows_the_end_of_a_jpeg_is_ignored():
    data = encode(photo(), "JPEG")
    whole = images.decode_rgb(data, "x")
    assert np.array_equal(images.decode_rgb(data + data[:300], "x"), whole)


def test_missing_file_names_its_namesakes(tmp_path):
    (tmp_path / "cat.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"cat\.jpg does not exist; did you mean cat\.png\?"):
        images.read_rgb(tmp_path / "cat.jpg")
    with pytest.raises(UserError, match="does not exist; check its name"):
        images.read_rgb(tmp_path / "dog.jpg")
    with pytest.raises(UserError, match="no folder"):
        images.read_rgb(tmp_path / "nowhere" / "dog.jpg")


def test_folder_empty_and_text_files(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        images.read_rgb(tmp_path)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UserError, match=r"empty\.jpg is empty"):
        images.read_rgb(tmp_path / "empty.jpg")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(UserError, match=r"text\.png is not a readable"):
        images.read_rgb(tmp_path / "text.png")
    photo().save(tmp_path / "moving.png", "GIF")
    with pytest.raises(UserError, match=r"moving\.png is not a readable"):
        images.read_rgb(tmp_path / "moving.png")


def test_forbidden_file(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)
    with pytest.raises(UserError, match="may not be read"):
        images.read_rgb(tmp_path / "photo.jpg")


def test_bombs_are_refused_before_they_are_unpacked():
    for side, text in ((40000, "1,000,000,000"), (60000, "1,000,000,000")):
        header = side.to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
        data = b"\x89PNG\r\n\x1a\n" + images.png_chunk(b"IHDR", header)
        data += images.png_chunk(b"IDAT", b"") + images.png_chunk(b"IEND", b"")
        with pytest.raises(UserError, match=f"too big.*{text}"):
            images.decode_rgb(data, "bomb.png")


def test_32_bit_tiff_is_refused():
    data = encode(Image.fromarray(np.zeros((20, 20), np.float32)), "TIFF")
    with pytest.raises(UserError, match="32-bit pixels"):
        images.decode_rgb(data, "x.tif")


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (300, 7, 3), (257, 16), (16, 1, 3)])
def test_write_png_round_trip(tmp_path, shape):
    path = tmp_path / "new" / "x.png"
    image = noise(shape)
    images.write_png(path, image)
    assert np.array_equal(np.asarray(Image.open(path)), image)
    rgb = image if image.ndim == 3 else np.stack([image] * 3, axis=-1)
    assert np.array_equal(images.read_rgb(path), rgb)


def test_write_png_takes_views_and_refuses_floats(tmp_path):
    image = noise((40, 30, 3))
    images.write_png(tmp_path / "x.png", image[::-2, ::3])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "x.png")), image[::-2, ::3])
    with pytest.raises(UserError, match="float64"):
        images.write_png(tmp_path / "y.png", np.zeros((4, 4)))
    assert os.listdir(tmp_path) == ["x.png"]


def test_write_png_of_a_flat_image_is_small(tmp_path):
    images.write_png(tmp_path / "x.png", np.full((400, 400, 3), 77, np.uint8))
    assert (tmp_path / "x.png").stat().st_size < 4000  # 480,000 bytes of pixels
