"""From flags to a run: the flagfiles' numbers, what the flags build, and every contradiction refused in one line."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from tensorflow import keras

from common import options
from common.errors import UsageError, UserError
from common.models import weights
from common.training import signals
from hifill import recipe as hifill_recipe
from zoom_to_inpaint import recipe, stages, weights_source
from zoom_to_inpaint.config import CONFIGS
from zoom_to_inpaint.model import ZoomToInpaint
from zoom_to_inpaint.options import TrainingOptions

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = flags.FLAGS
FOLDER = ROOT / "configs" / "zoom_to_inpaint"
TINY = ("--model=zoom_to_inpaint", "--zoom_channels=4", "--zoom_size=16", "--vgg_weights=none")
CONFIG = dataclasses.replace(
    CONFIGS["paper"], channels=4, sr_channels=4, discriminator_channels=4, size=16
)
RANDOM = ("--coarse_weights=none", "--sr_weights=none", "--refinement_weights=none")
# Random networks where a stage starts from pretrained ones.
STARTS = {"joint": RANDOM, "pretrain_refinement": RANDOM[:1]}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return ZoomToInpaint(CONFIG)


@pytest.fixture
def quick(model, monkeypatch):
    """A model of `CONFIG` is always the same one, as building another takes a second."""

    def build(config, **options):
        return model if config == CONFIG else ZoomToInpaint(config, **options)

    monkeypatch.setattr(recipe, "ZoomToInpaint", build)


@pytest.fixture
def make(train, parse, quick):
    """make("--flag=value", ...) -> the recipe that train.py would train, on one device."""

    def made(*arguments):
        parse(*arguments)
        return recipe.make(tf.distribute.get_strategy(), train.Job.of_flags().values)

    return made


def training_options(job):
    return options.from_flags(TrainingOptions, job.values)


@pytest.fixture
def refused(train, parse, quick, tmp_path, monkeypatch):
    """refused("--flag=value", ...) -> (exit code, line) of train.py, which has written nothing."""
    monkeypatch.chdir(tmp_path)

    def message(*arguments):
        before = sorted(tmp_path.rglob("*"))
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        with pytest.raises(UserError) as error:
            parse(*arguments)
            train.main([])
        assert "\n" not in str(error.value)
        assert sorted(tmp_path.rglob("*")) == before
        return error.value.exit_code, str(error.value)

    return message


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """{"whole" or a network: weights file} of another model of `CONFIG`."""
    folder = tmp_path_factory.mktemp("weights")
    keras.utils.set_random_seed(4)
    model = ZoomToInpaint(CONFIG)
    model.save(folder / "whole.npz")
    for network in weights_source.PARTS:
        weights_source.save_network(model, network, folder / f"{network}.npz")
    return {path.stem: path for path in folder.iterdir()}


def _values(layer):
    return {name: v.numpy() for name, v in weights.named_variables(layer).items()}


def _assert_same(layer, path):
    arrays, found = weights.read_any(path)[2], _values(layer)
    assert arrays.keys() == found.keys()
    for name, value in found.items():
        np.testing.assert_array_equal(value, arrays[name], err_msg=name)


# --- flagfiles

STAGES = ("pretrain_coarse", "pretrain_refinement", "pretrain_sr", "joint_small", "joint_large")
# stage, data set, masks, steps, learning rate: Z sections 3.2 and 4.1, and the release for what it does not say.
PAPER = {
    "pretrain_coarse": ("pretrain_coarse", "places2", "small", 80_000, 1e-3),
    "pretrain_refinement": ("pretrain_refinement", "places2", "small", 80_000, 1e-3),
    "pretrain_sr": ("pretrain_sr", "div2k", "small", 400_000, 1e-3),
    "joint_small": ("joint", "div2k", "small", 80_000, 1e-3),
    "joint_large": ("joint", "div2k", "large", 1_200_000, 1e-5),
}
# Rows of Z Tables 3, 5 and 9.
ABLATIONS = {
    **{"no_zoom": "no_zoom", "bicubic_zoom": "bicubic_zoom", "sr_zoom": "sr_zoom"},
    **{"no_zoom_70": "no_zoom_70", "bicubic_zoom_70": "bicubic_zoom_70"},
    **{"sr_zoom_gradient": "paper"},
    **{f"scale_{scale}": f"scale_{scale}" for scale in (1, 2, 3, 4)},
}
# Sides of low-resolution images.
SHIPPED = {
    "shipped/pretrain_coarse": 128,
    "shipped/pretrain_refinement": 128,
    "shipped/pretrain_sr": 48,
    "shipped/joint_small": 128,
    "shipped_256/pretrain_coarse": 256,
    "shipped_256/joint_small": 256,
}


def test_every_flagfile_is_known_here():
    names = {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.cfg")}
    small = {f"small/{name}" for name in (*STAGES, "study")}  # the last: tests/studies/
    assert names == {*STAGES, *small, *SHIPPED, *(f"ablations/{name}" for name in ABLATIONS)}


@pytest.mark.parametrize("name", STAGES)
def test_a_flagfile_of_the_paper_has_its_numbers(train, parse, name):
    parse(f"--flagfile={FOLDER / name}.cfg")
    job = train.Job.of_flags()
    job.check_flags()
    stage, dataset, masks, steps, rate = PAPER[name]
    assert (FLAGS.model, FLAGS.stage, FLAGS.dataset, FLAGS.masks) == (
        *("zoom_to_inpaint", stage, dataset, masks),
    )
    chosen = training_options(job)
    assert (chosen.batch_size, chosen.steps, chosen.learning_rate) == (16, steps, rate)
    assert chosen.learning_rate_drops == (0.8, 0.9)
    assert not (chosen.frozen_batch_norm or chosen.batch_norm_warmup)
    assert (chosen.adam_beta_1, chosen.adam_beta_2) == (0.9, 0.999)
    assert (chosen.coarse_vgg_weight, chosen.refinement_vgg_weight) == (0.01, 1e-5)
    assert (chosen.gan_weight, recipe.config(job.values).gradient_weight) == (0.5, 1.0)
    assert not chosen.frozen_batch_norm  # the paper's is over the batch
    assert recipe.config(job.values).size == (64 if stage == "pretrain_sr" else 256)
    expected = dataclasses.replace(CONFIGS["paper"], size=recipe.config(job.values).size)
    assert recipe.config(job.values) == expected
    assert (job.reduce_to(256) is not None) == (
        dataset == "places2"
    )  # DIV2K: crops at its own scale
    assert FLAGS.vgg_weights == ("none" if stage == "pretrain_sr" else "imagenet")
    recipe.check_start(job.values)


@pytest.mark.parametrize("name", STAGES)
def test_a_small_flagfile_is_the_papers_stage_made_small(train, parse, name):
    parse(f"--flagfile={FOLDER / 'small' / name}.cfg")
    job = train.Job.of_flags()
    job.check_flags()
    stage, _, masks, steps, _ = PAPER[name]
    assert (FLAGS.model, FLAGS.stage, FLAGS.masks) == ("zoom_to_inpaint", stage, masks)
    assert FLAGS.steps < steps / 50 and FLAGS.batch_size < 16 and FLAGS.vgg_weights == "none"
    size = 64 if stage == "pretrain_sr" else CONFIGS["small"].size
    assert recipe.config(job.values) == dataclasses.replace(CONFIGS["small"], size=size)
    chosen = training_options(job)
    assert (chosen.learning_rate_schedule, chosen.learning_rate_drops) == ("cosine", ())
    # Crops of a few images have statistics too noisy to train on; before pretraining there are no others.
    assert chosen.frozen_batch_norm == (stage == "joint")
    # They end before averages of 0.99 have forgotten the networks of the first steps.
    gated = stage in ("pretrain_coarse", "pretrain_refinement")
    assert chosen.batch_norm_warmup == gated
    recipe.check_start(job.values)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_flagfile_trains_the_configuration_that_is_shipped(train, parse, name):
    """Each stage as its flagfile says it; no discriminator, and the averages of trained networks stay."""
    parse(f"--flagfile={FOLDER / name}.cfg")
    job = train.Job.of_flags()
    job.check_flags()
    folder, step = name.split("/")
    stage, goes_on = PAPER[step][0], folder == "shipped_256"
    assert (FLAGS.model, FLAGS.stage, FLAGS.masks) == ("zoom_to_inpaint", stage, "any")
    assert recipe.config(job.values) == dataclasses.replace(CONFIGS["shipped"], size=SHIPPED[name])
    chosen = training_options(job)
    assert FLAGS.vgg_weights == "none" and chosen.learning_rate_drops == ()
    assert chosen.hole_by_area == (stage != "pretrain_sr")
    assert (chosen.gan_weight == 0) == (stage == "joint")
    assert chosen.frozen_batch_norm == (stage == "joint" or goes_on)
    gated = stage in ("pretrain_coarse", "pretrain_refinement")
    assert chosen.batch_norm_warmup == (gated and not goes_on)
    recipe.check_start(job.values)


@pytest.fixture
def data_sets(tmp_path):
    """The flags of a Places2 and a DIV2K of one photograph each."""
    for name in ("places2/data_large/1.jpg", "div2k/DIV2K_train_HR/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    return [f"--{name}_dir={tmp_path / name}" for name in ("places2", "div2k")]


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_trains_its_own_configuration_through_all_its_stages(
    train, parse, monkeypatch, data_sets, name
):
    commands = []

    def process(command, stop):
        commands.append(command[2:])
        return 0

    monkeypatch.setattr(signals, "run", process)
    line = [f"--flagfile={FOLDER / 'ablations' / name}.cfg", *data_sets]
    parse(*line)
    assert FLAGS.output == f"runs/zoom_to_inpaint_{name}"
    monkeypatch.setattr(sys, "argv", ["train.py", *line])
    assert train.main([]) == 0
    config = CONFIGS[ABLATIONS[name]]
    found = [pathlib.Path(command[0]).stem for command in commands]
    assert found == [s for s in STAGES if s != "pretrain_sr" or config.zoom == "sr"]
    outputs = set()
    for stage, command in zip(found, commands):
        parse(*command)
        job = train.Job.of_flags()
        job.check_flags()
        assert FLAGS.stage == PAPER[stage][0] and FLAGS.steps == PAPER[stage][3]
        assert job.place.said_by == f"--{FLAGS.dataset}_dir" in ("--places2_dir", "--div2k_dir")
        # The paper pretrains the SR network on patches of 64x64.
        size = 64 if stage == "pretrain_sr" else config.size
        assert recipe.config(job.values) == dataclasses.replace(config, size=size)
        recipe.check_start(job.values)
        outputs.add(FLAGS.output)
    assert len(outputs) == len(commands)


# --- what the flags build


def test_without_a_discriminator_none_is_trained_or_saved(make, tmp_path):
    made = make(*TINY, *RANDOM, "--gan_weight=0", "--batch_size=3")
    assert set(made.layers) == {"coarse", "super_resolution", "refinement"}
    assert set(made.optimizers) == {"generator_optimizer"}
    made.save_weights(tmp_path / "weights.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["weights.npz"]


def test_flags_give_the_configuration(train, parse):
    parse("--zoom_config=scale_3", "--zoom_channels=8", "--zoom_size=24", "--gradient_weight=0.25")
    job = train.Job.of_flags()
    expected = dataclasses.replace(
        CONFIGS["scale_3"],
        **{"channels": 8, "sr_channels": 8, "discriminator_channels": 8},
        **{"size": 24, "gradient_weight": 0.25},
    )
    assert recipe.config(job.values) == expected
    parse()
    job = train.Job.of_flags()
    assert recipe.config(job.values) == CONFIGS["paper"]
    parse("--gan_weight=0", "--learning_rate_drops=0.25", "--batch_size=3", "--adam_beta_1=0.1")
    job = train.Job.of_flags()
    chosen = training_options(job)
    assert (chosen.gan_weight, chosen.learning_rate_drops) == (0.0, (0.25,))
    assert (chosen.batch_size, chosen.adam_beta_1) == (3, 0.1)


SIZES = {  # stage: crops, previews
    "pretrain_coarse": (16, 16),
    "pretrain_refinement": (16, 16),
    "pretrain_sr": (32, 32),
    "joint": (32, 16),
}


@pytest.mark.default_environment
@pytest.mark.parametrize("name, size", [("no_zoom", 32), ("scale_1", 64), ("scale_2", 64)])
def test_arms_of_smaller_scales_are_trained_on_the_crops_of_the_largest(make, name, size):
    made = make(*TINY, f"--zoom_config={name}", "--stage=joint", "--weights=none")
    assert (made.size, made.mask_size, made.preview_size) == (size, 16, 16)


TITLES = {
    "pretrain_coarse": ["result"],
    "pretrain_refinement": ["coarse", "result"],
    "pretrain_sr": ["bicubic", "result"],
    "joint": ["coarse", "result"],
}


@pytest.mark.parametrize("stage", SIZES)
def test_a_stage_is_built_with_its_sizes_previews_and_weights(make, stage, tmp_path):
    made = make(*TINY, f"--stage={stage}", "--batch_size=3", *STARTS.get(stage, ()))
    assert (made.size, made.preview_size) == SIZES[stage] and made.mask_size == 16
    assert made.images_per_step == 3 and made.holes == (stage != "pretrain_sr")
    assert made.trainer.options.batch_size == 3
    networks = ["coarse", "super_resolution", "refinement"]
    expected = {
        **{"pretrain_coarse": networks[:1], "pretrain_refinement": networks[2:]},
        **{"pretrain_sr": networks[1:2], "joint": [*networks, "discriminator"]},
    }
    assert list(made.layers) == expected[stage]
    assert len(made.optimizers) == (2 if stage == "joint" else 1)
    rng = np.random.default_rng(0)
    image = rng.random((2, made.preview_size, made.preview_size, 3), np.float32)
    mask = np.zeros((*image.shape[:3], 1), np.float32)
    mask[:, 4:9, 5:12] = made.holes
    shown = made.preview(image, mask)
    assert list(shown) == TITLES[stage]
    for picture in shown.values():
        assert picture.shape == image.shape and 0 <= picture.min() < picture.max() <= 1
    if made.holes:
        known = np.broadcast_to(mask == 0, image.shape)
        for picture in shown.values():
            np.testing.assert_allclose(picture[known], image[known], atol=1e-6)
    made.save_weights(tmp_path / "weights.npz")
    owner, _, arrays = weights.read_any(tmp_path / "weights.npz")
    if stage == "joint":
        assert owner == "zoom_to_inpaint"
    else:
        assert owner == weights_source.PARTS[expected[stage][0]]
        assert arrays.keys() == _values(made.layers[expected[stage][0]]).keys()


def _at_inference(call):
    return lambda self, inputs, training=None, **options: call(
        self, inputs, training=False, **options
    )


@pytest.mark.parametrize("stage", SIZES)
def test_validation_has_the_terms_of_the_stage_and_changes_nothing(make, model, stage, monkeypatch):
    """The trainer's own, with its networks at inference; 1e-5: sums of float32 in another order."""
    made = make(*TINY, f"--stage={stage}", "--batch_size=2", *STARTS.get(stage, ()))
    rng = np.random.default_rng(0)
    image = rng.random((2, made.size, made.size, 3), np.float32)
    mask = np.zeros((2, 16, 16, 1), np.float32)
    mask[:, 4:9, 5:12] = 1
    before = [_values(layer) for layer in made.layers.values()]
    found = made.validation_terms(image, mask)
    for layer, values in zip(made.layers.values(), before):
        for name, value in _values(layer).items():
            np.testing.assert_array_equal(value, values[name])
    for kind in map(type, (model.coarse, model.super_resolution, model.refinement)):
        monkeypatch.setattr(kind, "call", _at_inference(kind.call))
    if stage == "joint":
        assert set(found) == {"coarse_l1", "sr_l1", "refined_l1", "gradient"}
    expected = made.trainer.losses(tf.constant(image), tf.constant(mask))[0]
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert abs(value - float(expected[name])) < 1e-5, name


def test_weights_pictures_and_scores_are_the_moving_averages(make, tmp_path):
    made = make(*TINY, "--stage=pretrain_coarse", "--batch_size=2", "--ema=0.5")
    layer, average = made.layers["coarse"], made.trainer.average
    for variable in average.variables:  # far from the weights, as after many updates
        variable.assign(1.5 * variable)
    rng = np.random.default_rng(0)
    image = rng.random((2, 16, 16, 3), np.float32)
    mask = np.zeros((2, 16, 16, 1), np.float32)
    mask[:, 4:9, 5:12] = 1

    def found():
        return made.preview(image, mask)["result"], made.validation_terms(image, mask)

    shown, terms = found()
    made.save_weights(tmp_path / "weights.npz")
    with average.applied():
        _assert_same(layer, tmp_path / "weights.npz")
    for variable, of_average in zip(layer.weights, average.variables):
        variable.assign(of_average.numpy())
    picture, expected = found()
    np.testing.assert_allclose(shown, picture, atol=1e-6)
    assert abs(terms["coarse_l1"] - expected["coarse_l1"]) < 1e-6


def test_no_vgg_is_read_for_a_stage_without_its_loss(make):
    made = make(*TINY, "--stage=pretrain_sr", "--vgg_weights=gone.h5")
    assert made.trainer.vgg is None
    with pytest.raises(UserError, match=r"gone\.h5"):
        make(*TINY, "--stage=pretrain_coarse", "--vgg_weights=gone.h5")


def test_joint_training_starts_from_the_networks_that_are_named(make, files):
    given = {"coarse_weights": "coarse", "sr_weights": "super_resolution"}
    flags_given = [f"--{flag}={files[network]}" for flag, network in given.items()]
    made = make(*TINY, *flags_given, f"--refinement_weights={files['whole']}")
    for network in given.values():
        _assert_same(made.layers[network], files[network])
    _assert_same(made.layers["refinement"], files["refinement"])


def test_a_discriminator_goes_on_from_its_file_alone(make, files, tmp_path):
    first = make(*TINY, f"--weights={files['whole']}")
    first.layers["discriminator"].convolutions[0].layer.bias.assign_add(tf.ones([4]))
    first.save_weights(tmp_path / "weights_best.npz")
    path = tmp_path / "discriminator_best.npz"
    _assert_same(first.trainer.model, tmp_path / "weights_best.npz")
    again = make(*TINY, f"--weights={files['whole']}", f"--discriminator_weights={path}")
    _assert_same(again.layers["discriminator"], path)
    with pytest.raises(UserError, match="holds weights of 'zoom_to_inpaint'"):
        make(*TINY, "--weights=none", f"--discriminator_weights={files['whole']}")
    with pytest.raises(
        UsageError, match="discriminator_weights does not work with --stage=pretrain_coarse"
    ):
        make(*TINY, "--stage=pretrain_coarse", f"--discriminator_weights={path}")


@pytest.mark.parametrize("model, rate, batch", [("hifill", 1e-4, 8), ("zoom_to_inpaint", 1e-5, 16)])
def test_flags_without_a_default_have_the_papers(train, parse, monkeypatch, model, rate, batch):
    seen = {}

    def stop(_, values):
        seen.update(values)
        raise UserError("enough")

    for module in (recipe, hifill_recipe):
        monkeypatch.setattr(module, "make", stop)
    parse(f"--model={model}", "--weights=none", "--output=o", "--steps=7")
    with pytest.raises(UserError, match="enough"):
        train.build(train.Job.of_flags())
    assert (seen["learning_rate"], seen["batch_size"], seen["steps"]) == (rate, batch, 7)
    assert seen["masks"] == {"hifill": "mixed", "zoom_to_inpaint": "large"}[model]


def test_training_goes_on_from_a_whole_model_with_the_flags_own_loss(make, files):
    flags_given = ("--gradient_weight=0", "--zoom_size=24", "--zoom_config=sr_zoom")
    made = make(*TINY, f"--weights={files['whole']}", *flags_given)
    _assert_same(made.trainer.model, files["whole"])
    config = made.trainer.model.config
    assert (config.gradient_weight, config.size, config.name) == (0.0, 24, "sr_zoom")
    assert (made.size, made.mask_size) == (48, 24)
    made = make(*TINY, f"--weights={files['whole']}", "--stage=pretrain_coarse")
    _assert_same(made.layers["coarse"], files["coarse"])


def test_none_is_a_random_model_of_the_configuration_asked_for(make):
    made = make(*TINY, "--weights=none", "--zoom_config=bicubic_zoom")
    config = made.trainer.model.config
    assert (config.name, config.channels, config.size) == ("bicubic_zoom", 4, 16)


# --- contradictions

OUTPUT = "--output=run"
JOINT = (*TINY, OUTPUT, "--stage=joint")
REFUSED = {
    "another model's flag": ((*TINY, OUTPUT, "--critic_steps=3"), ["--critic_steps", "hifill"]),
    "this model's flag for the other": ((OUTPUT, "--zoom_size=16"), ["--zoom_size", "hifill"]),
    "its default, but given": ((OUTPUT, "--stage=joint"), ["--stage", "zoom_to_inpaint"]),
    "no output": ((*TINY, *RANDOM), ["--output"]),
    "no such stage": ((*TINY, OUTPUT, "--stage=joint_small"), ["joint_small", "pretrain_coarse"]),
    "no such configuration": ((*TINY, OUTPUT, "--zoom_config=big"), ["big", "paper"]),
    "no SR network to pretrain": (
        (*TINY, OUTPUT, "--stage=pretrain_sr", "--zoom_config=no_zoom"),
        ["no_zoom", "no SR network"],
    ),
    "no pretrained networks": (
        JOINT,
        ["--coarse_weights and --sr_weights and --refinement_weights", "none"],
    ),
    "one pretrained network missing": (
        (*JOINT, *RANDOM[::2]),
        ["--sr_weights missing", "--weights"],
    ),
    "an empty one": ((*JOINT, *RANDOM, "--sr_weights="), ["--sr_weights missing"]),
    "SR weights without SR network": (
        (*JOINT, *RANDOM, "--zoom_config=bicubic_zoom"),
        ["bicubic_zoom", "no SR network", "--sr_weights"],
    ),
    "a whole model and a part": (
        (*JOINT, "--weights=none", "--sr_weights=none"),
        ["--weights is the whole model", "--sr_weights"],
    ),
    "a part for pretraining": (
        (*TINY, OUTPUT, "--stage=pretrain_coarse", "--coarse_weights=none"),
        ["--coarse_weights", "--stage=pretrain_coarse, which takes --weights"],
    ),
    "another part than the one that a pretraining starts from": (
        (*TINY, OUTPUT, "--stage=pretrain_refinement", *RANDOM[::2]),
        ["--refinement_weights", "--stage=pretrain_refinement, which takes --coarse_weights"],
    ),
    "a refinement of nothing": (
        (*TINY, OUTPUT, "--stage=pretrain_refinement"),
        ["--stage=pretrain_refinement starts from", "--coarse_weights missing", "none"],
    ),
    "batch norm frozen before it has averages": (
        (*TINY, OUTPUT, "--stage=pretrain_coarse", "--frozen_batch_norm"),
        ["--frozen_batch_norm", "gates", "--weights"],
    ),
    "a discriminator that is not asked": (
        (*JOINT, *RANDOM, "--gan_weight=0", "--discriminator_weights=none"),
        ["--discriminator_weights", "--gan_weight=0"],
    ),
    "no batch norm to freeze": (
        (*TINY, OUTPUT, "--stage=pretrain_sr", "--frozen_batch_norm"),
        ["--frozen_batch_norm", "SR network"],
    ),
    "odd channels": ((*JOINT, *RANDOM, "--zoom_channels=5"), ["channels 5", "even"]),
    "a size that is no multiple": ((*JOINT, *RANDOM, "--zoom_size=18"), ["size 18", "4"]),
    "a size too small": ((*JOINT, *RANDOM, "--zoom_size=8"), ["--zoom_size=8", "16"]),
    "drops in the wrong order": (
        (*JOINT, *RANDOM, "--learning_rate_drops=0.9,0.8"),
        ["--learning_rate_drops=0.9,0.8"],
    ),
    "drops in percent": ((*JOINT, *RANDOM, "--learning_rate_drops=80,90"), ["80,90", "0.8,0.9"]),
    "drops that are no numbers": (
        (*JOINT, *RANDOM, "--learning_rate_drops=late"),
        ["--learning_rate_drops", "late", "0.8,0.9"],
    ),
    "flagfiles without stages": ((*JOINT, *RANDOM, "--flagfiles=x"), ["--flagfiles", "--stages"]),
    "stages without output": (("--stages=all",), ["--output"]),
    "no such stages": (("--stages=joint", OUTPUT), ["--stages=joint", "joint_small"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_contradiction_is_refused_in_one_line(refused, case):
    arguments, words = REFUSED[case]
    code, line = refused(*arguments)
    assert code == 2
    for word in words:
        assert word in line, line


def test_a_batch_that_cannot_be_shared_is_refused(train, parse):
    parse(*TINY, *RANDOM, "--batch_size=3")
    with pytest.raises(UsageError, match="--batch_size=3 does not divide over 2 replicas"):
        recipe.make(types.SimpleNamespace(num_replicas_in_sync=2), train.Job.of_flags().values)


@pytest.mark.default_environment
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("--zoom_channels=6", ["channels 4", "asks for 6"]),
        ("--zoom_config=no_zoom", ["--zoom_config=no_zoom"]),
        ("--zoom_config=scale_3", ["scale 2", "asks for 3"]),
    ],
)
def test_weights_of_other_networks_are_refused(refused, files, change, words):
    extra = ("--zoom_size=24",) if "scale_3" in change else ()
    code, line = refused(*JOINT, f"--weights={files['whole']}", change, *extra)
    assert code == 2 and f"--weights={files['whole']}" in line
    for word in words:
        assert word in line, line


def test_files_that_are_no_such_weights_are_refused(refused, files):
    given = {"coarse_weights": "none", "sr_weights": "none", "refinement_weights": "none"}

    def line(**changes):
        arguments = [f"--{flag}={value}" for flag, value in {**given, **changes}.items()]
        code, text = refused(*JOINT, *arguments)
        assert code == 1
        return text

    assert "--coarse_weights=gone.npz does not exist" in line(coarse_weights="gone.npz")
    assert "coarse network alone" in line(sr_weights=files["coarse"])


def test_the_rest_of_the_flags_is_checked_before_anything_is_written(refused):
    code, line = refused(*JOINT, *RANDOM, "--masks=round")
    assert code == 1 and "round" in line
    code, line = refused(*JOINT, *RANDOM, "--dataset=div2k")
    assert code == 2 and "--data_dir" in line
    code, line = refused(*JOINT, *RANDOM, "--vgg_weights=gone.h5")
    assert code == 1 and "gone.h5" in line


DOWNLOADED = "--vgg_weights=imagenet will be downloaded"


@pytest.fixture
def without_vgg(monkeypatch, tmp_path):
    """Keras has not fetched VGG19, and no variable says where data sets lie."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in ("PLACES2_DIR", "DIV2K_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pretrain_coarse", ["--places2_dir=FOLDER or the", "PLACES2_DIR", DOWNLOADED]),
        (
            "pretrain_refinement",
            ["--places2_dir", "--coarse_weights=runs/zoom_to_inpaint/pretrain_coarse", DOWNLOADED],
        ),
        ("pretrain_sr", ["--data_dir=FOLDER, --div2k_dir=FOLDER or the"]),
        (
            "joint_small",
            [
                *("--div2k_dir", "pretrain_coarse/weights.npz and --sr_weights=runs/"),
                *("pretrain_refinement/weights.npz do not exist", DOWNLOADED),
            ],
        ),
        ("joint_large", ["--div2k_dir", "--weights=runs", "--discriminator_weights", DOWNLOADED]),
        ("small/joint_large", ["--dataset=folder needs --data_dir=FOLDER. ", "--weights=runs"]),
        ("small/study", ["--sr_weights missing"]),
        ("ablations/no_zoom", ["--places2_dir", "--div2k_dir", DOWNLOADED]),
    ],
)
def test_a_flagfile_says_at_once_all_that_it_needs(refused, without_vgg, name, words):
    code, said = refused(f"--flagfile={FOLDER / name}.cfg")
    assert code == 2 and "--output is missing" not in said  # it has one
    for word in words:
        assert said.count(word) == 1, said
    assert (DOWNLOADED in said) == (DOWNLOADED in words)
    assert ("(2)" in said) == (len(words) > 1)


def test_a_chain_of_stages_says_what_each_lacks_and_that_it_has_no_output(
    refused, without_vgg, monkeypatch, data_sets
):
    monkeypatch.setattr(signals, "run", lambda *_: pytest.fail("a stage was started"))
    for given, words in (
        (["--stages=all"], ["--output is missing", "PLACES2_DIR", "DIV2K_DIR", "(4)"]),
        (["--stages=all", data_sets[0]], ["--output is missing", "DIV2K_DIR", "(3)"]),
        (
            ["--stages=joint_small", *data_sets, "--output=o", "--masks=round"],
            ["masks 'round'", "--sr_weights=runs/zoom_to_inpaint/pretrain_sr", "(3)"],
        ),
    ):
        code, said = refused(*given)
        assert code == 2
        for word in words:
            assert said.count(word) == 1, said
        assert f"({words[-1][1]})" in said and f"({int(words[-1][1]) + 1})" not in said
        # What the stages' own flags were is forgotten.
        assert FLAGS.stages and FLAGS.stage == "joint" and not FLAGS["stage"].present


def test_a_vgg_that_is_there_is_no_remark(train, parse, without_vgg, tmp_path):
    parse("--model=zoom_to_inpaint")
    values = train.Job.of_flags().values
    assert len(recipe.remarks(values)) == 1
    (tmp_path / "keras" / "models").mkdir(parents=True)
    (tmp_path / "keras" / "models" / recipe.vgg.PUBLISHED).touch()
    assert recipe.remarks(values) == []


def test_a_folder_of_the_environment_is_written_down(train, parse, monkeypatch, data_sets):
    monkeypatch.setenv("DIV2K_DIR", data_sets[1].partition("=")[2])
    parse(*TINY, *RANDOM, "--dataset=div2k", "--output=o")
    assert f"--div2k_dir={train.Job.of_flags().record()['div2k_dir']}" == data_sets[1]


# --- samples


def test_masks_have_the_side_of_the_reduced_images(train, make):
    made = make(*TINY, *RANDOM, "--dataset=sample", "--masks=large")
    job = train.Job.of_flags()
    paths = job.photographs()
    samples = train.samples(job, made, paths.train)
    for i in range(20):
        image, mask = samples[i]
        assert image.shape == (32, 32, 3) and mask.shape == (16, 16, 1)
        assert 0 < mask.mean() < 1
    shown = train.validation_set(job, made, paths.validation, samples.mask_source)
    image, mask, label = shown[1]
    assert image.shape == (16, 16, 3) and mask.shape == (16, 16, 1) and mask.any()
    assert label.shape == (32, 32, 3)  # what the trainer learns from
    made = make(*TINY, "--stage=pretrain_sr", "--dataset=sample", "--masks=small")
    shown = train.validation_set(job, made, paths.validation, samples.mask_source)
    image, mask, label = shown[1]
    assert image.shape == label.shape == (32, 32, 3) and not mask.any()


def test_a_data_set_has_a_folder_of_its_own_or_the_common_one(train, parse):
    own = ("--places2_dir=p", "--div2k_dir=d")
    for given, expected in (
        (["--dataset=places2", *own], ("p", "--places2_dir")),
        (["--dataset=div2k", "--data_dir=x", *own], ("x", "--data_dir")),
        (["--dataset=sample"], (None, "--data_dir")),
    ):
        parse(*given)
        assert train.Job.of_flags().place == expected
    parse("--dataset=div2k", *own)
    with pytest.raises(UserError, match="--div2k_dir=d is not a folder"):
        train.Job.of_flags().photographs()


@pytest.mark.default_environment
def test_the_chain_trains_every_stage_from_those_before_it(
    train, parse, quick, monkeypatch, tmp_path
):
    """All five, a step each, in this process and without graphs, which would take minutes."""
    monkeypatch.chdir(tmp_path)
    loaded = []
    load = weights_source.load_network

    def spy(model, network, path, flag):
        loaded.append((network, pathlib.Path(path)))
        load(model, network, path, flag)

    def process(command, stop):
        parse(*command[2:])
        return train.main([])

    monkeypatch.setattr(weights_source, "load_network", spy)
    monkeypatch.setattr(signals, "run", process)
    tiny = (*TINY, "--batch_size=1", "--steps=1", "--dataset=sample", "--log_every=1")
    tf.config.run_functions_eagerly(True)
    try:
        stages.run(
            ["all"], "configs/zoom_to_inpaint/small", "runs", list(tiny), signals.StopRequest()
        )
    finally:
        tf.config.run_functions_eagerly(False)
    runs = {name: tmp_path / "runs" / name for name in STAGES}
    assert sorted((tmp_path / "runs").iterdir()) == sorted(runs.values())
    expected = {
        **{"coarse": "pretrain_coarse", "super_resolution": "pretrain_sr"},
        **{"refinement": "pretrain_refinement"},
    }
    assert {network: str(path) for network, path in loaded} == {
        network: str(pathlib.Path("runs", stage, "weights.npz"))
        for network, stage in expected.items()
    }
    for name, folder in runs.items():
        lines = [json.loads(line) for line in (folder / "statistics.jsonl").open()]
        assert ("discriminator" in lines[0]) == name.startswith("joint")
        assert lines[0]["step"] == 1 and "validation_psnr" in lines[-1]
        assert list((folder / "checkpoints").iterdir())
    small, large = (weights.read(runs[n] / "weights.npz", "zoom_to_inpaint")[1] for n in STAGES[3:])
    for network, stage in expected.items():
        before = weights.read_any(runs[stage] / "weights.npz")[2]
        kernel = next(name for name in before if name.endswith("kernel"))
        # One step of Adam at 1e-3, or at 1e-4 in the last stage, away from where it started.
        first = np.abs(small[f"{network}/{kernel}"] - before[kernel]).max()
        second = np.abs(large[f"{network}/{kernel}"] - small[f"{network}/{kernel}"]).max()
        assert 0 < second < first < 1.5e-3
    # The discriminator goes on too: its bias, 0 in a new one, is still what the first stage's larger steps made it.
    biases = [
        weights.read_any(runs[name] / "discriminator.npz")[2]["convolutions/0/layer/bias"]
        for name in STAGES[3:]
    ]
    assert np.abs(biases[0]).max() > 5e-4 and 0 < np.abs(biases[1] - biases[0]).max() < 1.5e-4


def test_the_chain_of_stages_gets_what_the_command_line_says(train, parse, monkeypatch):
    seen = []
    monkeypatch.setattr(stages, "run", lambda *arguments: seen.append(arguments))
    monkeypatch.setattr(sys, "argv", ["train.py", "--stages=all", "--output=o", "--steps=3"])
    parse(*sys.argv[1:], "--flagfiles=f")
    assert train.main([]) == 0
    assert [given[:4] for given in seen] == [(("all",), "f", "o", sys.argv[1:])]
