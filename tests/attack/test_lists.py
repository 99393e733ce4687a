"""Lists of `inpaint bulk`: damaged bytes, other encodings, cells of every kind, and what is no list.

The command does all of this without Ray, in its own process: it reads and checks the list, looks what is there, and a
worker fills block after block. A list is refused as a whole, or each of its rows is filled or fails with one line.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import pathlib
import types

import numpy as np
import pytest
from absl import flags
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from common import command_line
from common.images import convert
from common.masks.files import read_mask

SOURCES = ("a.png", "b.jpg", "mask.png", "clear.png", "list.txt")
# Photographs and masks of a row, in the folder of the input, and what is none.
CELLS = st.sampled_from(
    ("photos/a.png", "photos/b.jpg", "photos/mask.png", "photos/clear.png", "photos/list.txt")
    + ("", "nothing.png", "photos", "pipe", "loop", "/dev/null", "photos/a.png/below")
    + ("x" * 256 + ".png", "y/" * 3000 + "a.png", "a\nb.png", 'a"b.png', "\udcff.png", " ", "~")
)
# Results, below the folder of results.
RESULTS = st.sampled_from(
    ("r.png", "s.jpg", "t.tif", "u.WEBP", "v.bmp", "below/r.png", "below/../r.png", "./s.jpg", "")
    + ("w.gif", "x" * 256 + ".png", "y/" * 3000 + "a.png", "r.png/below.png", "a\nb.png", ".png")
    + ("\udcff.png", "failures.csv", "-.png", "a b.png", "\U0001f600.png", "r.png\0")
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "utf-7")
# What --list may name that is no list.
ODD = ("photos", "pipe", "loop", "nothing", "/dev/null", "/dev/zero", "/dev/full", "photos/a.png")
ODD += (
    "",
    ".",
    "x" * 256,
    "photos/a.png/below",
    "long",
    "wide",
    "deep",
    "empty",
    "\0",
    "/proc/self/mem",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with photographs, a mask, files that are no lists; the rows are relative to it."""
    folder = tmp_path_factory.mktemp("lists")
    (folder / "photos").mkdir()
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    hole = np.zeros((20, 30), np.uint8)
    hole[5:9, 5:9] = 255
    for name in ("a.png", "b.jpg"):
        Image.fromarray(image[..., :3]).save(folder / "photos" / name)
    Image.fromarray(image).save(folder / "photos/clear.png")
    Image.fromarray(hole).save(folder / "photos/mask.png")
    (folder / "photos/list.txt").write_text("a.png,mask.png,r.png\n")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "long").write_bytes(b"x" * 1_000_000)
    (folder / "wide").write_bytes(b"," * 60_000)
    (folder / "deep").write_bytes(b'"' + b"x\n" * 100_000)
    (folder / "empty").write_bytes(b"")
    before = pathlib.Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def job(bulk):
    """The command's modules, and a worker with a quick painter."""
    flags.FLAGS(["bulk", "--model=mean"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk.worker, "_limit", lambda gigabytes: None)
        made = bulk.worker.Worker(bulk.worker.flag_values(), 1, 4, bulk.worker.Attempts())
    return types.SimpleNamespace(command=bulk.command, rows=bulk.rows, worker=made)


def read(job, path, output):
    """The rows of a list as the command gives them out."""
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    command_line.parse(["bulk", "--model=mean", f"--list={path}", f"--output={output}"])
    job.command._check_flags()
    source, count = job.command._listed()
    blocks = [*job.rows.in_blocks(job.command._unfinished(source()), 3)]
    found = [pair for block in blocks for pair in job.rows.pairs_of(block)]
    assert len(found) <= count and len({pair.output for pair in found}) == len(found)
    return blocks


def fill(job, path, output):
    """The whole job; (blocks with their reasons, what is said, the table of failures)."""
    blocks, said = read(job, path, output), io.StringIO()
    with contextlib.redirect_stderr(said), job.command.Failures(output) as failures:
        filled = [job.worker.fill(block) for block in blocks]
        for block in filled:
            job.command._report([block], 1, failures)
        with open(failures.path, encoding="utf-8", errors="surrogateescape", newline="") as table:
            rows = [*csv.reader(table)]
    return filled, said.getvalue(), rows[1:]


def text_of(draw, cells, rows=4):
    """A list with up to `rows` lines of drawn cells: separators, quotes and line ends of every kind."""
    delimiter, end = (
        draw(st.sampled_from("\t,")),
        draw(st.sampled_from(("\n", "\r\n", "\r", "\n\n"))),
    )
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end)
    for _ in range(draw(st.integers(0, rows))):
        writer.writerow(cells())
    text = stream.getvalue()
    return f"image{delimiter}mask{delimiter}output{end}{text}" if draw(st.booleans()) else text


@given(st.data())
def test_damaged_lists(attempt, scratch, damaged, job, place, data):
    draw = data.draw

    def cells():
        odd = draw(st.integers(0, 9)) == 0
        row = [draw(CELLS), draw(CELLS), f"{draw(st.integers(0, 9))}.png"]
        return row + draw(st.lists(st.text(max_size=3), max_size=3)) if odd else row

    encoded = text_of(draw, cells).encode(draw(st.sampled_from(ENCODINGS)), "replace")
    with scratch() as folder:
        path = pathlib.Path(folder, "list.txt")
        path.write_bytes(damaged(draw, encoded) if draw(st.booleans()) else encoded)
        attempt("lists", lambda: read(job, path, folder), folder)


@given(st.data())
def test_rows(attempt, scratch, job, place, data):
    draw = data.draw

    def cells():
        if draw(st.integers(0, 2)):
            return [draw(CELLS), draw(CELLS), draw(RESULTS)]
        return ["photos/a.png", "photos/mask.png", draw(RESULTS)]

    text, before = text_of(draw, cells), {n: (place / "photos" / n).read_bytes() for n in SOURCES}
    with scratch() as folder:
        path = pathlib.Path(folder, "list.txt")
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        taken, found = attempt("lists", lambda: fill(job, path, f"{folder}/out"), folder)
        after = {name: (place / "photos" / name).read_bytes() for name in SOURCES}
        attempt.require("lists", "changed photographs", before == after)
        if taken:
            _check(attempt, job, *found)


def _check(attempt, job, filled, said, table):
    reasons = [os.fsdecode(reason) for block in filled for reason in block["reason"]]
    failed = [reason for reason in reasons if reason]
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    attempt.require("lists", "longer messages", len(errors) == len(failed), (said, failed))
    assert [row[-1] for row in table] == failed
    bugs = [reason for reason in failed if "shows where" in reason]
    attempt.require("lists", "tracebacks", not bugs, bugs)
    pairs = [pair for block in filled for pair in job.rows.pairs_of(block)]
    for pair, reason in zip(pairs, reasons):
        assert os.path.isfile(pair.output) == (not reason), (pair, reason)
        if not reason and pair.mask and pair.output.suffix != ".jpg":
            image, result = convert.read_rgb(pair.image), convert.read_rgb(pair.output)
            known = read_mask(pair.mask, image.shape[:2]) == 0
            same = np.array_equal(result[known], image[known])
            attempt.require("lists", "changed known pixels", same, pair)


@given(st.data())
def test_what_is_no_list(attempt, scratch, job, place, data):
    with scratch() as folder:
        name = data.draw(st.sampled_from(ODD))
        taken, blocks = attempt("lists", lambda: read(job, name, folder), folder)
        assert not (taken and blocks), name
