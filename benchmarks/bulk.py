"""Photographs a second of `inpaint run` and of `inpaint bulk` with one and two workers, on the same folder.

    pip install '.[bulk]'
    python -m benchmarks.bulk --output=benchmarks/results/bulk.json
    python -m benchmarks.bulk --sizes= --list_rows=100000

Photographs are JPEG files of random colours with grain; the hole is a tenth of the picture. Results are PNG files. Each
line is one command on a new folder. `images_per_second` is measured from the first result to the last, so
that the start, which is in `seconds`, is not counted. The machine's convolution rate R is the mean of before and after
(`benchmarks.machine`).

`--list_rows` measures what a row costs beside its photograph: a list of photographs that do not exist, each of which is
a row of failures.csv; `driver_gigabytes` is the peak memory of the process that gives out the rows.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np
from absl import flags

from benchmarks import inputs, machine, results
from common.images import convert
from common.images import files as image_files

FLAGS = flags.FLAGS
flags.DEFINE_list("sizes", ["512x512", "4000x3000"], "widths and heights of the photographs")
flags.DEFINE_list("counts", ["80", "12"], "number of photographs of each size")
flags.DEFINE_string("model", "hifill", "as in `inpaint run`")
flags.DEFINE_integer("list_rows", 0, "rows of a list of missing photographs")
COMMANDS = {
    "run": ("run",),
    "bulk, 1 worker": ("bulk", "--workers=1"),
    "bulk, 2 workers": ("bulk", "--workers=2"),
}


def make_photographs(folder: pathlib.Path, width: int, height: int, count: int) -> None:
    """Writes photos/*.jpg and mask.png."""
    image, mask = inputs.photograph(512)
    image, mask = (
        cv2.resize(x, (width, height), interpolation=cv2.INTER_NEAREST) for x in (image, mask)
    )
    convert.write_png(folder / "mask.png", np.repeat(mask[..., None] * convert.WHITE, 3, 2))
    grain = np.random.default_rng(0).normal(0, 4, image.shape)
    encoded = image_files.as_image(np.clip(image + grain, 0, convert.WHITE).astype(np.uint8))
    for number in range(count):
        image_files.write(folder / f"photos/{number:04}.jpg", encoded, "JPEG", quality=95)


def command(words: tuple[str, ...], folder: pathlib.Path) -> dict[str, float]:
    """Seconds and peak memory of the process of a command."""
    words = [sys.executable, "-m", "inpainting", *words, f"--model={FLAGS.model}"]
    started, peak = time.perf_counter(), 0.0
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said)
        while process.poll() is None:
            peak = max(peak, machine.most_gigabytes(process.pid))
            time.sleep(0.1)
    return {"seconds": time.perf_counter() - started, "driver_gigabytes": peak}


def fill(words: tuple[str, ...], folder: pathlib.Path) -> dict[str, float]:
    """One line: a command that fills the photographs of a folder."""
    output, before = folder / "-".join(words), machine.best_rate()
    paths = (f"--image={folder / 'photos'}", f"--mask={folder / 'mask.png'}", f"--output={output}")
    found = command((*words, *paths), folder)
    times = sorted(path.stat().st_mtime for path in output.glob("*.png"))
    assert len(times) == len(list((folder / "photos").iterdir())), (folder / "said.txt").read_text()
    return {
        "images_per_second": (len(times) - 1) / (times[-1] - times[0]),
        "seconds": found["seconds"],
        "rate_gflops": (before + machine.best_rate()) / 2,
    }


def missing(folder: pathlib.Path) -> dict[str, float]:
    """A job of rows without photographs."""
    rows = (f"/missing/{i}.jpg\t\t{i % 1000}/{i}.png\n" for i in range(FLAGS.list_rows))
    (folder / "rows.tsv").write_text("".join(rows))
    found = command(("bulk", f"--list={folder / 'rows.tsv'}", f"--output={folder / 'out'}"), folder)
    return {"rows": FLAGS.list_rows, **found}


def measure(found: results.Results) -> None:
    """Every command on every size, then the list."""
    found.content["cores"] = os.cpu_count()
    for size, count in zip(FLAGS.sizes, FLAGS.counts):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            make_photographs(folder, *map(int, size.split("x")), int(count))
            for name, words in COMMANDS.items():
                found.add(f"{name}, {size}", fill(words, folder))
    if FLAGS.list_rows:
        with tempfile.TemporaryDirectory() as folder:
            found.add("list", missing(pathlib.Path(folder)))


if __name__ == "__main__":
    results.run(measure)
