"""A worker of `inpaint bulk`: a process with a painter of its own, which fills blocks of rows.

It fills as `inpaint run` does, with the same flags, and what exists is skipped. So a block that is given to another
worker, because the first one died, goes on where the first one was. A photograph on which worker after worker dies is
given up.
"""

from __future__ import annotations

import collections
import os
import sys
from typing import Any

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
    """Counts how often each result was begun, until it is ended. All workers share one."""

    def __init__(self):
        self._begun = collections.Counter()

    def counts(self, outputs: list[str]) -> list[int]:
        """How often each of these was begun."""
        return [self._begun[output] for output in outputs]

    def begin(self, output: str) -> None:
        """A worker starts to fill it."""
        self._begun[output] += 1

    def end(self, output: str) -> None:
        """It is written, or has failed."""
        self._begun.pop(output, None)


def flag_values() -> dict[str, Any]:
    """The flags of `inpaint run`, for a worker, whose current folder is another one."""
    values = {flag.name: flag.value for flag in FLAGS.flags_by_module_dict()[run.__name__]}
    if os.path.exists(FLAGS.weights or ""):
        values["weights"] = os.path.abspath(FLAGS.weights)
    return values


class Worker:
    """Fills blocks; has a painter. A failure of loading it is a failure of the job: `broken` says why."""

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
          threads: of TensorFlow.
          gigabytes: of memory; beyond them an allocation fails, and with it the photograph.
          attempts: or an object that passes its calls on.
        """
        self._attempts = attempts
        FLAGS.mark_as_parsed()
        for name, value in values.items():
            FLAGS[name].value = value
        _limit(gigabytes)
        for kind in ("INTRA", "INTER"):
            os.environ[f"TF_NUM_{kind}OP_THREADS"] = str(threads)
        self.broken = ""
        try:
            environment.check()
            self._paint = painters.painter(
                FLAGS.model, FLAGS.weights, FLAGS.precision, FLAGS.high_res, FLAGS.runtime
            )
        except UserError as error:
            self.broken = str(error)

    def fill(self, block: dict[str, list[bytes]]) -> dict[str, list]:
        """The block with columns `REASON` of failure ("": filled) and `NOTES`, the warnings."""
        pairs = rows.pairs_of(block)
        counts = self._attempts.counts([str(pair.output) for pair in pairs])
        found = [self._fill(pair, count) for pair, count in zip(pairs, counts)]
        reasons, notes = (list(map(os.fsencode, texts)) for texts in zip(*found))
        return {**block, REASON: reasons, NOTES: notes}

    def _fill(self, pair: pairing.Pair, count: int) -> tuple[str, str]:
        """(reason of failure, notes) of a photograph that was begun `count` times before."""
        if count >= MOST_ATTEMPTS:
            self._attempts.end(str(pair.output))
            return (
                f"{pair.image}: {MOST_ATTEMPTS} workers died while they filled it; it may need more memory than the "
                "machine has: reduce or crop the photograph"
            ), ""
        if run.is_done(pair):
            return "", ""
        self._attempts.begin(str(pair.output))
        again = f"{pair.image}: begun again, because the worker that filled it died"
        notes = [again] if count else []
        try:
            pairing.distinct([pair])
            _, reason = run.attempt(pair, self._paint, notes.append)
        except UserError as error:
            reason = errors.one_line(error)
        except Exception as error:  # a bug, which must not end a job of a million
            reason = errors.one_line(
                f"{pair.image}: {type(error).__name__}: {error}; `inpaint run` shows where"
            )
        self._attempts.end(str(pair.output))
        return reason, "\n".join(notes)


def _limit(gigabytes):
    """Limits the memory that the process alone writes: not libraries, nor what it shares with other processes."""
    if sys.platform != "linux":  # elsewhere the limit does not hold for every allocation
        return
    import resource

    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = int(gigabytes * 1e9)
    resource.setrlimit(
        resource.RLIMIT_DATA,
        (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most),
    )
