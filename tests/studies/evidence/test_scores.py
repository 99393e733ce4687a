"""How arms are scored: the measure of detail against a slow twin, plain upsampling, and what is kept and refused."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest

from common.errors import UserError
from common.images import convert
from common.scoring import protocol
from studies.evidence import arms, scores
from studies.evidence.scores import detail_error
from studies.kit import plain_enlargement


def _picture(seed=0, side=24):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def _hole(side=24):
    hole = np.zeros((side, side), np.uint8)
    hole[5:15, 8:20] = 1
    return hole


def _slow(truth, result, hole):
    """`detail_error`, pixel by pixel."""
    energies = []
    for image in (truth.astype(float), result.astype(float)):
        squares = []
        for y, x in np.argwhere(hole):
            for other in ((y + 1, x), (y, x + 1)):
                if other[0] < len(hole) and other[1] < len(hole) and hole[other]:
                    squares += list((image[other] - image[y, x]) ** 2)
        energies.append(1 + (sum(squares) / len(squares) if squares else 0))
    return abs(math.log(energies[1] / energies[0]))


def test_detail_error_is_its_slow_twin():
    truth, result = _picture(0), cv2.blur(_picture(1), (2, 2))
    ragged = (np.random.default_rng(2).random((24, 24)) < 0.7).astype(np.uint8)
    for hole in (_hole(), ragged, np.ones((24, 24), np.uint8), 255 * _hole()):
        found = detail_error(truth, result, hole)
        assert found == pytest.approx(_slow(truth, result, hole), rel=1e-5) and found > 0.1


def test_detail_error_knows_blur_and_noise_and_nothing_of_where_detail_lies():
    truth, hole = _picture(), _hole()
    assert detail_error(truth, truth, hole) == 0
    flipped = truth.copy()
    flipped[5:15, 8:20] = truth[5:15, 8:20][::-1]
    assert detail_error(truth, flipped, hole) == pytest.approx(0, abs=1e-6)
    blurred, flat = cv2.blur(truth, (3, 3)), np.full_like(truth, 90)
    assert 0.5 < detail_error(truth, blurred, hole) < detail_error(truth, flat, hole)
    assert detail_error(flat, truth, hole) == pytest.approx(detail_error(truth, flat, hole))
    outside = truth.copy()
    outside[:4] = 0
    assert detail_error(truth, outside, hole) == 0


@pytest.mark.parametrize("pixels", [0, 1])
def test_detail_error_of_a_hole_without_neighbours_is_zero(pixels):
    hole = np.zeros((24, 24), np.uint8)
    hole.flat[:pixels] = 1
    assert detail_error(_picture(0), _picture(1), hole) == 0


# Plain upsampling.


class _Network:
    """A stand-in for `hifill.HiFill` whose completion is a ramp; keeps what it was shown."""

    def __init__(self, size):
        self.config = type("Config", (), {"size": size})
        self.seen = []

    def fill(self, image, mask):
        self.seen.append((np.array(image), np.array(mask)))
        ramp = np.linspace(0.2, 0.8, image.shape[1], dtype=np.float32)
        return np.where(mask > 0, ramp[None, None, :, None], image), None


@pytest.mark.parametrize("interpolation", [cv2.INTER_CUBIC, cv2.INTER_NEAREST])
def test_plain_upsampling_pastes_the_enlarged_completion_into_the_hole_alone(interpolation):
    network, image, hole = _Network(16), _picture(side=64), np.zeros((64, 64), np.uint8)
    hole[8:56, 8:48] = 1
    result = plain_enlargement.painter(network, interpolation)(image, hole)
    assert result.dtype == np.uint8 and np.array_equal(result[hole == 0], image[hole == 0])
    middle = result[20:40, 20:36].astype(float)  # four cells; what is known is beyond cubic reach
    assert np.ptp(middle, axis=0).max() <= 1 and (np.diff(middle[0, :, 0]) >= 0).all()
    steps = len(np.unique(middle[0, :, 0]))
    assert steps == 4 if interpolation == cv2.INTER_NEAREST else steps > 10
    seen, mask = network.seen[0]
    assert mask.shape == (1, 16, 16, 1) and mask.sum() == 12 * 10  # cells that the hole touches
    cell = image[56:60, 48:52].mean() / convert.WHITE
    assert seen.max() <= 1 and seen[0, 14, 12].mean() == pytest.approx(cell, abs=1e-3)


def test_plain_upsampling_never_sees_what_is_under_the_hole():
    hole, results = _hole(64), []
    for colour in ((255, 0, 255), (0, 255, 0)):
        image = _picture(side=64)
        image[hole > 0] = colour
        paint = plain_enlargement.painter(_Network(16), cv2.INTER_CUBIC)
        results.append(paint(image, hole)[hole > 0])
    assert np.ptp(results[0], axis=0).max() > 0
    # Cells beside the hole that lie in it in part are the network's too: its completion is all there is.
    assert np.array_equal(*results)


# What is kept.


@pytest.fixture
def cases(tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(2)]
    for i, path in enumerate(paths):
        convert.write_png(path, _picture(i, 40))
    return paths, scores.make_cases(paths, tmp_path / "evaluation", 32)


def test_every_picture_is_scored_once_with_both_kinds_of_holes(cases, tmp_path, monkeypatch):
    calls = []

    def flat(image, mask):
        calls.append(mask)
        return np.where(mask[..., None] > 0, np.uint8(128), image)

    monkeypatch.setattr(scores, "_painter", lambda kind, weights: flat)
    found = scores.score("no_zoom", tmp_path / "w.npz", cases[1], tmp_path / "scores")
    assert [(s.name, s.masks) for s in found] == [(n, m) for m in arms.MASKS for n in "01"]
    assert all(score.metrics.keys() >= arms.METRICS.keys() for score in found)
    assert all(score.metrics["detail_error"] > 1 for score in found)
    painted = len(calls)
    again = scores.score("no_zoom", tmp_path / "w.npz", cases[1], tmp_path / "scores")
    assert len(calls) == painted  # nothing was painted anew
    assert again == [scores.tables.Score(**vars(score)) for score in found]


def test_other_pictures_in_the_same_folder_are_refused(cases, tmp_path):
    paths, _ = cases
    scores.make_cases(paths, tmp_path / "evaluation", 32)
    for other in ((paths[:1], 32), (paths, 24)):
        with pytest.raises(UserError, match="holds other pictures"):
            scores.make_cases(other[0], tmp_path / "evaluation", other[1])


def test_the_set_is_the_one_of_evaluate(cases, tmp_path):
    paths, made = cases
    same = protocol.make_set(paths, "large", None, 32, 0, tmp_path / "other")
    for one, other in zip(made["large"], same):
        assert one.mask.read_bytes() == other.mask.read_bytes()
    content = json.loads((tmp_path / "evaluation" / scores.SET).read_text())
    assert content["images"] == paths


ONE = {"name": "a", "method": "b", "masks": "small", "hole_fraction": 0.5, "metrics": {"psnr": 20}}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"images": {}},
        {"images": [{**ONE, "name": None}]},
        {"images": [{**ONE, "hole_fraction": 1.5}]},
        {"images": [{**ONE, "metrics": {"psnr": "high"}}]},
        {"images": [{**ONE, "metrics": {"psnr": 10**400}}]},
        {"images": [{**ONE, "metrics": {"psnr": None}}]},
    ],
)
def test_a_file_of_other_scores_is_one_line(tmp_path, content):
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"scores\.json holds no scores of evaluate\.py \("):
        scores.read(path)
