"""Requests to stop: SIGTERM, which SLURM and Kubernetes send before they kill a process, and Ctrl-C.

Inside `watched` a signal only sets `StopRequest.signal`. The loop checks it where stopping is safe, so that the current
step is finished, saved and logged. A second Ctrl-C stops at once.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence


class StopRequest:
    """Whether the process was asked to stop: `signal` is None, SIGTERM or SIGINT; true when it is one of them."""

    def __init__(self):
        self.signal = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def terminate(self, *_) -> None:
        """Handler of SIGTERM."""
        self.signal = signal.SIGTERM

    def interrupt(self, *_) -> None:
        """Handler of Ctrl-C.

        Raises:
          KeyboardInterrupt: the second time.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.SIGINT
        print(
            "stopping after this step; press Ctrl-C again to stop at once",
            file=sys.stderr,
            flush=True,
        )


@contextlib.contextmanager
def watched(stop: StopRequest | None = None) -> Iterator[StopRequest]:
    """Yields a `StopRequest`, `stop` or a new one, that signals set; restores the old handlers at the end.

    `stop` may come from an outer `watched` block, so blocks can be nested.

    Python handles signals in the main thread only; in another thread nothing is installed. Ctrl-C stays ignored if the
    process was started that way (a shell's background job).
    """
    stop, before = StopRequest() if stop is None else stop, {}
    if threading.current_thread() is threading.main_thread():
        before[signal.SIGTERM] = signal.signal(signal.SIGTERM, stop.terminate)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, stop.interrupt)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            # None: a handler that C code installed; Python cannot restore it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Restores the handler of SIGTERM after the block: TensorFlow replaces it when workers connect."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        # None: a handler that C code installed; Python cannot restore it.
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def run(command: Sequence[str], stop: StopRequest) -> int:
    """Runs a command to its end and returns its exit code; passes SIGTERM on to it.

    A terminal sends Ctrl-C to the command directly; `run` waits until the command has saved and ended.
    """
    with subprocess.Popen(command) as process:
        told = False
        while True:
            if stop.signal == signal.SIGTERM and not told:
                process.terminate()
                told = True
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=0.5)
