"""From a scribble on an object, or a box around it, to the object: OpenCV's GrabCut.

C. Rother et al., "GrabCut: interactive foreground extraction using iterated graph cuts", 2004. A scribble is certainly
object; the frame of the crop around it is certainly not. Parts of the result that touch the scribble are kept, and
their holes are closed.

Only a crop is used, reduced to `MOST_PIXELS`. GrabCut's time grows faster than the number of pixels: a million of
foliage take 20 seconds on one core. So the object is found in `COARSE_PIXELS`, and then a band along its edge is
cut once more. Together that takes 3 seconds.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from common.errors import UserError

MOST_PIXELS, COARSE_PIXELS = 10**6, 120_000
_BAND = 2  # coarse pixels to each side of the edge
_ROUNDS = 5
_COLOURS = 65  # of GrabCut's model: 5 Gaussians of 13 numbers
# Around a scribble, in lengths of it: where the object may reach to, and where it probably is.
_REACH, _NEAR = 1.0, 0.25
_AROUND_BOX = 0.35  # of the box's longer side: background to learn from


def from_scribble(image: np.ndarray, scribble: np.ndarray) -> np.ndarray:
    """The object that a scribble lies on.

    Args:
      image: [H, W, 3] uint8 RGB.
      scribble: [H, W] uint8, 1 where the object was touched.
    Returns:
      [H, W] uint8, 1 = object; holds the scribble.
    Raises:
      UserError: there is no scribble.
    """
    left, top, width, height = cv2.boundingRect(scribble)
    if not width:
        raise UserError("the scribble is empty; draw over the object")
    length = max(width, height)
    window = _window(left, top, width, height, math.ceil(_REACH * length), scribble.shape)
    crop, touched = _reduced(image[window]), _fitted(scribble[window])
    labels = np.full(touched.shape, cv2.GC_PR_BGD, np.uint8)
    distance = cv2.distanceTransform(1 - touched, cv2.DIST_L2, 5)
    near = _NEAR * length * touched.shape[0] / scribble[window].shape[0]
    labels[distance < near] = cv2.GC_PR_FGD
    _frame(labels, window, scribble.shape)
    labels[touched > 0] = cv2.GC_FGD
    return _enlarged(_touching(_cut(crop, labels), touched), window, scribble) | scribble


def from_box(image: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """The object inside a box (left, top, right, bottom) in pixels; arguments and result as `from_scribble`.

    Raises:
      UserError: the box holds no pixel of the photograph.
    """
    rows, columns = image.shape[:2]
    left, right = (int(np.clip(round(x), 0, columns)) for x in (box[0], box[2]))
    top, bottom = (int(np.clip(round(y), 0, rows)) for y in (box[1], box[3]))
    if right - left < 2 or bottom - top < 2:
        raise UserError("the box is empty; draw it around the object")
    width, height = right - left, bottom - top
    inside = np.zeros((rows, columns), np.uint8)
    inside[top:bottom, left:right] = 1
    margin = math.ceil(_AROUND_BOX * max(width, height))
    window = _window(left, top, width, height, margin, inside.shape)
    crop, probable = _reduced(image[window]), _fitted(inside[window])
    labels = np.where(probable > 0, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    if probable.all():  # the box leaves no background, so the photograph's frame is used
        _frame(labels, (slice(1, rows), slice(1, columns)), (rows + 1, columns + 1))
    return _enlarged(_largest(_cut(crop, labels)), window, inside) & inside


def _window(left, top, width, height, margin, size):
    rows = slice(max(0, top - margin), min(size[0], top + height + margin))
    return rows, slice(max(0, left - margin), min(size[1], left + width + margin))


def _fitted(array, interpolation=cv2.INTER_NEAREST, most=None):
    """Reduced to at most so many pixels, `MOST_PIXELS` by default."""
    height, width = array.shape[:2]
    scale = min(1, math.sqrt((most or MOST_PIXELS) / (height * width)))
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return cv2.resize(array, size, interpolation=interpolation)


def _reduced(image):
    return cv2.cvtColor(_fitted(image, cv2.INTER_AREA), cv2.COLOR_RGB2BGR)


def _frame(labels, window, size):
    """The crop's frame is background, but not where the photograph ends: objects may reach beyond it."""
    width = max(2, min(labels.shape) // 40)
    (rows, columns), (height, across) = window, size
    if rows.start > 0:
        labels[:width] = cv2.GC_BGD
    if rows.stop < height:
        labels[-width:] = cv2.GC_BGD
    if columns.start > 0:
        labels[:, :width] = cv2.GC_BGD
    if columns.stop < across:
        labels[:, -width:] = cv2.GC_BGD


def _cut(crop, labels):
    """The object in a crop with GrabCut's labels [h, w]: [h, w] uint8, 1 = object."""
    small = _fitted(labels, most=COARSE_PIXELS)
    if small.shape == labels.shape:
        return _grab_cut(crop, labels, _ROUNDS)
    coarse = _grab_cut(_fitted(crop, cv2.INTER_AREA, COARSE_PIXELS), small, _ROUNDS)
    found = cv2.resize(coarse, labels.shape[::-1], interpolation=cv2.INTER_NEAREST)
    reach = math.ceil(_BAND * labels.shape[0] / small.shape[0])
    band = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    certain = np.where(found > 0, cv2.GC_FGD, cv2.GC_BGD)
    probable = np.where(found > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    edge = cv2.morphologyEx(found, cv2.MORPH_GRADIENT, band) > 0
    told = (labels == cv2.GC_FGD) | (labels == cv2.GC_BGD)
    fine = np.where(told, labels, np.where(edge, probable, certain)).astype(np.uint8)
    return _grab_cut(crop, fine, 1)


def _grab_cut(crop, labels, rounds):
    object_, background = (
        np.isin(labels, kinds)
        for kinds in ((cv2.GC_FGD, cv2.GC_PR_FGD), (cv2.GC_BGD, cv2.GC_PR_BGD))
    )
    least = 5  # pixels: each model has so many Gaussians
    if object_.sum() < least or background.sum() < least:
        return object_.astype(np.uint8)
    cv2.setRNGSeed(0)  # the same scribble gives the same object
    models = np.zeros((1, _COLOURS)), np.zeros((1, _COLOURS))
    cv2.grabCut(crop, labels, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)


def _touching(found, touched):
    _, parts = cv2.connectedComponents(found)
    kept = np.unique(parts[touched > 0])
    return np.isin(parts, kept[kept > 0]).astype(np.uint8)


def _largest(found):
    count, parts, measures, _ = cv2.connectedComponentsWithStats(found)
    if count < 2:
        return found
    largest = 1 + int(np.argmax(measures[1:, cv2.CC_STAT_AREA]))
    return (parts == largest).astype(np.uint8)


def _enlarged(found, window, whole):
    """The object with its holes closed, at the window's own size, in a mask of the whole photograph."""
    outlines, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(found, outlines, -1, 1, cv2.FILLED)
    height, width = whole[window].shape
    # Bilinear, then halved: the edge of a mask that was enlarged by repetition has steps.
    smooth = cv2.resize(found.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    result = np.zeros_like(whole)
    result[window] = smooth >= 0.5
    return result
