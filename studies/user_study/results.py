"""What participants of a user study hand in, checked: a file is counted once, or said to be left out, and why.

A result is what the page downloads (`studies/user_study/page.js`); its key (`studies/user_study/page.py`) says which
picture was whose. A participant may hand in several files: the same session exported again replaces the earlier export.
Two sessions of one participant contradict each other, so neither is counted until somebody removes one.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from common.errors import UserError
from studies.user_study.page import KEY_FORMAT, RESULT_FORMAT

_MOST = 1e9  # switches, or seconds: 30 years


class Answer(NamedTuple):
    """A choice: the pair's id, the picture chosen and the one shown first ("a" or "b"), switches, seconds."""

    pair: str
    chosen: str
    first: str
    switches: int
    seconds: float


class Result(NamedTuple):
    """One file; `started` tells sessions apart, `exported` the exports of one session."""

    path: pathlib.Path
    study: str
    participant: str
    started: str
    exported: str
    simulated: bool
    answers: list[Answer]


class LeftOut(NamedTuple):
    """A file that is not counted; `fault` is False where another file holds the same session, or it is a key."""

    path: pathlib.Path
    reason: str
    fault: bool


def read_key(path: pathlib.Path) -> dict[str, Any]:
    """The content of a key file; UserError when it is none."""
    key = _read_json(path)
    pairs = key.get("pairs")
    if key.get("format") != KEY_FORMAT or not isinstance(pairs, dict) or not pairs:
        raise UserError(f"{path} is not the key of a user study; `build` writes it beside the page")
    for entry in pairs.values():
        if (
            not isinstance(entry, dict)
            or entry.get("ours") not in ("a", "b")
            or not isinstance(entry.get("method"), str)
        ):
            raise UserError(f"{path} is damaged: a pair lacks its method or which picture is ours")
    if not isinstance(key.get("study"), str) or not isinstance(key.get("kind"), str):
        raise UserError(f"{path} is damaged: it does not say which study it is of")
    return key


def read_result(path: pathlib.Path) -> Result:
    """A result file as far as it can be checked without its key.

    Raises:
      UserError: not a result, or one that no page writes.
    """
    content = _read_json(path)
    if content.get("format") != RESULT_FORMAT:
        raise UserError("not a result of a user study's page")
    texts = [content.get(name) for name in ("study", "participant", "started", "exported")]
    answers = content.get("answers")
    if not all(isinstance(text, str) and text.strip() and text.isprintable() for text in texts):
        raise UserError("damaged: study, participant or times are missing")
    if not isinstance(answers, list):
        raise UserError("damaged: it has no list of answers")
    found = [_answer(entry) for entry in answers]
    if len({answer.pair for answer in found}) != len(found):
        raise UserError("damaged: a pair is answered twice")
    study, participant, started, exported = texts
    name = " ".join(participant.split()).lower()
    return Result(path, study, name, started, exported, content.get("simulated") is True, found)


def _read_json(path: pathlib.Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check its name") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not readable JSON ({error})") from error
    return content if isinstance(content, dict) else {}


def _answer(entry: Any) -> Answer:
    values = entry if isinstance(entry, dict) else {}
    answer = Answer(*(values.get(name) for name in Answer._fields))
    numbers = (answer.switches, answer.seconds)
    plain = all(
        isinstance(n, (int, float)) and not isinstance(n, bool) and 0 <= n < _MOST for n in numbers
    )
    sides = answer.chosen in ("a", "b") and answer.first in ("a", "b")
    if not plain or not sides or not isinstance(answer.pair, str):
        raise UserError(f"damaged: {json.dumps(entry)[:80]} is no answer")
    return answer


def result_files(given: Sequence[str]) -> list[pathlib.Path]:
    """The files of --results, each once: files as they are, of folders every .json in them."""
    found: dict[pathlib.Path, pathlib.Path] = {}
    for path in map(pathlib.Path, given):
        inside = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"--results={path} holds no .json file")
        if not path.exists():
            raise UserError(f"--results={path} does not exist; check its name")
        for file in inside:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def gather(
    paths: Iterable[pathlib.Path], keys: Mapping[str, dict], incomplete: bool = False
) -> tuple[list[Result], list[LeftOut]]:
    """The results to count, and all files that are not, each with its reason.

    Args:
      paths: result files.
      keys: {study: its key}.
      incomplete: count what participants answered who did not get to the end.
    """
    sessions: dict[tuple[str, str], list[Result]] = {}
    left_out = []
    for path in paths:
        try:
            result = _fitting(path, keys)
        except UserError as error:
            left_out.append(LeftOut(path, str(error), fault=not _is_key(path)))
            continue
        sessions.setdefault((result.study, result.participant), []).append(result)
    chosen = []
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
    return _without_simulated(chosen, left_out)


def _fitting(path: pathlib.Path, keys: Mapping[str, dict]) -> Result:
    if _is_key(path):
        raise UserError("a key, not a result")
    result = read_result(path)
    if result.study not in keys:
        raise UserError(f"of another study ({result.study[:20]}), whose key is not given")
    strange = [a.pair for a in result.answers if a.pair not in keys[result.study]["pairs"]]
    if strange:
        raise UserError(f"damaged: the study has no pair {strange[0][:20]!a}")
    return result


def _is_key(path: pathlib.Path) -> bool:
    try:
        return _read_json(path).get("format") == KEY_FORMAT
    except UserError:
        return False


def _one_session(results: list[Result]) -> tuple[Result | None, list[LeftOut]]:
    """The latest export of the one session that `results` of one participant are of; None if there are more."""
    name = results[0].participant
    if len({result.started for result in results}) > 1:
        names = ", ".join(result.path.name for result in results)
        reason = f"participant '{name}' has answered more than once ({names}); remove what does not count"
        return None, [LeftOut(result.path, reason, fault=True) for result in results]
    latest = max(results, key=lambda result: (result.exported, len(result.answers)))
    reason = f"an earlier or equal export of participant '{name}'; {latest.path.name} is counted"
    return latest, [LeftOut(r.path, reason, fault=False) for r in results if r is not latest]


def _without_simulated(chosen: list[Result], left_out: list[LeftOut]):
    """Simulated participants are counted where there are no others; tables then say so."""
    real = {result.study for result in chosen if not result.simulated}
    mixed = [result for result in chosen if result.simulated and result.study in real]
    reason = "simulated, among real participants"
    left_out = left_out + [LeftOut(result.path, reason, fault=True) for result in mixed]
    return [result for result in chosen if result not in mixed], left_out
