"""From flags to a run of HiFill: the numbers of defaults and flagfiles, what every flag changes, averages in files."""

from __future__ import annotations

import dataclasses
import pathlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from absl import flags

from common import options
from common.errors import UsageError, UserError
from common.images import convert
from common.masks import files as mask_files
from hifill import PAPER, RELEASE, SHIPPED, HiFill, recipe
from hifill.options import TrainingOptions
from hifill.training import HiFillTrainer

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = flags.FLAGS
FOLDER = ROOT / "configs" / "hifill"
TINY = ("--hifill_size=64", "--hifill_channels=4", "--coarse_gate=pw", "--critic_steps=0")


@pytest.fixture
def given(train, parse, monkeypatch, tmp_path):
    """given("--flag=value", ...) -> (kind of masks, options, configuration) of the run that train.py would make."""
    for name in ("data_large/1.jpg", "DIV2K_train_HR/1.png"):  # a Places2, a DIV2K and a folder
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()

    def found(*arguments):
        seen = []

        def stop(_, values):
            chosen = options.from_flags(TrainingOptions, values)
            seen.extend((values["masks"], chosen, recipe.config(values)))
            raise UserError("enough")

        monkeypatch.setattr(recipe, "make", stop)
        parse("--output=o", *arguments)
        if FLAGS.dataset != "sample":
            FLAGS.data_dir = str(tmp_path)
        with pytest.raises(UserError, match="enough"):
            train.build(train.Job.of_flags())
        return tuple(seen)

    return found


@pytest.fixture
def make(train, parse):
    """make("--flag=value", ...) -> the recipe of a tiny HiFill on one device."""

    def made(*arguments):
        parse("--batch_size=1", *arguments)
        return recipe.make(tf.distribute.get_strategy(), train.Job.of_flags().values)

    return made


def test_without_flags_it_is_the_papers_run(given):
    """H sections 3.5 and 4; what it does not give is the release's, and what neither has is off."""
    masks, chosen, config = given()
    assert (masks, config) == ("mixed", PAPER)
    assert (chosen.batch_size, chosen.steps, chosen.critic_steps) == (8, 300_000, 5)
    assert (chosen.learning_rate, chosen.adam_beta_1, chosen.adam_beta_2) == (1e-4, 0.5, 0.9)
    assert (chosen.alpha_hole, chosen.alpha_context) == (1.0, 1.2)
    assert (chosen.adversarial_weight, chosen.gradient_penalty_weight) == (1e-4, 10.0)
    assert (chosen.precision, chosen.accumulate, chosen.jit) == ("float32", 1, False)
    assert (chosen.ema, chosen.warmup_steps, chosen.learning_rate_schedule) == (0, 0, None)
    assert chosen == TrainingOptions()


@pytest.mark.parametrize("name", ["places2", "div2k", "celeba_hq", "release"])
def test_a_flagfile_of_the_paper_has_its_numbers(given, train, name):
    found = given(f"--flagfile={FOLDER / name}.cfg")
    released = {"critic_steps": 3, "alpha_hole": 1.2, "alpha_context": 1.2, "coarse_weight": 1.2}
    released |= {"context_by_area": True, "adversarial_weight": 1e-3}
    expected = ("mixed", TrainingOptions(), PAPER)
    if name == "release":
        expected = ("object", dataclasses.replace(TrainingOptions(), **released), RELEASE)
    assert found == expected
    datasets = {"div2k": "div2k", "celeba_hq": "folder"}
    assert FLAGS.dataset == datasets.get(name, "places2")
    # "Down-sampled to 512" (H section 4): of DIV2K and CelebA-HQ alone.
    job = train.Job.of_flags()
    assert (job.reduce_to(512) is not None) == (name in datasets) and not job.data.flip


@pytest.mark.parametrize(
    "name, size, before",
    [
        ("shipped", 128, None),
        ("shipped_256", 256, "runs/shipped/weights.npz"),
        ("shipped_512", 512, "runs/shipped_256/weights.npz"),
    ],
)
def test_a_flagfile_of_the_shipped_weights_trains_their_networks_on_the_hole_alone(
    given, monkeypatch, tmp_path_factory, name, size, before
):
    monkeypatch.chdir(tmp_path_factory.mktemp("beside"))  # of the photographs
    if before:
        pathlib.Path(before).parent.mkdir(parents=True)
        pathlib.Path(before).touch()
    masks, chosen, config = given(f"--flagfile={FOLDER / name}.cfg")
    large = SHIPPED.large_size if size == SHIPPED.size else 0
    assert masks == "any" and config == dataclasses.replace(SHIPPED, size=size, large_size=large)
    assert FLAGS.weights == before
    assert chosen.log_error_weight == (0.2 if before else 0)
    assert (chosen.critic_steps, chosen.adversarial_weight, chosen.alpha_context) == (0, 0, 0)
    assert chosen.hole_by_area and FLAGS.flip and not FLAGS.resize


@pytest.mark.parametrize("gates", ["gc_gc", "ds_ds", "pw_pw", "sc_ds", "sc_sc"])
def test_a_flagfile_of_figure_4_has_its_gates(given, gates):
    _, chosen, config = given(f"--flagfile={FOLDER / f'gates_{gates}'}.cfg")
    coarse, refinement = gates.split("_")
    assert config == dataclasses.replace(PAPER, coarse_gate=coarse, refinement_gate=refinement)
    assert chosen == TrainingOptions() and FLAGS.resize


@pytest.mark.parametrize(
    ("flag", "field", "value"),
    [
        ("hifill_size", "size", 96),
        ("hifill_channels", "channels", 12),
        ("coarse_gate", "coarse_gate", "gc"),
        ("refinement_gate", "refinement_gate", "ds"),
        ("attention_temperature", "temperature", 1.0),
        ("standard_features", "standard_features", False),
    ],
)
def test_a_flag_of_the_networks_changes_its_field(given, flag, field, value):
    assert getattr(PAPER, field) != value
    assert given(f"--{flag}={value}")[2] == dataclasses.replace(PAPER, **{field: value})


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        *(("alpha_hole", 20.0), ("alpha_context", 0.5), ("adversarial_weight", 1e-3)),
        *(("gradient_penalty_weight", 1.0), ("critic_steps", 2), ("batch_size", 3)),
        *(("learning_rate", 1e-5), ("adam_beta_1", 0.1), ("adam_beta_2", 0.2)),
        *(("steps", 7), ("accumulate", 2), ("precision", "bfloat16"), ("jit", True)),
        *(
            ("hole_by_area", True),
            ("context_by_area", True),
            ("coarse_weight", 1.2),
            ("log_error_weight", 0.2),
            ("adversarial_balance", 0.5),
            ("ema", 0.9),
            ("seed", 4),
            ("learning_rate_schedule", "cosine"),
            ("warmup_steps", 5),
        ),
    ],
)
def test_a_flag_of_training_changes_its_option(given, flag, value):
    expected = dataclasses.replace(TrainingOptions(), **{flag: value})
    assert expected != TrainingOptions()
    assert given(f"--{flag}={value}")[1] == expected


def test_every_option_has_a_flag(train):
    assert {field.name for field in dataclasses.fields(TrainingOptions)} <= set(FLAGS)


def test_weights_pictures_and_scores_are_the_moving_averages(make, tmp_path):
    made = make(*TINY, "--ema=0.5")
    model, average = made.layers["generator"], made.trainer.average
    for variable in average.variables:  # far from the weights, as after many updates
        variable.assign(1.5 * variable)
    before = [variable.numpy() for variable in model.weights]
    made.save_weights(tmp_path / "weights.npz")
    saved = HiFill.load(tmp_path / "weights.npz")
    assert len(saved.weights) == len(average.variables) > 50
    for found, expected in zip(saved.weights, average.variables):
        np.testing.assert_array_equal(found.numpy(), expected.numpy())
    image = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    mask = np.zeros((1, 64, 64, 1), np.float32)
    mask[:, 20:40, 20:40] = 1
    shown = made.preview(image, mask)
    of_saved = HiFillTrainer(saved, made.trainer.options)
    for name, picture in of_saved.preview(image, mask).items():
        np.testing.assert_allclose(shown[name], picture, atol=1e-6)
    terms, raw = (x.validation_terms(image, mask) for x in (of_saved, made.trainer))
    for name, value in made.validation_terms(image, mask).items():
        assert abs(value - terms[name]) < 1e-6
        assert abs(value - raw[name]) > 1e-4, "or the test shows nothing"
    for old, variable in zip(before, model.weights):
        np.testing.assert_array_equal(old, variable.numpy())


def test_float16_is_refused_where_its_convolutions_have_no_gradient(make, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(tf.config, "list_physical_devices", lambda kind: [])
        with pytest.raises(UsageError, match="--precision=float16 needs a GPU"):
            make(*TINY, "--precision=float16")


@pytest.mark.default_environment
@pytest.mark.parametrize("weights", ["none", "a file"])
def test_the_configuration_of_the_flags_is_that_of_the_networks(make, tiny_weights, weights):
    """An untrained model is the flags'; a file's networks are the file's, and flags may not say otherwise."""
    if weights == "none":
        config = (
            make(*TINY, "--weights=none", "--attention_temperature=3").layers["generator"].config
        )
        assert (config.size, config.channels, config.coarse_gate) == (64, 4, "pw")
        assert config.temperature == 3
        return
    made = make(f"--weights={tiny_weights}", "--critic_steps=0", "--hifill_size=64")
    assert made.layers["generator"].config == HiFill.load(tiny_weights).config
    other = make(f"--weights={tiny_weights}", "--critic_steps=0", "--hifill_size=96")
    assert other.size == other.layers["generator"].config.size == 96  # they are convolutional
    other = make(f"--weights={tiny_weights}", "--critic_steps=0", "--detail_blur=2")
    assert other.layers["generator"].config.detail_blur == 2  # it changes no network
    for flag, words in (
        ("--attention_temperature=3", "temperature"),
        ("--coarse_gate=gc", "coarse_gate 'sc'.*'gc'"),
        ("--hifill_config=release", "--hifill_config=release"),
    ):
        with pytest.raises(UsageError, match=words) as error:
            make(f"--weights={tiny_weights}", flag)
        assert str(tiny_weights) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "side"),
    [
        (["--model=hifill", "--dataset=div2k"], 96),  # H section 4: "down-sampled"
        (["--model=hifill", "--dataset=places2"], None),  # "randomly cropped"
        (["--model=zoom_to_inpaint", "--dataset=places2"], 96),  # Z section 4.1: "256 x 256 images"
        (["--model=zoom_to_inpaint", "--dataset=div2k"], None),  # "randomly cropped"
        (["--model=hifill", "--dataset=folder"], None),
        (["--model=hifill", "--dataset=folder", "--resize"], 96),
        (["--model=hifill", "--dataset=div2k", "--noresize"], None),
    ],
)
def test_photographs_are_reduced_as_the_paper_has_the_data_set(train, parse, given, side):
    parse(*given)
    assert train.Job.of_flags().reduce_to(96) == side


@pytest.mark.parametrize("resize", [True, False])
def test_validation_shows_photographs_at_the_scale_of_training(train, make, tmp_path, resize):
    photograph = np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    convert.write_png(tmp_path / "a.png", photograph)
    made = make(*TINY, "--dataset=folder", f"--{'' if resize else 'no'}resize")
    source = mask_files.mask_source("irregular")
    shown = train.validation_set(train.Job.of_flags(), made, [str(tmp_path / "a.png")], source)[0][
        0
    ]
    if resize:
        photograph = cv2.resize(photograph, (85, 64), interpolation=cv2.INTER_AREA)
    top, left = ((side - 64) // 2 for side in photograph.shape[:2])
    expected = convert.to_unit(photograph[top : top + 64, left : left + 64].copy())
    np.testing.assert_array_equal(shown, expected)
