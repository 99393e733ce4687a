"""One report of all studies below a folder: report.md beside their pictures, and report.html with everything in it.

Both are made from the studies' result.json alone, so they can be made again at any time:

    python studies/run.py --report --output=FOLDER
"""

from __future__ import annotations

import base64
import html
import pathlib
from typing import Any

from common import markdown, storage
from common.errors import UserError
from studies import registry
from studies.kit import study

_STYLE = """
:root { color-scheme: light; --ink: #1d2329; --soft: #66707a; --line: #dfe3e8; --tint: #f5f7f9; --accent: #0b5cad; }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
       color: var(--ink); background: #fff; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.4rem; margin: 3.2rem 0 .6rem; padding-top: .8rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1.12rem; margin: 2.4rem 0 .2rem; scroll-margin-top: 1rem; }
h4 { font-size: .95rem; margin: 1.4rem 0 .3rem; }
p { margin: .3rem 0 .7rem; max-width: 52rem; }
a { color: var(--accent); }
.soft, .note, figcaption { color: var(--soft); font-size: .88rem; }
.badge { display: inline-block; font-size: .72rem; font-weight: 600; letter-spacing: .03em; padding: .05rem .5rem;
         border-radius: 1rem; background: var(--tint); border: 1px solid var(--line); vertical-align: .12em; }
.reported { border-left: 3px solid var(--accent); padding-left: .8rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; margin: .2rem 0 .3rem; }
th, td { padding: .28rem .75rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { border-bottom: 1.5px solid var(--ink); font-weight: 600; }
th:first-child, td:first-child { text-align: left; padding-left: .2rem; }
table.overview td { text-align: left; white-space: normal; }
table.overview th { text-align: left; }
tr.paper td { color: var(--soft); font-style: italic; background: var(--tint); }
tr.first td { border-top: 1.5px solid var(--soft); }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 3px; display: block; }
details { margin: .5rem 0; font-size: .88rem; }
summary { cursor: pointer; color: var(--soft); }
pre { background: var(--tint); border: 1px solid var(--line); border-radius: 4px; padding: .5rem .7rem;
      overflow-x: auto; font-size: .82rem; margin: .4rem 0; white-space: pre-wrap; }
.failed { border-left: 3px solid #b3261e; padding-left: .8rem; }
@media print { main { max-width: none; padding: 0; } details { display: none; } }
"""
_SIZES = {
    "small": "the small size (few photographs, tiny networks: it shows that a study runs, not what methods can do)",
    "own": "the study's own size (small networks, hours of training)",
    "paper": "the paper's size",
}


def write(output: pathlib.Path, failures: dict[str, str] | None = None) -> tuple[pathlib.Path, ...]:
    """Writes report.md and report.html below `output`; returns their paths.

    failures: {study: error} of studies that failed just now.

    Raises:
      UserError: there is no result below `output`, or one cannot be read.
    """
    paths = [output / name / study.RESULT for name in registry.NAMES]
    results = [study.load(path) for path in paths if path.is_file()]
    if not results and not failures:
        raise UserError(f"{output} holds no result of a study; run some with --study first")
    targets = output / "report.md", output / "report.html"
    storage.write_text(targets[0], as_markdown(results, failures or {}))
    storage.write_text(targets[1], page(results, failures or {}, output))
    return targets


def _by_paper(results: list[dict]) -> dict[str, list[dict]]:
    grouped = {paper: [r for r in results if r["paper"] == paper] for paper in study.PAPERS}
    return {paper: found for paper, found in grouped.items() if found}


def _origin(result: dict[str, Any]) -> str:
    """Where and when a result was measured, in one line."""
    about = result["machine"]
    gpus = ", ".join(about.get("gpus", []))
    device = f"{gpus or about['processor']}, {about['cores']} cores"
    versions = result["versions"]
    return (
        f"{result['date'][:16].replace('T', ' ')} · {_duration(result['seconds'])} · {device} · "
        f"TensorFlow {versions['tensorflow']} · commit {result['commit'][:10]} · {_SIZES[result['size']]}"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


# Markdown.


def as_markdown(results: list[dict], failures: dict[str, str]) -> str:
    """The report in Markdown; pictures are named relative to the folder it lies in."""
    lines = ["# Studies", "", _summary(results), ""]
    lines += [f"- **{name} failed**: {error}" for name, error in failures.items()]
    for paper, found in _by_paper(results).items():
        lines += ["", f"## {paper}", ""]
        for result in found:
            lines += _markdown_study(result)
    return "\n".join(lines).rstrip() + "\n"


def _markdown_study(result):
    lines = [
        f"### {result['item']}: {result['what']}",
        "",
        f"*The paper: {result['reported']}*",
        "",
    ]
    for table in result["tables"]:
        lines += [f"**{table['title']}**", "", *markdown_table(table), ""]
        lines += [table["note"], ""] * bool(table["note"])
    for picture in result["pictures"]:
        lines += [f"![{picture['caption']}]({result['id']}/{picture['file']})", ""]
        lines += [f"{picture['caption']}", ""]
    lines += [line for note in result["notes"] for line in (f"- {note}",)]
    lines += [""] * bool(result["notes"])
    return [*lines, f"`{result['id']}` · {_origin(result)}", "", f"    {result['command']}", ""]


def markdown_table(table: dict[str, Any]) -> list[str]:
    """The lines of a study's table."""
    return markdown.table(table["columns"], table["rows"])


# HTML.


def page(results: list[dict], failures: dict[str, str], folder: pathlib.Path) -> str:
    """The report as one HTML file: styles and pictures are in it, nothing is loaded from anywhere."""
    body = ["<h1>Studies</h1>", f"<p>{html.escape(_summary(results))}</p>", _overview(results)]
    for name, error in failures.items():
        text = f"<b>{html.escape(name)} failed:</b> {html.escape(error)}"
        body.append(f'<p class="failed">{text}</p>')
    for paper, found in _by_paper(results).items():
        body.append(f"<h2>{html.escape(paper)}</h2>")
        body += [_html_study(result, folder / result["id"]) for result in found]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Studies</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _summary(results):
    sizes = {size: sum(r["size"] == size for r in results) for size in _SIZES}
    parts = [f"{count} at {_SIZES[size]}" for size, count in sizes.items() if count]
    spent = _duration(sum(result["seconds"] for result in results))
    return (
        f"{len(results)} {'study' if len(results) == 1 else 'studies'} ({'; '.join(parts)}), {spent} altogether. "
        "Rows that begin with “paper:” are printed in the papers and were not measured here."
    )


def _overview(results):
    rows = [
        f'<tr><td><a href="#{html.escape(r["id"])}">{html.escape(r["item"])}</a></td>'
        f"<td>{html.escape(r['paper'])}</td><td>{html.escape(r['what'])}</td>"
        f"<td>{html.escape(r['size'])}</td></tr>"
        for r in results
    ]
    head = "<tr><th>Item</th><th>Paper</th><th>What</th><th>Size</th></tr>"
    return f'<div class="wide"><table class="overview">{head}{"".join(rows)}</table></div>'


def _html_study(result, folder):
    text = html.escape
    parts = [
        f'<section>\n<h3 id="{text(result["id"])}">{text(result["item"])}: {text(result["what"])} '
        f'<span class="badge">{text(result["size"])}</span></h3>',
        f'<p class="reported"><b>The paper:</b> {text(result["reported"])}</p>',
        *map(_html_table, result["tables"]),
        *(_html_picture(picture, folder) for picture in result["pictures"]),
    ]
    if result["notes"]:
        items = "".join(f"<li>{text(note)}</li>" for note in result["notes"])
        parts.append(f'<ul class="note">{items}</ul>')
    parts.append(
        f"<details><summary>{text(_origin(result))}</summary>"
        f"<p>At the paper's size:</p><pre>{text(result['command'])}</pre></details>\n</section>"
    )
    return "\n".join(parts)


def _html_table(table):
    text = html.escape
    rows, before = [], False
    for row in table["rows"]:
        paper = row[0].startswith(study.REPORTED)
        kind = f"{'paper' if paper else ''}{' first' if paper and not before else ''}"
        cells = "".join(f"<td>{text(cell)}</td>" for cell in row)
        rows.append(f'<tr class="{kind}">{cells}</tr>' if kind else f"<tr>{cells}</tr>")
        before = paper
    head = "".join(f"<th>{text(column)}</th>" for column in table["columns"])
    note = f'<p class="note">{text(table["note"])}</p>' if table["note"] else ""
    return (
        f"<h4>{text(table['title'])}</h4>\n"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>{note}'
    )


def _html_picture(picture, folder):
    path = folder / picture["file"]
    try:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as error:
        raise UserError(f"{path} is missing; run the study again") from error
    caption = html.escape(picture["caption"])
    image = f'<img src="data:image/png;base64,{data}" alt="{caption}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
