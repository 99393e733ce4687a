"""The commands as a person types them: what they write, and one line and an exit code for every mistake."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import time

import cv2
import numpy as np
import pytest

from common.data import datasets
from common.errors import UserError
from common.scoring import protocol

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILL = ("--image=photo.png", "--mask=mask.png", "--output=out.png")


def one_line(process, code, *words):
    """The process failed as it should: exit code, one error line with these words, no traceback."""
    assert process.returncode == code, process.stderr
    assert "Traceback" not in process.stderr
    errors = [line for line in process.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, process.stderr
    for word in words:
        assert word in errors[0], errors[0]


def nothing_written(folder: pathlib.Path, before: set):
    assert {p.name for p in folder.iterdir()} == before


def test_fills_a_file_and_keeps_known_pixels(run_command, photo):
    process = run_command("inpaint", "--model=telea", *FILL, cwd=photo)
    assert process.returncode == 0, process.stderr
    assert "1 filled, 0 skipped" in process.stdout
    before, after = (cv2.imread(str(photo / name)) for name in ("photo.png", "out.png"))
    hole = cv2.imread(str(photo / "mask.png"), 0) > 127
    assert np.array_equal(before[~hole], after[~hole])
    assert not np.array_equal(before[hole], after[hole])


def test_skips_what_exists_unless_told(run_command, photo):
    (photo / "out.png").write_bytes(b"mine")
    process = run_command("inpaint", "--model=telea", *FILL, cwd=photo)
    assert process.returncode == 0 and "1 skipped" in process.stdout
    assert (photo / "out.png").read_bytes() == b"mine"
    run_command("inpaint", "--model=telea", *FILL, "--overwrite", cwd=photo)
    assert cv2.imread(str(photo / "out.png")) is not None


def test_before_and_after_side_by_side(run_command, photo):
    flags = ("--model=mean", "--image=photos", "--mask=mask.png", "--output=out", "--compare")
    (photo / "photos").mkdir()
    large = cv2.resize(cv2.imread(str(photo / "photo.png")), (1800, 180))
    mask = cv2.resize(cv2.imread(str(photo / "mask.png")), (1800, 180))
    cv2.imwrite(str(photo / "photos" / "a.png"), large)
    cv2.imwrite(str(photo / "mask.png"), mask)
    assert run_command("inpaint", *flags, cwd=photo).returncode == 0
    assert sorted(p.name for p in (photo / "out").iterdir()) == ["a.compare.png", "a.png"]
    found = cv2.imread(str(photo / "out" / "a.compare.png"))
    height = 160
    assert found.shape == (height + 8, 2 * 1600 + 12, 3)  # reduced, with white between and around
    before, after = found[4:-4, 4:1604], found[4:-4, 1608:-4]
    hole = cv2.resize(mask[..., 0], (1600, height), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(before[hole == 0], after[hole == 0])
    # Half magenta: red and blue rise, the photograph shines through.
    truth = cv2.resize(large, (1600, height), interpolation=cv2.INTER_AREA)[hole == 255]
    tinted = before[hole == 255].astype(float)
    assert np.abs(tinted[:, [0, 2]] - (truth[:, [0, 2]] / 2 + 127.5)).max() <= 2
    assert np.abs(tinted[:, 1] - truth[:, 1] / 2).max() <= 2
    # A result that is there already is compared without being filled again.
    (photo / "out" / "a.compare.png").unlink()
    process = run_command("inpaint", *flags, cwd=photo)
    assert "0 filled, 1 skipped" in process.stdout
    np.testing.assert_array_equal(cv2.imread(str(photo / "out" / "a.compare.png")), found)
    # Two pictures that would have one name are refused before anything is written.
    cv2.imwrite(str(photo / "photos" / "a.compare.png"), large)
    process = run_command("inpaint", *flags, "--overwrite", cwd=photo)
    one_line(process, 1, "would both be written to", "a.compare.png")


def test_one_bad_file_does_not_stop_the_rest(run_command, photo):
    for folder in ("photos", "masks"):
        (photo / folder).mkdir()
    for name in ("a", "b", "c"):
        (photo / "photos" / f"{name}.png").write_bytes((photo / "photo.png").read_bytes())
        (photo / "masks" / f"{name}.png").write_bytes((photo / "mask.png").read_bytes())
    (photo / "photos" / "b.png").write_text("no image")
    process = run_command(
        "inpaint", "--model=ns", "--image=photos", "--mask=masks", "--output=out", cwd=photo
    )
    one_line(process, 1, "b.png")
    assert "2 filled, 0 skipped (already there), 1 failed" in process.stdout
    assert sorted(p.name for p in (photo / "out").iterdir()) == ["a.png", "c.png"]


def test_inverted_and_dilated_masks(run_command, photo):
    mask = cv2.imread(str(photo / "mask.png"), 0)
    cv2.imwrite(str(photo / "mask.png"), 255 - mask)
    flags = ("--invert_mask", "--dilate=3")
    assert run_command("inpaint", "--model=telea", *FILL, *flags, cwd=photo).returncode == 0
    changed = np.any(
        cv2.imread(str(photo / "photo.png")) != cv2.imread(str(photo / "out.png")), axis=2
    )
    allowed = cv2.dilate(mask, np.ones((7, 7), np.uint8)) > 0
    assert changed.any() and not changed[~allowed].any()
    assert changed[(mask == 0) & allowed].any()


def _truncate(path):
    rng = np.random.default_rng(1)
    cv2.imwrite(str(path), rng.integers(0, 256, (70, 90, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:-900])


BAD_FILES = {
    "missing file": (lambda d: None, ["--image=gone.png"], ["gone.png", "does not exist"]),
    "folder for a file": (
        lambda d: (d / "mask.png").unlink() or (d / "mask.png").mkdir(),
        [],
        ["mask.png"],
    ),
    "truncated JPEG": (
        lambda d: _truncate(d / "photo.jpg"),
        ["--image=photo.jpg"],
        ["photo.jpg", "again"],
    ),
    "text renamed": (lambda d: (d / "photo.png").write_text("hello"), [], ["photo.png"]),
    "0 bytes": (lambda d: (d / "photo.png").write_bytes(b""), [], ["photo.png", "empty"]),
    "mask of another size": (
        lambda d: cv2.imwrite(str(d / "mask.png"), np.zeros((50, 60), np.uint8)),
        [],
        ["mask.png", "photo.png", "60", "50", "90", "70"],
    ),
    "all-hole mask": (
        lambda d: cv2.imwrite(str(d / "mask.png"), np.full((70, 90), 255, np.uint8)),
        [],
        ["mask.png", "covers"],
    ),
    "no mask": (lambda d: None, ["--mask="], ["--mask is missing", "photo_mask000.png"]),
    "unsupported output": (lambda d: None, ["--output=out.gif"], [".gif"]),
    "unwritable output": (
        lambda d: (d / "file").write_text("x"),
        ["--output=file/out.png"],
        ["file"],
    ),
}


@pytest.mark.default_environment
@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files(run_command, photo, case):
    prepare, flags, words = BAD_FILES[case]
    prepare(photo)
    before = {p.name for p in photo.iterdir()}
    process = run_command("inpaint", "--model=telea", *FILL, *flags, cwd=photo)
    one_line(process, 1, *words)
    nothing_written(photo, before)


BAD_FLAGS = {
    "unknown model": (["--model=lama"], ["lama", "hifill"]),
    "unknown flag": (["--modle=telea"], ["modle"]),
    "quoted path in a flagfile": (["--flagfile=flags.cfg"], ["quoted", "photo.png"]),
    "missing flagfile": (["--flagfile=gone.cfg"], ["gone.cfg"]),
    "stray word": (["photo.png"], ["photo.png"]),
    "impossible value": (["--dilate=-1"], ["dilate"]),
}


@pytest.mark.default_environment
@pytest.mark.parametrize("case", BAD_FLAGS)
def test_bad_flags(run_command, photo, case):
    flags, words = BAD_FLAGS[case]
    (photo / "flags.cfg").write_text('--image="photo.png"\n')
    before = {p.name for p in photo.iterdir()}
    process = run_command("inpaint", *FILL, *flags, cwd=photo)
    one_line(process, 2, *words)
    nothing_written(photo, before)


def test_empty_mask_gives_the_input_and_says_so(run_command, photo):
    cv2.imwrite(str(photo / "mask.png"), np.zeros((70, 90), np.uint8))
    process = run_command("inpaint", "--model=telea", *FILL, cwd=photo)
    assert process.returncode == 0 and "empty" in process.stderr
    photo_in, out = (cv2.imread(str(photo / n)) for n in ("photo.png", "out.png"))
    assert np.array_equal(photo_in, out)


def test_a_mask_over_half_warns_and_names_the_flag(run_command, photo):
    mask = np.full((70, 90), 255, np.uint8)
    mask[:20] = 0
    cv2.imwrite(str(photo / "mask.png"), mask)
    process = run_command("inpaint", "--model=telea", *FILL, cwd=photo)
    assert process.returncode == 0 and "--invert_mask" in process.stderr


def test_hifill_fills_a_photograph(run_command, photo, tiny_weights):
    process = run_command("inpaint", f"--weights={tiny_weights}", *FILL, cwd=photo)
    assert process.returncode == 0, process.stderr
    before, after = (cv2.imread(str(photo / name)) for name in ("photo.png", "out.png"))
    hole = cv2.imread(str(photo / "mask.png"), 0) > 127
    assert np.array_equal(before[~hole], after[~hole])


@pytest.mark.default_environment
def test_a_photograph_of_one_pixel(run_command, photo, tiny_weights):
    cv2.imwrite(str(photo / "photo.png"), np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite(str(photo / "mask.png"), np.zeros((1, 1), np.uint8))
    process = run_command("inpaint", f"--weights={tiny_weights}", *FILL, cwd=photo, quick=True)
    one_line(process, 1, "photo.png", "1x1", "16")


@pytest.mark.default_environment
def test_weights_of_the_wrong_model(run_command, photo):
    header = {"format": "inpainting-weights-1", "model": "other", "config": {}}
    with open(photo / "w.npz", "wb") as stream:
        np.savez(stream, **{"header.json": np.array(json.dumps(header))})
    process = run_command("inpaint", "--weights=w.npz", *FILL, cwd=photo, quick=True)
    one_line(process, 1, "w.npz", "other", "hifill")
    (photo / "w.npz").write_bytes(b"PK no archive")
    process = run_command("inpaint", "--weights=w.npz", *FILL, cwd=photo, quick=True)
    one_line(process, 1, "w.npz")


def test_a_wrong_keras_backend_is_said_at_once(run_command, photo):
    process = run_command("inpaint", "--model=telea", *FILL, cwd=photo, KERAS_BACKEND="jax")
    one_line(process, 1, "KERAS_BACKEND")


# Gates of one operation each, and no critic: the seconds of a step at this size go into tracing its graph.
TINY_NETWORK = ("--hifill_size=64", "--hifill_channels=4", "--coarse_gate=pw")
TINY_RUN = (*TINY_NETWORK, "--batch_size=1", "--critic_steps=0")


@pytest.mark.default_environment
def test_an_interrupted_run_says_so_and_goes_on(tmp_path, run_command, command_words):
    # That going on changes no number: tests/common/training/test_loop.py, without the minute of three processes.
    flags = ["--output=run", "--resize", "--log_every=1", "--checkpoint_every=1", *TINY_RUN]
    script = [*command_words("train", eagerly=True), "--steps=100000", *flags]
    with subprocess.Popen(script, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 900
        while not list(tmp_path.glob("run/checkpoints/step-*.npz")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=300)[1]
    assert process.returncode == 1
    assert "error: interrupted" in errors and "Traceback" not in errors
    assert not list(tmp_path.glob("run/checkpoints/.*"))
    done = max(int(p.stem[5:]) for p in tmp_path.glob("run/checkpoints/step-*.npz"))
    again = run_command("train", f"--steps={done + 2}", *flags, cwd=tmp_path, eagerly=True)
    assert again.returncode == 0, again.stderr
    assert f"continuing from step {done}" in again.stdout
    lines = (tmp_path / "run" / "statistics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines if "generator" in line]
    # The interrupt may have come between the last step's checkpoint and its line.
    assert sorted({*steps, done}) == list(range(1, done + 3)) and len(set(steps)) == len(steps)
    for name in ("options.json", "log.txt", "weights.npz", "pictures/latest.png"):
        assert (tmp_path / "run" / name).is_file()


@pytest.mark.default_environment
def test_training_skips_a_damaged_photograph_and_counts_it(run_command, tmp_path):
    (tmp_path / "photos").mkdir()
    image = np.random.default_rng(0).integers(0, 256, (66, 70, 3), dtype=np.uint8)
    for number in range(120):
        cv2.imwrite(str(tmp_path / "photos" / f"{number}.png"), image)
    found = datasets.training("folder", str(tmp_path / "photos"))
    count = len(found.train)
    assert 104 < count < 120  # of which one may be damaged, and that are all read
    pathlib.Path(found.train[50]).write_bytes(b"no image")
    flags = ("--dataset=folder", "--data_dir=photos", "--output=run")
    process = run_command(
        *("train", *TINY_NETWORK, "--critic_steps=0", "--batch_size=60"),
        *("--steps=2", "--log_every=2", *flags),
        cwd=tmp_path,
        eagerly=True,
    )
    assert process.returncode == 0, process.stderr
    log = (tmp_path / "run" / "log.txt").read_text()
    assert f"--dataset=folder: {count} photographs to train on; {120 - count} others" in log
    name = pathlib.Path(found.train[50]).name
    (line,) = [x for x in log.splitlines() if f"/{name}" in x]
    assert f"warning: photograph skipped (1 of {count}" in line and line[20:] in process.stdout
    lines = (tmp_path / "run" / "statistics.jsonl").read_text().splitlines()
    assert [json.loads(x)["photographs_skipped"] for x in lines if "generator" in x] == [1]


@pytest.fixture
def gray_folder(tmp_path):
    """30 photographs of one gray level each."""
    (tmp_path / "photos").mkdir()
    for level in range(0, 240, 8):
        path = tmp_path / "photos" / f"{level}.png"
        cv2.imwrite(str(path), np.full((70, 66, 3), level, np.uint8))
    return tmp_path / "photos"


def test_no_photograph_is_trained_on_and_validated_on(
    train, parse, gray_folder, tmp_path, monkeypatch
):
    flags = ("--dataset=folder", f"--data_dir={gray_folder}", f"--output={tmp_path / 'run'}")
    parse(*TINY_RUN, *flags, "--dry_run")
    built = train.build(train.Job.of_flags())
    data, shown = built[2], built[-1]
    trained_on = {int(data[i][0].max()) for i in range(90)}  # three passes
    scored = {round(255 * float(image.max())) for image, _, _ in shown}
    assert scored and not trained_on & scored
    assert trained_on | scored == set(range(0, 240, 8))
    plans = []
    monkeypatch.setattr(
        "common.training.dry_run.run", lambda *arguments: plans.append(arguments[5])
    )
    train.main([])
    said = f"{len(trained_on)} photographs to train on; {len(scored)} others"
    assert said in plans[0]["data"] and "held out" in plans[0]["data"]


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--output=run", "--dataset=div2k", "--data_dir=."], 1, ["DIV2K_train_HR"]),
        (["--output=run", "--data_dir=."], 1, ["--data_dir", "--dataset=folder"]),
        (["--output=run", "--hifill_channels=0"], 2, ["--hifill_channels=0"]),
        (["--output=run", "--masks=round"], 1, ["round", "irregular"]),
        (["--steps=1"], 2, ["--output"]),
        (["--output=run", "--weights=gone.npz"], 1, ["gone.npz"]),
    ],
)
def test_training_that_cannot_work_stops_before_it_starts(
    train, parse, tmp_path, monkeypatch, flags, code, words
):
    """In this process, as every start of train.py takes seconds; the next test makes one."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        parse(*TINY_NETWORK, *flags)
        train.main([])
    assert error.value.exit_code == code and "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.default_environment
def test_training_says_in_one_line_why_it_cannot_work(run_command, tmp_path):
    flags = ("--output=run", "--batch_size=3", "--num_replicas=2")
    one_line(
        run_command("train", *TINY_NETWORK, *flags, cwd=tmp_path, quick=True), 2, "3", "2", "4"
    )
    assert not list(tmp_path.iterdir())


def test_evaluation_writes_tables_scores_masks_and_pictures(run_command, tmp_path):
    flags = ("--masks=small,irregular", "--size=64", "--count=2")
    process = run_command("evaluate", "--model=telea,ns", *flags, "--output=a", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    for name in ("table.md", "scores.json", "scores.csv", "run.json", "small/pictures.png"):
        assert (tmp_path / "a" / name).is_file()
    report = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert report.count("<img") == 2 * 2 * 4 and "a/report.html shows them" in process.stdout
    for line in (tmp_path / "a" / "table.md").read_text(encoding="utf-8").splitlines():
        for cell in line.strip("| ").split(" | ") if line.startswith("| ") else ():
            assert cell.strip(" -:") in report, cell
    assert len(list((tmp_path / "a" / "irregular" / "masks").glob("*.png"))) == 2
    # The PNGs of a method, scored as another's, give the same numbers.
    process = run_command(
        "evaluate",
        "--predictions=a/irregular/predictions/ns",
        *("--masks=irregular", *flags[1:]),
        "--output=b",
        cwd=tmp_path,
    )
    assert process.returncode == 0, process.stderr

    def psnr(folder):
        scores = json.loads((tmp_path / folder / "scores.json").read_text())["images"]
        return [
            s["metrics"]["psnr"] for s in scores if (s["method"], s["masks"]) == ("ns", "irregular")
        ]

    assert psnr("a") == psnr("b") and len(psnr("a")) == 2


@pytest.fixture
def authors_package(tmp_path):
    """Folder in the layout of the Zoom-to-Inpaint authors' test package, with two pictures and masks of its own."""
    rng = np.random.default_rng(0)
    for kind in ("image", "mask/small", "mask/large"):
        (tmp_path / "package" / kind).mkdir(parents=True)
    for number, name in enumerate(("0801.png", "0802.png")):
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "package" / "image" / name), cv2.resize(coarse, (256, 256)))
        for side, kind in ((20, "small"), (90, "large")):
            mask = np.zeros((256, 256), np.uint8)
            mask[40 : 40 + side, 30 + number : 30 + number + side] = 255
            cv2.imwrite(str(tmp_path / "package" / "mask" / kind / name), mask)
    return tmp_path / "package"


@pytest.mark.default_environment
@pytest.mark.parametrize(
    ("dataset", "ours"),
    [
        ("div2k", ["-", "100", "27.07", "-", "-", "0.9094", "0.9346", "0.01462", "0.293"]),
        ("places2", ["-", "200", "27.71", "-", "-", "0.9202", "0.9415", "0.01314", "-"]),
    ],
)
def test_evaluation_sets_the_papers_rows_beside_its_own_on_the_authors_masks(
    run_command, authors_package, tmp_path, dataset, ours
):
    process = run_command(
        *("evaluate", "--model=ns", f"--dataset={dataset}", f"--data_dir={authors_package}"),
        *("--masks=small,large", "--size=256", "--table=zoom_to_inpaint", "--output=out"),
        cwd=tmp_path,
        quick=True,
    )
    assert process.returncode == 0, process.stderr
    for kind in ("small", "large"):
        assert f"Masks {kind}: the files of {authors_package / 'mask' / kind}" in process.stdout
        for path in (authors_package / "mask" / kind).iterdir():
            used = cv2.imread(str(tmp_path / "out" / kind / "masks" / path.name), 0)
            assert np.array_equal(used, cv2.imread(str(path), 0))
    table = (tmp_path / "out" / "table.md").read_text()
    assert table in process.stdout and "Time (s) ↓ |" in table
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    methods = ["HiFill [48]", "Pluralistic [53]", "DeepFill-v2 [50]", "EdgeConnect [31]", "Ours"]
    papers = [f"paper: {method}" for method in methods]
    wanted = [[method, kind] for kind in ("small", "large") for method in ("ns", *papers)]
    means = rows[rows.index([]) :]
    means = [row for row in means if row][2:14]
    assert [row[:2] for row in means] == wanted
    assert means[-1][2:] == ours
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert [row["method"] for row in content["reported"]] == 2 * methods
    assert {row["method"] for row in content["summaries"] + content["images"]} == {"ns"}
    assert "Ours" not in (tmp_path / "out" / "scores.csv").read_text()


@pytest.mark.default_environment
@pytest.mark.parametrize(
    ("dataset", "layout", "fit"),
    [
        ("places2", "zoom_to_inpaint", "resize"),
        ("div2k", "zoom_to_inpaint", "crop"),
        ("div2k", "hifill", "resize"),
    ],
)
def test_evaluation_crops_and_reduces_as_the_papers_say(
    run_command, tmp_path, dataset, layout, fit
):
    photograph = tmp_path / "data" / {"places2": "val_large", "div2k": "DIV2K_valid_HR"}[dataset]
    photograph.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (300, 420, 3), dtype=np.uint8)
    cv2.imwrite(str(photograph / "a.png"), pixels)
    flags = (f"--dataset={dataset}", f"--data_dir={tmp_path / 'data'}", f"--table={layout}")
    flags = ("--model=mean", *flags, "--masks=small", "--size=256")
    process = run_command("evaluate", *flags, "--output=out", cwd=tmp_path, quick=True)
    assert process.returncode == 0, process.stderr
    found = cv2.imread(str(tmp_path / "out" / "small" / "images" / "a.png"))
    assert (found == protocol.FITS[fit](pixels, 256)).all()
    assert f"256x256 (--fit={fit})" in process.stdout
    assert ("| paper: Ours" in process.stdout) == (layout == "zoom_to_inpaint")
    if (dataset, layout) == ("places2", "zoom_to_inpaint"):
        process = run_command(
            "evaluate", *flags, "--fit=crop", "--output=other", cwd=tmp_path, quick=True
        )
        assert "No rows of the paper: it uses --fit=resize for places2" in process.stdout
        assert "| paper: " not in process.stdout
        one_line(
            run_command(
                "evaluate", *flags[:-1], "--size=0", "--fit=crop", cwd=tmp_path, quick=True
            ),
            2,
            "--fit",
        )


@pytest.mark.default_environment
def test_evaluation_takes_the_rows_of_hifill_at_the_size_evaluated(
    run_command, authors_package, tmp_path
):
    process = run_command(
        *("evaluate", "--model=ns", "--dataset=places2", f"--data_dir={authors_package}"),
        *("--masks=irregular", "--size=1024", "--count=1", "--output=out"),
        cwd=tmp_path,
        quick=True,
    )
    assert process.returncode == 0, process.stderr
    (ours,) = [line for line in process.stdout.splitlines() if line.startswith("| paper: Ours")]
    cells = [cell.strip() for cell in ours.split("|")[2:-1]]
    assert cells == ["irregular", "-", "36500", "5.439", "0.8840", "-", "-", "-", "0.031"]
    assert "| L1 (levels) ↓ |" in process.stdout
    assert "paper: HiFill, Table 2" in process.stdout


@pytest.mark.default_environment
def test_evaluation_says_where_the_papers_have_no_rows(run_command, authors_package, tmp_path):
    def output(*flags):
        process = run_command(
            *("evaluate", "--model=ns", "--count=1", "--output=out", *flags),
            cwd=tmp_path,
            quick=True,
        )
        assert process.returncode == 0, process.stderr
        return process.stdout

    sample = output("--masks=small", "--size=64", "--table=zoom_to_inpaint")
    assert "paper:" not in sample
    assert "Masks small: drawn with --seed=0" in sample
    (line,) = [line for line in sample.splitlines() if "--dataset=sample" in line]
    assert "Zoom-to-Inpaint reports DIV2K and Places2, HiFill only Places2" in line
    package = ("--dataset=div2k", f"--data_dir={authors_package}", "--masks=small")
    cropped = output(*package, "--size=64", "--table=zoom_to_inpaint")
    assert "paper:" not in cropped
    assert (
        "No rows of the paper for --dataset=div2k --split=validation --masks=small --size=64"
        in cropped
    )
    assert "No rows of the paper" in output(*package, "--size=256", "--table=hifill")
    silent = output(*package, "--size=256", "--table=zoom_to_inpaint", "--noreported")
    assert "paper" not in silent.replace("papers'", "")


# Mean colours in place of Inception's features: what is tested is which files they are taken from.
STAND_IN = """
import sys
import numpy as np
from inpainting import evaluate
from common import command_line
from common.scoring.inception import Inception

def run(batch):
    features = batch.mean(axis=(1, 2))
    powers = np.exp(features / 64)
    return features, powers / powers.sum(axis=1, keepdims=True)

evaluate.set_scores.network = lambda *_: Inception("Stand-in", run)
command_line.run(evaluate)
"""


@pytest.mark.default_environment
def test_evaluation_scores_whole_sets_with_a_network(forked, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for index in range(10):
        picture = np.full((70, 70, 3), rng.integers(30, 200, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "photos" / f"{index}.png"), picture)
    flags = ["--model=mean", "--dataset=folder", f"--data_dir={tmp_path / 'photos'}", "--size=64"]
    process = forked("-c", STAND_IN, *flags, f"--output={tmp_path / 'out'}", cwd=ROOT)
    assert process.returncode == 0, process.stderr
    (found,) = json.loads((tmp_path / "out" / "sets.json").read_text())
    # One colour a picture is what the mean colour gives back.
    assert (found["method"], found["network"], found["n"]) == ("mean", "Stand-in", 10)
    assert found["fid"] < 1e-6 and found["inception_score"] == pytest.approx(1)
    table = (tmp_path / "out" / "table.md").read_text()
    assert (
        "Of the whole set, mean, irregular: FID (Stand-in, N=10) ↓ 0.000, IS (Stand-in) ↑ 1.00"
        in table
    )
    few = (*flags, "--count=3", f"--output={tmp_path / 'few'}")
    process = forked("-c", STAND_IN, *few, cwd=ROOT)
    assert process.returncode == 0, process.stderr
    assert "FID of 3 images: the covariance of 3 features needs at least 4" in process.stdout
    assert "Inception Score of 3 images in 10 splits" in process.stdout


@pytest.mark.default_environment
def test_evaluation_says_what_is_missing(run_command, tmp_path):
    process = run_command("evaluate", "--model=ns", "--predictions=a/ns", cwd=tmp_path)
    one_line(process, 2, "'ns' twice")
    process = run_command("evaluate", "--predictions=gone", "--output=x", cwd=tmp_path)
    one_line(process, 1, "gone")
    process = run_command("evaluate", "--model=ns", "--inception_graph=gone.pb", cwd=tmp_path)
    one_line(process, 1, "--inception_graph=gone.pb", "no such file", "classify_image_graph_def.pb")
    assert not list(tmp_path.iterdir())
    (tmp_path / "empty").mkdir()
    process = run_command(
        "evaluate", "--predictions=empty", "--output=x", "--size=64", "--count=1", cwd=tmp_path
    )
    one_line(process, 1, "empty", "chelsea")


def test_a_photograph_that_needs_too_much_memory_is_one_failed_file(run_command, photo):
    """The photographs after it are filled."""
    for folder in ("photos", "masks"):
        (photo / folder).mkdir()
    for name, height in (("a", 70), ("b", 71), ("c", 70)):
        picture = np.full((height, 90, 3), 90, np.uint8)
        cv2.imwrite(str(photo / "photos" / f"{name}.png"), picture)
        cv2.imwrite(
            str(photo / "masks" / f"{name}.png"),
            cv2.circle(picture * 0, (40, 40), 9, (255,) * 3, -1),
        )
    (photo / "sitecustomize.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from common.scoring import baselines\n"
        "real = baselines.inpaint\n"
        "def inpaint(name, image, mask):\n"
        "    if len(image) == 71: raise MemoryError\n"
        "    return real(name, image, mask)\n"
        "baselines.inpaint = inpaint\n"
    )
    flags = ("--model=telea", "--image=photos", "--mask=masks", "--output=out")
    process = run_command("inpaint", *flags, cwd=photo, PYTHONPATH=str(photo))
    one_line(process, 1, "b.png", "memory")
    assert "2 filled" in process.stdout


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--weights=x.npz"], 2, ["--weights=x.npz", "telea"]),
        (["--mask=/dev/null"], 1, ["/dev/null", "neither"]),
        (["--image=" + "n" * 300], 1, ["nnn"]),
        (["--output=" + "n" * 300 + ".png"], 1, ["nnn"]),
    ],
)
def test_ordinary_mistakes_are_one_line(run_command, photo, flags, code, words):
    one_line(run_command("inpaint", "--model=telea", *FILL, *flags, cwd=photo), code, *words)


def test_results_among_the_photographs_are_refused_the_first_time(run_command, photo):
    (photo / "photos").mkdir()
    (photo / "masks").mkdir()
    cv2.imwrite(str(photo / "photos" / "a.jpg"), cv2.imread(str(photo / "photo.png")))
    (photo / "masks" / "a.png").write_bytes((photo / "mask.png").read_bytes())
    flags = ("--model=telea", "--image=photos", "--mask=masks", "--output=photos")
    one_line(run_command("inpaint", *flags, cwd=photo), 1, "--output=photos")
    nothing_written(photo / "photos", {"a.jpg"})


def test_what_a_killed_process_left_is_removed(run_command, photo):
    old, new = photo / ".partial-old.png", photo / ".partial-new.png"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    assert run_command("inpaint", "--model=telea", *FILL, cwd=photo).returncode == 0
    assert not old.exists() and new.exists()


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--masks="], 2, ["--masks="]),
        (["--size=999999999"], 2, ["--size"]),
        (["--dataset=folder", "--data_dir=.", "--output=./results"], 1, ["--output=./results"]),
    ],
)
def test_evaluate_refuses_what_it_would_list_or_cannot_make(run_command, photo, flags, code, words):
    one_line(run_command("evaluate", "--model=telea", "--count=1", *flags, cwd=photo), code, *words)


@pytest.mark.default_environment
def test_train_refuses_an_output_among_its_photographs(run_command, photo):
    flags = ("--dataset=folder", "--data_dir=.", "--output=run", "--masks=irregular", "--steps=1")
    one_line(run_command("train", *flags, cwd=photo, quick=True), 1, "--output=run")
