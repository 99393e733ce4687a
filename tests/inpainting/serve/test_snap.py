"""GrabCut on coins of scikit-image, and on shapes whose edge is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from common.errors import UserError
from inpainting.serve import snap


def disc(height=240, width=320, center=(170, 110), radius=60):
    """(image of a textured disc before a texture, [H, W] bool disc)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(x - center[0], y - center[1]) < radius
    image = rng.normal([60, 90, 120], 18, (height, width, 3))
    image[inside] += [120, 30, -60]
    return np.clip(image, 0, 255).astype(np.uint8), inside


def scribble(shape, *points, width=8):
    found = np.zeros(shape, np.uint8)
    cv2.polylines(found, [np.array(points)], False, 1, width)
    return found


def overlap(found, wanted):
    return np.logical_and(found, wanted).sum() / np.logical_or(found, wanted).sum()


@pytest.mark.parametrize(
    "most, coarse", [(10**6, 10**6), (4000, 4000), (10**6, 3000), (20000, 3000)]
)
def test_from_a_scribble_and_from_a_box(monkeypatch, most, coarse):
    """Also where the crop is reduced, and where the object is first looked for in fewer pixels."""
    monkeypatch.setattr(snap, "MOST_PIXELS", most)
    monkeypatch.setattr(snap, "COARSE_PIXELS", coarse)
    image, inside = disc()
    touched = scribble(inside.shape, (140, 100), (200, 125))
    found = snap.from_scribble(image, touched)
    assert found.dtype == np.uint8 and set(np.unique(found)) == {0, 1}
    assert overlap(found, inside) > 0.93 and found[touched > 0].all()
    found = snap.from_box(image, (105.4, 45, 236, 176))
    assert overlap(found, inside) > 0.93


def test_a_coin():
    """The second of the upper row, whose box in pixels of the file is (16, 305, 72, 365)."""
    gray = cv2.resize(data.coins(), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    image = cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)
    found = snap.from_scribble(image, scribble(gray.shape, (640, 85), (700, 95)))
    left, top, width, height = cv2.boundingRect(found)
    edges = np.array([left, top, left + width, top + height])
    assert abs(edges - 2 * np.array([305, 16, 365, 72])).max() <= 6
    boxed = snap.from_box(image, (600, 24, 738, 152))
    assert overlap(found, boxed) > 0.95


def test_edges_and_nothing():
    image, inside = disc(center=(20, 20))
    found = snap.from_scribble(image, scribble(inside.shape, (5, 10), (40, 30)))
    assert overlap(found, inside) > 0.85  # an object that the photograph cuts
    with pytest.raises(UserError, match="scribble"):
        snap.from_scribble(image, np.zeros_like(inside, np.uint8))
    for box in ((5, 5, 5, 50), (400, 0, 500, 50), (50, 50, 20, 20)):
        with pytest.raises(UserError, match="box"):
            snap.from_box(image, box)
    whole = snap.from_box(image, (-10, -10, 1000, 1000))
    assert whole.shape == inside.shape
    flat = np.full((50, 60, 3), 90, np.uint8)
    assert snap.from_box(flat, (10, 10, 30, 30)).shape == (50, 60)
    assert snap.from_scribble(flat, scribble((50, 60), (20, 20), (30, 30), width=2)).any()
