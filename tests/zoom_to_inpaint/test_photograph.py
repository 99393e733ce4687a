"""Photographs of any size, with stand-ins for the networks: windows, reduction, leaks, wrong arguments."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import UserError
from zoom_to_inpaint import photograph

SIZES = [(16, 16), (17, 31), (64, 64), (65, 40), (33, 500), (300, 130), (2, 400), (400, 1), (1, 1)]
LARGEST, WINDOW = 64, 16


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    monkeypatch.setattr(photograph, "LARGEST_SIDE", LARGEST)
    monkeypatch.setattr(photograph, "SMALLEST_WINDOW", WINDOW)


class Mean:
    """Fills the hole with the mean of what is known; notes its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, image, mask):
        self.calls.append((image, mask))
        known = image[mask[..., 0] == 0]
        return np.where(mask > 0, self.value(known, image, mask), image).astype(np.float32)

    def value(self, known, image, mask):
        return known.mean(axis=0) if len(known) else np.float32(0)


class Plane(Mean):
    """Continues a linear ramp exactly: fits a plane to the known pixels of each channel."""

    def value(self, known, image, mask):
        rows, columns = np.indices(mask.shape[1:3]).astype(float)
        terms = np.stack([rows, columns, np.ones_like(rows)], axis=-1)
        fitted = np.linalg.lstsq(terms[mask[0, ..., 0] == 0], known, rcond=None)[0]
        return terms[None] @ fitted


def _image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _mask(height, width):
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2 + 1, width // 3 : width // 2 + 1] = 1
    if mask.all():
        mask[0, 0] = 0
    return mask


def _ramp(height, width):
    """Levels that rise to the right and to the bottom, other slopes in each channel."""
    rows, columns = np.indices((height, width)) / max(height, width)
    channels = [100 * rows + 60 * columns, 40 + 90 * columns, 200 - 120 * rows - 30 * columns]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def _inpaint(image, mask, fill=None):
    return photograph.inpaint(fill or Mean(), image, mask)


# Whatever the size.


@pytest.mark.parametrize("height, width", SIZES)
def test_known_pixels_are_untouched_and_the_hole_is_filled(height, width):
    image, mask = _image(height, width), _mask(height, width)
    before = image.copy()
    found = _inpaint(image, mask)
    np.testing.assert_array_equal(image, before)
    assert found.dtype == np.uint8 and found.shape == image.shape
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])
    if mask.sum() > 9:
        assert np.mean(found[mask > 0] != image[mask > 0]) > 0.9
    for level in (255, 7):
        np.testing.assert_array_equal(_inpaint(image, mask * np.uint8(level)), found)


@pytest.mark.parametrize("height, width", SIZES)
def test_what_lies_under_the_hole_is_never_seen(height, width):
    image, mask = _image(height, width), _mask(height, width)
    seen = []
    for colour in ((255, 0, 255), (0, 255, 0)):
        image[mask > 0] = colour
        fill = Mean()
        result = _inpaint(image, mask, fill)
        for image_seen, mask_seen in fill.calls:
            seen.append((result[mask > 0], np.where(mask_seen > 0, 0, image_seen), mask_seen))
    for a, b in zip(*seen) if seen else ():
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("height, width", SIZES)
def test_networks_get_one_image_in_the_unit_range(height, width):
    fill = Mean()
    image, mask = _image(height, width), _mask(height, width)
    _inpaint(image, mask, fill)
    assert len(fill.calls) == mask.any()
    for seen, hole in fill.calls:
        assert seen.dtype == hole.dtype == np.float32
        assert seen.shape[0] == hole.shape[0] == 1 and seen.shape[3] == 3 and hole.shape[3] == 1
        assert seen.shape[1:3] == hole.shape[1:3] and max(seen.shape[1:3]) <= LARGEST
        assert seen.min() >= 0 and seen.max() <= 1
        assert set(np.unique(hole)) == {0, 1}


@pytest.mark.parametrize("height, width", [(64, 64), (64, 3), (5, 40)])
def test_photographs_of_moderate_size_are_seen_as_they_are(height, width):
    fill = Mean()
    image, mask = _image(height, width), _mask(height, width)
    _inpaint(image, mask, fill)
    ((seen, hole),) = fill.calls
    np.testing.assert_array_equal(hole[0, ..., 0], mask)
    known = mask == 0
    np.testing.assert_allclose(seen[0][known] * 255, image[known], atol=1e-4)


@pytest.mark.parametrize("height, width", SIZES)
def test_empty_mask_returns_a_copy(height, width):
    image, fill = _image(height, width), Mean()
    found = _inpaint(image, np.zeros((height, width), np.uint8), fill)
    np.testing.assert_array_equal(found, image)
    assert not np.shares_memory(found, image) and not fill.calls


@pytest.mark.parametrize("height, width", SIZES[:-1])
def test_one_pixel_hole_and_one_known_pixel(height, width):
    image = _image(height, width)
    for row, column in ((0, 0), (height - 1, width - 1), (height // 2, 0)):
        mask = np.zeros((height, width), np.uint8)
        mask[row, column] = 1
        for hole in (mask, 1 - mask):
            found = _inpaint(image, hole)
            np.testing.assert_array_equal(found[hole == 0], image[hole == 0])
        found = _inpaint(np.full_like(image, 90), 1 - mask)
        np.testing.assert_array_equal(found, 90)  # the one known pixel is enough


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


# The window.


def _window(hole):
    rows, columns = photograph.choose_window(hole)
    assert rows.step is None and columns.step is None
    return (rows.start, rows.stop), (columns.start, columns.stop)


@pytest.mark.parametrize("height, width", [(64, 64), (1, 64), (64, 1), (30, 40)])
def test_up_to_the_largest_side_the_window_is_the_whole(height, width):
    for row, column in ((0, 0), (height - 1, width - 1)):
        hole = np.zeros((height, width), bool)
        hole[row, column] = True
        assert _window(hole) == ((0, height), (0, width))


def test_window_is_three_times_the_hole_and_centred_on_it():
    hole = np.zeros((320, 1000), bool)
    hole[100:140, 500:520] = True
    assert _window(hole) == ((60, 180), (450, 570))


def test_small_holes_get_the_smallest_window():
    hole = np.zeros((320, 1000), bool)
    hole[100, 500] = True
    assert _window(hole) == ((92, 108), (492, 508))


@pytest.mark.parametrize("top", [0, 150, 298])
@pytest.mark.parametrize("left", [0, 300, 698])
def test_window_at_corners_and_borders_is_shifted_not_cut(top, left):
    hole = np.zeros((300, 700), bool)
    hole[top : top + 2, left : left + 2] = True
    (first, last), (start, stop) = _window(hole)
    assert last - first == stop - start == WINDOW
    assert first <= top < last - 1 and start <= left < stop - 1
    assert first >= 0 and last <= 300 and start >= 0 and stop <= 700


@pytest.mark.parametrize("seed", range(60))
def test_window_contains_the_hole_and_as_much_context(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 700, 2))
    hole = np.zeros((height, width), bool)
    reach = (2, 60, 700)[seed % 3]
    for _ in range(rng.integers(1, 3)):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        hole[top : top + rng.integers(1, reach), left : left + rng.integers(1, reach)] = True
    inside = [np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0)]
    extent = max(int(np.ptp(positions)) + 1 for positions in inside)
    for (start, stop), positions, length in zip(_window(hole), inside, hole.shape):
        assert 0 <= start <= positions[0] and positions[-1] < stop <= length
        # As much on every side as the hole is long, unless the photograph ends there.
        for context, end in (
            (positions[0] - start, start == 0),
            (stop - 1 - positions[-1], stop == length),
        ):
            assert context >= extent - 1 or end
        assert stop - start >= min(WINDOW, length)
        if max(hole.shape) > LARGEST:
            assert stop - start <= max(WINDOW, 3 * extent)


def test_pixels_outside_the_window_do_not_matter():
    image, mask = _image(80, 400), np.zeros((80, 400), np.uint8)
    mask[30:40, 300:320] = 1
    window = photograph.choose_window(mask > 0)
    other = _image(80, 400, seed=1)
    other[window] = image[window]
    assert window[1].start > 200
    found = [_inpaint(x, mask)[mask > 0] for x in (image, other)]
    np.testing.assert_array_equal(*found)
    assert np.any(_inpaint(_image(80, 400, seed=1), mask)[mask > 0] != found[0])


# Reduction of windows that are still too large.


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_reduction_averages_what_is_known_of_each_cell(factor):
    """Against a slow twin, where cells are whole pixels."""
    height, width = 40 * factor, LARGEST * factor
    image, mask = _image(height, width), _mask(height, width)
    mask[::7, 3] = 1
    fill = Mean()
    _inpaint(image, mask, fill)
    ((seen, hole),) = fill.calls
    assert seen.shape == (1, 40, LARGEST, 3)
    for row in range(40):
        for column in range(LARGEST):
            cell = (
                slice(factor * row, factor * (row + 1)),
                slice(factor * column, factor * (column + 1)),
            )
            assert hole[0, row, column, 0] == mask[cell].any()
            known = image[cell][mask[cell] == 0]
            if len(known):
                # float32 sums of up to 25 values between 0 and 1.
                expected = known.mean(axis=0) / 255
                np.testing.assert_allclose(seen[0, row, column], expected, atol=1e-5)


@pytest.mark.parametrize("height, width", [(300, 200), (137, 459), (64, 65), (150, 10), (501, 499)])
@pytest.mark.parametrize("kind", ["box", "scratches", "noise"])
def test_a_ramp_leaves_no_residual(height, width, kind):
    """Down and up again without a shift, whatever the shape of the hole and the factor."""
    image, mask = _ramp(height, width), _mask(height, width)
    if kind == "scratches":
        mask[:, ::4] = 1  # no cell without one
    elif kind == "noise":
        mask |= (np.random.default_rng(0).random(mask.shape) < 0.7).astype(np.uint8)
    mask[0, 0] = mask[-1, -1] = 1  # far apart, so that the window is the photograph
    fill = Plane()
    found = _inpaint(image, mask, fill)
    ((seen, hole),) = fill.calls
    assert seen.shape[1:3] != image.shape[:2] and max(seen.shape[1:3]) == LARGEST
    assert 0 < hole.mean() < 0.9 or kind != "noise"
    # Cells that a hole cuts keep an average that is off their centre: up to half a cell of the steepest ramp.
    cell = max(height, width) / LARGEST
    allowed = 1.5 + (cell * 160 / max(height, width) if kind != "box" else 0)
    difference = found.astype(int) - image
    assert np.abs(difference).max() <= allowed
    assert abs(difference[mask > 0].mean()) < 0.2


def test_fine_scratches_leave_context():
    """A hole in every cell would leave nothing to continue from if a cell that it touches belonged to it."""
    image = np.full((256, 256, 3), 90, np.uint8)
    mask = np.zeros((256, 256), np.uint8)
    mask[:, ::3] = 1
    mask[100:150, 100:150] = 1
    image[mask > 0] = 255
    fill = Mean()
    found = _inpaint(image, mask, fill)
    np.testing.assert_array_equal(found, 90)
    ((_, hole),) = fill.calls
    expected = mask.reshape(64, 4, 64, 4).all(axis=(1, 3))
    np.testing.assert_array_equal(hole[0, ..., 0], expected)


@pytest.mark.parametrize("height, width", SIZES)
def test_constant_photograph_stays_constant(height, width):
    image = np.full((height, width, 3), 90, np.uint8)
    if not _mask(height, width).all():
        np.testing.assert_array_equal(_inpaint(image, _mask(height, width)), image)


# Errors.


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
        (np.zeros((40, 40, 3), np.uint8), np.ones((40, 40), bool), "mask"),
        (np.zeros((40, 40, 3), np.uint8), np.ones((40, 40), np.float32), "mask"),
        (np.zeros((40, 40, 3), np.uint8), np.full((40, 40), np.nan), "NaN"),
        ([[0]], np.ones((40, 40), np.uint8), "list"),
        (np.zeros((40, 40, 3), np.uint8), None, "NoneType"),
        (np.zeros((40, 40, 3), np.uint8), np.ones((40, 40), np.uint8), "whole image"),
        (np.zeros((400, 4, 3), np.uint8), np.full((400, 4), 255, np.uint8), "whole image"),
        (np.zeros((0, 40, 3), np.uint8), np.zeros((0, 40), np.uint8), "empty"),
    ],
)
def test_wrong_arguments_are_errors_of_one_line(image, mask, words):
    with pytest.raises(UserError, match=words) as error:
        _inpaint(image, mask)
    assert "\n" not in str(error.value)


def test_networks_that_give_nan_are_an_error():
    class Broken(Mean):
        def value(self, known, image, mask):
            return np.float32(np.nan)

    for height, width in ((20, 30), (200, 300)):
        with pytest.raises(UserError, match="NaN") as error:
            _inpaint(_image(height, width), _mask(height, width), Broken())
        assert "\n" not in str(error.value)
