"""Reading of any image file: agreement with other readers, orientation, damage."""

from __future__ import annotations

import io
import os
import pathlib
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from common.errors import UserError
from common.images import convert, native_messages
from common.images import files as image_files


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


def decode_rgb(data):
    decoded = image_files.decode(data, "photo.x")
    return convert.to_rgb(decoded.pixels, decoded.mode, decoded.palette)


def png_chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return len(content).to_bytes(4, "big") + kind + content + checksum.to_bytes(4, "big")


def with_chunk(png, kind, content):
    """The PNG file with one chunk more, behind its header."""
    return png[:33] + png_chunk(kind, content) + png[33:]


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
    got = decode_rgb(data)
    assert got.shape == (90, 120, 3) and got.dtype == np.uint8
    assert np.array_equal(got, reference.convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_applied(kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    arguments = {"lossless": True} if kind == "WEBP" else {}
    data = encode(photo(40, 56), kind, exif=exif, **arguments)
    reference = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    got = decode_rgb(data)
    assert got.shape[:2] == ((40, 56) if orientation < 5 else (56, 40))
    assert np.array_equal(got, reference)


def test_png_gamma_does_not_change_the_levels():
    data = encode(photo(), "PNG")
    data = with_chunk(data, b"gAMA", (20000).to_bytes(4, "big"))
    assert np.array_equal(decode_rgb(data), photo())


def test_a_thumbnail_does_not_pass_for_the_end():
    exif = Image.Exif()
    exif[0x010E] = "x"
    head = encode(photo(), "JPEG", exif=exif)
    segment = b"Exif\0\0" + encode(photo(20, 20), "JPEG")
    extra = b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment
    data = head[:2] + extra + head[2:]
    assert decode_rgb(data).shape == (90, 120, 3)
    with pytest.raises(UserError, match="cut off or damaged"):
        decode_rgb(data[:-400])


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
            decode_rgb(damaged)
        assert "photo.x" in str(caught.value) and "\n" not in str(caught.value)


def test_what_follows_the_end_of_a_jpeg_is_ignored():
    data = encode(photo(), "JPEG")
    whole = decode_rgb(data)
    assert np.array_equal(decode_rgb(data + data[:300]), whole)


def test_missing_file_names_its_namesakes(tmp_path):
    (tmp_path / "cat.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"cat\.jpg does not exist; did you mean cat\.png\?"):
        convert.read_rgb(tmp_path / "cat.jpg")
    with pytest.raises(UserError, match="does not exist; check its name"):
        convert.read_rgb(tmp_path / "dog.jpg")
    with pytest.raises(UserError, match="no folder"):
        convert.read_rgb(tmp_path / "nowhere" / "dog.jpg")


def _damaged(data, at):
    """Bytes of a file with five bytes replaced, from share `at` on."""
    start = int(at * len(data))
    return data[:start] + b"\xff\x00\xff\x00\xff" + data[start + 5 :]


DAMAGED = {
    **{
        f"TIFF {name}": lambda name=name, mode=mode: _damaged(
            encode(photo().convert(mode), "TIFF", compression=name), 0.4
        )
        for name, mode in (
            ("group4", "1"),
            ("tiff_adobe_deflate", "RGB"),
        )
    },
    "TIFF of 16 bits": lambda: _damaged(
        cv2.imencode(".tif", noise((40, 50, 3), np.uint16))[1].tobytes(), 0.4
    ),
    "PNG of 16 bits": lambda: _png_with_wrong_data(),
}


def _png_with_wrong_data():
    """Its checksums fit, its compressed data cannot be decompressed."""
    data = cv2.imencode(".png", noise((40, 50, 3), np.uint16))[1].tobytes()
    at = data.index(b"IDAT")
    size = int.from_bytes(data[at - 4 : at], "big")
    chunk = b"IDAT" + _damaged(data[at + 4 : at + 4 + size], 0.4)
    checksum = zlib.crc32(chunk).to_bytes(4, "big")
    return data[:at] + chunk + checksum + data[at + 8 + size :]


@pytest.mark.parametrize("make", DAMAGED.values(), ids=DAMAGED)
def test_damage_is_one_error_and_the_libraries_print_nothing(make, capfd):
    with pytest.raises(UserError, match=r"x is cut off or damaged \(.+\)") as error:
        image_files.decode(make(), "x")
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_what_other_threads_print_meanwhile_is_no_damage(capfd):
    with native_messages.caught() as said:
        os.write(2, b"Fax4Decode: Bad code word at line 4 of strip 0 (x 8).\n")
        os.write(2, b"error: photo.png is empty (0 bytes); copy it again\n2 filled\n")
    assert said == ["Fax4Decode: Bad code word at line 4 of strip 0 (x 8)."]
    assert (
        capfd.readouterr().err == "error: photo.png is empty (0 bytes); copy it again\n2 filled\n"
    )
    with native_messages.caught() as said:
        pass
    assert said == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", os.devnull):
        with pytest.raises(UserError, match="a pipe or a device"):
            image_files.read(path)


def test_folder_empty_and_text_files(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        convert.read_rgb(tmp_path)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UserError, match=r"empty\.jpg is empty"):
        convert.read_rgb(tmp_path / "empty.jpg")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(UserError, match=r"text\.png is not a readable"):
        convert.read_rgb(tmp_path / "text.png")
    photo().save(tmp_path / "moving.png", "GIF")
    with pytest.raises(UserError, match=r"moving\.png is not a readable"):
        convert.read_rgb(tmp_path / "moving.png")


def test_forbidden_file(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)
    with pytest.raises(UserError, match="no permission to read"):
        convert.read_rgb(tmp_path / "photo.jpg")


def test_bombs_are_refused_before_they_are_unpacked():
    for side, text in ((40000, "1,000,000,000"), (60000, "1,000,000,000")):
        header = side.to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
        data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
        data += png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
        with pytest.raises(UserError, match=f"too big.*{text}"):
            decode_rgb(data)


def test_32_bit_tiff_is_refused():
    data = encode(Image.fromarray(np.zeros((20, 20), np.float32)), "TIFF")
    with pytest.raises(UserError, match="32-bit pixels"):
        decode_rgb(data)


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3"])
def test_a_fax_of_group_3_is_refused(compression):
    data = encode(photo().convert("1"), "TIFF", compression=compression)
    with pytest.raises(UserError, match=r"x is compressed as a fax .*; save it as PNG"):
        image_files.decode(data, "x")


SWAP = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}  # OpenCV's channel order


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_16_bits(mode, channels, ending):
    pixels = noise((50, 40, channels), np.uint16)
    data = cv2.imencode(ending, pixels[..., SWAP[channels]])[1].tobytes()
    decoded = image_files.decode(data, "x")
    assert decoded.mode == mode and decoded.pixels.dtype == np.uint16
    assert np.array_equal(decoded.pixels.reshape(pixels.shape), pixels)
    twin = np.floor(pixels[..., :3] / 257 + 0.5).astype(np.uint8)
    assert np.array_equal(decode_rgb(data), np.broadcast_to(twin, (50, 40, 3)))
    for share in (0.1, 0.5, 0.98):
        with pytest.raises(UserError, match=r"cut off or damaged|not a readable"):
            decode_rgb(data[: int(len(data) * share)])


def turned_16_bits(kind, pixels, orientation):
    if kind == "TIFF":
        tifffile = pytest.importorskip("tifffile")  # comes with scikit-image
        buffer = io.BytesIO()
        tags = [(274, "H", 1, orientation, True)]
        photometric = "rgb" if pixels.ndim == 3 else "minisblack"
        tifffile.imwrite(buffer, pixels, photometric=photometric, extratags=tags)
        return buffer.getvalue()
    exif = Image.Exif()
    exif[274] = orientation
    bgr = pixels if pixels.ndim == 2 else pixels[..., SWAP[pixels.shape[2]]]
    return with_chunk(cv2.imencode(".png", bgr)[1].tobytes(), b"eXIf", exif.tobytes()[6:])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_orientation_of_16_bits(kind, channels, orientation):
    pixels = noise((20, 33, channels), np.uint16)
    data = turned_16_bits(kind, pixels[..., 0] if channels == 1 else pixels, orientation)
    if kind == "PNG" and channels == 4 and orientation > 1:  # no library turns it
        with pytest.raises(UserError, match="save it upright"):
            image_files.decode(data, "x")
        return
    turn = Image.fromarray(np.arange(20 * 33, dtype=np.int32).reshape(20, 33))
    turn.getexif()[274] = orientation
    order = np.asarray(ImageOps.exif_transpose(turn))
    decoded = image_files.decode(data, "x")
    assert np.array_equal(
        decoded.pixels.reshape(*order.shape, channels), pixels.reshape(-1, channels)[order]
    )
    assert decoded.turned == (orientation >= 5)


def test_16_bit_gray_with_alpha_becomes_rgba():
    gray = noise((9, 8), np.uint16)
    alpha = gray[::-1]
    rows = np.stack([gray, alpha], axis=-1).reshape(9, -1).astype(">u2").view(np.uint8)
    lines = np.pad(rows, ((0, 0), (1, 0)))  # filter 0
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(
        b"IHDR", bytes((0, 0, 0, 8, 0, 0, 0, 9, 16, 4, 0, 0, 0))
    )
    data += png_chunk(b"IDAT", zlib.compress(lines.tobytes())) + png_chunk(b"IEND", b"")
    decoded = image_files.decode(data, "x")
    assert decoded.mode == "RGBA"
    assert np.array_equal(decoded.pixels, np.stack([gray, gray, gray, alpha], axis=-1))


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "rgb", "planarconfig": "separate"},
        {"photometric": "miniswhite"},
        {"photometric": "rgb", "extrasamples": ["assocalpha"]},
    ],
)
def test_unusual_16_bit_tiff_is_refused(options):
    tifffile = pytest.importorskip("tifffile")
    shape = (
        (20, 30, 4)
        if "extrasamples" in options
        else (3, 20, 30)
        if "planarconfig" in options
        else (20, 30)
    )
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, noise(shape, np.uint16), **options)
    with pytest.raises(UserError, match=r"unusual 16-bit TIFF|not a readable"):
        image_files.decode(buffer.getvalue(), "x")


@pytest.mark.parametrize(
    "block", [b"", b"II", b"nonsense", b"II*\0\x08\0\0\0\x02\0\x0e\x01", b"MM\0*\xff\xff\xff\xff"]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_damaged_exif_does_no_harm(kind, block):
    data = encode(photo(), kind, exif=b"Exif\0\0" + block)
    assert np.array_equal(decode_rgb(data), Image.open(io.BytesIO(data)))
