"""Validation while training: one fixed set, scores of the 8-bit results, loss terms, and few pictures at a time."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.errors import UserError
from common.masks import files as mask_files
from common.scoring import metrics
from common.training import validation

SIZE = 16


def _photograph(index):
    return np.random.default_rng(index).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def _set(count=10, seed=3, label_size=SIZE, holes=True, read=_photograph):
    masks = mask_files.mask_source("irregular")
    return validation.FixedSet(read, count, masks, seed, SIZE, label_size, holes)


def _darker(recipe, seen=None):
    """The recipe's result is 10 levels darker in the hole."""

    def preview(image, mask):
        if seen is not None:
            seen.append(len(image))
        return {"coarse": image, "result": np.clip(image - mask * np.float32(10 / 255), 0, 1)}

    recipe.preview = preview
    return recipe


def test_the_same_seeds_give_the_same_set_and_others_another():
    one, same, other = _set(), _set(), _set(seed=4)
    assert len(one) == 10
    for a, b, c in zip(one, same, other):
        for x, y in zip(a, b):
            np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(a[0], c[0])
        assert not np.array_equal(a[1], c[1])
    holes = {one[i][1].tobytes() for i in range(10)}
    assert len(holes) == 10  # every photograph has its own


def test_items_have_their_sizes_and_ranges():
    image, mask, label = _set(label_size=32)[0]
    assert image.shape == (SIZE, SIZE, 3) and mask.shape == (SIZE, SIZE, 1)
    assert label.shape == (32, 32, 3)
    np.testing.assert_array_equal(label[8:24, 8:24], image)  # the middle of one photograph
    assert {x.dtype for x in (image, mask, label)} == {np.dtype(np.float32)}
    assert set(np.unique(mask)) == {0, 1} and image.max() <= 1
    assert not _set(holes=False)[0][1].any()
    with pytest.raises(IndexError):
        _set()[10]


def test_a_damaged_photograph_is_found_before_training():
    def read(index):
        if index == 7:
            raise UserError("7.png is cut short")
        return _photograph(index)

    with pytest.raises(UserError, match=r"7\.png"):
        _set(read=read).check()


def test_scores_are_means_over_the_set_of_the_8_bit_results(toy):
    fixed = _set()
    found = validation.scores(_darker(toy.recipe()), fixed)
    truth = [np.rint(image * 255).astype(np.uint8) for image, _, _ in fixed]
    result = [np.where(m > 0, np.maximum(t, 10) - 10, t) for t, (_, m, _) in zip(truth, fixed)]
    for name, score in (
        *(("psnr", metrics.psnr), ("ssim", metrics.ssim), ("l1", metrics.l1_fraction)),
    ):
        expected = np.mean([score(t, r.astype(np.uint8)) for t, r in zip(truth, result)])
        assert abs(found[f"validation_{name}"] - expected) < 1e-9, name
    assert len(found) == 3


def test_few_pictures_go_through_the_network_at_a_time_and_each_once(toy):
    seen, labels = [], []
    recipe = _darker(toy.recipe(), seen)

    def terms(label, mask):
        labels.append((label.shape, mask.shape))
        return {"size": float(len(label))}

    recipe.validation_terms = terms
    found = validation.scores(recipe, _set(label_size=32))
    assert seen == [4, 4, 2] and labels[0] == ((4, 32, 32, 3), (4, SIZE, SIZE, 1))
    # A mean over pictures, not over batches: (4 * 4 + 4 * 4 + 2 * 2) / 10.
    assert abs(found["validation_size"] - 3.6) < 1e-12


def test_a_result_that_is_not_finite_is_named(toy):
    recipe = toy.recipe()
    recipe.preview = lambda image, mask: {"coarse": image, "result": image * np.nan}
    with pytest.raises(UserError, match=r"validation, 'result'.*NaN"):
        validation.scores(recipe, _set())


def test_scores_and_pictures_have_their_own_intervals(train, toy, tmp_path):
    recipe = _darker(toy.recipe())
    recipe.validation_terms = lambda label, mask: {"l2": 0.25}
    train(6, recipe, validation=_set(), validate_every=2, picture_every=3)
    lines = [json.loads(x) for x in (tmp_path / "run" / "statistics.jsonl").open()]
    lines = [line for line in lines if "validation_psnr" in line]
    assert [line["step"] for line in lines] == [2, 4, 6]
    names = {"step", *(f"validation_{x}" for x in ("psnr", "ssim", "l1", "l2"))}
    assert all(set(line) == names and line["validation_l2"] == 0.25 for line in lines)
    assert (tmp_path / "run" / "pictures" / "latest.png").is_file()
