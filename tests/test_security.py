"""Promises of SECURITY.md about the whole code; other promises have their tests beside the code they are about."""

from __future__ import annotations

import ast
import pathlib

import pytest

from common.images.files import MAX_PIXELS
from hifill.config import HiFillConfig
from zoom_to_inpaint.config import ZoomConfig

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = ("common", "hifill", "inpainting", "zoom_to_inpaint")
SERVE = ROOT / "inpainting" / "serve"
# Modules that run what they read.
RUN_CODE = {"pickle", "shelve", "marshal", "dill", "joblib", "cloudpickle", "runpy"}
CONNECTIONS = {
    "huggingface_hub": ROOT / "common" / "models" / "hub.py",
    "socket": ROOT
    / "inpainting"
    / "bulk"
    / "cluster.py",  # asks whether the named cluster is there
}
NETWORK = {
    *CONNECTIONS,
    "http",
    "urllib",
    "requests",
    "httpx",
    "ftplib",
    "smtplib",
    "ssl",
    "aiohttp",
}
# What runs what is in a file, or fetches it.
CALLS = {
    "eval",
    "exec",
    "load_model",
    "model_from_json",
    "get_file",
    "urlopen",
    "import_meta_graph",
}


def _trees():
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in files]


def _imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def _called(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "attr", getattr(node.func, "id", None))


@pytest.fixture(scope="module")
def trees():
    return _trees()


def test_no_file_is_read_as_code(trees):
    assert len(trees) > 100
    for path, tree in trees:
        assert not RUN_CODE & set(_imported(tree)), path
        assert not CALLS & set(_called(tree)), path
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert node.value.value is False, path


def test_only_the_server_the_hub_and_the_cluster_open_connections(trees):
    for path, tree in trees:
        if SERVE not in path.parents:
            found = NETWORK & set(_imported(tree))
            assert found <= {name for name, place in CONNECTIONS.items() if place == path}, path
    used = {name for path, tree in trees if SERVE in path.parents for name in _imported(tree)}
    assert "socket" in used  # or the test looks in the wrong place


def test_the_limits_are_those_of_the_text():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert f"more than {MAX_PIXELS:,} pixels" in text
    for config in (HiFillConfig, ZoomConfig):
        fields = config.__dataclass_fields__
        channels, size = (fields[name].metadata["most"] for name in ("channels", "size"))
        assert f"{channels} channels, {size} pixels a side" in text
        for name, value in (("channels", channels + 2), ("size", size * 2)):
            with pytest.raises(ValueError, match=name):
                config(**{name: value})
