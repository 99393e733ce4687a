"""Flagfiles: where they are found, what is in them, what is refused."""

from __future__ import annotations

import os
import pathlib

import pytest

from common import command_line
from common.errors import UsageError

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _write(name, text):
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _refused(*arguments):
    with pytest.raises(UsageError) as error:
        command_line.expand(list(arguments))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_other_arguments_pass_unchanged():
    arguments = ["--a=1", "--b", "-c=2", "word", "--", "--d=x=y", "--flagfiles=z", "flagfile=z"]
    assert command_line.expand(arguments) == arguments
    assert command_line.expand([]) == []


@pytest.mark.parametrize("spelling", ["--flagfile=a.cfg", "-flagfile=a.cfg"])
def test_a_flagfile_stands_for_its_lines_where_it_stands(spelling):
    _write("a.cfg", "--b=1\n--c\n")
    assert command_line.expand(["--a=0", spelling, "--b=2"]) == ["--a=0", "--b=1", "--c", "--b=2"]


def test_comments_blank_lines_and_spaces_around_lines_are_dropped():
    _write("a.cfg", "# one\n\n  --a=1  \n\t--b=x y\r\n   # --c=3\n#\n--d=#4\n")
    assert command_line.expand(["--flagfile=a.cfg"]) == ["--a=1", "--b=x y", "--d=#4"]
    _write("empty.cfg", "")
    assert command_line.expand(["--flagfile=empty.cfg", "--a"]) == ["--a"]


def test_values_are_text_of_any_language():
    _write("a.cfg", "--data_dir=/Фото/日本\n")
    assert command_line.expand(["--flagfile=a.cfg"]) == ["--data_dir=/Фото/日本"]


def test_flagfiles_nest_and_may_be_read_twice():
    _write("c.cfg", "--c=3\n")
    _write("b.cfg", "--b=2\n--flagfile=c.cfg\n--b=4\n")
    _write("a.cfg", "--a=1\n--flagfile=b.cfg\n--flagfile=c.cfg\n")
    expected = ["--a=1", "--b=2", "--c=3", "--b=4", "--c=3"]
    assert command_line.expand(["--flagfile=a.cfg"]) == expected


def test_absolute_paths_work_from_anywhere(tmp_path, monkeypatch):
    path = _write("a.cfg", "--a=1\n").resolve()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert command_line.expand([f"--flagfile={path}"]) == ["--a=1"]


def test_relative_paths_are_found_beside_the_package_but_here_first():
    shipped = sorted((ROOT / "configs").rglob("*.cfg"))
    assert shipped
    for path in shipped:
        name = path.relative_to(ROOT).as_posix()
        flags = command_line.expand([f"--flagfile={name}"])
        assert flags and all(flag.startswith("--") for flag in flags), name
    name = shipped[0].relative_to(ROOT).as_posix()
    _write(name, "--mine=1\n")
    assert command_line.expand([f"--flagfile={name}"]) == ["--mine=1"]


def test_a_missing_flagfile_is_named():
    assert "gone.cfg" in _refused("--flagfile=gone.cfg")
    _write("a.cfg", "--flagfile=gone/too.cfg\n")
    assert "gone/too.cfg" in _refused("--flagfile=a.cfg")
    pathlib.Path("folder.cfg").mkdir()
    assert "folder.cfg" in _refused("--flagfile=folder.cfg")


def test_the_form_with_a_space_is_refused():
    _write("a.cfg", "--a=1\n")
    assert "--flagfile=PATH" in _refused("--flagfile", "a.cfg")


def test_a_file_that_includes_itself_is_named():
    _write("a.cfg", "--flagfile=a.cfg\n")
    assert "a.cfg includes itself" in _refused("--flagfile=a.cfg")
    _write("a.cfg", "--flagfile=b.cfg\n")
    _write("b.cfg", f"--flagfile={os.path.join('.', 'a.cfg')}\n")  # under another spelling
    assert "a.cfg includes itself" in _refused("--flagfile=a.cfg")


def test_a_long_chain_of_files_is_refused():
    for index in range(1200):
        _write(f"{index}.cfg", f"--flagfile={index + 1}.cfg\n")
    assert "20.cfg lies in a chain of more than 20 flagfiles" in _refused("--flagfile=0.cfg")


@pytest.mark.parametrize("line", ["number=3", "word", "3", "=", "'--a=1'"])
def test_a_line_that_is_no_flag_is_named_with_its_file(line):
    _write("a.cfg", f"--a=1\n{line}\n")
    message = _refused("--flagfile=a.cfg")
    assert "a.cfg" in message and f"'{line}'" in message


@pytest.mark.parametrize("quoted", ['"x y"', "'x'", '""'])
def test_quoted_values_are_refused_with_the_right_spelling(quoted):
    _write("a.cfg", f"--word={quoted}\n")
    message = _refused("--flagfile=a.cfg")
    assert f"--word={quoted}" in message and f"write --word={quoted[1:-1]} " in message
    assert quoted in _refused(f"--flagfile={quoted}")


@pytest.mark.parametrize("value", ['say "x"', "\"x'", '"', "a'b", 'x="y"z'])
def test_other_quotes_are_part_of_the_value(value):
    _write("a.cfg", f"--word={value}\n")
    assert command_line.expand(["--flagfile=a.cfg"]) == [f"--word={value}"]


@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n\x00\xff", b"\xff\xfe-\x00-\x00a\x00", b"\x00\x01\x02", b"PK\x03\x04"],
    ids=["png", "utf-16", "zeros", "zip"],
)
def test_a_binary_file_is_refused(content):
    pathlib.Path("a.cfg").write_bytes(content)
    assert "a.cfg" in _refused("--flagfile=a.cfg")
