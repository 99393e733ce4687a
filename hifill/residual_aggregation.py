"""Contextual residual aggregation: sharp detail for a hole of any size (HiFill section 3.2, eq. 4, Figure 2).

    low   = average(image -> S x S)                         residual = image - bilinear(low)
    hole  = bilinear(completion) + sum_i s_ij residual_i    context patches i, hole patch j

The image is cut into n x n patches (n = 32); S = 512 is the generator's side. Any H and W: patch k starts at pixel
round(k*H/n), so nothing is resampled, and known pixels are copied, never computed.

Memory is bounded: the blurred image is never built (`hifill.patches`), only patches that touch the hole are computed,
and only a few pixel rows of them at a time. Residuals come from patches without a hole pixel, and cells of `low` that
touch the hole hold the completion. Pixels under the hole therefore have no influence. Float values are in 0..255, like
the pixels.

Section 4.1 adopts averaging down and bilinear up. The other operators (`DOWN`, `patches.UP`) serve the comparison of
Figure 3; both upsamplings always use the same operator.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from common.errors import UserError
from common.images.convert import WHITE, check_array
from common.models import window
from hifill import detail as details
from hifill.patches import UP, axis_of, gather, smooth_part

# Operators that reduce a photograph; all but averaging alias.
DOWN = {
    "average": cv2.INTER_AREA,
    "nearest": cv2.INTER_NEAREST_EXACT,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
}

# Float32 values of all patches at once: a quarter of the image's bytes, but 4 to 16 MiB, which bounds memory at any
# image size. Small strips are slow.
_LEAST_VALUES, _MOST_VALUES, _SHARE = 1 << 20, 4 << 20, 16


def aggregate_residuals(
    image, mask, generated_512, attention, down: str = "average", up: str = "bilinear"
) -> np.ndarray:
    """Fills the hole of `image` at its own resolution (eq. 4).

    Args:
      image: uint8 [H, W, 3]; ignored under the mask.
      mask: [H, W], uint8 or bool, nonzero = hole.
      generated_512: [S, S, 3] the generator's completion of the whole image: uint8, float in [0, 1], or float in
        0..255 (the maximum tells the two apart).
      attention: [N, N] float, row j holds the weights of the context patches for patch j.
      down, up: operators of section 4.1, a key of `DOWN` and one of `patches.UP`.

    Returns:
      uint8 [H, W, 3], equal to `image` where the mask is 0.

    Raises:
      UserError: other types or shapes, N not the square of a divisor of S, or values that are not finite.
    """
    is_bool = isinstance(mask, np.ndarray) and mask.dtype.kind == "b"
    check_array(image, mask.astype(np.uint8) if is_bool else mask)
    generated = _to_levels(_checked(generated_512, "completion", 3))
    attention = _checked(attention, "attention", 2)
    patches = math.isqrt(len(attention))
    if attention.shape != (patches**2,) * 2 or not patches or len(generated) % patches:
        raise UserError(
            f"the attention has shape {attention.shape}; a completion of {len(generated)} pixels needs [N, N], N the "
            "square of a divisor"
        )
    if generated.shape != (len(generated), len(generated), 3):
        raise UserError(f"the completion has shape {generated.shape}; expected [S, S, 3]")
    size = generated.shape[0]
    hole = np.asarray(mask) > 0
    low = reduced(image, size, hole, down)
    output = image.copy()
    fill(output, hole, low, window.cells_touching(hole, size), generated, attention, up)
    return output


def _checked(array, name, axes):
    """A NumPy array; UserError unless `array` holds numbers and has as many axes."""
    try:
        found = np.asarray(array)
    except ValueError:  # lists of different lengths
        found = np.empty(0)
    if found.ndim != axes or found.dtype.kind not in "fiu" or not found.size:
        raise UserError(
            f"the {name} is {found.dtype} of shape {found.shape}; expected numbers along {axes} axes"
        )
    return found


def _to_levels(generated):
    """[S, S, 3] in any of the three ranges of `aggregate_residuals` -> float32 in 0..255."""
    levels = np.asarray(generated, np.float32)
    if not np.isfinite(levels).all():
        raise UserError("the generator's completion holds NaN or infinite values")
    in_unit_range = np.asarray(generated).dtype != np.uint8 and levels.max() <= 1.5
    return levels * WHITE if in_unit_range else levels


def reduced(image: np.ndarray, size: int, hole: np.ndarray, down: str = "average") -> np.ndarray:
    """[H, W, 3] uint8 -> [size, size, 3] float32 in 0..255 by one of `DOWN`, from known pixels alone.

    Averaging works in strips; the other operators copy the whole image to float32.
    """
    if down == "average":
        return average_down(image, size, hole)
    if down not in DOWN:
        raise ValueError(f"down '{down}' is not one of {', '.join(DOWN)}")
    return np.clip(_of_known(image, size, hole, DOWN[down]), 0, WHITE)  # bicubic overshoots


def _of_known(image, size, hole, interpolation):
    """Resamples known pixels alone: hole pixels get weight 0 and the other weights are rescaled to sum to 1."""
    known = 1 - hole.astype(np.float32)
    total, weight = (
        cv2.resize(x, (size, size), interpolation=interpolation)
        for x in (image * known[..., None], known)
    )
    return total / np.maximum(weight, 1e-6)[..., None]


def average_down(image: np.ndarray, size: int, hole: np.ndarray | None = None) -> np.ndarray:
    """[H, W, 3] uint8 -> [size, size, 3] float32 in 0..255: means of cells (section 4.1), unrounded.

    If an axis is shorter than `size`, the image is enlarged bilinearly from the pixels outside `hole` ([H, W] bool):
    interpolation reaches beyond a cell, so cells beside the hole would otherwise include hole pixels.
    """
    height, width = image.shape[:2]
    if height < size or width < size:
        hole = np.zeros((height, width), bool) if hole is None else hole
        return _of_known(image, size, hole, cv2.INTER_LINEAR)
    blocks = math.gcd(height, size)  # blocks of whole rows and cells keep the float copy small
    pixels, cells = height // blocks, size // blocks
    step = max(1, _strip_values(image) // (pixels * width * 3))
    low = np.empty((size, size, 3), np.float32)
    for first in range(0, blocks, step):
        part = image[first * pixels : (first + step) * pixels].astype(np.float32)
        shape = (size, len(part) // pixels * cells)
        low[first * cells : first * cells + shape[1]] = cv2.resize(
            part, shape, interpolation=cv2.INTER_AREA
        )
        del part  # not two at a time
    return low


@np.errstate(over="ignore", invalid="ignore")  # checked instead
def fill(
    image, hole, low, touched, generated, attention, up="bilinear", part=None, blur=0.0
) -> None:
    """`aggregate_residuals` in place, for a given low-resolution image and mask.

    Only patches without a hole are read and only pixels of the hole are written.

    Args:
      image: uint8 [H, W, 3], may be a view of a larger image.
      hole: [H, W] bool.
      low, generated: [S, S, 3] float32 in 0..255, as from `reduced` and the generator.
      touched: [S, S] bool, as from `window.cells_touching`.
      attention: [N, N] float.
      up: one of `patches.UP`.
      part: (top, bottom, left, right) of the part of the hole that is wanted; elsewhere the hole may stay as it is.
      blur: standard deviation of `hifill.detail`; 0: residuals are those of eq. 4.

    Raises:
      ValueError: unknown `up`.
      UserError: NaN or infinity in the attention of the hole's patches, or values so large that they lead to it.
    """
    if up not in UP:
        raise ValueError(f"up '{up}' is not one of {', '.join(UP)}")
    n = round(attention.shape[0] ** 0.5)
    rows, columns = (axis_of(length, n) for length in image.shape[:2])
    targets, sources = _patches_by_hole(
        hole, rows, columns, part or (0, len(hole), 0, hole.shape[1])
    )
    if not len(targets):
        return
    weights = np.ascontiguousarray(attention[np.ix_(targets, sources)], np.float32)
    if not np.isfinite(weights).all():
        raise UserError("the attention holds NaN or infinite values")
    completed = np.where(touched[..., None], generated, low)
    if blur and len(sources):
        base = details.blurred(completed, blur)
        weights *= details.limits(completed - base, weights, targets, sources, n)[:, None]
        completed = base
    smooth = smooth_part(completed, weights, targets, sources, rows, columns, image.shape[:2], up)
    # In a strip a context patch is held once, a hole patch twice: its detail and its smooth part.
    held = len(sources) + 2 * len(targets)
    step = max(1, _strip_values(image) // (held * columns.length * 3))
    for first in range(0, rows.length, step):
        strip = slice(first, min(first + step, rows.length))
        detail = weights @ gather(image, sources, rows, columns, strip)
        detail += smooth(strip)
        if not np.isfinite(detail).all():
            raise UserError("the completion or the attention holds values that are too large")
        _paste(image, hole, detail, targets, rows, columns, strip)
        del detail  # not two at a time


def _strip_values(image):
    return min(max(_LEAST_VALUES, image.size // _SHARE), _MOST_VALUES)


def _patches_by_hole(hole, rows, columns, part):
    """(targets, sources): indices of the patches that own a hole pixel of the part, and of those without a hole pixel.

    A patch may reach one pixel beyond the pixels it owns, so some patches are neither.
    """
    owned = window.any_in_spans(
        hole,
        *(
            (np.clip(axis.start, *span), np.clip(axis.stop, *span))
            for axis, span in ((rows, part[:2]), (columns, part[2:]))
        ),
    )
    full = window.any_in_spans(
        hole, *((axis.start, axis.start + axis.length) for axis in (rows, columns))
    )
    return np.flatnonzero(owned), np.flatnonzero(~full)


def _paste(output, hole, detail, targets, rows, columns, strip):
    """Writes the strip of every target patch into the hole, rounded to levels."""
    n = len(rows.start)
    detail += 0.5
    np.clip(detail, 0, WHITE, out=detail)
    levels = detail.astype(np.uint8).reshape(len(targets), -1, columns.length, 3)
    for level, target in zip(levels, targets):
        top = rows.start[target // n] + strip.start
        bottom = min(rows.start[target // n] + strip.stop, rows.stop[target // n])
        left, right = columns.start[target % n], columns.stop[target % n]
        if bottom <= top:
            continue
        where = hole[top:bottom, left:right, None]
        np.copyto(
            output[top:bottom, left:right], level[: bottom - top, : right - left], where=where
        )
