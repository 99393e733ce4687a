"""Runs studies: every table and figure of both papers as a command.

    python studies/run.py --list
    python studies/run.py --study=all --size=small --output=runs/studies
    python studies/run.py --study=zoom_table_3 --size=paper --div2k_dir=DIV2K --weights=no_zoom=FILE,sr_zoom=FILE,...

--size=small trains tiny networks on scikit-image's photographs and needs no data; --size=paper uses the paper's data
sets and given weights. Results, pictures and one report (Markdown and self-contained HTML) go to --output. A study
that fails does not stop the others; the exit code is then 1.
"""

from __future__ import annotations

import os
import pathlib
import sys
import time
import traceback

if __package__ in (None, ""):  # started as a file: keeps modules of this folder from hiding others
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

from absl import flags

from common import command_line, options, storage
from common.errors import UsageError, UserError
from studies import registry
from studies.kit import bench, networks, study
from studies.publish import report

FLAGS = flags.FLAGS
flags.DEFINE_bool("list", False, "print every study: id, paper, what, needs, state")
flags.DEFINE_list("study", [], "study ids (--list), or all")
flags.DEFINE_string("output", "runs/studies", "output folder")
flags.DEFINE_bool("report", False, "write the report of all results in --output")
flags.DEFINE_list(
    "weights", [], f"ARM=FILE, the weights of a network; ARM: {', '.join(networks.ARMS)}"
)
options.define_flags("every study", bench.Bench)


def weights() -> dict[str, str]:
    """Reads --weights: {arm: file}.

    Raises:
      UsageError: an entry that is not ARM=FILE, or an arm that no study has.
    """
    found = {}
    for entry in FLAGS.weights:
        arm, separator, file = entry.partition("=")
        if not separator or arm not in networks.ARMS or not file or arm in found:
            raise UsageError(
                f"--weights={entry} is not ARM=FILE with ARM, named once, of {', '.join(networks.ARMS)}"
            )
        found[arm] = file
    return found


def bench_of(name: str) -> bench.Bench:
    """The flags for the study `name`."""
    start = bench.Bench(name, output=pathlib.Path(FLAGS.output), weights=weights())
    return options.changed(start, FLAGS.flag_values_dict())


def _state(found: study.Study) -> str:
    path = pathlib.Path(FLAGS.output) / found.id / study.RESULT
    if not path.is_file():
        return "not run"
    try:
        result = study.load(path)
    except UserError as error:
        return f"damaged: {error}"
    return f"done {result['date'][:10]} ({result['size']})"


def print_list(studies: list[study.Study]) -> None:
    """One block per study."""
    for found in studies:
        print(f"{found.id:18} {found.paper}, {found.item}: {found.what}")
        print(f"{'':18} needs: {found.needs}; small: {found.minutes:g} min")
        print(f"{'':18} state: {_state(found)}")


def run(found: study.Study) -> None:
    """Runs one study and saves its result."""
    print(f"\n== {found.id}: {found.paper}, {found.item}", flush=True)
    chosen, started = bench_of(found.id), time.perf_counter()
    path = study.save(found, found.run(chosen), chosen, time.perf_counter() - started)
    for table in study.load(path)["tables"]:
        print("", *report.markdown_table(table, "{}"), sep="\n")


def run_all(studies: list[study.Study]) -> dict[str, UserError | Exception]:
    """Runs studies one after the other; returns {id: error} of those that failed."""
    failures = {}
    for found in studies:
        try:
            run(found)
        except UserError as error:
            print(f"error: {found.id}: {error}", file=sys.stderr, flush=True)
            failures[found.id] = error
        except Exception as error:  # a bug in one study must not stop the others
            traceback.print_exc()
            failures[found.id] = error
    return failures


def main(_) -> int:
    if FLAGS.list:
        print_list(registry.chosen(FLAGS.study or [registry.ALL]))
        return 0
    if not FLAGS.study and not FLAGS.report:
        raise UsageError(
            f"name --study=all or some of {', '.join(registry.NAMES)}; --list shows them"
        )
    studies = registry.chosen(FLAGS.study)
    _check_flags()
    if studies:
        _check_use(studies)
    report.check()
    failures = run_all(studies)
    if FLAGS.report or len(failures) < len(studies):
        written = {name: str(error) or type(error).__name__ for name, error in failures.items()}
        print("\nReport:", *report.write(pathlib.Path(FLAGS.output).absolute(), written))
    if len(studies) == 1:
        return next((getattr(e, "exit_code", 1) for e in failures.values()), 0)
    return 1 if failures else 0


def _check_flags() -> None:
    """UsageError or UserError for flags that are wrong for every study."""
    place = storage.existing_part(pathlib.Path(FLAGS.output).absolute())
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise UserError(
            f"--output={FLAGS.output} cannot be written: {place} is not a folder, or not writable"
        )
    if FLAGS.data_dir and not FLAGS.dataset:
        raise UsageError(f"--data_dir={FLAGS.data_dir} needs --dataset, the kind of data set")
    looked_at = FLAGS.dataset or ("sample" if FLAGS.size == "small" else None)
    for name in ("places2", "div2k"):
        folder = FLAGS[f"{name}_dir"].value
        if folder and looked_at not in (None, name):
            raise UsageError(
                f"--{name}_dir={folder} would be ignored: --size={FLAGS.size} uses '{looked_at}'; "
                f"add --dataset={name} or remove the flag"
            )
    if FLAGS.steps and FLAGS.size != "small":
        raise UsageError("--steps needs --size=small, the only size that trains networks")


def _check_use(studies: list[study.Study]) -> None:
    """UsageError for a flag that no chosen study reads."""
    read = " ".join(found.flags for found in studies)
    ignored = f"would be ignored by {', '.join(found.id for found in studies)}; remove the flag"
    for arm, file in weights().items():
        if not any(arm in found.arms for found in studies):
            raise UsageError(f"--weights={arm}={file} {ignored}")
    for name in ("predictions", "inception_graph", "inception_weights"):
        if FLAGS[name].value and f"--{name.partition('_')[0]}" not in read:
            raise UsageError(f"--{name} {ignored}")


if __name__ == "__main__":
    command_line.run()
