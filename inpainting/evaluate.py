"""Scores inpainting on a fixed set of images and masks: tables like the papers', a report, JSON, CSV and pictures.

    python evaluate.py --dataset=div2k --masks=small --div2k_dir=DIV2K
    python evaluate.py --model=hifill,telea --weights=W --dataset=sample --masks=irregular --output=results
    python evaluate.py --predictions=PNGS/ --dataset=div2k --data_dir=DIV2K --masks=small --size=256 \\
        --table=zoom_to_inpaint --output=results

The set is a function of the data set, --size, --fit, --masks and --seed. It is saved with the results, so that other
methods can paint it (`--predictions`). Photographs of DIV2K and Places2 are cropped or reduced as in the paper of
--table. Scores are of the 8-bit files, over whole pictures. The paper's own scores for the same data set, masks and
size are printed below as "paper: METHOD", and are under "reported" in scores.json; --noreported leaves them out. FID
and the Inception Score need an Inception network, see --inception_graph.

Without --model and --predictions, the models of both papers (with the weights that come with the package) and the
baselines are scored. All missing files and flags are reported in one message, before anything is loaded or written.
"""

from __future__ import annotations

import importlib
import json
import pathlib

from absl import flags

from common import environment, errors, options, storage
from common.data import datasets
from common.errors import UsageError, UserError
from common.masks import files as mask_files
from common.masks import random as random_masks
from common.scoring import baselines, protocol, report_page
from common.scoring import sets as set_scores
from common.scoring import tables as scores
from inpainting import painters

# Data sets with scores in the papers.
_REPORTED = ("div2k", "places2")
_SIZE = 512  # of pictures of other data sets
# {flag: the file it expects}
_INCEPTION = {
    "inception_graph": "classify_image_graph_def.pb of inception-2015-12-05",
    "inception_weights": "a Keras InceptionV3 weights file",
}

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "model",
    [],
    f"methods, of {', '.join(painters.NAMES)}; default without --predictions: both models and the baselines",
)
flags.DEFINE_list(
    "weights",
    [],
    "weights of the model in --model, or NAME=FILE for each of two; default: the package's own; 'none': untrained",
)
flags.DEFINE_enum(
    "precision", "float32", painters.PRECISIONS, "data type of zoom_to_inpaint's convolutions"
)
flags.DEFINE_list(
    "predictions", [], "folders of PNGs painted by other methods, with the file names of images/"
)
options.define_flags("data", datasets.DatasetOptions)
flags.DEFINE_enum("split", None, datasets.SPLITS, "default: test for sample, validation otherwise")
flags.DEFINE_list("masks", ["irregular"], f"{', '.join(mask_files.KINDS)} or folders")
flags.DEFINE_string(
    "mask_dir", None, f"object templates for the masks {', '.join(mask_files.OBJECT_KINDS)}"
)
flags.DEFINE_integer(
    "size",
    None,
    "side of the pictures; 0: whole photographs; default: for DIV2K and Places2 the size of --table (256 for "
    f"zoom_to_inpaint, {_SIZE} for hifill), else {_SIZE}",
    lower_bound=0,
    upper_bound=1 << 15,
)
flags.DEFINE_enum(
    "fit",
    None,
    tuple(protocol.FITS),
    "center crops, or middle squares scaled to --size; default: as in the paper of --table if it has the data set, "
    "else crop",
)
flags.DEFINE_integer("count", 0, "only the first images; 0: all", lower_bound=0)
flags.DEFINE_integer("seed", 0, "random seed of the masks", lower_bound=0, upper_bound=2**32 - 1)
flags.DEFINE_string(
    "inception_graph",
    None,
    "the published Inception graph (classify_image_graph_def.pb), for FID and Inception Score",
)
flags.DEFINE_string(
    "inception_weights",
    None,
    "or a weights file of Keras' InceptionV3, which gives other scores of the same names",
)
flags.DEFINE_string("output", "results", "folder for all results")
flags.DEFINE_enum(
    "table",
    None,
    ("hifill", "zoom_to_inpaint"),
    "the paper whose Table 2 gives the layout; default: the paper of the only model in --model, else the paper that "
    "reports --dataset with --masks (zoom_to_inpaint for DIV2K, and for small and large masks of Places2), else hifill",
)
flags.DEFINE_bool("reported", True, "print the paper's own rows below the measured rows")


def methods() -> list[str]:
    """--model; without --model and --predictions the models of both papers and the baselines."""
    if FLAGS.model or FLAGS.predictions:
        return FLAGS.model
    return [*painters.MODELS, *baselines.NAMES]


def layout() -> str:
    """--table, or else the paper of the only model in --model, or else the paper that reports --dataset and --masks."""
    named = [name for name in painters.MODELS if name in FLAGS.model]
    if FLAGS.table or len(named) == 1:
        return FLAGS.table or named[0]
    strokes = {pathlib.Path(kind).name for kind in FLAGS.masks} <= set(random_masks.STROKE_KINDS)
    zooms = FLAGS.dataset == "div2k" or (FLAGS.dataset == "places2" and strokes)
    return "zoom_to_inpaint" if zooms else "hifill"


def place() -> datasets.Place:
    """The folder of --dataset."""
    return datasets.place(FLAGS.dataset, FLAGS.flag_values_dict())


def photographs():
    """Paths of the photographs to score."""
    return datasets.files(FLAGS.dataset, place().folder, split(), place().said_by)


def split() -> str:
    return FLAGS.split or ("test" if FLAGS.dataset == "sample" else "validation")


def paper():
    """The module with the scores that the paper of `layout` reports."""
    return importlib.import_module(f"{layout()}.reported")


def size() -> int:
    """--size, or the size in the paper's table."""
    if FLAGS.size is not None or FLAGS.dataset not in _REPORTED:
        return _SIZE if FLAGS.size is None else FLAGS.size
    return paper().SIZE


def fit() -> str:
    """--fit, or the paper's choice for the data set."""
    if FLAGS.fit or FLAGS.dataset not in _REPORTED:
        return FLAGS.fit or "crop"
    return paper().FITS[FLAGS.dataset]


def pictures_used() -> str:
    """One line: how the pictures were made from photographs."""
    side = f"{size()}x{size()}"
    how = {
        "crop": f"center crops of {side} (--fit=crop)",
        "resize": f"middle squares scaled to {side} (--fit=resize)",
    }
    return f"Pictures: {how[fit()] if size() else 'whole photographs'}"


def mask_source(kind: str) -> str:
    """The folder of a test package's masks of this kind, if the data set has one, else `kind`."""
    return datasets.package_masks(place().folder, kind) or kind


def masks_used() -> str:
    """One line per kind of masks: drawn, or the folder of the files."""
    lines = []
    for kind in FLAGS.masks:
        source = mask_source(kind)
        drawn = f"drawn with --seed={FLAGS.seed}, not the papers' own masks"
        used = drawn if source in mask_files.KINDS else f"the files of {source}"
        lines.append(f"Masks {pathlib.Path(kind).name}: {used}")
    return "\n".join(lines)


def reported() -> tuple[list, list[str]]:
    """(the paper's rows for this evaluation, one line for every kind of masks without such a row)."""
    if not FLAGS.reported:
        return [], []
    if FLAGS.dataset not in _REPORTED:
        return [], [
            "Zoom-to-Inpaint reports DIV2K and Places2, HiFill only Places2: no rows of a paper for "
            f"--dataset={FLAGS.dataset}"
        ]
    printed, rows, missing = paper(), [], []
    theirs = printed.FITS[FLAGS.dataset]
    if size() and fit() != theirs:
        return [], [f"No rows of the paper: it uses --fit={theirs} for {FLAGS.dataset}"]
    for given in FLAGS.masks:
        kind = pathlib.Path(given).name
        found = printed.rows(FLAGS.dataset, split(), kind, size())
        rows += found
        if not found:
            evaluated = (
                f"--dataset={FLAGS.dataset} --split={split()} --masks={kind} --size={size()}"
            )
            missing.append(f"No rows of the paper for {evaluated}: {printed.SCOPE}")
    return rows, missing


def evaluate(given: str, paths: list[str], paint: dict, network) -> tuple[list, list[dict], list]:
    """Makes, paints and scores the set of one kind of --masks; returns (scores, `of_sets`, pictures of the report)."""
    kind = pathlib.Path(given).name
    folder = pathlib.Path(FLAGS.output) / kind
    cases = protocol.make_set(
        paths, mask_source(given), FLAGS.mask_dir, size(), FLAGS.seed, folder, fit()
    )
    others = {path.name: path for path in map(pathlib.Path, FLAGS.predictions)}
    folders, found = protocol.score_methods(cases, {**paint, **others}, folder, kind)
    protocol.picture_grid(cases, folders, folder / "pictures.png")
    shown = report_page.pictures(kind, cases, folders, found)
    return found, of_sets(kind, cases, folders, network), [shown]


def of_sets(kind: str, cases: list, folders: dict, network) -> list[dict]:
    """FID and Inception Score of every method, or the reason why one is missing; [] without a network."""
    if network is None:
        return []
    sets, rows = set_scores.SetScores(network), []
    sets.add(cases, folders)
    for method in folders:
        found, reasons = sets.of(method)
        text = [f"{t} {c}" for t, c in zip(sets.columns(), sets.cells(found)) if c != "-"]
        row = {"method": method, "masks": kind, "network": network.name, "n": sets.count, **found}
        rows.append({**row, "missing": reasons, "text": ", ".join([*text, *reasons])})
    return rows


def report(found: list, rows: list, missing: list[str], sets: list[dict], shown: list) -> None:
    """Prints the tables and writes them with the report, JSON and CSV below --output.

    rows, missing: see `reported`; sets: see `of_sets`; shown: `report_page.pictures` of every kind of masks.
    """
    output = pathlib.Path(FLAGS.output)
    summaries, bins = scores.summarise(found), scores.by_hole_area(found)
    about = pictures_used() + "\n" + masks_used()
    parts = (
        (f"Mean over images. {scores.POOLED_NOTE}", (summaries, layout(), True, rows)),
        ("By share of the picture that is hole:", (bins, layout())),
    )
    remarks = [
        *missing,
        *(f"Of the whole set, {x['method']}, {x['masks']}: {x['text']}" for x in sets),
    ]
    means, by_area = ((title, scores.table(*shape)) for title, shape in parts)
    tables = "\n\n".join((about, *means, *remarks, *by_area))
    print(f"\n{tables}\n")
    in_cells = [(title, scores.cells(*shape)) for title, shape in parts]
    page = report_page.write(output / "report.html", about.splitlines(), in_cells, remarks, shown)
    storage.write_text(output / "table.md", tables + "\n")
    scores.write_json(output / "scores.json", found, summaries + bins, rows)
    scores.write_csv(output / "scores.csv", found)
    if sets:
        storage.write_text(output / "sets.json", json.dumps(sets, indent=1, ensure_ascii=False))
    chosen = {"model": methods(), "size": size(), "data_dir": place().folder}
    run = {"flags": {**FLAGS.flag_values_dict(), **chosen}, "versions": environment.versions()}
    run["git_commit"] = environment.git_commit()
    storage.write_text(output / "run.json", json.dumps(run, indent=1, default=str))
    print(f"Tables, scores per image, masks and pictures are in {output}; {page}")


def _check_distinct(flags_named, values):
    names = [pathlib.Path(value).name for value in values]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{flags_named} name '{name}' twice; rename a folder")


def _check_folders() -> None:
    _check_distinct("--model and --predictions", FLAGS.model + FLAGS.predictions)
    _check_distinct("--masks", FLAGS.masks)
    if not FLAGS.masks or not all(FLAGS.masks):
        raise UsageError(
            f"--masks={','.join(FLAGS.masks)} names no masks; leave it out or name a kind"
        )
    for folder in FLAGS.predictions:
        if not pathlib.Path(folder).is_dir():
            raise UserError(f"--predictions={folder} is not a folder")


def _check_use() -> None:
    """UsageError for flags that would have no effect."""
    if FLAGS.fit and FLAGS.size == 0:
        raise UsageError(f"--fit={FLAGS.fit} would be ignored: --size=0 takes whole photographs")
    for name in _REPORTED:
        if FLAGS[f"{name}_dir"].value and FLAGS.dataset not in _REPORTED:
            raise UsageError(
                f"--{name}_dir={FLAGS[f'{name}_dir'].value} would be ignored: add --dataset={name} or remove the flag"
            )


def _check_inception() -> None:
    for name, wanted in _INCEPTION.items():
        if FLAGS[name].value and not pathlib.Path(FLAGS[name].value).is_file():
            raise UserError(f"--{name}={FLAGS[name].value}: no such file; give {wanted}")


def weights_of(name: str) -> str | None:
    """The value in --weights for one of the methods."""
    return painters.weights_of(name, FLAGS.weights, methods())


def _checks() -> list:
    """Checks to run before anything is loaded; the first returns the photographs."""
    checks = [photographs, lambda: painters.check_names(FLAGS.model), _check_use, _check_folders]
    checks.append(lambda: datasets.check_output(FLAGS.dataset, place(), FLAGS.output))
    checks += [
        lambda kind=kind: mask_files.mask_source(mask_source(kind), FLAGS.mask_dir)
        for kind in FLAGS.masks
    ]
    checks += [
        lambda name=name: painters.check_weights(name, weights_of(name))
        for name in methods()
        if name in painters.NAMES
    ]
    return [*checks, _check_inception]


def main(_) -> int:
    (paths, *_), problems = errors.collect(_checks())
    errors.raise_together(problems)
    network = set_scores.network(FLAGS.inception_graph, FLAGS.inception_weights)
    paint = {}
    for name in methods():
        precision = FLAGS.precision if name == "zoom_to_inpaint" else "float32"
        paint[name] = painters.painter(name, weights_of(name), precision)
    rows, missing = reported()
    paths = paths[: FLAGS.count or None]
    parts = [evaluate(kind, paths, paint, network) for kind in FLAGS.masks]
    found, sets, shown = ([item for part in parts for item in part[index]] for index in range(3))
    report(found, rows, missing, sets, shown)
    return 0
