"""The user study's page and its tally, without a browser (that is test_user_study_browser.py)."""

from __future__ import annotations

import base64
import collections
import json
import os
import pathlib
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest

from common.errors import UsageError, UserError
from studies.user_study import page, tally
from studies.user_study import results as user_study_results
from studies.user_study.tally import Count
from studies.zoom import table_8
from zoom_to_inpaint import reported

ROOT = pathlib.Path(__file__).resolve().parents[3]
NAMES = ("boat", "cat", "dog", "elk")


def paint(folder, picture):
    rng = np.random.default_rng((folder, picture))
    return rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def where(make_folders, tmp_path_factory):
    """ours/, ns/, HiFill/, images/ and masks/ with four pictures of 24x20."""
    return make_folders(tmp_path_factory.mktemp("results"), NAMES, ["ns", "HiFill"], paint)


@pytest.fixture(scope="module")
def folders(where):
    """The folder that those of `where` lie in."""
    return pathlib.Path(where.ours[0]).parent


def build(where, target, seed=0, count=None, kind="small", **options):
    return page.build(target, where, count, seed, kind, "Which is <better>?", **options)


@pytest.fixture(scope="module")
def key(where, tmp_path_factory):
    return build(where, tmp_path_factory.mktemp("page") / "small.html")


def elements(page):
    """{id: content} of the page's JSON."""
    found = re.findall(r'<script type="application/json" id="(\w+)">(.*?)</script>', page)
    return {name: json.loads(text) for name, text in found}


def pixels(uri):
    data = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


# The page.


def test_the_page_shows_the_pictures_of_the_key_pixel_for_pixel(where, folders, tmp_path):
    key = build(where, tmp_path / "small.html", show_truth=True)
    found = elements((tmp_path / "small.html").read_text(encoding="utf-8"))
    about = found.pop("study")
    assert about["study"] == key["study"] and about["pairs"] == list(found) == list(key["pairs"])
    for pair, shown in found.items():
        entry = key["pairs"][pair]
        other = "ab"[entry["ours"] == "a"]
        folder_of = {entry["ours"]: "ours", other: entry["method"], "truth": "images"}
        for side, folder in folder_of.items():
            wanted = cv2.imread(str(folders / folder / f"{entry['picture']}.png"))
            assert np.array_equal(pixels(shown[side]), wanted)
        masked, truth = pixels(shown["masked"]), pixels(shown["truth"])
        assert (masked[5:9, 7:12] == 255).all()
        masked[5:9, 7:12] = truth[5:9, 7:12]
        assert np.array_equal(masked, truth)


def test_a_question_may_hold_the_templates_own_marks_and_the_script_is_as_written(
    folders, tmp_path
):
    question = "{{ pairs }} or {% raw %} <b>?"
    others = {"ns": [str(folders / "ns")]}
    where = page.Folders([str(folders / "ours")], others, [], [])
    target = tmp_path / "p.html"
    key = page.build(target, where, None, 0, "small", question)
    text = target.read_text(encoding="utf-8")
    assert text.count("{{ pairs }} or {% raw %} &lt;b&gt;?") == 3  # title and two headings
    assert all(f'id="{pair}"' in text for pair in key["pairs"])
    assert (ROOT / "studies" / "user_study" / "page.js").read_text(encoding="utf-8") in text


def test_without_jinja2_the_page_says_what_to_install(where, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UserError, match=r"need Jinja2: pip install '\.\[studies\]'$"):
        build(where, tmp_path / "p.html")
    assert not list(tmp_path.iterdir())


def test_the_page_names_no_method_and_no_picture_and_loads_nothing(where, tmp_path):
    build(where, tmp_path / "small.html", kind="secret kind")
    page = (tmp_path / "small.html").read_text(encoding="utf-8")
    text = re.sub(r"data:image/webp;base64,[\w+/=]+", "", page)
    for word in ("HiFill", "ns/", '"ns"', "ours", "secret kind", *NAMES):
        assert not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text), word
    assert '"truth":' not in text and "://" not in text and " src=" not in text
    assert "default-src 'none'" in text
    assert "Which is &lt;better&gt;?" in text and "<better>" not in text


def test_the_same_call_writes_the_same_page_and_another_seed_another_study(where, tmp_path):
    keys = [build(where, tmp_path / f"{i}" / "p.html", seed) for i, seed in enumerate((0, 0, 1))]
    first, again, other = ((tmp_path / f"{i}" / "p.html").read_bytes() for i in range(3))
    assert first == again and keys[0] == keys[1]
    assert first != other and keys[0]["study"] != keys[2]["study"]


def test_a_key_is_not_replaced_by_that_of_another_study(where, tmp_path):
    build(where, tmp_path / "p.html")
    build(where, tmp_path / "p.html")  # the same
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=r"p\.key\.json is the key of another study"):
        build(where, tmp_path / "p.html", seed=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("pictures", range(1, 9))
@pytest.mark.parametrize("methods", range(1, 6))
def test_pairs_use_every_picture_and_method_alike_and_none_twice(pictures, methods):
    names, others = [f"p{i}" for i in range(pictures)], [f"m{i}" for i in range(methods)]
    most = pictures * methods
    for count in range(1, most + 1):
        pairs = page.choose_pairs(names, others, count, 3)
        assert len({(p.picture, p.method) for p in pairs}) == len({p.id for p in pairs}) == count
        for used, of in (("picture", names), ("method", others)):
            times = collections.Counter(getattr(pair, used) for pair in pairs)
            assert max(times.values()) - min(times[name] for name in of) <= 1
    with pytest.raises(UsageError, match=f"{most + 1}.*{most}"):
        page.choose_pairs(names, others, most + 1, 3)


def test_the_papers_study_by_default():
    names = [f"{i:04}" for i in range(sum(reported.IMAGES.values()))]
    pairs = page.choose_pairs(names, list(reported.TABLE_8["small"]), None, 0)
    assert sorted(pair.picture for pair in pairs) == names  # 300 pairs, each of another picture
    assert len(pairs) == reported.PAIRS == page.PAIRS
    assert set(collections.Counter(pair.method for pair in pairs).values()) == {75}
    assert 100 < sum(pair.ours == "a" for pair in pairs) < 200
    assert [pair.picture for pair in pairs] != names


def test_equal_pictures_are_said(folders, tmp_path):
    same = [str(folders / "ours")]
    where = page.Folders(same, {"ns": [str(folders / "ns")], "copy": same}, [], [])
    key = page.build(tmp_path / "p.html", where, None, 0, "small", "?")
    assert sorted(key["equal"]) == list(NAMES)
    where = page.Folders(same, {"copy": same}, [], [])
    with pytest.raises(UserError, match="nothing to compare"):
        page.build(tmp_path / "q.html", where, None, 0, "small", "?")
    assert not list(tmp_path.glob("q*"))


# Results.


def simulated(key, participant="p1", preference=1.0, seed=0, **fields):
    rng = np.random.default_rng(seed)
    result = table_8.simulated_result(key, participant, preference, rng)
    return {**result, "simulated": False, **fields}


def write(folder, **results):
    """One JSON file for each; text is written as it is."""
    folder.mkdir(exist_ok=True)
    for name, result in results.items():
        text = result if isinstance(result, str) else json.dumps(result)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    return user_study_results.result_files([str(folder)])


def reasons(left_out):
    return {x.path.stem: (x.reason, x.fault) for x in left_out}


def test_every_file_is_counted_once_or_said_to_be_left_out(key, tmp_path):
    good, answers = simulated(key), simulated(key)["answers"]
    twice = {**simulated(key, "p2"), "answers": [*answers, answers[0]]}
    bad_side = {**simulated(key, "p3"), "answers": [{**answers[0], "chosen": "c"}, *answers[1:]]}
    unknown = {**simulated(key, "p4"), "answers": [{**answers[0], "pair": "fff"}, *answers[1:]]}
    paths = write(
        tmp_path / "in",
        good=good,
        cut="{",
        list="[]",
        foreign=simulated(key, study="0123"),
        other={"answers": []},
        twice=twice,
        bad_side=bad_side,
        unknown=unknown,
        nobody=simulated(key, participant=" "),
        no_text=simulated(key, participant="p\ud800"),
        endless=simulated(key, "p6", answers=[{**answers[0], "seconds": float("inf")}]),
        huge=simulated(key, "p7", answers=[{**answers[0], "seconds": 10**400}]),
        half=simulated(key, "p5", answers=answers[:3]),
        key=key,
    )
    results, left_out = user_study_results.gather(paths, {key["study"]: key})
    assert [result.path.stem for result in results] == ["good"]
    found = reasons(left_out)
    assert len(found) == len(left_out) == len(paths) - 1
    words = {
        "cut": "not readable JSON",
        "list": "it is not an object",
        "foreign": "another study",
        "other": "not an object with 'format'",
        "twice": "answered twice",
        "bad_side": "'answers[0].chosen' is not a or b",
        "unknown": "no pair 'fff'",
        "huge": "'answers[0].seconds' is not a number",
        "nobody": "'participant' is not a line of text",
        "no_text": "'participant' is not a line of text",
        "endless": "'answers[0].seconds' is not a number",
        "half": "incomplete: 3 of 8",
        "key": "a key",
    }
    for name, text in words.items():
        assert text in found[name][0], name
        assert found[name][1] == (name != "key")


def test_incomplete_ones_are_counted_on_demand(key, tmp_path):
    answers = simulated(key)["answers"]
    empty = simulated(key, "p2", answers=[])
    paths = write(tmp_path / "in", half=simulated(key, answers=answers[:3]), empty=empty)
    results, left_out = user_study_results.gather(paths, {key["study"]: key}, incomplete=True)
    assert [result.path.stem for result in results] == ["half"]
    assert reasons(left_out) == {"empty": ("incomplete: 0 of 8 pairs", True)}
    (kind,) = tally.tally(results, {key["study"]: key})
    assert kind.total == Count(0, 3) and kind.unfinished == 1


def test_the_latest_export_of_a_session_counts(key, tmp_path):
    answers = simulated(key)["answers"]
    session = {"started": "2024-05-01T10:00:00.000Z"}
    paths = write(
        tmp_path / "in",
        early=simulated(
            key, exported="2024-05-01T10:05:00.000Z", answers=answers[:5], complete=False, **session
        ),
        last=simulated(key, exported="2024-05-01T10:09:00.000Z", **session),
        copy=simulated(key, exported="2024-05-01T10:09:00.000Z", **session),
    )
    results, left_out = user_study_results.gather(paths, {key["study"]: key})
    assert len(results) == 1 and results[0].path.stem in ("last", "copy")
    assert len(left_out) == 2 and not any(x.fault for x in left_out)
    assert all("export of participant 'p1'" in x.reason for x in left_out)


def test_two_sessions_of_one_participant_are_not_counted(key, tmp_path):
    paths = write(
        tmp_path / "in",
        a=simulated(key, "P 1", started="2024-05-01T10:00:00.000Z"),
        b=simulated(key, "p  1 ", started="2024-05-02T10:00:00.000Z"),
        c=simulated(key, "p2"),
    )
    results, left_out = user_study_results.gather(paths, {key["study"]: key})
    assert [result.path.stem for result in results] == ["c"]
    assert all("'p 1' has answered more than once (a.json, b.json)" in x.reason for x in left_out)
    assert [x.fault for x in left_out] == [True, True]


def test_simulated_participants_are_named_and_never_counted_among_real_ones(key, tmp_path):
    paths = write(tmp_path / "in", no_one=simulated(key, "robot", simulated=True))
    results, _ = user_study_results.gather(paths, {key["study"]: key})
    kinds = tally.tally(results, {key["study"]: key})
    found = tally.table(kinds)
    assert "SIMULATED" in found.title and "1 SIMULATED participant," in found.note
    assert found.rows[0][0] == "SIMULATED small masks, counts"
    assert tally.values(kinds, [])["simulated"] is True
    paths = write(tmp_path / "in", person=simulated(key, "p1"))
    results, left_out = user_study_results.gather(paths, {key["study"]: key})
    assert [result.path.stem for result in results] == ["person"]
    assert reasons(left_out) == {"no_one": ("simulated, among real participants", True)}


# The tally.


def test_counts_are_those_of_a_slow_loop(where, tmp_path):
    keys = {}
    for seed, kind in enumerate(("small", "large", "large")):
        made = build(where, tmp_path / f"{seed}.html", seed, kind=kind)
        keys[made["study"]] = made
    written = {
        f"r{number}_{person}": simulated(key, f"p{person}", 0.6, (number, person))
        for number, key in enumerate(keys.values())
        for person in range(3)
    }
    results, left_out = user_study_results.gather(write(tmp_path / "in", **written), keys)
    assert len(results) == 9 and not left_out
    small, large = tally.tally(results, keys)
    assert (len(small.studies), len(large.studies)) == (1, 2)
    assert len(small.by_participant) == len(large.by_participant) == 3
    for kind in (small, large):
        for method in ("ns", "HiFill"):
            ours = other = 0
            for result in written.values():
                entry_of = keys[result["study"]]["pairs"]
                if keys[result["study"]]["kind"] != kind.masks:
                    continue
                for answer in result["answers"]:
                    if entry_of[answer["pair"]]["method"] == method:
                        ours += answer["chosen"] == entry_of[answer["pair"]]["ours"]
                        other += answer["chosen"] != entry_of[answer["pair"]]["ours"]
            assert kind.methods[method] == Count(other, ours)
    assert large.total.total == 2 * small.total.total == 48
    assert sum(c.total for c in large.by_participant.values()) == 48 == large.first_shown.total


def test_wilsons_interval():
    """Against its formula, at one of the paper's counts and at both ends."""
    for count in (Count(239, 736), Count(5, 0), Count(0, 5), Count(1, 1)):
        n, p, z = count.total, count.ours / count.total, 1.959963984540054
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        assert (count.low, count.high) == pytest.approx(
            (100 * (middle - half), 100 * (middle + half))
        )
    assert Count(0, 0).low is None and Count(0, 0).per_cent_ours is None


def test_the_table_is_laid_out_like_table_8_beside_the_papers_rows(key, tmp_path):
    results, _ = user_study_results.gather(
        write(tmp_path / "in", p1=simulated(key)), {key["study"]: key}
    )
    kinds = tally.tally(results, {key["study"]: key})
    found = tally.table(kinds)
    assert found.columns == [
        "",
        "HiFill [48] vs. Ours",
        "Pluralistic [53] vs. Ours",
        "DeepFill-v2 [50] vs. Ours",
        "EdgeConnect [31] vs. Ours",
        "ns vs. Ours",
        "Total",
    ]
    rows = {row[0]: row[1:] for row in found.rows}
    assert rows["small masks, counts"] == ["0 vs. 4", "-", "-", "-", "0 vs. 4", "8"]
    assert rows["small masks, prefer ours"] == ["100.00%", "-", "-", "-", "100.00%", "100.00%"]
    paper = rows["paper: small masks, counts"]
    assert paper == ["239 vs. 736", "106 vs. 869", "300 vs. 675", "349 vs. 626", "-", "3900"]
    printed = rows["paper: small masks, prefer ours"]
    assert printed == ["75.49%", "89.13%", "69.23%", "64.21%", "-", "74.51%"]
    assert len(rows) == 6  # nothing of large masks
    alone = tally.table(kinds, with_papers=False)
    assert [row[0][:5] for row in alone.rows] == ["small"] * 3 and len(alone.columns) == 4


def test_methods_whose_names_look_alike_keep_a_column_each():
    methods = {
        "hi-fill": Count(1, 2),
        "HiFill": Count(3, 4),
        "方法": Count(5, 6),
        "另": Count(7, 8),
    }
    kind = tally.Kind("small", ["s"], 0, 0, False, methods, Count(16, 20), {}, Count(0, 1), 1.0)
    names = tally._names([kind], tally.paper_counts())
    assert names == {"hi-fill": "HiFill [48]", "HiFill": "HiFill", "方法": "方法", "另": "另"}


# The commands.


def command(*arguments, cwd):
    module = ("-m", "studies.user_study")
    return subprocess.run(
        [sys.executable, *module, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


OTHERS = "--others=ns=ns,HiFill=HiFill"


def test_build_and_tally_from_the_command_line(folders):
    made = command(
        *("build", "--ours=ours", OTHERS, "--pairs=6", "--output=pages/large.html"), cwd=folders
    )
    assert made.returncode == 0, made.stderr
    assert "6 pairs of 4 pictures (HiFill 3, ns 3)" in made.stdout
    key = json.loads((folders / "pages" / "large.key.json").read_text(encoding="utf-8"))
    write(folders / "answers", p1=simulated(key), half=simulated(key, "p2", answers=[]))
    counted = command(
        "tally", "--results=answers", "--key=pages/large.key.json", "--output=out", cwd=folders
    )
    assert counted.returncode == 1  # as a file was left out
    assert "- left out: answers/half.json: incomplete: 0 of 6 pairs" in counted.stdout
    table = (folders / "out" / "table.md").read_text(encoding="utf-8")
    assert table in counted.stdout and "paper: large masks, counts" in table
    values = json.loads((folders / "out" / "tally.json").read_text(encoding="utf-8"))
    (kind,) = values["kinds"]
    assert kind["methods"]["ns"]["ours"] == 3 and kind["total"]["per_cent_ours"] == 100
    assert values["left_out"][0]["file"] == "answers/half.json"
    (folders / "answers" / "half.json").unlink()
    counted = command("tally", "--results=answers", "--key=pages/large.key.json", cwd=folders)
    assert counted.returncode == 0, counted.stderr


PAGE = ("--ours=ours", OTHERS, "--output=new.html")
MISTAKES = {
    "no command": ((), 2, ["build or tally"]),
    "another command": (("count",), 2, ["'count'", "build or tally"]),
    "no results": (("tally", "--key=k.json"), 2, ["--results"]),
    "no page": (("build", "--ours=ours", OTHERS), 2, ["--output"]),
    "not a page": (("build", *PAGE[:2], "--output=new"), 2, ["--output=new", ".html"]),
    "flag of the other": (("build", *PAGE, "--incomplete"), 2, ["'incomplete'"]),
    "half a character": (("build", *PAGE, "--question=\ud800"), 2, ["--question", "printable"]),
    "no name": (("build", *PAGE, "--others=ns"), 2, ["--others=ns", "NAME=FOLDER"]),
    "too many pairs": (("build", *PAGE, "--pairs=9"), 2, ["--pairs=9", "8"]),
    "masks alone": (("build", *PAGE, "--masks=masks"), 2, ["--masks", "--images"]),
    "no folder": (("build", *PAGE, "--ours=gone"), 1, ["--ours", "gone"]),
    "a picture is missing": (("build", *PAGE, "--others=x=few"), 1, ["few", "elk"]),
    "another size": (("build", *PAGE, "--others=x=wide"), 1, ["wide", "25x20", "24x20"]),
    "damaged picture": (("build", *PAGE, "--others=x=bad"), 1, ["bad/"]),
    "a name twice": (("build", *PAGE, "--ours=ours,ours"), 1, ["same name"]),
    "a result as key": (("tally", "--key=r.json", "--results=r.json"), 1, ["r.json", "key"]),
    "no such result": (("tally", "--key=k.json", "--results=gone"), 1, ["gone"]),
    "nothing to count": (("tally", "--key=k.json", "--results=r.json"), 1, ["another study"]),
    "one key twice": (("tally", "--key=k.json,k.json", "--results=r.json"), 2, ["same study"]),
}


@pytest.fixture(scope="module")
def mistakes(folders, key):
    """The folders and some that cannot work."""
    picture = np.zeros((20, 25, 3), np.uint8)
    for folder, names in {"few": NAMES[:3], "wide": NAMES, "bad": NAMES}.items():
        (folders / folder).mkdir()
        for name in names:
            cv2.imwrite(str(folders / folder / f"{name}.png"), picture)
            if folder == "bad":
                (folders / folder / f"{name}.png").write_bytes(b"no picture")
    (folders / "k.json").write_text(json.dumps(key))
    (folders / "r.json").write_text(json.dumps(simulated(key, study="0123")))
    return folders


# In one process for all: each takes a second to start.
RUN = """
import contextlib, io, json, sys
from absl import flags
sys.path.insert(0, {root!r})
from common import command_line
from studies.user_study import command as user_study
found = {{}}
for name, arguments in json.loads({cases!r}).items():
    flags.FLAGS.unparse_flags()
    for flag in flags.FLAGS.get_flags_for_module(user_study):
        delattr(flags.FLAGS, flag.name)
    sys.argv = ["studies/user_study/", *arguments]
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        try:
            command_line.run(user_study)
        except SystemExit as end:
            found[name] = [end.code, said.getvalue()]
assert "tensorflow" not in sys.modules
print(json.dumps(found))
"""


def test_mistakes_are_said_in_one_line_and_nothing_is_written(mistakes):
    before = sorted(path.name for path in mistakes.iterdir())
    cases = json.dumps({name: case[0] for name, case in MISTAKES.items()})
    script = RUN.format(root=str(ROOT), cases=cases)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=mistakes, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for name, (_, code, words) in MISTAKES.items():
        returned, said = found[name]
        assert returned == code, (name, said)
        lines = said.strip().splitlines()
        assert lines[-1].startswith("error: ") and "Traceback" not in said, name
        assert len(lines) == (2 if name == "nothing to count" else 1), (name, said)
        assert all(word in said for word in words), (name, said)
    assert sorted(path.name for path in mistakes.iterdir()) == before
