"""What a person sees when a command fails: one line, the right exit code, a traceback for our bugs only."""

from __future__ import annotations

import errno
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from common.command_line import guarded
from common.errors import UsageError, UserError, collect, raise_together
from common.images import pairing

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = """
import sys, time
from absl import flags
from common import command_line, errors

flags.DEFINE_integer("number", 1, "a number", lower_bound=0)
flags.DEFINE_string("word", "", "a word")
flags.DEFINE_bool("loud", False, "a switch")

def wait():
    print("ready", flush=True)
    time.sleep(60)

def prepare():
    if "prepare" in {hooks!r}:
        {prepare}

def main(argv):
    FLAGS = flags.FLAGS
    print(FLAGS.number, FLAGS.word, FLAGS.loud)
    {main}

command_line.run()
"""


@pytest.fixture
def command(tmp_path):
    """command(main=..., prepare=...) -> the command line of a program made of these two lines."""

    def make(main="pass", prepare=""):
        path = tmp_path / "command.py"
        hooks = "prepare" if prepare else ""
        path.write_text(COMMAND.format(main=main, prepare=prepare or "pass", hooks=hooks))
        return [sys.executable, str(path)]

    return make


def _environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _run(line, *arguments, cwd=None):
    return subprocess.run(
        [*line, *arguments],
        cwd=cwd,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _one_line(process, code, *words):
    assert process.returncode == code, process.stderr
    lines = process.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), process.stderr
    for word in words:
        assert word in lines[0], lines[0]


def test_usage_errors_are_user_errors_with_their_own_code():
    assert issubclass(UsageError, UserError)
    assert (UserError.exit_code, UsageError.exit_code) == (1, 2)
    assert str(UsageError("a line")) == "a line"


@pytest.mark.parametrize(("value", "code"), [("None", 0), ("0", 0), ("1", 1), ("7", 7)])
def test_exit_code_is_what_main_returns(command, value, code):
    process = _run(command(f"return {value}"), "--number=3", "--word=a b", "--loud")
    assert (process.returncode, process.stderr) == (code, "")
    assert process.stdout == "3 a b True\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nubmer=3"], ["nubmer"]),
        (["--number=three"], ["number", "three"]),
        (["--number=-1"], ["number", "-1"]),
        (["--number"], ["number"]),
        (["--loud=perhaps"], ["loud", "perhaps"]),
        (["photo.png"], ["photo.png"]),
        (["--number=2", "stray", "--loud"], ["stray"]),
        (["--", "--number=2"], ["--number=2"]),
        (["--flagfile=gone.cfg"], ["gone.cfg"]),
    ],
)
def test_wrong_flags_are_one_line_and_code_2_before_any_work(command, arguments, words):
    process = _run(command(), *arguments)
    _one_line(process, 2, *words)
    assert process.stdout == ""


def test_flags_of_a_flagfile_are_parsed_and_later_ones_win(command, tmp_path):
    (tmp_path / "a.cfg").write_text("# a comment\n--number=5\n--word=from file\n\n--loud\n")
    process = _run(command(), "--number=4", "--flagfile=a.cfg", "--word=last", cwd=tmp_path)
    assert (process.returncode, process.stdout) == (0, "5 last True\n")
    (tmp_path / "a.cfg").write_text("--unknown=5\n")
    _one_line(_run(command(), "--flagfile=a.cfg", cwd=tmp_path), 2, "unknown")


@pytest.mark.parametrize("where", ["main", "prepare"])
@pytest.mark.parametrize(("kind", "code"), [("UserError", 1), ("UsageError", 2)])
def test_errors_for_people_are_one_line(command, where, kind, code):
    line = f"raise errors.{kind}('a.png is empty; copy it again')"
    process = _run(command(**{where: line}))
    _one_line(process, code, "error: a.png is empty; copy it again")


@pytest.mark.parametrize("where", ["main", "prepare"])
def test_a_bug_keeps_its_traceback(command, where):
    process = _run(command(**{where: "raise ValueError('ours')"}))
    assert process.returncode == 1
    assert "Traceback" in process.stderr and "ValueError: ours" in process.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("where", ["main", "prepare"])
def test_control_c_is_one_line_and_code_1(command, where):
    # Preparing is when TensorFlow is imported: seconds, in which people do press it.
    process = subprocess.Popen(
        command(**{where: "wait()"}),
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while process.stdout.readline() not in ("ready\n", ""):
            pass
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 1, stderr
    assert len(stderr.splitlines()) == 1 and "interrupted" in stderr, stderr


def _raises(error):
    def check():
        raise error

    return check


def test_every_check_is_made_and_errors_are_collected():
    first, second = UserError("no file"), UsageError("no flag")
    results, found = collect([lambda: 1, _raises(first), lambda: 3, _raises(second)])
    assert (results, found) == ([1, None, 3, None], [first, second])
    with pytest.raises(ZeroDivisionError):  # a bug keeps its traceback
        collect([lambda: 1 / 0])


def test_errors_are_raised_as_one_that_numbers_them():
    file, flag = UserError("no file"), UsageError("no flag")
    raise_together([])
    raise_together([], ["a remark is no error"])
    with pytest.raises(UserError) as raised:
        raise_together([file, UserError("no file")])
    assert raised.value is file
    with pytest.raises(UsageError) as raised:
        raise_together([file, flag, file], ["by the way"])
    assert str(raised.value).endswith(": (1) no file; (2) no flag; (3) by the way")
    with pytest.raises(UserError) as raised:
        raise_together([file], ["by the way", "by the way"])
    assert str(raised.value).endswith(": (1) no file; (2) by the way")
    assert raised.value.exit_code == 1


def _opencv_without_memory():
    import cv2
    import numpy as np

    one = np.zeros((16, 60000, 3), np.uint8)
    cv2.copyMakeBorder(one, 2**31 - 17, 0, 0, 0, cv2.BORDER_REFLECT)


def test_want_of_memory_is_told_from_bugs():
    import cv2
    import numpy as np
    import tensorflow as tf

    from common.errors import is_too_large

    with pytest.raises(cv2.error) as raised:
        _opencv_without_memory()
    assert is_too_large(raised.value)
    with pytest.raises(MemoryError) as raised:
        np.empty(1 << 55)
    assert is_too_large(raised.value)
    assert is_too_large(tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"))
    assert not is_too_large(ValueError("ours"))


@pytest.mark.parametrize("flag", ["--help", "--helpfull", "--helpshort"])
def test_help_is_no_failure(command, flag):
    process = _run(command(), flag)
    assert process.returncode == 0 and "--number" in process.stdout + process.stderr


def test_undefok_is_refused(command):
    _one_line(_run(command(), "--undefok=nubmer", "--nubmer=3"), 2, "--undefok")


def test_numbers_that_cannot_be_computed_with_are_refused(command, tmp_path):
    line = command()
    script = pathlib.Path(line[1])
    text = script.read_text().replace(
        "flags.DEFINE_bool", 'flags.DEFINE_float("share", 0, "x", 0)\nflags.DEFINE_bool'
    )
    script.write_text(text)
    for value in ("nan", "inf"):
        _one_line(_run(line, f"--share={value}"), 2, "--share")
    _one_line(_run(line, f"--number={10**22}"), 2, "--number")


def test_a_line_break_in_a_name_does_not_split_the_message(command):
    _one_line(_run(command(main="raise errors.UserError('a\\nb.png is empty')")), 1, "b.png")


def test_a_path_the_system_refuses_is_one_line(command):
    _one_line(_run(command(main="open('n' * 300)")), 1, "nnn", "name another")
    _one_line(_run(command(), "--flagfile=" + "n" * 300), 1, "nnn")


def test_an_unreadable_folder_is_one_line(tmp_path, monkeypatch, capsys):
    """The system refuses the folder as it does to users without its permission; root may read every folder."""

    def refused(path=".", *_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def pair(_):
        return pairing.pairs(str(tmp_path), None, str(tmp_path / "out"))

    monkeypatch.setattr(os, "scandir", refused)
    monkeypatch.setattr(os, "listdir", refused)
    with pytest.raises(SystemExit) as ended:
        guarded(pair, [])
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1 and len(lines) == 1
    assert str(tmp_path) in lines[0] and "Permission denied" in lines[0]


def test_what_the_terminal_cannot_write_is_escaped(command, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    process = _run(command(main="print('\\u00fc')"))
    assert process.returncode == 0 and "\\xfc" in process.stdout
