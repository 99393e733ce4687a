"""A worker of `inpaint bulk`: a process with a painter of its own, which fills blocks of rows.

It fills as `inpaint run` does, with the same flags, and skips existing results. So if a worker dies, the next worker
continues its block where it stopped. A photograph on which `MOST_ATTEMPTS` workers died is given up.
"""

from __future__ import annotations

import collections
import os
import sys
from typing import Any

import cv2
from absl import flags

from common import environment, errors
from common.errors import UserError
from common.images import pairing
from inpainting import painters, run
from inpainting.bulk import rows

FLAGS = flags.FLAGS
MOST_ATTEMPTS = 3
# Columns that a worker adds to its rows.
REASON, NOTES = "reason", "notes"


class Attempts:
    """Counts how often blocks and results were begun; `end` forgets one. All workers share the counts."""

    def __init__(self):
        self._begun = collections.Counter()

    def begin(self, name: str) -> int:
        """The number of this attempt, from 1."""
        self._begun[name] += 1
        return self._begun[name]

    def end(self, name: str) -> None:
        """Forgets a block or result, which is written or has failed."""
        self._begun.pop(name, None)


def flag_values() -> dict[str, Any]:
    """The flags of `inpaint run`, for a worker, whose current folder is another one."""
    values = {flag.name: flag.value for flag in FLAGS.flags_by_module_dict()[run.__name__]}
    if os.path.exists(FLAGS.weights or ""):
        values["weights"] = os.path.abspath(FLAGS.weights)
    return values


class Worker:
    """Fills blocks with a painter of its own. `broken`: why the painter cannot be loaded, which ends the job; or ""."""

    def __init__(
        self,
        values: dict[str, Any],
        threads: int,
        gigabytes: float,
        attempts: Attempts,
    ):
        """
        Args:
          values: `flag_values()`.
          threads: of TensorFlow and of OpenCV.
          gigabytes: of memory; beyond them an allocation fails, and with it the photograph.
          attempts: an `Attempts`, or an object that passes calls on to one.
        """
        self._attempts = attempts
        FLAGS.mark_as_parsed()
        for name, value in values.items():
            FLAGS[name].value = value
        _limit(gigabytes)
        for kind in ("INTRA", "INTER"):
            os.environ[f"TF_NUM_{kind}OP_THREADS"] = str(threads)
        cv2.setNumThreads(threads)
        self.broken = ""
        try:
            environment.check()
            self._paint = painters.painter(
                FLAGS.model, FLAGS.weights, FLAGS.precision, FLAGS.high_res, FLAGS.runtime
            )
        except UserError as error:
            self.broken = str(error)

    def fill(self, block: dict[str, list[bytes]]) -> dict[str, list]:
        """The block with two more columns: `REASON` of a failure ("": filled) and `NOTES`, the warnings."""
        pairs = rows.pairs_of(block)
        name = f"block of {pairs[0].output}"
        again = self._attempts.begin(name) > 1
        found = [self._fill(pair, again) for pair in pairs]
        self._attempts.end(name)
        reasons, notes = (list(map(os.fsencode, texts)) for texts in zip(*found))
        if again:
            died = f"a worker died; its photographs are begun again, from {pairs[0].image} on\n"
            notes[0] = os.fsencode(died) + notes[0]
        return {**block, REASON: reasons, NOTES: notes}

    def _fill(self, pair: pairing.Pair, counted: bool) -> tuple[str, str]:
        """(reason of failure, notes).

        counted: whether attempts at this photograph are counted. It takes two messages to another process, so it is
        done only after a worker died on the block.
        """
        if run.is_done(pair):
            return "", ""
        name, notes, reason = str(pair.output), [], ""
        if counted and self._attempts.begin(name) > MOST_ATTEMPTS:
            reason = (
                f"{pair.image}: {MOST_ATTEMPTS} workers died while they filled it; it may need more memory than the "
                "machine has: reduce or crop the photograph"
            )
        else:
            try:
                pairing.distinct([pair])
                _, reason = run.attempt(pair, self._paint, notes.append)
            except UserError as error:
                reason = str(error)
            except Exception as error:  # a bug, which must not end a job of a million
                reason = errors.one_line(
                    f"{pair.image}: {type(error).__name__}: {error}; `inpaint run` shows where"
                )
        if counted:
            self._attempts.end(name)
        return reason, "\n".join(notes)


def _limit(gigabytes):
    """Limits the process's own memory, without libraries and memory shared with other processes."""
    if sys.platform != "linux":  # elsewhere the limit does not hold for every allocation
        return
    import resource

    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = int(gigabytes * 1e9)
    resource.setrlimit(
        resource.RLIMIT_DATA,
        (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most),
    )
