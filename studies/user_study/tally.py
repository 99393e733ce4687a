"""Counts of a user study in the layout of Z's Table 8, with intervals, beside the paper's own counts.

Choices of all participants are added up per kind of masks and method, as in the paper; studies of the same kind (one
page for each data set, say) are added too. Per cent are the choices of our picture.

Intervals are Wilson's at 95%, from SciPy. They take choices as independent; those of one participant, or on one
picture, are not, so the truth is less certain than they say. The spread over participants is given with them.
"""

from __future__ import annotations

import collections
import dataclasses
import importlib.util
import pathlib
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scipy.stats import binomtest

from studies.kit.study import REPORTED, Table
from studies.user_study.results import LeftOut, Result

TALLY_FORMAT = "user-study-tally-1"
CONFIDENCE = 0.95
MISSING = "-"
SIMULATED = (
    "SIMULATED participants: no person chose anything, the numbers say nothing about the methods"
)


class Count(NamedTuple):
    """Choices of the other method's picture and of ours."""

    other: int
    ours: int

    @property
    def total(self) -> int:
        return self.other + self.ours

    @property
    def per_cent(self) -> float | None:
        """Choices of ours in per cent; None without any choice."""
        return 100 * self.ours / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval of `per_cent`; None without any choice."""
        if not self.total:
            return None
        found = binomtest(self.ours, self.total).proportion_ci(CONFIDENCE, method="wilson")
        return 100 * found.low, 100 * found.high


@dataclasses.dataclass(frozen=True)
class Kind:
    """What was chosen under one kind of masks.

    name: of the kind.
    studies: their ids.
    methods: {method: choices against it}.
    by_participant: {participant: all choices}.
    first_shown: choices of the picture that was shown second (`other`) and first (`ours`).
    seconds: median time per choice.
    unfinished: participants who did not get to the end.
    simulated: whether no person chose anything.
    """

    name: str
    studies: list[str]
    methods: dict[str, Count]
    by_participant: dict[str, Count]
    first_shown: Count
    seconds: float
    unfinished: int
    simulated: bool

    @property
    def total(self) -> Count:
        return _sum(self.methods.values())


def tally(results: Sequence[Result], keys: Mapping[str, dict[str, Any]]) -> list[Kind]:
    """The counts of `results`, one entry per kind of masks that has any, in the order of `keys` ({study: key})."""
    kinds = []
    for name in dict.fromkeys(key["kind"] for key in keys.values()):
        of_kind = [result for result in results if keys[result.study]["kind"] == name]
        if of_kind:
            kinds.append(_kind(name, of_kind, keys))
    return kinds


def _kind(name: str, results: Sequence[Result], keys: Mapping[str, dict[str, Any]]) -> Kind:
    methods: dict[str, list[bool]] = collections.defaultdict(list)
    participants: dict[str, list[bool]] = collections.defaultdict(list)
    first, seconds = [], []
    for result in results:
        for answer in result.answers:
            pair = keys[result.study]["pairs"][answer.pair]
            methods[pair["method"]].append(answer.chosen == pair["ours"])
            participants[result.participant].append(answer.chosen == pair["ours"])
            first.append(answer.chosen == answer.first)
            seconds.append(answer.seconds)
    pairs = (pair for r in results for pair in keys[r.study]["pairs"].values())
    shown = sorted({pair["method"] for pair in pairs})
    return Kind(
        name,
        sorted({result.study for result in results}),
        {method: _count(methods[method]) for method in shown},
        {participant: _count(ours) for participant, ours in participants.items()},
        _count(first),
        statistics.median(seconds),
        sum(len(r.answers) < len(keys[r.study]["pairs"]) for r in results),
        any(result.simulated for result in results),
    )


def _count(ours: Sequence[bool]) -> Count:
    return Count(len(ours) - sum(ours), sum(ours))


def _sum(counts) -> Count:
    counts = list(counts)
    return Count(sum(c.other for c in counts), sum(c.ours for c in counts))


# The paper's counts.


def reported():
    """The module `zoom_to_inpaint.reported`, of its file alone: the package around it starts TensorFlow."""
    package = importlib.util.find_spec("zoom_to_inpaint")
    path = pathlib.Path(package.origin).with_name("reported.py")
    spec = importlib.util.spec_from_file_location("_zoom_to_inpaint_reported", path)
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    if not hasattr(module, "TABLE_8"):
        spec.loader.exec_module(module)
    return module


def paper_counts() -> dict[str, dict[str, Count]]:
    """Table 8: {kind: {method as the paper names it: choices}}."""
    return {
        kind: {method: Count(printed.other, printed.ours) for method, printed in table.items()}
        for kind, table in reported().TABLE_8.items()
    }


def _same(method: str) -> str:
    """How a method's name is compared with the paper's: "DeepFill-v2 [50]" is deepfill_v2."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\[.*?\]", "", method.lower()))


# Tables.


def table(kinds: Sequence[Kind], with_papers: bool = True) -> Table:
    """The counts as Z's Table 8 has them; the paper's own rows below those of the same kind of masks."""
    papers = paper_counts() if with_papers else {}
    papers = {kind.name: papers[kind.name] for kind in kinds if kind.name in papers}
    names = _names(kinds, papers)
    titles = list(
        dict.fromkeys([*(m for printed in papers.values() for m in printed), *names.values()])
    )
    rows = []
    for kind in kinds:
        measured = {names[method]: count for method, count in kind.methods.items()}
        label = f"{'SIMULATED ' * kind.simulated}{kind.name} masks"
        rows += _rows(label, measured, titles)
        if kind.name in papers:
            rows += _rows(f"{REPORTED}{kind.name} masks", papers[kind.name], titles)
    columns = ["", *(f"{title} vs. Ours" for title in titles), "Total"]
    warning = f" ({SIMULATED})" if any(kind.simulated for kind in kinds) else ""
    return Table(f"User study{warning}", columns, rows, " ".join(_notes(kinds, bool(papers))))


def _names(kinds: Sequence[Kind], papers: Mapping[str, Mapping[str, Count]]) -> dict[str, str]:
    """{method: what its column is called}: as in the paper where it is one of the paper's, else as it is."""
    known = {_same(method): method for printed in papers.values() for method in printed}
    names: dict[str, str] = {}
    for method in dict.fromkeys(method for kind in kinds for method in kind.methods):
        title = known.get(_same(method), method)
        names[method] = method if title in names.values() else title  # of two that look alike
    return names


def _rows(label: str, counts: Mapping[str, Count], titles: Sequence[str]) -> list[list[str]]:
    total = _sum(counts.values())
    found = [counts.get(name) for name in titles]
    versus = [f"{c.other} vs. {c.ours}" if c else MISSING for c in found]
    return [
        [f"{label}, counts", *versus, str(total.total)],
        [f"{label}, prefer ours", *map(_per_cent, [*found, total])],
        [f"{label}, 95% interval", *map(_interval, [*found, total])],
    ]


def _per_cent(count: Count | None) -> str:
    return f"{count.per_cent:.2f}%" if count and count.total else MISSING


def _interval(count: Count | None) -> str:
    return "{:.1f}-{:.1f}%".format(*count.interval) if count and count.total else MISSING


def _notes(kinds: Sequence[Kind], papers: bool) -> list[str]:
    notes = []
    for kind in kinds:
        shares = [count.per_cent for count in kind.by_participant.values()]
        people = f"{len(shares)} participant{'s' * (len(shares) > 1)}"
        if kind.simulated:
            people = people.replace("participant", "SIMULATED participant")
        if kind.unfinished:
            people += f" ({kind.unfinished} unfinished)"
        spread = f" ± {statistics.stdev(shares):.1f}" if len(shares) > 1 else ""
        notes.append(
            f"{kind.name} masks: {people}, who prefer ours in {statistics.mean(shares):.1f}{spread}% "
            f"(mean and deviation over them); the picture shown first was chosen in "
            f"{kind.first_shown.per_cent:.1f}% ({_interval(kind.first_shown)}); "
            f"median time {kind.seconds:.1f} s."
        )
    notes.append(
        "Intervals are Wilson's, as if all choices were independent; those of one participant or on "
        "one picture are not, so they are too narrow."
    )
    if papers:
        notes.append(
            "The paper prints no intervals: those of its rows are computed from its counts."
        )
    return notes


def values(kinds: Sequence[Kind], left_out: Sequence[LeftOut]) -> dict[str, Any]:
    """Everything that was counted, and what was not, in JSON's types."""
    return {
        "format": TALLY_FORMAT,
        "confidence": CONFIDENCE,
        "interval": "Wilson",
        "simulated": any(kind.simulated for kind in kinds),
        "kinds": [_kind_values(kind) for kind in kinds],
        "paper": {
            name: {method: _count_values(count) for method, count in table.items()}
            for name, table in paper_counts().items()
        },
        "left_out": [{"file": str(x.path), "reason": x.reason, "fault": x.fault} for x in left_out],
    }


def _kind_values(kind: Kind) -> dict[str, Any]:
    return {
        "masks": kind.name,
        "studies": kind.studies,
        "participants": len(kind.by_participant),
        "unfinished": kind.unfinished,
        "simulated": kind.simulated,
        "methods": {method: _count_values(count) for method, count in kind.methods.items()},
        "total": _count_values(kind.total),
        "by_participant": {name: _count_values(c) for name, c in kind.by_participant.items()},
        "first_shown": _count_values(kind.first_shown, ("second", "first")),
        "seconds": kind.seconds,
    }


def _count_values(count: Count, names: tuple[str, str] = ("other", "ours")) -> dict[str, Any]:
    low, high = count.interval or (None, None)
    counted = dict(zip(names, count))
    return {**counted, f"per_cent_{names[1]}": count.per_cent, "low": low, "high": high}
