"""Photographs of every kind that Pillow and OpenCV write, whole and damaged, through the command's `fill_file`."""

from __future__ import annotations

import io
import pathlib
import struct
import zlib

import cv2
import numpy as np
import pytest
from absl import flags
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from common.filling import photographs
from common.images.pairing import Pair
from common.scoring import baselines

# Written losslessly and read back in every case.
ORDINARY = ("1", "L", "LA", "P", "RGB", "RGBA")
EXOTIC = ("I", "F", "I;16", "CMYK", "YCbCr", "LAB", "HSV", "PA", "La", "RGBa", "RGBX")
KINDS = ("PNG", "TIFF", "BMP", "WEBP", "JPEG", "MPO", "GIF", "PPM", "TGA", "ICO", "JPEG2000")
OPTIONS = {
    "compression": st.sampled_from(
        (None, "tiff_lzw", "packbits", "group3", "group4", "jpeg", "tiff_adobe_deflate")
    ),
    "icc_profile": st.binary(max_size=200),
    "dpi": st.tuples(*(st.floats(0, 1e9),) * 2),
    "exif": st.binary(max_size=60) | st.integers(0, 9).map(lambda turn: _exif(turn)),
    "transparency": st.integers(0, 300) | st.binary(max_size=260),
    "progressive": st.booleans(),
    "lossless": st.booleans(),
    "quality": st.integers(1, 100),
    "bits": st.sampled_from((1, 2, 4)),
    "interlace": st.booleans(),
    "comment": st.binary(max_size=20),
    "save_all": st.just(True),
}
SIDES = st.integers(1, 40)
SIZES = st.tuples(SIDES, SIDES) | st.tuples(st.integers(1, 3), st.integers(200, 600))
SUFFIXES = (".png", ".tif", ".bmp", ".webp", ".jpg", ".PNG", ".tiff", ".jpeg")
PAINTERS = st.sampled_from(("mean", "telea", "ns", "harmonic"))


def _exif(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return exif.tobytes()


def pixels(seed, size, mode):
    """An image of a mode with random, partly constant content."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    if seed % 3 == 0:
        image = image.resize((1, 1)).resize(image.size)
    alpha = Image.fromarray(rng.choice([0, 100, 255], size).astype(np.uint8))
    if mode == "LAB" or mode == "RGBX":
        return Image.frombytes(mode, image.size, rng.bytes(size[0] * size[1] * len(mode)))
    if mode in ("LA", "RGBA", "PA", "La", "RGBa"):
        image.putalpha(alpha)
    steps = {"La": "LA", "I;16": "I", "PA": "P"}
    image = image.convert(steps.get(mode, mode))
    return image.convert(mode) if mode in steps else image


@st.composite
def encoded(draw, modes=(*ORDINARY, *EXOTIC), kinds=KINDS):
    """(bytes of an image file, (height, width) before its orientation); b"" if the encoder refuses."""
    size, mode = draw(SIZES), draw(st.sampled_from(modes))
    kind, some = (
        draw(st.sampled_from(kinds)),
        draw(st.sets(st.sampled_from([*OPTIONS]), max_size=2)),
    )
    options = {name: draw(OPTIONS[name]) for name in sorted(some)}
    stream = io.BytesIO()
    try:
        image = pixels(draw(st.integers(0, 2**16)), size, mode)
        if options.pop("save_all", False):
            options |= {"save_all": True, "append_images": [image.copy()]}
        image.save(stream, kind, **options)
    except Exception:  # not every mode and option in every format
        return b"", size
    return stream.getvalue(), size


@st.composite
def deep(draw):
    """As `encoded`: 16 bits and floats, as OpenCV writes them."""
    size, channels = draw(SIZES), draw(st.sampled_from((1, 3, 4)))
    dtype = draw(st.sampled_from((np.uint16, np.uint16, np.float32, np.uint8)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    array = rng.integers(0, 65536, (*size, channels)).astype(dtype)
    if dtype == np.float32:
        return cv2.imencode(".tiff", array)[1].tobytes(), size
    return cv2.imencode(draw(st.sampled_from((".png", ".tiff"))), array)[1].tobytes(), size


@st.composite
def masks(draw, size):
    """[H, W] uint8 of 0 and 255: a rectangle, noise, none or all; seldom of another size."""
    if draw(st.integers(0, 19)) == 0:
        size = draw(SIZES)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    if draw(st.booleans()):
        return (rng.random(size) < draw(st.sampled_from((0, 0.1, 0.9, 1)))) * np.uint8(255)
    mask = np.zeros(size, np.uint8)
    top, left = (rng.integers(side) for side in size)
    mask[top : top + rng.integers(1, 30), left : left + rng.integers(1, 30)] = 255
    return mask


@pytest.fixture(scope="module")
def run(command_module):
    """The command's module, with its flags' defaults."""
    with command_module("run") as module:
        flags.FLAGS.unparse_flags()
        flags.FLAGS(["inpaint"])
        yield module


@pytest.fixture(scope="module")
def fill(run, attempt, scratch):
    """fill(data, mask, name of the painter, suffix of the result) -> whether it was filled; checks the result."""

    def filled(data, mask, painter, suffix=".png", quality=95):
        with scratch() as root:
            folder = pathlib.Path(root)
            (folder / "photo.png").write_bytes(data)
            Image.fromarray(mask).save(folder / "mask.png")
            pair = Pair(folder / "photo.png", folder / "mask.png", folder / f"result{suffix}")

            def paint(image, hole):
                return baselines.inpaint(painter, image, hole)

            flags.FLAGS.quality, notes = quality, []
            done, _ = attempt(
                "photographs", lambda: run.fill_file(pair, paint, notes.append), folder
            )
            _check(attempt, pair, done)
            return done

    return filled


def _check(attempt, pair, done):
    attempt.require("photographs", "half files", pair.output.exists() == done, pair)
    if not done:
        return
    before, after = (photographs.read_photograph(path) for path in (pair.image, pair.output))
    known = photographs.read_mask(pair.mask) == 0
    attempt.require("photographs", "changed sizes", before.size == after.size, after.size)
    if pair.output.suffix in (".jpg", ".jpeg"):
        return
    same = np.array_equal(before.rgb[known], after.rgb[known])
    if before.mode == after.mode and before.mode != "P":  # all bits, and alpha
        same = same and np.array_equal(before.pixels[known], after.pixels[known])
    attempt.require("photographs", "changed known pixels", same, (before.mode, after.mode))


def _is_refused(content):
    """Whether the file cannot have a mask as it was drawn, or is a fax of group 3."""
    if not content:
        return True
    image = Image.open(io.BytesIO(content))
    try:
        turned = image.getexif().get(274, 1) != 1
    except Exception:  # drawn bytes as EXIF
        turned = False
    return turned or image.info.get("compression") == "group3"


@given(st.data())
def test_ordinary_photographs_are_filled(fill, data):
    content, size = data.draw(encoded(ORDINARY, ("PNG", "TIFF")))
    mask = data.draw(masks(size))
    done = fill(content, mask, data.draw(PAINTERS))
    assert done or _is_refused(content) or mask.shape != size or mask.all()


@given(st.data())
def test_exotic_photographs(fill, data):
    content, size = data.draw(encoded())
    fill(content, data.draw(masks(size)), data.draw(PAINTERS))


@given(st.data())
def test_deep_photographs(fill, data):
    content, size = data.draw(deep())
    fill(content, data.draw(masks(size)), data.draw(PAINTERS))


@given(st.data())
def test_every_format_of_results(fill, data):
    content, size = data.draw(encoded(ORDINARY) | deep())
    suffix, quality = data.draw(st.sampled_from(SUFFIXES)), data.draw(st.integers(1, 100))
    fill(content, data.draw(masks(size)), "mean", suffix, quality)


@given(st.data())
def test_damaged_photographs(fill, damaged, data):
    content, size = data.draw(encoded(kinds=KINDS[:5]) | deep())
    fill(damaged(data.draw, content), data.draw(masks(size)), data.draw(PAINTERS))


@given(st.data())
def test_crafted_headers_of_png(fill, data):
    """Checksums are right, so that the decoder believes the header."""
    content, size = data.draw(encoded(ORDINARY, ("PNG",)))
    numbers = st.sampled_from((0, 1, 2, 3, 4, 8, 16, 32, 255))
    sides = st.sampled_from((0, 1, 7, 40, 1000, 65535, 2**31 - 1, 2**32 - 1))
    true = struct.unpack(">II", content[16:24]) if content else size
    claimed = true if data.draw(st.booleans()) else [data.draw(sides) for _ in range(2)]
    body = b"IHDR" + struct.pack(">IIBBBBB", *claimed, *(data.draw(numbers) for _ in range(5)))
    crafted = content[:12] + body + struct.pack(">I", zlib.crc32(body)) + content[33:]
    fill(crafted, data.draw(masks(size)), "mean")


@given(st.data())
def test_noise_behind_a_right_beginning(fill, data):
    begin = data.draw(
        st.sampled_from(
            (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0", b"MM\0*", b"BM", b"II+\0")
            + (b"RIFF\x20\0\0\0WEBPVP8 ", b"", b"\xff\xd8\xff\xe1\0\x10Exif\0\0")
        )
    )
    fill(begin + data.draw(st.binary(max_size=200)), np.eye(5, dtype=np.uint8) * 255, "mean")
