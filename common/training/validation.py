"""Validation while training: a fixed set of photographs and holes, its scores, loss terms and picture grid.

The set is a function of the photographs' names, the masks and the seed, so all validations of runs with the same flags
use the same set. Scores are those of `common.scoring.metrics` on 8-bit results, means over the set:

    validation_psnr, validation_ssim, validation_l1    L1 is a fraction of 1
    validation_<term>                                  a loss term at inference, if the recipe has loss terms

The network fills `BATCH` pictures at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from common.errors import UsageError, UserError
from common.images import convert
from common.images import grid as pictures
from common.scoring import metrics, protocol

BATCH = 4  # pictures at a time, and in a grid
PREFIX = "validation_"
_SCORES = {"psnr": metrics.psnr, "ssim": metrics.ssim, "l1": metrics.l1_fraction}
_HIGHER_IS_BETTER = {f"{PREFIX}psnr", f"{PREFIX}ssim"}
# Adversarial terms do not rank results.
_UNRANKED = {
    f"{PREFIX}{term}" for term in ("adversarial", "critic", "wasserstein", "discriminator")
}


class FixedSet(Sequence):
    """Item i -> (image [P, P, 3], mask [P, P, 1], label [L, L, 3]) float32 in [0, 1], read from its file every time.

    Args:
      read: i -> photograph uint8 [H, W, 3].
      count: number of photographs.
      mask_source: (height, width, seed) -> uint8 [height, width], 1 = hole.
      seed: of the masks.
      preview_size: P, side of the center crops that are shown and scored.
      label_size: L, side of the center crops for the loss terms.
      holes: whether the masks have holes.
    """

    def __init__(
        self,
        read: Callable,
        count: int,
        mask_source: Callable,
        seed: int,
        preview_size: int,
        label_size: int,
        holes: bool = True,
    ):
        self._read, self._count, self._masks, self._seed = read, count, mask_source, seed
        self._preview_size, self._label_size, self._holes = preview_size, label_size, holes

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int):
        if not 0 <= index < self._count:
            raise IndexError(index)
        photograph, size = self._read(index), self._preview_size
        mask = self._masks(size, size, (self._seed, index))[..., np.newaxis].astype(np.float32)
        image, label = (_crop(photograph, side) for side in (size, self._label_size))
        return image, mask * np.float32(self._holes), label

    def check(self) -> None:
        """Reads every photograph once, so that a damaged one is a UserError at the start and not after hours."""
        for index in range(self._count):
            self._read(index)


def _crop(photograph, size):
    return convert.to_unit(np.ascontiguousarray(protocol.center_crop(photograph, size)))


def triples(given) -> Sequence:
    """A sequence of items as in `FixedSet`, from a `FixedSet` or a pair (image [N, S, S, 3], mask [N, S, S, 1])."""
    if isinstance(given, tuple):
        return [(image, mask, image) for image, mask in zip(*given)]
    return given


def higher_is_better(metric: str) -> bool:
    """Whether a higher value of this metric is better; a loss term is better when lower.

    Raises:
      UsageError: the metric does not rank results.
    """
    if not metric.startswith(PREFIX) or metric in _UNRANKED:
        raise UsageError(
            f"--keep_best={metric} does not rank results; choose {', '.join(PREFIX + s for s in _SCORES)} or "
            f"{PREFIX}<loss term>"
        )
    return metric in _HIGHER_IS_BETTER


def check_metric(metric: str, recipe, fixed_set) -> None:
    """UsageError unless a validation of the recipe gives `metric`; validates one picture if necessary."""
    higher_is_better(metric)
    if metric.removeprefix(PREFIX) in _SCORES:
        return
    known = {*scores(recipe, [fixed_set[0]])} - _UNRANKED
    if metric not in known:
        raise UsageError(
            f"--keep_best={metric} is not known; choose one of {', '.join(sorted(known))}"
        )


def scores(recipe, fixed_set) -> dict:
    """{name: mean over the set} of a `loop.Recipe`; see the module docstring for the names.

    Raises:
      UserError: a result holds NaN or infinity.
    """
    return look(recipe, fixed_set)[0]


def look(recipe, fixed_set) -> tuple[dict, np.ndarray]:
    """(`scores`, `grid`), with one run of the network per picture."""
    values, picture = [], None
    for start in range(0, len(fixed_set), BATCH):
        image, mask, label = _batch(fixed_set, start)
        shown = _preview(recipe, image, mask)
        if picture is None:
            picture = _grid(image, mask, shown)
        values += _scores(recipe, image, mask, label, list(shown.values())[-1])
    names = values[0].keys()
    return {PREFIX + name: float(np.mean([one[name] for one in values])) for name in names}, picture


def grid(recipe, fixed_set) -> np.ndarray:
    """The first pictures of the set as a grid uint8 [H, W, 3]: input, the preview's columns, truth."""
    image, mask, _ = _batch(fixed_set, 0)
    return _grid(image, mask, _preview(recipe, image, mask))


def _scores(recipe, image, mask, label, results):
    """[{name: value}], one per picture of a batch; a loss term is the mean of the batch."""
    terms = {} if recipe.validation_terms is None else recipe.validation_terms(label, mask)
    terms = {name: float(value) for name, value in terms.items()}
    return [
        {**{name: score(*pair) for name, score in _SCORES.items()}, **terms}
        for pair in zip(convert.to_uint8(image), results)
    ]


def _grid(image, mask, shown):
    truth, holes = convert.to_uint8(image), mask[..., 0].astype(np.uint8)
    rows = [
        [pictures.paint_hole(truth[i], holes[i]), *(x[i] for x in shown.values()), truth[i]]
        for i in range(len(truth))
    ]
    return pictures.grid(rows, ["input", *shown, "truth"])


def _batch(fixed_set, start):
    """[image, mask, label] of up to `BATCH` pictures from `start` on, stacked."""
    items = [fixed_set[i] for i in range(start, min(start + BATCH, len(fixed_set)))]
    return [np.stack(parts) for parts in zip(*items)]


def _preview(recipe, image, mask):
    """{title: uint8 pictures}; UserError with the title if a picture is not finite."""
    shown = {}
    for title, x in recipe.preview(image, mask).items():
        try:
            shown[title] = convert.to_uint8(np.asarray(x))
        except UserError as error:
            raise UserError(
                f"validation, '{title}': {error}; try a lower --learning_rate"
            ) from error
    return shown
