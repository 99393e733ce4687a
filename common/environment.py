"""The environment of the program: refuses settings that would spoil a run, and gives the versions for a run's record.

Supported: TensorFlow 2.15 with Keras 2, with or without TensorFlow Addons, and TensorFlow 2.16 or later with Keras 3
on its TensorFlow backend, without Addons (which needs Keras 2). `check` only checks settings, in milliseconds; pip
checks installed packages and versions.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator, Mapping

from absl import logging

from common.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[1]
UNKNOWN = "unknown"

# Settings that the code assumes; keras.json may differ.
_KERAS_SETTINGS = {
    "backend": "tensorflow",
    "floatx": "float32",
    "image_data_format": "channels_last",
}


def check() -> None:
    """Refuses settings under which the program would fail late or give other results.

    Also silences TensorFlow's C++ log, unless TF_CPP_MIN_LOG_LEVEL is set.

    Raises:
      UserError: no TensorFlow, TensorFlow Addons beside Keras 3, or Keras set to another backend, float type, layout or
        version.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            f"TensorFlow is not installed; run: {sys.executable} -m pip install tensorflow"
        )
    if not _version("keras", "keras").startswith("2."):
        _check_keras_3()
    _check_keras_settings()


def check_installed(
    what: str, packages: Mapping[str, str], extra: str, beside_addons: bool = True
) -> None:
    """UserError if packages of this program's extra `extra` are missing.

    Args:
      what: needs the packages, for the message.
      packages: {module: name of the package that pip installs}.
      beside_addons: whether the extra can be installed beside TensorFlow Addons.
    """
    missing = [name for module, name in packages.items() if not importlib.util.find_spec(module)]
    if not missing:
        return
    if not beside_addons and _addons_installed():
        raise UserError(
            f"{what} needs {', '.join(missing)}, which cannot be installed beside TensorFlow Addons; "
            f"take an environment with the newest TensorFlow and install '.[{extra}]' there"
        )
    raise UserError(f"{what} needs {', '.join(missing)}: {install_command(extra)}")


def install_command(extra: str) -> str:
    """The command that installs this program's extra `extra` and leaves TensorFlow as it is."""
    # Without the extra `addons` pip may replace TensorFlow 2.15.1 by one that TensorFlow Addons does not work with.
    extras = f"addons,{extra}" if _addons_installed() else extra
    return f"{sys.executable} -m pip install '.[{extras}]'"


def _addons_installed() -> bool:
    return importlib.util.find_spec("tensorflow_addons") is not None


@contextlib.contextmanager
def notices_held() -> Iterator[types.SimpleNamespace]:
    """Holds back what is written to stderr in its block, also by libraries' C++ code.

    Yields an object; if its `shown` is True at the end, the text is printed. It starts as True, so a failure shows it.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notices:
        kept = os.dup(2)
        os.dup2(notices.fileno(), 2)
        held = types.SimpleNamespace(shown=True)
        try:
            yield held
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            if held.shown:
                notices.seek(0)
                sys.stderr.write(notices.read().decode(errors="replace"))


def start_tensorflow() -> None:
    """Imports TensorFlow and lists devices, without its start-up notices.

    The notices bypass TF_CPP_MIN_LOG_LEVEL and would hide more important lines. They are shown if that variable is 0 or
    1, if the import fails, and if there is an NVIDIA driver but TensorFlow found no GPU.
    """
    with notices_held() as held:
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        wanted = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2") in ("0", "1")
        if not wanted:  # hides, for example, a line for every exchange between replicas
            tf.get_logger().setLevel("WARNING")
            logging.set_verbosity(logging.WARNING)  # and for every SavedModel's functions
        held.shown = wanted or (not gpus and os.path.exists("/proc/driver/nvidia/version"))


def _version(module: str, distribution: str) -> str:
    """The version of the imported module, else of the installed distribution, else "unknown"."""
    found = sys.modules.get(module)
    # Not getattr: a module of lazy_loader that nothing has used yet would be imported, and TensorFlow takes seconds.
    content = types.ModuleType.__getattribute__(found, "__dict__") if found else {}
    try:
        return content.get("__version__") or importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return UNKNOWN


def _check_keras_3() -> None:
    if _addons_installed():
        raise UserError(
            "TensorFlow Addons does not work with Keras 3; remove it (pip uninstall tensorflow-addons) or install "
            "tensorflow==2.15.1"
        )
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "")
    if legacy in ("1", "true", "True"):  # the spellings TensorFlow itself accepts
        raise UserError(
            f"TF_USE_LEGACY_KERAS={legacy} selects Keras 2; unset it, this program uses Keras 3 here"
        )


def _keras_json() -> pathlib.Path:
    # The folder of Keras 2 and 3.
    home = os.path.expanduser("~")
    base = home if os.access(home, os.W_OK) else "/tmp"
    folder = os.environ.get("KERAS_HOME", os.path.join(base, ".keras"))
    return pathlib.Path(os.path.expanduser(folder)) / "keras.json"


def _check_keras_settings() -> None:
    backend = os.environ.get("KERAS_BACKEND", "")
    if backend not in ("", "tensorflow"):
        raise UserError(
            f"KERAS_BACKEND={backend}, but this program runs on tensorflow; "
            "unset it or set it to tensorflow"
        )
    path = _keras_json()
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # Keras uses its defaults, which fit.
    for name, wanted in _KERAS_SETTINGS.items():
        if name == "backend" and backend:  # the variable, checked above, wins over the file
            continue
        found = settings.get(name, wanted)
        if found != wanted:
            raise UserError(f'{path} sets "{name}" to "{found}"; set it to "{wanted}"')


def versions() -> dict[str, str]:
    """Versions of python, tensorflow, keras, numpy and opencv; and the platform."""
    return {
        "python": platform.python_version(),
        "tensorflow": _version("tensorflow", "tensorflow"),
        "keras": _version("keras", "keras"),
        "numpy": _version("numpy", "numpy"),
        "opencv": _version("cv2", "opencv-python-headless"),
        "platform": platform.platform(),
    }


def _git(*arguments: str) -> str:
    # In a git hook these variables name the repository of the commit, not the one of this file.
    others = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    environment = {name: value for name, value in os.environ.items() if name not in others}
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.check_output(
        command, stderr=subprocess.DEVNULL, text=True, timeout=30, env=environment
    ).strip()


def git_commit() -> str:
    """Commit (40 hex digits) of this program's checkout, for a run's record.

    "-dirty" is appended if tracked files differ from the commit. "unknown" without git or a commit, or if the program
    is installed: a checkout around an installation is not its own.
    """
    try:
        if not ROOT.samefile(_git("rev-parse", "--show-toplevel")):
            return UNKNOWN
        commit = _git("rev-parse", "--verify", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return f"{commit}-dirty" if changed else commit
