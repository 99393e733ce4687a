"""Steps that XLA compiles (`--jit`), and exported steps that JAX runs, are those of train.py."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from common.errors import UsageError, UserError
from common.models import weights
from common.storage import read_arrays

ROOT = pathlib.Path(__file__).resolve().parents[1]
HIFILL = ("--hifill_size=64", "--hifill_channels=2", "--critic_steps=1", "--batch_size=2")
ZOOM = ("--model=zoom_to_inpaint", "--zoom_channels=4", "--zoom_size=16", "--vgg_weights=none")
ZOOM += ("--batch_size=2",)
COARSE = "--coarse_weights=none"
SR = (*ZOOM, "--stage=pretrain_sr")
RUNS = {
    "hifill": (*HIFILL, "--ema=0.9"),
    "hifill_shipped": (*HIFILL, "--hifill_config=shipped", "--learning_rate_schedule=cosine"),
    "hifill_release": (*HIFILL, "--hifill_config=release", "--adversarial_balance=0.5"),
    "coarse": (*ZOOM, "--stage=pretrain_coarse", "--zoom_config=shipped", "--batch_norm_warmup"),
    "refinement": (*ZOOM, "--stage=pretrain_refinement", COARSE),
    "joint": (*ZOOM, COARSE, "--sr_weights=none", "--refinement_weights=none"),
}
# Runs the example as a machine without TensorFlow does.
WITHOUT_TENSORFLOW = """
import runpy, sys
sys.modules["tensorflow"] = None
runpy.run_module("examples.train_with_jax", run_name="__main__")
"""
needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed (extra jax)"
)


@pytest.fixture
def make(train, parse):
    """make("--flag=value", ...) -> (job, recipe) of a tiny model with the same weights in every call."""

    def made(*arguments):
        parse("--output=o", *arguments)
        keras.utils.set_random_seed(0)
        job = train.Job.of_flags()
        return job, job.recipe.make(tf.distribute.get_strategy(), job.values)

    return made


def bytes_of(recipe):
    """Images and masks of one step, uint8, every hole another."""
    count, size = recipe.images_per_step, recipe.mask_size or recipe.size
    shape = (count, recipe.size, recipe.size, 3)
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    mask = np.zeros((count, size, size, 1), np.uint8)
    for i, one in enumerate(mask):
        one[size // 4 + i : size // 2 + i, size // 5 : size // 2 - i] = 1
    return image, mask


def step(recipe):
    """Terms of a step of train.py on `bytes_of`."""
    image, mask = bytes_of(recipe)
    data = tf.data.Dataset.from_tensors(
        (tf.image.convert_image_dtype(image, tf.float32), tf.cast(mask, tf.float32))
    )
    found = recipe.trainer.make_train_function()(iter(data))
    return {name: float(value) for name, value in found.items()}


def values(recipe):
    return {
        f"{part}/{name}": variable.numpy()
        for part, layer in recipe.layers.items()
        for name, variable in weights.named_variables(layer).items()
    }


def assert_same(found, expected, before):
    """Terms and weights of a step; before: the weights before it. A new joint model's gradient is known to 3e-4."""
    for name, value in expected[0].items():
        assert found[0][name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    moved, apart = (
        np.sqrt(sum(np.sum((one[name] - other[name]) ** 2.0) for name in before))
        for one, other in ((expected[1], before), (found[1], expected[1]))
    )
    assert moved > 0 and apart < 1e-3 * moved


def test_a_whole_step_compiled_by_xla_is_that_of_train_py(make):
    """Bicubic reduction and enlargement, whose ops XLA lacks, with their gradients."""
    compare(make, SR)


@pytest.mark.full  # XLA takes a minute or more for each
@pytest.mark.parametrize("name", RUNS)
def test_every_step_compiled_by_xla_is_that_of_train_py(make, name):
    compare(make, RUNS[name])


def compare(make, arguments):
    _, plain = make(*arguments)
    before = values(plain)
    expected = step(plain), values(plain)
    _, compiled = make(*arguments, "--jit")
    assert_same((step(compiled), values(compiled)), expected, before)


def test_xla_compiles_for_one_device(make, monkeypatch):
    strategy = tf.distribute.get_strategy()
    monkeypatch.setattr(type(strategy), "num_replicas_in_sync", 2)
    with pytest.raises(UsageError, match=r"--jit compiles for one device, .*--strategy=one"):
        make(*SR, "--jit")


# --- export


@needs_jax
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.full) for name in RUNS])
def test_an_exported_step_is_that_of_train_py(make, tmp_path, name):
    import jax

    from common.training import portable_step
    from examples import train_with_jax

    _, recipe = make(*RUNS[name])
    before, alpha = values(recipe), {}
    for turn, update in enumerate(recipe.trainer.step_updates()):
        if update.draws:
            alpha[turn] = [recipe.trainer._alpha(turn, recipe.batch_size).numpy()]
    portable_step.write(recipe, tmp_path, {})
    expected = step(recipe), values(recipe)
    plan = json.loads((tmp_path / "step.json").read_text())
    updates = train_with_jax.read_updates(tmp_path, plan)
    state = train_with_jax.read_state(tmp_path, tmp_path / "none")
    image, mask = bytes_of(recipe)
    terms, turns = {}, len(plan["updates"])
    for turn, (update, _) in enumerate(plan["updates"]):
        batch = image[turn::turns], mask[turn::turns], *alpha.get(turn, [])
        state, now = updates[update](state, *batch)
        terms.update({key: float(value) for key, value in now.items()})
    assert jax.config.jax_enable_x64 and int(state["step"]) == 1
    assert_same((terms, {key: np.asarray(state[key]) for key in before}), expected, before)


@needs_jax
def test_train_py_goes_on_from_what_jax_has_trained(train, parse, tmp_path, monkeypatch):
    """Two steps in JAX without TensorFlow, the third in train.py: the checkpoint of three steps of train.py."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    os.mkdir("photos")
    for name in "abcd":
        image = cv2.resize(rng.integers(0, 256, (8, 9, 3), np.uint8), (90, 80))
        cv2.imwrite(f"photos/{name}.png", image)
    flags = (*SR, "--dataset=folder", "--data_dir=photos", "--flip", "--validation_images=1")

    def command(*arguments):
        parse(*flags, *arguments)
        assert train.main([]) == 0

    command("--output=whole", "--steps=3")
    command("--output=run", "--steps=3", "--export_step=step")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    words = ("step", "photos", "2", "run/checkpoints")
    subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW, *words], check=True, env=environment)
    command("--output=run", "--steps=3")
    (_, whole), (_, ours) = (
        read_arrays(f"{folder}/checkpoints/step-00000003.npz") for folder in ("whole", "run")
    )
    assert whole.keys() == ours.keys()
    for name, array in whole.items():
        np.testing.assert_allclose(ours[name], array, atol=2e-4, err_msg=name)


@pytest.mark.skipif(importlib.util.find_spec("jax") is not None, reason="jax is installed")
def test_without_jax_the_message_says_what_to_install(train, parse):
    parse(*SR, "--export_step=step")
    addons = importlib.util.find_spec("tensorflow_addons")
    remedy = r", which cannot .* beside TensorFlow Addons" if addons else r": .* -m pip"
    with pytest.raises(UserError, match=rf"--export_step needs jax{remedy}.* install '.\[jax\]'"):
        train.main([])
