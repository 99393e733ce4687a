"""PatchMatch's wrapper with a stand-in for the library: what it is given, what of it is taken, and its absence."""

from __future__ import annotations

import importlib.util
import sys
import types

import numpy as np
import pytest

from common.errors import UserError
from common.scoring import patchmatch
from inpainting import painters

INSTALLED = importlib.util.find_spec("patchmatch_cython") is not None


def _case():
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    mask = np.zeros((60, 70), np.uint8)
    mask[20:40, 30:45] = 1
    return image, mask


@pytest.fixture
def library(monkeypatch):
    """A library that records what it was given and returns another picture everywhere."""
    calls = []

    def inpaint_pyramid(image, mask, seed):
        calls.append((image.copy(), mask.copy(), seed))
        return np.full_like(image, 200)

    module = types.SimpleNamespace(inpaint_pyramid=inpaint_pyramid)
    monkeypatch.setitem(sys.modules, "patchmatch_cython", module)
    return calls


def test_only_the_hole_is_taken_and_what_it_held_is_not_given(library):
    image, mask = _case()
    found = patchmatch.inpaint(image, mask, seed=3)
    np.testing.assert_array_equal(found[mask == 0], image[mask == 0])
    assert (found[mask > 0] == 200).all()
    ((given, hole, seed),) = library
    assert (given[mask > 0] == 128).all() and seed == 3
    np.testing.assert_array_equal(hole, mask > 0)
    assert patchmatch.available()
    filled = painters.painter("patchmatch", None)(image, mask)
    np.testing.assert_array_equal(filled, found)


def test_nothing_and_everything_is_hole(library):
    image, mask = _case()
    np.testing.assert_array_equal(patchmatch.inpaint(image, mask * 0), image)
    assert (patchmatch.inpaint(image, mask * 0 + 1) == 128).all()
    assert not library


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "patchmatch_cython", None)
    assert not patchmatch.available()
    for call in (lambda: patchmatch.inpaint(*_case()), patchmatch.checked_painter):
        with pytest.raises(UserError, match="pip install patchmatch-cython"):
            call()


@pytest.mark.skipif(not INSTALLED, reason="patchmatch-cython is not installed")
def test_the_library_itself():
    """A periodic texture comes back, twice the same, whatever was under the hole."""
    y, x = np.mgrid[:60, :70]
    stripes = np.repeat((60 + 120 * ((x + y) // 5 % 2))[..., None], 3, axis=2).astype(np.uint8)
    mask = _case()[1]
    results = []
    for colour in ((255, 0, 255), (0, 255, 0)):
        painted = np.where(mask[..., None] > 0, np.uint8(colour), stripes)
        results.append(patchmatch.inpaint(painted, mask))
    np.testing.assert_array_equal(*results)
    assert np.abs(results[0].astype(int) - stripes)[mask > 0].mean() < 40
