"""`common.models.membrane.fill` as ONNX nodes.

The steps are the same. A converter makes three times as many nodes of the TensorFlow ops, whose layout is
[B, H, W, C], and needs minutes. Here images are [1, C, H, W] and masks [1, 1, H, W]. Sources are kept divided by four,
so a step of Gauss-Seidel is the mean of the four neighbours minus the source.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from common.models.membrane import CYCLES

_NEIGHBOURS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4
_ITSELF = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)
_CELL = np.ones((2, 2), np.float32)


def build(image: str, mask: str, output: str, shape: tuple[int, ...]) -> tuple[list, list]:
    """(nodes, initializers) for `output`, the membrane of `image` [1, C, H, W] = `shape` in the hole of `mask`."""
    graph = _Graph(shape[1])
    hole = graph.add("Greater", mask, graph.zero)
    values = graph.add("Where", hole, graph.zero, image)
    graph.add("Identity", _fill(graph, values, hole, *shape[2:]), output=output)
    return graph.nodes, graph.initializers


class _Graph:
    """Nodes and constants. A tensor is the name of a node's output."""

    def __init__(self, channels):
        self.channels, self.nodes, self.initializers, self._names = channels, [], [], {}
        self.zero, self.one = (self.constant(np.float32(value)) for value in (0, 1))

    def add(self, op, *inputs, output=None, **attributes):
        output = output or f"membrane/{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, array):
        """A constant; equal ones are kept once."""
        array = np.asarray(array)
        key = (array.dtype, array.shape, array.tobytes())
        if key not in self._names:
            self._names[key] = f"membrane/constant_{len(self._names)}"
            self.initializers.append(numpy_helper.from_array(array, self._names[key]))
        return self._names[key]

    def number(self, x):
        return self.add("Cast", x, to=TensorProto.FLOAT)

    def convolve(self, x, kernel):
        """Every channel alone with a 3x3 kernel; the border is repeated."""
        around = self.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
        padded = self.add("Pad", x, around, mode="edge")
        return self._convolve(padded, kernel, self.channels)

    def sums(self, x, channels, height, width):
        """Sums of 2 x 2 pixels; odd sides are padded with zeros."""
        return self._convolve(
            x, _CELL, channels, strides=[2, 2], pads=[0, 0, height % 2, width % 2]
        )

    def _convolve(self, x, kernel, channels, **attributes):
        kernels = self.constant(np.repeat(kernel[np.newaxis, np.newaxis], channels, axis=0))
        shape = {"group": channels, "kernel_shape": kernel.shape}
        return self.add("Conv", x, kernels, **shape, **attributes)

    def doubled(self, x, height, width):
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        # The coordinates are ONNX's default, but OpenCV wants them named.
        grid = {"coordinate_transformation_mode": "half_pixel"}
        x = self.add("Resize", x, "", scales, mode="linear", **grid)
        for axis, side in ((2, height), (3, width)):
            if side % 2:
                ends = (self.constant(np.array([value], np.int64)) for value in (0, side, axis))
                x = self.add("Slice", x, *ends)
        return x


class _Level(NamedTuple):
    """One size: its sides, `values`, `hole` (bool and number), and the hole's pixels of either chessboard colour."""

    sides: tuple[int, int]
    values: str
    hole: str
    number: str
    colours: list[str]


def _fill(graph, values, hole, height, width):
    levels = [_level(graph, values, hole, height, width)]
    while max(levels[-1].sides) > 1:
        levels.append(_halved(graph, levels[-1]))
    x = levels[-1].values
    for number in range(len(levels) - 2, -1, -1):
        level = levels[number]
        x = graph.add("Where", level.hole, graph.doubled(x, *level.sides), level.values)
        for _ in range(CYCLES):
            x = _cycle(graph, x, None, levels[number:])
    return x


def _level(graph, values, hole, height, width):
    white = (np.indices((height, width)).sum(axis=0) % 2)[np.newaxis, np.newaxis]
    number, colours = graph.number(hole), []
    for field in (white, 1 - white):  # OpenCV 4 reads no constants of truth values
        inside = graph.add("Mul", number, graph.constant(field.astype(np.float32)))
        colours.append(graph.add("Greater", inside, graph.zero))
    return _Level((height, width), values, hole, number, colours)


def _halved(graph, level):
    known = graph.number(graph.add("Not", level.hole))
    count = graph.sums(known, 1, *level.sides)
    total = graph.sums(level.values, graph.channels, *level.sides)
    values = graph.add("Div", total, graph.add("Max", count, graph.one))
    hole = graph.add("Not", graph.add("Greater", count, graph.zero))
    return _level(graph, values, hole, *((side + 1) // 2 for side in level.sides))


def _cycle(graph, x, source, levels):
    """One V-cycle; x None: zero, source None: zero."""
    level = levels[0]
    x = _smoothed(graph, x, source, level)
    if max(level.sides) > 2:
        residual = graph.convolve(x, _ITSELF - _NEIGHBOURS)
        residual = residual if source is None else graph.add("Add", residual, source)
        residual = graph.add("Mul", residual, level.number)
        below = graph.sums(residual, graph.channels, *level.sides)
        correction = graph.doubled(_cycle(graph, None, below, levels[1:]), *level.sides)
        x = graph.add("Add", x, graph.add("Mul", correction, level.number))
    return _smoothed(graph, x, source, level)


def _smoothed(graph, x, source, level):
    for colour in level.colours:
        mean = None if x is None else graph.convolve(x, _NEIGHBOURS)
        if source is not None:
            mean = graph.add("Neg", source) if mean is None else graph.add("Sub", mean, source)
        x = graph.add("Where", colour, mean, x or graph.zero)
    return x
