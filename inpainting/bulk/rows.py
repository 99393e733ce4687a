"""The rows of a job: photograph, mask and result, from a list file or from folders.

A row is three absolute paths; the mask is "" if the hole is the transparent part of the photograph. A list of a
million rows is read line by line, never as a whole.
"""

from __future__ import annotations

import csv
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from common.errors import UserError
from common.filling import photographs
from common.images import pairing

COLUMNS = ("image", "mask", "output")
_LONGEST_LINE = 1 << 16  # characters; three of the longest paths have 12,288


class Row(NamedTuple):
    """One photograph; `place` is where the row comes from, for messages."""

    image: str
    mask: str
    output: str
    place: str

    @property
    def pair(self) -> pairing.Pair:
        """The three paths."""
        return as_pair(self.image, self.mask, self.output)


def as_pair(image: str, mask: str, output: str) -> pairing.Pair:
    """The pair of three paths; a mask "" becomes None."""
    return pairing.Pair(
        pathlib.Path(image), pathlib.Path(mask) if mask else None, pathlib.Path(output)
    )


def of_list(path: str, folder: str) -> Iterator[Row]:
    """The rows of a text file with three columns, separated by tabs or by commas, with or without a header.

    Relative photographs and masks are relative to the current folder, relative results to `folder`. Empty lines are
    ignored.

    Raises:
      UserError: the file cannot be read, or a line is no row; names the line.
    """
    here, folder = os.getcwd(), os.path.abspath(folder)
    if not os.path.isfile(path):  # a pipe would block, and the list is read several times
        why = "is not a file" if os.path.exists(path) else "does not exist; check its name"
        raise UserError(f"--list={path} {why}")
    try:
        # Names of files need not be UTF-8. A byte order mark comes from spreadsheets.
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            delimiter = "\t" if "\t" in stream.readline(_LONGEST_LINE) else ","
            stream.seek(0)
            lines = csv.reader(_lines(stream, path), delimiter=delimiter, strict=True)
            try:
                for cells in lines:
                    if cells and tuple(cells) != COLUMNS:
                        yield _row(cells, here, folder, f"{path}, line {lines.line_num}")
            except csv.Error as error:
                raise UserError(f"{path}, line {lines.line_num}: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read --list={path}: {error.strerror or error}") from error


def _lines(stream, path):
    """The lines of a file; UserError for one without end, which would be read into memory as a whole."""
    for number in itertools.count(1):
        line = stream.readline(_LONGEST_LINE)
        if not line:
            return
        if len(line) == _LONGEST_LINE:
            raise UserError(
                f"{path}, line {number} has {_LONGEST_LINE} characters or more; it is no list of photographs"
            )
        yield line


def _row(cells, here, folder, place):
    if len(cells) != len(COLUMNS):
        raise UserError(
            f"{place} has {len(cells)} columns instead of 3: photograph, mask, result, separated by tabs or commas"
        )
    image, mask, output = cells
    if not (image and output) or "\0" in "".join(cells):
        raise UserError(f"{place} does not name a photograph and a result")
    image, mask = (os.path.normpath(os.path.join(here, x)) if x else "" for x in (image, mask))
    output = os.path.normpath(os.path.join(folder, output))
    if output in (image, mask):
        raise UserError(f"{place}: the result would overwrite {output}; name another file")
    try:
        photographs.output_format(output)
    except UserError as error:
        raise UserError(f"{place}: {error}") from error
    return Row(image, mask, output, place)


def of_folders(pairs: Iterable[pairing.Pair]) -> Iterator[Row]:
    """The rows of pairs, such as `pairing.pairs` finds in folders."""
    for pair in pairs:
        image, mask, output = (os.path.abspath(path) if path else "" for path in pair)
        yield Row(image, mask, output, image)


def check_distinct(rows: Iterable[Row], again: Iterable[Row]) -> int:
    """How many rows there are; all are checked. Needs 8 bytes a row.

    again: the same rows, which are read only if two rows seem to have one result.

    Raises:
      UserError: a line is no row, or two rows have one result.
    """
    hashes = np.fromiter((hash(row.output) for row in rows), np.int64)
    values, counts = np.unique(hashes, return_counts=True)
    repeated, seen = set(values[counts > 1].tolist()), {}
    for row in again if repeated else ():
        if hash(row.output) in repeated:
            other = seen.setdefault(row.output, row)
            if other is not row:
                raise UserError(
                    f"{other.place} and {row.place} would both be written to {row.output}"
                )
    return len(hashes)


def in_blocks(rows: Iterable[Row], size: int) -> Iterator[dict[str, list[bytes]]]:
    """Blocks {column: paths} of `size` consecutive rows; the last may be smaller."""
    rows = iter(rows)
    while block := list(itertools.islice(rows, size)):
        yield {name: [os.fsencode(getattr(row, name)) for row in block] for name in COLUMNS}


def pairs_of(block: dict[str, list[bytes]]) -> list[pairing.Pair]:
    """The pairs of a block."""
    return [as_pair(*map(os.fsdecode, row)) for row in zip(*(block[name] for name in COLUMNS))]
