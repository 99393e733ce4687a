"""Every study says what it is, where its header is true, and is found without TensorFlow."""

from __future__ import annotations

import importlib
import pathlib
import subprocess
import sys

import pytest

from common.errors import UsageError
from studies import registry
from studies.kit import networks

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", registry.NAMES)
def test_a_study_describes_itself(name):
    study, module = registry.study(name), importlib.import_module(registry.module(name))
    assert study.id == name
    for field in ("item", "what", "reported", "needs"):
        assert getattr(study, field), field
    assert 0 < study.minutes <= 15
    assert f"--study={name} " in f"{study.command} " or name == "evidence"
    assert set(study.arms) <= networks.ARMS.keys()
    assert "small setting" in " ".join(module.__doc__.split()).lower()


def test_importing_studies_imports_no_tensorflow():
    code = (
        "import sys; from studies import registry; registry.chosen(['all']); import studies.publish.report;"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_chosen_studies_come_once_in_the_papers_order():
    names = [s.id for s in registry.chosen(["zoom_table_3", "zoom_table_1", "zoom_table_3"])]
    assert names == ["zoom_table_1", "zoom_table_3"]
    assert [s.id for s in registry.chosen(["all"])] == list(registry.NAMES)


def test_unknown_study():
    with pytest.raises(UsageError, match="--study=table_3 is not known; choose of all, zoom_table"):
        registry.chosen(["table_3"])


def test_every_module_of_a_study_is_listed():
    paths = (ROOT / "studies").rglob("*.py")
    files = {path for path in paths if "\nSTUDY = " in path.read_text(encoding="utf-8")}
    named = {pathlib.Path(sys.modules[registry.module(name)].__file__) for name in registry.NAMES}
    assert files == named
