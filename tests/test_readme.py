"""README and docs/ stay true: commands and the Python example run, links, paths, flags and scores are right."""

from __future__ import annotations

import json
import pathlib
import re
import shlex
import shutil
import sys
import types

import cv2
import numpy as np
import pytest
from absl import flags

from common.images import convert
from common.training import signals
from hifill import demo_masks

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))
}
README = DOCUMENTS["README.md"]
# Whose commands run, in the order in which a reader comes to them. Other pages' trainings are parsed.
RUN = (
    *("README", "docs/filling", "docs/training", "docs/evaluation", "docs/studies", "docs/export"),
    *(f"docs/tutorials/{path.stem}" for path in sorted(ROOT.glob("docs/tutorials/*.md"))),
)


def blocks(kind, names=RUN):
    """The code blocks of a kind in some pages."""
    text = "\n".join(DOCUMENTS[f"{name}.md"] for name in names)
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands():
    """{command: variables that its block exports before it}; each once."""
    found = {}
    for block in blocks("sh"):
        exported = {}
        for line in filter(None, block.splitlines()):
            if line.startswith("export "):
                name, value = line.removeprefix("export ").split("=")
                exported[name] = value
            else:
                found.setdefault(line, dict(exported))
    return found


COMMANDS = commands()
# Pages with flags that are not ours: of older versions, uv's, SLURM's.
OTHER_FLAGS = ("CHANGELOG.md", "CONTRIBUTING.md", "docs/distributed.md")
# Starts from weights that another training leaves: too long a chain, so it is parsed.
CHAINED = re.compile(r"python train\.py .*weights=runs/")
# The paper's stages: README's small ones run.
STAGES = [c for c in COMMANDS if c.startswith("python train.py --stages=all --places2_dir=")]
# The paper's experiments take days: here they run at toy size. Everything else runs as it is written.
TOY = (
    *("--hifill_size=64", "--hifill_channels=4", "--batch_size=1", "--critic_steps=0", "--steps=1"),
    "--coarse_gate=pw",  # one operation each: quick to trace
)
# The weights fix the networks.
TOY_TUNED = ("--hifill_size=64", "--batch_size=1", "--steps=1", "--warmup_steps=0")
TOY_EVALUATION = ("--count=1",)
TOY_STUDIES = ("--study=zoom_table_1", "--count=20")  # all of them: half an hour
TOY_ZOOM = (
    *("--zoom_channels=4", "--zoom_size=16", "--batch_size=1", "--steps=1", "--vgg_weights=none"),
    "--stages=pretrain_coarse",  # all of them: tests/test_zoom_commands.py
)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, tiny_weights, tiny_zoom_weights):
    """A folder as a reader has it: photographs, masks, trained weights, data sets."""
    folder = tmp_path_factory.mktemp("readme")
    image = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    mask = np.zeros((80, 100), np.uint8)
    mask[20:40, 30:60] = 255
    for path in ("photo.jpg", "photos/a.jpg", "photos/b.png"):
        (folder / path).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / path), image)
    for path in ("mask.png", "masks/a.png", "masks/b.png"):
        (folder / path).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / path), mask)
    div2k = ("data/DIV2K/DIV2K_train_HR/0001.png", "data/DIV2K/DIV2K_valid_HR/0801.png")
    for path in (*div2k, "data/places2/data_large/a/1.png"):
        (folder / path).parent.mkdir(parents=True)
        cv2.imwrite(str(folder / path), cv2.resize(image, (300, 280)))
    trained = {
        "runs/mine/weights.npz": tiny_weights,
        "runs/zoom/joint_large/weights.npz": tiny_zoom_weights,
    }
    for path, weights in trained.items():
        (folder / path).parent.mkdir(parents=True)
        shutil.copy(weights, folder / path)
    return folder


@pytest.mark.default_environment
@pytest.mark.parametrize(
    "command",
    [c for c in COMMANDS if c.startswith("python ") and not CHAINED.match(c) and c not in STAGES],
)
def test_command(workplace, run_command, command):
    data = f"{workplace}/data/"
    words = shlex.split(command.replace("/data/", data))
    exported = {name: value.replace("/data/", data) for name, value in COMMANDS[command].items()}
    script, arguments = words[1].removesuffix(".py"), words[2:]
    if script == "train":
        zoom = any("--stages" in a or "zoom_to_inpaint" in a for a in arguments)
        tuned = "--weights=pretrained" in arguments
        arguments += TOY_ZOOM if zoom else TOY_TUNED if tuned else TOY
    if script == "evaluate":
        arguments += TOY_EVALUATION
    if "--study=all" in arguments:
        arguments += TOY_STUDIES
    # With traced graphs: tests/test_commands.py, tests/test_zoom_commands.py and the demo below.
    eagerly = script in ("train", "evaluate") or (script == "inpaint" and "harmonic" not in command)
    eagerly |= script != "export" and "--weights" in command
    # As a new process from its start: of the other commands tests/test_commands.py has one.
    quick = script != "export"
    process = run_command(
        script, *arguments, cwd=workplace, quick=quick, eagerly=eagerly, **exported
    )
    assert process.returncode == 0, process.stderr
    given = [a.split("=", 1)[1] for a in arguments if a.startswith("--output=")]
    (output,) = given or ["results/table.md"]  # evaluate.py's own
    # A dry run's own output: nothing has been written there, by this command or another.
    assert (workplace / output).exists() == ("--dry_run" not in arguments)


def test_every_other_command_is_a_target_of_make():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in (c for c in COMMANDS if not c.startswith("python ")):
        maker, target = command.split()
        assert maker == "make" and target in targets
    for text in DOCUMENTS.values():
        assert set(re.findall(r"`make ([a-z-]+)`", text)) <= targets


# {all Python of a page, from top to bottom: the page}; each once.
PROGRAMS = {"\n".join(blocks("python", [name])): name for name in reversed(RUN)}
PROGRAMS.pop("", None)


@pytest.mark.default_environment
@pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")  # of tf.data
@pytest.mark.parametrize("code", PROGRAMS, ids=PROGRAMS.values())
def test_python_example(workplace, monkeypatch, eagerly, capsys, code):
    monkeypatch.chdir(workplace)
    names = {}
    exec(code, names)
    if "filled" in names:
        filled, image = names["filled"], names["image"]
        assert filled.shape == image.shape and filled.dtype == image.dtype
    else:
        assert "| mine " in capsys.readouterr().out


@pytest.mark.default_environment
def test_the_page_about_weights_runs_from_top_to_bottom(workplace, monkeypatch):
    """The download excepted: a stand-in gives the folder that the page wrote before."""
    module = types.SimpleNamespace(snapshot_download=lambda name, **_: "shared/mine")
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.chdir(workplace)
    for code in blocks("python", ["docs/weights"]):
        exec(code, {})
    assert sorted(path.name for path in (workplace / "shared/mine").iterdir()) == [
        *("README.md", "config.json", "model.safetensors"),
    ]
    assert (workplace / "mine.npz").stat().st_size < (workplace / "mine.safetensors").stat().st_size


def slug(heading):
    """The anchor of a heading, as GitHub and GitLab make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links(document):
    """To a place that exists; from docs/ to docs/ alone, since the site has nothing else."""
    text = DOCUMENTS[document]
    defined = re.findall(r"^\[([^\]]+)\]: (\S+)$", text, re.MULTILINE)
    assert {name for _, name in re.findall(r"\[([^\]]+)\]\[([^\]]+)\]", text)} <= {
        n for n, _ in defined
    }
    for target in [*re.findall(r"\]\(([^)\s]+)\)", text), *(target for _, target in defined)]:
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = ((ROOT / document).parent / name).resolve() if name else ROOT / document
        assert path.exists(), target
        assert not document.startswith("docs/") or path.is_relative_to(ROOT / "docs"), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), target


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name != "CHANGELOG.md"])
def test_paths_exist(document):
    """The changelog names what was there at its time."""
    rooms = (
        "common|inpainting|hifill|zoom_to_inpaint|tests|configs|docs|benchmarks|examples|studies"
    )
    for path in re.findall(rf"`((?:{rooms})/[\w/.*-]*)`", DOCUMENTS[document]):
        assert list(ROOT.glob(path)), path


def test_readme_is_short_and_leads_to_every_page():
    assert README.count("\n") <= 120
    linked = set(re.findall(r"\]\(([^)#\s]+)", README))
    linked |= {f"docs/{name}" for name in re.findall(r"\]\(([^)#\s]+)", DOCUMENTS["docs/index.md"])}
    assert set(DOCUMENTS) - {"README.md"} <= linked


def test_readme_has_the_published_scores():
    """A cell is PSNR and L1 of one method under one kind of holes, as docs/results/ has them; the last two seconds."""
    rows = {
        "HiFill, hifill-5": ("hifill_5", "hifill"),
        "Zoom-to-Inpaint, zoom_to_inpaint-1": ("zoom_1", "zoom_to_inpaint"),
        "harmonic (a smooth membrane)": ("hifill_5", "harmonic"),
        "Telea": ("hifill_5", "telea"),
        "Navier-Stokes": ("hifill_5", "ns"),
        "PatchMatch": ("hifill_5", "patchmatch"),
    }
    (kinds,) = re.findall(
        r"^\| \| (small holes.*) \| seconds \| one core \|$", README, re.MULTILINE
    )
    kinds = [kind.removesuffix(" holes") for kind in kinds.split(" | ")]
    shown = re.findall(r"^\| ([^|]+) \| ([^\n]* dB, [^\n]*) \|$", README, re.MULTILINE)
    assert [title for title, _ in shown] == list(rows)
    times, one_core = (
        {row["What"]: row["Time (s)"] for row in published(name)}
        for name in ("benchmark_methods", "benchmark_methods_one_core")
    )
    for runtime in ("TensorFlow", "onnxruntime", "OpenVINO"):
        what = f"hifill in {runtime.lower()} 256"
        assert re.search(
            rf"in {runtime} (it takes )?{times[what]} and {one_core[what]}\b", README
        ), what
    for title, cells in shown:
        name, method = rows[title]
        scores = {row["Holes"]: row for row in published(name) if row["Method"] == method}
        assert cells.split(" | ") == [
            *(f"{scores[kind]['PSNR ↑']} dB, {scores[kind]['L1 (%) ↓']}%" for kind in kinds),
            times[f"{method.replace('_', ' ')} 256"],
            one_core[f"{method.replace('_', ' ')} 256"],
        ]


def published(name):
    """[{column: cell}] of the table of docs/results/<name>.json."""
    content = (ROOT / "docs" / "results" / f"{name}.json").read_text(encoding="utf-8")
    (table,) = json.loads(content)["tables"]
    return [dict(zip(table["columns"], row)) for row in table["rows"]]


def test_flags_exist(train):
    defined = {"flagfile", "help"} | set(flags.FLAGS)  # absl's own and those of train.py
    for path in (*ROOT.glob("*.py"), *ROOT.glob("*/*.py"), *ROOT.glob("*/*/*.py")):
        text = path.read_text(encoding="utf-8")
        defined |= set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', text))
    for name, text in DOCUMENTS.items():
        for flag in re.findall(r"(?<![\w-])--(\w+)", "" if name in OTHER_FLAGS else text):
            assert flag in defined or flag.removeprefix("no") in defined, f"{name}: --{flag}"


TRAININGS = [
    line
    for name, text in DOCUMENTS.items()
    for line in text.splitlines()
    if line.startswith("python train.py") and (CHAINED.match(line) or line not in COMMANDS)
]


@pytest.mark.parametrize("command", TRAININGS)
def test_trainings_of_the_documents_contradict_nothing(train, parse, command):
    parse(*shlex.split(command)[2:])
    job = train.Job.of_flags()
    job.check_flags()
    assert job.values["steps"] > 1 and job.recipe.config(job.values)
    if job.command.model == "zoom_to_inpaint":
        job.recipe.check_start(job.values)


@pytest.mark.parametrize("command", STAGES)
def test_every_stage_of_the_paper_has_what_it_needs(train, parse, workplace, monkeypatch, command):
    """Up to the process that trains it."""
    words = shlex.split(command.replace("/data/", f"{workplace}/data/"))[1:]
    words.append("--vgg_weights=none")  # a download
    started = []
    monkeypatch.setattr(signals, "run", lambda line, stop: started.append(line) or 0)
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.chdir(workplace)
    parse(*words[1:])
    assert train.main([]) == 0 and len(started) == 5


def test_there_are_such_commands():
    assert STAGES and TRAININGS


@pytest.mark.default_environment
def test_demo(run_command, tmp_path):
    """`make demo`: its pictures exist, and what is not in a hole is the photograph's."""
    process = run_command("-mhifill.demo", "--output=demo", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert process.returncode == 0, process.stderr
    for subject in demo_masks.SUBJECTS:
        assert (tmp_path / "demo" / f"{subject.name}.png").is_file()
        before, hole, after = (
            convert.read_rgb(tmp_path / "demo" / folder / f"{subject.name}.png")
            for folder in ("photographs", "masks", "filled")
        )
        changed = (before != after).any(axis=2)
        assert changed.any() and not changed[hole[..., 0] == 0].any()
    assert (tmp_path / "demo" / "overview.png").is_file()
    assert "demo/overview.png" in process.stdout


@pytest.mark.full
@pytest.mark.default_environment
def test_demo_training(run_command, tmp_path):
    """`make demo-training` with seconds of training: all its steps run and its pictures exist."""
    process = run_command(
        *("-mhifill.demo_training", "--output=demo", "--minutes=0.02"),
        cwd=tmp_path,
        PYTHONPATH=str(ROOT),
    )
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "demo" / "photograph.png").is_file()
    assert (tmp_path / "demo" / "evaluation" / "mixed" / "pictures.png").is_file()
