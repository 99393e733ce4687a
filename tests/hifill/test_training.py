"""One turn of Algorithm 1: what changes, which batch goes where, the interpolation's alpha."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from tensorflow import keras

from common.options import from_flags
from common.training import updates
from hifill import PAPER, HiFill, losses
from hifill.training import HiFillTrainer, TrainingOptions, paste

# Fewer layers than the paper's, to run faster.
TINY = dataclasses.replace(
    PAPER, size=64, channels=2, discriminator_channels=2, coarse_plain_layers=0
)
TERMS = {
    "critic",
    "wasserstein",
    "gradient_penalty",
    "generator",
    "coarse_l1",
    "refined_l1",
    "adversarial",
    "critic_gradient_norm",
    "generator_gradient_norm",
}
BATCH, CRITIC_STEPS = 2, 2


def _trainer(**options):
    """A tiny trainer with fresh weights, the same in every call."""
    keras.utils.set_random_seed(0)
    options = {"batch_size": BATCH, "critic_steps": CRITIC_STEPS, **options}
    return HiFillTrainer(HiFill(TINY), TrainingOptions(**options))


def _data(seed=0):
    """One element: (critic_steps + 1) batches of images in [0, 1] and of masks, all of them different."""
    count = (CRITIC_STEPS + 1) * BATCH
    rng = np.random.default_rng(seed)
    image = rng.random((count, 64, 64, 3)).astype(np.float32)
    mask = np.zeros((count, 64, 64, 1), np.float32)
    for i, one in enumerate(mask):
        one[10 + i : 30 + 2 * i, 20 : 40 + i] = 1
    return tf.constant(image), tf.constant(mask)


def _values(layer):
    return [variable.numpy() for variable in layer.trainable_variables]


@pytest.fixture(scope="module")
def trainer():
    """For tests that take no step with it."""
    return _trainer()


@pytest.fixture(scope="module")
def moving():
    """For tests that take steps, from whatever weights."""
    return _trainer()


@pytest.fixture(scope="module")
def stepped():
    """(trainer, values before, terms) after one step."""
    trainer = _trainer()
    before = _values(trainer.generator), _values(trainer.discriminator)
    terms = {name: float(value) for name, value in trainer.train_step(_data()).items()}
    return trainer, before, terms


def test_defaults_are_the_papers():
    options = TrainingOptions()
    assert (options.batch_size, options.critic_steps) == (8, 5)
    assert (options.alpha_hole, options.alpha_context) == (1.0, 1.2)
    assert (options.adversarial_weight, options.gradient_penalty_weight) == (1e-4, 10.0)
    assert (options.learning_rate, options.adam_beta_1, options.adam_beta_2) == (1e-4, 0.5, 0.9)


def test_one_step_changes_both_networks(stepped):
    trainer, (generator, critic), _ = stepped
    for before, layer in ((generator, trainer.generator), (critic, trainer.discriminator)):
        for old, variable in zip(before, layer.trainable_variables):
            assert np.isfinite(variable.numpy()).all()
            # A constant on all scores cancels between real and fake: the critic's last bias stays.
            moved = variable is not trainer.discriminator.score.bias
            assert np.any(old != variable.numpy()) == moved, variable.name


def test_terms_have_their_names_and_add_up(stepped):
    trainer, _, terms = stepped
    assert set(terms) == TERMS and np.isfinite(list(terms.values())).all()
    o = trainer.options
    generator = (
        terms["coarse_l1"] + terms["refined_l1"] + o.adversarial_weight * terms["adversarial"]
    )
    critic = terms["wasserstein"] + o.gradient_penalty_weight * terms["gradient_penalty"]
    # float32 sums of three numbers.
    assert abs(terms["generator"] - generator) < 1e-5
    assert abs(terms["critic"] - critic) < 1e-4
    assert terms["coarse_l1"] > 0 and terms["gradient_penalty"] > 0


def _l1_of_the_authors(outputs, image, mask):
    """Hole and context terms of `build_graph_with_losses`, summed pixel by pixel; one hole for the whole batch."""
    hole = context = 0.0
    count, height, width, _ = image.shape
    for weight, output in zip((1.2, 1.0), outputs):
        for i in range(count):
            for row in range(height):
                for column in range(width):
                    error = (
                        np.abs(image[i, row, column] - output[i, row, column]).sum() / image.size
                    )
                    m = mask[0, row, column, 0]
                    hole += weight * float(error) * m
                    context += weight * float(error) * (1 - m)
    return hole, context / float(np.mean(1 - mask[0]))


def test_the_releases_flagfile_trains_with_the_authors_loss(parse, monkeypatch):
    """Their coefficients and reductions, on the outputs and scores of the trainer's networks."""
    monkeypatch.chdir(pathlib.Path(__file__).resolve().parents[2])
    parse("--flagfile=configs/hifill/release.cfg", f"--batch_size={BATCH}")
    options = from_flags(TrainingOptions, flags.FLAGS.flag_values_dict())
    assert (options.critic_steps, flags.FLAGS.masks) == (3, "object")
    assert (options.gradient_penalty_weight, options.adam_beta_1, options.adam_beta_2) == (
        10,
        0.5,
        0.9,
    )
    trainer = _trainer(**dataclasses.asdict(options))
    image, mask = (part[:BATCH] for part in _data())
    image, mask = image * 2.0 - 1.0, tf.repeat(mask[:1], BATCH, axis=0)
    coarse, refined, _ = trainer.generator((image, mask))
    scores = trainer.discriminator(paste(refined, image, mask)).numpy()
    arrays = [x.numpy().astype(float) for x in (coarse, refined)]
    hole, context = _l1_of_the_authors(arrays, image.numpy().astype(float), mask.numpy())
    expected = 1.2 * hole + 1.2 * context + 0.001 * -float(np.mean(scores))
    terms = trainer.generator_step(image, mask)
    # float32 sums of 24,576 values against float64.
    assert abs(float(terms["generator"]) / expected - 1) < 1e-5


def _directions(trainer, image, mask):
    """[gradients by the generator's variables] of one sample: of the reconstruction and of beta times the adversary."""
    o = trainer.options
    with tf.GradientTape(persistent=True) as tape:
        coarse, refined, _ = trainer.generator((image, mask))
        l1 = tf.reduce_sum(
            losses.reconstruction(refined, image, mask, o.alpha_hole, o.alpha_context)
        )
        first = tf.reduce_sum(
            losses.reconstruction(coarse, image, mask, o.alpha_hole, o.alpha_context)
        )
        critic = -o.adversarial_weight * tf.reduce_sum(
            trainer.discriminator(paste(refined, image, mask))
        )
        both = l1 + first
    norms = [np.linalg.norm((tape.gradient(x, refined) * mask).numpy()) for x in (critic, l1)]
    variables = trainer.generator.trainable_variables
    return *norms, [tape.gradient(x, variables) for x in (both, critic)]


@pytest.fixture
def with_options(trainer, monkeypatch):
    """with_options(name=value) -> `trainer` with that in its options."""

    def changed(**options):
        monkeypatch.setattr(trainer, "options", dataclasses.replace(trainer.options, **options))
        return trainer

    return changed


@pytest.mark.default_environment
def test_the_adversary_does_not_outgrow_l1(with_options, eagerly):
    """The gradient is L1's and, of every sample, the adversary's times what is left of it; with fresh weights."""
    trainer = with_options(adversarial_weight=100.0, adversarial_balance=0.5)
    image, mask = (part[:BATCH] for part in _data())
    image = image * 2.0 - 1.0
    expected, factors = 0, []
    for i in range(BATCH):
        norm, limit, (l1, critic) = _directions(trainer, image[i : i + 1], mask[i : i + 1])
        factors.append(min(1.0, 0.5 * limit / norm))
        expected = expected + np.concatenate(
            [np.ravel(a + factors[-1] * b) / BATCH for a, b in zip(l1, critic)]
        )
    assert max(factors) < 0.9  # or nothing was tried
    for parts in (1, 2):
        gradients, terms = updates.accumulate(trainer._generate, (image, mask), parts)
        found = np.concatenate([np.ravel(g) for g in gradients])
        # float32 through thirty layers.
        assert np.linalg.norm(found - expected) < 1e-4 * np.linalg.norm(expected)
        assert abs(float(terms["adversarial_factor"]) - np.mean(factors)) < 1e-5
    plain, _ = with_options(adversarial_balance=0.0)._generate(0, image, mask)
    plain = np.concatenate([np.ravel(g) for g in plain])
    assert np.linalg.norm(plain) > 1.2 * np.linalg.norm(found)


def test_an_adversary_that_is_small_enough_is_left_alone(with_options):
    image, mask = (part[:BATCH] for part in _data())
    found = [
        with_options(adversarial_balance=most)._generate(0, image * 2.0 - 1.0, mask)
        for most in (0.0, 1e6)
    ]
    assert float(found[1][1].pop("adversarial_factor")) == 1
    for a, b in zip(*map(tf.nest.flatten, found)):
        np.testing.assert_array_equal(a, b)


def test_validation_has_the_terms_of_both_outputs_at_inference(trainer):
    """The trainer's own on the same batch; 1e-6: the same operations on values of about 1."""
    image, mask = (part[-BATCH:] for part in _data())
    before = _values(trainer.generator)
    found = trainer.validation_terms(image.numpy(), mask.numpy())
    for old, new in zip(before, _values(trainer.generator)):
        np.testing.assert_array_equal(old, new)
    _, expected = trainer._generate(0, image * 2.0 - 1.0, mask)
    assert set(found) == {"coarse_l1", "refined_l1"}
    for name, value in found.items():
        assert abs(value - float(expected[name])) < 1e-6, name


def test_optimizers_count_their_own_updates(stepped):
    trainer = stepped[0]
    assert int(trainer.parts["critic"].optimizer.iterations) == CRITIC_STEPS
    assert int(trainer.parts["generator"].optimizer.iterations) == 1
    assert int(trainer.step) == 1


def test_an_update_that_is_not_finite_changes_nothing(moving):
    """The other updates of the step are taken, as their photographs are fine."""
    trainer, turns = moving, CRITIC_STEPS + 1
    layers = {"critic": trainer.discriminator, "generator": trainer.generator}

    def state(name):
        slots = [np.asarray(v) for v in trainer.parts[name].optimizer.variables]
        return [*_values(layers[name]), *slots]

    def counted():
        return np.array([int(trainer.parts[name].optimizer.iterations) for name in layers])

    image, mask = (part.numpy() for part in _data(seed=1))
    for name, turn, taken in (("generator", turns - 1, (2, 0)), ("critic", 0, (1, 1))):
        bad = image.copy()
        bad[turn::turns, 9, 5, 2] = np.inf
        before, taken_before = state(name), counted()
        terms = trainer.train_step((tf.constant(bad), tf.constant(mask)))
        for term in (name, f"{name}_gradient_norm"):
            assert not np.isfinite(float(terms[term])), term
        assert tuple(counted() - taken_before) == taken
        if name == "generator":  # of the critic's two updates one was left out, one not
            for old, new in zip(before, state(name)):
                np.testing.assert_array_equal(old, new)
        for value in (*state("critic"), *state("generator")):
            assert np.isfinite(value).all()


def test_each_turn_gets_its_own_batch_and_the_generator_the_last(trainer, monkeypatch):
    images, masks = _data()
    seen = []

    def critic_step(image, mask, turn):
        seen.append((turn, image.numpy(), mask.numpy()))
        return {"critic": tf.constant(1.0)}

    def generator_step(image, mask):
        seen.append((CRITIC_STEPS, image.numpy(), mask.numpy()))
        return {"generator": tf.constant(2.0)}

    monkeypatch.setattr(trainer, "critic_step", critic_step)
    monkeypatch.setattr(trainer, "generator_step", generator_step)
    terms = trainer.train_step((images, masks))
    assert {name: float(value) for name, value in terms.items()} == {"critic": 1, "generator": 2}
    assert [turn for turn, _, _ in seen] == list(range(CRITIC_STEPS + 1))
    for turn, image, mask in seen:
        part = slice(turn, None, CRITIC_STEPS + 1)
        np.testing.assert_allclose(image, 2 * images.numpy()[part] - 1, atol=1e-6)
        np.testing.assert_array_equal(mask, masks.numpy()[part])


def test_alpha_differs_per_sample_and_per_turn_and_per_step(with_options):
    trainer = with_options(batch_size=4)

    def draw(step, turn):
        trainer.step.assign(step)
        return trainer._alpha(turn, 4).numpy()

    first = draw(0, 0)
    assert first.shape == (4, 1, 1, 1) and first.dtype == np.float32
    assert len(np.unique(first)) == 4 and 0 <= first.min() < first.max() < 1
    numbers = np.concatenate([draw(step, turn).ravel() for step in (0, 1, 2) for turn in (0, 1)])
    assert len(np.unique(numbers)) == numbers.size
    np.testing.assert_array_equal(draw(0, 0), first)
    with_options(seed=1)
    assert not np.isin(draw(0, 0), first).any()


def test_alpha_is_uniform(with_options):
    numbers = with_options(batch_size=4000)._alpha(0, 4000).numpy()
    # Standard error of the mean 0.0046, of the variance 0.0012.
    assert abs(numbers.mean() - 0.5) < 0.02 and abs(numbers.var() - 1 / 12) < 0.006


def test_critic_sees_pasted_images_and_points_between(moving, monkeypatch):
    """Real images as they are, generated ones with the known pixels pasted, and x^ (Algorithm 1)."""
    images, masks = (x[:BATCH] for x in _data())
    trainer, seen = moving, []
    call = trainer.discriminator.call

    def spy(x):
        seen.append(x.numpy())
        return call(x)

    monkeypatch.setattr(trainer.discriminator, "call", spy)
    trainer.critic_step(images, masks, 0)
    trainer.generator_step(images, masks)
    real, fake, between, judged = seen
    known = np.broadcast_to(masks.numpy() == 0, real.shape)
    np.testing.assert_array_equal(real, images)
    for generated in (fake, judged):
        np.testing.assert_array_equal(generated[known], real[known])
        assert np.abs(generated - real)[~known].mean() > 0.01
    alpha = trainer._alpha(0, BATCH).numpy()
    np.testing.assert_allclose(between, (1 - alpha) * real + alpha * fake, atol=1e-6)


@pytest.mark.default_environment
def test_jit_takes_ops_that_xla_has(trainer):
    """Traced alone: XLA takes seconds for each update (tests/test_compiled_steps.py compiles them)."""
    images, masks = (x[:BATCH] for x in _data())
    batch = images, masks, tf.zeros([BATCH, 1, 1, 1])
    compiled = _trainer(jit=True)._updates["critic"]
    usual = tf.function(trainer._updates["critic"])
    kinds = [
        {
            operation.type
            for operation in function.get_concrete_function(*batch).graph.get_operations()
        }
        for function in (compiled, usual)
    ]
    # XLA's own bilinear gradient is nine times as slow as sums of rows and columns.
    without = {"TopKV2", "ResizeBilinear", "ResizeBilinearGrad"}
    assert not without & kinds[0] and {"TopKV2", "ResizeBilinear"} < kinds[1]


def test_critic_step_leaves_the_generator_alone_and_the_other_way_round(moving):
    images, masks = (x[:BATCH] for x in _data())
    trainer = moving
    turns = (
        (lambda: trainer.critic_step(images, masks, 0), trainer.generator),
        (lambda: trainer.generator_step(images, masks), trainer.discriminator),
    )
    for turn, untouched in turns:
        before = _values(untouched)
        turn()
        for old, new in zip(before, _values(untouched)):
            np.testing.assert_array_equal(old, new)


def test_paste_takes_the_hole_from_the_generator():
    image, mask = (x[:1] for x in _data())
    found = paste(tf.fill(image.shape, 7.0), image, mask)
    hole = np.broadcast_to(mask == 1, found.shape)
    assert np.all(found.numpy()[hole] == 7)
    np.testing.assert_array_equal(found.numpy()[~hole], image.numpy()[~hole])


@pytest.mark.full  # two trainers, half a minute; tests/common/test_updates.py has the sums
def test_micro_batches_do_what_the_whole_batch_does():
    """Nothing ties HiFill's samples together: gradients and terms are those of the batch."""
    image, mask = (x[:BATCH] for x in _data())
    found = {}
    for parts in (1, 2):
        trainer = _trainer(accumulate=parts)
        terms = trainer.critic_step(image, mask, 0)
        terms.update(trainer.generator_step(image, mask))
        # Adam's first momenta are the gradients, up to a factor.
        slots = [v for p in trainer.parts.values() for v in p.optimizer.variables[2:]]
        found[parts] = terms, [np.asarray(v) for v in slots]
    for name, value in found[1][0].items():
        assert abs(float(found[2][0][name]) - float(value)) < 1e-4 * max(1, abs(float(value))), name
    for a, b in zip(*(arrays for _, arrays in found.values())):
        # The critic's step comes first: Adam's, of a rounding error too.
        np.testing.assert_allclose(a, b, atol=1e-3 * np.abs(a).max() + 1e-7)


@pytest.mark.full  # most of a minute: bfloat16 is slow in single ops
def test_bfloat16_trains_like_float32_and_its_weights_load_in_float32(tmp_path):
    data, found = _data(), {}
    reference = _trainer()
    for precision in ("float32", "mixed_bfloat16"):
        model = HiFill(TINY, dtype=precision)
        options = TrainingOptions(
            **{"batch_size": BATCH, "critic_steps": CRITIC_STEPS, "precision": precision},
            **{"learning_rate": 1e-4, "adversarial_weight": 10.0, "adversarial_balance": 0.5},
        )
        trainer = HiFillTrainer(model, options)
        for variable, value in zip(trainer.trainable_variables, reference.trainable_variables):
            variable.assign(value.numpy())
        found[precision] = [trainer.train_step(data) for _ in range(2)]
    for ours, theirs in zip(*found.values()):
        for name, value in ours.items():
            # Eight bits of mantissa: 0.4% a rounding, over thirty layers and a cancelling difference of scores.
            near = 0.05 * abs(float(value)) + (0.05 if "wasserstein" in name else 5e-3)
            assert abs(float(theirs[name]) - float(value)) < near, (name, value, theirs[name])
    model.save(tmp_path / "weights.npz")
    loaded = HiFill.load(tmp_path / "weights.npz")
    image, mask = (x[:1] for x in data)
    coarse, refined, _ = loaded.generate(image, mask)
    other = model.generate(image, mask)
    assert {v.dtype for v in loaded.trainable_variables} <= {"float32", tf.float32}
    for a, b in ((coarse, other[0]), (refined, other[1])):
        assert a.dtype == b.dtype == tf.float32
        assert np.abs(a - b).max() > 0 and np.abs(a - b).mean() < 0.02
