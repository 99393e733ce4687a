"""The example that puts Zoom-to-Inpaint around HiFill: what its adapter promises, its training and its files.

And the notebook.
"""

from __future__ import annotations

import json
import pathlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

import hifill
from common.data import pipeline
from common.errors import UsageError
from common.masks import files as mask_files
from common.models import weights
from common.scoring import metrics
from common.training import loop
from examples import zoomed_hifill
from zoom_to_inpaint import weights_source
from zoom_to_inpaint.joint_training import JointTraining
from zoom_to_inpaint.training import TrainingOptions

ROOT = pathlib.Path(__file__).resolve().parents[1]
SIZE, SCALE, CHANNELS = 64, 2, 4
ZOOMS = ("bicubic", "sr")


@pytest.fixture(scope="module")
def models(tiny_config):
    """{zoom: model} around one HiFill, which is trainable; tests may train them, so none relies on its weights."""
    keras.utils.set_random_seed(
        0
    )  # in others a gate may be so closed that its gradient is 0 to the last digit
    generator = hifill.HiFill(tiny_config)
    return {zoom: zoomed_hifill.build(generator, zoom, CHANNELS, joint=True) for zoom in ZOOMS}


def batch(side=SIZE, count=1):
    """Images [count, side, side, 3] and masks [count, SIZE, SIZE, 1]."""
    rng = np.random.default_rng(0)
    image = rng.random((count, side, side, 3), dtype=np.float32)
    mask = np.zeros((count, SIZE, SIZE, 1), np.float32)
    mask[:, 10:30, 20:50] = 1
    return image, mask


@pytest.fixture
def photographs(tmp_path):
    """A folder with train/ and test/, two photographs each."""
    rng = np.random.default_rng(1)
    for split in ("train", "test"):
        (tmp_path / "photos" / split).mkdir(parents=True)
        for name in "ab":
            image = cv2.resize(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8), (180, 140))
            cv2.imwrite(str(tmp_path / "photos" / split / f"{name}.png"), image)
    return tmp_path / "photos"


def test_adapter_gives_what_hifill_generates(models, eagerly):
    """Ranges are the one thing it translates; 1e-6: the same operations on values of about 1."""
    adapter = models["bicubic"].coarse
    image, mask = batch(count=2)
    completion = adapter((image * (1 - mask), mask), training=True)
    np.testing.assert_allclose(completion, adapter.generator.generate(image, mask)[1], atol=1e-6)


@pytest.mark.parametrize("zoom", ZOOMS)
def test_zoomed_hifill_inpaints(models, zoom):
    image, mask = batch()
    coarse, zoomed, refined, output = models[zoom]((image, mask))
    assert coarse.shape == output.shape == image.shape
    assert zoomed.shape == refined.shape == (1, SCALE * SIZE, SCALE * SIZE, 3)
    known = np.broadcast_to(mask == 0, image.shape)
    np.testing.assert_array_equal(coarse.numpy()[known], image[known])
    np.testing.assert_array_equal(output.numpy()[known], image[known])
    assert not np.allclose(output.numpy()[~known], coarse.numpy()[~known], atol=1e-3)
    other = models[zoom]((np.where(mask > 0, 1 - image, image), mask))[3]
    np.testing.assert_array_equal(other, output)


@pytest.mark.parametrize("zoom", ZOOMS)
def test_gradient_of_the_refined_image_reaches_hifill(models, zoom):
    """Through refinement and zoom, not by way of the coarse loss."""
    model = models[zoom]
    with tf.GradientTape() as tape:
        _, _, refined, _ = model(batch(), training=True)
        loss = tf.reduce_sum(refined**2)
    gradients = tape.gradient(loss, model.coarse.trainable_variables)
    assert len(gradients) == len(model.coarse.generator.trainable_variables) > 0
    for gradient in gradients:
        assert np.abs(gradient).max() > 0


@pytest.mark.default_environment
@pytest.mark.parametrize("joint", [False, True])
def test_one_update_changes_hifill_only_when_joint(models, joint):
    model = models["bicubic"]
    model.coarse.trainable = joint
    trainer = JointTraining(model, TrainingOptions(batch_size=1, learning_rate=1e-3))
    parts = {"hifill": model.coarse.weights, "refinement": model.refinement.trainable_variables}
    before = {name: [v.numpy() for v in variables] for name, variables in parts.items()}
    image, mask = batch(SCALE * SIZE)
    terms = trainer.update(tf.constant(image), tf.constant(mask))
    model.coarse.trainable = True
    assert all(np.isfinite(float(value)) for value in terms.values())
    changed = {
        name: [not np.array_equal(old, v.numpy()) for old, v in zip(before[name], variables)]
        for name, variables in parts.items()
    }
    assert all(changed["refinement"])
    # Not all: gradients of saturated gates can be too small for a float32 step.
    assert any(changed["hifill"]) == joint


def test_parts_are_saved_and_loaded(models, tmp_path):
    model = models["sr"]
    zoomed_hifill.save_parts(model, tmp_path / "weights.npz")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"weights.npz", "super_resolution.npz", "hifill.npz"}
    before = {name: v.numpy() for name, v in weights.named_variables(model).items()}
    for variable in model.weights:
        variable.assign(tf.zeros_like(variable))
    arrays = weights.read(tmp_path / "hifill.npz", "hifill")[1]
    weights.assign(model.coarse.generator, arrays, "hifill.npz")
    for network, name in (("refinement", "weights"), ("super_resolution", "super_resolution")):
        weights_source.load_network(model, network, str(tmp_path / f"{name}.npz"), "--weights")
    for name, variable in weights.named_variables(model).items():
        np.testing.assert_array_equal(variable.numpy(), before[name], err_msg=name)


@pytest.mark.default_environment
@pytest.mark.default_environment
@pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")  # of tf.data
def test_trains_and_compares(models, eagerly, photographs, tmp_path):
    """The parts of the command in one process: two steps of a run, then the table of held-out crops."""
    train, test = zoomed_hifill.photograph_files(str(photographs), None)
    model = models["bicubic"]
    recipe = zoomed_hifill.make_recipe(model, TrainingOptions(batch_size=1, learning_rate=1e-3))
    cases = zoomed_hifill.held_out(test, model.config, "irregular", True, 0, tmp_path / "test")
    samples = pipeline.Samples(
        *(pipeline.Photographs(train), mask_files.mask_source("irregular")),
        *(recipe.size, 0, True, True, recipe.mask_size),
    )
    run = loop.RunFolder(tmp_path / "run", {})
    loop.train(
        recipe,
        lambda first: pipeline.training_dataset(samples, 1, first),
        zoomed_hifill.preview_set(cases),
        loop.Schedule(steps=2, log_every=1),
        run,
    )
    written = {path.name for path in (tmp_path / "run").glob("*.npz")}
    assert written == {"weights.npz", "hifill.npz"}  # a bicubic zoom has no weights
    methods = {"hifill": model.coarse.generator.inpaint, "zoomed_hifill": model.inpaint}
    table = zoomed_hifill.compare(methods, cases, "irregular", tmp_path / "run")
    assert all(f"| {name} " in table for name in methods) and "PSNR" in table
    for name in ("table.md", "scores.json", "pictures.png"):
        assert (tmp_path / "run" / name).is_file()


def test_held_out_crops_are_reductions_and_always_the_same(models, photographs, tmp_path):
    config = models["bicubic"].config
    _, test = zoomed_hifill.photograph_files(str(photographs), None)
    sets = [
        zoomed_hifill.preview_set(
            zoomed_hifill.held_out(test, config, "irregular", False, 3, tmp_path / name)
        )
        for name in ("one", "two")
    ]
    for one, two in zip(*sets):
        np.testing.assert_array_equal(one, two)
    image, mask = sets[0]
    assert image.shape == (2, SIZE, SIZE, 3) and mask.shape == (2, SIZE, SIZE, 1)
    # Photographs this smooth look the same when a crop of twice the size is averaged instead of resampled.
    photograph = cv2.cvtColor(cv2.imread(test[0]), cv2.COLOR_BGR2RGB)
    rng = np.random.default_rng((3, 0))
    crop = pipeline.random_crop(photograph, SCALE * SIZE, rng, False, False)
    averaged = cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    shown = np.round(image[0] * np.float32(255)).astype(np.uint8)
    assert metrics.psnr(averaged, shown) > 40


def test_scores_on_photographs_it_trained_on_are_refused(photographs):
    with pytest.raises(UsageError, match="--test_dir"):
        zoomed_hifill.photograph_files(str(photographs / "test"), None)
    train, test = zoomed_hifill.photograph_files(
        str(photographs / "train"), str(photographs / "test")
    )
    assert len(train) == len(test) == 2
    assert not set(train) & set(test)


@pytest.mark.full
def test_command(run_command, tiny_weights, photographs, tmp_path):
    flags = (f"--hifill_weights={tiny_weights}", f"--data_dir={photographs}", "--output=run")
    toy = ("--steps=1", "--batch_size=1", "--zoom_channels=4", "--zoom=sr", "--joint")

    def run(*arguments):
        command = "-mexamples.zoomed_hifill"
        return run_command(command, *arguments, cwd=tmp_path, timeout=1500, PYTHONPATH=str(ROOT))

    done = run(*flags, *toy)
    assert done.returncode == 0, done.stderr
    assert "| hifill_joint " in done.stdout and "| zoomed_hifill " in done.stdout
    for wrong in (flags[1:], (*flags, "--sr_weights=x"), (*flags, "--zoom_channels=3")):
        refused = run(*wrong)
        assert refused.returncode == 2 and "error: --" in refused.stderr, refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.default_environment
def test_the_notebook_runs_from_top_to_bottom(eagerly, monkeypatch, tmp_path, capsys):
    """Without Jupyter: its cells are Python and nothing else. It comes without outputs."""
    text = (ROOT / "examples" / "fill_a_photograph.ipynb").read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in cells:
        exec("".join(cell["source"]), names)
    assert (names["filled"] != names["photograph"])[names["mask"] > 0].any()
    said = capsys.readouterr().out
    assert "HiFill: psnr " in said and "Telea: psnr " in said
    assert list(tmp_path.iterdir()) == []
