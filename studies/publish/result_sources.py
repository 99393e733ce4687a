"""What docs/results/ holds, made from what commands write: studies, evaluate.py and benchmarks/.

`read` gives one result in plain values:

    {"name", "title", "date", "machine", "commit", "versions", "command", "tables", "pictures", "notes"}

with tables as `studies.kit.study.Table`. Only the study `evidence` has pictures: its charts; other studies' may show
photographs, which do not belong into this repository.
"""

from __future__ import annotations

import datetime
import json
import pathlib
import re
from typing import Any

from common.errors import UserError
from common.images import convert
from common.scoring import tables
from studies.kit import study

EVIDENCE = "evidence"
# Of an evaluation: name of a column (`common.scoring.tables.Column.name`) -> (title, decimals); and its flags that are
# shown.
_SCORES = {
    "psnr": ("PSNR ↑", 2),
    "psnr_median": ("PSNR median ↑", 2),
    "psnr_pooled": ("PSNR pooled ↑", 2),
    "ssim": ("SSIM ↑", 4),
    "ms_ssim": ("MS-SSIM ↑", 4),
    "l1_percent": ("L1 (%) ↓", 3),
}
_GIVEN = (
    *("model", "weights", "predictions", "dataset", "data_dir", "split", "masks", "size", "count"),
    "seed",
)


def without_folders(text: str) -> str:
    """Absolute paths cut to their last part, in JSON text: /data/photos/kodak -> kodak."""
    return re.sub(r'(?<=["=,\s])/(?:[^"\s,/]+/)+([^"\s,/]+)', r"\1", text)


def read(source: pathlib.Path) -> dict[str, Any]:
    """The result of a study's or evaluate.py's folder, or of a benchmark's file.

    Raises:
      UserError: `source` is none of them.
    """
    if (source / study.RESULT).is_file():
        return _of_study(study.load(source / study.RESULT))
    if (source / "scores.json").is_file():
        return _of_evaluation(source)
    if source.is_file() and source.suffix == ".json":
        return _of_benchmark(source)
    raise UserError(
        f"{source} is no folder of a study ({study.RESULT}) or of evaluate.py (scores.json), and no "
        "JSON file of a benchmark"
    )


def _of_study(found):
    kept = ("date", "machine", "commit", "versions", "command", "tables", "notes", "values")
    kept = {key: found[key] for key in kept}
    pictures = found["pictures"] if found["id"] == EVIDENCE else []  # others may show photographs
    title = found["what"][:1].upper() + found["what"][1:]
    return {"name": found["id"], "title": title, **kept, "pictures": pictures}


def _of_evaluation(folder):
    run, content = (
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in ("run.json", "scores.json")
    )
    rows = [
        _row(s["method"], s, _flat(s["metrics"]))
        for s in content["summaries"]
        if s["hole_area"] == "all"
    ]
    rows += [_row(f"{study.REPORTED}{r['method']}", r, r["metrics"]) for r in content["reported"]]
    kinds = [row[1] for row in rows]
    rows.sort(key=lambda row: kinds.index(row[1]))
    columns = ["Method", "Holes", "n", *(title for title, _ in _SCORES.values())]
    table = {
        "title": "Scores",
        "columns": columns,
        "rows": rows,
        "note": f"Mean over pictures. {tables.POOLED_NOTE}",
    }
    about = {"name": folder.name, "title": f"Scores: {folder.name}"}
    about.update(_about(folder / "scores.json", run), command=_command("evaluate.py", run["flags"]))
    return {**about, "tables": [table]}


def _flat(metrics):
    """{name of a column: number}; what an older scores.json lacks is left out."""
    found = {key: value["mean"] for key, value in metrics.items()}
    for key, value in metrics.items():
        for shown in ("median", "pooled"):
            if value.get(shown) is not None:
                found[f"{key}_{shown}"] = value[shown]
    return found


def _row(method, about, metrics):
    """Cells of one method under one kind of holes; L1 of the papers, a fraction or in levels, is shown in per cent."""
    if "l1_percent" not in metrics:
        for name, full_range in (("l1_fraction", 1), ("l1_levels", convert.WHITE)):
            if name in metrics:
                metrics = {**metrics, "l1_percent": 100 * metrics[name] / full_range}
    numbers = [_number(metrics.get(key), decimals) for key, (_, decimals) in _SCORES.items()]
    return [method, about["masks"], str(about["n"]), *numbers]


def _number(value, decimals):
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.{decimals}f}"  # "inf" is text in JSON


def _of_benchmark(path):
    found = json.loads(path.read_text(encoding="utf-8"))
    rows = list(_measured(found))
    if not rows or "git_commit" not in found:
        raise UserError(f"{path} is not what a benchmark of benchmarks/ writes")
    shown = {
        "seconds": "Time (s)",
        "cost_gflop": "Cost (GFLOP)",
        "peak_gigabytes": "Peak memory (GB)",
        "images_per_second": "Images/s",
    }
    shown = {key: title for key, title in shown.items() if any(key in row for _, row in rows)}
    cells = [
        [name, *(_three_digits(row[key]) if key in row else "-" for key in shown)]
        for name, row in rows
        if row.keys() & shown.keys()
    ]
    note = (
        "Cost: time x the machine's own rate on plain convolutions, measured just before and after."
    )
    table = {"title": "Time and memory", "columns": ["What", *shown.values()], "rows": cells}
    table["note"] = note if "cost_gflop" in shown else ""
    about = _about(path, found)
    command = f"python -m benchmarks.{path.stem} --output={path.name}"
    title = f"Time and memory: {path.stem}"
    return {
        "name": f"benchmark_{path.stem}",
        "title": title,
        **about,
        "command": command,
        "tables": [table],
    }


def _three_digits(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _measured(found, above=""):
    """(name, {quantity: number}) of every group of numbers in a benchmark's JSON; "seconds_per_image" is seconds."""
    for name, value in found.items():
        if isinstance(value, dict) and name not in ("versions", "setting"):
            numbers = {
                key.replace("_per_image", ""): x
                for key, x in value.items()
                if isinstance(x, (int, float)) and not isinstance(x, bool)
            }
            label = f"{above} {name}".strip().replace("_", " ")
            if numbers:
                yield label + ", an image" * any("_per_image" in key for key in value), numbers
            yield from _measured(value, label)


def _about(path, run):
    """Date (of the file), machine (this one), commit and versions of what does not keep all of them itself."""
    date = datetime.datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    return {
        "date": date.isoformat(timespec="seconds"),
        "machine": study.machine(),
        "commit": run["git_commit"],
        "versions": run["versions"],
        **{"pictures": [], "notes": []},
    }


def _command(script, given):
    """The command line of flags that were given; those that were not are left out."""
    words = []
    for name in _GIVEN:
        value = given.get(name)
        if value not in (None, [], "", 0):
            text = ",".join(map(str, value)) if isinstance(value, list) else value
            words.append(f"--{name}={text}")
    return " ".join(["python", script, *words])
