"""Zoom-to-Inpaint's Table 8, the last column of Table 2, and Figures 11 and 12: which of two pictures looks better?

The study fills images and builds a page for each kind of masks below --output. It counts the participants' files once
they are in `answers/` beside the pages; see docs/user_study.md.

The small setting builds both pages from sample photographs filled by OpenCV (Telea stands for "ours") and counts
simulated participants. It shows that pages, keys and counting work together, and nothing about any method. Answers of
real people to these pages replace the simulated ones.
"""

from __future__ import annotations

import datetime
import functools
import pathlib
from typing import Any

import numpy as np

from common import json_files
from common.images import convert
from common.images import grid as pictures
from common.masks import files as mask_files
from common.scoring import baselines
from studies.kit.bench import Bench
from studies.kit.study import Picture, Result, Study
from studies.user_study import page as user_study_page
from studies.user_study import results as user_study_results
from studies.user_study import tally
from studies.zoom import table_2
from studies.zoom.sets import MASKS

_OURS = "Zoom-to-Inpaint"
_PAINTED = {"Telea": "telea", "Navier-Stokes": "ns", "mean colour": "mean"}  # in the small setting
_SIMULATED = 5  # participants per kind of masks
_PREFERENCE = 0.7  # probability that they choose our picture
_EXAMPLES = 4  # pairs per kind of masks in the report


def run(bench: Bench) -> Result:
    """See the module docstring."""
    answers, keys, shown = bench.folder / "answers", {}, []
    for masks in MASKS:
        key, pairs = _page(bench, masks, keep=answers.is_dir())
        keys[key["study"]] = key
        shown.append(pairs)
    notes = [f"Pages: {', '.join(f'{bench.folder}/{masks}.html' for masks in MASKS)}."]
    if bench.small and not answers.is_dir():
        answers = _simulated_answers(bench.folder / "simulated", keys, bench.seed)
    if not answers.is_dir():
        notes.append(
            f"No answers yet: put the participants' files into {answers} and run this again."
        )
        return Result(pictures=shown, notes=notes)
    paths = user_study_results.result_files([str(answers)])
    results, left_out = user_study_results.gather(paths, keys)
    kinds = tally.tally(results, keys)
    notes += [f"Left out: {x.path.name}: {x.reason}" for x in left_out]
    if any(kind.simulated for kind in kinds):
        notes.append(f"{tally.SIMULATED}. Telea's algorithm stands for “ours”.")
    tables = [tally.table(kinds)] if kinds else []
    return Result(tables, shown, notes, tally.values(kinds, left_out))


def _page(bench: Bench, masks: str, keep: bool) -> tuple[dict[str, Any], Picture]:
    """(key, some pairs) of the page of one kind of masks; keep: use the existing page, if there is one.

    A page with answers is kept: new results might differ, and the answers would be lost.
    """
    page, file = bench.folder / f"{masks}.html", f"pairs_{masks}.png"
    caption = f"Pairs under {masks} masks, as in Figure 12; participants see neither names nor this order."
    path = user_study_page.key_path(page)
    if keep and path.is_file():
        return user_study_results.read_key(path), Picture(
            file, caption, convert.read_rgb(bench.folder / file)
        )
    folders, ours = _painted(bench, masks)
    if bench.small:
        path.unlink(missing_ok=True)  # it may belong to other pictures or another seed
    key = user_study_page.build(page, folders, None, bench.seed, masks, user_study_page.QUESTION)
    grid = pictures.grid(_rows(key, folders), ["input", "other", ours, "truth"])
    convert.write_png(bench.folder / file, grid)
    return key, Picture(file, caption, grid)


def _painted(bench: Bench, masks: str) -> tuple[user_study_page.Folders, str]:
    """(folders of all data sets under one kind of masks, name of the method that stands for ours)."""
    ours, others, photographs, holes = [], {}, [], []
    name = "Telea" if bench.small else _OURS
    for data_set in bench.data_sets("places2", "div2k"):
        found = _scored(bench, data_set, masks)
        for method, folder in found.folders.items():
            (ours if method == name else others.setdefault(method, [])).append(str(folder))
        photographs.append(str(found.cases[0].image.parent))
        holes.append(str(found.cases[0].mask.parent))
    return user_study_page.Folders(ours, others, photographs, holes), name


def _scored(bench, data_set, masks):
    if not bench.small:
        return table_2.scored(bench, data_set, masks)
    methods = {k: functools.partial(baselines.inpaint, v) for k, v in _PAINTED.items()}
    return bench.scores({**methods, **bench.others(data_set, masks)}, masks, data_set)


def _rows(key, folders) -> list[list[np.ndarray]]:
    """The first pairs as in Figure 12: input, the other method, ours, truth."""
    rows = []
    for entry in list(key["pairs"].values())[:_EXAMPLES]:
        of_pair = (folders.images, folders.masks, folders.others[entry["method"]], folders.ours)
        truth, hole, other, mine = (_find(entry["picture"], where) for where in of_pair)
        painted = pictures.paint_hole(convert.read_rgb(truth), mask_files.read_mask(hole))
        rows.append([painted, *map(convert.read_rgb, (other, mine, truth))])
    return rows


def _find(name: str, folders: list[str]) -> pathlib.Path:
    return next(p for p in (pathlib.Path(f, f"{name}.png") for f in folders) if p.is_file())


def simulated_result(key: dict[str, Any], participant: str, preference: float, rng) -> dict:
    """The page's file of a simulated participant who chooses our picture with probability `preference`."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    answers = [
        {
            "pair": pair,
            "chosen": entry["ours"] if rng.random() < preference else "ab"[entry["ours"] == "a"],
            "first": "ab"[int(rng.integers(2))],
            "switches": int(rng.integers(1, 6)),
            "seconds": round(float(rng.gamma(4, 1.5)), 1),
        }
        for pair, entry in key["pairs"].items()
    ]
    return {
        "format": user_study_page.RESULT_FORMAT,
        "simulated": True,
        "study": key["study"],
        "participant": participant,
        "pairs": len(key["pairs"]),
        "complete": True,
        "started": now,
        "exported": now,
        "answers": answers,
    }


def _simulated_answers(folder: pathlib.Path, keys: dict[str, dict], seed: int) -> pathlib.Path:
    for number, key in enumerate(keys.values()):
        for person in range(_SIMULATED):
            rng = np.random.default_rng((seed, number, person))
            result = simulated_result(key, f"simulated {person + 1}", _PREFERENCE, rng)
            name = f"{key['kind']}_{person + 1}.json"
            json_files.write(folder / name, result)
    return folder


STUDY = Study(
    id="zoom_table_8_user_study",
    item="Table 8, Figures 11 and 12",
    what="user study: which of two pictures looks better",
    reported="13 and 15 people preferred Zoom-to-Inpaint in 74.51% of 3,900 comparisons under small masks and in "
    "49.96% of 4,500 under large ones.",
    needs="what zoom_table_2 needs, and people: the paper's 13 and 15 compared 300 pairs each",
    minutes=0.2,
    run=run,
    arms=table_2.ARMS,
    flags=table_2.STUDY.flags,
)
