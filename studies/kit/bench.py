"""The user's choices for a study, and the data sets, networks and scores that follow from them.

There are two sizes. "paper" uses the paper's data sets and the weights that `--weights=ARM=FILE` names. "small" uses
scikit-image's photographs (or --dataset) and small networks, which are trained once and shared by all studies of one
--output:

    <output>/networks/ARM/                      a small network's run
    <output>/<study>/<dataset>/<masks>/         images, masks and predictions of `common.scoring.protocol`
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pathlib
from collections.abc import Mapping
from typing import Callable, NamedTuple

from common import environment
from common.data import datasets
from common.errors import UsageError, UserError
from common.options import option
from common.scoring import protocol, sets
from studies.kit import networks
from studies.kit.scores import Scored, reported

SIZES = ("small", "paper")
# Zoom-to-Inpaint section 4.1: 100 images of each split.
IMAGES_PER_SPLIT = 100
# {data set: (label in tables, splits that the papers scored)}
_DATA_SETS = {
    "sample": ("sample photographs", ("test",)),
    "folder": ("folder", ("test", "validation")),
    "div2k": ("DIV2K", ("validation",)),
    "places2": ("Places2", ("validation", "test")),
}


class DataSet(NamedTuple):
    """Photographs of one data set: name, label in tables, paths, and the data set's folder."""

    name: str
    label: str
    paths: list[str]
    data_dir: str | None


@dataclasses.dataclass(frozen=True)
class Bench:
    """The user's choices; the flags of studies/run.py are made from the fields with a help text.

    `study` is the id of the running study; `folder` is its output folder.
    """

    study: str
    size: str = option(
        "small", "small: tiny networks, trained here; paper: the paper's setting", choices=SIZES
    )
    output: pathlib.Path = pathlib.Path("runs/studies")
    dataset: str | None = option(
        None, "data set instead of the study's own", choices=datasets.NAMES
    )
    data_dir: str | None = option(None, "folder of --dataset")
    places2_dir: str | None = option(
        None, "folder of Places2; default: the environment's PLACES2_DIR"
    )
    div2k_dir: str | None = option(None, "folder of DIV2K; default: the environment's DIV2K_DIR")
    split: str | None = option(
        None, "split, instead of the papers' held-out images", choices=datasets.SPLITS
    )
    count: int = option(0, "number of images, from the first on; 0: all of the study's", least=0)
    image_size: int | None = option(None, "side of the images; default: the study's", least=0)
    seed: int = option(0, "seed of holes and small networks", least=0)
    steps: int | None = option(
        None, "training steps of small networks; default: their flagfiles'", least=1
    )
    weights: Mapping[str, str] = dataclasses.field(default_factory=dict)
    predictions: tuple = option((), "folders of other methods' PNGs, named as in images/")
    inception_graph: str | None = option(None, "published Inception graph, for FID and IS")
    inception_weights: str | None = option(
        None, "weights file of Keras' InceptionV3, instead of --inception_graph"
    )

    @property
    def folder(self) -> pathlib.Path:
        return self.output / self.study

    @property
    def small(self) -> bool:
        return self.size == "small"

    def options(self) -> dict:
        """Every field as a JSON type, for result.json."""
        fields = dataclasses.asdict(self)
        return {**fields, "output": str(self.output), "predictions": list(self.predictions)}

    # Photographs.

    def data_sets(self, *wanted: str) -> list[DataSet]:
        """--dataset; by default the sample photographs (small) or those of `wanted` with a given folder (paper).

        Raises:
          UsageError: no folder of `wanted` was given, or `wanted` is empty.
          UserError: a data set is not in its folder.
        """
        if self.dataset or self.small:
            return [self.data_set(self.dataset or "sample")]
        given = [name for name in wanted if self._place(name).folder]
        if given:
            return [self.data_set(name) for name in given]
        asked = f"{self.study} at --size=paper needs "
        if not wanted:
            raise UsageError(f"{asked}--dataset=folder --data_dir=FOLDER, a folder of photographs")
        flags = " or ".join(
            f"--{name}_dir=FOLDER (or {name.upper()}_DIR in the environment)" for name in wanted
        )
        trees = " ".join(f"{_DATA_SETS[n][0]}: {datasets.expected_tree(n)}." for n in wanted)
        raise UsageError(f"{asked}{flags}, or --dataset with --data_dir. {trees}")

    def data_set(self, name: str) -> DataSet:
        """One data set: all of --split, or the first 100 photographs of each split that the papers used."""
        (folder, said_by), paths = self._place(name), []
        label, splits = _DATA_SETS[name]
        for split in (self.split,) if self.split else splits:
            found = datasets.files(name, folder, split, said_by)
            limit = None if self.split or name == "sample" else IMAGES_PER_SPLIT
            # A test package, or a folder without splits, gives the same files for every split.
            paths += [path for path in found[:limit] if path not in paths]
        return DataSet(name, label, paths[: self.count or None], folder)

    def _place(self, name):
        return datasets.place(name, vars(self))

    def training_data(self) -> tuple[str, ...]:
        """train.py's flags for the training photographs of small networks."""
        name = self.dataset or "sample"
        folder = self._place(name).folder
        return (f"--dataset={name}", *([f"--data_dir={folder}"] if folder else []))

    # Networks.

    def network(self, arm: str) -> pathlib.Path | str:
        """The weights of an arm: --weights, or at the small size those of a network that is trained here if needed.

        Raises:
          UsageError: the paper's size without weights; the message names the training command.
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
        """The model of an arm with its weights, loaded once; UserError for weights of another arm."""
        return load(arm, str(self.network(arm)))

    def painter(self, arm: str) -> Callable:
        """The model of an arm as a painter: (uint8 [H, W, 3], uint8 [H, W]) -> uint8 [H, W, 3]."""
        from inpainting import painters

        model = self.model(arm)
        if networks.ARMS[arm].model == "hifill":
            return model.inpaint
        return painters.whichever_is_sharp(model)

    def inception(self):
        """The network of FID and IS; see `sets.network`."""
        return sets.network(self.inception_graph, self.inception_weights)

    # Scores.

    def cases(self, masks: str, data_set: DataSet, size: int = 256) -> list[protocol.Case]:
        """Writes one set of images and holes by evaluate.py's protocol.

        Args:
          masks: kind of masks; a test package's own masks of this kind are preferred.
          data_set: from `data_sets`.
          size: side of the images unless --image_size is given. Images of Places2 are scaled, all others cropped, as
            in Zoom-to-Inpaint section 4.1.
        """
        source = datasets.package_masks(data_set.data_dir, masks) or masks
        size = size if self.image_size is None else self.image_size
        fit = reported("zoom_to_inpaint").FITS.get(data_set.name, "crop")
        folder = self.folder / data_set.name / masks
        return protocol.make_set(data_set.paths, source, None, size, self.seed, folder, fit)

    def scores(
        self, methods: Mapping[str, protocol.Method], masks: str, data_set: DataSet, size: int = 256
    ) -> Scored:
        """Paints and scores the set of `cases`; `methods` as in `protocol.score_methods`."""
        cases = self.cases(masks, data_set, size)
        folder = self.folder / data_set.name / masks
        return Scored(cases, *protocol.score_methods(cases, methods, folder, masks))

    def others(self, data_set: DataSet, part: str, itself: bool = True) -> dict[str, pathlib.Path]:
        """{name: folder} of --predictions for one set: FOLDER/<data set>/<part> or FOLDER/<part>.

        Args:
          part: kind of masks, or side of the images.
          itself: use FOLDER itself if it has neither sub-folder. False leaves the method out, as HiFill's Table 2
            leaves out methods that ran out of memory.

        Raises:
          UserError: a folder does not exist.
        """
        found = {}
        for given in map(pathlib.Path, self.predictions):
            if not given.is_dir():
                raise UserError(f"--predictions={given} is not a folder")
            candidates = [given / data_set.name / part, given / part, *([given] if itself else [])]
            existing = [path for path in candidates if path.is_dir()]
            if existing:
                found[given.name] = existing[0]
        return found

    def others_note(self, part: str) -> str:
        """Note on how to add other methods; `part`: placeholder of the sub-folder, such as MASKS."""
        return (
            f"Other methods: fill {self.folder}/DATASET/{part}/images with the masks beside them (white = hole) into "
            f"METHOD/DATASET/{part}, then --predictions=METHOD."
        )


@functools.cache
def load(arm: str, weights: str):
    """The model of an arm from a weights file; UserError for weights of another arm."""
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
