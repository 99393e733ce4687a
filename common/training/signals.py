"""Being asked to stop: SIGTERM, as SLURM and Kubernetes send it before they kill, and Ctrl-C.

Inside `watched` both are noted instead of ending the process at once, so that a step is finished, saved and logged. The
one who watches looks at `StopRequest.signal` where stopping is safe. A second Ctrl-C no longer waits.
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
    """Yields a `StopRequest`, `stop` or a new one, that signals set; the handlers that were there come back at the end.

    `stop` may be one that a block around this one watches already: a loop need not know whether it is inside of one.

    Python handles signals in the main thread alone: elsewhere nothing is installed and nothing will be asked. Ctrl-C
    stays ignored where the process was started so (a shell's background job).
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
            # None: a handler that C code installed; Python cannot put it back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """After the block SIGTERM goes where it went before: TensorFlow takes it for itself as workers connect."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        # None: a handler that C code had installed before; Python cannot put it back.
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def run(command: Sequence[str], stop: StopRequest) -> int:
    """Runs a command to its end and returns its exit code; SIGTERM is handed on to it.

    Ctrl-C in a terminal reaches the command by itself; it is given the time that it needs to save.
    """
    with subprocess.Popen(command) as process:
        told = False
        while True:
            if stop.signal == signal.SIGTERM and not told:
                process.terminate()
                told = True
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=0.5)
