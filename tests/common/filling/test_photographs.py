"""A user's photograph through every mode and format, its metadata, failures."""

from __future__ import annotations

import dataclasses
import errno
import io
import os
import pathlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from common.errors import UserError
from common.filling import photographs
from common.filling.photographs import read_photograph, write_photograph

HEIGHT, WIDTH = 90, 41  # no multiples of 8
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GRAY_PROFILE = PROFILE[:16] + b"GRAY" + PROFILE[20:]
ALL = [
    ("1", 8),
    ("L", 8),
    ("LA", 8),
    ("P", 8),
    ("RGB", 8),
    ("RGBA", 8),
    ("L", 16),
    ("RGB", 16),
    ("RGBA", 16),
]
LOSSLESS = [".png", ".tif", ".bmp", ".webp"]


def noise(shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def make(mode, depth, height=HEIGHT, width=WIDTH):
    """A photograph as if read from a PNG file."""
    dtype = np.uint16 if depth == 16 else np.uint8
    channels = () if mode in ("1", "P") or len(mode) == 1 else (len(mode),)
    pixels = noise((height, width, *channels), dtype)
    if mode == "1":
        pixels = pixels > 127
    return photographs.Photograph(
        pixels=pixels,
        mode=mode,
        palette=noise(768, seed=1).tobytes() if mode == "P" else None,
        note="",
        name="made.png",
        metadata={
            "icc_profile": GRAY_PROFILE if mode in ("1", "L", "LA") else PROFILE,
            "dpi": (300.0, 150.0),
        },
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
        pixels = np.frombuffer(photograph.palette, np.uint8).reshape(-1, 3)[pixels]
    if photograph.mode == "1":
        pixels = pixels * np.uint8(255)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] < 3:
        pixels = np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:]], axis=2)
    if pixels.shape[2] == 3:
        pixels = np.concatenate([pixels, np.full_like(pixels[..., :1], full)], axis=2)
    return pixels


def check_fill(photograph, colour, found):
    """Slow twin: one RGB colour in the photograph's mode against the RGBA levels found."""
    red, green, blue = map(int, colour)
    gray = 0.299 * red + 0.587 * green + 0.114 * blue
    if photograph.mode == "P":
        entries = np.frombuffer(photograph.palette, np.uint8).reshape(-1, 3).astype(int)
        assert (entries == found[:3]).all(axis=1).any()
        nearest = np.linalg.norm(entries - colour, axis=1).min()
        # Pillow looks up one entry for a box of 4 levels a side, so at most 3.5 off.
        assert np.linalg.norm(found[:3].astype(int) - colour) <= nearest + 2 * 3.5
        return
    if photograph.mode == "1":
        # From 127.5 to 128, and 0.006 for the weights, rounding decides.
        undecided = abs(gray - 127.75) <= 0.256 and found[0] in (0, 255)
        gray = found[0] if undecided else 255 * (gray > 127.75)
    rgb = (red, green, blue) if photograph.mode.startswith("RGB") else (gray,) * 3
    unit = 257 if photograph.depth == 16 else 1
    difference = np.abs(np.array([*rgb, 255]) * unit - found)
    # Gray is rounded, after a sum with weights in units of 2**-16.
    assert difference.max() <= (0.506 * unit if photograph.mode in ("L", "LA") else 0)


@pytest.mark.parametrize("ending", LOSSLESS)
@pytest.mark.parametrize(("mode", "depth"), ALL)
def test_lossless_round_trip(tmp_path, mode, depth, ending):
    photograph = make(mode, depth)
    filled, mask = fill_for(photograph)
    path = tmp_path / f"out{ending}"
    if (depth == 16 and ending in (".bmp", ".webp")) or (ending == ".bmp" and "A" in mode):
        with pytest.raises(UserError, match=r"cannot write .*out\.\w+: made\.png has .* write a"):
            write_photograph(path, photograph, filled, mask)
        assert os.listdir(tmp_path) == []
        return
    write_photograph(path, photograph, filled, mask)
    assert os.listdir(tmp_path) == [path.name]
    back = read_photograph(path)
    before, after = as_rgba(photograph), as_rgba(back)
    assert after.dtype == before.dtype
    assert np.array_equal(after[mask == 0], before[mask == 0])
    for row, column in np.argwhere(mask)[::23]:
        check_fill(photograph, filled[row, column], after[row, column])
    with Image.open(path) as image:
        assert image.format == photographs.output_format(path)
    if ending != ".webp":
        assert back.mode == photograph.mode
    metadata = {} if depth == 16 and mode != "L" else photograph.metadata
    if ending != ".bmp":
        gray_lost = mode in ("1", "L", "LA") and ending == ".webp"
        wanted = None if gray_lost else metadata.get("icc_profile")
        assert back.metadata.get("icc_profile") == wanted
    if ending != ".webp" and metadata:
        assert np.allclose(back.metadata["dpi"], metadata["dpi"], atol=0.02)  # whole pixels a metre


@pytest.mark.parametrize(("mode", "depth"), [a for a in ALL if a[1] == 8])
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_pillow_reads_what_is_written(tmp_path, mode, depth, ending):
    photograph = make(mode, depth)
    write_photograph(tmp_path / f"x{ending}", photograph, *fill_for(photograph))
    with Image.open(tmp_path / f"x{ending}") as image:
        image.load()
        assert image.mode == mode
        assert image.info["icc_profile"] == photograph.metadata["icc_profile"]
        back = np.asarray(image)
    ours = read_photograph(tmp_path / f"x{ending}").pixels
    assert np.array_equal(back, ours)


@pytest.mark.parametrize(("mode", "ending"), [("L", ".png"), ("RGB", ".tif"), ("RGBA", ".png")])
def test_opencv_reads_the_same_16_bits(tmp_path, mode, ending):
    photograph = make(mode, 16)
    mask = np.zeros(photograph.size, np.uint8)
    write_photograph(tmp_path / f"x{ending}", photograph, noise((*mask.shape, 3)), mask)
    back = cv2.imread(str(tmp_path / f"x{ending}"), cv2.IMREAD_UNCHANGED)
    swap = {"L": slice(None), "RGB": [2, 1, 0], "RGBA": [2, 1, 0, 3]}[mode]
    assert np.array_equal(back if mode == "L" else back[..., swap], photograph.pixels)


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
    with pytest.raises(UserError, match=r"has 16 bits per channel and JPEG keeps 8; write a \.png"):
        write_photograph(tmp_path / "x.jpg", photograph, *fill_for(photograph))


def test_transparent_palette_becomes_rgba(tmp_path):
    palette, pixels = noise((200, 4), seed=1), noise((HEIGHT, WIDTH)) % np.uint8(200)
    image = Image.fromarray(pixels)
    image.putpalette(palette[:, :3].tobytes())
    image.save(tmp_path / "in.png", transparency=palette[:, 3].tobytes())
    photograph = read_photograph(tmp_path / "in.png")
    assert photograph.mode == "RGBA" and "transparent" in photograph.note
    filled, mask = fill_for(photograph)
    write_photograph(tmp_path / "x.png", photograph, filled, mask)
    after = as_rgba(read_photograph(tmp_path / "x.png"))
    assert np.array_equal(after[mask == 0], palette[pixels][mask == 0])
    assert (after[mask == 1, 3] == 255).all()


def test_hole_of_nothing_and_everything(tmp_path):
    photograph = make("RGB", 8)
    filled, _ = fill_for(photograph)
    for level, wanted in ((0, photograph.rgb), (255, filled)):
        mask = np.full(photograph.size, level, np.uint8)
        write_photograph(tmp_path / "x.png", photograph, filled, mask)
        assert np.array_equal(read_photograph(tmp_path / "x.png").rgb, wanted)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_short_palettes(tmp_path, bits):
    """Entries that the file does not define must not turn up in the hole, whatever its colour."""
    pixels = noise((20, 30)) % np.uint8(min(2**bits, 11))
    image = Image.fromarray(pixels)
    image.putpalette(noise(3 * min(2**bits, 11), seed=1).tobytes())
    image.save(tmp_path / "in.png", bits=bits)
    photograph = read_photograph(tmp_path / "in.png")
    assert photograph.mode == "P" and np.array_equal(photograph.rgb, image.convert("RGB"))
    filled, mask = fill_for(photograph)
    write_photograph(tmp_path / "out.png", photograph, filled // 9, mask)
    after = read_photograph(tmp_path / "out.png").rgb
    assert np.array_equal(after[mask == 0], photograph.rgb[mask == 0])


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
    assert np.array_equal(photograph.rgb, reference)
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
            assert image.size == (60, 88)
            assert image.getexif().get(274, 1) == 1 and image.getexif()[0x010E] == "abc"
            assert not image.getexif().get_ifd(1)


def test_exif_keeps_camera_settings_and_place(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x829A] = 0.004  # exposure time
    exif.get_ifd(0x8825)[1] = "N"  # hemisphere
    exif[274] = 3
    (tmp_path / "in.jpg").write_bytes(jpeg_bytes(smooth(), exif=exif))
    photograph = read_photograph(tmp_path / "in.jpg")
    write_photograph(tmp_path / "out.jpg", photograph, *fill_for(photograph))
    with Image.open(tmp_path / "out.jpg") as image:
        found = image.getexif()
        assert found.get_ifd(0x8769)[0x829A] == pytest.approx(0.004)
        assert found.get_ifd(0x8825)[1] == "N" and 274 not in found


def test_exif_too_long_for_jpeg_is_dropped(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "x" * 70000
    smooth().save(tmp_path / "in.png", exif=exif)
    photograph = read_photograph(tmp_path / "in.png")
    write_photograph(tmp_path / "out.jpg", photograph, *fill_for(photograph))
    assert "exif" not in read_photograph(tmp_path / "out.jpg").metadata


def test_16_bit_colour_says_what_it_loses(tmp_path):
    image = np.repeat(noise((20, 30, 1), np.uint16), 3, axis=2)
    tifffile = pytest.importorskip("tifffile")  # comes with scikit-image
    tifffile.imwrite(tmp_path / "in.tif", image, photometric="rgb", iccprofile=PROFILE)
    photograph = read_photograph(tmp_path / "in.tif")
    assert photograph.note.startswith("16-bit colour loses its icc_profile")
    write_photograph(tmp_path / "out.tif", photograph, *fill_for(photograph))
    assert read_photograph(tmp_path / "out.tif").note == ""


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
    assert photograph.note == "CMYK converted to RGB" and "icc_profile" not in photograph.metadata
    with Image.open(tmp_path / "in.jpg") as reference:
        assert np.array_equal(photograph.rgb, np.asarray(reference.convert("RGB")))
    write_photograph(tmp_path / "out.jpg", photograph, *fill_for(photograph))
    assert read_photograph(tmp_path / "out.jpg").mode == "RGB"


def test_xmp_is_dropped(tmp_path):
    """It may repeat the orientation that was applied."""
    xmp = b"<x tiff:Orientation='6'/>"
    for ending in ("png", "webp", "jpg", "tif"):
        smooth().save(tmp_path / f"in.{ending}", xmp=xmp)
        photograph = read_photograph(tmp_path / f"in.{ending}")
        write_photograph(tmp_path / f"out.{ending}", photograph, *fill_for(photograph))
        assert b"tiff:Orientation" not in (tmp_path / f"out.{ending}").read_bytes()
        assert read_photograph(tmp_path / f"out.{ending}").size == photograph.size


def test_gray_profile_does_not_go_into_rgb(tmp_path):
    photograph = make("L", 8)
    write_photograph(tmp_path / "x.webp", photograph, *fill_for(photograph))
    write_photograph(tmp_path / "x.png", photograph, *fill_for(photograph))
    assert "icc_profile" not in read_photograph(tmp_path / "x.webp").metadata
    assert read_photograph(tmp_path / "x.png").metadata["icc_profile"] == GRAY_PROFILE


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
    assert photograph.size == (1, 1)
    write_photograph(
        tmp_path / "y.png", photograph, np.full((1, 1, 3), 9, np.uint8), np.ones((1, 1), np.uint8)
    )
    assert (read_photograph(tmp_path / "y.png").rgb == 9).all()


def test_what_cannot_be_written(tmp_path):
    photograph = make("RGB", 8)
    filled, mask = fill_for(photograph)
    with pytest.raises(UserError, match=r"x\.gif: end its name in one of \.jpg"):
        write_photograph(tmp_path / "x.gif", photograph, filled, mask)
    with pytest.raises(UserError, match=r"the fill has 40x90 pixels but made\.png has 41x90"):
        write_photograph(tmp_path / "x.png", photograph, filled[:, 1:], mask[:, 1:])
    with pytest.raises(UserError, match="got float32"):
        write_photograph(tmp_path / "x.png", photograph, filled.astype(np.float32), mask)
    wide = make("L", 8, 1, 20000)
    with pytest.raises(UserError, match="16383"):
        write_photograph(tmp_path / "x.webp", wide, *fill_for(wide))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", [*LOSSLESS, ".jpg"])
@pytest.mark.parametrize("where", ["write", "rename"])
def test_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, ending, where):
    path = tmp_path / f"x{ending}"
    path.write_bytes(b"old")
    photograph = make("RGB", 8)

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    filled, mask = fill_for(photograph)
    if where == "write":
        monkeypatch.setattr(pathlib.Path, "write_bytes", refuse)
    else:
        monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match="the disk is full"):
        write_photograph(path, photograph, filled, mask)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == [path.name] and path.read_bytes() == b"old"


@pytest.mark.parametrize("dpi", [(1e9, 300), (300, 1e9)])
def test_a_resolution_that_no_file_can_hold_is_left_out(tmp_path, dpi):
    Image.fromarray(noise((4, 5, 3))).save(tmp_path / "in.tif", dpi=dpi)
    photograph = photographs.read_photograph(tmp_path / "in.tif")
    assert "dpi" not in photograph.metadata
    filled, mask = fill_for(photograph)
    for name in ("out.png", "out.jpg", "out.tif"):
        photographs.write_photograph(tmp_path / name, photograph, filled, mask)
        assert (tmp_path / name).is_file()
