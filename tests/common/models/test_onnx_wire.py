"""Tensors of an ONNX file that lie in other files are found, wherever they are; the files are written by hand here."""

from __future__ import annotations

import pytest

from common.errors import UserError
from common.models import onnx_wire, runtimes

LOCATION = b"location"


def field(number, content):
    """A field of a protocol buffer: bytes, or a number."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number):
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def nested(numbers, content):
    for number in reversed(numbers):
        content = field(number, content)
    return content


PLAIN = field(1, 64) + field(8, b"name") + field(9, bytes(300)) + field(14, 0)
ELSEWHERE = [PLAIN + field(13, field(1, LOCATION)), PLAIN + field(14, 1)]
# Numbers of the fields from the file down to a tensor.
PLACES = {
    "a weight": (7, 5),
    "sparse weights": (7, 15, 1),
    "their indices": (7, 15, 2),
    "a constant": (7, 1, 5, 5),
    "constants": (7, 1, 5, 10),
    "a branch": (7, 1, 5, 6, 5),
    "branches": (7, 1, 5, 11, 1, 5, 5),
    "a sparse constant": (7, 1, 5, 22, 1),
    "sparse constants": (7, 1, 5, 23, 2),
    "a function": (25, 7, 5, 5),
    "a default of a function": (25, 11, 5),
    "training": (20, 1, 5),
    "an update": (20, 2, 1, 5, 5),
}


def written(path, content):
    # A producer's name, a fixed number of 8 and one of 4 bytes stand before it.
    before = field(2, b"maker") + b"\x41" + bytes(8) + b"\x45" + bytes(4) + field(1, 9)
    path.write_bytes(before + content)
    return path


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_in_another_file_is_found(tmp_path, place):
    path = tmp_path / "net.onnx"
    assert not onnx_wire.names_other_files(written(path, nested(PLACES[place], PLAIN) * 2))
    for tensor in ELSEWHERE:
        content = nested(PLACES[place], PLAIN) + nested(PLACES[place], tensor)
        assert onnx_wire.names_other_files(written(path, content))


def test_properties_are_read(tmp_path):
    entries = [field(1, b"detail_blur") + field(2, b"2.0"), field(2, b"\xc3\xa9") + field(1, b"e")]
    content = b"".join(field(14, entry) for entry in entries) + field(14, field(1, b"no value"))
    path = written(tmp_path / "net.onnx", content)
    assert onnx_wire.properties(path) == {"detail_blur": "2.0", "e": "é"}
    with pytest.raises(ValueError):
        onnx_wire.properties(written(path, field(14, field(1, b"a") + field(2, b"\xff"))))


def test_deep_messages_take_no_recursion(tmp_path):
    content = ELSEWHERE[0]
    for _ in range(3000):
        content = nested((1, 5, 6), content)  # a branch in a branch
    assert not onnx_wire.names_other_files(written(tmp_path / "net.onnx", field(7, content)))
    content = field(5, ELSEWHERE[0])
    for _ in range(3000):
        content = nested((1, 5, 6), content)
    assert onnx_wire.names_other_files(written(tmp_path / "net.onnx", field(7, content)))


@pytest.mark.parametrize(
    "content",
    [
        b"\x3a\x05ab",
        b"\x3a",
        b"\xff" * 11,
        b"\x0b",
        b"\x41\x00",
        b"\x08" + b"\x80" * 10 + b"\x01",
        b"",
    ],
)
def test_damage_is_an_error_of_one_line(tmp_path, monkeypatch, content):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError):
        onnx_wire.names_other_files(path)
    monkeypatch.setattr(runtimes, "installed", lambda runtime: "onnxruntime")
    with pytest.raises(UserError, match=r"net\.onnx is not an ONNX file, or is damaged"):
        runtimes.load(path)


def test_a_file_with_data_elsewhere_never_reaches_a_runtime(tmp_path, monkeypatch):
    path = written(tmp_path / "net.onnx", nested((7, 5), ELSEWHERE[0]))
    monkeypatch.setattr(runtimes, "installed", lambda runtime: "onnxruntime")
    monkeypatch.setattr(runtimes, "_onnxruntime", lambda path: pytest.fail("it was read"))
    with pytest.raises(UserError, match=r"net\.onnx names other files for its data"):
        runtimes.load(path)
