"""What the program runs on: refused early when it cannot work, and written down with every run.

`check` is called by every entry point before TensorFlow is imported. It reads installed metadata,
environment variables and `keras.json` only (milliseconds, no heavy import), and turns a setting
that would fail much later, or quietly change results, into one line. `versions` and `git_commit` go
into the folder of a run.

Supported: TensorFlow 2.15 with Keras 2, with or without TensorFlow Addons, and TensorFlow 2.16 or
later with Keras 3 on its TensorFlow backend, without Addons (which needs Keras 2).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

from common.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[1]
UNKNOWN = "unknown"

# Imported module -> distributions that may bring it, the one to install first.
_DISTRIBUTIONS = {
    "tensorflow": (
        "tensorflow",
        "tensorflow-cpu",
        "tensorflow-macos",
        "tensorflow-rocm",
        "tf-nightly",
    ),
    "keras": ("keras", "keras-nightly"),
    "absl": ("absl-py",),
    "numpy": ("numpy",),
    "cv2": (
        "opencv-python-headless",
        "opencv-python",
        "opencv-contrib-python-headless",
        "opencv-contrib-python",
    ),
    "PIL": ("Pillow",),
    "skimage": ("scikit-image",),
    "scipy": ("scipy",),
    "tqdm": ("tqdm",),
}

# What the code is written for; keras.json may set another.
_KERAS_SETTINGS = {
    "backend": "tensorflow",
    "floatx": "float32",
    "image_data_format": "channels_last",
}


def check() -> None:
    """Refuses an environment in which the program cannot work.

    Also quiets TensorFlow's C++ log, unless TF_CPP_MIN_LOG_LEVEL is set.

    Raises:
      UserError: a package is missing, TensorFlow is older than 2.15 or sits beside an Addons it
        does not work with, or Keras is set to another backend, float type, layout or version.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _check_installed()
    _check_tensorflow()
    _check_keras()


def start_tensorflow() -> None:
    """Imports TensorFlow and looks for devices without its start-up notices.

    They bypass TF_CPP_MIN_LOG_LEVEL and would bury the one line that matters. They are shown after all when that
    variable is set to 0 or 1, when the import fails, and when there is an NVIDIA driver but TensorFlow found no GPU.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notices:
        kept = os.dup(2)
        os.dup2(notices.fileno(), 2)
        shown = True
        try:
            import tensorflow as tf

            gpus = tf.config.list_physical_devices("GPU")
            wanted = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2") in ("0", "1")
            if not wanted:  # such as a line for every exchange between replicas
                tf.get_logger().setLevel("WARNING")
            shown = wanted or (not gpus and os.path.exists("/proc/driver/nvidia/version"))
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            if shown:
                notices.seek(0)
                sys.stderr.write(notices.read().decode(errors="replace"))


def _installed_version(module: str) -> str:
    for distribution in _DISTRIBUTIONS[module]:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return UNKNOWN


def _check_installed() -> None:
    missing = [
        names[0]
        for module, names in _DISTRIBUTIONS.items()
        if importlib.util.find_spec(module) is None
    ]
    if missing:
        raise UserError(
            f"not installed: {', '.join(missing)}; "
            f"run: {sys.executable} -m pip install {' '.join(missing)}"
        )


def _check_tensorflow() -> None:
    version = _installed_version("tensorflow")
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if not numbers:  # a build without metadata: nothing to compare with
        return
    release = (int(numbers[1]), int(numbers[2]))
    if release < (2, 15):
        raise UserError(
            f"TensorFlow {version} is too old; install 2.15.1 or later: "
            "pip install --upgrade tensorflow"
        )
    if release == (2, 15):
        return
    if importlib.util.find_spec("tensorflow_addons") is not None:
        raise UserError(
            f"TensorFlow Addons does not work with TensorFlow {version}; remove it (pip uninstall "
            "tensorflow-addons) or install tensorflow==2.15.1"
        )
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "")
    if legacy in ("1", "true", "True"):  # the spellings TensorFlow itself accepts
        raise UserError(
            f"TF_USE_LEGACY_KERAS={legacy} selects Keras 2 under TensorFlow {version}; unset it, "
            "this program uses Keras 3 there"
        )


def _keras_json() -> pathlib.Path:
    # The folder Keras itself looks in, Keras 2 and 3 alike.
    home = os.path.expanduser("~")
    base = home if os.access(home, os.W_OK) else "/tmp"
    folder = os.environ.get("KERAS_HOME", os.path.join(base, ".keras"))
    return pathlib.Path(os.path.expanduser(folder)) / "keras.json"


def _check_keras() -> None:
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
        return  # Keras then takes its defaults, which fit.
    for name, wanted in _KERAS_SETTINGS.items():
        if name == "backend" and backend:  # the variable, checked above, wins over the file
            continue
        found = settings.get(name, wanted)
        if found != wanted:
            raise UserError(f'{path} sets "{name}" to "{found}"; set it to "{wanted}"')


def versions() -> dict[str, str]:
    """Versions of what computes a run: python, tensorflow, keras, numpy, opencv; and the platform.

    A module that is already imported answers for itself; otherwise the installed metadata does, or
    "unknown".
    """
    found = {"python": platform.python_version()}
    for name, module in (
        ("tensorflow", "tensorflow"),
        ("keras", "keras"),
        ("numpy", "numpy"),
        ("opencv", "cv2"),
    ):
        loaded = getattr(sys.modules.get(module), "__version__", None)
        found[name] = loaded or _installed_version(module)
    found["platform"] = platform.platform()
    return found


def _git(*arguments: str) -> str:
    # In a git hook these name the repository that is committed to, not the one this file lies in.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    }
    command = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=30, env=environment
    )
    return done.stdout.strip()


def git_commit() -> str:
    """Commit (40 hex digits) of the checkout this program runs from, for a run to be repeated.

    "-dirty" is appended when tracked files differ from the commit. "unknown" without git, without a
    commit, or when the program is installed: a checkout around it is then somebody else's.
    """
    try:
        if not ROOT.samefile(_git("rev-parse", "--show-toplevel")):
            return UNKNOWN
        commit = _git("rev-parse", "--verify", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return f"{commit}-dirty" if changed else commit
