"""studies/run.py as a person uses it: the list, mistakes, and one study that fails beside one that does not."""

from __future__ import annotations

import json

import pytest

from studies import registry

ONE = ("--study=zoom_table_1", "--count=20")


@pytest.fixture
def studies(run_command, tmp_path):
    return lambda *arguments: run_command("studies/run", *arguments, cwd=tmp_path, quick=True)


def test_list_names_every_study(studies):
    process = studies("--list")
    assert process.returncode == 0, process.stderr
    for name in registry.NAMES:
        assert f"\n{name} " in f"\n{process.stdout}"
    assert process.stdout.count("needs: ") == len(registry.NAMES)
    assert process.stdout.count("state: not run") == len(registry.NAMES)


def test_a_study_beside_one_that_fails(studies, tmp_path):
    """At the paper's size Table 3 has no weights here: it says so, Table 1 is done and reported."""
    pytest.importorskip("matplotlib")
    names = ("--study=zoom_table_3,zoom_table_1", "--count=20", "--size=paper")
    process = studies(*names, "--output=out", "--div2k_dir=nowhere")
    assert process.returncode == 1
    assert "error: zoom_table_3: --div2k_dir=nowhere is not a folder" in process.stderr
    assert "Traceback" not in process.stderr
    result = json.loads((tmp_path / "out" / "zoom_table_1" / "result.json").read_text())
    assert result["options"]["count"] == 20 and result["tables"][0]["rows"][0][1] == "20"
    assert "zoom_table_3 failed" in (tmp_path / "out" / "report.md").read_text()
    assert (tmp_path / "out" / "report.html").is_file()
    assert f"done {result['date'][:10]} (paper)" in studies("--list", "--output=out").stdout
    (tmp_path / "out" / "zoom_table_1" / "result.json").write_text("{")
    assert "state: damaged: " in studies("--list", "--output=out").stdout


def test_without_jinja2_nothing_is_begun(run_command, tmp_path):
    (tmp_path / "jinja2.py").write_text("raise ImportError")
    process = run_command("studies/run", *ONE, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert process.returncode == 1 and not (tmp_path / "runs").exists()
    assert process.stderr == "error: HTML pages need Jinja2: pip install '.[studies]'\n"


# What a command says of flags does not depend on the environment, and every start takes a second.
@pytest.mark.default_environment
@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (("--study=table_1",), 2, "--study=table_1 is not known"),
        ((), 2, "name --study=all or some of"),
        ((*ONE, "--weights=x.npz"), 2, "--weights=x.npz is not ARM=FILE"),
        ((*ONE, "--weights=no_zom=x.npz"), 2, "is not ARM=FILE with ARM, named once, of no_zoom"),
        ((*ONE, "--weights=no_zoom=x"), 2, "--weights=no_zoom=x would be ignored by zoom_table_1"),
        ((*ONE, "--predictions=x"), 2, "--predictions would be ignored by zoom_table_1"),
        ((*ONE, "--inception_weights=x"), 2, "--inception_weights would be ignored by"),
        ((*ONE, "--data_dir=x"), 2, "--data_dir=x needs --dataset"),
        (
            (*ONE, "--div2k_dir=x"),
            2,
            "--div2k_dir=x would be ignored: --size=small uses 'sample'",
        ),
        ((*ONE, "--steps=5", "--size=paper"), 2, "--steps needs --size=small"),
        (("--study=zoom_table_3", "--size=paper"), 2, "needs --div2k_dir=FOLDER"),
        (("--report", "--output=nothing"), 1, "nothing holds no result of a study"),
        ((*ONE, "--size=medium"), 2, "--size=medium"),
        ((*ONE, f"--output={__file__}/out"), 1, "test_run.py is not a folder"),
    ],
)
def test_mistakes_are_one_line(studies, tmp_path, arguments, code, message):
    process = studies(*arguments)
    assert process.returncode == code, process.stderr
    assert message in process.stderr and "Traceback" not in process.stderr
    assert list(tmp_path.iterdir()) == []
