"""Entries of docs/results/, made from the results of studies, evaluate.py and benchmarks/.

`read` gives one result in plain values:

    {"name", "title", "date", "machine", "commit", "versions", "command", "tables", "pictures", "notes"}

with tables as `studies.kit.study.Table`. Only the study `evidence` keeps its pictures, which are charts; pictures of
other studies may show photographs, which do not belong in this repository.
"""

from __future__ import annotations

import datetime
import pathlib
import re
from typing import Any

from common import json_files
from common.errors import UserError
from common.images import convert
from common.json_files import NUMBER, SCORE, TEXT
from common.scoring import tables
from studies.kit import scores, study

EVIDENCE = "evidence"
# Columns of an evaluation's table, and the flags to show.
_COLUMNS = (
    *scores.columns("psnr", "ssim", "ms_ssim"),
    tables.Column("l1_percent", "L1 (%) ↓", 3),
)
_GIVEN = (
    *("model", "weights", "predictions", "dataset", "data_dir", "split", "masks", "size", "count"),
    "seed",
)

_BENCHMARK = {
    "seconds": "Time (s)",
    "cost_gflop": "Cost (GFLOP)",
    "peak_gigabytes": "Peak memory (GB)",
    "images_per_second": "Images/s",
    "arithmetic_gflop": "Arithmetic (GFLOP)",
    "convolution_rate": "Convolution rate (GFLOP/s)",
    "share_of_rate": "Of that rate",
    "times_as_fast": "Authors' graph takes (times)",
}
_RUN = {"git_commit": TEXT, "versions": {"tensorflow": TEXT}}
_SUMMARY = {"method": TEXT, "masks": TEXT, "n": NUMBER, "hole_area": TEXT}
_EVALUATION = {
    "summaries": [{**_SUMMARY, "metrics": {str: {str: SCORE}}}],
    "reported": [{"method": TEXT, "masks": TEXT, "n": NUMBER, "metrics": {str: SCORE}}],
}
_COST_NOTE = (
    "Cost: time x the machine's own rate on plain convolutions, measured just before and after."
)
_RATE_NOTE = (
    "Rate of plain convolutions, measured beside the networks in every round; medians over rounds."
)
_NOTES = {"cost_gflop": _COST_NOTE, "share_of_rate": _RATE_NOTE}


def without_folders(text: str) -> str:
    """Absolute paths cut to their last part, in JSON text: /data/photos/kodak -> kodak."""
    return re.sub(r'(?<=["=,\s])/(?:[^"\s,/]+/)+([^"\s,/]+)', r"\1", text)


def read(source: pathlib.Path) -> dict[str, Any]:
    """The result of a study's or evaluate.py's folder, or of a benchmark's file.

    Raises:
      UserError: `source` is none of these.
    """
    if (source / study.RESULT).is_file():
        found = study.load(source / study.RESULT)
        if not found["tables"]:
            raise UserError(f"{source / study.RESULT} has no table, so there is nothing to publish")
        return _of_study(found)
    if (source / "scores.json").is_file():
        return _of_evaluation(source)
    if source.is_file() and source.suffix == ".json":
        return _of_benchmark(source)
    raise UserError(
        f"{source} is no folder of a study ({study.RESULT}) or of evaluate.py (scores.json), and no "
        "JSON file of a benchmark"
    )


def _json(path, form):
    try:
        return json_files.read(path, form)
    except ValueError as error:
        raise UserError(
            f"{path} is no result of evaluate.py or of benchmarks/ ({error}); make it again"
        ) from error


def _of_study(found):
    kept = ("date", "machine", "commit", "versions", "command", "tables", "notes", "values")
    pictures = found["pictures"] if found["id"] == EVIDENCE else []  # others may show photographs
    title = found["what"][:1].upper() + found["what"][1:]
    about = {"name": found["id"], "title": title, "pictures": pictures}
    return {**about, **{key: found[key] for key in kept}}


def _of_evaluation(folder):
    run = _json(folder / "run.json", {**_RUN, "flags": {}})
    content = _json(folder / "scores.json", _EVALUATION)
    overall = [summary for summary in content["summaries"] if summary["hole_area"] == "all"]
    found = [(s["method"], s, _flat(s["metrics"])) for s in overall]
    found += [(study.REPORTED + r["method"], r, r["metrics"]) for r in content["reported"]]
    kinds = [about["masks"] for _, about, _ in found]
    found.sort(key=lambda row: kinds.index(row[1]["masks"]))
    table = {
        "title": "Scores",
        "columns": ["Method", "Holes", "n", *(column.title for column in _COLUMNS)],
        "rows": [
            [method, about["masks"], str(about["n"]), *_numbers(metrics)]
            for method, about, metrics in found
        ],
        "note": f"Mean over pictures. {tables.POOLED_NOTE}",
    }
    command = _command("evaluate.py", run["flags"])
    about = _about(folder / "scores.json", run, command, table)
    return {"name": folder.name, "title": f"Scores: {folder.name}", **about}


def _flat(metrics):
    """{name of a column: number}; values missing in an older scores.json are left out."""
    return {
        key if shown == "mean" else f"{key}_{shown}": value[shown]
        for key, value in metrics.items()
        for shown in ("mean", "median", "pooled")
        if value.get(shown) is not None
    }


def _numbers(metrics):
    """The cells of `_COLUMNS`; the papers' L1, a fraction or in levels, becomes per cent."""
    # "inf" is text in JSON.
    metrics = {name: float(value) for name, value in metrics.items() if value is not None}
    for name, full_range in (("l1_fraction", 1), ("l1_levels", convert.WHITE)):
        if name in metrics:
            metrics = {"l1_percent": 100 * metrics[name] / full_range, **metrics}
    return scores.cells(metrics, _COLUMNS)


def _of_benchmark(path):
    found = _json(path, _RUN)
    rows = dict(_measured(found))
    if not rows:
        raise UserError(f"{path} is not a result of benchmarks/")
    shown = {
        key: title for key, title in _BENCHMARK.items() if any(key in x for x in rows.values())
    }
    table = {
        "title": "Time and memory",
        "columns": ["What", *shown.values()],
        "rows": [
            [name, *(_three_digits(x[key]) if key in x else "-" for key in shown)]
            for name, x in rows.items()
            if x.keys() & shown.keys()
        ],
        "note": " ".join(note for key, note in _NOTES.items() if key in shown),
    }
    command = f"python -m benchmarks.{path.stem} --output={path.name}"
    about = _about(path, found, command, table)
    title = f"Time and memory: {path.stem}"
    return {"name": f"benchmark_{path.stem}", "title": title, **about}


def _three_digits(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _measured(found, above=""):
    """(name, {quantity: number}) of every group of numbers in a benchmark's JSON; "seconds_per_image" is seconds."""
    for name, value in found.items():
        if isinstance(value, dict) and name not in ("versions", "setting"):
            numbers = {
                key.replace("_per_image", ""): x for key, x in value.items() if NUMBER.holds(x)
            }
            label = f"{above} {name}".strip().replace("_", " ")
            if numbers:
                yield label + ", an image" * any("_per_image" in key for key in value), numbers
            yield from _measured(value, label)


def _about(path, run, command, table):
    """All fields but name and title; date (the file's) and machine (this one) are not in the file itself."""
    date = datetime.datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    return {
        "date": date.isoformat(timespec="seconds"),
        "machine": study.machine(),
        "commit": run["git_commit"],
        "versions": run["versions"],
        "command": command,
        "tables": [table],
        "pictures": [],
        "notes": [],
    }


def _command(script, given):
    """The command line with the given flags."""
    found = {name: given.get(name) for name in _GIVEN}
    words = [
        f"--{name}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in found.items()
        if value not in (None, [], "", 0)
    ]
    return " ".join(["python", script, *words])
