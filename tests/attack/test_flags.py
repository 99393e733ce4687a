"""Command lines: any value for any flag, through each command's own checks; nothing is trained, loaded or exported.

A command ends with 0, or with one line on stderr and exit code 1 or 2.
"""

from __future__ import annotations

import contextlib
import io
import os
import pathlib

import numpy as np
import pytest
from absl import flags
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from common import command_line, errors
from common.models import saved_model
from inpainting import painters

NUMBERS = st.one_of(
    st.integers(-2, 300).map(str),
    st.floats().map(str),
    st.sampled_from(
        ("10" * 30, "1e400", "0x10", "1_000", "٣", "-0", "1,2", "0.5,0.5,1e9", "nan,inf")
    ),
)
WORDS = st.one_of(
    st.sampled_from(
        ("", " ", "\0", "a\nb", "x" * 300, "None", "true", "no", "sample", "folder", "none")
    ),
    st.sampled_from(
        ("telea", "harmonic,mean", "hifill", "zoom_to_inpaint", "pretrained", "ns", "all")
    ),
    st.sampled_from(
        ("places2", "div2k", "irregular", "large,small", "crop", "sr,zoom", "=", ",", "'a'")
    ),
    st.text(max_size=6),
)
# Files and folders below the folder of the input, and what is no file.
PATHS = st.sampled_from(
    (
        "photos",
        "photos/a.png",
        "photos/b.jpg",
        "masks",
        "mask.png",
        "nothing",
        "nothing/below",
        "pipe",
    )
    + (
        "text.txt",
        "new.png",
        "new",
        "photos/new",
        "photos/a.png/below",
        "closed",
        "/dev/null",
        "new/",
    )
    + ("/dev/full", "x" * 256, "weights.npz", "flags.cfg", "loop.cfg", "new.tar", "loop")
)
VALUES = st.one_of(NUMBERS, WORDS, PATHS)
REAL = painters.painter


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with photographs, masks, flagfiles and odd files; the commands run in it."""
    folder = tmp_path_factory.mktemp("flags")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
    hole = np.zeros((20, 30), np.uint8)
    hole[5:9, 5:9] = 255
    for name in ("photos", "masks", "closed"):
        (folder / name).mkdir()
    for name in ("a.png", "b.jpg"):
        image.save(folder / "photos" / name)
    Image.fromarray(hole).save(folder / "mask.png")
    Image.fromarray(hole).save(folder / "masks" / "a.png")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "text.txt").write_text("not a flag\n")
    (folder / "weights.npz").write_bytes(b"PK")
    (folder / "flags.cfg").write_text("# a comment\n--seed=3\n--model=telea\n")
    (folder / "loop.cfg").write_text("--flagfile=loop.cfg\n")
    before = pathlib.Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def lines(draw, names, given=()):
    """A command line: `given`, then some flags with drawn values; seldom words that are no flags."""
    found = [f"--{name}={draw(values)}" for name, values in given]
    for name in draw(st.lists(st.sampled_from(sorted(names)), max_size=4)):
        found.append(f"--{name}={draw(VALUES)}")
    if draw(st.integers(0, 9)) == 0:
        odd = ("-x", "--", "-", "--no", "--seed", "--=", "--undefok=x", "--help", "--nooverwrite")
        found.append(draw(st.sampled_from(odd) | st.text(max_size=5)))
    if draw(st.integers(0, 9)) == 0:
        found.append(f"--flagfile={draw(PATHS)}")
    return found


@pytest.fixture(scope="module")
def run(attempt, place):
    """run(call, words, positional): parses and calls; checks what the command prints and its exit code.

    several: a line for each file that failed.
    """
    own = {*flags.FLAGS}

    def checked(call, words, positional=(), several=False):
        flags.FLAGS.unparse_flags()
        for name in {*flags.FLAGS} - own:
            flags.FLAGS[name].value = flags.FLAGS[name].default
            flags.FLAGS[name].present = 0

        def command(argv):
            command_line.parse(argv, positional)
            return call()

        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            taken, found = attempt(
                "flags",
                lambda: command_line.guarded(command, ["command", *words]),
                place,
                also=(SystemExit,),
            )
        code = found if taken else found.code
        told = [line for line in said.getvalue().splitlines() if line.startswith("error: ")]
        assert code in (None, 0, 1, 2) and bool(told) == (code in (1, 2)), (code, said.getvalue())
        assert len(told) < 2 or several, told

    return checked


def names_of(module):
    """The flags of a command."""
    by_module = flags.FLAGS.flags_by_module_dict()
    return {flag.name for name, some in by_module.items() if "absl" not in name for flag in some}


@given(st.data())
def test_run(run, command_module, place, data):
    """The whole command, with a quick painter in place of the networks."""

    def mean(name, *_):
        return REAL(name if name not in painters.MODELS else "mean", None)

    with command_module("run") as module, pytest.MonkeyPatch.context() as patch:
        patch.setattr(painters, "painter", mean)
        given_flags = [("image", PATHS), ("mask", PATHS), ("output", PATHS)]
        given_flags = given_flags[: data.draw(st.sampled_from((0, 1, 2, 3, 3, 3)))]
        words = lines(data.draw, names_of(module), given_flags)
        run(lambda: module.main(None), words, module.POSITIONAL, several=True)


@given(st.data())
def test_evaluate(run, command_module, place, data):
    with command_module("evaluate") as module:

        def checks():
            _, problems = errors.collect(module._checks())
            errors.raise_together(problems)
            return 0 * len(
                module.layout() + str(module.size()) + module.fit() + module.masks_used()
            )

        run(checks, lines(data.draw, names_of(module)))


@given(st.data())
def test_export(run, command_module, place, data):
    with command_module("export") as module:

        def checks():
            module._check_flags()
            painters.check_weights(module.FLAGS.model, module.FLAGS.weights)
            saved_model.check_folder(module.FLAGS.output)

        run(checks, lines(data.draw, names_of(module), [("output", PATHS)]))


@given(st.data())
def test_train(run, train, place, data):
    def checks():
        job = train.Job.of_flags()
        _, problems = errors.collect(job.checks())
        errors.raise_together(problems, job.recipe.remarks(job.values))
        return 0 * job.schedule.steps

    run(checks, lines(data.draw, names_of(train), [("output", PATHS)]))
