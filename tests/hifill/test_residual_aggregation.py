"""Residual aggregation against a slow twin that builds every picture, the authors' numbers, leaks, memory."""

from __future__ import annotations

import pathlib
import tracemalloc

import cv2
import numpy as np
import pytest

from common.errors import UserError
from common.models.window import cells_touching
from hifill.residual_aggregation import aggregate_residuals, average_down

_TESTS = pathlib.Path(__file__).resolve().parents[1]
_FULL = _TESTS.parent / ".." / "shared" / "golden" / "hifill_postprocess_x2.npz"
S, N = 64, 8  # side of the completion and patches along it

# (height, width) that N divides: patches start on cell borders of the completion, so both ways do the same.
EXACT = [(64, 64), (128, 128), (192, 64), (128, 320), (96, 160), (72, 200)]
# (height, width) whose patches start between cells: one more interpolation, see the test.
INEXACT = [(70, 129), (100, 75), (131, 67)]
# Sides below S: the image is enlarged for the generator.
SMALL = [(32, 32), (40, 50), (16, 64), (17, 31), (200, 24)]


def _case(height, width, seed=0):
    """A textured image, a hole of two parts, a completion in 0..255 and attention rows that sum to 1."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 : height // 2 + 1, width // 4 : width // 2] = 1
    mask[height - 2 :, : width // 5 + 1] = 1
    attention = rng.random((N * N, N * N)).astype(np.float32) ** 8
    attention /= attention.sum(axis=1, keepdims=True)
    generated = rng.uniform(20, 230, (S, S, 3)).astype(np.float32)
    return image, mask, generated, attention


def _averaging(length, size):
    """[size, length] shares of every pixel in every cell."""
    edges = np.arange(size + 1) * length / size
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.maximum(overlap, 0) / (length / size)


def _interpolation(length, size):
    """[length, size] bilinear weights, half-pixel centres, clamped at the border."""
    position = np.clip((np.arange(length) + 0.5) * size / length - 0.5, 0, size - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(size)))


def _resize(matrix_rows, matrix_columns, image):
    return np.einsum("yh,xw,hwc->yxc", matrix_rows, matrix_columns, image, optimize=True)


def _twin(image, mask, generated, attention):
    """H Figure 2, step by step on whole pictures; float64 [H, W, 3], unrounded."""
    height, width = mask.shape
    shrink = _averaging(height, S), _averaging(width, S)
    touched = _resize(*shrink, (mask > 0)[..., None].astype(float)) > 0
    low = np.where(touched, generated, _resize(*shrink, image.astype(float)))
    up = _resize(_interpolation(height, S), _interpolation(width, S), low)
    residual = image - up
    tall, wide = -(-height // N), -(-width // N)
    tops = [min(round(k * height / N), height - tall) for k in range(N)] + [height]
    lefts = [min(round(k * width / N), width - wide) for k in range(N)] + [width]
    output = image.astype(float)
    for j in range(N * N):
        total = np.zeros((tall, wide, 3))
        for i in range(N * N):
            top, left = tops[i // N], lefts[i % N]
            patch = slice(top, top + tall), slice(left, left + wide)
            if not mask[patch].any():
                total += attention[j, i] * residual[patch]
        top, bottom = tops[j // N], tops[j // N + 1]
        left, right = lefts[j % N], lefts[j % N + 1]
        filled = up[top:bottom, left:right] + total[: bottom - top, : right - left]
        hole = mask[top:bottom, left:right] > 0
        output[top:bottom, left:right][hole] = filled[hole]
    return np.clip(output, 0, 255)


@pytest.mark.parametrize("height, width", EXACT + INEXACT)
def test_equals_slow_numpy(height, width):
    case = _case(height, width)
    found = aggregate_residuals(*case)
    # Half a level is rounding; float32 sums of 64 patches move it by less than 0.01.
    assert np.abs(found - _twin(*case)).max() < 0.51


@pytest.mark.parametrize("height, width", EXACT + INEXACT + SMALL)
def test_known_pixels_are_untouched(height, width):
    image, mask, generated, attention = _case(height, width)
    before = image.copy()
    found = aggregate_residuals(image, mask, generated, attention)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])
    assert found.dtype == np.uint8 and found.shape == image.shape
    assert np.mean(found[mask > 0] != image[mask > 0]) > 0.9


@pytest.mark.parametrize("height, width", EXACT + INEXACT + SMALL)
def test_what_lies_under_the_hole_never_enters(height, width):
    image, mask, generated, attention = _case(height, width)
    results = []
    for colour in ((255, 0, 255), (0, 255, 0)):
        image[mask > 0] = colour
        results.append(aggregate_residuals(image, mask, generated, attention))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("height, width", EXACT + INEXACT + SMALL)
def test_cells_touching_equals_slow_numpy(height, width):
    hole = np.random.default_rng(0).random((height, width)) < 0.02
    hole[-1, -1] = True
    expected = np.zeros((S, S), bool)
    for row in range(S):
        rows = hole[row * height // S : -(-(row + 1) * height // S)]
        for column in range(S):
            part = rows[:, column * width // S : -(-(column + 1) * width // S)]
            expected[row, column] = part.any()
    found = cells_touching(hole, S)
    assert found[expected].all()
    if min(height, width) >= S:  # enlarging reads pixels beyond a cell too, see the next test
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("height, width", [(32, 32), (17, 31), (200, 24), (64, 64), (131, 67)])
def test_average_of_cells_off_the_hole_never_sees_it(height, width):
    """What the generator gets: cells that are not called a hole hold nothing of it."""
    image, mask = _case(height, width)[:2]
    lows = []
    for colour in ((255, 0, 255), (0, 255, 0)):
        image[mask > 0] = colour
        lows.append(average_down(image, S, mask > 0)[~cells_touching(mask > 0, S)])
    np.testing.assert_array_equal(*lows)


@pytest.mark.parametrize("height, width", EXACT + [(70, 129), (131, 67)])
def test_average_down_equals_slow_numpy(height, width):
    image = _case(height, width)[0]
    expected = _resize(_averaging(height, S), _averaging(width, S), image.astype(float))
    # OpenCV leaves out shares of a pixel below 1e-3: 0.26 of 255 levels at most, for each axis.
    np.testing.assert_allclose(average_down(image, S), expected, atol=0.6)
    if height % S == width % S == 0:
        np.testing.assert_allclose(average_down(image, S), expected, atol=1e-3)


@pytest.mark.parametrize("height, width", [(64, 64), (128, 192), (100, 75)])
def test_empty_mask_returns_a_copy(height, width):
    image, mask, generated, attention = _case(height, width)
    found = aggregate_residuals(image, np.zeros_like(mask), generated, attention)
    np.testing.assert_array_equal(found, image)
    assert not np.shares_memory(found, image)


@pytest.mark.parametrize("height, width", [(128, 128), (70, 129), (40, 50)])
def test_full_mask_is_the_upsampled_completion(height, width):
    image, mask, generated, attention = _case(height, width)
    found = aggregate_residuals(image, np.ones_like(mask), generated, attention)
    up = _resize(_interpolation(height, S), _interpolation(width, S), generated)
    assert np.isfinite(found).all()
    if height % N == width % N == 0:  # otherwise interpolated twice, see above
        assert np.abs(found - up).max() < 0.51


@pytest.mark.parametrize("height, width", [(128, 128), (70, 129), (40, 50)])
def test_scratches_through_every_patch(height, width):
    """Known pixels in every patch, but no patch without a hole: nothing to add, and no error."""
    image, mask, generated, attention = _case(height, width)
    mask[::2] = 1
    found = aggregate_residuals(image, mask, generated, attention)
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])
    if height % N == width % N == 0:
        assert np.abs(found - _twin(image, mask, generated, attention)).max() < 0.51


@pytest.mark.parametrize("height, width", [(128, 128), (192, 64), (70, 129)])
@pytest.mark.parametrize("value", [1, 255])
def test_mask_levels(height, width, value):
    image, mask, generated, attention = _case(height, width)
    expected = aggregate_residuals(image, mask > 0, generated, attention)
    found = aggregate_residuals(image, mask * np.uint8(value), generated, attention)
    np.testing.assert_array_equal(found, expected)


def test_completion_in_any_range():
    image, mask, generated, attention = _case(128, 192)
    levels = np.rint(generated)
    expected = aggregate_residuals(image, mask, levels.astype(np.uint8), attention)
    for other in (levels, levels.astype(np.float16), levels / 255, levels.astype(np.float64) / 255):
        found = aggregate_residuals(image, mask, other, attention)
        # v / 255 * 255 is v up to the last bit, which decides between two levels once in a million.
        different = found != expected
        assert different.mean() < 1e-3
        assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    "place, value, words",
    [
        (0, [[1]], "image"),
        (0, np.zeros((64, 64, 3), np.float32), "image"),
        (0, np.zeros((0, 64, 3), np.uint8), "differ|empty"),
        (1, "mask.png", "mask"),
        (1, np.ones((64, 63), np.uint8), "differ"),
        (1, np.full((64, 64), np.nan), "mask"),
        (2, "completion", "completion"),
        (2, np.zeros((S, S + 1, 3), np.float32), "completion"),
        (2, np.zeros((1, S, S, 3), np.float32), "completion"),
        (3, [[1.0, 2.0]], "attention"),
        (3, [[1.0], [2.0, 3.0]], "attention"),
        (3, "attention", "attention"),
        (3, np.ones((N * N, N * N - 1), np.float32), "attention"),
        (3, np.ones((7, 7), np.float32), "attention"),
        (3, np.ones((25, 25), np.float32), "attention"),  # 5 patches do not divide S
        (3, np.full((N * N, N * N), np.nan, np.float32), "attention"),
    ],
)
def test_wrong_arguments_are_errors_of_one_line(place, value, words):
    case = list(_case(64, 64))
    case[place] = value
    with pytest.raises(UserError, match=words) as error:
        aggregate_residuals(*case)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_completion_must_be_finite(bad):
    image, mask, generated, attention = _case(64, 64)
    generated[3, 4, 1] = bad
    with pytest.raises(UserError, match="NaN"):
        aggregate_residuals(image, mask, generated, attention)


@pytest.mark.parametrize("attention_level, level", [(1e38, 200.0), (3e38, 3.0)])
def test_finite_values_that_are_too_large_are_refused(attention_level, level, recwarn):
    """Their sums are infinite, and would be painted as black or white."""
    image, mask, generated, attention = _case(64, 64)
    generated[:], attention[:] = level, attention_level
    with pytest.raises(UserError, match="too large"):
        aggregate_residuals(image, mask, generated, attention)
    assert not list(recwarn)


def test_constant_image_stays_constant():
    _, mask, _, attention = _case(128, 128)
    image = np.full((128, 128, 3), 77, np.uint8)
    found = aggregate_residuals(image, mask, np.full((S, S, 3), 77, np.uint8), attention)
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("height, width", [(128, 128), (256, 192), (100, 150), (64, 64)])
def test_ramp_leaves_no_residual(height, width):
    """Averaging down and bilinear up fit: no half-pixel shift shows up as a residual of a ramp."""
    y, x = np.mgrid[:height, :width]
    ramp = np.stack([x * 255 / width, y * 255 / height, (x / width + y / height) * 127], axis=-1)
    image = np.rint(ramp).astype(np.uint8)
    low = _resize(_averaging(height, S), _averaging(width, S), ramp)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 : height // 2, width // 3 : width // 2] = 1
    # Context away from the border, where interpolation has nothing to go on with.
    inner = np.zeros((N, N), np.float32)
    inner[1:-1, 1:-1] = np.random.default_rng(0).random((N - 2, N - 2))
    attention = np.tile(inner.ravel() / inner.sum(), (N * N, 1))
    found = aggregate_residuals(image, mask, low.astype(np.float32), attention)
    up = _resize(_interpolation(height, S), _interpolation(width, S), low)
    assert np.abs(found - up)[mask > 0].max() <= 1
    assert np.abs(found.astype(int) - image)[mask > 0].max() <= 1


def test_detail_of_the_context_is_added():
    """A checkerboard, lost on the way down, comes back from the one patch that is attended to."""
    y, x = np.mgrid[:128, :128]
    image = np.repeat((96 + 64 * ((x + y) % 2))[..., None], 3, axis=-1).astype(np.uint8)
    mask = np.zeros((128, 128), np.uint8)
    mask[40:70, 40:70] = 1
    attention = np.zeros((N * N, N * N), np.float32)
    attention[:, 7 * N + 7] = 1
    generated = np.full((S, S, 3), 128, np.float32)
    found = aggregate_residuals(
        np.where(mask[..., None] > 0, 0, image).astype(np.uint8), mask, generated, attention
    )
    assert np.abs(found.astype(int) - image).max() <= 1


@pytest.mark.parametrize("height, width", [(1, 1), (5, 3), (2, 300)])
def test_fewer_pixels_than_patches(height, width):
    image, _, generated, attention = _case(height, width)
    for mask in (np.zeros((height, width), np.uint8), np.ones((height, width), np.uint8)):
        found = aggregate_residuals(image, mask, generated, attention)
        np.testing.assert_array_equal(found[mask == 0], image[mask == 0])
    mask[0, 0] = 0
    found = aggregate_residuals(image, mask, generated, attention)
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])


def test_blocks_of_the_authors_result():
    """Their post-processing at 1024x1024: blocks of 8x8 pixels in four patches, from what those attend to.

    The reduced file holds 0.999 of each row's attention, so that up to 0.001 * 255 = 0.26 levels are missing. The
    authors cut off decimals where we round, which makes us equal or one level higher.
    """
    with np.load(_TESTS / "golden" / "hifill_postprocess_blocks.npz") as archive:
        golden = dict(archive)
    image, mask = np.zeros((1024, 1024, 3), np.uint8), np.unpackbits(golden["mask"], axis=1)
    generated, attention = (
        np.full((512, 512, 3), 255, np.float32),
        np.zeros((1024, 1024), np.float32),
    )
    for source, block in zip(golden["sources"], golden["raw"]):
        top, left = source // 32 * 32 + 6, source % 32 * 32 + 10
        image[top : top + 12, left : left + 12] = block
    for target, block, row in zip(golden["targets"], golden["generated"], golden["attention"]):
        top, left = target // 32 * 16 + 3, target % 32 * 16 + 5
        generated[top : top + 6, left : left + 6] = block
        attention[target, golden["sources"]] = row
    found = aggregate_residuals(image, mask, generated, attention)
    for target, block in zip(golden["targets"], golden["output"]):
        top, left = target // 32 * 32 + 8, target % 32 * 32 + 12
        difference = found[top : top + 8, left : left + 8].astype(int) - block
        assert np.abs(difference).max() <= 1
        assert 0.2 < difference.mean() < 0.8


@pytest.mark.skipif(not _FULL.is_file(), reason="the full post-processing numbers are not here")
def test_the_authors_result():
    with np.load(_FULL) as archive:
        golden = dict(archive)
    image, mask = golden["raw"], golden["mask"]
    found = aggregate_residuals(image, mask, golden["generated_512"], golden["attention"])
    # They paste with a soft mask: two pixels from the hole's border it is over.
    inside = cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0
    difference = found.astype(int)[inside] - golden["output"][inside]
    assert np.abs(difference).max() <= 1
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])


def _peak(side, hole_side):
    """(bytes that one call allocates on top of its arguments, bytes of the image)."""
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    mask = np.zeros((side, side), np.uint8)
    mask[10 : 10 + hole_side, 20 : 20 + hole_side] = 1
    attention = np.full((1024, 1024), 1 / 1024, np.float32)
    generated = np.full((512, 512, 3), 128, np.float32)
    tracemalloc.start()
    try:
        aggregate_residuals(image, mask, generated, attention)
        return tracemalloc.get_traced_memory()[1], image.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.default_environment
@pytest.mark.parametrize("side, share", [(2048, 0.25), (2048, 0.9), (4096, 0.5), (4096, 0.9)])
def test_memory_is_one_copy_and_a_fixed_amount(side, share):
    """Few or many patches to fill: what is held of them at once may not grow with the image."""
    peak, image_bytes = _peak(side, int(side * share))
    # The result is a copy, masks are a third of it; strips of patches to read and to write are 64 MiB each.
    assert peak < 1.5 * image_bytes + (224 << 20), f"{peak >> 20} MiB"
