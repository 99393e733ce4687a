"""`make demo`: removes objects from photographs with the shipped weights, within a minute.

    python -m hifill.demo --output=demo_output

The photographs are scikit-image's; the holes are those of `hifill.demo_masks`. One call of `inpaint` fills them all.
The output folder keeps photographs/, masks/ and filled/, a before/after picture of each photograph, and overview.png
with all pictures. Nothing is trained (`hifill.demo_training` does that) and nothing is downloaded.
"""

from __future__ import annotations

import pathlib
import shlex
import subprocess
import time

import cv2
import numpy as np
from absl import flags

from common import command_line, environment
from common.data import datasets
from common.errors import UserError
from common.images import convert, grid
from hifill import demo_masks

FLAGS = flags.FLAGS
_LABELS = ["photograph, hole marked", "HiFill"]
# Longer side of a column in pixels: in a before/after picture, in the overview.
_LARGE, _SMALL = 1000, 450


def prepare() -> None:
    """Checks the environment and defines the flag."""
    environment.check()
    flags.DEFINE_string("output", "demo_output", "folder for everything the demo writes")


def command(script: str, **given) -> None:
    """Prints and runs one of the package's commands with these flags; UserError if it fails."""
    arguments = [f"--{flag}" if x is True else f"--{flag}={x}" for flag, x in given.items()]
    print(f"\n$ python {script}.py {shlex.join(arguments)}", flush=True)
    code = subprocess.run([*command_line.program(script), *arguments]).returncode
    if code:
        raise UserError(f"{script}.py ended with exit code {code}; its message is above")


def write_inputs(output: pathlib.Path) -> None:
    """Writes every subject's photograph and mask, NAME.png in photographs/ and masks/."""
    found = {
        pathlib.Path(path).name: path
        for split in datasets.SPLITS
        for path in datasets.files("sample", None, split)
    }
    for subject in demo_masks.SUBJECTS:
        if subject.photograph not in found:
            raise UserError(f"scikit-image came without {subject.photograph}; reinstall it")
        photograph = convert.read_rgb(found[subject.photograph])
        picture = demo_masks.picture(subject, photograph)
        hole = demo_masks.mask(subject, picture.shape[:2])
        convert.write_png(output / "photographs" / f"{subject.name}.png", picture)
        convert.write_png(output / "masks" / f"{subject.name}.png", hole * convert.WHITE)


def before_and_after(output: pathlib.Path, name: str) -> list[np.ndarray]:
    """[photograph with the hole tinted, filled photograph], uint8 [H, W, 3] each."""
    before, hole, after = (
        convert.read_rgb(output / folder / f"{name}.png")
        for folder in ("photographs", "masks", "filled")
    )
    painted = grid.paint_hole(before, hole[..., 0])
    return [cv2.addWeighted(before, 0.5, painted, 0.5, 0), after]


def main(_) -> int:
    started = time.perf_counter()
    output = pathlib.Path(FLAGS.output)
    write_inputs(output)
    image, mask, filled = (output / name for name in ("photographs", "masks", "filled"))
    command("inpaint", image=image, mask=mask, output=filled, overwrite=True)
    rows = []
    print("\nLook at:")
    for subject in demo_masks.SUBJECTS:
        row = before_and_after(output, subject.name)
        path = output / f"{subject.name}.png"
        convert.write_png(path, grid.grid([row], _LABELS, _LARGE))
        rows.append(row)
        print(f"  {path}   {_described(subject, row[0].shape)}")
    convert.write_png(output / "overview.png", grid.grid(rows, _LABELS, _SMALL))
    print(f"  {output / 'overview.png'}   all pictures")
    print(f"Filled photographs:  {filled}")
    print(f"{len(rows)} photographs in {time.perf_counter() - started:.0f} seconds")
    return 0


def _described(subject, shape):
    enlarged = f", enlarged {subject.enlarged} times" if subject.enlarged > 1 else ""
    return f"without {subject.removed} ({shape[1]}x{shape[0]}{enlarged})"


if __name__ == "__main__":
    command_line.run()
