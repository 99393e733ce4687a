"""Rows of `inpaint bulk`: lists with tabs or commas, their mistakes with the line, and blocks."""

from __future__ import annotations

import os
import pathlib

import pytest

from common.errors import UserError
from common.images import pairing
from inpainting.bulk import rows


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(text, encoding="utf-8"):
    with open("rows.txt", "w", encoding=encoding, newline="") as stream:
        stream.write(text)
    return rows.of_list("rows.txt", "out")


@pytest.mark.parametrize(
    "text",
    [
        "a.jpg\tm/a.png\ta.png\n\n/b c.jpg\t\t/d/b.tif\n",
        "a.jpg,m/a.png,a.png\r\n/b c.jpg,,/d/b.tif",
        'image,mask,output\na.jpg,m/a.png,x/../a.png\n"/b c.jpg","",/d/b.tif\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_list_is_read(here, text, encoding):
    first, second = listed(text, encoding)
    assert first[:3] == (str(here / "a.jpg"), str(here / "m/a.png"), str(here / "out/a.png"))
    assert second[:3] == ("/b c.jpg", "", "/d/b.tif")
    assert (str(second.pair.image), second.pair.mask) == ("/b c.jpg", None)


@pytest.mark.parametrize(
    "line, words",
    [
        ("b.jpg,m.png", ["2 columns"]),
        ("b.jpg,m.png,b.png,more", ["4 columns"]),
        (",m.png,b.png", ["photograph"]),
        ("b.jpg,m.png,", ["photograph"]),
        ("b.jpg,m.png,b.gif", ["b.gif", ".png"]),
        ("b.jpg,out/b.png,b.png", ["overwrite", "out/b.png"]),
        ('b.jpg,"m.png"x,b.png', ["rows.txt"]),
        ("b\0.jpg,m.png,b.png", ["rows.txt"]),
    ],
)
def test_a_bad_line_is_named(line, words):
    with pytest.raises(UserError) as error:
        list(listed(f"a.jpg,m.png,a.png\n\n{line}\n"))
    for word in ("rows.txt, line 3", *words):
        assert word in str(error.value)


def test_a_list_that_cannot_be_read_is_named():
    for name in ("gone.csv", "."):
        with pytest.raises(UserError, match=f"--list={name}"):
            next(rows.of_list(name, "out"))


def test_what_is_no_list_does_not_block_and_is_not_read_whole(here):
    """A pipe blocks, a device has no end, and a line without end would be read into memory."""
    os.mkfifo("pipe")
    for name in ("pipe", "/dev/zero", "x" * 256):
        with pytest.raises(UserError, match=f"--list={name}"):
            next(rows.of_list(name, "out"))
    for before in ("", "a.jpg,m.png,a.png\n", '"'):
        with pytest.raises(UserError, match=f"line {1 + (len(before) > 1)} has 65536 characters"):
            list(listed(before + "x" * 100_000))


def test_two_rows_with_one_result_are_refused_with_both_lines():
    text = "a.jpg,m.png,a.png\nb.jpg,m.png,b.png\nc.jpg,m.png,./a.png\n"
    with pytest.raises(UserError, match=r"line 1 and .*line 3 .*out/a\.png"):
        rows.check_distinct(listed(text), listed(text))
    assert rows.check_distinct(listed(text[:36]), ()) == 2


def test_folders_give_absolute_rows(here):
    pairs = [pairing.Pair(here / "a.jpg", None, pathlib.Path("out/a.png"))]
    (row,) = rows.of_folders(pairs)
    assert row[:3] == (str(here / "a.jpg"), "", str(here / "out/a.png"))


def test_blocks_hold_every_row_once_whatever_its_name():
    names = [f"{i}.png" for i in range(7)] + [os.fsdecode(b"\xff.png")]
    blocks = list(rows.in_blocks((rows.Row(f"/p/{n}", "", f"/o/{n}", "") for n in names), 3))
    assert [len(block["image"]) for block in blocks] == [3, 3, 2]
    pairs = [pair for block in blocks for pair in rows.pairs_of(block)]
    assert [(str(p.image), p.mask, str(p.output)) for p in pairs] == [
        (f"/p/{n}", None, f"/o/{n}") for n in names
    ]
