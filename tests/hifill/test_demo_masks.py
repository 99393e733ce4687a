"""The demo's holes: each lies on its photograph and leaves most of it."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from common.data import datasets
from common.images import convert
from hifill import demo_masks
from hifill.demo_masks import Ellipse, Polygon, Stroke, Subject

PHOTOGRAPHS = {
    pathlib.Path(path).name: path
    for split in datasets.SPLITS
    for path in datasets.files("sample", None, split)
}


def corners(shape):
    """The points that say how far a shape reaches, [N, 2] (x, y); a stroke's without its width."""
    if isinstance(shape, Ellipse):
        reach = np.array([(shape.across, shape.down)])
        return np.concatenate([(shape.x, shape.y) - reach, (shape.x, shape.y) + reach])
    return demo_masks.points_of(shape)


@pytest.mark.parametrize("subject", demo_masks.SUBJECTS, ids=lambda subject: subject.name)
def test_a_hole_lies_on_its_photograph_and_is_small(subject):
    photograph = convert.read_rgb(PHOTOGRAPHS[subject.photograph])
    height, width = photograph.shape[:2]
    for shape in subject.shapes:
        assert (corners(shape) >= 0).all() and (corners(shape) <= (width, height)).all()
    picture = demo_masks.picture(subject, photograph)
    hole = demo_masks.mask(subject, picture.shape[:2])
    assert hole.shape == picture.shape[:2] and hole.dtype == np.uint8
    assert set(np.unique(hole)) == {0, 1}
    assert 0.001 < hole.mean() < 0.2
    for shape in subject.shapes:  # none is lost where the picture was cut
        assert demo_masks.mask(subject._replace(shapes=(shape,)), picture.shape[:2]).any()


def test_photographs_and_what_goes_differ():
    for field in ("name", "photograph", "removed"):
        assert len({getattr(subject, field) for subject in demo_masks.SUBJECTS}) >= 4
    sizes = [
        demo_masks.picture(subject, convert.read_rgb(PHOTOGRAPHS[subject.photograph])).shape
        for subject in demo_masks.SUBJECTS
    ]
    assert (1411, 1411, 3) in sizes
    assert max(width for _, width, _ in sizes) >= 6000


def test_shapes_are_drawn_where_they_are_on_the_enlarged_picture():
    shapes = (
        Polygon("2,3 5,3 5,5 2,5"),
        Ellipse(10, 4, 2, 1),
        Stroke(1, "14,4 18,4"),
    )
    subject = Subject("a", "a.png", "a", shapes, rows=(2, 8), enlarged=10)
    hole = demo_masks.mask(subject, (60, 200))
    expected = {
        (20, 35): 1,
        (10, 20): 1,
        (30, 50): 1,
        (9, 20): 0,
        (20, 120): 1,
        (20, 121): 0,
        (31, 100): 0,
    }
    expected |= {(20, 160): 1, (26, 160): 0, (20, 190): 0}
    assert {point: hole[point] for point in expected} == expected
    photograph = np.arange(8 * 20 * 3, dtype=np.uint8).reshape(8, 20, 3)
    assert demo_masks.picture(subject, photograph).shape == (60, 200, 3)
