"""Start-up checks: each bad environment gives one line with the remedy, before TensorFlow loads."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from common import environment
from common.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAVY = ("tensorflow", "keras", "cv2", "skimage")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """Settings of whoever runs the tests do not reach them; what `check` sets is undone."""
    for name in ("KERAS_BACKEND", "TF_USE_LEGACY_KERAS", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.fixture
def install(monkeypatch):
    """install(keras="3.0.0", tensorflow_addons=None): pretends these versions; None removes a module."""
    real_spec, real_version = importlib.util.find_spec, importlib.metadata.version

    def pretend(**modules):
        modules.setdefault("tensorflow_addons", None)

        def find_spec(name, package=None):
            if name in modules:
                return object() if modules[name] else None
            return real_spec(name, package)

        monkeypatch.setattr(importlib.util, "find_spec", find_spec)
        monkeypatch.setattr(
            importlib.metadata, "version", lambda name: modules.get(name) or real_version(name)
        )
        monkeypatch.delitem(sys.modules, "keras", raising=False)  # it would answer for itself

    return pretend


def refusal() -> str:
    with pytest.raises(UserError) as caught:
        environment.check()
    message = str(caught.value)
    assert "\n" not in message
    return message


def write_keras_json(tmp_path, **settings):
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "keras.json").write_text(json.dumps(settings))


def test_this_environment_is_accepted():
    environment.check()


def test_without_tensorflow_the_command_that_installs_it_is_named(install):
    install(tensorflow=None)
    assert f"{sys.executable} -m pip install tensorflow" in refusal()


def test_addons_need_keras_2(install):
    install(keras="2.15.0", tensorflow_addons="0.23.0")
    environment.check()
    install(keras="3.0.5", tensorflow_addons="0.23.0")
    message = refusal()
    assert "Addons" in message
    assert "tensorflow==2.15.1" in message


def missing(**options):
    with pytest.raises(UserError) as caught:
        environment.check_installed("--flag", {"missing_module": "a-package"}, "some", **options)
    return str(caught.value)


def test_an_extra_is_installed_with_addons_where_they_are(install):
    """`pip install '.[onnx]'` alone puts the newest TensorFlow beside TensorFlow Addons, which then fail."""
    install(missing_module=None)
    assert missing().endswith(f"needs a-package: {sys.executable} -m pip install '.[some]'")
    install(missing_module=None, tensorflow_addons="0.23.0")
    assert missing().endswith(f"needs a-package: {sys.executable} -m pip install '.[addons,some]'")


def test_an_extra_that_does_not_go_with_addons(install):
    install(missing_module=None)
    assert "-m pip install '.[some]'" in missing(beside_addons=False)
    install(missing_module=None, tensorflow_addons="0.23.0")
    message = missing(beside_addons=False)
    assert "cannot be installed beside TensorFlow Addons" in message and "-m pip" not in message


def test_the_versions_of_modules_that_nothing_used_are_found_without_their_import():
    code = (
        "import sys, lazy_loader; lazy_loader.load('tensorflow'); from common import environment\n"
        "found = environment.versions(); print('tensorflow.python' in sys.modules, found['tensorflow'])"
    )
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said.split() == ["False", importlib.metadata.version("tensorflow")]


@pytest.mark.parametrize("value", ["1", "true", "True"])
def test_legacy_keras(install, monkeypatch, value):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", value)
    install(keras="2.15.0")  # TensorFlow 2.15 has no other Keras: the variable changes nothing
    environment.check()
    install(keras="3.0.0")
    assert "TF_USE_LEGACY_KERAS" in refusal()


def test_legacy_keras_switched_off(install, monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    install(keras="3.0.0")
    environment.check()


@pytest.mark.parametrize("backend", ["jax", "torch", "theano"])
def test_backend_variable(monkeypatch, backend):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    assert f"KERAS_BACKEND={backend}" in refusal()


@pytest.mark.parametrize(
    "name, value",
    [("backend", "jax"), ("floatx", "float16"), ("image_data_format", "channels_first")],
)
def test_keras_json(tmp_path, name, value):
    write_keras_json(tmp_path, **{name: value})
    message = refusal()
    assert str(tmp_path / "keras" / "keras.json") in message
    assert name in message


def test_variable_wins_over_keras_json(monkeypatch, tmp_path):
    write_keras_json(tmp_path, backend="jax")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    environment.check()


@pytest.mark.parametrize("text", ["{}", "not json", ""])
def test_keras_json_that_says_nothing(tmp_path, text):
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "keras.json").write_text(text)
    environment.check()


def test_log_level_is_quiet_unless_the_user_says_otherwise(monkeypatch):
    environment.check()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "2"
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    environment.check()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_check_imports_nothing_heavy():
    code = (
        "import sys; from common import environment; environment.check(); environment.versions(); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_versions_agree_with_the_modules():
    import cv2
    import numpy

    found = environment.versions()
    assert list(found) == ["python", "tensorflow", "keras", "numpy", "opencv", "platform"]
    assert found["numpy"] == numpy.__version__
    assert found["opencv"] == cv2.__version__
    assert found["python"] == ".".join(str(number) for number in sys.version_info[:3])
    assert environment.UNKNOWN not in found.values()


@pytest.fixture
def checkout(monkeypatch, tmp_path):
    """A repository with one commit of `file`, taken for the program's own: (folder, git)."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "checkout"
    folder.mkdir()

    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(folder), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    (folder / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--no-verify", "--message", "one")
    monkeypatch.setattr(environment, "ROOT", folder)
    return folder, git


def test_commit_of_a_clean_and_a_changed_checkout(checkout):
    folder, git = checkout
    commit = git("rev-parse", "HEAD")
    assert environment.git_commit() == commit
    (folder / "result.png").write_text("an untracked file is no change of the program")
    assert environment.git_commit() == commit
    (folder / "file").write_text("two")
    assert environment.git_commit() == f"{commit}-dirty"


def test_commit_inside_a_hook_is_still_the_programs_own(checkout, monkeypatch, tmp_path):
    _, git = checkout
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    commit = environment.git_commit()
    monkeypatch.delenv("GIT_DIR")
    assert commit == git("rev-parse", "HEAD")


def test_a_checkout_around_an_installation_is_not_ours(checkout, monkeypatch):
    folder, _ = checkout
    site_packages = folder / ".venv" / "site-packages"
    site_packages.mkdir(parents=True)
    monkeypatch.setattr(environment, "ROOT", site_packages)
    assert environment.git_commit() == environment.UNKNOWN


def test_commit_without_a_repository_or_git(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    assert environment.git_commit() == environment.UNKNOWN
    monkeypatch.setenv("PATH", "")
    assert environment.git_commit() == environment.UNKNOWN
