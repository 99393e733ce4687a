"""Scores inpainting on a fixed set of images and holes: tables like the papers', JSON, CSV and pictures.

    python evaluate.py --model=hifill,telea --weights=W --dataset=sample --masks=irregular --output=results
    python evaluate.py --predictions=PNGS/ --dataset=div2k --data_dir=DIV2K --masks=small --size=256 --output=results

The set is a function of the dataset, --size, --masks and --seed, and is saved with the results, so that any other
method can paint it (`--predictions`). Scores are those of the 8-bit files, over whole pictures.
"""

from __future__ import annotations

import json
import pathlib

from absl import flags

import painters
from common import datasets, environment, errors, evaluation, files, scores
from common.errors import UsageError, UserError

FLAGS = flags.FLAGS
flags.DEFINE_list("model", [], f"methods, of {', '.join(painters.NAMES)}")
flags.DEFINE_string("weights", None, "weights of the network among --model; 'none': untrained")
flags.DEFINE_list(
    "predictions", [], "folders of PNGs painted by other methods, named as in images/"
)
flags.DEFINE_enum("dataset", "sample", datasets.NAMES, "where photographs come from")
flags.DEFINE_string("data_dir", None, "where the dataset lies")
flags.DEFINE_enum("split", None, datasets.SPLITS, "default: test for sample, validation otherwise")
flags.DEFINE_list("masks", ["irregular"], "small, large, irregular, object, mixed or folders")
flags.DEFINE_string("mask_dir", None, "object templates for object and mixed masks")
flags.DEFINE_integer("size", 512, "side of the center crops; 0: whole photographs", lower_bound=0)
flags.DEFINE_integer("count", 0, "only the first images; 0: all", lower_bound=0)
flags.DEFINE_integer("seed", 0, "of the masks", lower_bound=0)
flags.DEFINE_string("output", "evaluation", "folder for everything that is written")
flags.DEFINE_enum("table", "hifill", ("hifill", "zoom_to_inpaint"), "whose Table 2 to lay out like")


def evaluate(masks: str, paths: list[str], paint: dict) -> list:
    """Makes the set of one kind of masks, paints and scores it; returns the scores."""
    kind = pathlib.Path(masks).name
    folder = pathlib.Path(FLAGS.output) / kind
    source = datasets.package_masks(FLAGS.data_dir, masks) or masks
    cases = evaluation.make_set(paths, source, FLAGS.mask_dir, FLAGS.size, FLAGS.seed, folder)
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
    return found


def report(found: list) -> None:
    """Prints the tables and writes them with JSON and CSV below --output."""
    output = pathlib.Path(FLAGS.output)
    summaries, bins = scores.summarise(found), scores.by_hole_area(found)
    tables = "\n\n".join(
        ("Mean over images:", scores.table(summaries, FLAGS.table, spread=True))
        + ("By share of the picture that is hole:", scores.table(bins, FLAGS.table))
    )
    print(f"\n{tables}\n")
    files.write_text(output / "table.md", tables + "\n")
    scores.write_json(output / "scores.json", found, summaries + bins)
    scores.write_csv(output / "scores.csv", found)
    run = {"flags": FLAGS.flag_values_dict(), "versions": environment.versions()}
    run["git_commit"] = environment.git_commit()
    files.write_text(output / "run.json", json.dumps(run, indent=1, default=str))
    print(f"Tables, scores per image, masks and pictures are in {output}")


def _check_distinct(flags_named, values):
    names = [pathlib.Path(value).name for value in values]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{flags_named} name '{name}' twice; rename a folder")


def main(_) -> int:
    painters.check_names(FLAGS.model)
    if not FLAGS.model and not FLAGS.predictions:
        raise UsageError("nothing to score: name --model or --predictions")
    _check_distinct("--model and --predictions", FLAGS.model + FLAGS.predictions)
    _check_distinct("--masks", FLAGS.masks)
    for folder in FLAGS.predictions:
        if not pathlib.Path(folder).is_dir():
            raise UserError(f"--predictions={folder} is not a folder")
    split = FLAGS.split or ("test" if FLAGS.dataset == "sample" else "validation")
    paths = datasets.files(FLAGS.dataset, FLAGS.data_dir, split)
    paths = paths[: FLAGS.count or None]
    paint = {name: painters.painter(name, FLAGS.weights) for name in FLAGS.model}
    report([score for masks in FLAGS.masks for score in evaluate(masks, paths, paint)])
    return 0


if __name__ == "__main__":
    errors.run(main, environment.check)
