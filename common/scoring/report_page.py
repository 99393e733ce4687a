"""The report of an evaluation: one HTML file with tables and small pictures inside. It loads nothing else."""

from __future__ import annotations

import base64
import io
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from common import html_pages, storage
from common.errors import UserError
from common.filling import photographs
from common.images import convert, grid
from common.scoring import protocol, tables

_TEMPLATE = pathlib.Path(__file__).with_name("report.html.j2")
_MOST = 4  # pictures of a kind of masks
_SIDE = 320  # longer side in pixels


def pictures(kind: str, cases: Sequence[protocol.Case], folders: dict, scores: list) -> dict:
    """The first cases of one kind of masks: {"kind", "rows"}; a row is [(title, JPEG as base64)].

    Args:
      folders: {method: folder of predictions}.
      scores: [`tables.Score`], whose PSNR is part of a title.
    """
    psnr = {(score.name, score.method): score.metrics["psnr"] for score in scores}
    rows = []
    for case in cases[:_MOST]:
        truth, mask = convert.read_rgb(case.image), photographs.read_mask(case.mask)
        row = [(f"{case.name}, input", grid.paint_hole(truth, mask))]
        for method, folder in folders.items():
            result = convert.read_rgb(protocol.prediction(folder, case.name))
            row.append((f"{method}, {psnr[case.name, method]:.2f} dB", result))
        row.append(("truth", truth))
        rows.append([(title, _jpeg(image)) for title, image in row])
    return {"kind": kind, "rows": rows}


def _jpeg(image: np.ndarray) -> str:
    encoded = io.BytesIO()
    Image.fromarray(grid.shrink(image, _SIDE)).save(encoded, "JPEG", quality=92, subsampling=0)
    return base64.b64encode(encoded.getvalue()).decode("ascii")


def write(
    path: pathlib.Path,
    about: list[str],
    parts: list[tuple[str, tables.Cells]],
    remarks: list[str],
    shown: list[dict],
) -> str:
    """Writes the report; returns a line that says where it is, or why there is none (Jinja2 is not installed).

    Args:
      about: lines about the set.
      parts: [(title, cells of a table)].
      remarks: lines below the first table.
      shown: `pictures` of every kind of masks.
    """
    try:
        template = html_pages.template(_TEMPLATE)
    except UserError as error:
        return f"no {path.name}: {error}"
    text = template.render(about=about, parts=parts, remarks=remarks, shown=shown)
    storage.write_text(path, text)
    return f"{path} shows them on one page"
