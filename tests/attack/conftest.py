"""The attack: drawn and damaged inputs for everything that reads what others wrote.

An input passes if it is filled (known pixels equal, the result readable) or refused by a UserError of one line. Any
other exception, a file left half, a changed known pixel, or more than 60 s fails the test.

Two profiles of hypothesis. `ci`, the default, draws the same few inputs each time. `long` (`ATTACK=long`, or
`make attack`) draws 10,000 other inputs each time and writes its counts to the file that ATTACK_COUNTS names.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import json
import os
import pathlib
import signal
import tempfile
import time

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from common.errors import UserError

PROFILE = os.environ.get("ATTACK", "ci")
SECONDS = 60  # more for one input is a hang
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
# Without shrinking, which takes minutes: an input that fails is printed as it was drawn.
_SHARED = {
    "deadline": None,
    "database": None,
    "suppress_health_check": _SLOW,
    "phases": [Phase.generate],
    "report_multiple_bugs": False,
}
settings.register_profile("ci", max_examples=12, derandomize=True, **_SHARED)
settings.register_profile("long", max_examples=450, print_blob=True, **_SHARED)
settings.load_profile(PROFILE)


class Hang(BaseException):
    """An input took more than `SECONDS`; no handler of Exception stops it."""


class Attempts:
    """Tries inputs and counts what became of them, by subject."""

    def __init__(self):
        self.counts = collections.defaultdict(collections.Counter)
        self.slowest = 0.0

    def __call__(self, subject: str, call, folder=None, also=()):
        """(whether the input was taken, the value of `call()`), or (False, the error) if it was refused.

        folder: where no half file may stay. also: exceptions that the caller of `call` reports to the user.
        """
        count, started = self.counts[subject], time.perf_counter()
        count["inputs"] += 1
        try:
            with _limited():
                found = True, call()
        except (UserError, *also) as error:
            found = False, error
        except Hang:
            count["hangs"] += 1
            raise AssertionError(f"more than {SECONDS} s") from None
        except Exception:
            count["tracebacks"] += 1
            raise
        finally:
            self.slowest = max(self.slowest, time.perf_counter() - started)
        count["taken" if found[0] else "refused"] += 1
        if isinstance(found[1], UserError):
            text = str(found[1])
            self.require(subject, "longer messages", len(text.splitlines()) == 1, repr(text))
        left = [*pathlib.Path(folder).rglob(".partial-*")] if folder else []
        self.require(subject, "half files", not left, left)
        return found

    def require(self, subject, failure, holds, about=None):
        """Counts and reports a failure of this name unless it `holds`."""
        if not holds:
            self.counts[subject][failure] += 1
            raise AssertionError(f"{failure}: {about}")

    def total(self):
        """The counts of all subjects, and of all together."""
        whole = sum(self.counts.values(), collections.Counter())
        parts = {name: dict(count) for name, count in sorted(self.counts.items())}
        return {"all": dict(whole), "slowest_seconds": round(self.slowest, 1), "subjects": parts}


@contextlib.contextmanager
def _limited():
    def stop(*_):
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def attempt():
    """attempt(subject, call, folder=None, also=()): see `Attempts`."""
    attempts, started, processor = Attempts(), time.perf_counter(), time.process_time()
    yield attempts
    if os.environ.get("ATTACK_COUNTS"):
        spent = {
            "minutes": round((time.perf_counter() - started) / 60, 1),
            "processor_minutes": round((time.process_time() - processor) / 60, 1),
        }
        text = json.dumps({**attempts.total(), **spent}, indent=1)
        pathlib.Path(os.environ["ATTACK_COUNTS"]).write_text(text + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """with scratch() as folder: an empty folder for one input."""
    root = tmp_path_factory.mktemp("attack")
    return lambda: tempfile.TemporaryDirectory(dir=root)


@pytest.fixture(scope="session")
def damaged():
    """damaged(draw, data) -> bytes: a few drawn changes of `data`."""
    return _damaged


def _damaged(draw, data: bytes) -> bytes:
    for _ in range(draw(st.integers(1, 3))):
        data = _damage(draw, data)
    return data


def _damage(draw, data):
    kind = draw(st.sampled_from(("cut", "flip", "header", "zeros", "twice", "insert", "tail")))
    # Most of what decides is at the front or at the end.
    place = draw(st.integers(0, max(0, len(data) - 1)) | st.integers(0, min(200, len(data))))
    if kind == "cut":
        return data[:place]
    if kind == "flip" and data:
        changed = bytearray(data)
        changed[place % len(data)] ^= draw(st.integers(1, 255))
        return bytes(changed)
    if kind == "header":
        new = draw(st.binary(min_size=1, max_size=8))
        place = min(place, 100)
        return data[:place] + new + data[place + len(new) :]
    if kind == "zeros":
        length = draw(st.integers(1, 64))
        return data[:place] + bytes(length) + data[place + length :]
    if kind == "twice":
        return data[:place] + data[place : place + draw(st.integers(1, 64))] + data[place:]
    if kind == "tail":
        return data + draw(st.binary(min_size=1, max_size=30))
    return data[:place] + draw(st.binary(min_size=1, max_size=8)) + data[place:]


# Values that a file of JSON may hold where another was expected.
STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from((10**6, 2**31, 2**63, 10**40, 10**400, -(10**20))),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(("", "\0", "\ud800", "a\nb", "<script>", "../../etc/passwd", "x" * 300)),
    st.just([]),
    st.just({}),
    st.lists(st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@pytest.fixture(scope="session")
def changed_json():
    """changed_json(draw, value) -> a copy in which one to three places hold something else, or nothing."""
    return _changed_json


def _changed_json(draw, value):
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        value = _change(draw, value)
    return value


def _change(draw, value):
    if not (isinstance(value, (dict, list)) and value) or draw(st.integers(0, 9)) == 0:
        return draw(STRANGE)
    key = draw(st.sampled_from([*value] if isinstance(value, dict) else range(len(value))))
    action = draw(st.sampled_from(("deeper", "deeper", "deeper", "remove", "add")))
    if action == "remove":
        del value[key]
    elif action == "add" and isinstance(value, dict):
        value[draw(st.text(max_size=6))] = draw(STRANGE)
    elif action == "add":
        value.append(draw(STRANGE))
    else:
        value[key] = _change(draw, value[key])
    return value


@pytest.fixture(scope="session")
def strange():
    """Values of JSON that are expected nowhere."""
    return STRANGE
