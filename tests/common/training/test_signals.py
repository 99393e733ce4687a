"""SIGTERM and Ctrl-C are noted, handed on, and the handlers that were there come back."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from common.training import signals


@pytest.fixture
def handlers():
    """The handlers before a test, which must be those after it."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield before
    assert [signal.getsignal(number) for number in numbers] == before


def _send(number):
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # Python runs a handler between two of its instructions


def test_sigterm_is_noted_and_ends_nothing(handlers):
    with signals.watched() as stop:
        assert not stop and stop.signal is None
        _send(signal.SIGTERM)
        _send(signal.SIGTERM)
        assert stop and stop.signal == signal.SIGTERM


def test_the_second_ctrl_c_no_longer_waits(handlers, capsys):
    with pytest.raises(KeyboardInterrupt), signals.watched() as stop:
        _send(signal.SIGINT)
        assert stop.signal == signal.SIGINT and "Ctrl-C again" in capsys.readouterr().err
        _send(signal.SIGINT)
        raise AssertionError("not interrupted")


def test_handlers_come_back_after_an_exception(handlers):
    with pytest.raises(ValueError), signals.watched():
        assert signal.getsignal(signal.SIGTERM) != handlers[0]
        raise ValueError


def test_ctrl_c_stays_ignored_where_it_was(handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.watched() as stop:
            _send(signal.SIGINT)
            assert not stop
    finally:
        signal.signal(signal.SIGINT, handlers[1])


def test_other_threads_install_nothing(handlers):
    found = []

    def work():
        with signals.watched() as stop:
            found.append((bool(stop), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(False, handlers[0])]


CHILD = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
time.sleep(60)
"""


def test_a_command_gives_its_exit_code(handlers):
    with signals.watched() as stop:
        assert signals.run([sys.executable, "-c", "raise SystemExit(3)"], stop) == 3


def test_sigterm_is_handed_on_and_the_command_ends_by_itself(handlers, capfd):
    def terminate():
        while "ready" not in "".join(seen):
            time.sleep(0.05)
            seen.append(capfd.readouterr().out)
        os.kill(os.getpid(), signal.SIGTERM)

    seen = []
    with signals.watched() as stop:
        thread = threading.Thread(target=terminate)
        thread.start()
        assert signals.run([sys.executable, "-c", CHILD], stop) == 7
        thread.join()
