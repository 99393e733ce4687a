"""House rules that no reader checks twice: what a wheel holds, who imports whom, what is tracked.

The wheel is built from a copy of the tracked files, offline, so that it proves both `setup.py` and
the checkout complete, and used from another folder, so that nothing is found by the accident of
where one stands.
"""

from __future__ import annotations

import ast
import email
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAPERS = ("hifill", "zoom_to_inpaint")
PACKAGES = ("common", "inpainting", *PAPERS)
SCRIPTS = ("evaluate", "export", "inpaint", "train")
# What belongs to a clone: no package that is installed imports it.
OF_A_CLONE = ("studies", "benchmarks", *SCRIPTS)
LOCKS = {"current": ("3.10", "3.13"), "addons": ("3.9", "3.11")}

# Tracked files above 1 MB, each with its reason.
LARGE = {
    "hifill/weights/hifill-5.npz": "the weights that come with the package",
    "tests/golden/hifill_release_nc4.npz": "the release's numbers at reduced width",
    "tests/golden/zoom_release_ch4_x3.npz": "the same of the other paper, scale 3",
    "tests/golden/zoom_release_ch8.npz": "and scale 2",
    "zoom_to_inpaint/weights/zoom_to_inpaint-1.npz": "the other paper's weights that come with it",
}


def _from_git() -> list[str]:
    """Tracked files and new ones that git does not ignore; empty where there is no checkout."""
    command = [
        "git",
        "-C",
        str(ROOT),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [name for name in done.stdout.split("\0") if (ROOT / name).is_file()]


def _from_folders() -> list[str]:
    made = re.compile(
        r"\.(git|venv.*|\w+_cache)|__pycache__|build|dist|site|\.cache|demo_(training_)?output|runs|.*\.egg-info"
    )
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    paths = [path for path in paths if path.parts[0] != "results"]  # docs/results is ours
    return [path.as_posix() for path in paths if not any(map(made.fullmatch, path.parts))]


# A folder without .git may lie in somebody else's checkout: git's answer would be about that one.
TRACKED = sorted(set(_from_git() if (ROOT / ".git").exists() else []) or _from_folders())
SOURCES = [name for name in TRACKED if name.endswith(".py")]


def parse(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), filename=name)


# The wheel.


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    """The wheel of a copy of the tracked files, unpacked; built without network or isolation."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in TRACKED:
        target = folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", *options, str(folder / "source")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def metadata(wheel):
    (path,) = wheel.glob("*.dist-info/METADATA")
    return email.message_from_string(path.read_text(encoding="utf-8"))


def test_wheel_holds_packages_flagfiles_and_cards_and_no_other_top_level_name(wheel):
    wanted = {n for n in TRACKED if n.startswith(tuple(f"{folder}/" for folder in PACKAGES))}
    wanted |= {f"common/{name}" for name in TRACKED if name.startswith("configs/")}
    cards = [name for name in TRACKED if name.startswith("docs/models/")]
    wanted |= {name.replace("docs/models", "common/model_cards") for name in cards}
    found = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    found = {name for name in found if ".dist-info/" not in name}
    assert sorted(found) == sorted(wanted)


def test_the_wheel_installs_the_command(wheel):
    (path,) = wheel.glob("*.dist-info/entry_points.txt")
    assert "inpaint = inpainting.command:main" in path.read_text(encoding="utf-8")


def test_each_paper_has_flagfiles():
    for paper in PAPERS:
        assert any(name.startswith(f"configs/{paper}/") for name in TRACKED), paper


def test_wheel_names_its_license_and_what_it_needs(wheel):
    described = metadata(wheel)
    assert "Apache-2.0" in (described["License"], described["License-Expression"])
    assert list(wheel.glob("*.dist-info/**/LICENSE"))
    assert described["Requires-Python"] == ">=3.9"
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {described['Version']}\n" in citation


def test_installed_wheel_works_from_another_folder(wheel, tmp_path):
    code = f"""
import importlib, pathlib
from common import command_line
installed = pathlib.Path({str(wheel)!r})
for name in {PACKAGES}:
    assert pathlib.Path(importlib.import_module(name).__file__).parent == installed / name, name
assert command_line.program("train")[1:] == ["-m", "inpainting", "train"]
assert command_line.program("inpaint")[1:] == ["-m", "inpainting", "run"]
assert "--model=hifill" in command_line.expand(["--flagfile=configs/hifill/gates_sc_ds.cfg"])
"""
    environment = {**os.environ, "PYTHONPATH": str(wheel), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# The lock files.


def pins(lock: str, python: str) -> dict[str, str]:
    """{name: version} that requirements/`lock`.txt installs on Linux with `python`, e.g. "3.11"."""
    environment = {
        **default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
    }
    found: dict[str, str] = {}
    for line in (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", line
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice for Python {python}"
            found[name] = pin.version
    return found


@pytest.mark.parametrize(
    "lock, python", [(lock, python) for lock, pythons in LOCKS.items() for python in pythons]
)
def test_lock_meets_what_setup_asks_for(wheel, lock, python):
    pinned = pins(lock, python)
    extras = {
        "current": ("", "studies", "web", "lint", "browser", "docs", "test"),
        "addons": ("", "studies", "web", "addons", "test"),
    }[lock]
    for line in metadata(wheel).get_all("Requires-Dist"):
        requirement = Requirement(line)
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in extras):
            continue
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{line} is not in {lock}.txt; run: make lock"
        assert requirement.specifier.contains(pinned[name]), f"{line} against {pinned[name]}"


# Who imports whom.


def imported(name: str) -> set[str]:
    """Top-level names that the source `name` imports, inside functions too."""
    found = set()
    for node in ast.walk(parse(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: imports are absolute"
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize(
    "package, forbidden",
    [
        ("common", {*PAPERS, "inpainting", *OF_A_CLONE}),
        ("hifill", {"zoom_to_inpaint", "inpainting", *OF_A_CLONE}),
        ("zoom_to_inpaint", {"hifill", "inpainting", *OF_A_CLONE}),
        ("inpainting", {*OF_A_CLONE}),
    ],
)
def test_layers(package, forbidden):
    sources = [name for name in SOURCES if name.startswith(f"{package}/")]
    assert f"{package}/__init__.py" in sources
    for name in sources:
        assert not imported(name) & forbidden, f"{name} imports {imported(name) & forbidden}"


# Rooms from the ground up. A file imports from its own room and from floors below, never from a neighbour on its floor.
# CONTRIBUTING.md shows the same order.
FLOORS = {
    "common": (
        (
            "errors",
            "environment",
            "storage",
            "options",
            "command_line",
            "html_pages",
            "json_files",
            "keras_compat",
            "markdown",
            "memory",
        ),
        ("images",),
        ("data", "models"),
        ("masks",),
        ("filling",),
        ("scoring",),
        ("training",),
    ),
    "inpainting": (
        ("painters",),
        ("run", "train", "shards", "evaluate", "export", "serve"),
        ("bulk",),
        ("command",),
        ("__main__",),
    ),
    "studies": (
        ("kit",),
        ("registry",),
        ("publish",),
        ("user_study",),
        ("hifill", "zoom", "evidence"),
        ("run",),
    ),
}


def rooms_imported(name: str, package: str) -> set[str]:
    """Rooms of `package` that the source `name` imports from, inside functions too."""
    found = set()
    for node in ast.walk(parse(name)):
        if not isinstance(node, ast.ImportFrom) or node.module.split(".")[0] != package:
            continue
        below = node.module.split(".")[1:2]
        found |= set(below or (alias.name for alias in node.names))
    return found


@pytest.mark.parametrize("package", FLOORS)
def test_no_room_imports_from_a_floor_above_or_a_neighbour(package):
    floors = FLOORS[package]
    heights = {room: height for height, floor in enumerate(floors) for room in floor}
    sources = [name for name in SOURCES if name.startswith(f"{package}/")]
    rooms = {name.split("/")[1].removesuffix(".py") for name in sources} - {"__init__"}
    assert rooms == set(heights), "every room has its floor"
    for name in sources:
        own = name.split("/")[1].removesuffix(".py")
        for room in rooms_imported(name, package) - {own}:
            on_the_ground = heights[room] == heights[own] == 0
            assert heights[room] < heights[own] or on_the_ground, f"{name} imports from {room}"


def test_errors_stand_on_nothing():
    assert not rooms_imported("common/errors.py", "common")


def test_nothing_but_tests_imports_the_test_tools():
    for name in SOURCES:
        if not name.startswith("tests/"):
            assert "pytest" not in imported(name), name


# Conventions.


def test_pixel_ranges_are_converted_in_one_place():
    """255 and 127.5 as numbers stand in common/images/convert.py alone; others call its functions."""
    found = [
        f"{name}:{node.lineno}"
        for name in SOURCES
        if name != "common/images/convert.py" and not name.startswith("tests/")
        for node in ast.walk(parse(name))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, (int, float))
        and node.value in (255, 127.5)
    ]
    assert found == []


def texts():
    for name in TRACKED:
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:  # a picture
            continue


# One-letter classes keep this file from finding itself. The package of the model hub may be named, not its host.
HOSTS = r"[p]ypi\.org|[p]ythonhosted|[h]uggingface(?!_hub)|[d]rive\.google|[d]ropbox|[g]oogleapis"
INDEX_OPTIONS = r"(?m)^\s*--?[\w-]*(?:index|links|host)"
PRIVATE_FOLDERS = r"(?<![\w.~-])/(?:[w]ork|[f]arm|[r]oot|[U]sers)/"


@pytest.mark.parametrize("pattern", [HOSTS, PRIVATE_FOLDERS])
def test_no_file_names_a_download_host_or_a_folder_of_one_machine(pattern):
    found = [
        f"{name}: {match[0]}" for name, text in texts() for match in re.finditer(pattern, text)
    ]
    assert found == []


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_leave_the_package_index_to_the_user(lock):
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    assert not re.search(INDEX_OPTIONS, text)
    assert "://" not in text


def test_tracked_files_are_small_unless_listed():
    large = [name for name in TRACKED if (ROOT / name).stat().st_size > 1_000_000]
    assert sorted(large) == sorted(LARGE)


def test_ci_runs_the_two_test_commands():
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("test", "test-addons"):
        assert re.search(rf"^for target in .*\b{target}\b", text, re.MULTILINE), target
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_workflow_runs_targets_of_the_makefile_on_the_pythons_of_the_locks():
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"^ +(?:- )?run: (.*)$", text, re.MULTILINE)
    targets = [re.fullmatch(r"make ([a-z-]+) PYTHON(?:_ADDONS)?=python", c)[1] for c in commands]
    assert {"test", "test-addons", "docs"} <= set(targets)
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    found = [re.findall(r'"([\d.]+)"', line) for line in re.findall(r"python: \[(.*)\]", text)]
    assert [(pythons[0], pythons[-1]) for pythons in found] == list(LOCKS.values())
