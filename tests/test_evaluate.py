"""evaluate.py without a process for each case: what it takes where nothing is said, and all that is missing at once.

Scores, tables and pictures of whole commands: tests/test_commands.py.
"""

from __future__ import annotations

import json
import pathlib

import cv2
import numpy as np
import pytest
from absl import flags

from common import command_line
from common.errors import UsageError, UserError
from common.images import convert
from common.scoring import baselines
from inpainting import painters

FLAGS = flags.FLAGS


@pytest.fixture
def parse(evaluate, tmp_path, monkeypatch):
    """parse("--flag=value", ...) as evaluate.py parses its command line, in an empty folder that no variable names."""
    monkeypatch.chdir(tmp_path)
    for name in ("PLACES2_DIR", "DIV2K_DIR"):
        monkeypatch.delenv(name, raising=False)

    def parsed(*arguments):
        FLAGS.unparse_flags()
        command_line.parse(["evaluate.py", *map(str, arguments)])

    return parsed


@pytest.fixture
def stand_ins(monkeypatch):
    """In place of the networks with the package's weights, methods that fill holes with 9."""
    made = painters.painter

    def painter(name, weights, *others):
        if name in painters.MODELS and weights is None:
            return lambda image, mask: np.where(mask[..., None] > 0, np.uint8(9), image)
        return made(name, weights, *others)

    monkeypatch.setattr(painters, "painter", painter)


@pytest.fixture
def div2k(tmp_path):
    """Folder of a DIV2K of one photograph, 300x280."""
    (tmp_path / "data" / "DIV2K_valid_HR").mkdir(parents=True)
    coarse = np.random.default_rng(0).integers(0, 256, (7, 8, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (300, 280))
    cv2.imwrite(str(tmp_path / "data" / "DIV2K_valid_HR" / "0801.png"), picture)
    return tmp_path / "data"


def _refused(evaluate):
    before = sorted(pathlib.Path().rglob("*"))
    with pytest.raises(UserError) as error:
        evaluate.main([])
    assert "\n" not in str(error.value) and sorted(pathlib.Path().rglob("*")) == before
    return error.value.exit_code, str(error.value)


# --- what is scored where nothing is said


def test_without_a_model_both_networks_are_scored_beside_the_baselines(
    evaluate, parse, stand_ins, div2k, monkeypatch, capsys
):
    monkeypatch.setenv("DIV2K_DIR", str(div2k))
    parse("--dataset", "div2k", "--masks", "small")
    assert evaluate.main([]) == 0
    said = capsys.readouterr().out
    content = json.loads(pathlib.Path("results/scores.json").read_text())
    everything = [*painters.MODELS, *baselines.NAMES]
    assert [score["method"] for score in content["images"]] == everything
    # As in Zoom-to-Inpaint's Table 2, whose rows stand below.
    assert convert.read_rgb("results/small/images/0801.png").shape == (256, 256, 3)
    assert "256x256 (--fit=crop)" in said and "| paper: Ours" in said
    run = json.loads(pathlib.Path("results/run.json").read_text())["flags"]
    assert (run["model"], run["size"]) == (everything, 256)
    assert run["data_dir"] == str(div2k)


def test_methods_that_are_named_are_all_that_is_scored(evaluate, parse):
    parse("--model=ns,zoom_to_inpaint")
    assert evaluate.methods() == ["ns", "zoom_to_inpaint"]
    parse("--predictions=some")
    assert evaluate.methods() == []


BOTH = "--model=zoom_to_inpaint,hifill"


@pytest.mark.parametrize(
    ("given", "layout", "size"),
    [
        ([], "hifill", 512),
        (["--model=zoom_to_inpaint,telea"], "zoom_to_inpaint", 512),
        ([BOTH], "hifill", 512),
        (["--model=zoom_to_inpaint", "--table=hifill"], "hifill", 512),
        (["--model=hifill", "--table=zoom_to_inpaint"], "zoom_to_inpaint", 512),
        # Of several papers the one that reports the data set and masks, at the size of its table.
        (["--dataset=div2k"], "zoom_to_inpaint", 256),
        ([BOTH, "--dataset=div2k", "--masks=small,large"], "zoom_to_inpaint", 256),
        (["--model=telea", "--dataset=div2k", "--masks=small"], "zoom_to_inpaint", 256),
        (["--dataset=places2", "--masks=mask/large"], "zoom_to_inpaint", 256),
        (["--dataset=places2"], "hifill", 512),
        (["--dataset=places2", "--masks=small,irregular"], "hifill", 512),
        (["--model=hifill", "--dataset=div2k", "--masks=small"], "hifill", 512),
        (["--dataset=div2k", "--table=hifill"], "hifill", 512),
        (["--dataset=div2k", "--size=300"], "zoom_to_inpaint", 300),
        (["--dataset=div2k", "--size=0"], "zoom_to_inpaint", 0),
        (["--dataset=folder", "--masks=small"], "hifill", 512),
    ],
)
def test_the_table_and_the_size_are_those_of_the_paper_that_is_evaluated(
    evaluate, parse, given, layout, size
):
    parse(*given)
    assert (evaluate.layout(), evaluate.size()) == (layout, size)


# --- what is missing


def test_a_data_set_that_nothing_names_is_a_line_of_all_that_can_name_it(evaluate, parse):
    parse("--dataset=div2k", "--masks=small")
    code, said = _refused(evaluate)
    assert code == 2 and "DIV2K_valid_HR/" in said
    assert "--data_dir=FOLDER, --div2k_dir=FOLDER or the environment variable DIV2K_DIR" in said


def test_all_that_is_missing_is_one_line(evaluate, parse, monkeypatch):
    monkeypatch.setenv("PLACES2_DIR", "gone")
    parse(
        *("--dataset=places2", "--masks=small,round", "--inception_graph=gone.pb"),
        *(BOTH, "--weights=zoom_to_inpaint=gone.npz", "--predictions=painted"),
    )
    code, said = _refused(evaluate)
    assert code == 2
    for word in (
        *("PLACES2_DIR=gone is not a folder", "masks 'round'", "--predictions=painted"),
        *("gone.npz does not exist", "gone.pb: no such", "(5)"),
    ):
        assert said.count(word) == 1, said


def test_a_single_thing_that_is_missing_is_said_as_ever(evaluate, parse):
    for given, code, words in (
        (["--model=lama"], 2, "--model=lama is not known"),
        (["--model=hifill", "--weights=gone.npz"], 1, "--weights=gone.npz does not exist"),
        (["--weights=a.npz", "--model=telea"], 2, "--model has no method with weights"),
        (["--div2k_dir=x", "--model=ns"], 2, "--div2k_dir=x would be ignored"),
        (["--fit=crop", "--size=0", "--model=ns"], 2, "--fit=crop would be ignored"),
    ):
        parse(*given)
        found, said = _refused(evaluate)
        assert found == code and words in said and "(1)" not in said, said


def test_both_data_sets_may_be_named_where_one_is_scored(evaluate, parse, div2k):
    parse("--dataset=div2k", f"--div2k_dir={div2k}", "--places2_dir=elsewhere")
    assert [pathlib.Path(path).name for path in evaluate.photographs()] == ["0801.png"]
    parse("--dataset=div2k", "--div2k_dir=gone", "--model=ns")
    with pytest.raises(UserError, match="--div2k_dir=gone is not a folder"):
        evaluate.main([])


def test_masks_of_a_test_package_are_found_wherever_its_folder_was_named(
    evaluate, parse, tmp_path, monkeypatch
):
    for name in ("package/image/1.png", "package/mask/small/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    monkeypatch.setenv("DIV2K_DIR", "package")
    parse("--dataset=div2k", "--masks=small")
    assert evaluate.mask_source("small") == "package/mask/small"
    with pytest.raises(UsageError, match="PLACES2_DIR"):
        parse("--dataset=places2")
        evaluate.main([])
