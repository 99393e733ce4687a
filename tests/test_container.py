"""The Dockerfile: what can be said about it without Docker."""

from __future__ import annotations

import json
import pathlib
import re

import pytest

pytestmark = pytest.mark.default_environment
ROOT = pathlib.Path(__file__).resolve().parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
LINES = [line.split(None, 1) for line in TEXT.splitlines() if line and line[0] != "#"]


def arguments(instruction):
    return [rest for name, rest in LINES if name == instruction]


def test_it_starts_the_page_with_flags_that_the_command_takes(run_command, tmp_path):
    """A model that is not offered ends it before it serves, after the other flags were read."""
    pytest.importorskip("starlette", reason="pip install '.[web]'")
    (words,) = arguments("ENTRYPOINT")
    program, *words = json.loads(words)
    assert program == "inpaint" and words[0] == "serve" and "--host=0.0.0.0" in words
    done = run_command("-minpainting", *words, "--model=mean", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 2 and "--model=mean is not offered" in done.stderr


def test_it_does_not_run_as_root():
    user = arguments("USER")[-1]
    assert user not in ("root", "0") and f" {user}" in arguments("RUN")[-1]
    names = [name for name, _ in LINES]
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_the_port_is_that_of_the_command_and_of_the_page():
    (port,) = arguments("EXPOSE")
    command = (ROOT / "inpainting" / "serve" / "command.py").read_text(encoding="utf-8")
    assert f'DEFINE_integer("port", {port},' in command
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    assert f"docker run -p 127.0.0.1:{port}:{port} inpaint" in page
    assert f"127.0.0.1:{port}/health" in arguments("HEALTHCHECK")[0]


def test_it_gets_what_setup_installs_and_nothing_that_is_ignored():
    copied = {source for line in arguments("COPY") for source in line.split()[:-1]}
    assert all((ROOT / source).exists() for source in copied)
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    (packages,) = re.findall(r"packages=\[(.*?)\]", setup, re.DOTALL)
    (elsewhere,) = re.findall(r"package_dir=\{(.*?)\}", setup)
    folders = {name.split(".")[0] for name in re.findall(r'"([\w.]+)"', packages)}
    folders |= set(re.findall(r': "([\w/]+)"', elsewhere))
    assert folders | {"setup.py", "pyproject.toml", "LICENSE"} <= copied
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored and {f"!{source}" for source in copied} <= set(ignored)
