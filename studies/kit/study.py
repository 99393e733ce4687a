"""A study, its result, and the files of a result.

    <output>/<id>/result.json   tables, notes and numbers, with date, machine, commit, versions, size and options
    <output>/<id>/*.png         pictures

A study is one file with `STUDY = Study(...)`, listed in `studies.registry`. Its `run(bench)` takes the user's choices
from a `studies.kit.bench.Bench` and returns a `Result`; it prints only progress.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import pathlib
import platform
import re
import sys
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from common import environment, json_files
from common.errors import UserError
from common.images import convert
from common.json_files import NUMBER, TEXT, Value, one_of

if TYPE_CHECKING:
    from studies.kit.bench import Bench

_PAPERS = {"zoom": "Zoom-to-Inpaint", "hifill": "HiFill"}
BOTH = "Both papers"
PAPERS = (*_PAPERS.values(), BOTH)
SIZES = ("small", "own", "paper")
RESULT = "result.json"
# Prefix of rows that are the paper's, not measured here.
REPORTED = "paper: "


@dataclasses.dataclass(frozen=True)
class Study:
    """One table or figure of a paper.

    Attributes:
      id: paper and module, such as "zoom_table_3".
      item: table or figure of the paper, such as "Table 3, Figure 5".
      what: description in one line.
      reported: the paper's finding in one sentence.
      needs: weights, data and hours at the paper's size.
      minutes: duration of the small size on two idle cores, without networks that other studies share.
      run: runs the study and returns its result.
      arms: networks that the study compares, keys of `studies.kit.networks.ARMS`.
      flags: further flags at the paper's size, as on the command line.
      own_command: command of the paper's size, if it is not studies/run.py.
    """

    id: str
    item: str
    what: str
    reported: str
    needs: str
    minutes: float
    run: Callable[[Bench], Result]
    arms: tuple[str, ...] = ()
    flags: str = ""
    own_command: str = ""

    @property
    def paper(self) -> str:
        return _PAPERS.get(self.id.partition("_")[0], BOTH)

    @property
    def command(self) -> str:
        """The command of the paper's size."""
        weights = f"--weights={','.join(f'{arm}=FILE' for arm in self.arms)}" if self.arms else ""
        words = (f"python studies/run.py --study={self.id} --size=paper", weights, self.flags)
        return self.own_command or " ".join(filter(None, words))


@dataclasses.dataclass(frozen=True)
class Table:
    """Printed cells, one list per row; the first column is text. A paper's row begins with `REPORTED`."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"{self.title}: a row of {len(row)} for {len(self.columns)} columns"
                )


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of the report: `file` ends in .png, `pixels` are uint8 [H, W, 3] RGB."""

    file: str
    caption: str
    pixels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a study; `values` are its unrounded numbers, for other programs."""

    tables: list[Table] = dataclasses.field(default_factory=list)
    pictures: list[Picture] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    values: dict[str, Any] = dataclasses.field(default_factory=dict)


def machine() -> dict[str, Any]:
    """This machine: processor, cores, memory, GPUs (only if TensorFlow is imported)."""
    found: dict[str, Any] = {"processor": _processor(), "cores": os.cpu_count()}
    if hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        found["memory_gib"] = round(memory / 2**30)
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        gpus = tensorflow.config.list_physical_devices("GPU")
        details = [tensorflow.config.experimental.get_device_details(gpu) for gpu in gpus]
        found["gpus"] = [about.get("device_name", "GPU") for about in details]
    return found


def _processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(x.partition(":")[2].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def save(study: Study, result: Result, bench: Bench, seconds: float) -> pathlib.Path:
    """Writes the pictures, then result.json, which names them; returns the path of result.json."""
    for picture in result.pictures:
        convert.write_png(bench.folder / picture.file, picture.pixels)
    about = ("id", "paper", "item", "what", "reported", "command")
    content = {
        **{name: getattr(study, name) for name in about},
        "size": bench.size,
        "seconds": round(seconds, 1),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": environment.versions(),
        "commit": environment.git_commit(),
        "options": bench.options(),
        "tables": result.tables,
        "pictures": [{"file": p.file, "caption": p.caption} for p in result.pictures],
        "notes": result.notes,
        "values": result.values,
    }
    path = bench.folder / RESULT
    json_files.write(path, content)
    return path


def _matches(pattern):
    return lambda value: TEXT.holds(value) and re.fullmatch(pattern, value)


# A result may come from anywhere, and the report does not check it again. `id` becomes a link and a folder, and
# pictures are beside the result, so no path may lead out of its folder.
_FORM = {
    "id": Value("the name of a study", _matches("[a-z0-9_]+")),
    "paper": one_of(*PAPERS),
    "size": one_of(*SIZES),
    **dict.fromkeys(("item", "what", "reported", "command", "date", "commit"), TEXT),
    "seconds": NUMBER,
    "machine": {
        "processor": TEXT,
        "cores": Value("a number or null", lambda value: value is None or NUMBER.holds(value)),
        "gpus?": [TEXT],
    },
    "versions": {"tensorflow": TEXT},
    "values": {},
    "tables": [{"title": TEXT, "note": TEXT, "columns": [TEXT], "rows": [[TEXT]]}],
    "pictures": [
        {
            "file": Value("a .png beside the result", _matches(r"[^/\\:\x00-\x1f]+\.png")),
            "caption": TEXT,
        }
    ],
    "notes": [TEXT],
}


def load(path: pathlib.Path) -> dict[str, Any]:
    """The content of a result.json; UserError for any other file."""
    try:
        content = json_files.read(path, _FORM)
        for index, table in enumerate(content["tables"]):
            widths = {len(table["columns"]), *map(len, table["rows"])}
            if widths != {len(table["columns"])} or widths == {0}:
                raise ValueError(f"'tables[{index}]' has rows that do not fit its columns")
    except ValueError as error:
        raise UserError(f"{path} is not the result of a study ({error}); remove it") from error
    return content
