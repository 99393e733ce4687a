"""Reads and checks the participants' files of a user study. A file counts once or is left out with a reason.

A result is the file that the page downloads (`studies/user_study/page.js`). The page's key
(`studies/user_study/page.py`) names the method of each picture. A participant may hand in several files: a later export
of a session replaces an earlier one. Of two sessions of one participant neither is counted until one is removed.
"""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from common import json_files
from common.errors import UserError
from common.json_files import LINE, NUMBER, TEXT, one_of
from studies.user_study.page import KEY_FORMAT, RESULT_FORMAT

_SIDE = one_of("a", "b")
_KEY = {
    "format": one_of(KEY_FORMAT),
    "study": TEXT,
    "kind": TEXT,
    "pairs": {str: {"ours": _SIDE, "method": TEXT}},
}
_ANSWER = {"pair": TEXT, "chosen": _SIDE, "first": _SIDE, "switches": NUMBER, "seconds": NUMBER}
_RESULT = {
    "format": one_of(RESULT_FORMAT),
    **dict.fromkeys(("study", "participant", "started", "exported"), LINE),
    "answers": [_ANSWER],
}


class Result(NamedTuple):
    """One file; `started` distinguishes sessions, `exported` the exports of a session.

    answers: {"pair", "chosen", "first", "switches", "seconds"}: the pair's id, the picture chosen and the one shown
      first ("a" or "b").
    """

    path: pathlib.Path
    study: str
    participant: str
    started: str
    exported: str
    simulated: bool
    answers: list[dict[str, Any]]


class LeftOut(NamedTuple):
    """A file that is not counted; `fault` is False for a key or if another file holds the same session."""

    path: pathlib.Path
    reason: str
    fault: bool


def read_key(path: pathlib.Path) -> dict[str, Any]:
    """The content of a key file; UserError for any other file."""
    try:
        key = json_files.read(path, _KEY)
        if not key["pairs"]:
            raise ValueError("it has no pairs")
    except ValueError as error:
        raise UserError(
            f"{path} is not the key of a user study ({error}); `build` writes it beside the page"
        ) from error
    return key


def result_files(given: Sequence[str]) -> list[pathlib.Path]:
    """The files of --results, each once; a folder stands for every .json file in it."""
    found: dict[pathlib.Path, pathlib.Path] = {}
    for path in map(pathlib.Path, given):
        if not path.exists():
            raise UserError(f"--results={path} does not exist; check its name")
        inside = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"--results={path} holds no .json file")
        for file in inside:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def gather(
    paths: Iterable[pathlib.Path], keys: Mapping[str, dict], incomplete: bool = False
) -> tuple[list[Result], list[LeftOut]]:
    """The results to count, and the files left out, each with its reason.

    Simulated participants count only if there are no real ones; tables then say so.

    Args:
      paths: result files.
      keys: {study: its key}.
      incomplete: count participants who did not finish.
    """
    sessions, chosen, left_out = collections.defaultdict(list), [], []
    for path in paths:
        found = _read(path, keys)
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            sessions[found.study, found.participant].append(found)
    for results in sessions.values():
        latest, dropped = _one_session(results)
        left_out += dropped
        if latest is None:
            continue
        total = len(keys[latest.study]["pairs"])
        if len(latest.answers) < total and not (incomplete and latest.answers):
            reason = f"incomplete: {len(latest.answers)} of {total} pairs"
            left_out.append(LeftOut(latest.path, reason, fault=True))
        else:
            chosen.append(latest)
    real = {result.study for result in chosen if not result.simulated}
    mixed = [result for result in chosen if result.simulated and result.study in real]
    left_out += [LeftOut(r.path, "simulated, among real participants", fault=True) for r in mixed]
    return [result for result in chosen if result not in mixed], left_out


def _read(path: pathlib.Path, keys: Mapping[str, dict]) -> Result | LeftOut:
    try:
        content = json_files.read(path, {})
        if content.get("format") == KEY_FORMAT:
            return LeftOut(path, "a key, not a result", fault=False)
        json_files.check(content, _RESULT)
        if content["study"] not in keys:
            raise ValueError(f"of another study ({content['study'][:20]}), whose key is not given")
        pairs = [answer["pair"] for answer in content["answers"]]
        strange = [pair for pair in pairs if pair not in keys[content["study"]]["pairs"]]
        if strange:
            raise ValueError(f"the study has no pair {strange[0][:20]!a}")
        if len(set(pairs)) < len(pairs):
            raise ValueError("a pair is answered twice")
    except ValueError as error:
        return LeftOut(path, str(error), fault=True)
    return Result(
        path,
        content["study"],
        " ".join(content["participant"].split()).lower(),
        content["started"],
        content["exported"],
        content.get("simulated") is True,
        content["answers"],
    )


def _one_session(results: list[Result]) -> tuple[Result | None, list[LeftOut]]:
    """The latest export among the results of one participant; None if they are of several sessions."""
    name = results[0].participant
    if len({result.started for result in results}) > 1:
        names = ", ".join(result.path.name for result in results)
        reason = f"participant '{name}' has answered more than once ({names}); remove what does not count"
        return None, [LeftOut(result.path, reason, fault=True) for result in results]
    latest = max(results, key=lambda result: (result.exported, len(result.answers)))
    reason = f"an earlier or equal export of participant '{name}'; {latest.path.name} is counted"
    return latest, [LeftOut(r.path, reason, fault=False) for r in results if r is not latest]
