"""A user's photograph through every mode and format, its metadata, masks, failures."""

from __future__ import annotations

import builtins
import dataclasses
import errno
import io
import os
import struct

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from common import images, photographs
from common.errors import UserError
from common.photographs import read_mask, read_photograph, write_photograph

HEIGHT, WIDTH = 300, 41  # over one strip of rows, and no multiple of 8
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GRAY_PROFILE = PROFILE[:16] + b"GRAY" + PROFILE[20:]
ALL = [
    ("1", 8),
    ("L", 8),
    ("LA", 8),
    ("P", 8),
    ("P+", 8),  # with transparent entries
    ("RGB", 8),
    ("RGBA", 8),
    ("L", 16),
    ("LA", 16),
    ("RGB", 16),
    ("RGBA", 16),
]
LOSSLESS = [".png", ".tif", ".bmp", ".webp"]


def noise(shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def make(mode, depth, height=HEIGHT, width=WIDTH):
    """A photograph as if read from a PNG file."""
    transparent = mode.endswith("+")
    mode = mode.rstrip("+")
    dtype = np.uint16 if depth == 16 else np.uint8
    channels = () if mode in ("1", "P") or len(mode) == 1 else (len(mode),)
    pixels = noise((height, width, *channels), dtype)
    palette = None
    if mode == "1":
        pixels = (pixels > 127).astype(np.uint8) * np.uint8(255)
    if mode == "P":
        palette = noise((200, 4), seed=1)
        palette[:, 3] = np.where(np.arange(200) < 50, 60, 255) if transparent else 255
        pixels = pixels % np.uint8(200)
    return photographs.Photograph(
        pixels=pixels,
        mode=mode,
        palette=palette,
        header=Image.new("L", (1, 1)),
        transposed=False,
        note="",
        name="made.png",
        format="PNG",
        profile=GRAY_PROFILE if mode in ("1", "L", "LA") else PROFILE,
        dpi=(300.0, 150.0),
        exif=None,
        colour_chunks=b"",
        jpeg={},
    )


def fill_for(photograph):
    """(filled, mask): a ragged hole in random colours."""
    mask = (noise(photograph.size, seed=2) > 200).astype(np.uint8)
    return noise((*photograph.size, 3), seed=3), mask


def as_rgba(photograph):
    """[H, W, 4], the widest mode: what a viewer sees, in the photograph's own levels."""
    pixels, full = photograph.pixels, 255 if photograph.depth == 8 else 65535
    if photograph.mode == "P":
        pixels = photograph.palette[pixels]
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] < 3:
        pixels = np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:]], axis=2)
    if pixels.shape[2] == 3:
        pixels = np.concatenate([pixels, np.full_like(pixels[..., :1], full)], axis=2)
    return pixels


def expected_fill(photograph, colour):
    """Slow twin: one RGB colour in the photograph's mode, as RGBA levels."""
    red, green, blue = map(int, colour)
    gray = int(np.floor(0.299 * red + 0.587 * green + 0.114 * blue + 0.5))
    if photograph.mode == "P":
        best = min(
            (sum((int(e) - int(c)) ** 2 for e, c in zip(entry, colour)), index)
            for index, entry in enumerate(photograph.palette)
            if entry[3] == 255
        )
        return tuple(photograph.palette[best[1]])
    if photograph.mode == "1":
        gray = 255 if gray > 127 else 0
    rgb = (red, green, blue) if photograph.mode.startswith("RGB") else (gray,) * 3
    return tuple(level * (257 if photograph.depth == 16 else 1) for level in (*rgb, 255))


@pytest.mark.parametrize("ending", LOSSLESS)
@pytest.mark.parametrize(("mode", "depth"), ALL)
def test_lossless_round_trip(tmp_path, mode, depth, ending):
    photograph = make(mode, depth)
    filled, mask = fill_for(photograph)
    path = tmp_path / f"out{ending}"
    impossible = (depth == 16 and ending in (".bmp", ".webp")) or (
        ending == ".bmp" and mode in ("LA", "RGBA", "P+")
    )
    if impossible:
        with pytest.raises(UserError, match=r"cannot write .*out\.\w+: made\.png has .* write a"):
            write_photograph(path, photograph, filled, mask)
        assert os.listdir(tmp_path) == []
        return
    write_photograph(path, photograph, filled, mask)
    back = read_photograph(path)
    before, after = as_rgba(photograph), as_rgba(back)
    assert after.dtype == before.dtype
    assert np.array_equal(after[mask == 0], before[mask == 0])
    for row, column in np.argwhere(mask)[::97]:
        wanted = expected_fill(photograph, filled[row, column])
        assert np.abs(np.subtract(after[row, column], wanted, dtype=int)).max() <= (
            257 if depth == 16 and photograph.mode in ("L", "LA") else 1
        ) * (photograph.mode in ("L", "LA"))  # the twin's weights differ by 1e-5: one gray level
    assert os.listdir(tmp_path) == [path.name]
    assert back.format == photographs.output_format(path)
    widened = ending == ".webp" or (
        ending == ".tif" and (mode == "P+" or (mode, depth) == ("LA", 16))
    )
    if not widened:
        assert back.mode == photograph.mode
    if ending != ".bmp":
        gray_lost = photograph.profile == GRAY_PROFILE and back.mode in ("RGB", "RGBA")
        assert back.profile == (None if gray_lost else photograph.profile)
    if ending != ".webp":
        assert np.allclose(back.dpi, photograph.dpi, atol=0.02)  # whole pixels per metre


@pytest.mark.parametrize(("mode", "depth"), [a for a in ALL if a[1] == 8 and a[0] != "P+"])
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_pillow_reads_what_is_written(tmp_path, mode, depth, ending):
    photograph = make(mode, depth)
    write_photograph(tmp_path / f"x{ending}", photograph, *fill_for(photograph))
    with Image.open(tmp_path / f"x{ending}") as image:
        image.load()
        assert image.mode == mode
        assert image.info["icc_profile"] == photograph.profile
        back = np.asarray(image)
    ours = read_photograph(tmp_path / f"x{ending}").pixels
    assert np.array_equal(back * np.uint8(255) if mode == "1" else back, ours)


@pytest.mark.parametrize(("mode", "ending"), [("L", ".png"), ("RGB", ".tif"), ("RGBA", ".png")])
def test_opencv_reads_the_same_16_bits(tmp_path, mode, ending):
    photograph = make(mode, 16)
    mask = np.zeros(photograph.size, np.uint8)
    write_photograph(tmp_path / f"x{ending}", photograph, noise((*mask.shape, 3)), mask)
    back = cv2.imread(str(tmp_path / f"x{ending}"), cv2.IMREAD_UNCHANGED)
    swap = {"L": slice(None), "RGB": [2, 1, 0], "RGBA": [2, 1, 0, 3]}[mode]
    assert np.array_equal(back if mode == "L" else back[..., swap], photograph.pixels)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_16_bit_files_of_others(tmp_path, mode, channels, ending):
    pixels = noise((50, 40, channels), np.uint16)
    swap = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    cv2.imwrite(str(tmp_path / f"x{ending}"), pixels[..., swap])
    photograph = read_photograph(tmp_path / f"x{ending}")
    assert photograph.mode == mode and photograph.depth == 16
    assert np.array_equal(photograph.pixels.reshape(pixels.shape), pixels)
    twin = np.floor(pixels / 257 + 0.5).astype(np.uint8)
    assert np.array_equal(
        photograph.rgb,
        np.broadcast_to(twin, (50, 40, channels))[..., :3].repeat(
            3 if channels == 1 else 1, axis=2
        ),
    )


def with_tiff_orientation(data, orientation):
    """The TIFF file with one tag more, in a new directory at its end."""
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    entries = [data[start + 2 + 12 * n : start + 14 + 12 * n] for n in range(count)]
    entries.append(struct.pack("<HHII", 274, 3, 1, orientation))
    entries.sort(key=lambda entry: int.from_bytes(entry[:2], "little"))
    directory = struct.pack("<H", count + 1) + b"".join(entries) + bytes(4)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + directory


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_orientation_of_16_bit_files(tmp_path, kind, orientation):
    photograph = make("RGB", 16, 20, 33)
    mask = np.zeros((20, 33), np.uint8)
    path = tmp_path / f"x.{kind.lower()}"
    exif = Image.Exif()
    exif[274] = orientation
    write_photograph(
        path, dataclasses.replace(photograph, exif=exif.tobytes()[6:]), photograph.rgb, mask
    )
    if kind == "TIFF":  # this writer has no use for the tag
        path.write_bytes(with_tiff_orientation(path.read_bytes(), orientation))
    turn = Image.fromarray(np.arange(20 * 33, dtype=np.int32).reshape(20, 33))
    turn.getexif()[274] = orientation
    order = np.asarray(ImageOps.exif_transpose(turn))
    twin = photograph.pixels.reshape(-1, 3)[order]
    assert np.array_equal(read_photograph(path).pixels, twin)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA"])
def test_jpeg_of_other_modes(tmp_path, mode):
    photograph = make(mode, 8)
    filled, mask = fill_for(photograph)
    path = tmp_path / "x.jpg"
    if mode.endswith("A"):
        with pytest.raises(UserError, match="transparency"):
            write_photograph(path, photograph, filled, mask)
        pixels = photograph.pixels.copy()
        pixels[..., -1] = 255
        photograph = dataclasses.replace(photograph, pixels=pixels)
    write_photograph(path, photograph, filled, mask, quality=100)
    back = read_photograph(path)
    assert back.mode == ("L" if mode in ("1", "L", "LA") else "RGB")
    difference = np.abs(back.rgb.astype(int) - photograph.rgb)[mask == 0]
    assert difference.max() <= 6  # quality 100, 4:4:4: rounding of the transform only


def test_16_bits_do_not_fit_jpeg(tmp_path):
    photograph = make("RGB", 16)
    with pytest.raises(UserError, match=r"has 16 bits a channel and JPEG keeps 8; write a \.png"):
        write_photograph(tmp_path / "x.jpg", photograph, *fill_for(photograph))


def test_fully_transparent_palette_and_empty_hole(tmp_path):
    photograph = make("P+", 8)
    filled, _ = fill_for(photograph)
    for mask in (np.zeros(photograph.size, np.uint8), np.ones(photograph.size, np.uint8)):
        write_photograph(tmp_path / "x.png", photograph, filled, mask * np.uint8(255))
        after = as_rgba(read_photograph(tmp_path / "x.png"))
        if mask.any():
            assert after[..., 3].min() == 255
        else:
            assert np.array_equal(after, as_rgba(photograph))


def exif_block(orientation, kind="II"):
    """TIFF block by hand: orientation, a description, and a thumbnail directory."""
    order = "little" if kind == "II" else "big"

    def entry(tag, field, count, value):
        size = {3: 2, 4: 4}.get(field)
        data = value.to_bytes(size, order).ljust(4, b"\0") if size else value.ljust(4, b"\0")
        return tag.to_bytes(2, order) + field.to_bytes(2, order) + count.to_bytes(4, order) + data

    first = (2).to_bytes(2, order) + entry(0x010E, 2, 4, b"abc\0") + entry(274, 3, 1, orientation)
    start = 8 + len(first) + 4
    second = (2).to_bytes(2, order) + entry(513, 4, 1, start + 30) + entry(514, 4, 1, 6)
    head = kind.encode() + (42).to_bytes(2, order) + (8).to_bytes(4, order)
    return head + first + start.to_bytes(4, order) + second + bytes(4) + b"SECRET"


def jpeg_bytes(image, **arguments):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **arguments)
    return buffer.getvalue()


def smooth(height=60, width=88):
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([2 * x, 3 * y, x + y], axis=-1).astype(np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("source", "target"),
    [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tif"), ("JPEG", "png")],
)
def test_orientation_is_applied_once(tmp_path, source, target, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    exif[0x010E] = "a description"
    options = {"lossless": True} if source == "WEBP" else {}
    smooth().save(tmp_path / "in.x", source, exif=exif, dpi=(300, 150), **options)
    reference = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "in.x")).convert("RGB"))
    photograph = read_photograph(tmp_path / "in.x")
    assert photograph.size == ((60, 88) if orientation < 5 else (88, 60))
    assert np.abs(photograph.rgb.astype(int) - reference).max() <= 1  # two JPEG libraries
    mask = np.zeros(photograph.size, np.uint8)
    write_photograph(tmp_path / f"out.{target}", photograph, photograph.rgb, mask)
    with Image.open(tmp_path / f"out.{target}") as image:
        assert image.getexif().get(274, 1) == 1
        assert target == "tif" or image.getexif()[0x010E] == "a description"
        if target != "webp" and source != "WEBP":
            wanted = (300, 150) if orientation < 5 else (150, 300)
            assert np.allclose([float(dots) for dots in image.info["dpi"]], wanted, atol=0.02)
        back = np.asarray(image.convert("RGB")).astype(int)
    # JPEG again with the same tables: rounding only; the others exactly.
    assert np.abs(back - photograph.rgb).max() <= (6 if target == "jpg" else 0)


@pytest.mark.parametrize("kind", ["II", "MM"])
def test_exif_keeps_all_but_orientation_and_thumbnail(tmp_path, kind):
    block = exif_block(6, kind)
    (tmp_path / "in.jpg").write_bytes(jpeg_bytes(smooth(), exif=b"Exif\0\0" + block))
    photograph = read_photograph(tmp_path / "in.jpg")
    mask = np.zeros(photograph.size, np.uint8)
    for ending in (".jpg", ".png", ".webp"):
        write_photograph(tmp_path / f"out{ending}", photograph, photograph.rgb, mask)
        assert b"SECRET" not in (tmp_path / f"out{ending}").read_bytes()
        with Image.open(tmp_path / f"out{ending}") as image:
            assert image.getexif()[274] == 1 and image.getexif()[0x010E] == "abc"
            assert not image.getexif().get_ifd(1)
    kept = exif_block(1, kind)
    same = sum(a == b for a, b in zip(photograph.exif, kept))
    assert len(photograph.exif) == len(kept) and same >= len(kept) - 4 - 6  # link, thumbnail


@pytest.mark.parametrize(
    "block", [b"", b"II", b"nonsense", exif_block(6)[:20], b"MM\0*\xff\xff\xff\xff"]
)
def test_broken_exif_is_dropped(block):
    assert photographs._neutral_exif(block) is None


def test_jpeg_tables_sampling_and_profile_are_kept(tmp_path):
    for sampling, progressive, quality in ((0, False, 61), (1, True, 77), (2, False, 90)):
        source = jpeg_bytes(
            smooth(),
            quality=quality,
            subsampling=sampling,
            progressive=progressive,
            icc_profile=PROFILE,
        )
        (tmp_path / "in.jpg").write_bytes(source)
        photograph = read_photograph(tmp_path / "in.jpg")
        mask = np.zeros(photograph.size, np.uint8)
        mask[10:30, 20:40] = 1
        write_photograph(tmp_path / "out.jpg", photograph, 255 - photograph.rgb, mask)
        with Image.open(tmp_path / "in.jpg") as before, Image.open(tmp_path / "out.jpg") as after:
            assert after.quantization == before.quantization
            assert [layer[1:3] for layer in after.layer] == [layer[1:3] for layer in before.layer]
            assert after.info.get("progressive") == before.info.get("progressive")
            assert after.info["icc_profile"] == PROFILE
        after = read_photograph(tmp_path / "out.jpg").rgb.astype(int)
        far = np.ones(photograph.size, bool)
        far[:48, :64] = False  # blocks of 16 that touch the hole
        assert np.abs(after - photograph.rgb)[far].max() <= 6  # same tables: rounding only
        assert np.abs(after - photograph.rgb)[12:28, 22:38].mean() > 30  # the hole was filled


def test_gray_jpeg_keeps_gray(tmp_path):
    (tmp_path / "in.jpg").write_bytes(jpeg_bytes(smooth().convert("L"), quality=70))
    photograph = read_photograph(tmp_path / "in.jpg")
    write_photograph(tmp_path / "out.jpg", photograph, *fill_for(photograph))
    with Image.open(tmp_path / "in.jpg") as before, Image.open(tmp_path / "out.jpg") as after:
        assert after.mode == "L" and after.quantization == before.quantization


def test_cmyk_says_so_and_loses_its_profile(tmp_path):
    image = smooth().convert("CMYK")
    (tmp_path / "in.jpg").write_bytes(jpeg_bytes(image, quality=95, icc_profile=PROFILE))
    photograph = read_photograph(tmp_path / "in.jpg")
    assert photograph.note == "CMYK converted to RGB" and photograph.profile is None
    with Image.open(tmp_path / "in.jpg") as reference:
        assert np.array_equal(photograph.rgb, np.asarray(reference.convert("RGB")))
    write_photograph(tmp_path / "out.jpg", photograph, *fill_for(photograph))
    assert read_photograph(tmp_path / "out.jpg").mode == "RGB"


def test_png_colour_chunks_are_kept_and_xmp_is_not(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", (45455).to_bytes(4, "big"))
    info.add_itxt("XML:com.adobe.xmp", "<x tiff:Orientation='6'/>")
    smooth().save(tmp_path / "in.png", pnginfo=info)
    photograph = read_photograph(tmp_path / "in.png")
    write_photograph(tmp_path / "out.png", photograph, *fill_for(photograph))
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["gamma"] == 0.45455 and image.size == photograph.size[::-1]
        assert "xmp" not in image.info and "XML:com.adobe.xmp" not in image.info


def test_gray_profile_does_not_go_into_rgb(tmp_path):
    photograph = make("L", 8)
    write_photograph(tmp_path / "x.webp", photograph, *fill_for(photograph))
    write_photograph(tmp_path / "x.png", photograph, *fill_for(photograph))
    assert read_photograph(tmp_path / "x.webp").profile is None
    assert read_photograph(tmp_path / "x.png").profile == GRAY_PROFILE


def test_transparent_colour_becomes_alpha(tmp_path):
    pixels = np.asarray(smooth()).copy()
    pixels[:9] = (1, 2, 3)
    Image.fromarray(pixels).save(tmp_path / "x.png", transparency=(1, 2, 3))
    photograph = read_photograph(tmp_path / "x.png")
    assert photograph.mode == "RGBA" and "transparent" in photograph.note
    assert np.array_equal(photograph.pixels[..., 3] == 0, (pixels == (1, 2, 3)).all(axis=2))
    assert np.array_equal(photograph.rgb, pixels)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_first_of_several_frames_with_a_note(tmp_path, kind):
    frames = [Image.fromarray(np.full((20, 30, 3), level, np.uint8)) for level in (10, 200)]
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(tmp_path / "x", kind, save_all=True, append_images=frames[1:], **options)
    photograph = read_photograph(tmp_path / "x")
    assert (photograph.rgb == 10).all()
    assert photograph.note == "first of 2 frames or pages"


def test_rgb_is_no_copy_and_read_only(tmp_path):
    smooth().save(tmp_path / "x.png")
    photograph = read_photograph(tmp_path / "x.png")
    assert np.shares_memory(photograph.rgb, photograph.pixels)
    with pytest.raises(ValueError, match="read-only"):
        photograph.rgb[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        photograph.mode = "L"


def test_tiny_photographs_and_wrong_endings(tmp_path):
    Image.fromarray(np.full((1, 1, 3), 7, np.uint8)).save(tmp_path / "png.jpg", "PNG")
    photograph = read_photograph(tmp_path / "png.jpg")
    assert photograph.size == (1, 1) and photograph.format == "PNG"
    write_photograph(
        tmp_path / "y.png", photograph, np.full((1, 1, 3), 9, np.uint8), np.ones((1, 1), np.uint8)
    )
    assert (read_photograph(tmp_path / "y.png").rgb == 9).all()


def test_what_cannot_be_written(tmp_path):
    photograph = make("RGB", 8)
    filled, mask = fill_for(photograph)
    with pytest.raises(UserError, match=r"x\.gif: end its name in one of \.jpg"):
        write_photograph(tmp_path / "x.gif", photograph, filled, mask)
    with pytest.raises(UserError, match=r"the fill has 40x300 pixels but made\.png has 41x300"):
        write_photograph(tmp_path / "x.png", photograph, filled[:, 1:], mask[:, 1:])
    with pytest.raises(UserError, match="got float32"):
        write_photograph(tmp_path / "x.png", photograph, filled.astype(np.float32), mask)
    wide = make("L", 8, 1, 20000)
    with pytest.raises(UserError, match="16383"):
        write_photograph(tmp_path / "x.webp", wide, *fill_for(wide))
    assert os.listdir(tmp_path) == []


class _Full(io.FileIO):
    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("ending", [*LOSSLESS, ".jpg"])
@pytest.mark.parametrize("where", ["write", "rename"])
def test_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, ending, where):
    path = tmp_path / f"x{ending}"
    path.write_bytes(b"old")
    photograph = make("RGB", 8)
    filled, mask = fill_for(photograph)
    if where == "write":
        real = builtins.open
        monkeypatch.setattr(
            builtins,
            "open",
            lambda file, mode="r", *a: _Full(file, "w") if "w" in mode else real(file, mode, *a),
        )
    else:

        def refuse(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match="the disk is full"):
        write_photograph(path, photograph, filled, mask)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == [path.name] and path.read_bytes() == b"old"


def test_luma_keeps_gray_and_rounds():
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(photographs.luma(np.stack([levels] * 3, axis=-1)), levels)
    rgb = noise((500, 3))
    twin = rgb @ np.array([0.299, 0.587, 0.114])
    # Weights in units of 2**-16 shift the sum by at most 255 * 3 * 2**-17.
    assert np.abs(photographs.luma(rgb) - twin).max() <= 0.506


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tif", "webp"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_mask_of_any_mode(tmp_path, mode, ending):
    hole = np.zeros((48, 64), bool)
    hole[8:24, 16:40] = True
    image = Image.fromarray(hole.astype(np.uint8) * 255).convert("L").convert(mode)
    try:
        image.save(tmp_path / f"m.{ending}", **({"lossless": True} if ending == "webp" else {}))
    except OSError:
        pytest.skip(f"Pillow writes no {mode} {ending}")
    mask = read_mask(tmp_path / f"m.{ending}", size=(48, 64))
    assert mask.dtype == np.uint8 and np.array_equal(mask, hole)
    inverted = read_mask(tmp_path / f"m.{ending}", invert=True)
    assert np.array_equal(inverted, ~hole)


def test_mask_threshold_of_8_and_16_bits(tmp_path):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    images.write_png(tmp_path / "m.png", levels)
    assert np.array_equal(read_mask(tmp_path / "m.png"), levels > 127)
    cv2.imwrite(str(tmp_path / "d.png"), levels.astype(np.uint16) * 257)
    assert np.array_equal(read_mask(tmp_path / "d.png"), levels > 127)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_mask_drawn_on_a_transparent_layer(tmp_path, mode):
    alpha = np.zeros((20, 30), np.uint8)
    alpha[3:9, 4:11] = 255
    for level in (0, 255):  # black or white strokes, one colour everywhere
        image = Image.new("LA" if mode == "LA" else "RGBA", (30, 20), level)
        image.putalpha(Image.fromarray(alpha))
        if mode == "P":
            image = Image.fromarray(alpha // 255)
            image.putpalette([level] * 6)
        image.save(tmp_path / "m.png", **({"transparency": b"\0\xff"} if mode == "P" else {}))
        assert np.array_equal(read_mask(tmp_path / "m.png"), alpha == 255)
    if mode == "RGBA":  # colours vary: they count, alpha does not
        pixels = np.zeros((20, 30, 4), np.uint8)
        pixels[:5] = 255
        Image.fromarray(pixels).save(tmp_path / "m.png")
        assert np.array_equal(read_mask(tmp_path / "m.png"), pixels[..., 0] == 255)


def test_mask_orientation_and_size_error(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.new("L", (30, 20), 255).save(tmp_path / "m.png", exif=exif)
    assert read_mask(tmp_path / "m.png", size=(30, 20)).all()
    with pytest.raises(UserError, match=r"m\.png has 20x30 pixels but cat\.jpg has 30x20"):
        read_mask(tmp_path / "m.png", size=(20, 30), of="cat.jpg")


@pytest.mark.parametrize("dilate", [0, 1, 2, 5])
def test_dilation_twin(tmp_path, dilate):
    hole = noise((30, 40), seed=5) > 252
    images.write_png(tmp_path / "m.png", hole.astype(np.uint8) * 255)
    points = np.argwhere(hole)
    twin = [
        [((points - (y, x)) ** 2).sum(axis=1).min() <= dilate**2 for x in range(40)]
        for y in range(30)
    ]
    assert np.array_equal(read_mask(tmp_path / "m.png", dilate=dilate), twin)


def test_dilation_of_nothing_and_everything(tmp_path):
    for level in (0, 255):
        images.write_png(tmp_path / "m.png", np.full((9, 9), level, np.uint8))
        assert (read_mask(tmp_path / "m.png", dilate=3) == level // 255).all()
    with pytest.raises(UserError, match="-1"):
        read_mask(tmp_path / "m.png", dilate=-1)


def test_coverage_warning():
    mask = np.zeros((10, 10), np.uint8)
    mask[:5] = 1
    assert photographs.coverage_warning(mask, "m.png") is None
    mask[5, 0] = 1
    text = photographs.coverage_warning(mask, "m.png")
    assert "m.png marks 51%" in text and "--invert_mask" in text
