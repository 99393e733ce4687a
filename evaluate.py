"""Scores inpainting on a fixed set of images and holes: tables like the papers', JSON, CSV and pictures.

    python evaluate.py --model=hifill,telea --weights=W --dataset=sample --masks=irregular --output=results
    python evaluate.py --predictions=PNGS/ --dataset=div2k --data_dir=DIV2K --masks=small --size=256 \\
        --table=zoom_to_inpaint --output=results

The set is a function of the dataset, --size, --fit, --masks and --seed, and is saved with the results, so that any
other method can paint it (`--predictions`). Of DIV2K and Places2 photographs are cropped or reduced as the paper of
--table does. Scores are those of the 8-bit files, over whole pictures. What the paper prints for the same data set,
masks and size stands below them as "paper: METHOD", in the table and under "reported" in scores.json; --noreported
leaves it out. FID and the Inception Score need a network, see --inception_graph.
"""

from __future__ import annotations

import importlib
import json
import pathlib

from absl import flags

import painters
from common import datasets, environment, errors, evaluation, files, mask_files, scores, set_scores
from common.errors import UsageError, UserError

# Data sets that the papers report.
_REPORTED = ("div2k", "places2")

FLAGS = flags.FLAGS
flags.DEFINE_list("model", [], f"methods, of {', '.join(painters.NAMES)}")
flags.DEFINE_list(
    "weights",
    [],
    "weights of the network among --model, or NAME=FILE of several; default: the package's own; 'none': untrained",
)
flags.DEFINE_enum("precision", "float32", painters.PRECISIONS, "of zoom_to_inpaint's convolutions")
flags.DEFINE_list(
    "predictions", [], "folders of PNGs painted by other methods, named as in images/"
)
flags.DEFINE_enum("dataset", "sample", datasets.NAMES, "where photographs come from")
flags.DEFINE_string("data_dir", None, "where the dataset lies")
flags.DEFINE_enum("split", None, datasets.SPLITS, "default: test for sample, validation otherwise")
flags.DEFINE_list("masks", ["irregular"], "small, large, irregular, object, mixed or folders")
flags.DEFINE_string("mask_dir", None, "object templates for object and mixed masks")
flags.DEFINE_integer("size", 512, "side of the pictures; 0: whole photographs", lower_bound=0)
flags.DEFINE_enum(
    "fit",
    None,
    tuple(evaluation.FITS),
    "center crops, or middle squares scaled to --size; default: as the paper of --table has the data set, else crop",
)
flags.DEFINE_integer("count", 0, "only the first images; 0: all", lower_bound=0)
flags.DEFINE_integer("seed", 0, "of the masks", lower_bound=0)
flags.DEFINE_string(
    "inception_graph",
    None,
    "the published Inception graph (classify_image_graph_def.pb), for FID and Inception Score",
)
flags.DEFINE_string(
    "inception_weights",
    None,
    "or a weights file of Keras' InceptionV3: other scores of the same names",
)
flags.DEFINE_string("output", "evaluation", "folder for everything that is written")
flags.DEFINE_enum(
    "table",
    None,
    ("hifill", "zoom_to_inpaint"),
    "whose Table 2 to lay out like; default: of the paper whose network is among --model, else hifill",
)
flags.DEFINE_bool("reported", True, "print the paper's own rows below those measured here")


def layout() -> str:
    """--table, or the paper whose network is evaluated; HiFill's if both or none are."""
    only_zoom = "zoom_to_inpaint" in FLAGS.model and "hifill" not in FLAGS.model
    return FLAGS.table or ("zoom_to_inpaint" if only_zoom else "hifill")


def split() -> str:
    return FLAGS.split or ("test" if FLAGS.dataset == "sample" else "validation")


def paper():
    """The module of the numbers that the paper of `layout` prints."""
    environment.start_tensorflow()  # the papers' packages import it
    return importlib.import_module(f"{layout()}.reported")


def fit() -> str:
    """--fit, or what the paper does with the data set."""
    if FLAGS.fit or FLAGS.dataset not in _REPORTED:
        return FLAGS.fit or "crop"
    return paper().FITS[FLAGS.dataset]


def pictures_used() -> str:
    """One line: how photographs became the pictures of the set."""
    side = f"{FLAGS.size}x{FLAGS.size}"
    how = {
        "crop": f"center crops of {side} (--fit=crop)",
        "resize": f"middle squares scaled to {side} (--fit=resize)",
    }
    return f"Pictures: {how[fit()] if FLAGS.size else 'whole photographs'}"


def mask_source(masks: str) -> str:
    """The fixed masks of a test package at --data_dir if it has some of this kind, else `masks` as given."""
    return datasets.package_masks(FLAGS.data_dir, masks) or masks


def masks_used() -> str:
    """One line per kind of masks: drawn, or which files."""
    lines = []
    for masks in FLAGS.masks:
        source = mask_source(masks)
        drawn = f"drawn with --seed={FLAGS.seed}, not the papers' own masks"
        used = drawn if source in mask_files.KINDS else f"the files of {source}"
        lines.append(f"Masks {pathlib.Path(masks).name}: {used}")
    return "\n".join(lines)


def reported() -> tuple[list, list[str]]:
    """The paper's rows for what is evaluated, and one line for every kind of masks that it has none for."""
    if not FLAGS.reported:
        return [], []
    if FLAGS.dataset not in _REPORTED:
        return [], [
            "The papers report DIV2K and Places2 only (HiFill Places2 alone): no rows of theirs for "
            f"--dataset={FLAGS.dataset}"
        ]
    printed, rows, missing = paper(), [], []
    if FLAGS.size and fit() != printed.FITS[FLAGS.dataset]:
        theirs = printed.FITS[FLAGS.dataset]
        return [], [f"No rows of the paper: its {FLAGS.dataset} are of --fit={theirs}"]
    for masks in FLAGS.masks:
        kind = pathlib.Path(masks).name
        found = printed.rows(FLAGS.dataset, split(), kind, FLAGS.size)
        rows += found
        if not found:
            evaluated = f"--dataset={FLAGS.dataset} --split={split()} --masks={kind}"
            evaluated += f" --size={FLAGS.size}"
            missing.append(f"No rows of the paper for {evaluated}: {printed.SCOPE}")
    return rows, missing


def evaluate(masks: str, paths: list[str], paint: dict, network) -> tuple[list, list[dict]]:
    """Makes the set of one kind of masks, paints and scores it; returns the scores and those of whole sets."""
    kind = pathlib.Path(masks).name
    folder = pathlib.Path(FLAGS.output) / kind
    cases = evaluation.make_set(
        paths, mask_source(masks), FLAGS.mask_dir, FLAGS.size, FLAGS.seed, folder, fit()
    )
    found, folders = [], {}
    for name, painter in paint.items():
        folders[name] = folder / "predictions" / name
        seconds = evaluation.paint(cases, painter, folders[name], f"{name}, {kind}")
        found += evaluation.score(cases, folders[name], name, kind, seconds)
    for given in FLAGS.predictions:
        name = pathlib.Path(given).name
        folders[name] = pathlib.Path(given)
        found += evaluation.score(cases, folders[name], name, kind)
    evaluation.picture_grid(cases, folders, folder / "pictures.png")
    return found, of_sets(kind, cases, folders, network)


def inception():
    """The network that --inception_graph or --inception_weights names, or None."""
    if not (FLAGS.inception_graph or FLAGS.inception_weights):
        return None
    environment.start_tensorflow()
    module = importlib.import_module("common.inception")
    return module.load(FLAGS.inception_graph, FLAGS.inception_weights)


def of_sets(kind: str, cases: list, folders: dict, network) -> list[dict]:
    """FID and Inception Score of every method, or why a set has none; nothing without a network."""
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


def report(found: list, rows: list, missing: list[str], sets: list[dict]) -> None:
    """Prints the tables and writes them with JSON and CSV below --output.

    rows, missing: see `reported`; sets: see `of_sets`.
    """
    output = pathlib.Path(FLAGS.output)
    summaries, bins = scores.summarise(found), scores.by_hole_area(found)
    means = scores.table(summaries, layout(), spread=True, references=rows)
    tables = "\n\n".join(
        (
            pictures_used() + "\n" + masks_used(),
            f"Mean over images. {scores.POOLED_NOTE}",
            means,
            *missing,
        )
        + tuple(f"Of the whole set, {x['method']}, {x['masks']}: {x['text']}" for x in sets)
        + ("By share of the picture that is hole:", scores.table(bins, layout()))
    )
    print(f"\n{tables}\n")
    files.write_text(output / "table.md", tables + "\n")
    scores.write_json(output / "scores.json", found, summaries + bins, rows)
    scores.write_csv(output / "scores.csv", found)
    if sets:
        files.write_text(output / "sets.json", json.dumps(sets, indent=1, ensure_ascii=False))
    run = {"flags": FLAGS.flag_values_dict(), "versions": environment.versions()}
    run["git_commit"] = environment.git_commit()
    files.write_text(output / "run.json", json.dumps(run, indent=1, default=str))
    print(f"Tables, scores per image, masks and pictures are in {output}")


def _check_distinct(flags_named, values):
    names = [pathlib.Path(value).name for value in values]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{flags_named} name '{name}' twice; rename a folder")


def make_painter(name: str) -> painters.Painter:
    """The painter of one of --model."""
    weights = painters.weights_of(name, FLAGS.weights, FLAGS.model)
    precision = FLAGS.precision if name == "zoom_to_inpaint" else "float32"
    return painters.painter(name, weights, precision)


def main(_) -> int:
    painters.check_names(FLAGS.model)
    if not FLAGS.model and not FLAGS.predictions:
        raise UsageError("nothing to score: name --model or --predictions")
    if FLAGS.fit and not FLAGS.size:
        raise UsageError(f"--fit={FLAGS.fit} would be ignored: --size=0 takes whole photographs")
    _check_distinct("--model and --predictions", FLAGS.model + FLAGS.predictions)
    _check_distinct("--masks", FLAGS.masks)
    for folder in FLAGS.predictions:
        if not pathlib.Path(folder).is_dir():
            raise UserError(f"--predictions={folder} is not a folder")
    paths = datasets.files(FLAGS.dataset, FLAGS.data_dir, split())[: FLAGS.count or None]
    network = inception()
    paint = {name: make_painter(name) for name in FLAGS.model}
    rows, missing = reported()
    parts = [evaluate(masks, paths, paint, network) for masks in FLAGS.masks]
    found, sets = ([item for part in parts for item in part[index]] for index in (0, 1))
    report(found, rows, missing, sets)
    return 0


if __name__ == "__main__":
    errors.run(main, environment.check)
