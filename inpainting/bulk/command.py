"""Fills holes in any number of photographs, on all processors of this machine or of a cluster.

    inpaint bulk --image=photos/ --mask=masks/ --output=results/
    inpaint bulk --list=rows.tsv --output=results/
    inpaint bulk --list=rows.tsv --output=results/ --address=10.0.0.1:6379

Fills as `inpaint run` does and has its flags. A line of --list is photograph, mask and result, separated by tabs or
commas; relative results are relative to --output. An empty mask means the transparent part of the photograph. What is
filled stays filled whatever is killed, and the same command goes on with the rest. Photographs that failed are listed
with the reason in failures.csv in --output. docs/bulk.md says more. Exit code: 0 all done, 1 at least one failed,
2 wrong flags.
"""

from __future__ import annotations

import csv
import functools
import os
import pathlib
import time

from absl import flags
from tqdm import tqdm

from common import environment, storage
from common.errors import UsageError
from common.images import pairing
from inpainting import painters, run
from inpainting.bulk import cluster, rows, worker

FLAGS = flags.FLAGS
_TABLE = "failures.csv"
# Rows are given to workers in blocks: many of them, so that all workers end together, but a block costs milliseconds.
_BLOCKS, _MOST_IN_BLOCK = 2000, 64
_BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}]"


def prepare() -> None:
    """Checks the environment and defines the flags."""
    environment.check()
    flags.DEFINE_string("list", None, "file of rows, instead of --image and --mask")
    flags.DEFINE_string(
        "address",
        None,
        "Ray cluster to work on, HOST:PORT, or auto for the one of this machine; default: this machine alone",
    )
    flags.DEFINE_integer(
        "workers",
        None,
        "processes that fill; default: one a processor, or a GPU, as far as memory allows",
        lower_bound=1,
    )
    flags.DEFINE_float("worker_gb", 4, "most memory of a worker, in gigabytes", lower_bound=0.5)


class Failures:
    """The table of what failed. It is there while the job runs, and stays if it has rows."""

    def __init__(self, folder: str):
        self.path, self.count = pathlib.Path(folder, _TABLE), 0
        with storage.named_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self.path.open(
                "w", encoding="utf-8", errors="surrogateescape", newline=""
            )
        self._write([*rows.COLUMNS, worker.REASON])

    def __enter__(self) -> Failures:
        return self

    def add(self, cells: list[str]) -> None:
        """A line: photograph, mask, result, reason."""
        self.count += 1
        self._write(cells)

    def _write(self, cells):
        with storage.named_errors(self.path):
            csv.writer(self._stream).writerow(cells)
            self._stream.flush()

    def __exit__(self, *_) -> None:
        self._stream.close()
        if not self.count:
            self.path.unlink()


def _check_flags() -> None:
    painters.check_names([FLAGS.model])
    painters.check_network(FLAGS.model, FLAGS.weights)
    painters.check_runtime(FLAGS.model, FLAGS.weights, FLAGS.runtime)
    painters.check_large(FLAGS.model, FLAGS.precision, FLAGS.high_res)
    if not FLAGS.output:
        raise UsageError("--output is missing; see --help")
    if bool(FLAGS.list) == bool(FLAGS.image):
        raise UsageError("give either --list or --image; see --help")
    if FLAGS.list and FLAGS.mask:
        raise UsageError(f"--mask={FLAGS.mask} does not go with --list, whose lines name the masks")
    if os.path.isfile(FLAGS.image or ""):
        raise UsageError(f"--image={FLAGS.image} is one photograph; `inpaint run` fills it")


def _listed():
    """A function that gives the rows of the flags, and their number."""
    if FLAGS.list:
        source = functools.partial(rows.of_list, FLAGS.list, FLAGS.output)
        return source, rows.check_distinct(source(), source())
    found = pairing.pairs(FLAGS.image, FLAGS.mask, FLAGS.output)
    return functools.partial(rows.of_folders, found), len(found)


def _unfinished(found):
    """The rows that are still to do; half-written files of killed jobs are removed from the results' folders."""
    folders = set()
    for row in found:
        folder = os.path.dirname(row.output)
        if folder not in folders:
            folders.add(folder)
            storage.remove_partial(folder, seconds=run.STALE)
        if not run.is_done(row.pair):
            yield row


def _report(blocks, left, failures):
    """Shows and writes down what comes back."""
    with tqdm(total=left, unit=" images", bar_format=_BAR, disable=left < 2) as bar:
        for number, block in enumerate(blocks):
            if not number:
                bar.unpause()  # the start of the workers is no part of the rate
            for *row, notes in zip(*(map(os.fsdecode, column) for column in block.values())):
                for note in filter(None, notes.split("\n")):
                    run.say(note)
                if row[-1]:
                    run.say(f"error: {row[-1]}")
                    failures.add(row)
                bar.update()


def _fill(tables, left, failures):
    with cluster.started(FLAGS.address) as resources:
        on_gpu = painters.needs_tensorflow(FLAGS.model, FLAGS.weights, FLAGS.runtime)
        share = cluster.share(resources, FLAGS.workers, FLAGS.worker_gb, on_gpu)
        workers = min(share.workers, len(tables))
        share = share._replace(workers=workers)
        run.say(f"{left} to fill; starting {workers} worker{'s' * (workers > 1)}")
        filled = cluster.fill(tables, worker.flag_values(), share, FLAGS.worker_gb)
        _report(filled, left, failures)


def main(_) -> int:
    cluster.check_installed()
    _check_flags()
    began = time.perf_counter()
    source, listed = _listed()
    if FLAGS.model in painters.MODELS:
        painters.chosen_weights(FLAGS.model, FLAGS.weights)
    size = min(_MOST_IN_BLOCK, 1 + listed // _BLOCKS)
    with Failures(FLAGS.output) as failures:
        tables = cluster.as_tables(rows.in_blocks(_unfinished(source()), size))
        left = sum(table.num_rows for table in tables)
        if left:
            _fill(tables, left, failures)
    filled, seconds = left - failures.count, time.perf_counter() - began
    print(run.summary(filled, listed - left, failures.count, seconds))
    if failures.count:
        run.say(f"what failed and why: {failures.path}")
    return 1 if failures.count else 0
