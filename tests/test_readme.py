"""README stays true: its commands run, its Python example runs, its paths exist."""

from __future__ import annotations

import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from absl import flags

from common.images import convert
from hifill import demo_masks

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
# The paper's experiments take days: here they run at toy size. Everything else runs as it is written.
TOY = (
    *("--hifill_size=64", "--hifill_channels=4", "--batch_size=1", "--critic_steps=0", "--steps=1"),
    "--coarse_gate=pw",  # one operation each: quick to trace
)
TOY_EVALUATION = ("--count=1",)
TOY_STUDIES = ("--study=zoom_table_1", "--count=20")  # all of them: half an hour
TOY_ZOOM = (
    *("--zoom_channels=4", "--zoom_size=16", "--batch_size=1", "--steps=1", "--vgg_weights=none"),
    "--stages=pretrain_coarse",  # all of them: tests/test_zoom_commands.py
)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, tiny_weights, tiny_zoom_weights):
    """A folder as README's reader has it: photographs, masks, trained weights, data sets."""
    folder = tmp_path_factory.mktemp("readme")
    image = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    mask = np.zeros((80, 100), np.uint8)
    mask[20:40, 30:60] = 255
    for path in ("photo.jpg", "photos/a.jpg", "photos/b.png"):
        (folder / path).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / path), image)
    for path in ("mask.png", "masks/a.png", "masks/b.png"):
        (folder / path).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / path), mask)
    for path in ("data/DIV2K/DIV2K_valid_HR/0801.png", "data/places2/data_large/a/1.png"):
        (folder / path).parent.mkdir(parents=True)
        cv2.imwrite(str(folder / path), cv2.resize(image, (300, 280)))
    trained = {
        "runs/mine/weights.npz": tiny_weights,
        "runs/zoom/joint_large/weights.npz": tiny_zoom_weights,
    }
    for path, weights in trained.items():
        (folder / path).parent.mkdir(parents=True)
        shutil.copy(weights, folder / path)
    return folder


@pytest.mark.default_environment
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python ")])
def test_command(workplace, run_command, command):
    words = shlex.split(command.replace("/data/", f"{workplace}/data/"))
    script, arguments = words[1].removesuffix(".py"), words[2:]
    if script == "train":
        zoom = any("--stages" in a or "zoom_to_inpaint" in a for a in arguments)
        arguments += TOY_ZOOM if zoom else TOY
    if script == "evaluate":
        arguments += TOY_EVALUATION
    if "--study=all" in arguments:
        arguments += TOY_STUDIES
    # With traced graphs: tests/test_commands.py, tests/test_zoom_commands.py and the demo below.
    eagerly = script in ("train", "evaluate") or (script == "inpaint" and "harmonic" not in command)
    eagerly |= script != "export" and "--weights" in command
    process = run_command(script, *arguments, cwd=workplace, eagerly=eagerly)
    assert process.returncode == 0, process.stderr
    given = [a.split("=", 1)[1] for a in arguments if a.startswith("--output=")]
    (output,) = given or ["results/table.md"]  # evaluate.py's own
    # A dry run's own output: nothing has been written there, by this command or another.
    assert (workplace / output).exists() == ("--dry_run" not in arguments)


def test_every_other_command_is_a_target_of_make():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in (c for c in COMMANDS if not c.startswith("python ")):
        maker, target = command.split()
        assert maker == "make" and target in targets
    for target in re.findall(r"`make ([a-z-]+)`", README):
        assert target in targets


@pytest.mark.default_environment
@pytest.mark.parametrize("code", PYTHON)
def test_python_example(workplace, code):
    check = "\nassert filled.shape == image.shape and filled.dtype == image.dtype\n"
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    eagerly = "import tensorflow as tf; tf.config.run_functions_eagerly(True)\n"
    script = f"{start}{eagerly}{code}{check}"
    process = subprocess.run(
        [sys.executable, "-c", script], cwd=workplace, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr


def test_paths_exist():
    for path in re.findall(
        r"`((?:common|hifill|zoom_to_inpaint|configs|docs|benchmarks|studies)/[^`]*)`", README
    ):
        assert list(ROOT.glob(path)) or (ROOT / path).exists(), path
    for path in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / path).exists(), path


def test_paths_of_the_documents_exist():
    for document in (ROOT / "docs").glob("*.md"):
        text = document.read_text(encoding="utf-8")
        for path in re.findall(
            r"`((?:common|hifill|zoom_to_inpaint|tests|configs|benchmarks|examples|studies)/[\w/.*]+)`",
            text,
        ):
            assert list(ROOT.glob(path)), f"{document.name}: {path}"


@pytest.mark.parametrize("document", ["departures", "training", "paper_map"])
def test_flags_of_the_documents_exist(train, document):
    defined = set(flags.FLAGS)  # absl's own and those of train.py
    for path in (*ROOT.glob("*.py"), *ROOT.glob("*/*.py"), *ROOT.glob("*/*/*.py")):
        text = path.read_text(encoding="utf-8")
        defined |= set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', text))
    text = (ROOT / "docs" / f"{document}.md").read_text(encoding="utf-8")
    for flag in re.findall(r"(?<![\w-])--(\w+)", text):
        assert flag in defined or flag.removeprefix("no") in defined, f"--{flag}"


TRAININGS = [
    line
    for document in sorted((ROOT / "docs").glob("*.md"))
    for line in document.read_text(encoding="utf-8").splitlines()
    if line.startswith("python train.py")
]


@pytest.mark.parametrize("command", TRAININGS)
def test_trainings_of_the_documents_contradict_nothing(train, parse, command):
    parse(*shlex.split(command)[2:])
    job = train.Job.of_flags()
    job.check_flags()
    assert job.values["steps"] > 1 and job.recipe.config(job.values)
    if job.command.model == "zoom_to_inpaint":
        job.recipe.check_start(job.values)


@pytest.mark.default_environment
def test_demo(run_command, tmp_path):
    """`make demo`: its pictures exist, and what is not in a hole is the photograph's."""
    process = run_command("-mhifill.demo", "--output=demo", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert process.returncode == 0, process.stderr
    for subject in demo_masks.SUBJECTS:
        assert (tmp_path / "demo" / f"{subject.name}.png").is_file()
        before, hole, after = (
            convert.read_rgb(tmp_path / "demo" / folder / f"{subject.name}.png")
            for folder in ("photographs", "masks", "filled")
        )
        changed = (before != after).any(axis=2)
        assert changed.any() and not changed[hole[..., 0] == 0].any()
    assert (tmp_path / "demo" / "overview.png").is_file()
    assert "demo/overview.png" in process.stdout


@pytest.mark.full
@pytest.mark.default_environment
def test_demo_training(run_command, tmp_path):
    """`make demo-training` with seconds of training: all its steps run and its pictures exist."""
    process = run_command(
        *("-mhifill.demo_training", "--output=demo", "--minutes=0.02"),
        cwd=tmp_path,
        PYTHONPATH=str(ROOT),
    )
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "demo" / "photograph.png").is_file()
    assert (tmp_path / "demo" / "evaluation" / "mixed" / "pictures.png").is_file()
