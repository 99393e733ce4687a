"""What `inpaint bulk` does around Ray: workers, their share, what is still to do, and the table of failures."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import sys

import cv2
import numpy as np
import pytest
from absl import flags

from common.errors import UsageError, UserError

CSV = "image,mask,output,reason\n"


@pytest.fixture
def parse(bulk):
    def parsed(*words):
        flags.FLAGS.unparse_flags()
        for name in flags.FLAGS:
            flags.FLAGS[name].unparse()
        flags.FLAGS(["bulk", "--model=telea", *words])

    yield parsed


@pytest.fixture
def job(bulk, parse, photo, monkeypatch):
    """A folder with three photographs and their masks; job(...) -> (worker with the flags, the block of all rows)."""
    monkeypatch.chdir(photo)
    monkeypatch.setattr(bulk.worker, "_limit", lambda gigabytes: None)
    for folder, source in (("photos", "photo.png"), ("masks", "mask.png")):
        os.mkdir(folder)
        for name in "abc":
            shutil.copy(source, f"{folder}/{name}.png")

    def made(*words):
        parse("--image=photos", "--mask=masks", "--output=out", *words)
        attempts = bulk.worker.Attempts()
        worker = bulk.worker.Worker(bulk.worker.flag_values(), 1, 4, attempts)
        source, count = bulk.command._listed()
        (block,) = bulk.rows.in_blocks(source(), count)
        return worker, block

    return made


def reasons(filled):
    return [os.fsdecode(x) for x in filled["reason"]]


def test_a_worker_fills_and_says_why_it_could_not(job):
    worker, block = job()
    with open("photos/b.png", "r+b") as stream:
        stream.truncate(900)
    filled = worker.fill(block)
    assert list(filled) == ["image", "mask", "output", "reason", "notes"]
    a, b, c = reasons(filled)
    assert (a, c) == ("", "") and "photos/b.png is cut off or damaged" in b
    assert sorted(os.listdir("out")) == ["a.png", "c.png"]
    before, after = cv2.imread("photos/a.png"), cv2.imread("out/a.png")
    hole = cv2.imread("masks/a.png", 0) > 0
    assert (before != after)[hole].any() and not (before != after)[~hole].any()


def test_a_worker_skips_what_another_one_filled_unless_it_shall_not(job):
    os.mkdir("out")
    for name in "abc":
        shutil.copy("photo.png", f"out/{name}.png")
    untouched = cv2.imread("photo.png")
    worker, block = job()
    assert reasons(worker.fill(block)) == ["", "", ""]
    np.testing.assert_array_equal(cv2.imread("out/a.png"), untouched)
    worker, block = job("--overwrite")
    worker.fill(block)
    assert (cv2.imread("out/a.png") != untouched).any()


def test_a_worker_overwrites_no_photograph(job):
    """Whose name in the list is another one."""
    worker, block = job("--overwrite")
    os.symlink("photos", "out")
    assert all("would overwrite" in reason for reason in reasons(worker.fill(block)))


@pytest.mark.parametrize("name", ["x" * 256 + ".png", "y/" * 3000 + "a.png", "folder.png"])
@pytest.mark.parametrize("column", [0, 2])
def test_a_name_that_no_file_can_have_fails_one_photograph(bulk, job, parse, name, column):
    """Looking for it fails; the job goes on. A folder in a result's place is no result."""
    worker, _ = job()
    os.makedirs("out/folder.png")
    os.mkdir("folder.png")
    row = ["photos/a.png", "masks/a.png", "r.png"]
    row[column] = name
    with open("rows.csv", "w") as stream:
        stream.write(f"photos/b.png,masks/b.png,b.png\n{','.join(row)}\n")
    parse("--list=rows.csv", "--output=out")
    source, _ = bulk.command._listed()
    (block,) = bulk.rows.in_blocks(bulk.command._unfinished(source()), 2)
    good, bad = reasons(worker.fill(block))
    assert good == "" and os.path.isfile("out/b.png")
    assert os.path.basename(name) in bad and "inpaint run" not in bad


def test_a_bug_fails_one_photograph(bulk, job, monkeypatch):
    worker, block = job()
    monkeypatch.setattr(worker, "_paint", lambda image, mask: 1 / 0)
    assert all("ZeroDivisionError" in x and "photos/" in x for x in reasons(worker.fill(block)))


def test_warnings_come_back(job):
    worker, block = job()
    cv2.imwrite("masks/b.png", np.zeros((70, 90), np.uint8))
    notes = [os.fsdecode(x) for x in worker.fill(block)["notes"]]
    assert (notes[0], notes[2]) == ("", "") and "the mask is empty" in notes[1]


def test_a_block_on_which_a_worker_died_is_begun_again(bulk, job):
    """And a photograph on which more workers die is given up."""
    worker, block = job()
    worker._attempts = attempts = bulk.worker.Attempts()
    dead, name = os.path.abspath("out/b.png"), f"block of {os.path.abspath('out/a.png')}"
    for earlier in (0, 2, 3):
        shutil.rmtree("out", ignore_errors=True)
        for begun in [name] * (earlier > 0) + [dead] * earlier:
            attempts.begin(begun)
        filled = worker.fill(block)
        note = os.fsdecode(filled["notes"][0])
        assert note.startswith("a worker died") == (earlier > 0)
        assert ["3 workers died" in x for x in reasons(filled)] == [False, earlier == 3, False]
        assert sorted(os.listdir("out")) == ["a.png", "b.png", "c.png"][:: 1 + (earlier == 3)]
    assert not attempts._begun  # the next job tries again


def test_a_block_is_counted_once_however_many_photographs_it_has(bulk, job, monkeypatch):
    """A message to Ray's counter takes a millisecond."""
    worker, block = job()
    begun = []
    monkeypatch.setattr(worker._attempts, "begin", lambda name: begun.append(name) or 1)
    worker.fill(block)
    assert len(begun) == 1


def test_a_painter_that_cannot_be_made_is_said(job):
    worker, _ = job("--model=hifill", "--weights=photo.png")
    assert "photo.png" in worker.broken


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_memory_has_a_cap():
    code = (
        "import numpy as np; from inpainting.bulk import worker; worker._limit(0.5); "
        "np.ones(2 * 10**7); print('small'); np.ones(10**8)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "small\n" and "MemoryError" in done.stderr


def test_only_what_is_missing_is_done(bulk, job):
    job()
    source, count = bulk.command._listed()
    os.mkdir("out")
    shutil.copy("photo.png", "out/b.png")
    with open("out/.partial-1.png", "w"):
        os.utime("out/.partial-1.png", (0, 0))
    left = [os.path.basename(row.output) for row in bulk.command._unfinished(source())]
    assert (count, left) == (3, ["a.png", "c.png"])
    assert os.listdir("out") == ["b.png"]


def test_failures_are_a_table_that_is_whole_at_any_time(bulk, photo):
    cells = [str(photo / "a,b.jpg"), "", os.fsdecode(b"/o/\xff.png"), 'it says "no"']
    with bulk.command.Failures(str(photo / "out")) as failures:
        failures.add(cells)
        with open(failures.path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            assert list(csv.reader(stream)) == [CSV.strip().split(","), cells]
    assert failures.path.exists()
    with bulk.command.Failures(str(photo / "out")) as failures:
        assert failures.path.read_text() == CSV
    assert not failures.path.exists()  # nothing failed


def test_what_comes_back_is_shown_and_written_down(bulk, photo, capsys):
    block = {"image": [b"/a", b"/b"], "mask": [b"", b""], "output": [b"/c", b"/d"]}
    block.update(reason=[b"", b"too dark"], notes=[b"one\ntwo", b""])
    with bulk.command.Failures(str(photo)) as failures:
        bulk.command._report([block], 2, failures)
    assert failures.path.read_text() == f"{CSV}/b,,/d,too dark\n"
    said = capsys.readouterr().err
    assert all(line in said for line in ("one\n", "two\n", "error: too dark\n", "images/s"))


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "--output"),
        (["--output=out"], "either --list or --image"),
        (["--output=out", "--list=a", "--image=b"], "either --list or --image"),
        (["--output=out", "--list=a", "--mask=b"], "--mask=b does not go with --list"),
        (["--output=out", f"--image={__file__}"], "inpaint run"),
        (["--output=out", "--list=a", "--weights=w"], "no network"),
        (["--output=out", "--list=a", "--precision=bfloat16"], "zoom_to_inpaint"),
        (["--output=out", "--list=a", "--model=lama"], "lama"),
    ],
)
def test_flags_that_do_not_fit(bulk, parse, words, message):
    parse(*words)
    with pytest.raises(UsageError, match=message):
        bulk.command._check_flags()


@pytest.mark.parametrize(
    "resources, wanted, on_gpu, expected",
    [
        ({"CPU": 8, "memory": 64e9}, None, True, (8, 1, 0)),
        ({"CPU": 8, "memory": 64e9}, 3, True, (3, 2, 0)),
        ({"CPU": 8, "memory": 13e9}, None, True, (3, 2, 0)),
        ({"CPU": 16, "memory": 64e9, "GPU": 2}, None, True, (2, 8, 1)),
        ({"CPU": 16, "memory": 64e9, "GPU": 2}, None, False, (16, 1, 0)),
    ],
)
def test_workers_share_the_machine(bulk, resources, wanted, on_gpu, expected):
    assert bulk.cluster.share(resources, wanted, 4, on_gpu) == expected


@pytest.mark.parametrize("wanted, message", [(None, "no worker fits"), (2, "no worker fits")])
def test_memory_for_no_worker_is_said(bulk, wanted, message):
    with pytest.raises(UsageError, match=f"{message}.*--worker_gb=4"):
        bulk.cluster.share({"CPU": 8, "memory": 3e9}, wanted, 4, True)


def test_more_workers_than_fit_are_refused(bulk):
    with pytest.raises(UsageError, match="--workers=9, but 8 fit"):
        bulk.cluster.share({"CPU": 8, "memory": 64e9}, 9, 4, True)


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:x", "127.0.0.1:99999"])
def test_an_address_where_nothing_answers(bulk, address):
    with pytest.raises(UserError, match=f"--address={address}: no Ray cluster answers"):
        bulk.cluster._check_answers(address)


def test_a_closed_port(bulk):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(UserError, match="no Ray cluster answers"):
            bulk.cluster._check_answers(f"127.0.0.1:{bound.getsockname()[1]}")


@pytest.mark.parametrize("version, remedy", [((3, 11), r"'\.\[bulk\]'"), ((3, 9), "Python 3.10")])
def test_without_ray_one_line_says_how_to_get_it(bulk, monkeypatch, version, remedy):
    monkeypatch.setattr(bulk.cluster.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(bulk.cluster.sys, "version_info", version)
    with pytest.raises(UserError, match=remedy):
        bulk.cluster.check_installed()
