"""Fixtures that several test files share: tiny weights, small photographs, and the commands as a user runs them."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib.util
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import types

import cv2
import numpy as np
import pytest
from absl import flags

from common import command_line
from common.data import datasets
from common.images import convert
from common.masks import files as mask_files
from common.scoring import baselines, protocol

ROOT = pathlib.Path(__file__).resolve().parents[1]
FORKED_COMMANDS = ROOT / "tests" / "forked_commands.py"


def pytest_configure():
    """In a shell's background job Ctrl-C is ignored, by its child processes too, and some tests press it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# Of code that calls neither Keras nor TensorFlow. `images`, which is quick, stays: the other environment's NumPy is
# an earlier one too.
WITHOUT_KERAS = [
    *(ROOT / "tests" / x for x in ("studies", "common/masks", "common/scoring", "inpainting/bulk")),
    *(ROOT / "tests/common/data" / f"test_{x}.py" for x in ("cache", "datasets", "shards")),
    *(ROOT / "tests/attack" / f"test_{x}.py" for x in ("flags", "lists", "masks", "onnx_files")),
    *(ROOT / "tests/attack" / f"test_{x}.py" for x in ("photographs", "result_files")),
]
KERAS_AFTER_ALL = ROOT / "tests/common/scoring/test_inception.py"


# Folders by how long their files take; all others are quick.
LONGEST = [ROOT / "tests", ROOT / "tests/zoom_to_inpaint", ROOT / "tests/hifill"]


def without_keras(path):
    return path != KERAS_AFTER_ALL and any(x in (path, *path.parents) for x in WITHOUT_KERAS)


def pytest_collection_modifyitems(config, items):
    """Leaves `default_environment` and `WITHOUT_KERAS` out of the other one.

    Files of whole commands and of networks, the longest, run first: with several workers none is left alone with one at
    the end.
    """
    if importlib.util.find_spec("tensorflow_addons") is not None:
        left_out = [
            item
            for item in items
            if item.get_closest_marker("default_environment") or without_keras(item.path)
        ]
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)
    items.sort(key=lambda item: (*LONGEST, item.path.parent).index(item.path.parent))


def pytest_collection_finish():
    """The garbage collector passes over what imports have left, a million objects, which no test frees."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """A test and the fixtures made for it draw the same weights in every run: what fails once can be looked into.

    Keras' initializers take their seeds from Python's generator. TensorFlow's own seed is left alone: setting it throws
    away the functions it has made ready, which costs some tests seconds.
    """
    random.seed(0)
    np.random.seed(0)


# Runs a script as Python would, after one change.
EAGERLY = """
import runpy, sys
import tensorflow as tf
tf.config.run_functions_eagerly(True)
del sys.argv[0]
sys.path[0] = sys.argv[0].rpartition("/")[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def command_words(name, eagerly=False):
    """What starts a command of the repository, or a module given as "-mMODULE"."""
    if name.startswith("-m"):
        return [sys.executable, "-m", name.removeprefix("-m")]
    return [sys.executable, *(("-c", EAGERLY) if eagerly else ()), str(ROOT / f"{name}.py")]


@pytest.fixture(scope="session", name="command_words")
def _command_words():
    return command_words


@pytest.fixture(scope="session")
def run_command(forked):
    """run_command("inpaint", "--flag=value", cwd=folder) -> the finished process, output as text.

    quick: by `forked`, where a test is not of the command's start.
    eagerly: so too, without tracing graphs, which is most of the time of a command with a tiny network.
    """

    def run(name, *arguments, cwd=None, timeout=900, quick=False, eagerly=False, **environment):
        words = [*command_words(name), *map(str, arguments)]
        if quick or eagerly:
            return forked(*words[1:], cwd=cwd, timeout=timeout, eagerly=eagerly, **environment)
        return subprocess.run(
            words,
            cwd=cwd,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        )

    return run


@pytest.fixture(scope="session")
def forked(tmp_path_factory):
    """forked(words of Python's command line, cwd=folder) -> the finished process, by `forked_commands.py`."""
    folder, servers = tmp_path_factory.mktemp("forked"), []

    def server():
        if not servers:
            command = [sys.executable, "-Wignore::DeprecationWarning", FORKED_COMMANDS]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
            servers.append(subprocess.Popen(command, env=environment, **pipes))
        return servers[0]

    def run(*words, cwd=None, timeout=900, eagerly=False, **environment):
        files = [folder / name for name in ("output", "errors")]
        for path in files:
            path.write_bytes(b"")
        command = {"words": list(map(str, words)), "files": list(map(str, files))}
        command |= {"folder": str(cwd or os.getcwd()), "environment": environment}
        command |= {"timeout": timeout, "eagerly": eagerly}
        process = server()
        print(json.dumps(command), file=process.stdin, flush=True)
        code = int(process.stdout.readline())
        return subprocess.CompletedProcess(words, code, *(path.read_text() for path in files))

    yield run
    for process in servers:
        process.communicate()


@pytest.fixture(scope="module")
def train():
    """train.py as a module of its own; its flags and the models' are defined until the end of the test's file alone.

    So other commands' tests may define theirs.
    """
    with _command("train") as module:
        module.prepare()
        yield module


@pytest.fixture(scope="module")
def evaluate():
    """evaluate.py likewise; not in a file of tests that use `train`."""
    with _command("evaluate") as module:
        yield module


@pytest.fixture(scope="session")
def command_module():
    """with command_module("export") as module: a command's module, its flags defined within the block alone."""
    return _command


@pytest.fixture(scope="module")
def own_flags():
    """Flags that this file's commands define are defined until its end alone; other commands' are not."""
    with _own_flags():
        yield


@pytest.fixture(scope="module")
def bulk(own_flags):
    """The modules of `inpaint bulk`, with their flags."""
    from inpainting import run
    from inpainting.bulk import cluster, command, rows, worker

    if (
        "image" not in flags.FLAGS
    ):  # another file's tests imported it, and its flags ended with them
        importlib.reload(run)
    command.prepare()
    return types.SimpleNamespace(cluster=cluster, command=command, rows=rows, worker=worker)


@contextlib.contextmanager
def _command(name):
    path = ROOT / "inpainting" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_of_the_tests", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their module
    with _own_flags():
        spec.loader.exec_module(module)
        yield module
    del sys.modules[spec.name]


@contextlib.contextmanager
def _own_flags():
    others = _commands_flags()
    for other in others:
        delattr(flags.FLAGS, other)
    yield
    for name in _commands_flags():
        delattr(flags.FLAGS, name)
    for name, flag in others.items():
        flags.FLAGS[name] = flag


def _commands_flags():
    """{name: flag} of all that are not absl's own."""
    found, defined_by = flags.FLAGS, flags.FLAGS.find_module_defining_flag
    return {name: found[name] for name in found if not defined_by(name, "").startswith("absl")}


@pytest.fixture
def parse(train):
    """parse("--flag=value", ...) as train.py parses its command line; every other flag has its default."""

    def parsed(*arguments):
        flags.FLAGS.unparse_flags()
        command_line.parse(["train.py", *map(str, arguments)])

    return parsed


@pytest.fixture(scope="session")
def mean_errors():
    """mean_errors(kind, name, inpaint) -> {method: mean L1 over holes of a kind}: of `inpaint`, Telea and harmonic.

    On 256x256 crops of every third of the sample photographs, which are in no training set of the package's weights.
    Known pixels have to stay as they are.
    """

    def errors(kind, name, inpaint):
        source, found = mask_files.mask_source(kind), {}
        paths = {p for split in datasets.SPLITS for p in datasets.files("sample", None, split)}
        for number, path in enumerate(sorted(paths)[::3]):
            image = np.ascontiguousarray(protocol.center_crop(convert.read_rgb(path), 256))
            mask = source(256, 256, (0, number))
            painted = {n: baselines.inpaint(n, image, mask) for n in ("telea", "harmonic")}
            for method, filled in {**painted, name: inpaint(image, mask)}.items():
                np.testing.assert_array_equal(filled[mask == 0], image[mask == 0])
                wrong = np.abs(filled[mask > 0].astype(float) - image[mask > 0])
                found.setdefault(method, []).append(wrong.mean())
        return {method: np.mean(values) for method, values in found.items()}

    return errors


@pytest.fixture(scope="session")
def tiny_config():
    """A HiFill of a few thousand weights at 64x64."""
    from hifill import PAPER

    return dataclasses.replace(PAPER, name="tiny", size=64, channels=4, discriminator_channels=4)


@pytest.fixture(scope="session")
def tiny_weights(tiny_config, tmp_path_factory):
    """Path of a weights file of an untrained tiny HiFill."""
    import hifill

    path = tmp_path_factory.mktemp("weights") / "tiny.npz"
    hifill.HiFill(tiny_config).save(path)
    return path


@pytest.fixture(scope="session")
def tiny_zoom_weights(tmp_path_factory):
    """Path of a weights file of an untrained tiny Zoom-to-Inpaint."""
    import zoom_to_inpaint

    path = tmp_path_factory.mktemp("weights") / "tiny_zoom.npz"
    config = zoom_to_inpaint.ZoomConfig(
        name="tiny", channels=4, sr_channels=4, discriminator_channels=4, size=16
    )
    zoom_to_inpaint.ZoomToInpaint(config).save(path)
    return path


@pytest.fixture
def eagerly():
    """Nothing is traced: for a few calls that would take longer than the calls."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def photo(tmp_path):
    """tmp_path with photo.png (90x70) and mask.png, a 20x15 hole; returns tmp_path."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), cv2.resize(small, (90, 70)))
    mask = np.zeros((70, 90), np.uint8)
    mask[30:45, 20:40] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    return tmp_path
