"""Windows around a hole, and the cells of a window that touch the hole, in NumPy and as equal TensorFlow ops.

A window is divided into cells, one for each pixel of the network's input. Photographs are handled in NumPy, exported
models in TensorFlow. A function `NAME_op` computes the same as `NAME`, in TensorFlow; `span_op` and `paste_op` have no
twin.
"""

from __future__ import annotations

import lazy_loader
import numpy as np

tf = lazy_loader.load("tensorflow")  # only the `..._op` functions need it

# OpenCV's INTER_AREA ignores parts of a cell thinner than 1 / _SLIVERS of a pixel.
_SLIVERS = 1000


def start(first, stop, side, length):
    """First pixel of a window of `side` pixels: centred on [first, stop), moved into [0, length) if it fits."""
    return np.maximum(0, np.minimum(first + (stop - first) // 2 - side // 2, length - side))


def start_op(first, stop, side, length) -> tf.Tensor:
    """`start` of int32 tensors."""
    return tf.maximum(0, tf.minimum(first + (stop - first) // 2 - side // 2, length - side))


def cell_spans(length: int, cells: int, slivers: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """([cells] first pixels, [cells] ends) of the cells into which `length` pixels are divided.

    slivers: False: a cell leaves out pixels that it covers by so little that OpenCV's area averaging ignores them.
    """
    edges, thin = np.arange(cells + 1) * length, 0 if slivers else cells // _SLIVERS
    return (edges[:-1] + thin) // cells, -((thin - edges[1:]) // cells)


def any_in_spans(pixels: np.ndarray, rows, columns) -> np.ndarray:
    """[H, W] bool -> [R, C] bool: whether a pixel is set within each row span and column span.

    rows, columns: spans (first, stop), int arrays [R] and [C].
    """
    for first, stop in (rows, columns):
        lines = [pixels[a:b].any(axis=0) for a, b in zip(first, stop)]
        pixels = np.ascontiguousarray(np.stack(lines).T)
    return pixels


def cells_touching(pixels: np.ndarray, size, slivers: bool = True) -> np.ndarray:
    """[H, W] bool -> [rows, columns] bool: the cells with at least one set pixel.

    size: (rows, columns), or one number for both.
    """
    sides = np.broadcast_to(size, 2)
    return any_in_spans(
        pixels, *(cell_spans(n, int(side), slivers) for n, side in zip(pixels.shape, sides))
    )


def cells_touching_op(pixels: tf.Tensor, size, slivers: bool = True) -> tf.Tensor:
    """`cells_touching` of a tensor; size: (rows, columns), int32."""
    for cells in (size[0], size[1]):
        thin = 0 if slivers else cells // _SLIVERS
        edges = tf.range(cells + 1) * tf.shape(pixels)[0]
        first, last = (edges[:-1] + thin) // cells, -((thin - edges[1:]) // cells) - 1
        pixels = tf.transpose(_any_between(pixels, first, last))
    return pixels


def _any_between(pixels, first, last):
    """[H, W] bool -> [K, W] bool: whether any of the rows first[k] .. last[k] is set there."""
    longest = tf.reduce_max(last - first) + 1

    def one_more(step, found):
        return step + 1, found | tf.gather(pixels, tf.minimum(first + step, last))

    found = tf.gather(pixels, first)
    _, found = tf.while_loop(lambda step, _: step < longest, one_more, (1, found))
    return found


def span_op(hole: tf.Tensor, axis: int) -> tuple[tf.Tensor, tf.Tensor]:
    """[H, W] bool with a hole -> (first, length), scalars: the extent of the hole along an axis."""
    lines = tf.cast(tf.where(tf.reduce_any(hole, axis=1 - axis))[:, 0], tf.int32)
    return lines[0], lines[-1] - lines[0] + 1


def paste_op(image: tf.Tensor, window: tf.Tensor, top, left) -> tf.Tensor:
    """`image` [H, W, C] with `window` [h, w, C] pasted at (top, left); the part outside the image is dropped."""
    inside = window[: tf.shape(image)[0] - top, : tf.shape(image)[1] - left]
    bottom, right = top + tf.shape(inside)[0], left + tf.shape(inside)[1]
    middle = tf.concat([image[top:bottom, :left], inside, image[top:bottom, right:]], axis=1)
    return tf.concat([image[:top], middle, image[bottom:]], axis=0)
