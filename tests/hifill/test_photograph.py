"""Photographs of any size, with a stand-in for the generator: windows, known pixels, leaks, wrong arguments."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest

from common.errors import UserError
from hifill import PAPER, photograph

CONFIG = dataclasses.replace(PAPER, size=64, channels=4)
GRID = CONFIG.grid  # 4
SIZES = [
    (16, 16),
    (17, 31),
    (33, 500),
    (512, 512),
    (700, 513),
    (300, 1000),
    (64, 64),
    (100, 100),
]


class Generator:
    """Fills the hole with the mean of what is known and attends to clean patches evenly; notes its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, image, mask):
        self.calls.append((image, mask))
        known = image[mask[..., 0] == 0]
        mean = known.mean(axis=0) if len(known) else np.zeros(3)
        refined = np.where(mask > 0, mean, image).astype(np.float32)
        grid = image.shape[1] // 16
        clean = ~mask[0, ..., 0].reshape(grid, 16, grid, 16).any(axis=(1, 3)).ravel()
        row = clean / max(1, clean.sum())
        return refined, np.tile(row.astype(np.float32), (1, grid**2, 1))


def _image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _mask(height, width):
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 3 : width // 2] = 1
    return mask


def _inpaint(image, mask, generator=None):
    return photograph.inpaint(generator or Generator(), CONFIG, image, mask)


@pytest.mark.parametrize("height, width", SIZES)
def test_known_pixels_are_untouched_and_the_hole_is_filled(height, width):
    image, mask = _image(height, width), _mask(height, width)
    before = image.copy()
    found = _inpaint(image, mask)
    np.testing.assert_array_equal(image, before)
    assert found.dtype == np.uint8 and found.shape == image.shape
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])
    assert np.mean(found[mask > 0] != image[mask > 0]) > 0.9


@pytest.mark.parametrize("height, width", SIZES)
def test_any_nonzero_level_is_hole(height, width):
    image, mask = _image(height, width), _mask(height, width)
    expected = _inpaint(image, mask)
    for level in (255, 7):
        np.testing.assert_array_equal(_inpaint(image, mask * np.uint8(level)), expected)


@pytest.mark.parametrize("height, width", SIZES)
def test_what_lies_under_the_hole_is_never_seen(height, width):
    image, mask = _image(height, width), _mask(height, width)
    results = []
    for colour in ((255, 0, 255), (0, 255, 0)):
        image[mask > 0] = colour
        generator = Generator()
        results.append(_inpaint(image, mask, generator))
        results.append(generator.calls[0][0] * (1 - generator.calls[0][1]))
    np.testing.assert_array_equal(results[1], results[3])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("height, width", SIZES)
def test_generator_gets_squares_in_the_unit_range(height, width):
    generator = Generator()
    _inpaint(_image(height, width), _mask(height, width), generator)
    assert len(generator.calls) == 1 or max(height, width) > photograph.THIN * min(height, width)
    for image, mask in generator.calls:
        assert image.shape == (1, 64, 64, 3) and mask.shape == (1, 64, 64, 1)
        assert image.dtype == mask.dtype == np.float32
        assert 0 <= image.min() < image.max() <= 1
        assert set(np.unique(mask)) == {0, 1}


def test_square_is_averaged_as_a_whole():
    """The paper's case: a square whose side is a multiple of the grid, with nothing cut off."""
    image, mask = _image(128, 128), _mask(128, 128)
    generator = Generator()
    _inpaint(image, mask, generator)
    seen, hole = generator.calls[0]
    known = hole[0, ..., 0] == 0
    means = image.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(seen[0][known], means[known], atol=1e-5)
    np.testing.assert_array_equal(hole[0, ..., 0], mask.reshape(64, 2, 64, 2).max(axis=(1, 3)))


def test_constant_photograph_stays_constant():
    image = np.full((100, 150, 3), 90, np.uint8)
    np.testing.assert_array_equal(_inpaint(image, _mask(100, 150)), image)


@pytest.mark.parametrize("height, width", SIZES)
def test_one_pixel_hole(height, width):
    image = _image(height, width)
    for row, column in ((0, 0), (height - 1, width - 1), (height // 2, 0)):
        mask = np.zeros((height, width), np.uint8)
        mask[row, column] = 1
        found = _inpaint(image, mask)
        assert np.count_nonzero((found != image).any(axis=2)) <= 1
        np.testing.assert_array_equal(found[mask == 0], image[mask == 0])


@pytest.mark.parametrize("height, width", SIZES)
def test_one_known_pixel(height, width):
    image, mask = _image(height, width), np.ones((height, width), np.uint8)
    mask[height // 2, width // 2] = 0
    found = _inpaint(image, mask)
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])


@pytest.mark.parametrize("height, width", SIZES)
def test_scratches_through_every_patch(height, width):
    image, mask = _image(height, width), np.zeros((height, width), np.uint8)
    mask[:, ::3] = 1
    found = _inpaint(image, mask)
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])


@pytest.mark.parametrize("height, width", SIZES)
def test_empty_mask_returns_a_copy(height, width):
    image, generator = _image(height, width), Generator()
    found = _inpaint(image, np.zeros((height, width), np.uint8), generator)
    np.testing.assert_array_equal(found, image)
    assert not np.shares_memory(found, image) and not generator.calls


def test_pixels_outside_the_window_do_not_matter():
    image, mask = _image(80, 400), np.zeros((80, 400), np.uint8)
    mask[30:50, 300:320] = 1
    top, left, side = photograph.choose_window(mask > 0, GRID)
    other = _image(80, 400, seed=1)
    window = slice(top, top + side), slice(left, left + side)
    other[window] = image[window]
    assert side == 80 and left > 200
    found = [_inpaint(x, mask)[mask > 0] for x in (image, other)]
    np.testing.assert_array_equal(*found)


def test_memory_layout_does_not_matter():
    image, mask = _image(100, 150), _mask(100, 150)
    expected = _inpaint(image, mask)
    fortran = np.asfortranarray(image), np.asfortranarray(mask)
    views = np.repeat(image, 2, axis=1)[:, ::2], np.repeat(mask, 2, axis=0)[::2]
    flipped = np.ascontiguousarray(image[::-1])[::-1], np.ascontiguousarray(mask[::-1])[::-1]
    frozen = image.copy(), mask.copy()
    for array in frozen:
        array.setflags(write=False)
    for other in (fortran, views, flipped, frozen):
        np.testing.assert_array_equal(_inpaint(*other), expected)


@pytest.mark.parametrize("seed", range(60))
def test_window_contains_the_hole_and_lies_inside_if_it_fits(seed):
    rng = np.random.default_rng(seed)
    grid = int(rng.choice([4, 16, 32]))
    height, width = (int(side) for side in rng.integers(16, 700, 2))
    hole = np.zeros((height, width), bool)
    reach = (8, 60, 700)[seed % 3]
    for _ in range(rng.integers(1, 3)):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        hole[top : top + rng.integers(1, reach), left : left + rng.integers(1, reach)] = True
    top, left, side = photograph.choose_window(hole, grid)
    assert side > 0 and side % grid == 0 and min(top, left) >= 0
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    for start, inside, length in ((top, rows, height), (left, columns, width)):
        assert start <= inside[0] and inside[-1] < start + side
        assert start == 0 if side >= length else start + side <= length
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    # Context around the hole, unless the window shows all there is.
    assert extent <= 0.75 * side or side >= max(height, width)
    assert side <= -(-max(height, width) // grid) * grid


@pytest.mark.parametrize(
    "side, size", [(50, 64), (64, 64), (68, 128), (130, 128), (255, 128), (256, 64), (300, 64)]
)
@pytest.mark.parametrize("enlarge", [False, True])
def test_medium_windows_are_generated_at_the_large_size(side, size, enlarge):
    """Between S = 64 and 4 S. The window then lies as for a configuration of that size alone."""
    image, mask, generator = _image(side, side + 7), _mask(side, side + 7), Generator()
    config = dataclasses.replace(CONFIG, large_size=128, enlarge=enlarge)
    found = photograph.inpaint(generator, config, image, mask)
    ((seen, _),) = generator.calls
    assert seen.shape == (1, size, size, 3)
    alone = dataclasses.replace(CONFIG, size=size, enlarge=enlarge)
    np.testing.assert_array_equal(found, photograph.inpaint(Generator(), alone, image, mask))


def test_several_windows_are_generated_at_the_small_size():
    """Along a thin photograph: at the large size they would take more memory than a square photograph."""
    image, mask, generator = _image(16, 3000), _mask(16, 3000), Generator()
    mask[4:8, 100:2900] = 1
    config = dataclasses.replace(CONFIG, large_size=128)
    side, parts = photograph.plan(mask > 0, config.grid)
    assert config.size < side < 4 * config.size and len(parts) > 1
    photograph.inpaint(generator, config, image, mask)
    assert {seen.shape for seen, _ in generator.calls} == {(1, 64, 64, 3)}


@pytest.mark.parametrize("height, width", [(40, 40), (33, 400), (16, 20), (64, 64), (60, 130)])
def test_small_photographs_are_extended_rather_than_enlarged(height, width):
    """The generator then sees every pixel as it is, and what it gives is what is pasted."""
    image, mask, generator = _image(height, width), _mask(height, width), Generator()
    config = dataclasses.replace(CONFIG, enlarge=False)
    found = photograph.inpaint(generator, config, image, mask)
    ((seen, hole),) = generator.calls
    top, left, side = photograph.choose_window(mask > 0, GRID, 64)
    assert side >= 64
    if side == 64:
        rows, columns = slice(top, top + 64), slice(left, left + 64)
        part = image[rows, columns]
        known = np.where(mask[rows, columns, None] > 0, 0, part / 255.0)
        shown = np.where(hole[0] > 0, 0, seen[0])[: part.shape[0], : part.shape[1]]
        np.testing.assert_allclose(shown, known, atol=1e-6)
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])
    assert np.mean(found[mask > 0] != image[mask > 0]) > 0.9


def test_window_is_centred_on_the_hole():
    hole = np.zeros((320, 1000), bool)
    hole[100:140, 500:520] = True
    assert photograph.choose_window(hole, 32) == (0, 350, 320)


@pytest.mark.parametrize(
    "image, mask, words",
    [
        (np.zeros((40, 40, 3), np.float32), np.ones((40, 40), np.uint8), "float32"),
        (np.full((40, 40, 3), np.nan), np.ones((40, 40), np.uint8), "NaN"),
        (np.zeros((40, 40, 4), np.uint8), np.ones((40, 40), np.uint8), r"\[40, 40, 4\]"),
        (np.zeros((40, 40), np.uint8), np.ones((40, 40), np.uint8), "image"),
        (np.zeros((1, 40, 40, 3), np.uint8), np.ones((40, 40), np.uint8), "image"),
        (np.zeros((40, 40, 3), np.uint8), np.ones((40, 41), np.uint8), "differ"),
        (np.zeros((40, 40, 3), np.uint8), np.ones((40, 40, 1), np.uint8), "mask"),
        (np.zeros((40, 40, 3), np.uint8), np.ones((40, 40), np.float32), "mask"),
        (np.zeros((40, 40, 3), np.uint8), np.full((40, 40), np.nan), "NaN"),
        ([[0]], np.ones((40, 40), np.uint8), "list"),
        (np.zeros((40, 40, 3), np.uint8), None, "NoneType"),
        (np.zeros((40, 40, 3), np.uint8), np.ones((40, 40), np.uint8), "whole image"),
        (np.zeros((40, 40, 3), np.uint8), np.full((40, 40), 255, np.uint8), "whole image"),
        (np.zeros((15, 40, 3), np.uint8), np.eye(15, 40, dtype=np.uint8), "16"),
        (np.zeros((0, 40, 3), np.uint8), np.zeros((0, 40), np.uint8), "empty"),
    ],
)
def test_wrong_arguments_are_errors_of_one_line(image, mask, words):
    with pytest.raises(UserError, match=words) as error:
        _inpaint(image, mask)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("which, words", [(0, "network"), (1, "attention")])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_a_network_gives_must_be_finite(which, words, bad):
    class Broken(Generator):
        def __call__(self, image, mask):
            found = [np.array(x) for x in super().__call__(image, mask)]
            found[which][:] = bad
            return found

    with pytest.raises(UserError, match=f"{words}.*NaN or infinite"):
        _inpaint(_image(64, 64), _mask(64, 64), Broken())


@pytest.mark.default_environment
@pytest.mark.parametrize("height, width", [(16, 6000), (6000, 20), (40, 3000)])
@pytest.mark.parametrize("known", ["both ends", "the end", "the beginning", "the middle"])
def test_windows_of_a_thin_photograph_are_no_larger_than_it(height, width, known):
    image, mask, generator = _image(height, width), np.ones((height, width), np.uint8), Generator()
    along = mask if height > width else mask.T
    length = len(along)
    share = {"both ends": (0.1, 0.9), "the end": (0, 0.9), "the beginning": (0.1, 1)}
    first, stop = (round(length * x) for x in share.get(known, (0, 1)))
    along[:first] = along[stop:] = 0
    if known == "the middle":
        along[length // 2 : length // 2 + 40] = 0
    side, parts = photograph.plan(mask > 0, GRID)
    assert side >= GRID and side**2 <= height * width
    found = _inpaint(image, mask, generator)
    assert len(generator.calls) == len(parts) > 1
    for _, hole in generator.calls:
        assert not hole.all()  # each has something to continue from
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])
    assert np.mean((found != image)[mask > 0]) > 0.9


def test_a_thin_photograph_needs_few_windows():
    """Each costs as much as a whole photograph, so their number decides the time."""
    hole = np.zeros((16, 60000), bool)
    hole[4:12, 1000:59000] = True
    side, parts = photograph.plan(hole, GRID)
    assert len(parts) <= 58000 / (3 / 4 * side) + 1


@pytest.mark.default_environment
@pytest.mark.parametrize("height, width", [(16, 60000), (30000, 200)])
def test_a_thin_photograph_holds_no_more_than_a_square_one_while_the_network_runs(height, width):
    """The network needs most, and a window that is a copy would come on top."""
    side = round((height * width) ** 0.5)
    thin, square = (_held(*size) for size in ((height, width), (side, side)))
    assert thin <= 1.1 * square  # a copy is as large again


def _held(height, width):
    """The most bytes of arrays at a call of the generator."""
    held = []

    class Measuring(Generator):
        def __call__(self, image, mask):
            held.append(tracemalloc.get_traced_memory()[0])
            found = super().__call__(image, mask)
            self.calls.clear()
            return found

    image, mask = _image(height, width), np.zeros((height, width), np.uint8)
    mask[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 1
    tracemalloc.start()
    try:
        _inpaint(image, mask, Measuring())
    finally:
        tracemalloc.stop()
    return max(held)


@pytest.mark.default_environment
def test_the_reflected_part_of_a_hole_is_not_computed(monkeypatch):
    """A thin photograph is a small part of its window; patches beyond it are not pasted."""
    computed = []
    fill = photograph.fill

    def counting(window, hole, *others):
        before = window.copy()
        fill(window, hole, *others)
        computed.append((before != window).any(axis=2))

    monkeypatch.setattr(photograph, "fill", counting)
    image, mask = _image(3000, 40), np.zeros((3000, 40), np.uint8)
    mask[1000:1200, 10:30] = 1
    _inpaint(image, mask)
    (changed,) = computed
    side = len(changed)
    assert (
        changed[:, :40].any() and not changed[:, -(-40 // (side // GRID)) * (side // GRID) :].any()
    )
