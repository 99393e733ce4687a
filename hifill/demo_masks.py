"""Objects that `make demo` removes: outlines drawn by hand, in pixels of the photograph.

The photographs are those of the scikit-image package. A shape is a `Polygon`, an `Ellipse` or a `Stroke` (a line of
some width); `picture(subject, photograph)` cuts and enlarges the photograph as the subject says; `mask(subject,
size)` draws the shapes at that scale. A hole covers the object and a narrow rim. An enlarged photograph shows that
large sizes work, not how sharp the result is: its detail is interpolated.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np


class Polygon(NamedTuple):
    """The area inside the corners, written as in SVG: "x,y x,y ..."."""

    points: str


class Ellipse(NamedTuple):
    """Centre (x, y) and half axes."""

    x: float
    y: float
    across: float
    down: float


class Stroke(NamedTuple):
    """A line through the points, `width` pixels wide."""

    width: float
    points: str


class Subject(NamedTuple):
    """A photograph and the object that is removed from it.

    rows: (first, last + 1) of the rows that are kept; None: all rows.
    enlarged: factor by which the photograph is enlarged; above 1, detail is interpolated.
    """

    name: str
    photograph: str
    removed: str
    shapes: tuple
    rows: tuple[int, int] | None = None
    enlarged: int = 1


SUBJECTS = (
    Subject(
        "astronaut",
        "astronaut.png",
        "the reflections of a window in the helmet",
        (Polygon("344,418 377,423 369,466 338,463"), Ellipse(310, 442, 8, 8)),
    ),
    Subject(
        "camera",
        "camera.png",
        "the tower on the horizon",
        (Polygon("406,128 409,116 421,109 436,109 438,186 428,185 418,188 406,190"),),
    ),
    Subject(
        "cat",
        "chelsea.png",
        "the whiskers of one side",
        (
            Stroke(6, "0,222 20,218 50,215 80,215 120,217 158,220"),
            Stroke(6, "0,256 40,243 80,235 110,232 145,230"),
            Stroke(6, "0,299 40,280 80,262 115,250 158,239"),
            Stroke(6, "25,300 60,278 90,262 120,250 145,243"),
            Stroke(6, "58,300 100,275 140,256 172,244"),
            Stroke(6, "80,300 110,278 130,265 150,254"),
            Stroke(6, "103,300 130,281 160,261 187,249"),
            Stroke(6, "127,300 145,283 160,269 172,260"),
            Stroke(6, "145,300 165,278 183,260"),
            Stroke(6, "158,300 168,283 178,270"),
            Stroke(6, "172,300 180,282 188,270"),
        ),
    ),
    Subject(
        "motorcycle",
        "motorcycle_right.png",
        "the maker's name on the tank",
        (Polygon("347,197 392,189 398,206 352,215"),),
    ),
    Subject(
        "retina",
        "retina.jpg",
        "two blood vessels",
        (
            Stroke(
                34,
                "545,322 570,332 600,338 650,343 680,347 700,352 730,375 770,405 "
                "805,420 860,420 910,432 950,434 1000,430 1040,412 1080,390 1120,350 "
                "1170,322 1215,310 1238,306",
            ),
            Stroke(
                26,
                "318,564 345,548 380,526 410,514 450,510 490,509 505,500 530,480 "
                "560,450 590,432 620,427 650,435 680,458 700,490 720,507 745,513 "
                "770,517",
            ),
        ),
    ),
    Subject(
        "panorama",
        "rocket.jpg",
        "two lightning masts",
        (
            Polygon("441,117 452,117 455,186 462,186 477,340 436,340 437,186 444,186"),
            Polygon("195,117 208,117 207,186 208,210 207,340 168,340 184,186 195,186"),
        ),
        rows=(60, 330),
        enlarged=10,
    ),
)


def picture(subject: Subject, photograph: np.ndarray) -> np.ndarray:
    """The photograph [H, W, 3] uint8, cut to the subject's rows and enlarged."""
    kept = photograph[slice(*subject.rows)] if subject.rows else photograph
    if subject.enlarged == 1:
        return kept
    factors = {"fx": subject.enlarged, "fy": subject.enlarged}
    return cv2.resize(kept, None, **factors, interpolation=cv2.INTER_LANCZOS4)


def mask(subject: Subject, size: tuple[int, int]) -> np.ndarray:
    """The hole, [H, W] uint8, 1 = hole; size: (H, W) of the result of `picture`."""
    hole = np.zeros(size, np.uint8)
    for shape in subject.shapes:
        _draw(hole, shape, subject.rows[0] if subject.rows else 0, subject.enlarged)
    return hole


def points_of(shape: Polygon | Stroke) -> np.ndarray:
    """[N, 2] float64, (x, y)."""
    return np.array([point.split(",") for point in shape.points.split()], float)


def _draw(hole, shape, top, scale):
    if isinstance(shape, Ellipse):
        centre = round(shape.x * scale), round((shape.y - top) * scale)
        axes = round(shape.across * scale), round(shape.down * scale)
        cv2.ellipse(hole, centre, axes, 0, 0, 360, 1, -1)
        return
    points = np.rint((points_of(shape) - (0, top)) * scale).astype(np.int32)
    if isinstance(shape, Polygon):
        cv2.fillPoly(hole, [points], 1)
    else:
        cv2.polylines(hole, [points], False, 1, round(shape.width * scale))
