"""Import of the authors' weights: their own networks' numbers, and every way in which a file can be wrong."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from common.errors import UserError
from hifill import RELEASE, load_release, load_release_discriminator, release

_TESTS = pathlib.Path(__file__).resolve().parents[1]
_SHARED = _TESTS.parent / ".." / "shared" / "golden"
CHECKPOINT = _SHARED / "hifill_release_random" / "0"
needs_checkpoint = pytest.mark.skipif(
    not pathlib.Path(f"{CHECKPOINT}.index").is_file(), reason="no full-size checkpoint here"
)

# Outputs of order 1 after forty layers in another order of summation.
TOLERANCE = 1e-4
FIRST_COARSE = "generator/c_en_down_128_feat/w"
FIRST_REFINEMENT = "generator/re_en_down_256/w"


@pytest.fixture(scope="module")
def golden():
    with np.load(_TESTS / "golden" / "hifill_release_nc4.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def arrays(golden):
    """{release name: array} of generator and discriminator."""
    return {name[2:]: value for name, value in golden.items() if name.startswith("w/")}


@pytest.fixture(scope="module")
def model(arrays):
    return load_release(arrays)


@pytest.fixture
def quick(model, monkeypatch):
    """Imports fill `model` again, as building another one takes seconds; starts from zeros."""
    expected = [variable.numpy() for variable in model.weights]
    for variable in model.weights:
        variable.assign(tf.zeros_like(variable))
    monkeypatch.setattr(release, "HiFill", lambda *_: model)
    yield expected
    for variable, value in zip(model.weights, expected):
        variable.assign(value)


def _assert_loaded(model, expected):
    for variable, value in zip(model.weights, expected):
        np.testing.assert_array_equal(variable, value)


def _rgb(golden):
    """The golden image [1, 512, 512, 3] in [0, 1], turned from the release's BGR, and its mask."""
    image = golden["image_u8"][None, ..., ::-1].astype(np.float32) / 255
    return image, (golden["mask_u8"] > 127).astype(np.float32)[None, ..., None]


def _assert_generates_golden(model, golden):
    coarse, refined, attention = model.generate(*_rgb(golden))
    for found, name in ((coarse, "coarse_s4"), (refined, "refined_s4")):
        # [0, 1] RGB against [-1, 1] BGR.
        found = 2 * np.asarray(found)[0, ::4, ::4, ::-1] - 1
        np.testing.assert_allclose(found, golden[name], atol=TOLERANCE, err_msg=name)
    rows = np.asarray(attention)[0][golden["attention_rows"]]
    np.testing.assert_allclose(rows, golden["attention"], atol=TOLERANCE)


def _assert_judges_golden(discriminator, golden):
    image = 2 * _rgb(golden)[0] - 1
    np.testing.assert_allclose(discriminator(image), golden["discriminator"], atol=TOLERANCE)


def test_generator_gives_the_releases_numbers(model, golden):
    assert model.config.name == "release" and model.config.channels == 4
    _assert_generates_golden(model, golden)


def test_golden_can_tell_a_wrong_channel_order(model, golden):
    image, mask = _rgb(golden)
    refined = model.generate(image[..., ::-1], mask)[1]
    wrong = 2 * np.asarray(refined)[0, ::4, ::4, ::-1] - 1
    assert np.abs(wrong - golden["refined_s4"]).max() > 100 * TOLERANCE


def test_discriminator_gives_the_releases_numbers(arrays, golden):
    _assert_judges_golden(load_release_discriminator(arrays), golden)


def test_training_state_is_no_obstacle(arrays, quick):
    """What TensorFlow 1's Adam and Saver leave in a checkpoint beside the weights."""
    state = {"global_step": 5, "beta1_power": 0.5, "beta2_power_1": 0.9}
    for name in (FIRST_COARSE, FIRST_REFINEMENT, "discriminator/conv1/w"):
        state[f"{name}/Adam"] = state[f"{name}/Adam_1"] = np.zeros_like(arrays[name])
    everything = {**arrays, **{name: np.asarray(value) for name, value in state.items()}}
    _assert_loaded(load_release(everything), quick)


def test_generator_alone_is_enough(arrays, quick):
    model = load_release({k: v for k, v in arrays.items() if k.startswith("generator/")})
    _assert_loaded(model, quick)
    with pytest.raises(UserError, match="discriminator/conv1"):
        load_release_discriminator({k: v for k, v in arrays.items() if k.startswith("gen")})


def test_release_has_206_tensors(arrays):
    assert len(arrays) == 206


@pytest.mark.parametrize("name", [FIRST_COARSE, "generator/re_att_64_att3/pw"])
def test_a_missing_tensor_is_named(arrays, name):
    with pytest.raises(UserError, match=name):
        load_release({key: value for key, value in arrays.items() if key != name})


def test_an_unknown_tensor_is_named(arrays):
    with pytest.raises(UserError, match="generator/extra/w"):
        load_release({**arrays, "generator/extra/w": np.zeros(3)})
    with pytest.raises(UserError, match="discriminator/conv7/w"):
        load_release_discriminator({**arrays, "discriminator/conv7/w": np.zeros(3)})


@pytest.mark.parametrize(
    "name, shape, ours",
    [
        ("generator/re_dil_d4/w", (3, 3, 16, 5), "refinement/dilated/1/feature_kernel"),
        ("generator/c_dil_d9_gate/biases", (2,), "coarse/dilated/5/gate_bias"),
        (FIRST_COARSE, (5, 5, 3, 4), "coarse/encoder/0/feature_kernel"),
        (
            "generator/c_de_toRGB/c_de_toRGB_conv_feat/w",
            (3, 3, 4, 1),
            "coarse/to_rgb/feature_kernel",
        ),
        # Shapes whose channels cannot even be reversed.
        (FIRST_REFINEMENT, (3, 3, 1, 4), "refinement/encoder_1/0/feature_kernel"),
        (FIRST_REFINEMENT, (7,), "refinement/encoder_1/0/feature_kernel"),
        (FIRST_COARSE, (), "coarse/encoder/0/feature_kernel"),
    ],
)
def test_a_tensor_of_another_shape_is_named(arrays, name, shape, ours, model, quick):
    with pytest.raises(UserError) as error:
        load_release({**arrays, name: np.zeros(shape, np.float32)})
    assert not any(np.any(variable) for variable in model.weights), "assigned before checking"
    assert name in str(error.value) or ours in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(5, 5, 1, 8), (7,), ()])
def test_a_discriminator_of_another_shape_is_named(arrays, shape):
    with pytest.raises(UserError, match=r"conv1/w|convolutions/0/kernel"):
        load_release_discriminator({**arrays, "discriminator/conv1/w": np.zeros(shape, np.float32)})


@pytest.mark.parametrize("name", ["nothing", "nothing.pb", "nothing/0"])
def test_a_path_that_does_not_exist_is_named(tmp_path, name):
    with pytest.raises(UserError, match=name):
        load_release(tmp_path / name)
    with pytest.raises(UserError, match=name):
        load_release_discriminator(str(tmp_path / name))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe.pb")
    with pytest.raises(UserError, match=r"pipe\.pb"):
        load_release(tmp_path / "pipe.pb")


@pytest.mark.parametrize("content", [b"", b"no graph at all", bytes(range(256)) * 9])
def test_a_random_file_is_no_frozen_graph(tmp_path, content):
    path = tmp_path / "weights.pb"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"weights\.pb") as error:
        load_release(path)
    assert "\n" not in str(error.value)


def test_a_random_file_is_no_checkpoint(tmp_path):
    (tmp_path / "0.index").write_bytes(b"neither is this")
    (tmp_path / "0.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(UserError, match="0") as error:
        load_release(tmp_path / "0")
    assert "\n" not in str(error.value)


def _checkpoint(arrays, path):
    """Writes a TensorFlow 1 checkpoint with the given tensors."""
    names = sorted(arrays)
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(arrays[name]) for name in names],
    )


def _frozen_graph(arrays, path):
    """Writes a graph of constants under the given names, with an op that is no weight among them."""
    with tf.Graph().as_default() as graph:
        for name, value in arrays.items():
            tf.constant(value, name=name)
        tf.constant(1.0, name="generator/scale")
        tf.compat.v1.placeholder(tf.float32, name="image")
    path.write_bytes(graph.as_graph_def().SerializeToString())


@pytest.mark.parametrize("kind", ["checkpoint", "frozen graph"])
def test_files_equal_the_arrays(arrays, quick, tmp_path, kind):
    if kind == "checkpoint":
        slots = {f"{FIRST_COARSE}/Adam": arrays[FIRST_COARSE], "global_step": np.int64(7)}
        _checkpoint({**arrays, **slots}, tmp_path / "0")
        _assert_loaded(load_release(tmp_path / "0"), quick)
        load_release_discriminator(tmp_path / "0")
    else:
        path = tmp_path / "0.pb"
        _frozen_graph({k: v for k, v in arrays.items() if k.startswith("gen")}, path)
        _assert_loaded(load_release(str(path)), quick)
        with pytest.raises(UserError, match="discriminator/conv1"):
            load_release_discriminator(path)


def _crafted(arrays, path, change):
    """A frozen graph whose first kernel is changed by `change(node)`; returns `path`."""
    _frozen_graph({k: v for k, v in arrays.items() if k.startswith("gen")}, path)
    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(path.read_bytes())
    change(next(node for node in graph.node if node.name == FIRST_COARSE))
    path.write_bytes(graph.SerializeToString())
    return path


def _tensor(node):
    return node.attr["value"].tensor


def _claim(node, *shape):
    """The tensor claims another shape; one value stands for all of them."""
    _tensor(node).CopyFrom(tf.make_tensor_proto(1.0, tf.float32))
    for side in shape:
        _tensor(node).tensor_shape.dim.add(size=side)


CRAFTED = {
    "6 GB": lambda node: _claim(node, 5, 5, 60_000_000, 1),
    "more than 64 bits": lambda node: _claim(node, 2**62, 2**62, 5, 4),
    "negative": lambda node: _claim(node, -1, -1, 5, 4),
    "no channels": lambda node: _claim(node, 5, 5, 5, 0),
    "many channels": lambda node: _claim(node, 1, 1, 1, 2000),
    "no tensor": lambda node: node.attr.clear(),
    "unknown type": lambda node: setattr(_tensor(node), "dtype", 0),
    "text": lambda node: _tensor(node).CopyFrom(tf.make_tensor_proto("1.5")),
    "complex": lambda node: _tensor(node).CopyFrom(tf.make_tensor_proto([1j] * 4)),
    "fewer bytes": lambda node: setattr(_tensor(node), "tensor_content", b"1234"),
    "a variable": lambda node: setattr(node, "op", "VariableV2"),
}


@pytest.mark.parametrize("change", CRAFTED.values(), ids=CRAFTED)
def test_a_crafted_graph_is_one_line(arrays, tmp_path, change):
    path = _crafted(arrays, tmp_path / "0.pb", change)
    with pytest.raises(UserError, match=r"0\.pb") as error:
        load_release(path)
    assert "\n" not in str(error.value)


def _field(tag, content):
    """A field of a protobuf message: bytes with their length."""
    size, length = len(content), b""
    while size > 127:
        length, size = length + bytes([size % 128 + 128]), size // 128
    return bytes([tag]) + length + bytes([size]) + content


def test_a_deeply_nested_graph_is_one_line(tmp_path):
    """An attribute of a function of an attribute, and so on."""
    attribute = b""
    for _ in range(1000):
        attribute = _field(0x52, _field(0x12, _field(0x0A, b"a") + _field(0x12, attribute)))
    node = _field(0x2A, _field(0x0A, b"a") + _field(0x12, attribute))
    path = tmp_path / "0.pb"
    path.write_bytes(_field(0x0A, node))
    with pytest.raises(UserError, match=r"0\.pb is not a frozen TensorFlow graph"):
        load_release(path)


def test_a_checkpoint_that_claims_more_than_its_data_is_one_line(arrays, tmp_path):
    """Refused before an array of the claimed size is made."""
    _checkpoint(arrays, tmp_path / "0")
    (tmp_path / "0.data-00000-of-00001").write_bytes(b"1234")
    with pytest.raises(UserError, match="describes more numbers than it holds"):
        load_release(tmp_path / "0")


@pytest.mark.parametrize("left", [0, 1000])
def test_damaged_checkpoint_is_an_error(arrays, tmp_path, left):
    _checkpoint(arrays, tmp_path / "0")
    data = tmp_path / "0.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:left])
    with pytest.raises(UserError, match="0") as error:
        load_release(tmp_path / "0")
    assert "\n" not in str(error.value)


@pytest.mark.full
@needs_checkpoint
def test_full_size_checkpoint_gives_the_releases_numbers():
    with np.load(_SHARED / "hifill_release_full.npz") as archive:
        golden = dict(archive)
    model = load_release(CHECKPOINT)
    assert model.config == RELEASE
    _assert_generates_golden(model, golden)
    _assert_judges_golden(load_release_discriminator(CHECKPOINT), golden)
    frozen = load_release(f"{CHECKPOINT}.pb")
    for a, b in zip(frozen.weights, model.weights):
        np.testing.assert_array_equal(a, b)
