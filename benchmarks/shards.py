"""Shards beside loose files: the list, reading in the order of a pass, and crops per second.

    python -m benchmarks.shards --output=benchmarks/results/shards.json

Makes --files JPEGs of 256x256 pixels in 360 folders, as in Places2, and shards of them (`inpaint shards`). Each is
measured in its own process: seconds to list the photographs; files per second in random order, first with the files
outside the system's memory (`cold`), then inside (`warm`); crops per second of the training pipeline without a cache,
which decodes every photograph; and the convolution rate R of the machine.
"""

from __future__ import annotations

import os
import pathlib
import tempfile
import time

import numpy as np
from absl import flags
from tqdm import tqdm

from benchmarks import machine, pipeline, results
from common.data import datasets, shards

FLAGS = flags.FLAGS
SIDE, DIFFERENT = 256, 16
flags.DEFINE_integer("files", 20000, "number of files; Places2 has 1.8 million", lower_bound=1)


def make_files(folder: pathlib.Path, count: int) -> None:
    """Writes JPEGs of a few different pictures, shifted."""
    import cv2

    pictures = [pipeline.photograph(seed)[:1024, :1024] for seed in range(DIFFERENT)]
    pictures = [cv2.resize(picture, (SIDE, SIDE)) for picture in pictures]
    for number in tqdm(range(count), "writing loose files", leave=False):
        path = folder / "data_large" / f"{number * 360 // count:03d}" / f"{number:08d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.roll(pictures[number % DIFFERENT], number, axis=1))


def read(case: dict) -> dict:
    """The measurements of one folder, in its own process."""
    rate, started = machine.best_rate(), time.perf_counter()
    paths = datasets.files("places2", case["folder"], "train")
    found = {"list_seconds": time.perf_counter() - started}
    _forget(case["folder"])
    order = np.random.default_rng(0).permutation(len(paths))
    for name in ("cold_files_per_second", "warm_files_per_second"):
        started = time.perf_counter()
        for index in order:
            _bytes(paths[index])
        found[name] = len(paths) / (time.perf_counter() - started)
    found["crops_per_second"] = _crops(paths, case["seconds"])
    found["rate_gflops"] = (rate + machine.best_rate()) / 2
    return found


def _forget(folder):
    """Asks the system to drop the files' content from its memory."""
    for path in pathlib.Path(folder).rglob("*.*"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _bytes(path):
    from common.images import tar_members

    member = tar_members.member(path)
    return pathlib.Path(path).read_bytes() if member is None else member.read()


def _crops(paths, seconds):
    from common.data import cache
    from common.data import pipeline as training
    from common.masks import files as mask_files

    photographs = training.Photographs(paths, cache.MemoryCache(0))
    samples = training.Samples(photographs, mask_files.mask_source("small"), SIDE, seed=0)
    batches = iter(training.training_dataset(samples, 16))
    next(batches)
    started, crops = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        next(batches)
        crops += 16
    return crops / (time.perf_counter() - started)


def measure(found: results.Results) -> None:
    """Makes the files, writes the shards and reads both."""
    with tempfile.TemporaryDirectory() as root:
        loose, sharded = pathlib.Path(root, "loose"), pathlib.Path(root, "sharded")
        make_files(loose, FLAGS.files)
        shards.new_folder(sharded)
        started = time.perf_counter()
        for _ in shards.write(*datasets.groups("places2", str(loose)), sharded, 256 << 20):
            pass
        found.add(
            "writing shards", {"files_per_second": FLAGS.files / (time.perf_counter() - started)}
        )
        for folder in (loose, sharded):
            case = {"folder": str(folder), "seconds": FLAGS.seconds}
            found.add(folder.name, pipeline.in_process(read, case))


if __name__ == "__main__":
    results.run(measure)
