"""Counts of a user study in the layout of Zoom-to-Inpaint's (Z) Table 8, with intervals, beside the paper's counts.

Choices of all participants are added up per kind of masks and method, as in the paper. Studies of the same kind (such
as one page per data set) are added up too. Per cent are the choices of our picture.

Intervals are Wilson's at 95%, from SciPy. They assume independent choices. Choices of one participant, or on one
picture, are not independent, so the intervals are too narrow; the spread over participants is given as well.
"""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scipy.stats import binomtest

from studies.kit.study import REPORTED, Table
from studies.user_study.results import LeftOut, Result
from zoom_to_inpaint import reported

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


@dataclasses.dataclass
class Count:
    """Choices of the other method's picture and of ours.

    per_cent_ours: choices of ours in per cent; low, high: its Wilson interval. All are None without choices.
    """

    other: int
    ours: int
    per_cent_ours: float | None = dataclasses.field(init=False, default=None)
    low: float | None = dataclasses.field(init=False, default=None)
    high: float | None = dataclasses.field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.total:
            found = binomtest(self.ours, self.total).proportion_ci(CONFIDENCE, method="wilson")
            self.per_cent_ours = 100 * self.ours / self.total
            self.low, self.high = 100 * found.low, 100 * found.high

    @property
    def total(self) -> int:
        return self.other + self.ours


@dataclasses.dataclass(frozen=True)
class Kind:
    """The choices under one kind of masks.

    masks: kind of masks.
    studies: ids of the studies.
    participants: number of participants.
    unfinished: number of participants who did not finish.
    simulated: whether the participants are simulated.
    methods: {method: choices against it}.
    total: all choices.
    by_participant: {participant: all choices}.
    first_shown: choices of the picture that was shown second (`other`) and first (`ours`).
    seconds: median time per choice.
    """

    masks: str
    studies: list[str]
    participants: int
    unfinished: int
    simulated: bool
    methods: dict[str, Count]
    total: Count
    by_participant: dict[str, Count]
    first_shown: Count
    seconds: float


def tally(results: Sequence[Result], keys: Mapping[str, dict[str, Any]]) -> list[Kind]:
    """The counts of `results`, one entry per kind of masks with results, in the order of `keys` ({study: key})."""
    by_kind: dict[str, list[Result]] = {key["kind"]: [] for key in keys.values()}
    for result in results:
        by_kind[keys[result.study]["kind"]].append(result)
    return [_kind(name, found, keys) for name, found in by_kind.items() if found]


def _kind(name: str, results: Sequence[Result], keys: Mapping[str, dict[str, Any]]) -> Kind:
    pairs = {study: keys[study]["pairs"] for study in sorted({r.study for r in results})}
    methods = sorted({pair["method"] for shown in pairs.values() for pair in shown.values()})
    choices = [
        (pair["method"], result.participant, answer["chosen"] == pair["ours"])
        for result in results
        for answer in result.answers
        for pair in [pairs[result.study][answer["pair"]]]
    ]
    answers = [answer for result in results for answer in result.answers]
    people = dict.fromkeys(participant for _, participant, _ in choices)
    return Kind(
        name,
        list(pairs),
        len(people),
        sum(len(result.answers) < len(pairs[result.study]) for result in results),
        any(result.simulated for result in results),
        {method: _count(ours for m, _, ours in choices if m == method) for method in methods},
        _count(ours for _, _, ours in choices),
        {person: _count(ours for _, p, ours in choices if p == person) for person in people},
        _count(answer["chosen"] == answer["first"] for answer in answers),
        statistics.median(answer["seconds"] for answer in answers),
    )


def _count(ours: Iterable[bool]) -> Count:
    found = list(ours)
    return Count(found.count(False), found.count(True))


def paper_counts() -> dict[str, dict[str, Count]]:
    """Table 8: {kind: {method as the paper names it: choices}}."""
    return {
        kind: {method: Count(printed.other, printed.ours) for method, printed in table.items()}
        for kind, table in reported.TABLE_8.items()
    }


# Tables.


def table(kinds: Sequence[Kind], with_papers: bool = True) -> Table:
    """The counts in the layout of Z's Table 8, with the paper's rows below those of the same kind of masks."""
    papers = paper_counts() if with_papers else {}
    papers = {kind.masks: papers[kind.masks] for kind in kinds if kind.masks in papers}
    names = _names(kinds, papers)
    printed = [method for counts in papers.values() for method in counts]
    titles = list(dict.fromkeys([*printed, *names.values()]))
    rows = []
    for kind in kinds:
        measured = {names[method]: count for method, count in kind.methods.items()}
        rows += _rows(f"{'SIMULATED ' * kind.simulated}{kind.masks} masks", measured, titles)
        if kind.masks in papers:
            rows += _rows(f"{REPORTED}{kind.masks} masks", papers[kind.masks], titles)
    columns = ["", *(f"{title} vs. Ours" for title in titles), "Total"]
    warning = f" ({SIMULATED})" if any(kind.simulated for kind in kinds) else ""
    notes = [*map(_note, kinds), _INDEPENDENT, *[_PAPERS_INTERVALS] * bool(papers)]
    return Table(f"User study{warning}", columns, rows, " ".join(notes))


def _same(method: str) -> str:
    """A method's name in the form that is compared with the paper's: "DeepFill-v2 [50]" equals deepfill_v2."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\[.*?\]", "", method.lower()))


def _names(kinds: Sequence[Kind], papers: Mapping[str, Mapping[str, Count]]) -> dict[str, str]:
    """{method: title of its column}: the paper's name for the paper's methods, else the method's own."""
    known = {_same(method): method for printed in papers.values() for method in printed}
    names: dict[str, str] = {}
    for method in dict.fromkeys(method for kind in kinds for method in kind.methods):
        title = known.get(_same(method), method)
        names[method] = method if title in names.values() else title  # two names may look alike
    return names


def _rows(label: str, counts: Mapping[str, Count], titles: Sequence[str]) -> list[list[str]]:
    total = Count(*(sum(getattr(c, side) for c in counts.values()) for side in ("other", "ours")))
    found = [counts.get(name) for name in titles]
    versus = [f"{c.other} vs. {c.ours}" if c else MISSING for c in found]
    return [
        [f"{label}, counts", *versus, str(total.total)],
        [f"{label}, prefer ours", *map(_per_cent, [*found, total])],
        [f"{label}, 95% interval", *map(_interval, [*found, total])],
    ]


def _per_cent(count: Count | None) -> str:
    return f"{count.per_cent_ours:.2f}%" if count and count.total else MISSING


def _interval(count: Count | None) -> str:
    return f"{count.low:.1f}-{count.high:.1f}%" if count and count.total else MISSING


def _note(kind: Kind) -> str:
    shares = [count.per_cent_ours for count in kind.by_participant.values()]
    people = f"{len(shares)} {'SIMULATED ' * kind.simulated}participant{'s' * (len(shares) > 1)}"
    unfinished = f" ({kind.unfinished} unfinished)" if kind.unfinished else ""
    spread = f" ± {statistics.stdev(shares):.1f}" if len(shares) > 1 else ""
    first = kind.first_shown
    return (
        f"{kind.masks} masks: {people}{unfinished}, who prefer ours in {statistics.mean(shares):.1f}{spread}% "
        f"(mean and deviation over them); the picture shown first was chosen in {first.per_cent_ours:.1f}% "
        f"({_interval(first)}); median time {kind.seconds:.1f} s."
    )


def values(kinds: Sequence[Kind], left_out: Sequence[LeftOut]) -> dict[str, Any]:
    """All counts and the files left out, for `json_files.write`."""
    return {
        "format": TALLY_FORMAT,
        "confidence": CONFIDENCE,
        "interval": "Wilson",
        "simulated": any(kind.simulated for kind in kinds),
        "kinds": [{**vars(kind), "first_shown": _sides(kind.first_shown)} for kind in kinds],
        "paper": paper_counts(),
        "left_out": [{"file": str(x.path), "reason": x.reason, "fault": x.fault} for x in left_out],
    }


def _sides(shown: Count) -> dict[str, Any]:
    counted = {"second": shown.other, "first": shown.ours, "per_cent_first": shown.per_cent_ours}
    return {**counted, "low": shown.low, "high": shown.high}
