"""The peak memory of filling a photograph, as a whole process (docs/reliability.md)."""

from __future__ import annotations

import statistics
import subprocess
import sys

import cv2
import numpy as np
import pytest

pytestmark = [pytest.mark.full, pytest.mark.default_environment]

PEAK = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


@pytest.fixture
def peak(command_words, tmp_path):
    """peak(height, width, suffix) -> megabytes of `inpaint run` with a hole of a ninth of the photograph."""

    def measured(height, width, suffix):
        rng = np.random.default_rng(0)
        small = rng.integers(0, 256, (max(2, height // 64), max(2, width // 64), 3), dtype=np.uint8)
        image = cv2.resize(small, (width, height))
        mask = np.zeros((height, width), np.uint8)
        mask[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 255
        names = [
            str(tmp_path / f"{name}{end}") for name, end in zip("pmo", (suffix, ".png", suffix))
        ]
        cv2.imwrite(names[0], image)
        cv2.imwrite(names[1], mask)
        words = [
            *command_words("inpaint"),
            *map("--{}={}".format, ("image", "mask", "output"), names),
        ]
        words.append("--overwrite")
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *words], stdout=subprocess.PIPE, text=True, check=True
        )
        return int(done.stdout.splitlines()[-1]) / 1000  # kilobytes on Linux

    return measured


@pytest.mark.parametrize(
    ("height", "width", "suffix", "most"), [(4000, 6000, ".jpg", 1300), (8192, 8192, ".png", 1900)]
)
def test_a_large_photograph_stays_below_the_stated_limit(peak, height, width, suffix, most):
    assert peak(height, width, suffix) <= most


@pytest.mark.parametrize(("height", "width"), [(16, 60000), (30000, 200)])
def test_a_thin_photograph_takes_as_much_as_a_square_of_as_many_pixels(peak, height, width):
    """Of three runs in turn the middle one: runs of one photograph differ by up to 0.5%."""
    side = round((height * width) ** 0.5)
    runs = [(peak(height, width, ".png"), peak(side, side, ".png")) for _ in range(3)]
    thin, square = map(statistics.median, zip(*runs))
    assert thin <= 1.005 * square
