"""`python -m inpainting.serve` as a user starts and ends it."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request

import pytest

from common.errors import UserError
from inpainting.serve import uploads

pytestmark = pytest.mark.default_environment
ROOT = pathlib.Path(__file__).resolve().parents[3]


def test_the_next_server_deletes_what_a_killed_one_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import os, signal; from inpainting.serve import uploads; "
        "store = uploads.Store(uploads.Limits(1, 1)); store.add('a.png'); "
        "print(store.root, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    killed = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
    )
    left = pathlib.Path(killed.stdout.strip())
    alive = uploads.Store(uploads.Limits(1, 1))
    assert left.is_dir()  # young: its server might be starting
    for folder in (left, alive.root):
        os.utime(folder, (0, 0))
    after = uploads.Store(uploads.Limits(1, 1))
    assert not left.exists() and alive.root.is_dir()
    for store in (alive, after):
        store.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_without_traces(command_words, tmp_path, end):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    words = [*command_words("-minpainting"), "serve", "--port=0", "--model=telea"]
    server = subprocess.Popen(
        words,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        line = server.stdout.readline()
        address = re.fullmatch(
            r"Open (http://127\.0\.0\.1:\d+) in a browser; Ctrl-C ends it\n", line
        )
        assert address, line + server.stderr.read()
        with urllib.request.urlopen(f"{address[1]}/health", timeout=30) as answer:
            assert json.load(answer) == {"status": "ok"}
            assert answer.headers["server"] is None
        (folder,) = tmp_path.glob("inpaint-serve-*")
        assert folder.is_dir()
        server.send_signal(end)
        _, said = server.communicate(timeout=30)
    finally:
        server.kill()
    assert said == ""
    assert server.returncode == (0 if end == signal.SIGINT else -signal.SIGTERM)
    assert list(tmp_path.glob("inpaint-serve-*")) == []


@pytest.mark.parametrize(
    "flags, code, said",
    [
        (["--model=mean"], 2, "--model=mean is not offered; choose one of hifill"),
        (["--model=telea", "--weights=x"], 2, "--model=telea is no network"),
        (["--weights=missing.npz"], 1, "missing.npz"),
        (["--host=192.0.2.1", "--port=0"], 1, "cannot listen at 192.0.2.1"),
        (["--max_megapixels=0"], 2, "max_megapixels"),
    ],
)
def test_wrong_flags_are_one_line(run_command, flags, code, said, tmp_path):
    done = run_command("-minpainting.serve", *flags, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == code and said in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")


def test_a_port_that_is_taken_is_named():
    pytest.importorskip("starlette")
    from inpainting.serve import command

    first = command.listen("127.0.0.1", 0)
    port = first.getsockname()[1]
    with pytest.raises(UserError, match=f"port {port}: .*try another --port"):
        command.listen("127.0.0.1", port)
    first.close()


def test_missing_packages_name_the_extra(run_command, tmp_path):
    for name in ("starlette", "uvicorn"):
        code = f"""
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == {name!r} else found(name, *more)
sys.argv = ["serve"]
import runpy; runpy.run_module("inpainting.serve", run_name="__main__")
"""
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1
        assert re.fullmatch(
            rf"error: serving needs {name}: .* pip install '\.\[web\]'\n", done.stderr
        )


def test_what_is_this_computer_alone():
    pytest.importorskip("starlette")
    from inpainting.serve import command

    assert all(map(command.is_local, ("127.0.0.1", "127.0.1.1", "::1")))
    assert not any(map(command.is_local, ("0.0.0.0", "::", "192.168.0.2", "fe80::1%eth0")))


def test_a_network_is_loaded_and_traced_before_anybody_asks():
    pytest.importorskip("starlette")
    from inpainting.serve import command, jobs

    seen, done = [], threading.Event()

    def load(model):
        def paint(image, mask):
            seen.append((model, image.shape, int(mask.sum())))
            done.set()
            return image

        return paint

    command.warm_up(jobs.Workers(load, 1), "hifill")
    assert done.wait(20) and seen == [("hifill", (256, 256, 3), 1)]
