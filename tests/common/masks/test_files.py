"""Mask files: reading of any mode, folders of them, sources."""

from __future__ import annotations

import pathlib

import cv2
import numpy as np
import pytest
from PIL import Image

from common.errors import UserError
from common.images import convert
from common.masks import files as mask_files
from common.masks.files import read_mask


def noise(shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def _write(path: pathlib.Path, grey: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(path.suffix, grey)[1].tofile(str(path))


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
    convert.write_png(tmp_path / "m.png", levels)
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
    convert.write_png(tmp_path / "m.png", hole.astype(np.uint8) * 255)
    points = np.argwhere(hole)
    twin = [
        [((points - (y, x)) ** 2).sum(axis=1).min() <= dilate**2 for x in range(40)]
        for y in range(30)
    ]
    assert np.array_equal(read_mask(tmp_path / "m.png", dilate=dilate), twin)


def test_dilation_of_nothing_and_everything(tmp_path):
    for level in (0, 255):
        convert.write_png(tmp_path / "m.png", np.full((9, 9), level, np.uint8))
        assert (read_mask(tmp_path / "m.png", dilate=3) == level // 255).all()


def test_coverage_warning():
    mask = np.zeros((10, 10), np.uint8)
    mask[:5] = 1
    assert mask_files.coverage_warning(mask, "m.png") is None
    mask[5, 0] = 1
    text = mask_files.coverage_warning(mask, "m.png")
    assert "m.png marks 51%" in text and "--invert_mask" in text


@pytest.fixture
def folder(tmp_path):
    """b.png, a/c.bmp and z.JPG, each with a white square of its own size, and a text file."""
    for number, name in enumerate(["b.png", "a/c.bmp", "z.JPG"]):
        grey = np.full((40, 60), 127, np.uint8)
        grey[8 : 16 + 8 * number, 8:16] = 255 if name.endswith("JPG") else 128
        if name.endswith("JPG"):
            grey[grey == 127] = 0
        _write(tmp_path / name, grey)
    (tmp_path / "notes.txt").write_text("not a mask")
    (tmp_path / "._b.png").write_text("what macOS leaves behind")
    return tmp_path


def test_masks_are_sorted_and_white_is_hole(folder):
    loaded = [read_mask(path) for path in mask_files.list_masks(folder)]
    assert [mask.shape for mask in loaded] == [(40, 60)] * 3
    # a/c.bmp, b.png, z.JPG: 127 is known, 128 is hole.
    assert [int(mask.sum()) for mask in loaded] == [16 * 8, 8 * 8, 24 * 8]
    assert all(set(np.unique(mask)) == {0, 1} for mask in loaded)


def test_folder_source(folder):
    source = mask_files.mask_source(folder)
    loaded = [read_mask(path) for path in mask_files.list_masks(folder)]
    for index in range(7):
        assert np.array_equal(source.fixed(index, 40, 60), loaded[index % 3])
    doubled = source.fixed(1, 80, 120)
    assert np.array_equal(doubled, np.repeat(np.repeat(loaded[1], 2, 0), 2, 1))
    drawn = [int(source(40, 60, seed).sum()) for seed in range(90)]
    for mask in loaded:  # 30 of 90 each, standard deviation 4.5, times 4
        assert 12 < drawn.count(int(mask.sum())) < 48
    assert drawn == [int(source(40, 60, seed).sum()) for seed in range(90)]


def test_folder_source_resizes_by_nearest_neighbour(tmp_path):
    """Slow twin: pixel i of n shows pixel floor(i * old / n); noise, blending would show."""
    noise = (np.random.default_rng(3).random((40, 60)) < 0.5).astype(np.uint8)
    _write(tmp_path / "noise.png", noise * 255)
    resized = mask_files.mask_source(tmp_path).fixed(0, 50, 36)
    rows, columns = np.arange(50) * 40 // 50, np.arange(36) * 60 // 36
    assert np.array_equal(resized, noise[rows][:, columns])


def test_folder_source_returns_fresh_arrays_and_bounds_its_cache(folder, monkeypatch):
    monkeypatch.setattr(mask_files, "_CACHED_MASKS", 2)
    source = mask_files.mask_source(str(folder))
    source.fixed(0, 40, 60)[:] = 1
    assert source.fixed(0, 40, 60).sum() == 16 * 8
    for index in range(3):
        source.fixed(index, 40, 60)
    assert source._packed.cache_info().currsize == 2


def test_folder_source_skips_files_without_a_hole(tmp_path):
    grey = np.zeros((20, 20), np.uint8)
    _write(tmp_path / "empty.png", grey)
    _write(tmp_path / "full.png", grey + 255)
    with pytest.raises(UserError, match="20x20"):
        mask_files.mask_source(tmp_path)(20, 20, 0)
    grey[5:9, 5:9] = 255
    _write(tmp_path / "square.png", grey)
    source = mask_files.mask_source(tmp_path)
    assert {int(source(20, 20, seed).sum()) for seed in range(30)} == {16}
    for index, name in enumerate(["empty.png", "full.png"]):
        with pytest.raises(UserError, match=name):
            source.fixed(index, 20, 20)


@pytest.mark.parametrize("kind", mask_files.KINDS)
def test_fixed_of_a_random_kind_is_the_seed(kind):
    source = mask_files.mask_source(kind)
    assert np.array_equal(source.fixed(3, 32, 48), source(32, 48, 3))


def test_template_folder(folder):
    """Blocks 8 wide and 8, 16 or 24 high: no built-in template gives these areas."""
    source = mask_files.mask_source("object", folder)
    areas = [int(source(40, 60, seed).sum()) for seed in range(60)]
    assert max(areas) <= 24 * 8 * 1.1 and min(areas) >= 8 * 8 * 0.64 * 0.85
    assert min(areas) < 70 and max(areas) > 150


def test_any_draws_all_four_kinds():
    """Each mask is that of one of the kinds for the same seed, and none has much more than its share."""
    sources = {
        kind: mask_files.mask_source(kind)
        for kind in ("any", "small", "large", "irregular", "object")
    }
    counts = dict.fromkeys(sources, 0)
    for seed in range(80):
        drawn = {kind: source(48, 64, seed).tobytes() for kind, source in sources.items()}
        mask = drawn.pop("any")
        (kind,) = [kind for kind, other in drawn.items() if other == mask]
        counts[kind] += 1
    assert counts.pop("any") == 0 and min(counts.values()) >= 10 and sum(counts.values()) == 80


def test_errors_name_what_is_wrong(tmp_path):
    with pytest.raises(
        UserError, match=r"'huge'.*small, large, irregular, object, mixed, union, any"
    ):
        mask_files.mask_source("huge")
    with pytest.raises(UserError, match="no-such-folder"):
        mask_files.list_masks(tmp_path / "no-such-folder")
    with pytest.raises(UserError, match="no image"):
        mask_files.mask_source(tmp_path)
    with pytest.raises(UserError, match="object, mixed, union, any"):
        mask_files.mask_source("small", tmp_path)
    for name, content in [("broken.png", b"\x89PNG not really"), ("empty.png", b"")]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            read_mask(tmp_path / name)
