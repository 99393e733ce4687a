"""What happens at a loss term or gradient norm that is NaN or infinite: the batch is kept, the run stops or counts.

`<run>/nonfinite/step-<N>/` gets

    batch.npz    images [B, S, S, 3] and masks [B, M, M, 1] float32 as the step saw them, samples [B] int64: their
                 numbers, from which and `seed` the data comes
    batch.png    the same to look at, holes painted
    terms.json   every value of the step

The batch is not held while training: it is drawn again, since sample i is a function of (seed, i).
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
    """Looks at every step's values.

    Args:
      run: `run_folder.RunFolder` that takes the batches.
      batch_of: step -> (number of its first sample, images, masks).
      action: "stop", or "skip": go on, for a trainer that leaves such a step's update out.
      most: how many steps may be left out over the whole run.
      skipped: how many have been.
    """

    def __init__(self, run, batch_of: Callable, action: str, most: int, skipped: int = 0):
        self.run, self.batch_of, self.action, self.most = run, batch_of, action, most
        self.skipped = skipped

    def check(self, step: int, values: dict) -> None:
        """Raises UserError for a value that is not finite, or counts the step as left out."""
        bad = {name: value for name, value in values.items() if not math.isfinite(value)}
        if not bad:
            return
        folder = self.run.folder / "nonfinite" / f"step-{step:08d}"
        found = ", ".join(f"'{name}' became {value}" for name, value in bad.items())
        self.run.log(f"step {step}: {found}")  # before anything that could fail too
        self._keep_batch(folder, step, values)
        self.skipped += self.action == SKIP
        if self.action == SKIP and self.skipped <= self.most:
            self.run.log(
                f"left out ({self.skipped} of at most {self.most}); the batch is in {folder}"
            )
            return
        why = (
            f" after {self.most} steps were left out (--max_skipped)" if self.action == SKIP else ""
        )
        raise UserError(
            f"the term {found} at step {step}{why}; its batch is in {folder}, what {self.run.folder / 'checkpoints'} "
            "holds is unharmed: try a lower --learning_rate"
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
        shown = convert.to_uint8(np.nan_to_num(image))  # the data may be what is wrong
        rows = [_row(*pair) for pair in zip(shown, mask[..., 0])]
        convert.write_png(folder / "batch.png", grid.grid(rows, ["input", "truth"], _CELL))


def _row(image, mask):
    size = image.shape[1::-1]
    mask = cv2.resize((mask > 0).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return [grid.paint_hole(image, mask), image]


def check_action(action: str, trainer) -> None:
    """UsageError where steps shall be left out by a trainer whose `skips_nonfinite` is not True."""
    if action == SKIP and not getattr(trainer, "skips_nonfinite", False):
        raise UsageError(
            f"--on_nonfinite={SKIP}: {type(trainer).__name__} cannot leave an update out; use --on_nonfinite={STOP}"
        )
