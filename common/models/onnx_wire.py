"""Reads and extends ONNX files without the package onnx.

Does a file refer to other files? What are its properties? How are tensors added?

An ONNX file may give paths of other files that hold its tensors. `export` never does this, so a file with such a path
is another network's or an attack: some versions of the runtimes follow it to any folder.

An ONNX file is a protocol buffer: fields of a number, a wire type and a value, one after another. The search for paths
parses only the messages in `_PARTS`; all others are skipped.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np

from common.storage import PathLike

# {message: {number of a field: the message in it}}, as far as a tensor may lie below.
_PARTS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor
_VARINT, _BYTES, _FIXED = 0, 2, {1: 8, 5: 4}  # wire types
_LONGEST_VARINT = 10
# Numbers of fields: those of ModelProto, GraphProto.initializer, and those of StringStringEntryProto and TensorProto.
_GRAPH, _PROPERTIES, _INITIALIZER = 7, 14, 5
_KEY, _VALUE = 1, 2
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_FLOAT = 1  # a data type


def names_other_files(path: PathLike) -> bool:
    """Whether a tensor of the ONNX file lies in another file.

    Raises:
      ValueError: it is no protocol buffer.
      OSError: it cannot be read.
    """
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        left = [("model", 0, len(data))]  # no recursion: messages may lie in each other without end
        while left:
            message, start, end = left.pop()
            for number, value in _fields(data, start, end):
                if message == "tensor" and (
                    number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value)
                ):
                    return True
                inner = _PARTS.get(message, {}).get(number)
                if inner and isinstance(value, slice):
                    left.append((inner, value.start, value.stop))
    return False


def properties(path: PathLike) -> dict[str, str]:
    """The metadata of the ONNX file; errors as for `names_other_files`."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        entries = [
            dict(_fields(data, value.start, value.stop))
            for number, value in _fields(data, 0, len(data))
            if number == _PROPERTIES and isinstance(value, slice)
        ]
        texts = [[entry.get(field) for field in (_KEY, _VALUE)] for entry in entries]
        return {
            data[key].decode(): data[value].decode()
            for key, value in texts
            if isinstance(key, slice) and isinstance(value, slice)
        }


def _fields(data, place, end) -> Iterator[tuple[int, int | slice | None]]:
    """(number, value) of the fields of a message: a varint, the place of bytes, or None for fixed numbers."""
    while place < end:
        key, place = _varint(data, place, end)
        kind, value = key & 7, None
        if kind == _VARINT:
            value, place = _varint(data, place, end)
        elif kind == _BYTES:
            length, place = _varint(data, place, end)
            value, place = slice(place, place + length), place + length
        elif kind in _FIXED:
            place += _FIXED[kind]
        else:
            raise ValueError(f"a field has the wire type {kind}")
        if place > end:
            raise ValueError("a field is cut short")
        yield key >> 3, value


def _varint(data, place, end):
    """(number, position after it).

    Each byte holds seven bits, lowest first; its highest bit is set if another byte follows.
    """
    number = 0
    for shift in range(_LONGEST_VARINT):
        if place + shift >= end:
            raise ValueError("a number is cut short")
        byte = data[place + shift]
        number |= (byte & 127) << 7 * shift
        if byte < 128:
            return number, place + shift + 1
    raise ValueError("a number has more than ten bytes")


def with_tensors(content: bytes, arrays: dict[str, np.ndarray]) -> bytes:
    """The ONNX file `content` with float32 `arrays` as weights (initializers) of its graph."""
    tensors = [_field(_INITIALIZER, _tensor(name, array)) for name, array in arrays.items()]
    # Protocol buffers that stand one after the other are read as one.
    return content + _field(_GRAPH, b"".join(tensors))


def _tensor(name, array):
    """A TensorProto."""
    dims = b"".join(_as_varint(_DIMS << 3) + _as_varint(length) for length in array.shape)
    kind = _as_varint(_DATA_TYPE << 3) + _as_varint(_FLOAT)
    raw = np.ascontiguousarray(array, "<f4").tobytes()
    return dims + kind + _field(_NAME, name.encode()) + _field(_RAW_DATA, raw)


def _field(number, content):
    """An encoded field of bytes: tag (number, wire type 2), length, content."""
    return _as_varint(number << 3 | _BYTES) + _as_varint(len(content)) + content


def _as_varint(value):
    """Seven bits a byte, the lowest first; the high bit is set in all but the last byte."""
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes(parts) + bytes([value])
