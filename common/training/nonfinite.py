"""A loss term or gradient norm that is NaN or infinite: the batch is saved, and the run stops or skips the step.

Files in `<run>/nonfinite/step-<N>/`:

    batch.npz    images [B, S, S, 3] and masks [B, M, M, 1] float32 of the step; samples [B] int64 (sample numbers)
                 and the seed, which together determine the data
    batch.png    the batch as a picture, holes painted
    terms.json   every value of the step

Training does not hold the batch in memory. The batch is drawn again, since sample i is a function of (seed, i).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import cv2
import numpy as np

from common import storage
from common.errors import UsageError, UserError
from common.images import convert, grid
from common.training.options import SKIP, STOP

_CELL = 128


class Guard:
    """Checks the values of every step.

    Args:
      run: `run_folder.RunFolder` for the batches.
      batch_of: step -> (number of its first sample, images, masks).
      action: "stop", or "skip": continue, for a trainer that skips the update of such a step.
      most: number of steps that the whole run may skip.
      skipped: number of steps skipped so far.
    """

    def __init__(self, run, batch_of: Callable, action: str, most: int, skipped: int = 0):
        self.run, self.batch_of, self.action, self.most = run, batch_of, action, most
        self.skipped = skipped

    def check(self, step: int, values: dict) -> None:
        """Raises UserError for a value that is not finite, or counts the step as skipped."""
        bad = {name: value for name, value in values.items() if not math.isfinite(value)}
        if not bad:
            return
        folder = self.run.folder / "nonfinite" / f"step-{step:08d}"
        found = ", ".join(f"'{name}' became {value}" for name, value in bad.items())
        self.run.log(f"step {step}: {found}")  # first, since saving the batch may fail
        self._keep_batch(folder, step, values)
        self.skipped += self.action == SKIP
        if self.action == SKIP and self.skipped <= self.most:
            self.run.log(
                f"step skipped ({self.skipped} of at most {self.most}); its batch is in {folder}"
            )
            return
        why = f" after {self.most} skipped steps (--max_skipped)" if self.action == SKIP else ""
        raise UserError(
            f"the term {found} at step {step}{why}; its batch is in {folder}. The checkpoints in "
            f"{self.run.folder / 'checkpoints'} are intact: try a lower --learning_rate"
        )

    def _keep_batch(self, folder, step, values):
        first, image, mask = self.batch_of(step)
        storage.write_text(
            folder / "terms.json", json.dumps({k: str(v) for k, v in values.items()})
        )
        with storage.atomic_path(folder / "batch.npz") as temporary:
            np.savez_compressed(
                temporary,
                images=image,
                masks=mask,
                samples=first + np.arange(len(image)),
                seed=np.array(self.run.options.get("seed", -1)),
                step=np.array(step),
            )
        shown = convert.to_uint8(np.nan_to_num(image))  # the images themselves may hold NaN
        rows = [_row(*pair) for pair in zip(shown, mask[..., 0])]
        convert.write_png(folder / "batch.png", grid.grid(rows, ["input", "truth"], _CELL))


def _row(image, mask):
    size = image.shape[1::-1]
    mask = cv2.resize((mask > 0).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return [grid.paint_hole(image, mask), image]


def check_action(action: str, trainer) -> None:
    """UsageError for "skip" with a trainer whose `skips_nonfinite` is not True."""
    if action == SKIP and not getattr(trainer, "skips_nonfinite", False):
        raise UsageError(
            f"--on_nonfinite={SKIP}: {type(trainer).__name__} cannot skip an update; use --on_nonfinite={STOP}"
        )
