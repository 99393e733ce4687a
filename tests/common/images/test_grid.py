"""Picture grids: pixels arrive where they belong, holes are painted, large pictures are reduced."""

from __future__ import annotations

import numpy as np
import pytest

from common.images import grid


def _noise(height, width, seed=0):
    # Never pure white, so that the background can be told from pictures.
    return np.random.default_rng(seed).integers(0, 250, (height, width, 3), dtype=np.uint8)


def _found(canvas, picture):
    """Top left corners at which `picture` lies in `canvas`, pixel for pixel."""
    height, width = picture.shape[:2]
    rows, columns = canvas.shape[0] - height + 1, canvas.shape[1] - width + 1
    corners = np.argwhere((canvas[:rows, :columns] == picture[0, 0]).all(-1))
    return [
        (int(y), int(x))
        for y, x in corners
        if (canvas[y : y + height, x : x + width] == picture).all()
    ]


def test_every_picture_appears_once_in_its_row_and_column():
    rows = [[_noise(40, 60, seed=3 * row + column) for column in range(3)] for row in range(2)]
    canvas = grid.grid(rows, ["input", "a", "truth"], cell=64, gap=4)
    places = [[_found(canvas, picture) for picture in row] for row in rows]
    assert all(len(found) == 1 for row in places for found in row)
    corners = np.array(places)[:, :, 0]  # [row, column, (y, x)]
    assert (corners[:, :, 0] == corners[:, :1, 0]).all() and (
        corners[:, :, 1] == corners[:1, :, 1]
    ).all()
    assert (np.diff(corners[:, :, 0], axis=0) == 44).all()
    assert (np.diff(corners[:, :, 1], axis=1) == 64).all()
    assert canvas.dtype == np.uint8 and canvas.shape[1] == 3 * 60 + 4 * 4


def test_labels_are_drawn_above_and_nowhere_else():
    rows = [[_noise(40, 60)] * 2]
    bare, titled = grid.grid(rows, ["", ""]), grid.grid(rows, ["input", "truth"])
    top = titled.shape[0] - bare.shape[0]
    assert top > 0
    np.testing.assert_array_equal(titled[-44:], bare[-44:])
    ink = (titled[:-44] != 255).any(-1)
    # Some ink over each picture, none over the gaps.
    assert ink[:, 4:64].any() and ink[:, 68:128].any()
    assert not ink[:, :4].any() and not ink[:, 64:68].any() and not ink[:, 128:].any()


def test_a_long_label_widens_its_column():
    narrow, wide = (grid.grid([[_noise(8, 8)]], [label]) for label in ("a", "a long label"))
    assert wide.shape[1] > narrow.shape[1] and wide.shape[1] > 60
    assert len(_found(wide, _noise(8, 8))) == 1
    ink = (wide[:-12] != 255).any(-1)
    assert ink.any() and not ink[:, 0].any() and not ink[:, -1].any()


@pytest.mark.parametrize(
    "size, expected", [((80, 40), (20, 10)), ((40, 80), (10, 20)), ((60, 60), (20, 20))]
)
def test_large_pictures_are_averaged_to_the_cell(size, expected):
    picture = _noise(*size)
    canvas = grid.grid([[picture]], [""], cell=20, gap=2)
    height, width = expected
    factor = size[0] // height
    mean = picture.reshape(height, factor, width, factor, 3).mean((1, 3))
    inside = canvas[2 : 2 + height, 2 : 2 + width].astype(float)
    # Rounded to whole levels.
    np.testing.assert_allclose(inside, mean, atol=0.51)
    assert canvas.shape == (height + 4, width + 4, 3)


def test_extreme_aspect_ratios_keep_one_pixel():
    canvas = grid.grid([[_noise(1, 500)], [_noise(500, 1)]], [""], cell=16, gap=1)
    assert canvas.shape == (1 + 1 + 1 + 16 + 1, 16 + 2, 3)


def test_rows_of_different_sizes_are_centred():
    canvas = grid.grid([[_noise(10, 30)], [_noise(30, 10, seed=1)]], [""], cell=30, gap=2)
    assert _found(canvas, _noise(10, 30)) == [(2, 2)]
    assert _found(canvas, _noise(30, 10, seed=1)) == [(14, 12)]


def test_paint_hole():
    image, mask = _noise(6, 5), np.zeros((6, 5), np.uint8)
    mask[2:4, 1] = 1
    before = image.copy()
    painted = grid.paint_hole(image, mask)
    assert (painted[2:4, 1] == (255, 0, 255)).all()
    np.testing.assert_array_equal(painted[mask == 0], image[mask == 0])
    np.testing.assert_array_equal(image, before)
    assert (grid.paint_hole(image, mask, colour=(1, 2, 3))[3, 1] == (1, 2, 3)).all()


@pytest.mark.parametrize("value", [0, 1])
def test_paint_no_hole_and_all_hole(value):
    image = _noise(6, 5)
    painted = grid.paint_hole(image, np.full((6, 5), value, np.uint8))
    np.testing.assert_array_equal(painted, np.full_like(image, (255, 0, 255)) if value else image)


@pytest.mark.parametrize(
    "rows, labels",
    [
        ([], ["a"]),
        ([[]], []),
        ([[_noise(4, 4)]], ["a", "b"]),
        ([[_noise(4, 4), _noise(4, 5)]], ["a", "b"]),
        ([[_noise(4, 4)[..., 0]]], ["a"]),
    ],
)
def test_other_arguments_are_rejected(rows, labels):
    with pytest.raises(ValueError):
        grid.grid(rows, labels)
