"""Ray's part of `inpaint bulk`: starts or joins Ray, and lets a pool of workers fill blocks of rows.

If a worker dies, Ray gives its block to another worker, again and again; `worker.Attempts` ends this. The rows lie in
the memory of the machine that starts the job. No usage statistics are sent, no dashboard is started, and Ray's messages
stay in its log files.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from common import environment
from common.errors import UsageError, UserError
from inpainting.bulk import worker

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # silences a warning
}
_ROWS_GIGABYTES = 0.25  # of shared memory for rows; more of them go to the disk
_SECONDS_TO_ANSWER = 5


def check_installed() -> None:
    """UserError where Ray Data is missing."""
    if all(map(importlib.util.find_spec, ("ray", "pyarrow"))):
        return
    if sys.version_info < (3, 10):
        raise UserError("inpaint bulk needs Ray 2.60, which needs Python 3.10 or later")
    raise UserError(f"inpaint bulk needs Ray: {environment.install_command('bulk')}")


class Share(NamedTuple):
    """The number of workers, and the processor threads and GPUs of each."""

    workers: int
    threads: int
    gpus: int


def share(resources: dict[str, float], wanted: int | None, gigabytes: float, on_gpu: bool) -> Share:
    """Of the resources of a machine or cluster.

    One worker a GPU, if there are any and the model runs `on_gpu`, else one a processor; no more than fit into the
    memory.

    wanted: number of workers, if the user gave one.

    Raises:
      UsageError: not one worker fits, or fewer than wanted.
    """
    cpus = int(resources.get("CPU", 0))
    gpus = int(resources.get("GPU", 0)) if on_gpu else 0
    memory = resources.get("memory", 0) / 1e9
    most = int(min(gpus or cpus, memory // gigabytes))
    has = f"there are {cpus} processors, {gpus} GPUs and {memory:.1f} GB"
    if not most:
        raise UsageError(f"no worker fits: {has}, and a worker takes --worker_gb={gigabytes:g}")
    if wanted and wanted > most:
        raise UsageError(
            f"--workers={wanted}, but {most} fit: {has}, and a worker takes --worker_gb={gigabytes:g}"
        )
    workers = wanted or most
    return Share(workers, max(1, cpus // workers), 1 if gpus else 0)


@contextlib.contextmanager
def started(address: str | None) -> Iterator[dict[str, float]]:
    """Starts Ray on this machine, or joins the cluster at an address, for the block; yields its resources.

    Raises:
      UserError: no cluster answers at the address, or one that does not fit.
    """
    os.environ.update(_SETTINGS)
    if address and address != "auto":
        _check_answers(address)
    import ray

    here = {} if address else {"object_store_memory": int(_ROWS_GIGABYTES * 1e9)}
    try:
        with environment.notices_held() as held:
            held.shown = False
            ray.init(
                address or "local",
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **here,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"at --address={address}" if address else "on this machine"
        reason = str(error.__cause__ or error).strip().splitlines()[-1]
        raise UserError(f"Ray does not start {where}: {reason}") from error
    # Silences its messages about dead workers; `worker.Worker` says which photograph is begun again.
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield ray.cluster_resources()
    finally:
        ray.shutdown()


def _check_answers(address):
    """UserError if no cluster answers; Ray itself would wait for a minute and then end the process."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(
            f"--address={address}: no Ray cluster answers there ({error}); HOST:PORT is what 'ray start --head' prints"
        ) from error


class _Attempts:
    """`worker.Attempts` in a process of its own."""

    def __init__(self, actor):
        self._actor, self.end = actor, actor.end.remote

    def begin(self, name):
        import ray

        return ray.get(self._actor.begin.remote(name))


class _Pooled:
    """A worker as Ray Data calls it."""

    def __init__(self, values, threads, gigabytes, actor):
        self._worker = worker.Worker(values, threads, gigabytes, _Attempts(actor))

    def __call__(self, table):
        import pyarrow

        if self._worker.broken:
            return pyarrow.table({"broken": [self._worker.broken]})
        return pyarrow.table(self._worker.fill(table.to_pydict()))


def as_tables(blocks: Iterable[dict[str, list[bytes]]]) -> list:
    """Blocks as Arrow tables, which take about 150 bytes a row; Python's objects would take a thousand."""
    import pyarrow

    return list(map(pyarrow.table, blocks))


def fill(
    tables: list, values: dict[str, Any], workers: Share, gigabytes: float
) -> Iterator[dict[str, list[bytes]]]:
    """The blocks of `as_tables` as `worker.Worker.fill` returns them, in the order in which they are done.

    Raises:
      UserError: a worker cannot load its painter.
    """
    import ray.data

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    attempts = ray.remote(worker.Attempts).options(num_cpus=0, max_restarts=-1, max_task_retries=-1)
    filled = ray.data.from_blocks(tables).map_batches(
        _Pooled,
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers.workers),
        fn_constructor_args=(values, workers.threads, gigabytes, attempts.remote()),
        num_cpus=1,
        num_gpus=workers.gpus,
        memory=gigabytes * 1e9,
    )
    with _missing_packages():
        for table in filled.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        ):
            if "broken" in table.column_names:
                raise UserError(table["broken"][0].as_py())
            yield table.to_pydict()


@contextlib.contextmanager
def _missing_packages():
    """Turns Ray's error about a machine that lacks a package into one line."""
    import ray

    try:
        yield
    except ray.exceptions.RayError as error:
        missing = re.search(r"No module named '[^']+'", str(error))
        if not missing:
            raise
        raise UserError(
            f"a machine of the cluster: {missing[0]}; install this package and its extra bulk there"
        ) from error
