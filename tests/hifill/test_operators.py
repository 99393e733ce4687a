"""The operators of H section 4.1 against whole pictures that OpenCV resamples, and what may not change with them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.models.window import cells_touching
from hifill import photograph
from hifill.config import HiFillConfig
from hifill.patches import UP
from hifill.residual_aggregation import DOWN, aggregate_residuals, reduced

S, N = 64, 8
EXACT = [(64, 64), (192, 128), (320, 256)]
UP_OPENCV = {
    "nearest": cv2.INTER_NEAREST_EXACT,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
}


def _case(height, width, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    hole = np.zeros((height, width), bool)
    hole[height // 3 : height // 2 + 1, width // 4 : width // 2] = True
    attention = rng.random((N * N, N * N)).astype(np.float32) ** 8
    attention /= attention.sum(axis=1, keepdims=True)
    generated = rng.uniform(20, 230, (S, S, 3)).astype(np.float32)
    return image, hole, generated, attention


def _twin(image, hole, generated, attention, down, up):
    """H Figure 2 on whole pictures, for sides that N divides; both upsamplings are OpenCV's of the whole picture."""
    height, width = hole.shape
    low = np.where(cells_touching(hole, S)[..., None], generated, reduced(image, S, hole, down))
    blurred = cv2.resize(low, (width, height), interpolation=UP_OPENCV[up])
    tall, wide = height // N, width // N

    def patches(array):
        cut = array.reshape(N, tall, N, wide, -1).transpose(0, 2, 1, 3, 4)
        return cut.reshape(N * N, tall, wide, -1)

    clean = ~patches(hole).any(axis=(1, 2, 3))
    residual = patches(image - blurred)
    added = np.einsum("ji,ihwc->jhwc", attention[:, clean], residual[clean])
    filled = (patches(blurred) + added).reshape(N, N, tall, wide, 3).transpose(0, 2, 1, 3, 4)
    return np.where(hole[..., None], np.clip(filled.reshape(height, width, 3), 0, 255), image)


@pytest.mark.parametrize("up", UP)
@pytest.mark.parametrize("down", DOWN)
def test_every_pair_equals_whole_pictures(down, up):
    for height, width in EXACT:
        case = _case(height, width)
        found = aggregate_residuals(*case, down, up)
        # Half a level is rounding; OpenCV's fixed-point weights of bicubic are 1/2048 apart.
        assert np.abs(found - _twin(*case, down, up)).max() < 0.75


@pytest.mark.parametrize("up", UP)
def test_patches_between_cells(up):
    """Sides that N does not divide take another way, through rows of the upsampled picture."""
    image, hole, generated, _ = _case(131, 77)
    hole[...] = True  # all hole: the result is the upsampled completion
    image[...] = 0
    found = aggregate_residuals(image, hole, generated, np.zeros((N * N, N * N), np.float32), up=up)
    expected = cv2.resize(generated, (77, 131), interpolation=UP_OPENCV[up])
    # The middle line of an odd side lies between two cells; which one is the nearest differs among OpenCV's versions.
    rows, columns = ([k for k in range(side) if 2 * k + 1 != side] for side in (131, 77))
    difference = np.abs(found - np.clip(expected, 0, 255))[np.ix_(rows, columns)]
    assert difference.max() < 0.75


@pytest.mark.parametrize("down", DOWN)
def test_reduction_is_opencvs_without_a_hole(down):
    image = _case(320, 256)[0]
    nothing = np.zeros((320, 256), bool)
    expected = cv2.resize(image.astype(np.float32), (S, S), interpolation=DOWN[down])
    np.testing.assert_allclose(
        reduced(image, S, nothing, down), np.clip(expected, 0, 255), atol=1e-3
    )


@pytest.mark.parametrize("down", DOWN)
@pytest.mark.parametrize("height, width", [(320, 256), (128, 96), (70, 129), (40, 50)])
def test_cells_off_the_hole_never_see_it(down, height, width):
    image, hole = _case(height, width)[:2]
    lows = []
    for colour in ((255, 0, 255), (0, 255, 0)):
        image[hole] = colour
        lows.append(reduced(image, S, hole, down)[~cells_touching(hole, S)])
    np.testing.assert_array_equal(*lows)
    assert np.isfinite(lows[0]).all() and lows[0].min() >= 0 and lows[0].max() <= 255


@pytest.mark.parametrize("up", UP)
def test_a_constant_picture_stays_constant(up):
    _, hole, _, attention = _case(192, 128)
    image = np.full((192, 128, 3), 77, np.uint8)
    found = aggregate_residuals(
        image, hole, np.full((S, S, 3), 77, np.uint8), attention, "bicubic", up
    )
    np.testing.assert_array_equal(found, image)


def test_photograph_hands_them_on():
    """Through a window of a photograph: every pair fills the same hole differently, known pixels alike."""
    image, hole, generated, attention = _case(160, 192)
    config = HiFillConfig(size=S)
    attention = np.tile(attention, (4, 4))[: config.grid**2, : config.grid**2]

    def network(low, mask):
        return generated[None] / 255, attention[None]

    results = {}
    for down in DOWN:
        for up in UP:
            pair = {"down": down, "up": up}
            results[down, up] = photograph.inpaint(
                network, config, image, hole.astype(np.uint8), **pair
            )
    default = photograph.inpaint(network, config, image, hole.astype(np.uint8))
    np.testing.assert_array_equal(default, results["average", "bilinear"])
    for found in results.values():
        np.testing.assert_array_equal(found[~hole], image[~hole])
    assert len({found.tobytes() for found in results.values()}) == len(DOWN) * len(UP)


def test_unknown_operators():
    case = _case(64, 64)
    with pytest.raises(ValueError, match="down 'lanczos' is not one of average, nearest"):
        aggregate_residuals(*case, down="lanczos")
    with pytest.raises(ValueError, match="up 'lanczos' is not one of nearest, bilinear, bicubic"):
        aggregate_residuals(*case, up="lanczos")
