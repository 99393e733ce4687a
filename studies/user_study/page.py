"""The page of the user study (Zoom-to-Inpaint (Z), section 4.3 and appendix D): one HTML file and its key.

A pair is the same picture, filled by our method and by another. Each picture is used with one method, and each method
(up to a remainder) equally often; a picture is used again, with another method, only if there are more pairs than
pictures. All participants see the same pairs; the participant's name determines order and sides.

    study.html       pictures as lossless data URIs; pairs and pictures have random ids
    study.key.json   the method of each picture, for `studies.user_study.tally`; not for the participants

The same pictures, --seed and texts give the same page, byte for byte. Its script is page.js, its layout page.html.j2,
both beside this file.

The paper leaves the following open. Participants can choose after they have seen both pictures of a pair, and can take
a choice back. Pictures are enlarged to the window, at most 4 times.
"""

from __future__ import annotations

import base64
import collections
import hashlib
import io
import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from common import html_pages, json_files, storage
from common.errors import UsageError, UserError
from common.images import convert, grid
from common.images import files as image_files
from common.masks import files as mask_files

KEY_FORMAT = "user-study-key-1"
RESULT_FORMAT = "user-study-result-1"
QUESTION = "Which of these images looks better?"  # Z, section 4.3
PAIRS = 300  # pairs per participant in the paper
MOST_BYTES = 400_000_000  # bytes of pictures; browsers fail on larger pages

_HERE = pathlib.Path(__file__).resolve().parent


class Folders(NamedTuple):
    """Lists of folders; NAME.png (or another image type) is the same picture in each folder.

    ours: results of our method.
    others: {method: folders of its results}.
    images: the photographs; may be empty.
    masks: their masks, white = hole; may be empty.
    """

    ours: list[str]
    others: dict[str, list[str]]
    images: list[str]
    masks: list[str]


class Pair(NamedTuple):
    """`picture` filled by `method` and by ours; `ours` is "a" or "b". The page holds only `id`, "a" and "b"."""

    id: str
    picture: str
    method: str
    ours: str


def build(
    target: storage.PathLike,
    folders: Folders,
    count: int | None,
    seed: int,
    kind: str,
    question: str,
    show_truth: bool = False,
) -> dict[str, Any]:
    """Writes the page to `target` and its key beside it; returns the key.

    Args:
      target: ends in .html.
      folders: where the pictures lie.
      count: pairs per participant; None: the paper's 300, or all pairs if there are fewer.
      seed: of the pairs, their ids and their order.
      kind: kind of masks, as named in tables; "small" and "large" are the paper's.
      question: question to the participants.
      show_truth: participants can view the photograph too.

    Raises:
      UserError: a picture is missing or has another size, all pairs show equal pictures, or Jinja2 is missing; nothing
        is written.
    """
    template = html_pages.template(_HERE / "page.html.j2")
    names = sorted(_pictures(folders.images, "--images") or _pictures(folders.ours, "--ours"))
    ours = _pictures(folders.ours, "--ours", names)
    others = {
        method: _pictures(where, f"--others={method}", names)
        for method, where in folders.others.items()
    }
    truths = _pictures(folders.images, "--images")
    masks = _pictures(folders.masks, "--masks", names)
    pairs = choose_pairs(names, list(others), count, seed)
    shown = _shown(pairs, ours, others, truths, masks, show_truth)
    equal = [pair.picture for pair in pairs if shown[pair.id]["a"] == shown[pair.id]["b"]]
    if len(equal) == len(pairs):
        raise UserError("--ours and --others hold the same pictures: there is nothing to compare")
    contents = json.dumps([question, shown], sort_keys=True).encode()
    key = {
        "format": KEY_FORMAT,
        "study": hashlib.sha256(contents).hexdigest()[:12],
        **{"kind": kind, "seed": seed, "equal": equal, "question": question},
        "methods": dict(sorted(collections.Counter(pair.method for pair in pairs).items())),
        "pairs": {pair.id: dict(zip(Pair._fields[1:], pair[1:])) for pair in pairs},
    }
    _write(target, template, key, shown)
    return key


def key_path(page: storage.PathLike) -> pathlib.Path:
    """Path of a page's key: study.html -> study.key.json."""
    return pathlib.Path(page).with_suffix(".key.json")


def choose_pairs(
    names: Sequence[str], methods: Sequence[str], count: int | None, seed: int
) -> list[Pair]:
    """`count` pairs in random order: no picture is repeated before all are used, methods differ by at most one pair.

    Raises:
      UsageError: `count` is larger than pictures times methods.
    """
    most = len(names) * len(methods)
    if count is not None and count > most:
        raise UsageError(
            f"--pairs={count} is more than {len(names)} pictures with {len(methods)} other "
            f"methods give: {most}"
        )
    count = min(PAIRS, most) if count is None else count
    rng = np.random.default_rng(seed)
    pictures_, methods_ = rng.permutation(names), rng.permutation(methods)
    # After `again` pairs every picture would meet the same method again, so methods move on by one.
    again = math.lcm(len(names), len(methods))
    chosen = [
        (str(pictures_[n % len(names)]), str(methods_[(n + n // again) % len(methods)]))
        for n in range(count)
    ]
    ids = rng.choice(16**6, count, replace=False) + 16**6
    sides = rng.integers(0, 2, count)
    return [Pair(f"{ids[i]:x}", *chosen[i], "ab"[sides[i]]) for i in rng.permutation(count)]


def _pictures(
    folders: Sequence[str], flag: str, names: Sequence[str] = ()
) -> dict[str, pathlib.Path]:
    """{name: file} of all images in the folders, which must include `names`; empty without folders."""
    found: dict[str, pathlib.Path] = {}
    for folder in map(pathlib.Path, folders):
        if not folder.is_dir():
            raise UserError(f"{flag}: {folder} is not a folder")
        inside = sorted(p for p in folder.iterdir() if p.suffix.lower() in image_files.EXTENSIONS)
        for path in (p for p in inside if p.is_file() and p.name[0] != "."):
            if path.stem in found:
                raise UserError(f"{flag}: {found[path.stem]} and {path} have the same name")
            found[path.stem] = path
    where = ", ".join(map(str, folders))
    if folders and not found:
        raise UserError(f"{flag}: {where} holds no image ({', '.join(image_files.EXTENSIONS)})")
    missing = [name for name in names if name not in found] if folders else []
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"{where}: no {missing[0]}.png{more}, of {len(names)} pictures")
    return found


def _shown(pairs, ours, others, truths, masks, show_truth) -> dict[str, dict[str, str]]:
    """{id: data URIs} of all pairs."""
    shown, size = {}, 0
    for pair in pairs:
        sides = [ours[pair.picture], others[pair.method][pair.picture]]
        paths = dict(zip("ab" if pair.ours == "a" else "ba", sides))
        if truths:
            paths["truth"] = truths[pair.picture]
        shown[pair.id] = _embed(paths, masks.get(pair.picture), show_truth)
        size += sum(map(len, shown[pair.id].values()))
        if size > MOST_BYTES:
            raise UserError(
                f"the pictures of {len(pairs)} pairs are more than the {MOST_BYTES / 1e6:,.0f} MB "
                "that browsers open; choose fewer --pairs or smaller pictures"
            )
    return shown


def _embed(
    paths: dict[str, pathlib.Path], mask: pathlib.Path | None, show_truth: bool
) -> dict[str, str]:
    """One pair as data URIs: "a", "b", "truth" if it is shown, and "masked" if there is a mask."""
    pixels = {name: convert.read_rgb(path) for name, path in paths.items()}
    for name, array in pixels.items():
        if array.shape != pixels["a"].shape:
            sizes = [f"{x.shape[1]}x{x.shape[0]}" for x in (array, pixels["a"])]
            raise UserError(f"{paths[name]} is {sizes[0]} but {paths['a']} is {sizes[1]}")
    if mask:
        hole = mask_files.read_mask(mask, pixels["a"].shape[:2], of=str(paths["truth"]))
        pixels["masked"] = grid.paint_hole(pixels["truth"], hole, (convert.WHITE,) * 3)
    if not show_truth:
        pixels.pop("truth", None)
    return {name: _data_uri(array, paths.get(name, mask)) for name, array in pixels.items()}


def _data_uri(pixels: np.ndarray, path: pathlib.Path) -> str:
    """The pixels as lossless WebP, without the file's metadata."""
    encoded = io.BytesIO()
    try:
        image_files.as_image(pixels).save(encoded, "WEBP", lossless=True, quality=60, method=3)
    except (OSError, ValueError) as error:  # above 16383 pixels a side
        raise UserError(f"{path} cannot be shown by browsers as WebP ({error})") from error
    return "data:image/webp;base64," + base64.b64encode(encoded.getbuffer()).decode("ascii")


def _write(target, template, key, shown) -> None:
    _check_not_another_key(key_path(target), key["study"])
    about = {"format": RESULT_FORMAT, "study": key["study"], "pairs": list(shown)}
    filled = template.stream(
        question=key["question"],
        count=len(shown),
        elements=[("study", about), *shown.items()],
        script=(_HERE / "page.js").read_text(encoding="utf-8"),
    )
    with storage.atomic_path(target) as page:
        filled.dump(str(page), encoding="utf-8")  # in pieces, because the page is large
        json_files.write(key_path(target), key)


def _check_not_another_key(path: pathlib.Path, study: str) -> None:
    """UserError for the key of another study: without its key, a study's answers cannot be read."""
    try:
        if path.exists():
            json_files.read(path, {"study": json_files.one_of(study)})
    except ValueError as error:
        raise UserError(
            f"{path} is the key of another study, without which its results cannot be read; "
            "choose another --output, or remove it"
        ) from error
