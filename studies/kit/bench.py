"""What a person chose for a study, and what every study does with it: photographs, networks and scores.

Two sizes. "paper": the paper's data sets and the weights that `--weights=ARM=FILE` names. "small": the photographs
that come with scikit-image (or --dataset) and small networks, trained here once and shared by all studies below one
--output:

    <output>/networks/ARM/                      a small network's run
    <output>/<study>/<dataset>/<masks>/         images, masks and predictions, as `common.scoring.protocol` writes them

Scores are `common.scoring.protocol`'s, the protocol of evaluate.py; there is no other.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple, Union

from common import environment
from common.data import datasets
from common.errors import UsageError, UserError
from common.scoring import protocol, tables
from studies.kit import networks

SIZES = ("small", "paper")
# Fields that are flags of studies/run.py as they stand.
FLAGS = (
    *("size", "dataset", "data_dir", "places2_dir", "div2k_dir", "split", "count", "image_size"),
    *("seed", "steps", "predictions", "inception_graph", "inception_weights"),
)
LABELS = {
    "sample": "sample photographs",
    "folder": "folder",
    "div2k": "DIV2K",
    "places2": "Places2",
}
# Z section 4.1: 100 images of each split.
IMAGES_PER_SPLIT = 100
_SPLITS = {
    "sample": ("test",),
    "folder": ("test", "validation"),
    "div2k": ("validation",),
    "places2": ("validation", "test"),
}


class Photographs(NamedTuple):
    """Pictures of one data set: its name, what a table calls it, their paths, and where the data set lies."""

    name: str
    label: str
    paths: list[str]
    data_dir: str | None


class Scored(NamedTuple):
    """One set of images and holes: its cases, {method: folder of its results} and one score per image and method."""

    cases: list[protocol.Case]
    folders: dict[str, pathlib.Path]
    scores: list[tables.Score]

    def means(self) -> dict[str, tables.Summary]:
        """{method: means over the images}."""
        return {summary.method: summary for summary in tables.summarise(self.scores)}


Method = Union[Callable, pathlib.Path]  # a painter, or a folder of results


@dataclasses.dataclass(frozen=True)
class Bench:
    """What a person chose; fields as the flags of studies/run.py, empty where nothing was chosen.

    `study` is the id of the study that runs; `folder` is where it writes.
    """

    study: str
    size: str = "small"
    output: pathlib.Path = pathlib.Path("runs/studies")
    dataset: str | None = None
    data_dir: str | None = None
    places2_dir: str | None = None
    div2k_dir: str | None = None
    split: str | None = None
    count: int = 0
    image_size: int | None = None
    seed: int = 0
    steps: int | None = None
    weights: Mapping[str, str] = dataclasses.field(default_factory=dict)
    predictions: Sequence[str] = ()
    inception_graph: str | None = None
    inception_weights: str | None = None

    @property
    def folder(self) -> pathlib.Path:
        return self.output / self.study

    @property
    def small(self) -> bool:
        return self.size == "small"

    def options(self) -> dict:
        """Every field in JSON's types, for the record of a result."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            **fields,
            "output": str(self.output),
            "weights": dict(self.weights),
            "predictions": list(self.predictions),
        }

    # Photographs.

    def data_sets(self, *wanted: str) -> list[Photographs]:
        """What a study looks at: --dataset; else the sample photographs (small), or the paper's data sets `wanted`.

        Of several that are wanted, those whose folder was given; with none the pictures are in a folder.

        Raises:
          UsageError: no folder was given of any of them.
          UserError: a data set is not where it should be.
        """
        if self.dataset or self.small:
            return [self.photographs(self.dataset or "sample")]
        if not wanted:
            raise UsageError(
                f"{self.study} at --size=paper needs --dataset=folder --data_dir=FOLDER, the pictures to look at"
            )
        given = [name for name in wanted if self._place(name).folder]
        if not given:
            flags = " or ".join(
                f"--{name}_dir=FOLDER (or {name.upper()}_DIR in the environment)" for name in wanted
            )
            trees = " ".join(f"{LABELS[n]}: {datasets.expected_tree(n)}." for n in wanted)
            raise UsageError(
                f"{self.study} at --size=paper needs {flags}, or --dataset with --data_dir. {trees}"
            )
        return [self.photographs(name) for name in given]

    def photographs(self, name: str) -> Photographs:
        """The pictures of one data set: all of --split, or the first 100 of each split that the papers used."""
        (folder, said_by), paths = self._place(name), []
        for split in (self.split,) if self.split else _SPLITS[name]:
            found = datasets.files(name, folder, split, said_by)
            limit = None if self.split or name == "sample" else IMAGES_PER_SPLIT
            # A test package, or a folder without splits, is the same for each of them.
            paths += [path for path in found[:limit] if path not in paths]
        return Photographs(name, LABELS[name], paths[: self.count or None], folder)

    def _place(self, name):
        return datasets.place(name, vars(self))

    def training_data(self) -> tuple[str, ...]:
        """train.py's flags for the photographs that small networks learn from."""
        name = self.dataset or "sample"
        folder = self._place(name).folder
        return (f"--dataset={name}", *([f"--data_dir={folder}"] if folder else []))

    # Networks.

    def network(self, arm: str) -> pathlib.Path | str:
        """The weights of an arm: --weights, or in the small size those of a network trained here now or before.

        Raises:
          UsageError: the paper's size and no weights; says how they are trained.
          UserError: the training failed.
        """
        if arm in self.weights:
            return self.weights[arm]
        if not self.small:
            raise UsageError(
                f"{self.study} at --size=paper needs --weights={arm}=FILE; {networks.command(arm)} trains it"
            )
        arm = networks.SAME_WHEN_SMALL.get(arm, arm)
        folder = self.output / "networks" / arm
        return networks.train(arm, folder, self.steps, self.seed, self.training_data())

    def model(self, arm: str):
        """The model of an arm with its weights, loaded once; UserError if they are another arm's."""
        return _load(arm, str(self.network(arm)))

    def painter(self, arm: str) -> Callable:
        """The model of an arm as a painter: (uint8 [H, W, 3], uint8 [H, W]) -> uint8 [H, W, 3]."""
        import painters

        model = self.model(arm)
        if networks.ARMS[arm].model == "hifill":
            return model.inpaint
        return painters.whichever_is_sharp(model)

    def inception(self):
        """The network of FID and IS (`common.scoring.inception.Inception`), loaded once, or None if none was named."""
        if not (self.inception_graph or self.inception_weights):
            return None
        return _inception(self.inception_graph, self.inception_weights)

    # Scores.

    def scores(
        self, methods: Mapping[str, Method], masks: str, photographs: Photographs, size: int = 256
    ) -> Scored:
        """Paints and scores one set of images and holes by evaluate.py's protocol.

        Args:
          methods: {name: painter, or a folder of PNGs named as the set's images}.
          masks: kind of masks; a test package's own of this kind are used where there are some.
          photographs: from `data_sets`.
          size: side of the pictures where --image_size says nothing; Places2's are scaled, all others cropped, as
            Z section 4.1 has it.
        """
        folder = self.folder / photographs.name / masks
        source = datasets.package_masks(photographs.data_dir, masks) or masks
        size = size if self.image_size is None else self.image_size
        fit = reported("zoom_to_inpaint").FITS.get(photographs.name, "crop")
        cases = protocol.make_set(photographs.paths, source, None, size, self.seed, folder, fit)
        found, folders = [], {}
        for name, method in methods.items():
            seconds = None
            folders[name] = method
            if callable(method):
                folders[name] = folder / "predictions" / file_name(name)
                seconds = protocol.paint(cases, method, folders[name], f"{name}, {masks}")
            found += protocol.score(cases, folders[name], name, masks, seconds)
        return Scored(cases, folders, found)

    def others(self, photographs: Photographs, masks: str) -> dict[str, pathlib.Path]:
        """{name: folder} of --predictions for one set: FOLDER/<dataset>/<masks>, FOLDER/<masks> or FOLDER itself.

        Raises:
          UserError: a folder does not exist.
        """
        found = {}
        for given in map(pathlib.Path, self.predictions):
            candidates = (given / photographs.name / masks, given / masks, given)
            folder = next((path for path in candidates if path.is_dir()), None)
            if folder is None:
                raise UserError(f"--predictions={given} is not a folder")
            found[given.name] = folder
        return found

    def masks_note(self) -> str:
        """One sentence about the holes."""
        return f"Holes are drawn with seed {self.seed}, not the paper's own, unless a test package brings its own."


def file_name(method):
    """A method's name in lower-case letters, figures and "_": "SR zoom+L∇" -> "sr_zoom_l"."""
    return re.sub("[^a-z0-9]+", "_", method.lower()).strip("_")


def reported(paper: str):
    """The module of the numbers that a paper prints: "zoom_to_inpaint" or "hifill"."""
    environment.start_tensorflow()  # the papers' packages import it
    return importlib.import_module(f"{paper}.reported")


@functools.cache
def _inception(graph, weights):
    environment.start_tensorflow()
    return importlib.import_module("common.scoring.inception").load(graph, weights)


@functools.cache
def _load(arm, weights):
    environment.start_tensorflow()
    expected = networks.ARMS[arm]
    model = importlib.import_module(f"{expected.model}.weights_source").load(weights)
    for name, value in expected.fields.items():
        found = getattr(model.config, name)
        if found != value:
            raise UserError(
                f"--weights={arm}={weights} holds a network with {name} {found}; {arm} has {value}"
            )
    return model
