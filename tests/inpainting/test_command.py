"""The command `inpaint`: its commands, values without names, masks for many photographs and holes in alpha."""

from __future__ import annotations

import pathlib
import sys

import cv2
import numpy as np
import pytest

from inpainting import command

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOLE = (slice(20, 40), slice(30, 60))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a photograph and a mask, where commands run."""
    monkeypatch.chdir(tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    mask = np.zeros((70, 90), np.uint8)
    mask[HOLE] = 255
    cv2.imwrite("photo.png", image)
    cv2.imwrite("mask.png", mask)
    return tmp_path


@pytest.fixture
def fill(here, run_command):
    """fill("--flag=value", ...) -> the finished process of `inpaint run --model=telea`."""

    def filled(*arguments, code=0):
        process = run_command(
            *("-minpainting", "run", "--model=telea", *arguments), cwd=here, PYTHONPATH=str(ROOT)
        )
        assert process.returncode == code, process.stderr
        return process

    return filled


def changed(before, after):
    return (cv2.imread(str(before)) != cv2.imread(str(after))).any(axis=2)


def test_photograph_mask_and_result_need_no_names(fill, here):
    fill("photo.png", "mask.png", "--dilate=1", "filled.png")
    found = changed(here / "photo.png", here / "filled.png")
    assert found[HOLE].any() and not found[:10].any()


def test_a_name_and_a_value_for_the_same_flag_are_one_too_many(fill):
    process = fill("photo.png", "mask.png", "filled.png", "--image=photo.png", code=2)
    assert "'photo.png' and --image=photo.png" in process.stderr
    process = fill("photo.png", "mask.png", "filled.png", "more.png", code=2)
    assert "'more.png' is not a flag" in process.stderr


def test_one_mask_fills_all_photographs_of_its_size(fill, here):
    (here / "photos").mkdir()
    for name in "ab":
        (here / "photos" / f"{name}.png").write_bytes((here / "photo.png").read_bytes())
    cv2.imwrite("photos/small.png", np.zeros((30, 30, 3), np.uint8))
    process = fill("photos", "mask.png", "out", code=1)
    assert "2 filled" in process.stdout and "small.png" in process.stderr
    assert sorted(path.name for path in (here / "out").iterdir()) == ["a.png", "b.png"]


def test_without_a_mask_what_is_transparent_is_filled_and_opaque(fill, here):
    image = cv2.imread("photo.png", cv2.IMREAD_UNCHANGED)
    alpha = np.full(image.shape[:2], 255, np.uint8)
    alpha[HOLE], alpha[:5] = 0, 200
    cv2.imwrite("cut.png", np.dstack([image, alpha]))
    fill("--image=cut.png", "--output=filled.png")
    before, after = (cv2.imread(n, cv2.IMREAD_UNCHANGED) for n in ("cut.png", "filled.png"))
    assert (after[HOLE][..., 3] == 255).all() and (before[HOLE] != after[HOLE]).any()
    known = np.ones(alpha.shape, bool)
    known[HOLE] = False
    np.testing.assert_array_equal(before[known], after[known])
    process = fill("--image=photo.png", "--output=x.png", code=1)
    assert "--mask is missing: photo.png has no transparent part" in process.stderr
    cv2.imwrite("opaque.png", np.dstack([image, np.full_like(alpha, 255)]))
    process = fill("--image=opaque.png", "--output=x.png", code=1)
    assert "opaque.png has no transparent part" in process.stderr


@pytest.mark.parametrize("words, code", [([], 2), (["--help"], 0), (["fill"], 2)])
def test_without_a_command_it_says_which_there_are(monkeypatch, capsys, words, code):
    monkeypatch.setattr(sys, "argv", ["inpaint", *words])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == code
    said = "".join(capsys.readouterr())
    assert all(name in said for name in command.COMMANDS)


@pytest.mark.parametrize("name", command.COMMANDS)
def test_help_of_a_command_needs_no_tensorflow(run_command, tmp_path, name):
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('TensorFlow was started')")
    path = f"{tmp_path}:{ROOT}"
    process = run_command("-minpainting", name, "--help", cwd=tmp_path, PYTHONPATH=path)
    assert process.returncode == 0, process.stdout + process.stderr
    flag = "--host:" if name == "serve" else "--output:"
    assert flag in process.stdout and command.__doc__ not in process.stdout


def test_help_that_is_cut_off_is_no_error(run_command, tmp_path):
    """As by `inpaint train --help | head -1`."""
    code = (
        "import os, subprocess, sys; "
        "p = subprocess.Popen([sys.executable, '-m', 'inpainting', 'train', '--help'], "
        "stdout=subprocess.PIPE, stderr=subprocess.PIPE); "
        "p.stdout.close(); sys.stderr.write(p.stderr.read().decode())"
    )
    (tmp_path / "cut.py").write_text(code)
    process = run_command("-mcut", cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert "Traceback" not in process.stderr, process.stderr
