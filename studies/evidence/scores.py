"""Scores of the arms of `studies/evidence/` by the protocol of `common.scoring.protocol`.

    <output>/evaluation/MASKS/{images,masks}/          the fixed set: center crops and holes, the same for every arm
    <output>/seed-N/ARM/predictions/MASKS/NAME.png     results
    <output>/seed-N/ARM/scores.json                    one score per image, as evaluate.py writes them

`detail_error` is added to the metrics of `common.scoring.metrics`, for the papers' claims about sharpness: PSNR and L1
hardly measure sharpness (a blurred fill scores well).
"""

from __future__ import annotations

import json
import math
import pathlib
from typing import Callable

import cv2
import numpy as np

from common import environment, json_files, storage
from common.errors import UserError
from common.images import convert
from common.masks import files as mask_files
from common.scoring import protocol, tables
from studies.evidence import arms
from studies.kit import pictures, plain_enlargement

SCORES = "scores.json"
SET = "set.json"
MASK_SEED = 0


def detail_error(truth: np.ndarray, result: np.ndarray, hole: np.ndarray) -> float:
    """|ln(gradient energy of the result in the hole / that of the truth)|; 0: equally sharp.

    Args:
      truth, result: uint8 [H, W, 3].
      hole: [H, W], nonzero = hole. Only differences between two pixels of the hole count.

    One squared level is added to both mean energies, which avoids a division by zero for a flat truth.
    """
    energies = [1 + _gradient_energy(image.astype(np.float32), hole) for image in (truth, result)]
    return abs(math.log(energies[1] / energies[0]))


def _gradient_energy(image, hole):
    """Mean squared difference of neighbouring pixels of the hole; 0 without such pixels."""
    differences = pictures.inner_differences(image, hole)
    return float(np.square(differences).sum()) / differences.size if differences.size else 0.0


def make_cases(paths: list[str], folder: pathlib.Path, size: int) -> dict[str, list]:
    """{masks: cases} of the fixed set in `folder`, written again each time (always the same).

    Raises:
      UserError: the folder holds another set; its scores would mix with this set's.
    """
    record = json.dumps({"images": list(paths), "size": size, "seed": MASK_SEED}, indent=1)
    if (folder / SET).exists() and (folder / SET).read_text(encoding="utf-8") != record:
        raise UserError(
            f"{folder} holds other pictures than --eval_dir; choose another --output, "
            "or remove it and every scores.json beside it"
        )
    cases = {
        masks: protocol.make_set(paths, masks, None, size, MASK_SEED, folder / masks)
        for masks in arms.MASKS
    }
    storage.write_text(folder / SET, record)
    return cases


def score(arm: str, weights: pathlib.Path, cases: dict[str, list], folder: pathlib.Path) -> list:
    """Fills and scores every case with an arm's weights, unless `folder`/scores.json exists; returns the scores."""
    if (folder / SCORES).is_file():
        return read(folder / SCORES)
    painter, found = _painter(arms.ARMS[arm].painter, weights), []
    for masks, some in cases.items():
        painted = folder / "predictions" / masks
        protocol.paint(some, painter, painted, f"{folder.parents[1].name}, {arm}, {masks}")
        for case, one in zip(some, protocol.score(some, painted, arm, masks)):
            truth, result = map(convert.read_rgb, (case.image, painted / f"{case.name}.png"))
            hole = mask_files.read_mask(case.mask)
            one.metrics["detail_error"] = detail_error(truth, result, hole)
            found.append(one)
    tables.write_json(folder / SCORES, found, tables.summarise(found))
    return found


_SCORE = {
    **dict.fromkeys(("name", "method", "masks"), json_files.TEXT),
    "hole_fraction": json_files.NUMBER,
    "metrics": {str: json_files.SCORE},
}


def read(path: pathlib.Path) -> list[tables.Score]:
    """The scores of a scores.json; UserError for any other file."""
    try:
        content = json_files.read(path, {"images": [_SCORE]})["images"]
        for one in content:
            one["metrics"] = {
                name: math.nan if value is None else float(value)
                for name, value in one["metrics"].items()
            }
        return [tables.Score(**{field: one[field] for field in _SCORE}) for one in content]
    except ValueError as error:
        raise UserError(
            f"{path} holds no scores of evaluate.py ({error}); remove it to score again"
        ) from error


def _painter(kind, weights) -> Callable:
    environment.start_tensorflow()
    from inpainting import painters

    if kind in painters.MODELS:
        return painters.painter(kind, str(weights))
    from hifill import weights_source

    interpolation = {"bicubic": cv2.INTER_CUBIC, "nearest": cv2.INTER_NEAREST}[kind]
    return plain_enlargement.painter(weights_source.load(str(weights)), interpolation)
