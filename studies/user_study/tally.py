"""Counts of a user study in the layout of Z's Table 8, with intervals, beside the paper's own counts.

Choices of all participants are added up per kind of masks and method, as in the paper; studies of the same kind (one
page for each data set, say) are added too. Per cent are the choices of our picture.

Intervals are Wilson's at 95%, from SciPy. They take choices as independent; those of one participant, or on one
picture, are not, so the truth is less certain than they say. The spread over participants is given with them.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import re
import runpy
import statistics
from collections.abc import Iterable, Mapping, Sequence
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
_INDEPENDENT = (
    "Intervals are Wilson's, as if all choices were independent; those of one participant or on one picture are not, "
    "so they are too narrow."
)
_PAPERS_INTERVALS = "The paper prints no intervals: those of its rows are computed from its counts."


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
    by_kind: dict[str, list[Result]] = {key["kind"]: [] for key in keys.values()}
    for result in results:
        by_kind[keys[result.study]["kind"]].append(result)
    return [_kind(name, found, keys) for name, found in by_kind.items() if found]


def _kind(name: str, results: Sequence[Result], keys: Mapping[str, dict[str, Any]]) -> Kind:
    pairs = {study: keys[study]["pairs"] for study in sorted({r.study for r in results})}
    methods = sorted({pair["method"] for shown in pairs.values() for pair in shown.values()})
    choices = [
        (pair["method"], result.participant, answer.chosen == pair["ours"])
        for result in results
        for answer in result.answers
        for pair in [pairs[result.study][answer.pair]]
    ]
    answers = [answer for result in results for answer in result.answers]
    people = dict.fromkeys(participant for _, participant, _ in choices)
    return Kind(
        name,
        list(pairs),
        {method: _count(ours for m, _, ours in choices if m == method) for method in methods},
        {person: _count(ours for _, p, ours in choices if p == person) for person in people},
        _count(answer.chosen == answer.first for answer in answers),
        statistics.median(answer.seconds for answer in answers),
        sum(len(result.answers) < len(pairs[result.study]) for result in results),
        any(result.simulated for result in results),
    )


def _count(ours: Iterable[bool]) -> Count:
    found = list(ours)
    return Count(found.count(False), found.count(True))


def _sum(counts: Iterable[Count]) -> Count:
    return Count(*map(sum, zip((0, 0), *counts)))


def paper_counts() -> dict[str, dict[str, Count]]:
    """Table 8: {kind: {method as the paper names it: choices}}."""
    package = importlib.util.find_spec("zoom_to_inpaint")  # importing it starts TensorFlow
    reported = runpy.run_path(str(pathlib.Path(package.origin).with_name("reported.py")))
    return {
        kind: {method: Count(printed.other, printed.ours) for method, printed in table.items()}
        for kind, table in reported["TABLE_8"].items()
    }


# Tables.


def table(kinds: Sequence[Kind], with_papers: bool = True) -> Table:
    """The counts as Z's Table 8 has them; the paper's own rows below those of the same kind of masks."""
    papers = paper_counts() if with_papers else {}
    papers = {kind.name: papers[kind.name] for kind in kinds if kind.name in papers}
    names = _names(kinds, papers)
    printed = [method for counts in papers.values() for method in counts]
    titles = list(dict.fromkeys([*printed, *names.values()]))
    rows = []
    for kind in kinds:
        measured = {names[method]: count for method, count in kind.methods.items()}
        rows += _rows(f"{'SIMULATED ' * kind.simulated}{kind.name} masks", measured, titles)
        if kind.name in papers:
            rows += _rows(f"{REPORTED}{kind.name} masks", papers[kind.name], titles)
    columns = ["", *(f"{title} vs. Ours" for title in titles), "Total"]
    warning = f" ({SIMULATED})" if any(kind.simulated for kind in kinds) else ""
    notes = [*map(_note, kinds), _INDEPENDENT, *[_PAPERS_INTERVALS] * bool(papers)]
    return Table(f"User study{warning}", columns, rows, " ".join(notes))


def _same(method: str) -> str:
    """How a method's name is compared with the paper's: "DeepFill-v2 [50]" is deepfill_v2."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\[.*?\]", "", method.lower()))


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


def _note(kind: Kind) -> str:
    shares = [count.per_cent for count in kind.by_participant.values()]
    people = f"{len(shares)} {'SIMULATED ' * kind.simulated}participant{'s' * (len(shares) > 1)}"
    unfinished = f" ({kind.unfinished} unfinished)" if kind.unfinished else ""
    spread = f" ± {statistics.stdev(shares):.1f}" if len(shares) > 1 else ""
    return (
        f"{kind.name} masks: {people}{unfinished}, who prefer ours in {statistics.mean(shares):.1f}{spread}% "
        f"(mean and deviation over them); the picture shown first was chosen in {kind.first_shown.per_cent:.1f}% "
        f"({_interval(kind.first_shown)}); median time {kind.seconds:.1f} s."
    )


def values(kinds: Sequence[Kind], left_out: Sequence[LeftOut]) -> dict[str, Any]:
    """Everything that was counted, and what was not, in JSON's types."""
    return {
        "format": TALLY_FORMAT,
        "confidence": CONFIDENCE,
        "interval": "Wilson",
        "simulated": any(kind.simulated for kind in kinds),
        "kinds": [_kind_values(kind) for kind in kinds],
        "paper": {name: _each(table) for name, table in paper_counts().items()},
        "left_out": [{"file": str(x.path), "reason": x.reason, "fault": x.fault} for x in left_out],
    }


def _kind_values(kind: Kind) -> dict[str, Any]:
    return {
        "masks": kind.name,
        "studies": kind.studies,
        "participants": len(kind.by_participant),
        "unfinished": kind.unfinished,
        "simulated": kind.simulated,
        "methods": _each(kind.methods),
        "total": _count_values(kind.total),
        "by_participant": _each(kind.by_participant),
        "first_shown": _count_values(kind.first_shown, ("second", "first")),
        "seconds": kind.seconds,
    }


def _each(counts: Mapping[str, Count]) -> dict[str, Any]:
    return {name: _count_values(count) for name, count in counts.items()}


def _count_values(count: Count, names: tuple[str, str] = ("other", "ours")) -> dict[str, Any]:
    low, high = count.interval or (None, None)
    counted = dict(zip(names, count))
    return {**counted, f"per_cent_{names[1]}": count.per_cent, "low": low, "high": high}
