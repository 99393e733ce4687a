"""Mask files, whole and damaged, and the random kinds of masks at any size."""

from __future__ import annotations

import io
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from common.masks import files as mask_files

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@st.composite
def files(draw):
    """(bytes of a mask file in a drawn mode and format, (height, width))."""
    size, kind = draw(SIZES), draw(st.sampled_from(("PNG", "TIFF", "BMP", "WEBP", "JPEG", "GIF")))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    levels = draw(st.sampled_from(((0, 255), (0, 1), (126, 127, 128, 129), (255,), (0,))))
    image = Image.fromarray(rng.choice(levels, size).astype(np.uint8))
    mode, stream = (
        draw(st.sampled_from(("L", "1", "RGB", "RGBA", "LA", "P", "I", "F"))),
        io.BytesIO(),
    )
    if mode in ("RGBA", "LA"):
        alpha = Image.fromarray(rng.choice(levels, size).astype(np.uint8))
        image = image.convert(mode)
        image.putalpha(alpha)
    try:
        image.convert(mode).save(stream, kind)
    except OSError:  # not every mode in every format
        return b"", size
    return stream.getvalue(), size


@pytest.fixture(scope="module")
def read(attempt, scratch):
    """read(bytes, *arguments of `read_mask`): checks the mask, if it is taken."""

    def checked(content, *arguments):
        with scratch() as folder:
            path = pathlib.Path(folder, "mask.png")
            path.write_bytes(content)
            taken, mask = attempt("masks", lambda: mask_files.read_mask(path, *arguments), folder)
        if taken:
            assert mask.dtype == np.uint8 and mask.ndim == 2 and mask.max() <= 1
            assert mask_files.coverage_warning(mask, "a mask") is None or mask.any()

    return checked


DILATE = st.integers(0, 50) | st.sampled_from((10**4, 2**31, 2**63 - 1))


@given(st.data())
def test_whole_files(read, data):
    content, size = data.draw(files())
    read(content, data.draw(st.just(size) | SIZES), data.draw(st.booleans()), data.draw(DILATE))


@given(st.data())
def test_damaged_files(read, damaged, data):
    content, size = data.draw(files())
    read(damaged(data.draw, content), data.draw(st.none() | st.just(size)))


@given(st.data())
def test_drawn_masks(attempt, scratch, damaged, data):
    """Of every kind and of a folder: at least one hole pixel and one known pixel."""
    kind = data.draw(st.sampled_from((*mask_files.KINDS, "folder", "", "\0", "no such kind")))
    height, width = data.draw(SIZES | st.tuples(st.integers(1, 4), st.integers(200, 900)))
    seed = data.draw(st.integers(0, 2**63) | st.tuples(st.integers(0, 9), st.integers(0, 2**32)))
    with scratch() as folder:
        for number in range(data.draw(st.integers(0, 2)) if kind == "folder" else 0):
            content, _ = data.draw(files())
            content = damaged(data.draw, content) if data.draw(st.booleans()) else content
            pathlib.Path(folder, f"{number}.png").write_bytes(content)
        spec = folder if kind == "folder" else kind
        taken, mask = attempt(
            "masks", lambda: mask_files.mask_source(spec)(height, width, seed), folder
        )
    if taken:
        assert mask.shape == (height, width) and mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 1}
