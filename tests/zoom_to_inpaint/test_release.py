"""Import of the authors' weights: their own networks' numbers, and every way in which a file can be wrong."""

from __future__ import annotations

import functools
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from common.errors import UserError
from zoom_to_inpaint import RELEASE, load_release, load_release_discriminator, release

_TESTS = pathlib.Path(__file__).resolve().parents[1]
_SHARED = _TESTS.parent / ".." / "shared" / "golden"
CHECKPOINT = _SHARED / "zoom_release_random" / "ckpt-1500"
needs_checkpoint = pytest.mark.skipif(
    not pathlib.Path(f"{CHECKPOINT}.index").is_file(), reason="no full-size checkpoint here"
)

# Outputs of order 1 after sixty layers in another order of summation.
TOLERANCE = 1e-4
# {file: scale, channels, side of the discriminator's input}
GOLDENS = {"zoom_release_ch8": (2, 8, 64), "zoom_release_ch4_x3": (3, 4, 96)}
FIRST = "model/layer_with_weights-0/kernel"
LAST = "model_refine/layer_with_weights-40/bias"
SPREAD = "model_sr/layer_with_weights-9/kernel"


def _read(name):
    with np.load(_TESTS / "golden" / f"{name}.npz") as archive:
        return dict(archive)


def _weights(golden):
    """{release name: array} of the four networks."""
    return {name[2:]: value for name, value in golden.items() if name.startswith("w/")}


@functools.cache
def _imported(name):
    return load_release(_weights(_read(name)))


@pytest.fixture(params=GOLDENS)
def case(request):
    """(file name, its arrays, the imported model)."""
    return request.param, _read(request.param), _imported(request.param)


@pytest.fixture(scope="module")
def arrays():
    return _weights(_read("zoom_release_ch4_x3"))


@pytest.fixture
def prepared():
    return _imported("zoom_release_ch4_x3")


@pytest.fixture
def quick(prepared, monkeypatch):
    """Imports fill `prepared` again, as building another model takes seconds; starts from zeros."""
    expected = [variable.numpy() for variable in prepared.weights]
    for variable in prepared.weights:
        variable.assign(tf.zeros_like(variable))
    monkeypatch.setattr(release, "ZoomToInpaint", lambda config, dtype: prepared)
    yield expected
    for variable, value in zip(prepared.weights, expected):
        variable.assign(value)


def _assert_loaded(model, expected):
    for variable, value in zip(model.weights, expected):
        np.testing.assert_array_equal(variable, value)


def _assert_one_line(error, *words):
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text


# The numbers.


def test_networks_give_the_releases_numbers(case):
    name, golden, model = case
    scale, channels, _ = GOLDENS[name]
    config = model.config
    assert (config.name, config.zoom, config.scale) == ("release", "sr", scale)
    assert (config.channels, config.sr_channels) == (channels, channels)
    coarse, zoomed, refined, output = model.generate(golden["image"], golden["mask"])
    for found, key in ((coarse, "coarse"), (zoomed, "sr"), (refined, "refined_hr")):
        np.testing.assert_allclose(found, golden[key], atol=TOLERANCE, err_msg=key)
    np.testing.assert_allclose(output, np.clip(golden["output"], 0, 1), atol=TOLERANCE)


@pytest.mark.full  # test_model.py has it of tiny networks
def test_fill_spares_work_but_changes_nothing(case):
    _, golden, model = case
    filled = model.fill(golden["image"], golden["mask"]).numpy()
    np.testing.assert_allclose(filled, np.clip(golden["output"], 0, 1), atol=TOLERANCE)
    generated = model.generate(golden["image"], golden["mask"])[3].numpy()
    # The same sums in another order.
    np.testing.assert_allclose(filled, generated, atol=1e-5)
    known = np.broadcast_to(golden["mask"] == 0, filled.shape)
    assert 0 < known.mean() < 1
    for found in (filled, generated):
        np.testing.assert_array_equal(found[known], golden["image"][known])


def test_golden_can_tell_a_wrong_channel_order(case):
    _, golden, model = case
    refined = model.generate(golden["image"][..., ::-1], golden["mask"])[2].numpy()
    assert np.abs(refined - golden["refined_hr"]).max() > 100 * TOLERANCE


def test_discriminator_gives_the_releases_numbers(case):
    name, golden, _ = case
    discriminator = load_release_discriminator(_weights(golden), size=GOLDENS[name][2])
    image, mask = tf.split(golden["discriminator_in"], [3, 1], axis=-1)
    without_step = discriminator((image, mask), training=False)
    scores = discriminator((image, mask), training=True)  # one step of power iteration
    np.testing.assert_allclose(scores, golden["discriminator_out"], atol=TOLERANCE)
    assert np.abs(without_step - golden["discriminator_out"]).max() > 10 * TOLERANCE


def test_without_a_trained_zoom_it_is_the_bicubic_ablation():
    golden = _read("zoom_release_ch8")
    arrays = {k: v for k, v in _weights(golden).items() if not k.startswith("model_sr/")}
    model = load_release(arrays)
    assert (model.config.zoom, model.config.scale, model.config.channels) == ("bicubic", 2, 8)
    coarse, zoomed, _, _ = model((golden["image"], golden["mask"]))
    np.testing.assert_allclose(coarse, golden["coarse"], atol=TOLERANCE)
    np.testing.assert_allclose(
        zoomed, tf.image.resize(golden["coarse"], [64, 64], "bicubic"), atol=TOLERANCE
    )


# What a checkpoint holds beside the weights. The names are those that Keras 2 writes.


def _training_state(arrays):
    state = {f"{optimizer}/iter": np.int64(7) for optimizer in ("optimizer", "optimizer_d")}
    for name in (FIRST, LAST, SPREAD, "model_d/layer_with_weights-0/kernel"):
        for slot in ("optimizer/m", "optimizer/v", "optimizer_d/vhat"):
            state[f"{name}/.OPTIMIZER_SLOT/{slot}"] = np.zeros_like(arrays[name])
    for name in ("beta_1", "beta_2", "decay", "learning_rate", "_iterations", "_learning_rate"):
        state[f"optimizer/{name}"] = np.float32(0.5)
    state["optimizer_d/_variables/12"] = np.zeros([3, 3, 4, 4], np.float32)
    state.update({name: np.int64(3) for name in ("save_counter", "step", "epoch", "global_step")})
    return {**state, "_CHECKPOINTABLE_OBJECT_GRAPH": b"\n\x05"}


def test_training_state_is_no_obstacle(arrays, quick):
    _assert_loaded(load_release({**arrays, **_training_state(arrays)}), quick)


@pytest.mark.parametrize(
    "name",
    [
        "model/layer_with_weights-99/kernel",
        "model_refine/extra",
        "model_d/layer_with_weights-5/kernel",
        "model_x/layer_with_weights-0/kernel",
        "generator/w",
        # Like training state, but not it.
        "step_model/kernel",
        "best_model/layer_with_weights-0/kernel",
        "optimizer",
        "my_optimizer/iter",
        "step",
        "epoch_2",
        "model/extra/kernel/.OPTIMIZER_SLOT/optimizer/m",
        f"{FIRST}/more",
        17,
    ],
)
def test_an_unknown_array_is_named(arrays, name):
    with pytest.raises(UserError) as error:
        load_release({**arrays, name: np.zeros(3)})
    _assert_one_line(error, "unknown", str(name))
    with pytest.raises(UserError) as error:
        load_release_discriminator({**arrays, name: np.zeros(3)})
    _assert_one_line(error, "unknown", str(name))


# Arrays that are missing or of another shape.


def test_names_are_complete(arrays):
    by_model = {}
    for name in arrays:
        by_model.setdefault(name.split("/")[0], []).append(name)
    # 17 and 20 gated convolutions of 6 variables and a plain one of 2; 11 plain ones; 5 with two vectors.
    expected = {"model": 104, "model_refine": 122, "model_sr": 22, "model_d": 20}
    assert {model: len(names) for model, names in by_model.items()} == expected


@pytest.mark.parametrize("name", [FIRST, LAST, SPREAD, "model/layer_with_weights-7/moving_mean"])
def test_a_missing_array_is_named(arrays, name):
    with pytest.raises(UserError) as error:
        load_release({key: value for key, value in arrays.items() if key != name})
    _assert_one_line(error, "lacks", name)


def test_many_missing_arrays_are_counted(arrays):
    coarse = {k: v for k, v in arrays.items() if k.startswith("model/")}
    with pytest.raises(UserError, match=r"lacks model_refine/.* and \d+ more") as error:
        load_release(coarse)  # what pretraining of one network leaves
    _assert_one_line(error)
    with pytest.raises(UserError, match="lacks model_d/"):
        load_release_discriminator(coarse)
    with pytest.raises(UserError, match="lacks model/"):
        load_release({})


def test_networks_without_discriminator_are_enough(arrays, quick):
    _assert_loaded(
        load_release({k: v for k, v in arrays.items() if not k.startswith("model_d/")}), quick
    )


@pytest.mark.parametrize(
    "name, shape",
    [
        (FIRST, (3, 3, 4, 6)),
        (FIRST, (3, 3, 4, 5)),
        (FIRST, (3, 3, 5, 4)),
        (FIRST, (3, 3, 4, 0)),
        (FIRST, (4,)),
        (FIRST, ()),
        (LAST, (4,)),
        (LAST, (3, 1)),
        ("model/layer_with_weights-3/gamma", (1,)),
        ("model_refine/layer_with_weights-18/kernel", (3, 3, 8, 15)),
        ("model_sr/layer_with_weights-0/kernel", (3, 3, 3, 0)),
        (SPREAD, (3, 3, 4, 30)),
        (SPREAD, (36,)),
        ("model_sr/layer_with_weights-10/kernel", (3, 3, 36, 3)),
    ],
)
def test_an_array_of_another_shape_is_named(arrays, name, shape, prepared, quick):
    with pytest.raises(UserError) as error:
        load_release({**arrays, name: np.zeros(shape, np.float32)})
    _assert_one_line(error, name, str(list(shape)))
    assert not any(np.any(variable) for variable in prepared.weights), "assigned before checking"


@pytest.mark.parametrize("channels, spread, words", [(4, 100, "scale 5"), (100, 9, "scale 0")])
def test_a_scale_that_does_not_exist_is_named(arrays, channels, spread, words):
    """The number of channels before the pixel shuffle, by that of the features, says what the scale is."""
    changed = {"model_sr/layer_with_weights-0/kernel": (3, 3, 3, channels)}
    changed["model_sr/layer_with_weights-0/bias"] = (channels,)
    changed[SPREAD] = (3, 3, channels, spread)
    changed[SPREAD.replace("kernel", "bias")] = (spread,)
    wrong = {name: np.zeros(shape, np.float32) for name, shape in changed.items()}
    with pytest.raises(UserError, match=words) as error:
        load_release({**arrays, **wrong})
    _assert_one_line(error)


@pytest.mark.parametrize("value", ["abc", ["a"], [[1], [2, 3]], object()])
@pytest.mark.parametrize("name", [FIRST, "model/layer_with_weights-3/gamma"])
def test_what_is_no_array_of_numbers_is_named(arrays, name, value):
    with pytest.raises(UserError) as error:
        load_release({**arrays, name: value})
    _assert_one_line(error, name)


def test_odd_channels_are_an_error():
    """Both kinds of import read the number of channels from shapes."""
    names = [*release._COARSE, *release._REFINEMENT]
    odd = {name: np.zeros(5, np.float32) for name in names}
    odd[FIRST] = np.zeros((3, 3, 4, 5), np.float32)
    discriminator = {name: np.zeros(5, np.float32) for name in release._DISCRIMINATOR}
    discriminator["model_d/layer_with_weights-0/kernel"] = np.zeros((5, 5, 4, 5), np.float32)
    for load, arrays in ((load_release, odd), (load_release_discriminator, discriminator)):
        with pytest.raises(UserError, match="5 is not an even number") as error:
            load(arrays)
        _assert_one_line(error)


@pytest.mark.parametrize(
    "variable, shape",
    [
        ("kernel", (5, 5, 8, 15)),
        ("kernel", ()),
        ("layer/bias", (15,)),
        ("spectral_norm_u", (16,)),
        ("spectral_norm_v", (1, 199)),
    ],
)
@pytest.mark.parametrize("layer", [0, 2])
def test_a_discriminator_of_another_shape_is_named(arrays, layer, variable, shape):
    prefix = f"model_d/layer_with_weights-{layer}"
    wrong = {**arrays, f"{prefix}/{variable}": np.zeros(shape, np.float32)}
    with pytest.raises(UserError) as error:
        load_release_discriminator(wrong, size=32)
    _assert_one_line(error, prefix, variable, str(list(shape)))


# Checkpoints.


def _module_tree(arrays, model):
    """A tree of modules that saves the arrays of `model` under the release's names."""
    root = tf.Module()
    for name, value in arrays.items():
        first, *path, variable = name.split("/")
        if first == model:
            module = root
            for part in path:
                if not hasattr(module, part):
                    setattr(module, part, tf.Module())
                module = getattr(module, part)
            setattr(module, variable, tf.Variable(value))
    return root


def _write(arrays, folder, training=False):
    """Saves an object graph as the authors' training does; returns its prefix."""
    models = {name.split("/")[0] for name in arrays}
    trees = {model: _module_tree(arrays, model) for model in models}
    state = {}
    if training:
        # Of all optimizers that both TensorFlows have, this one leaves slots as theirs did.
        state["optimizer"] = tf.compat.v1.train.AdamOptimizer(1e-3)
        state["optimizer_d"] = keras.optimizers.Adam(1e-3)
        state["step"] = tf.Variable(5)
        variables = [v for m in models - {"model_d"} for v in trees[m].trainable_variables]
        state["optimizer"].apply_gradients([(tf.zeros_like(v), v) for v in variables])
        state["optimizer_d"].build([tf.Variable(tf.zeros([2]))])
    return tf.train.Checkpoint(**trees, **state).save(str(folder / "ckpt"))


def test_checkpoint_equals_the_arrays(arrays, quick, tmp_path):
    prefix = _write(arrays, tmp_path, training=True)
    names = [name for name, _ in tf.train.list_variables(prefix)]
    beside = [n for n in names if n.replace("/.ATTRIBUTES/VARIABLE_VALUE", "") not in arrays]
    for word in ("OPTIMIZER_SLOT/optimizer/", "optimizer_d/", "step", "save_counter", "GRAPH"):
        assert any(word in name for name in beside), "the test writes what it is about"
    _assert_loaded(load_release(prefix), quick)
    found = load_release_discriminator(pathlib.Path(prefix), size=32)
    expected = load_release_discriminator(arrays, size=32)
    _assert_loaded(found, [variable.numpy() for variable in expected.weights])


def test_checkpoint_of_inference_is_enough(arrays, quick, tmp_path):
    prefix = _write({k: v for k, v in arrays.items() if not k.startswith("model_d/")}, tmp_path)
    _assert_loaded(load_release(prefix), quick)
    with pytest.raises(UserError, match="lacks model_d/"):
        load_release_discriminator(prefix)


def test_a_checkpoint_is_as_strict_as_a_dict(arrays, tmp_path):
    prefix = _write({**arrays, "model_refine/extra/kernel": np.zeros(3)}, tmp_path)
    with pytest.raises(UserError, match="unknown model_refine/extra/kernel") as error:
        load_release(prefix)
    _assert_one_line(error, prefix)


@pytest.mark.parametrize("model", ["generator", "model"])
def test_another_models_checkpoint_is_an_error(tmp_path, model):
    prefix = _write({f"{model}/conv1/w": np.zeros([3, 3, 4, 4], np.float32)}, tmp_path)
    for load in (load_release, load_release_discriminator):
        with pytest.raises(UserError, match="lacks") as error:
            load(prefix)
        _assert_one_line(error, prefix)


@pytest.mark.parametrize("name", ["nothing", "nothing.npz", "folder/ckpt-1", "."])
def test_a_path_that_does_not_exist_is_named(tmp_path, name):
    for source in (tmp_path / name, str(tmp_path / name)):
        for load in (load_release, load_release_discriminator):
            with pytest.raises(UserError) as error:
                load(source)
            _assert_one_line(error, str(tmp_path / name), "prefix")


@pytest.mark.parametrize("source", [None, 3, b"ckpt", ["ckpt"], np.zeros(3)])
def test_what_is_neither_path_nor_dict_is_an_error(source):
    for load in (load_release, load_release_discriminator):
        with pytest.raises(UserError, match=type(source).__name__) as error:
            load(source)
        _assert_one_line(error)


def _cut(content, left):
    return content[:left]


def _flip(content, at):
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


@pytest.mark.parametrize(
    "suffix, damage, at",
    [
        (".data-00000-of-00001", _cut, 0),
        (".data-00000-of-00001", _cut, 1000),
        (".data-00000-of-00001", _cut, -1),
        (".data-00000-of-00001", _flip, 60_000),
        (".index", _cut, 0),
        (".index", _cut, 500),
    ],
)
def test_a_damaged_checkpoint_is_an_error(arrays, tmp_path, suffix, damage, at):
    prefix = _write(arrays, tmp_path)
    part = pathlib.Path(prefix + suffix)
    content = part.read_bytes()
    part.write_bytes(damage(content, at))
    assert part.read_bytes() != content
    with pytest.raises(UserError) as error:
        load_release(prefix)
    _assert_one_line(error, prefix)


def test_half_a_checkpoint_is_an_error(arrays, tmp_path):
    prefix = _write(arrays, tmp_path)
    pathlib.Path(f"{prefix}.data-00000-of-00001").unlink()
    with pytest.raises(UserError) as error:
        load_release(prefix)
    _assert_one_line(error, prefix)


@pytest.mark.full
@needs_checkpoint
def test_full_size_checkpoint_gives_the_releases_numbers():
    with np.load(_SHARED / "zoom_release_full.npz") as archive:
        golden = dict(archive)
    model = load_release(CHECKPOINT)
    assert model.config == RELEASE
    image = golden["image_u8"][None].astype(np.float32) / 255
    mask = (golden["mask_u8"] > 127).astype(np.float32)[None, ..., None]
    coarse, zoomed, refined, output = (x.numpy()[0] for x in model.generate(image, mask))
    np.testing.assert_allclose(coarse[::2, ::2], golden["coarse_s2"], atol=TOLERANCE)
    np.testing.assert_allclose(zoomed[::4, ::4], golden["sr_s4"], atol=TOLERANCE)
    np.testing.assert_allclose(refined[::4, ::4], golden["refined_hr_s4"], atol=TOLERANCE)
    clipped = np.clip(golden["output_unclipped_s2"], 0, 1)
    for found in (output, model.fill(image, mask).numpy()[0]):
        np.testing.assert_allclose(found[::2, ::2], clipped, atol=TOLERANCE)
        # Half precision keeps 11 bits.
        np.testing.assert_allclose(found, golden["output"].astype(np.float32), atol=2**-11)
