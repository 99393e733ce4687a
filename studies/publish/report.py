"""One report of all studies below a folder: report.md, and report.html with the pictures inside.

Both are generated from the studies' result.json, so they can be generated again at any time:

    python studies/run.py --report --output=FOLDER
"""

from __future__ import annotations

import base64
import pathlib
from typing import Any

from common import html_pages, markdown, storage
from common.errors import UserError
from studies import registry
from studies.kit import study

_TEMPLATE = pathlib.Path(__file__).with_name("report.html.j2")
_SIZES = {
    "small": "the small size (few photographs, tiny networks: it shows that a study runs, not what methods can do)",
    "own": "the study's own size (small networks, hours of training)",
    "paper": "the paper's size",
}


def check() -> None:
    """UserError without Jinja2, raised before hours of work."""
    html_pages.template(_TEMPLATE)


def write(output: pathlib.Path, failures: dict[str, str] | None = None) -> tuple[pathlib.Path, ...]:
    """Writes report.md and report.html below `output`; returns their paths.

    failures: {study: error} of failed studies.

    Raises:
      UserError: no result below `output`, or an unreadable one.
    """
    paths = [output / name / study.RESULT for name in registry.NAMES]
    results = [study.load(path) for path in paths if path.is_file()]
    if not results and not failures:
        raise UserError(f"{output} holds no result of a study; run some with --study first")
    targets = output / "report.md", output / "report.html"
    storage.write_text(targets[0], as_markdown(results, failures or {}))
    storage.write_text(targets[1], as_html(results, failures or {}, output))
    return targets


def as_html(results: list[dict], failures: dict[str, str], folder: pathlib.Path) -> str:
    """The report as one HTML file, with styles and pictures inside; nothing is loaded from elsewhere."""
    return html_pages.template(_TEMPLATE).render(
        summary=_summary(results),
        by_paper=_by_paper(results),
        failures=failures,
        reported=study.REPORTED,
        origin=_origin,
        data=lambda result, picture: _base64(folder / result["id"] / picture["file"]),
    )


def as_markdown(results: list[dict], failures: dict[str, str]) -> str:
    """The report in Markdown; paths of pictures are relative to its folder."""
    lines = ["# Studies", "", _summary(results), ""]
    lines += [f"- **{name} failed**: {error}" for name, error in failures.items()]
    for paper, found in _by_paper(results).items():
        lines += ["", f"## {paper}", ""]
        for result in found:
            lines += [f"### {result['item']}: {result['what']}", ""]
            lines += [f"*The paper: {result['reported']}*", ""]
            for table in result["tables"]:
                lines += markdown_table(table, "**{}**")
            for picture in result["pictures"]:
                lines += markdown_picture(picture, result["id"])
            lines += [*(f"- {note}" for note in result["notes"]), *[""] * bool(result["notes"])]
            lines += [f"`{result['id']}` · {_origin(result)}", "", f"    {result['command']}", ""]
    return "\n".join(lines).rstrip() + "\n"


def markdown_table(table: dict[str, Any], heading: str) -> list[str]:
    """The lines of a study's table and its note; `heading` has {} for the title."""
    lines = [heading.format(table["title"]), ""]
    lines += [*markdown.table(table["columns"], table["rows"]), ""]
    return [*lines, table["note"], ""] if table["note"] else lines


def markdown_picture(picture: dict[str, str], folder: str) -> list[str]:
    """The lines of a picture in `folder`, and its caption."""
    return [f"![{picture['caption']}]({folder}/{picture['file']})", "", picture["caption"], ""]


def measured_on(result: dict[str, Any]) -> str:
    """Machine, TensorFlow and commit of a result, in one line."""
    about = result["machine"]
    device = ", ".join(about.get("gpus", [])) or about["processor"]
    return (
        f"{device}, {about['cores']} cores · TensorFlow {result['versions']['tensorflow']} · "
        f"commit {result['commit'][:10]}"
    )


def _origin(result):
    date, duration = result["date"][:16].replace("T", " "), _duration(result["seconds"])
    return f"{date} · {duration} · {measured_on(result)} · {_SIZES[result['size']]}"


def _duration(seconds):
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _by_paper(results):
    grouped = {paper: [r for r in results if r["paper"] == paper] for paper in study.PAPERS}
    return {paper: found for paper, found in grouped.items() if found}


def _summary(results):
    sizes = {size: sum(r["size"] == size for r in results) for size in _SIZES}
    parts = [f"{count} at {_SIZES[size]}" for size, count in sizes.items() if count]
    spent = _duration(sum(result["seconds"] for result in results))
    return (
        f"{len(results)} {'study' if len(results) == 1 else 'studies'} ({'; '.join(parts)}), {spent} altogether. "
        "Rows that begin with “paper:” are printed in the papers and were not measured here."
    )


def _base64(path):
    try:
        return base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as error:
        raise UserError(f"{path} is missing; run the study again") from error
