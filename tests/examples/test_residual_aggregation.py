"""The residual aggregation of examples/browser, run by node, gives what examples/onnx_photograph.py gives."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from examples import onnx_photograph

HERE = pathlib.Path(__file__).parent
MODULE = HERE.parents[1] / "examples" / "browser" / "residual_aggregation.mjs"
pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")


def in_node(folder, size, image, hole, output, attention, blur=0.0):
    """The finished process of node; its results lie in `folder`."""
    rgba = np.dstack([image, np.full(hole.shape, 200, np.uint8)])
    arrays = {"pixels": rgba, "hole": hole.astype(np.uint8)}
    arrays.update(output=output, attention=attention)
    for name, array in arrays.items():
        (folder / name).write_bytes(array.tobytes())
    sizes = {"width": hole.shape[1], "height": hole.shape[0], "size": size, "blur": blur}
    (folder / "sizes.json").write_text(json.dumps(sizes))
    command = ["node", HERE / "residual_aggregation.mjs", MODULE, folder]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def drawn(size, width, height):
    """(image, output, attention): a photograph of patches of colour, and what a network might give."""
    rng, patches = np.random.default_rng(0), (size // 16) ** 2
    image = rng.integers(0, 256, (height // 5 + 2, width // 5 + 2, 3), dtype=np.uint8)
    output = 255 * rng.random((1, 3, size, size), dtype=np.float32)
    attention = rng.random((1, patches, patches), dtype=np.float32) ** 8  # a few weights are large
    return cv2.resize(image, (width, height)), output, attention / attention.sum(-1, keepdims=True)


@pytest.mark.parametrize("blur", [0.0, 2.0])
@pytest.mark.parametrize(
    "size, width, height, boxes",
    [
        # Whole pixels in a cell, no padding; known pixels between those of the hole in one row of a patch.
        (64, 128, 192, [(10, 60, 20, 90), (100, 110, 40, 42), (100, 110, 50, 55)]),
        (64, 131, 97, [(10, 60, 20, 90), (93, 97, 125, 131)]),  # a hole in the corner with padding
        (64, 64, 64, [(10, 11, 20, 21)]),  # one pixel; no reduction
        (64, 100, 70, [(0, 70, 0, 100)]),  # nothing is known
        (64, 100, 70, []),  # nothing to fill
        (256, 523, 391, [(100, 160, 200, 400), (350, 391, 0, 9)]),
    ],
)
def test_it_gives_what_the_numpy_example_gives(tmp_path, size, width, height, boxes, blur):
    """1e-6 and one level: float64 here, float32 there."""
    image, output, attention = drawn(size, width, height)
    hole, seen = np.zeros((height, width), bool), []
    for top, bottom, left, right in boxes:
        hole[top:bottom, left:right] = True

    def run(*inputs):
        seen.extend(inputs)
        return output, attention

    wanted = onnx_photograph.fill(run, size, image, hole, blur)
    done = in_node(tmp_path, size, image, hole, output, attention, blur)
    assert done.returncode == 0, done.stderr
    reduced, mask = (np.fromfile(tmp_path / name, np.float32) for name in ("image", "mask"))
    np.testing.assert_allclose(reduced, seen[0].ravel(), atol=1e-6)
    np.testing.assert_array_equal(mask, seen[1].ravel())
    filled = np.fromfile(tmp_path / "filled", np.uint8).reshape(height, width, 4)
    np.testing.assert_array_equal(filled[..., :3][~hole], image[~hole])
    np.testing.assert_array_equal(filled[..., 3], 200)  # as it was
    difference = np.abs(filled[..., :3].astype(int) - wanted)
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


def test_a_photograph_that_is_too_small_is_refused(tmp_path):
    done = in_node(
        tmp_path, 64, *drawn(64, 64, 63)[:1], np.zeros((63, 64), bool), *drawn(64, 64, 63)[1:]
    )
    assert done.returncode == 1
    assert (
        "The photograph has 64x63 pixels; this model fills photographs of 64x64 or more."
        in done.stderr
    )
    assert not (tmp_path / "filled").exists()
