"""One update of every stage: what changes, the loss terms and their weights, gradients by hand.

Updates run eagerly: tracing the joint stage takes longer than all of them together.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from common.models import weights
from common.training import updates
from zoom_to_inpaint import training
from zoom_to_inpaint.config import CONFIGS, RELEASE, ZoomConfig
from zoom_to_inpaint.model import ZoomToInpaint
from zoom_to_inpaint.recipe import TRAINERS
from zoom_to_inpaint.training import TrainingOptions, labels, reduced_to

TINY_FIELDS = {"channels": 4, "sr_channels": 4, "discriminator_channels": 4, "size": 16}
TINY = ZoomConfig(**TINY_FIELDS)
BATCH = 2
PARTS = ("coarse", "super_resolution", "refinement")
TRAINED = {
    "pretrain_coarse": {"coarse"},
    "pretrain_refinement": {"refinement"},
    "pretrain_sr": {"super_resolution"},
    "joint": {*PARTS, "discriminator"},
}
# {term: its weight in the generator's loss}, Z section 4.1.
WEIGHTS = {
    "pretrain_coarse": {"coarse_l1": 1, "coarse_vgg": 0.01},
    "pretrain_refinement": {"refined_l1": 1, "refined_vgg": 0.01},
    "pretrain_sr": {"sr_l1": 1},
    "joint": {
        **{"coarse_l1": 1, "sr_l1": 1, "refined_l1": 1, "gradient": 1},
        **{"coarse_vgg": 0.01, "refined_vgg": 1e-5, "adversarial": 0.5},
    },
}


def _vgg(images):
    """Stands in for VGG19: a linear map whose values are as far from [0, 1] as VGG's."""
    return 100.0 * tf.nn.avg_pool2d(images, 4, 4, "VALID")


def _batch(size, mask_size, seed=0, count=BATCH):
    """Images [B, size, size, 3] in [0, 1] and masks [B, mask_size, mask_size, 1] with holes of different sizes."""
    rng = np.random.default_rng(seed)
    image = rng.random((count, size, size, 3), np.float32)
    mask = np.zeros((count, mask_size, mask_size, 1), np.float32)
    for i, one in enumerate(mask):
        one[2 : 7 + i, 3 : 9 - i] = 1
    return tf.constant(image), tf.constant(mask)


def _batch_of(stage, seed=0):
    high = stage in ("pretrain_sr", "joint")
    return _batch(TINY.size * (TINY.scale if high else 1), TINY.size, seed)


def _layers(trainer):
    """{name: network}, the discriminator too where there is one."""
    layers = {name: getattr(trainer.model, name) for name in PARTS}
    if hasattr(trainer, "discriminator"):
        layers["discriminator"] = trainer.discriminator
    return layers


def _variables(trainer):
    return {
        f"{part}/{name}": variable
        for part, layer in _layers(trainer).items()
        for name, variable in weights.named_variables(layer).items()
    }


def _values(trainer):
    return {name: variable.numpy() for name, variable in _variables(trainer).items()}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return ZoomToInpaint(TINY)


@pytest.fixture(scope="module")
def joint(model):
    return TRAINERS["joint"](model, TrainingOptions(batch_size=BATCH), _vgg)


@pytest.fixture(scope="module", params=TRAINERS)
def stepped(request, model, joint):
    """(stage, trainer, values before, values after, terms) of one step with the default options and a VGG."""
    stage = request.param
    options = TrainingOptions(batch_size=BATCH)
    trainer = joint if stage == "joint" else TRAINERS[stage](model, options, _vgg)
    steps = int(trainer.step)
    before = _values(trainer)
    terms = trainer.train_step(_batch_of(stage))
    assert int(trainer.step) == steps + 1
    after = _values(trainer)
    return stage, trainer, before, after, {name: float(value) for name, value in terms.items()}


def test_defaults_are_the_papers():
    options = TrainingOptions()
    assert options.batch_size == 16
    assert (options.coarse_vgg_weight, options.refinement_vgg_weight) == (0.01, 1e-5)
    assert (options.gan_weight, ZoomConfig().gradient_weight) == (0.5, 1.0)
    assert (options.learning_rate, options.learning_rate_drops) == (1e-5, ())
    assert (options.adam_beta_1, options.adam_beta_2) == (0.9, 0.999)


# --- what a step changes


def test_a_stage_changes_its_own_networks_alone(stepped):
    stage, trainer, before, after, _ = stepped
    assert set(trainer.networks()) == TRAINED[stage] - {"discriminator"}
    assert len(before) > 100
    for name, value in after.items():
        assert np.isfinite(value).all(), name
        part = name.split("/")[0]
        if part not in TRAINED[stage]:
            np.testing.assert_array_equal(value, before[name], err_msg=name)
        else:
            assert np.any(value != before[name]), name


def test_a_step_that_is_not_finite_changes_nothing(joint):
    """Neither weights nor slots, batch norm's statistics or kernels that spectral normalization writes back."""

    def state():
        slots = [np.asarray(v) for kept in joint.state().values() for v in kept.variables]
        return [*_values(joint).values(), *slots]

    image, mask = _batch_of("joint", seed=4)
    before, steps = state(), int(joint.step)
    bad = image.numpy()
    bad[1, 3, 4, 0] = np.nan
    terms = joint.train_step((tf.constant(bad), mask))
    for name in ("generator", "discriminator", "generator_gradient_norm"):
        assert not np.isfinite(float(terms[name])), name
    assert joint.skips_nonfinite and int(joint.step) == steps + 1
    for old, new in zip(before, state()):
        np.testing.assert_array_equal(old, new)


def test_moving_statistics_move_towards_the_batch(stepped):
    stage, _, before, after, _ = stepped
    moving = [name for name in after if "moving_" in name]
    assert len(moving) == 2 * (17 + 20)
    for name in moving:
        if name.split("/")[0] not in TRAINED[stage]:
            continue
        batch = (after[name] - 0.99 * before[name]) / 0.01
        # A variance is not negative, up to what is left of seven digits after the division by 0.01.
        assert np.any(after[name] != before[name])
        assert "mean" in name or batch.min() > -1e-4, name


def test_optimizers_count_updates(stepped):
    stage, trainer, *_ = stepped
    expected = {"generator_optimizer"} | (
        {"discriminator_optimizer"} if stage == "joint" else set()
    )
    assert set(trainer.state()) == expected
    for optimizer in trainer.state().values():
        assert int(optimizer.iterations) == int(trainer.step)


# --- loss terms


def test_terms_have_their_names_and_add_up(stepped):
    stage, trainer, _, _, terms = stepped
    names = set(WEIGHTS[stage]) | ({"discriminator"} if stage == "joint" else set())
    norms = {f"{part}_gradient_norm" for part in trainer.parts}
    assert len(norms) == (2 if stage == "joint" else 1) and all(terms[name] > 0 for name in norms)
    assert set(terms) == names | norms | {"generator"}
    assert np.isfinite(list(terms.values())).all()
    expected = sum(weight * terms[name] for name, weight in WEIGHTS[stage].items())
    assert abs(terms["generator"] - expected) < 1e-5 * abs(expected)  # float32 sums
    for name in names - {"adversarial"}:
        assert terms[name] > 0, name


def test_a_term_of_weight_0_is_reported_but_not_trained(joint, monkeypatch):
    image, mask = _batch_of("joint")
    terms, given = joint.losses(image, mask)
    silent = dataclasses.replace(joint.model.config, gradient_weight=0.0)
    monkeypatch.setattr(joint.model, "config", silent)
    without, zero = joint.losses(image, mask)
    assert float(without["gradient"]) == float(terms["gradient"]) > 0
    assert given["gradient"] == 1 and zero["gradient"] == 0
    difference = training.weighted_sum(terms, given) - training.weighted_sum(without, zero)
    # A difference of sums that are ten times as large, float32.
    assert abs(float(difference) - float(terms["gradient"])) < 1e-5
    # Not even a value that is not finite enters.
    with_nan = {**without, "gradient": tf.constant(np.nan)}
    assert np.isfinite(float(training.weighted_sum(with_nan, zero)))


@pytest.mark.parametrize("zoom", ["none", "bicubic"])
def test_without_an_sr_network_its_loss_is_reported_alone(joint, monkeypatch, zoom):
    """It would be the coarse network's loss once more: the ablations leave out a component, they add none."""
    changed = dataclasses.replace(joint.model.config)
    object.__setattr__(changed, "zoom", zoom)
    monkeypatch.setattr(joint.model, "config", changed)
    terms, given = joint.losses(*_batch_of("joint"))
    assert given["sr_l1"] == 0 and float(terms["sr_l1"]) > 0 and given["coarse_l1"] == 1


def test_the_releases_gradient_loss_is_the_papers_without_its_factor(joint, monkeypatch):
    """Of X~_r, which is the label outside the hole: known pixels do not count in either."""
    image, mask = _batch_of("joint")
    terms, _ = joint.losses(image, mask)
    released = dataclasses.replace(RELEASE, **TINY_FIELDS)
    monkeypatch.setattr(joint.model, "config", released)
    released, _ = joint.losses(image, mask)
    assert abs(float(released["gradient"]) - 2 * float(terms["gradient"])) < 1e-6
    released, _ = joint.losses(image, tf.zeros_like(mask))
    assert float(released["gradient"]) == 0


def test_without_a_discriminator_joint_training_is_what_is_supervised(model):
    trainer = TRAINERS["joint"](model, TrainingOptions(batch_size=BATCH, gan_weight=0.0))
    assert trainer.discriminator is None and set(trainer.parts) == {"generator"}
    found, terms = trainer.gradients(0, *_batch_of("joint"))
    assert set(found) == {"generator"} and all(g is not None for g in found["generator"])
    supervised = ("coarse_l1", "sr_l1", "refined_l1", "gradient")
    assert set(terms) == {"generator", *supervised}
    expected = sum(float(terms[name]) for name in supervised)
    assert abs(float(terms["generator"]) - expected) < 1e-5 * expected


@pytest.mark.default_environment
def test_l1_of_the_hole_by_its_area_counts_small_holes_like_large_ones(model):
    """Of every term that is taken of a blend, in every stage."""
    plain, by_area = (
        TrainingOptions(batch_size=1, gan_weight=0.0, hole_by_area=wanted)
        for wanted in (False, True)
    )
    for stage in ("pretrain_coarse", "pretrain_refinement", "joint"):
        image, mask = (x[:1] for x in _batch_of(stage))
        one, other = (TRAINERS[stage](model, o).losses(image, mask)[0] for o in (plain, by_area))
        share = float(tf.reduce_mean(mask))
        for name in one:
            blended = name in ("coarse_l1", "refined_l1")
            expected = float(one[name]) / (share if blended else 1.0)
            assert abs(float(other[name]) - expected) < 1e-3 * expected, name


@pytest.mark.parametrize("stage", ["pretrain_coarse", "pretrain_refinement"])
def test_without_vgg_its_terms_are_left_out(model, stage):
    trainer = TRAINERS[stage](model, TrainingOptions(batch_size=BATCH))
    terms, _ = trainer.losses(*_batch_of(stage))
    assert set(terms) == {name for name in WEIGHTS[stage] if "vgg" not in name}


def test_without_vgg_joint_training_leaves_its_terms_out(joint, monkeypatch):
    monkeypatch.setattr(joint, "vgg", None)
    terms, _ = joint.losses(*_batch_of("joint"))
    assert set(terms) == {"coarse_l1", "sr_l1", "refined_l1", "gradient"}


def test_vgg_compares_features_and_the_labels_get_no_gradient(model):
    rng = np.random.default_rng(0)
    factor = tf.Variable(3.0)
    options = TrainingOptions(batch_size=BATCH)
    trainer = TRAINERS["pretrain_coarse"](model, options, lambda images: factor * images)
    prediction, label = (rng.random((BATCH, 4, 4, 3), np.float32) for _ in range(2))
    with tf.GradientTape() as tape:
        pictures = {"coarse": tf.constant(prediction), "label": tf.constant(label)}
        term = trainer.terms({**pictures, "mask": tf.ones([BATCH, 4, 4, 1])})["coarse_vgg"]
    assert abs(float(term) - 3 * np.abs(prediction - label).mean()) < 1e-6
    found = tape.gradient(term, factor)
    expected = np.mean(np.sign(prediction - label) * prediction)
    assert abs(float(found) - expected) < 1e-6
    # With gradient through the label it would be another number.
    assert abs(expected - np.abs(prediction - label).mean()) > 0.01


def test_losses_are_sums_over_the_replica_divided_by_the_global_batch(model):
    image, mask = _batch_of("pretrain_sr")
    found = []
    for batch_size in (BATCH, 8 * BATCH):
        trainer = TRAINERS["pretrain_sr"](model, TrainingOptions(batch_size=batch_size))
        found.append(float(trainer.losses(image, mask)[0]["sr_l1"]))
    assert found[0] > 0 and abs(found[0] - 8 * found[1]) < 1e-6


# --- gradients


def _joint_by_hand(model, discriminator, image, mask, vgg):
    """Eq. 3, 5 and 6 and both sides of the hinge loss, written out: (generator's loss, discriminator's loss)."""

    def l1(a, b):
        return tf.reduce_mean(tf.abs(a - b))

    small = tf.clip_by_value(tf.image.resize(image, [16, 16], "bicubic", antialias=True), 0, 1)
    masked = small * (1 - mask)
    coarse = mask * model.coarse((masked, mask), training=True) + masked
    zoomed = model.super_resolution(coarse, training=True)
    large = tf.image.resize(mask, [32, 32], "nearest")
    refined = model.refinement((zoomed, large), training=True)
    refined = large * refined + (1 - large) * image
    error = refined - image
    dx, dy = error[:, :, 1:] - error[:, :, :-1], error[:, 1:] - error[:, :-1]
    gradient = (tf.reduce_sum(dx**2) + tf.reduce_sum(dy**2)) / (2.0 * tf.size(error, tf.float32))
    generator = (
        l1(coarse, small) + 0.01 * l1(vgg(coarse), vgg(small)) + l1(zoomed, image)
        + l1(refined, image) + 1e-5 * l1(vgg(refined), vgg(image)) + gradient
        - 0.5 * tf.reduce_mean(discriminator((refined, large)))
    )  # fmt: skip
    real = discriminator((image, large))
    fake = discriminator((tf.stop_gradient(refined), large))
    judged = tf.reduce_mean(tf.maximum(0.0, 1 - real)) + tf.reduce_mean(tf.maximum(0.0, 1 + fake))
    return generator, judged


class _Spy:
    """Takes an optimizer's place: keeps the gradients and applies none."""

    def __init__(self):
        self.gradients = None

    def apply_gradients(self, pairs, **_):
        self.gradients = [
            (tf.convert_to_tensor(gradient), variable) for gradient, variable in pairs
        ]


def test_joint_gradients_are_those_of_the_written_out_losses(joint, monkeypatch):
    """Each side's from its own loss alone: the adversarial term moves no discriminator, hinge no generator."""
    image, mask = _batch_of("joint", seed=5)
    spies = {name: _Spy() for name in joint.parts}
    for name, spy in spies.items():
        monkeypatch.setattr(joint.parts[name], "optimizer", spy)
    joint.update(
        image, mask
    )  # leaves normalised kernels, which the written-out losses then take as they are
    discriminator = joint.discriminator.trainable_variables
    generator = [v for part in PARTS for v in getattr(joint.model, part).trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        by_hand = _joint_by_hand(joint.model, joint.discriminator, image, mask, _vgg)
    for spy, loss, variables in zip(spies.values(), by_hand, (generator, discriminator)):
        assert [v is w for (_, v), w in zip(spy.gradients, variables)] == [True] * len(variables)
        expected = tape.gradient(loss, variables)
        for (found, variable), gradient in zip(spy.gradients, expected):
            scale = float(tf.reduce_max(tf.abs(gradient)))
            # Other orders of summation over 2 * 32 * 32 * 3 values; cancelling sums leave absolute errors.
            np.testing.assert_allclose(
                found, gradient, atol=1e-3 * scale + 1e-6, err_msg=variable.name
            )


# --- labels


def _cubic(x):
    """The kernel of Keys, a = -1/2."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_reduced_crop_is_bicubic_with_antialiasing(scale):
    size = 24
    image = np.random.default_rng(0).random((2, size, size, 3))
    positions = (np.arange(size // scale)[:, None] + 0.5) * scale - 0.5
    matrix = _cubic((positions - np.arange(size)) / scale)  # as wide as the coarse grid
    matrix /= matrix.sum(axis=1, keepdims=True)
    expected = np.einsum("ir,brcx,jc->bijx", matrix, image, matrix)
    found = reduced_to(tf.constant(image, tf.float32), size // scale).numpy()
    np.testing.assert_allclose(found, expected.clip(0, 1), atol=1e-5)


def test_a_reduced_crop_stays_in_range_and_one_of_the_size_is_itself():
    checks = np.indices((16, 16)).sum(axis=0) // 4 % 2
    image = tf.constant(np.repeat(checks[None, ..., None], 3, axis=-1), tf.float32)
    found = reduced_to(image, 8).numpy()
    assert found.min() == 0 and found.max() == 1  # bicubic would overshoot
    np.testing.assert_array_equal(reduced_to(image, 16), image)


def test_all_rows_of_a_table_see_the_same_images():
    """To the last bit, whatever their scale; only the labels at high resolution differ in size."""
    for table in (
        ("no_zoom", "bicubic_zoom", "sr_zoom", "paper"),
        [f"scale_{s}" for s in range(1, 5)],
    ):
        seen = []
        for name in table:
            config = dataclasses.replace(CONFIGS[name], size=24)
            crop = np.random.default_rng(0).random((1, config.crop_size, config.crop_size, 3))
            small, label = labels(tf.constant(crop, tf.float32), config)
            assert label.shape == (1, 24 * config.scale, 24 * config.scale, 3)
            seen.append(small.numpy())
        assert seen[0].shape == (1, 24, 24, 3)
        for other in seen[1:]:
            np.testing.assert_array_equal(other, seen[0])


def refined_of(trainer, image, mask):
    """X~_r and M~ of a training pass."""
    found = trainer.forward(image, mask, training=True)
    return found["refined"], found["zoomed_mask"]


@pytest.mark.default_environment
def test_without_zoom_the_label_is_the_reduced_crop():
    """No zoom is trained on what the zoom's coarse network sees, not on crops of a quarter of the view."""
    config = dataclasses.replace(CONFIGS["no_zoom"], **TINY_FIELDS)
    trainer = TRAINERS["joint"](ZoomToInpaint(config), TrainingOptions(batch_size=BATCH))
    image, mask = _batch(config.crop_size, config.size)
    assert image.shape[1] == 32
    refined, zoomed_mask = refined_of(trainer, image, mask)
    known = np.broadcast_to(zoomed_mask.numpy() == 0, refined.shape)
    np.testing.assert_array_equal(refined.numpy()[known], reduced_to(image, 16).numpy()[known])
    assert np.isfinite([float(value) for value in trainer.train_step((image, mask)).values()]).all()


def test_the_refined_image_is_the_label_outside_the_hole(joint):
    image, mask = _batch_of("joint", seed=2)
    refined, zoomed_mask = refined_of(joint, image, mask)
    known = np.broadcast_to(zoomed_mask.numpy() == 0, image.shape)
    np.testing.assert_array_equal(zoomed_mask[:, ::2, 1::2], mask)
    np.testing.assert_array_equal(refined.numpy()[known], image.numpy()[known])
    assert np.abs(refined - image)[~known].mean() > 0.01
    refined, _ = refined_of(joint, image, tf.zeros_like(mask))
    np.testing.assert_array_equal(refined, image)
    terms, _ = joint.losses(image, tf.zeros_like(mask))
    assert float(terms["coarse_l1"]) == float(terms["refined_l1"]) == float(terms["gradient"]) == 0
    assert float(terms["sr_l1"]) > 0


def test_what_lies_under_the_hole_is_not_seen(joint):
    """Another object in the hole: the same completion. Its label differs, its input must not."""
    image, mask = _batch_of("joint", seed=3)
    # Reduction mixes neighbours, so the change keeps four pixels off the hole's border.
    inside = -tf.nn.max_pool2d(-joint_mask(mask), 9, 1, "SAME")
    assert float(tf.reduce_sum(inside)) > 0
    painted = tf.where(inside > 0, 1.0 - image, image)
    first, second = (refined_of(joint, x, mask)[0] for x in (image, painted))
    hole = joint_mask(mask)
    np.testing.assert_allclose(first * hole, second * hole, atol=1e-5)


def joint_mask(mask):
    return tf.repeat(tf.repeat(mask, 2, axis=1), 2, axis=2)


@pytest.mark.parametrize("stage", ["pretrain_coarse", "pretrain_refinement"])
def test_pretraining_shows_the_coarse_network_the_masked_image_and_the_mask(
    model, monkeypatch, stage
):
    """In both stages: the second refines what the first has trained."""
    seen, call = [], model.coarse.call

    def spy(inputs, **options):
        seen.append([np.asarray(x) for x in inputs])
        return call(inputs, **options)

    monkeypatch.setattr(model.coarse, "call", spy)
    image, mask = _batch_of(stage)
    TRAINERS[stage](model, TrainingOptions(batch_size=BATCH)).losses(image, mask)
    ((masked, hole),) = seen
    np.testing.assert_array_equal(masked, image * (1.0 - mask))
    np.testing.assert_array_equal(hole, mask)


# --- from pretraining to joint training


class _Grey(keras.layers.Layer):
    """A coarse network that has learned one thing: a photograph is grey on average."""

    def call(self, inputs, training=None):
        del training
        return 0.5 * tf.ones_like(inputs[0])


def _smooth_crops(config):
    """(crops, masks): images that are as easy at one resolution as at another."""
    rows, columns = np.mgrid[: config.crop_size, : config.crop_size] / (config.crop_size - 1.0)
    image = np.stack([rows, columns, 1 - rows * columns], axis=-1).astype(np.float32)
    mask = np.zeros((2, config.size, config.size, 1), np.float32)
    mask[0, 2:9, 3:10] = mask[1, 6:13, 2:14] = 1
    return tf.constant(np.stack([image, image[::-1]])), tf.constant(mask)


@pytest.mark.full  # trains first; the next test has new networks
def test_joint_training_starts_where_the_refinements_pretraining_ended():
    """Without zoom with the loss that its next step would have had, to the last digit."""
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(CONFIGS["no_zoom"], **TINY_FIELDS)
    model = ZoomToInpaint(config, coarse=_Grey())
    crop, mask = _smooth_crops(config)
    image, _ = labels(crop, config)
    options = TrainingOptions(batch_size=BATCH, learning_rate=1e-2)
    trainer = TRAINERS["pretrain_refinement"](model, options)
    history = [float(trainer.train_step((image, mask))["refined_l1"]) for _ in range(4)]
    ended = float(trainer.losses(image, mask)[0]["refined_l1"])
    started = float(TRAINERS["joint"](model, options).losses(crop, mask)[0]["refined_l1"])
    assert ended < 0.8 * history[0]
    assert abs(started - ended) < 1e-6


@pytest.mark.default_environment
@pytest.mark.parametrize("zoom", ["none", "bicubic"])
def test_what_the_refinement_adds_is_asked_for_alike_in_both_stages(zoom):
    """A network that adds the same everywhere has the same loss; one that filled empty holes had another."""
    name = {"none": "no_zoom", "bicubic": "bicubic_zoom"}[zoom]
    config = dataclasses.replace(CONFIGS[name], **TINY_FIELDS)
    model = ZoomToInpaint(config, coarse=_Grey())
    crop, mask = _smooth_crops(config)
    image, _ = labels(crop, config)
    output = model.refinement.decoder.output_convolution
    output.kernel.assign(tf.zeros_like(output.kernel))
    options = TrainingOptions(batch_size=BATCH)
    pretraining, joint = (TRAINERS[s](model, options) for s in ("pretrain_refinement", "joint"))
    found = []
    for added in (0.0, 0.2, -0.5):
        output.bias.assign([added] * 3)
        ended = float(pretraining.losses(image, mask)[0]["refined_l1"])
        started = float(joint.losses(crop, mask)[0]["refined_l1"])
        # The zoom blurs the hole's border, a pixel of eight.
        assert abs(started - ended) < 0.1 * ended
        found.append(ended)
    assert found[0] < found[1] < found[2]


def test_the_refinements_pretraining_leaves_the_coarse_network_alone():
    """It sees what that gives at inference, with the averages that it has, and changes none of them."""
    keras.utils.set_random_seed(0)
    trainer = TRAINERS["pretrain_refinement"](
        ZoomToInpaint(TINY), TrainingOptions(batch_size=BATCH)
    )
    image, mask = _batch_of("pretrain_refinement")
    before = [np.asarray(v) for v in trainer.model.coarse.weights]
    terms, _ = trainer.losses(image, mask)
    for old, new in zip(before, trainer.model.coarse.weights):
        np.testing.assert_array_equal(new, old)
    coarse = trainer.model.complete_coarsely(image * (1 - mask), mask, training=False)
    refined = trainer.model.refinement((coarse, mask), training=True)
    expected = tf.reduce_mean(mask * tf.abs(refined - image))
    assert abs(float(terms["refined_l1"]) - float(expected)) < 1e-6


# --- frozen batch norm


def _frozen(stage, **options):
    keras.utils.set_random_seed(0)
    options = TrainingOptions(batch_size=BATCH, frozen_batch_norm=True, **options)
    return TRAINERS[stage](ZoomToInpaint(TINY), options)


def test_frozen_batch_norm_trains_everything_but_its_averages():
    """In the stage of both networks with batch norm; every trainer inherits what freezes it."""
    trainer = _frozen("joint")
    before = _values(trainer)
    trainer.train_step(_batch_of("joint"))
    for name, value in _values(trainer).items():
        part, trained = name.split("/")[0], "moving_" not in name
        changes = trained and part in TRAINED["joint"] and not name.endswith("vector")
        assert np.any(value != before[name]) == changes, name


@pytest.mark.full  # two trainers; common/training/test_updates.py has the sums
def test_frozen_batch_norm_gives_micro_batches_the_result_of_the_whole():
    """Which batch norm of every micro-batch on its own does not."""
    found = []
    for accumulate in (1, BATCH):
        trainer = _frozen("pretrain_coarse", accumulate=accumulate)
        gradients, _ = updates.accumulate(
            trainer.gradients, _batch_of("pretrain_coarse"), accumulate
        )
        found.append(gradients["generator"])
    for whole, parts in zip(*found):
        furthest = np.abs(np.asarray(whole) - np.asarray(parts)).max()
        assert furthest < 1e-5 * np.abs(whole).max() + 1e-9


# --- warmed-up batch norm


@pytest.mark.default_environment
def test_averages_warm_up_with_the_steps_that_a_checkpoint_counts():
    """A run that goes on at step 80 has the momentum of step 80, 0.9; without the option it is 0.99 at any step."""
    found = {}
    for warm in (False, True):
        keras.utils.set_random_seed(0)
        options = TrainingOptions(batch_size=BATCH, batch_norm_warmup=warm)
        trainer = TRAINERS["joint"](ZoomToInpaint(TINY), options)
        trainer.step.assign(80)
        before = _values(trainer)
        trainer.train_step(_batch_of("joint"))
        after = _values(trainer)
        moving = [n for n in after if "moving_" in n and n.split("/")[0] in TRAINED["joint"]]
        assert moving and int(trainer.step) == 81
        found[warm] = {name: after[name] - before[name] for name in moving}
        kept = {name: value for name, value in after.items() if "moving_" not in name}
        found[warm, "weights"] = kept
    for name, moved in found[True].items():
        # Of the same batch 0.1 and 0.01 of the way; the last digits of what is subtracted are lost.
        np.testing.assert_allclose(moved, 10 * found[False][name], atol=3e-5, err_msg=name)
    for name, value in found[True, "weights"].items():
        np.testing.assert_array_equal(value, found[False, "weights"][name], err_msg=name)


def _one_image():
    rows, columns = np.mgrid[:16, :16] / 15.0
    image = np.stack([rows, columns, rows * columns], axis=-1)[None].astype(np.float32)
    mask = np.zeros((1, 16, 16, 1), np.float32)
    mask[:, 4:12, 4:12] = 1
    return tf.constant(image), tf.constant(mask)


def test_one_image_can_be_learned_and_after_few_steps_inference_is_what_was_trained():
    """With averages of 0.99, which still hold nine tenths of where they started, it is twice as far off."""
    keras.utils.set_random_seed(0)
    options = TrainingOptions(batch_size=1, learning_rate=1e-2, batch_norm_warmup=True)
    trainer = TRAINERS["pretrain_coarse"](ZoomToInpaint(TINY), options)
    image, mask = _one_image()
    step = tf.function(lambda: trainer.train_step((image, mask)), autograph=False)
    history = [float(step()["coarse_l1"]) for _ in range(12)]
    coarse = trainer.model.complete_coarsely(image * (1 - mask), mask, training=False)
    assert float(tf.reduce_mean(tf.abs(coarse - image))) < 1.5 * history[-1]
    history += [float(step()["coarse_l1"]) for _ in range(48)]
    assert min(history[-5:]) < 0.4 * history[0]


def test_the_learning_rate_falls_late_in_the_run(model):
    options = TrainingOptions(
        batch_size=1, learning_rate=1e-3, learning_rate_drops=(0.8, 0.9), steps=10
    )
    trainer = TRAINERS["pretrain_sr"](model, options)
    variables = model.super_resolution.trainable_variables
    found = []
    for _ in range(10):  # Adam's steps along a constant gradient are as long as the rate
        before = variables[-1].numpy()
        trainer.parts["generator"].optimizer.apply_gradients(
            (tf.ones_like(v), v) for v in variables
        )
        found.append(np.mean(before - variables[-1].numpy()))
    # Steps of 1e-5 on weights near 0.01 keep four digits.
    np.testing.assert_allclose(found, [1e-3] * 8 + [1e-4, 1e-5], rtol=1e-3)


@pytest.mark.full  # two joint trainers; test_networks.py has the networks
def test_bfloat16_computes_the_losses_of_float32():
    """One joint step from the same weights; what is trained stays float32."""
    keras.utils.set_random_seed(0)
    single = TRAINERS["joint"](ZoomToInpaint(TINY), TrainingOptions(batch_size=BATCH), _vgg)
    options = TrainingOptions(batch_size=BATCH, precision="bfloat16")
    trainer = TRAINERS["joint"](ZoomToInpaint(TINY, dtype="mixed_bfloat16"), options, _vgg)
    for name, variable in _variables(trainer).items():
        variable.assign(_variables(single)[name].numpy())
    data = _batch_of("joint")
    expected, found = single.losses(*data)[0], trainer.train_step(data)
    for name, value in expected.items():
        # Eight bits of mantissa through thirty layers of a random network, whose last batch norms see 32 positions:
        # over 24 seeds the first two networks' terms differ by up to 2.4%, the others by up to 6%, squares by 21%.
        allowed = {"refined_l1": 0.15, "refined_vgg": 0.15, "gradient": 0.4}.get(name, 0.06)
        assert abs(float(found[name]) - float(value)) < allowed * abs(float(value)), name
    assert all(tf.as_dtype(v.dtype) == tf.float32 for v in _variables(trainer).values())
    assert np.isfinite(float(found["generator_gradient_norm"]))
