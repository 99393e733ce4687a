"""The Python API of both models, and residual aggregation, with arrays of any type, shape and content."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hifill
import zoom_to_inpaint
from common.images import convert
from hifill import photograph
from hifill import residual_aggregation as residuals

DTYPES = ("uint8", "float32", "float64", "float16", "int32", "bool", "complex64", "object", "U3")
ODD = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.integers(),
    st.lists(st.floats(), max_size=3),
    st.just([[1, 2], [3]]),
    st.binary(max_size=3),
    st.just({}),
)


@st.composite
def arrays(draw, shapes, dtypes=DTYPES):
    """An array of a drawn type and shape; floats also hold NaN, infinity and values beyond [0, 1]."""
    shape, dtype = draw(shapes), draw(st.sampled_from(dtypes))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    top = draw(st.sampled_from((0, 1, 255, 1e30)))
    with np.errstate(invalid="ignore"):
        array = np.asarray(rng.random(shape) * top).astype(dtype)
    if array.dtype.kind == "f" and array.size and draw(st.booleans()):
        array.flat[rng.integers(array.size)] = draw(st.sampled_from((np.nan, np.inf, -1.0)))
    return array[::-1] if array.ndim and draw(st.booleans()) else array


ANY_SHAPE = st.lists(st.integers(0, 9), max_size=5).map(tuple)
SIDES = st.integers(1, 60) | st.sampled_from((15, 16, 17, 63, 64, 65, 300, 700))


def photographs_and_masks(draw, sides=SIDES):
    """Mostly arrays that fit; otherwise something else in place of one of them."""
    height, width = draw(sides), draw(sides)
    image = draw(arrays(st.just((height, width, 3)), ("uint8",)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    mask = (rng.random((height, width)) < draw(st.sampled_from((0, 0.01, 0.5, 1)))).astype(np.uint8)
    if draw(st.booleans()):
        mask[:] = 0
        top, left = rng.integers(height), rng.integers(width)
        mask[top : top + rng.integers(1, 90), left : left + rng.integers(1, 700)] = 200
    kind = draw(st.integers(0, 5))
    if kind == 0:
        image = draw(arrays(ANY_SHAPE) | ODD)
    if kind == 1:
        mask = draw(arrays(ANY_SHAPE | st.just((height, width))) | ODD)
    return image, mask


def check_filled(image, mask, filled):
    assert filled.dtype == np.uint8 and filled.shape == image.shape
    known = np.asarray(mask) == 0
    return np.array_equal(filled[known], image[known])


@pytest.fixture(scope="module")
def models(tiny_config):
    """A tiny untrained model of each paper."""
    zoom = zoom_to_inpaint.ZoomConfig(
        name="tiny", channels=4, sr_channels=4, discriminator_channels=4, size=16
    )
    return hifill.HiFill(tiny_config), zoom_to_inpaint.ZoomToInpaint(zoom)


@given(st.data())
def test_hifill_on_photographs(attempt, models, data):
    image, mask = photographs_and_masks(data.draw)
    taken, filled = attempt("arrays", lambda: models[0].inpaint(image, mask))
    attempt.require(
        "arrays", "changed known pixels", not taken or check_filled(image, mask, filled)
    )


@given(st.data())
def test_zoom_to_inpaint_on_photographs(attempt, models, data):
    # Few sizes, since every size is traced.
    image, mask = photographs_and_masks(data.draw, st.sampled_from((1, 16, 17)))
    taken, filled = attempt("arrays", lambda: models[1].inpaint(image, mask))
    attempt.require(
        "arrays", "changed known pixels", not taken or check_filled(image, mask, filled)
    )


@given(st.data())
def test_batches(attempt, models, data):
    """`generate` and `fill` of both, and Zoom-to-Inpaint's `attention`."""
    number, name = data.draw(
        st.sampled_from(
            [*((n, name) for n in (0, 1) for name in ("generate", "fill")), (1, "attention")]
        )
    )
    side, kind = (64, 16)[number], data.draw(st.integers(0, 3))
    fits = kind == 0
    shapes = (
        st.just((1, side, side)) if fits else st.lists(st.integers(0, 3), max_size=4).map(tuple)
    )
    shape = data.draw(shapes)
    image = data.draw(arrays(st.just((*shape, 3)) if kind < 3 else ANY_SHAPE) | ODD)
    mask = data.draw(arrays(st.just((*shape, 1)) if kind < 2 else ANY_SHAPE) | ODD)
    attempt("arrays", lambda: getattr(models[number], name)(image, mask))


@given(st.data())
def test_windows_of_any_photograph(attempt, data):
    """The windows of HiFill around a generator of noise: thin photographs, any hole."""
    config = hifill.HiFillConfig(size=64, enlarge=data.draw(st.booleans()))
    sides = SIDES | st.integers(16, 200) | st.just(1000)
    image, mask = photographs_and_masks(data.draw, sides)
    rng, grid = np.random.default_rng(0), config.grid
    odd = data.draw(st.sampled_from((1.0, 1.0, 1.0, 1e30, np.nan, np.inf)))

    def network(low, hole):
        assert np.isfinite(low).all() and low.shape == (1, 64, 64, 3) and hole.any()
        refined = rng.random((1, 64, 64, 3), np.float32) * odd
        return refined, rng.random((1, grid**2, grid**2), np.float32) / grid**2

    taken, filled = attempt("arrays", lambda: photograph.inpaint(network, config, image, mask))
    attempt.require(
        "arrays", "changed known pixels", not taken or check_filled(image, mask, filled)
    )


@given(st.data())
def test_residual_aggregation(attempt, data):
    image, mask = photographs_and_masks(data.draw)
    side, patches = data.draw(st.sampled_from((8, 12, 32))), data.draw(st.integers(0, 8))
    squares = st.just((side, side, 3)) | ANY_SHAPE
    generated = data.draw(arrays(squares) | ODD)
    attention = data.draw(arrays(st.just((patches**2,) * 2) | ANY_SHAPE) | ODD)
    taken, filled = attempt(
        "arrays", lambda: residuals.aggregate_residuals(image, mask, generated, attention)
    )
    attempt.require(
        "arrays", "changed known pixels", not taken or check_filled(image, mask, filled)
    )


@given(st.data())
def test_conversions(attempt, data):
    image = data.draw(arrays(ANY_SHAPE, DTYPES[:4]))
    for call in (convert.to_unit, convert.to_uint8):
        taken, found = attempt("arrays", lambda call=call: call(image))
        assert not taken or (found.shape == image.shape and math.isfinite(found.sum()))
