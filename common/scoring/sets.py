"""FID and Inception Score of whole sets of pictures.

`SetScores` collects Inception's outputs for the true pictures and each method's results, in several parts if necessary,
and gives the columns of a table. Without a network (None) the columns are empty; `MISSING` tells the user why.
"""

from __future__ import annotations

import collections
import functools
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from common import environment
from common.errors import UserError
from common.scoring import fid, protocol

_TRUTH = None  # a key that no method has
MISSING = (
    "FID and IS need an Inception network: --inception_graph=classify_image_graph_def.pb (of 2015-12-05) gives the "
    "published scores; --inception_weights=FILE of Keras' InceptionV3 gives other scores of the same names."
)


@functools.cache
def network(graph: str | None, weights: str | None):
    """The network of --inception_graph or --inception_weights, loaded once; None if neither is given.

    Errors are those of `common.scoring.inception.load`.
    """
    if not (graph or weights):
        return None
    environment.start_tensorflow()
    from common.scoring import inception

    return inception.load(graph, weights)


class SetScores:
    """Collects one set; see the module docstring."""

    def __init__(self, network):
        self.network = network
        self._features = collections.defaultdict(list)
        self._probabilities = collections.defaultdict(list)

    def add(self, cases: Sequence[protocol.Case], folders: Mapping[str, pathlib.Path]) -> None:
        """Adds the true pictures of `cases` and the results in {method: folder}; the files are not needed later."""
        if self.network is None:
            return
        from common.scoring import inception

        names = [case.name for case in cases]
        paths = {_TRUTH: [case.image for case in cases]}
        for method, folder in folders.items():
            paths[method] = [protocol.prediction(folder, name) for name in names]
        for method, files in paths.items():
            features, probabilities = inception.outputs(self.network, files)
            self._features[method].append(features)
            if probabilities is not None:
                self._probabilities[method].append(probabilities)

    def of(self, method: str) -> tuple[dict[str, float], list[str]]:
        """({"fid", "inception_score", "inception_score_std": value, as far as available}, reasons for missing ones)."""
        found, reasons = {}, []
        if method in self._features:
            try:
                sets = (np.concatenate(self._features[name]) for name in (_TRUTH, method))
                found["fid"] = fid.fid(*sets)
            except UserError as error:
                reasons.append(str(error))
        if method in self._probabilities:
            try:
                rows = np.concatenate(self._probabilities[method])
                mean, std = fid.inception_score(rows)
                found.update(inception_score=mean, inception_score_std=std)
            except UserError as error:
                reasons.append(str(error))
        return found, reasons

    @property
    def count(self) -> int:
        """Number of images so far."""
        return sum(map(len, self._features[_TRUTH]))

    def columns(self) -> list[str]:
        """Titles of the two columns, with the network and the number of images."""
        if self.network is None:
            return ["FID ↓", "IS ↑"]
        name = self.network.name
        return [f"FID ({name}, N={self.count}) ↓", f"IS ({name}) ↑"]  # FID depends on N

    def cells(self, found: dict[str, float]) -> list[str]:
        """The two cells of a row, from the scores of `of`."""
        score = "-"
        if "inception_score" in found:
            score = f"{found['inception_score']:.2f} ± {found['inception_score_std']:.2f}"
        return [f"{found['fid']:.3f}" if "fid" in found else "-", score]
