"""The user study of Zoom-to-Inpaint (section 4.3, appendix D, Tables 2 and 8): which of two pictures looks better?

    python -m studies.user_study build --ours=FOLDER --others=hifill=FOLDER,telea=FOLDER --output=small.html
    python -m studies.user_study tally --key=small.key.json,large.key.json --results=answers/ --output=tally

`build` makes one HTML page from folders of results (NAME.png is the same picture in each) and, beside the page, the
key, which names the method of each picture. Participants open the page in a browser, compare pair after pair and hand
in the file that the page downloads. `tally` counts these files in the layout of Table 8, with the paper's numbers.
docs/user_study.md describes a whole study.

Exit code: 0 done; 1 failed, or `tally` left out a file that should count; 2 wrong flags.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys

from absl import flags

from common import environment, json_files, storage
from common.errors import UsageError, UserError
from studies.publish import report
from studies.user_study import page
from studies.user_study import results as user_study_results
from studies.user_study import tally as user_study_tally

FLAGS = flags.FLAGS
_command: list[str] = []


def _build_flags() -> None:
    flags.DEFINE_list("ours", [], "folders of our method's results")
    flags.DEFINE_list("others", [], "NAME=FOLDER of other methods' results")
    flags.DEFINE_list("images", [], "folders of the photographs; only their names are compared")
    flags.DEFINE_list("masks", [], "folders of the masks (white = hole), to show the holes")
    flags.DEFINE_bool("show_truth", False, "participants can view the photograph too")
    flags.DEFINE_integer("pairs", None, "pairs per participant; default: 300, or all if fewer", 1)
    flags.DEFINE_integer("seed", 0, "seed of the choice of pairs", lower_bound=0)
    flags.DEFINE_string("kind", None, "kind of masks, named in tables; default: the page's name")
    flags.DEFINE_string("question", page.QUESTION, "question to the participants")
    flags.DEFINE_string("output", None, "page to write")


def _tally_flags() -> None:
    flags.DEFINE_list("results", [], "participants' files, or folders of them")
    flags.DEFINE_list("key", [], "keys of the participants' pages")
    flags.DEFINE_bool("incomplete", False, "count participants who did not finish")
    flags.DEFINE_bool("reported", True, "print the paper's own rows")
    flags.DEFINE_string("output", None, "folder for table.md and tally.json")


def prepare() -> None:
    """Checks the environment, takes the command from the command line and defines its flags."""
    environment.check()
    words = sys.argv[1:]
    if words and words[0] in COMMANDS:
        _command[:] = [sys.argv.pop(1)]
        COMMANDS[_command[0]][1]()
    elif any(word.lstrip("-").startswith("help") for word in words):
        for _, define_flags in COMMANDS.values():
            define_flags()
    else:
        typed = f"'{words[0]}' is no command; " if words and words[0][0] != "-" else ""
        raise UsageError(f"{typed}type build or tally as the first word; see --help")


def _need(*names: str) -> None:
    for name in names:
        if not FLAGS[name].value:
            raise UsageError(f"--{name} is missing; see --help")


def others() -> dict[str, list[str]]:
    """Reads --others: {method: folders}.

    Raises:
      UsageError: an entry that is not NAME=FOLDER.
    """
    found: dict[str, list[str]] = {}
    for entry in FLAGS.others:
        name, separator, folder = (part.strip() for part in entry.partition("="))
        if not (name and separator and folder):
            raise UsageError(f"--others={entry} is not NAME=FOLDER")
        found.setdefault(name, []).append(folder)
    return found


def build() -> int:
    _need("ours", "others", "output")
    target = pathlib.Path(FLAGS.output)
    if target.suffix not in (".html", ".htm"):
        raise UsageError(f"--output={target} is the page to write; end its name in .html")
    if FLAGS.masks and not FLAGS.images:
        raise UsageError("--masks needs --images: holes are shown in the photographs")
    if FLAGS.show_truth and not FLAGS.images:
        raise UsageError("--show_truth needs --images")
    for name in ("question", "kind"):
        if not (FLAGS[name].value or "x").isprintable():
            raise UsageError(f"--{name} must be one line of printable text")
    folders = page.Folders(FLAGS.ours, others(), FLAGS.images, FLAGS.masks)
    key = page.build(
        *(target, folders, FLAGS.pairs, FLAGS.seed, FLAGS.kind or target.stem, FLAGS.question),
        show_truth=FLAGS.show_truth,
    )
    shown = len({entry["picture"] for entry in key["pairs"].values()})
    methods = ", ".join(f"{name} {count}" for name, count in key["methods"].items())
    size = target.stat().st_size / 1e6
    print(f"{target}: {len(key['pairs'])} pairs of {shown} pictures ({methods}), {size:.1f} MB")
    if key["equal"]:
        names = ", ".join(key["equal"][:3]) + ", …" * (len(key["equal"]) > 3)
        print(f"{len(key['equal'])} pairs show two equal pictures: {names}")
    print(f"{page.key_path(target)}: names the method of each picture; keep it secret")
    return 0


def tally() -> int:
    _need("results", "key")
    keys = {}
    for path in map(pathlib.Path, FLAGS.key):
        key = user_study_results.read_key(path)
        if key["study"] in keys:
            raise UsageError(f"--key={path} belongs to the same study as another key")
        keys[key["study"]] = key
    paths = user_study_results.result_files(FLAGS.results)
    results, left_out = user_study_results.gather(paths, keys, FLAGS.incomplete)
    remarks = [f"{'left out' if x.fault else 'not needed'}: {x.path}: {x.reason}" for x in left_out]
    if not results:
        for remark in remarks:
            print(remark, file=sys.stderr)
        raise UserError("none of the --results can be counted")
    kinds = user_study_tally.tally(results, keys)
    found = user_study_tally.table(kinds, FLAGS.reported)
    lines = report.markdown_table(dataclasses.asdict(found), "**{}**")
    text = "\n".join([*lines, *(f"- {remark}" for remark in remarks)]).rstrip()
    print(text)
    if FLAGS.output:
        values = user_study_tally.values(kinds, left_out)
        folder = pathlib.Path(FLAGS.output)
        storage.write_text(folder / "table.md", text + "\n")
        json_files.write(folder / "tally.json", values)
        print(f"{folder}: table.md, tally.json")
    return 1 if any(x.fault for x in left_out) else 0


COMMANDS = {"build": (build, _build_flags), "tally": (tally, _tally_flags)}


def main(_) -> int:
    return COMMANDS[_command[0]][0]()
