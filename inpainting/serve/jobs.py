"""Work that takes seconds: one worker thread for each model, a queue with a limit, cancelling.

A model's worker starts at its first job, loads the model there and keeps it, so TensorFlow is not imported before it is
needed. A worker does one job at a time; workers of different models run side by side.

A waiting job is cancelled at once. A running job is only marked as cancelled, since neither a network nor OpenCV can be
stopped: it runs to its end, and its result is discarded. Work can check `Job.cancelled` before it writes.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from typing import Any, Callable

from common import errors
from common.errors import UserError

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
_ENDED = (DONE, FAILED, CANCELLED)
_KEPT = 3600  # seconds that an ended job can be asked for
_LOG = logging.getLogger(__name__)


class FullError(UserError):
    """The queue of a model is full."""


class Job:
    """A piece of work, its state and its result.

    state: one of WAITING, RUNNING, DONE, FAILED and CANCELLED. result: what the work returned. error: one line.
    failure: the exception. ended: set at the end, also when the job is cancelled.
    """

    def __init__(self, work: Callable[[Any, Job], Any], owner: str):
        self.id, self.work, self.owner = secrets.token_urlsafe(12), work, owner
        self.state, self.result, self.error, self.failure = WAITING, None, "", None
        self.made = self.began = self.changed = time.monotonic()
        self.ended = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether its result is not wanted any more."""
        return self.state == CANCELLED

    @property
    def seconds(self) -> float:
        """Seconds since the job began to run or, before that, to wait."""
        now = self.changed if self.state in _ENDED else time.monotonic()
        return now - self.began


class Workers:
    """Job queues by model.

    load: name of a model -> the tool for its jobs; called once, in the worker's thread.
    limit: number of jobs of a model that may wait while one runs.
    """

    def __init__(self, load: Callable[[str], Any], limit: int):
        self._load, self._limit = load, limit
        self._lock, self._loading = threading.Lock(), threading.Lock()
        self._work = threading.Condition(self._lock)
        self._queues: dict[str, deque] = {}
        self._jobs: dict[str, Job] = {}

    def submit(self, model: str, work: Callable[[Any, Job], Any], owner: str = "") -> Job:
        """Has a model's worker call `work(tool, job)`; FullError where too many wait already."""
        job = Job(work, owner)
        with self._lock:
            self._forget_old()
            if model not in self._queues:
                self._queues[model] = deque()
                threading.Thread(target=self._serve, args=(model,), daemon=True).start()
            if len(self._queues[model]) >= self._limit:
                raise FullError(
                    f"{len(self._queues[model])} photographs wait for {model} already; try again later"
                )
            self._queues[model].append(job)
            self._jobs[job.id] = job
            self._work.notify_all()
        return job

    def find(self, identity: str, owner: str) -> Job | None:
        """An owner's job, up to an hour after its end; None if there is none."""
        job = self._jobs.get(identity)
        return job if job and job.owner == owner else None

    def ahead(self, job: Job) -> int:
        """Number of jobs that its model does first."""
        with self._lock:
            for queue in self._queues.values():
                if job in queue:
                    return queue.index(job) + 1
        return 0

    def cancel(self, job: Job) -> None:
        """Ends a job that has not ended; see the module docstring."""
        with self._lock:
            if job.state in _ENDED:
                return
            for queue in self._queues.values():
                if job in queue:
                    queue.remove(job)
            self._end(job, CANCELLED)

    def cancel_all_of(self, owner: str) -> None:
        """Cancels an owner's jobs."""
        for job in [job for job in list(self._jobs.values()) if job.owner == owner]:
            self.cancel(job)

    def _forget_old(self):
        oldest = time.monotonic() - _KEPT
        for identity, job in list(self._jobs.items()):
            if job.state in _ENDED and job.changed < oldest:
                del self._jobs[identity]

    def _serve(self, model):
        tool = None
        while True:
            with self._lock:
                while not self._queues[model]:
                    self._work.wait()
                job = self._queues[model].popleft()
                work, job.state, job.began = job.work, RUNNING, time.monotonic()
            result, failure = None, None
            try:
                if tool is None:
                    with self._loading:  # two threads must not import TensorFlow at once
                        tool = self._load(model)
                if job.state != CANCELLED:  # while the model was loaded
                    result = work(tool, job)
            except Exception as error:  # a job that fails is no reason to stop serving
                failure = error
            reason = _reason(failure) if failure else ""
            with self._lock:
                if job.state != CANCELLED:
                    job.result, job.error = result, reason
                    job.failure = failure and failure.with_traceback(None)
                    self._end(job, FAILED if failure else DONE)
            del job, work, result, failure  # a photograph is not kept while the worker waits

    def _end(self, job, state):
        job.state, job.changed, job.work = state, time.monotonic(), None
        job.ended.set()


def _reason(failure):
    """One line for people; a bug goes to the log with its traceback."""
    if isinstance(failure, UserError):
        return errors.one_line(failure)
    if errors.is_too_large(failure):
        return "this needs more memory than there is; reduce or crop the photograph"
    _LOG.error("a job failed", exc_info=failure)
    return "something went wrong in the server; its terminal shows what"
