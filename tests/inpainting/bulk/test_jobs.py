"""`inpaint bulk` with Ray: workers and the job itself are killed with SIGKILL, and nothing is lost or done twice.

pip install '.[bulk]' && pytest -m full tests/inpainting/bulk/test_jobs.py
"""

from __future__ import annotations

import contextlib
import csv
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from common.errors import UserError

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the processes to kill in /proc"),
]
pytest.importorskip("ray", reason="needs pip install '.[bulk]'")
ROOT = pathlib.Path(__file__).resolve().parents[3]
COUNT, DAMAGED = 60, "007"
FOLDERS = ("--image=photos", "--mask=masks")
# Reading the photograph with this name ends the worker, as the system does when memory runs out.
POISON = """
import os, pathlib
read = pathlib.Path.read_bytes
def read_bytes(path):
    if path.name == "poison.png":
        os.kill(os.getpid(), 9)
    return read(path)
pathlib.Path.read_bytes = read_bytes
"""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder with photographs of which one is damaged, masks, and what `inpaint run` makes of them."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("photos", "masks"):
        (folder / name).mkdir()
    rng = np.random.default_rng(0)
    mask = np.zeros((600, 800), np.uint8)
    mask[100:450, 200:600] = 255
    for number in range(COUNT):
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"photos/{number:03}.png"), cv2.resize(small, (800, 600)))
        cv2.imwrite(str(folder / f"masks/{number:03}.png"), mask)
    os.truncate(folder / f"photos/{DAMAGED}.png", 5000)
    with start(folder, *FOLDERS, command="run") as process:
        assert process.wait() == 1
    (folder / "out").rename(folder / "expected")
    return folder


@pytest.fixture
def here(photographs, tmp_path):
    for name in ("photos", "masks"):
        shutil.copytree(photographs / name, tmp_path / name)
    return tmp_path


@contextlib.contextmanager
def start(folder, *flags, command="bulk", **environment):
    """The process of a command, ended after the block; its output goes to `said`."""
    words = [sys.executable, "-m", "inpainting", command, "--model=telea", "--output=out", *flags]
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdout=said,
            stderr=said,
            # Ray keeps a token in the home folder.
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), **environment},
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(folder):
    """The lines of the last command, without the progress bar."""
    lines = re.split(r"[\r\n]+", (folder / "said.txt").read_text())
    return [line for line in map(str.strip, lines) if line and not re.match(r"\d+%\|", line)]


def finished(folder):
    return {p.name: p.stat().st_mtime_ns for p in (folder / "out").glob("[!.]*.png")}


def runs(pid):
    """Whether a process is there and no zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


def descendants(pid):
    """{process id: command line} of the children of a process, their children and so on."""
    parents, names = {}, {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )
            names[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
    found, new = {}, {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new}
        found.update({child: names[child] for child in new})
    return found


def workers(pid):
    return [child for child, name in descendants(pid).items() if name.startswith("ray::MapWorker")]


def assert_as_expected(folder, photographs):
    """Every result once, as `inpaint run` writes it, and the damaged photograph in the table."""
    expected = {path.name: path.read_bytes() for path in (photographs / "expected").iterdir()}
    found = {path.name: path.read_bytes() for path in (folder / "out").glob("[!.]*.png")}
    assert len(expected) == COUNT - 1 and found == expected
    with (folder / "out" / "failures.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["image"] == str(folder / f"photos/{DAMAGED}.png")
    assert row["output"] == str(folder / f"out/{DAMAGED}.png") and "damaged" in row["reason"]


def test_a_killed_worker_costs_nothing(here, photographs):
    with start(here, *FOLDERS, "--workers=2") as process:
        wait_for(lambda: len(finished(here)) > 5)
        os.kill(workers(process.pid)[0], signal.SIGKILL)
        assert process.wait(timeout=300) == 1
    assert_as_expected(here, photographs)
    *lines, summary, where = said(here)
    assert summary.startswith(f"{COUNT - 1} filled, 0 skipped (already there), 1 failed")
    assert where == "what failed and why: out/failures.csv"
    # No line is Ray's.
    assert lines[0] == f"{COUNT} to fill; starting 2 workers"
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert all(line.startswith(("error: ", "a worker died")) for line in lines[1:]), lines


def test_a_killed_job_goes_on_and_begins_nothing_again(here, photographs):
    with start(here, *FOLDERS) as process:
        wait_for(lambda: len(finished(here)) > 5)
        filling = workers(process.pid)
        process.kill()
        process.wait()
    assert filling
    wait_for(lambda: not any(map(runs, filling)), 60)  # they end with the job
    before = finished(here)
    assert 5 < len(before) < COUNT - 1
    with start(here, *FOLDERS) as process:
        assert process.wait(timeout=300) == 1
    after = finished(here)
    assert {name: after[name] for name in before} == before
    assert f"{COUNT - 1 - len(before)} filled, {len(before)} skipped" in said(here)[-2]
    assert_as_expected(here, photographs)


def test_a_photograph_that_ends_every_worker_fails_alone(here):
    for folder in ("photos", "masks"):
        for path in sorted((here / folder).iterdir())[6:]:
            path.unlink()
        shutil.copy(here / folder / "000.png", here / folder / "poison.png")
    (here / "sitecustomize.py").write_text(POISON)
    with start(here, *FOLDERS, "--workers=1", PYTHONPATH=f"{here}:{ROOT}") as process:
        assert process.wait(timeout=300) == 1
    assert sorted(finished(here)) == [f"00{i}.png" for i in range(6)]
    assert "3 workers died" in (here / "out" / "failures.csv").read_text()


def test_a_list_on_a_cluster(here):
    (here / "rows.tsv").write_text("photos/001.png\tmasks/001.png\ta/1.png\n")
    cluster = (
        "import os, sys; from inpainting.bulk import cluster; started = cluster.started(None); started.__enter__(); "
        "import ray; print(ray.get_runtime_context().gcs_address, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", cluster],
        **dict.fromkeys(("stdin", "stdout"), subprocess.PIPE),
        cwd=ROOT,
        env={**os.environ, "HOME": str(here), "PYTHONPATH": str(ROOT)},
        text=True,
    ) as head:
        address = head.stdout.readline().strip()
        flags = ("--list=rows.tsv", f"--address={address}", "--workers=1")
        with start(here, *flags, RAY_AUTH_MODE="disabled") as process:
            assert process.wait(timeout=300) == 1
        assert said(here) == [said(here)[0]] and "Authentication token" in said(here)[0]
        with start(here, *flags, RAY_AUTH_MODE="token") as process:
            assert process.wait(timeout=300) == 0, said(here)
        head.communicate()
    assert said(here)[-1].startswith("1 filled, 0 skipped (already there), 0 failed")
    assert sorted(p.name for p in (here / "out").rglob("*")) == ["1.png", "a"]


@pytest.mark.usefixtures("own_flags")
def test_a_machine_without_the_package_is_one_line():
    import ray

    from inpainting.bulk import cluster

    said = "No module named 'inpainting'; install"
    with pytest.raises(UserError, match=said), cluster._missing_packages():
        raise ray.exceptions.RaySystemError("traceback\nNo module named 'inpainting'")
    with pytest.raises(ray.exceptions.RayError), cluster._missing_packages():
        raise ray.exceptions.RaySystemError("another one")


def test_weights_that_do_not_fit_end_the_job_with_one_line(here):
    flags = ("--model=hifill", "--weights=photos/000.png", "--workers=1")
    with start(here, *FOLDERS, *flags) as process:
        assert process.wait(timeout=300) == 1
    assert "photos/000.png" in said(here)[-1] and said(here)[-1].startswith("error: ")
    assert not (here / "out" / "failures.csv").exists()


def test_ray_sends_no_statistics(tmp_path):
    code = (
        "from inpainting.bulk import cluster\nwith cluster.started(None):\n"
        "  from ray._common.usage import usage_lib; print(usage_lib.usage_stats_enabled())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("False\n", "")
