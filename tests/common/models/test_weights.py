"""Weights files: the same numbers back, in another process too, stable names, and every way to be wrong."""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
import tracemalloc
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from common.errors import UserError
from common.models import weights
from hifill import PAPER, HiFill
from hifill.discriminator import Discriminator

ROOT = pathlib.Path(__file__).resolve().parents[3]
TINY = dataclasses.replace(PAPER, size=64, channels=2, discriminator_channels=2)
HEADER = "header.json"

# The names that users' files hold. A change here makes every weights file unreadable.
NAMES = [
    "coarse/dilated/10/gate_bias",
    "coarse/decoder_half/0/feature_kernel",
    "coarse/encoder/0/feature_kernel",
    "coarse/encoder/0/gate_kernel",
    "coarse/to_rgb/feature_bias",
    "refinement/attended_1/1/gate_kernel",
    "refinement/attended_3/feature_kernel",
    "refinement/dilated/3/feature_bias",
    "refinement/encoder_3/2/gate_bias",
    "refinement/merge/feature_kernel",
    "refinement/to_rgb/gate_bias",
]


class Net(keras.layers.Layer):
    """Layers in attributes and lists, some with statistics that are not trained, and a weight of its own."""

    def __init__(self, widths=(3, 4)):
        super().__init__()
        self.blocks = [keras.layers.Dense(width) for width in widths]
        self.norm = keras.layers.BatchNormalization()
        self.scale = self.add_weight(name="scale", shape=(2,), initializer="ones")

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.norm(x) * tf.reduce_sum(self.scale)


def _net(seed=0, widths=(3, 4)):
    net = Net(widths)
    net(tf.zeros([1, 5]))
    rng = np.random.default_rng(seed)
    for variable in net.weights:
        variable.assign(rng.uniform(0.5, 1.5, tuple(variable.shape)))
    return net


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return HiFill(TINY)


@pytest.fixture
def path(tmp_path):
    """The file of a net; its arrays are those of `_net()`."""
    path = tmp_path / "net.npz"
    weights.save(path, "net", {"widths": [3, 4]}, _net())
    return path


def _content(path):
    with np.load(path) as archive:
        return dict(archive)


def _rewrite(path, **changes):
    """Replaces arrays by the given ones; None takes one out."""
    content = {**_content(path), **changes}
    np.savez(path, **{name: value for name, value in content.items() if value is not None})


def test_same_numbers_come_back(path):
    config, arrays = weights.read(path, "net")
    assert config == {"widths": [3, 4]}
    other = _net(seed=1)
    x = np.random.default_rng(2).normal(size=(6, 5)).astype(np.float32)
    assert np.abs(other(x) - _net()(x)).max() > 0.01
    weights.assign(other, arrays, "a file")
    np.testing.assert_allclose(other(x), _net()(x), atol=1e-6)
    for a, b in zip(other.weights, _net().weights):
        np.testing.assert_array_equal(a, b)


def test_half_the_size_is_half_the_precision(tmp_path, path):
    half = tmp_path / "half.npz"
    weights.save(half, "net", {}, _net(), half=True)
    assert {array.dtype.itemsize for name, array in _content(half).items() if name != HEADER} == {2}
    _, whole = weights.read(path, "net")
    for name, array in weights.read(half, "net")[1].items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, whole[name], rtol=2**-11)
    net = _net()
    net.scale.assign([1e5, 1.0])
    with pytest.raises(UserError, match="scale holds values too large for float16"):
        weights.save(tmp_path / "none.npz", "net", {}, net, half=True)
    assert not (tmp_path / "none.npz").exists()


def test_every_variable_has_a_name(model):
    net = _net()
    critic = Discriminator(TINY)
    critic(tf.zeros([1, 64, 64, 3]))
    for layer in (net, critic, model):
        named = weights.named_variables(layer)
        assert len(named) == len(layer.weights)
        assert {id(v) for v in named.values()} == {id(v) for v in layer.weights}
    assert "blocks/1/kernel" in weights.named_variables(net)
    assert "norm/moving_variance" in weights.named_variables(net)


def test_names_are_stable(model):
    names = list(weights.named_variables(model))
    assert [name for name in NAMES if name not in names] == []
    assert names == list(weights.named_variables(HiFill(TINY)))
    # 25 coarse and 22 refinement layers with kernel and bias of features and gate.
    assert len(names) == 4 * (25 + 22)
    critic = Discriminator(TINY)
    critic(tf.zeros([1, 64, 64, 3]))
    expected = [f"convolutions/{i}/{name}" for i in range(6) for name in ("bias", "kernel")]
    assert sorted(weights.named_variables(critic)) == sorted(
        expected + ["score/bias", "score/kernel"]
    )


def test_file_holds_arrays_and_a_readable_header(path):
    content = _content(path)
    header = json.loads(str(content.pop(HEADER)))
    assert header == {
        "format": "inpainting-weights-1",
        "model": "net",
        "config": {"widths": [3, 4]},
    }
    assert set(content) == set(weights.named_variables(_net()))
    assert all(array.dtype == np.float32 for array in content.values())


def test_saving_over_a_file_is_all_or_nothing(path):
    before = path.read_bytes()

    class Broken:
        @property
        def weights(self):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        weights.save(path, "net", {}, Broken())
    with pytest.raises(TypeError):
        weights.save(path, "net", {"widths": object()}, _net())
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ["net.npz"]


def test_saving_into_a_new_folder(tmp_path):
    path = tmp_path / "a" / "b" / "net.npz"
    weights.save(path, "net", {}, _net())
    assert weights.read(path, "net")[0] == {}


SCRIPT = """
import sys
import numpy as np
from hifill import HiFill
with np.load(sys.argv[2]) as given:
    outputs = HiFill.load(sys.argv[1])((given["image"], given["mask"]))[:2]
np.savez(sys.argv[3], *[np.asarray(x) for x in outputs])
"""


def test_a_new_process_computes_the_same(forked, model, tmp_path):
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    mask = np.zeros((1, 64, 64, 1), np.float32)
    mask[:, 20:40, 10:50] = 1
    for variable in model.weights:  # fresh weights let hardly anything through
        shape = tuple(variable.shape)
        deviation = 2 / np.sqrt(np.prod(shape[:3])) if len(shape) == 4 else 0.2
        variable.assign(rng.normal(0, deviation, shape))
    model.save(tmp_path / "weights.npz")
    np.savez(tmp_path / "inputs.npz", image=image, mask=mask)
    names = [str(tmp_path / f"{name}.npz") for name in ("weights", "inputs", "outputs")]
    process = forked("-c", SCRIPT, *names, cwd=ROOT)
    assert process.returncode == 0, process.stderr
    with np.load(names[2]) as outputs:
        for a, b in zip(model((image, mask))[:2], outputs.values()):
            assert np.std(b) > 1e-3
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_another_models_file_is_refused(path):
    with pytest.raises(UserError, match="'net', not of 'hifill'"):
        weights.read(path, "hifill")


def test_any_models_file_says_whose_it_is(path, tmp_path):
    owner, config, arrays = weights.read_any(path)
    assert (owner, config) == ("net", {"widths": [3, 4]})
    expected = weights.read(path, "net")[1]
    assert arrays.keys() == expected.keys() == weights.named_variables(_net()).keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name])
    weights.save(tmp_path / "other.npz", "net, first layer alone", {}, _net().blocks[0])
    owner, config, arrays = weights.read_any(tmp_path / "other.npz")
    assert (owner, config, set(arrays)) == ("net, first layer alone", {}, {"kernel", "bias"})


def test_a_missing_file_is_named(tmp_path):
    for name in ("nothing.npz", "."):
        for read in (lambda path: weights.read(path, "net"), weights.read_any):
            with pytest.raises(UserError, match="no weights file"):
                read(tmp_path / name)


def _npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"some text\n", b"PK\x03\x04 but no archive", b"\x80\x04K\x01.", _npy(np.zeros(3))],
    ids=["empty", "text", "broken zip", "pickle", "npy"],
)
def test_other_files_are_no_weights(tmp_path, content):
    path = tmp_path / "net.npz"
    path.write_bytes(content)
    for read in (lambda path: weights.read(path, "net"), weights.read_any):
        with pytest.raises(UserError, match=r"net\.npz is not a weights file") as error:
            read(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_an_error(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="cut short"):
        weights.read(path, "net")


def test_a_flipped_bit_is_an_error(path):
    content = bytearray(path.read_bytes())
    at = content.index(_net().blocks[0].kernel.numpy().tobytes())
    content[at + 7] ^= 4
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"net\.npz"):
        weights.read(path, "net")


@pytest.mark.parametrize(
    "header", [None, "no json", "[1, 2]", '"text"', "{}", '{"format": "inpainting-weights-1"}']
)
def test_a_file_without_a_proper_header_is_an_error(path, header):
    _rewrite(path, **{HEADER: None if header is None else np.array(header)})
    with pytest.raises(UserError, match=r"net\.npz") as error:
        weights.read(path, "net")
    assert "\n" not in str(error.value)


def test_another_versions_file_is_named(path):
    header = {"format": "inpainting-weights-2", "model": "net", "config": {}}
    _rewrite(path, **{HEADER: np.array(json.dumps(header))})
    with pytest.raises(UserError, match=r"net\.npz .*inpainting-weights-2"):
        weights.read_any(path)


def test_a_header_without_configuration_is_an_error(path):
    header = {"format": "inpainting-weights-1", "model": "net"}
    _rewrite(path, **{HEADER: np.array(json.dumps(header))})
    with pytest.raises(UserError, match=r"net\.npz"):
        weights.read(path, "net")


def test_code_in_a_file_is_not_run(path):
    _rewrite(path, evil=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match=r"net\.npz"):
        weights.read(path, "net")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"blocks/0/kernel": None}, "blocks/0/kernel is missing"),
        ({"norm/moving_mean": None}, "norm/moving_mean is missing"),
        ({"blocks/7/kernel": np.zeros((3, 4))}, "blocks/7/kernel is unknown"),
        ({"blocks/1/bias": np.zeros(5)}, r"blocks/1/bias has shape \[5\], expected \[4\]"),
        ({"blocks/0/kernel": np.zeros((3, 5))}, r"blocks/0/kernel has shape \[3, 5\]"),
    ],
)
def test_arrays_that_do_not_fit_are_named_and_nothing_is_assigned(path, changes, words):
    _rewrite(path, **changes)
    arrays = weights.read(path, "net")[1]
    net = _net(seed=3)
    before = [variable.numpy() for variable in net.weights]
    with pytest.raises(UserError, match=words) as error:
        weights.assign(net, arrays, str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    for variable, value in zip(net.weights, before):
        np.testing.assert_array_equal(variable, value)


def test_many_problems_make_a_short_message(path):
    arrays = weights.read(path, "net")[1]
    with pytest.raises(UserError, match=r"and [0-9]+ more") as error:
        weights.assign(_net(), {f"x{name}": value for name, value in arrays.items()}, "f")
    assert len(str(error.value)) < 500


def _zip_flag(path, offset, value):
    """Sets two bytes of the first entry, `offset` into its local header, there and in the directory."""
    content = bytearray(path.read_bytes())
    for start in (content.index(b"PK\x03\x04"), content.index(b"PK\x01\x02") + 2):
        content[start + offset : start + offset + 2] = value.to_bytes(2, "little")
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "offset, value",
    [(6, 1), (8, 99)],
    ids=["encrypted", "unknown method"],
)
def test_an_archive_that_zipfile_cannot_unpack_is_an_error(path, offset, value):
    _zip_flag(path, offset, value)
    with pytest.raises(UserError, match=r"net\.npz is not a weights file") as error:
        weights.read(path, "net")
    assert "\n" not in str(error.value)


def _packed(path, method, **more):
    """Writes the archive again with a compression method, and {name: bytes} added."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in {**content, **more}.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    "method, at", [(zipfile.ZIP_DEFLATED, 0), (zipfile.ZIP_LZMA, 4)], ids=["deflated", "LZMA"]
)
def test_damage_in_compressed_data_is_an_error(path, method, at):
    """A block of an unknown type, a property that LZMA does not have."""
    _packed(path, method)
    damaged = bytearray(path.read_bytes())
    damaged[30 + damaged[26] + at] = 0xFF
    path.write_bytes(bytes(damaged))
    with pytest.raises(UserError, match=r"net\.npz is not a weights file"):
        weights.read(path, "net")


def _array_header(shape):
    head = io.BytesIO()
    claim = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, claim)
    return head.getvalue()


def _peak(call):
    """Bytes that Python and NumPy hold at most during a call."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _refused(path):
    with pytest.raises(UserError, match=r"net\.npz is not a weights file"):
        weights.read(path, "net")


def test_an_archive_that_unpacks_to_more_than_its_size_is_not_unpacked(path):
    """64 MB in 64 KB."""
    _packed(path, zipfile.ZIP_DEFLATED, **{"more.npy": _array_header((1 << 24,)) + bytes(1 << 26)})
    assert path.stat().st_size < 1 << 18
    assert _peak(lambda: _refused(path)) < 1 << 22


def test_an_array_that_claims_more_than_the_file_holds_is_not_read(path):
    """The directory and the array's header agree on 64 MB; the file is smaller."""
    head = _array_header((1 << 24,))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.npy", head)
        archive.filelist[-1].file_size = len(head) + (1 << 26)
    assert _peak(lambda: _refused(path)) < 1 << 22


def test_no_array_is_read_before_all_are_checked(path):
    """The first array is sound and large, the form of the last is wrong."""
    content = _content(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{HEADER}.npy", _npy(content[HEADER]))
        archive.writestr("large.npy", _npy(np.zeros(1 << 22, np.float32)))
        archive.writestr("more.npy", _array_header((2,)) + bytes(4))
    assert _peak(lambda: _refused(path)) < 1 << 22


def test_a_claimed_shape_is_an_error(path):
    """An array of 2**60 numbers, by its header."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.npy", _array_header((2**60,)))
    with pytest.raises(UserError, match=r"net\.npz is not a weights file"):
        weights.read(path, "net")


def test_a_deep_header_is_an_error(path):
    _rewrite(path, **{HEADER: np.array("[" * 100_000)})
    with pytest.raises(UserError, match=r"net\.npz is not a weights file"):
        weights.read(path, "net")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(path, value):
    kernel = _content(path)["blocks/0/kernel"]
    kernel.flat[0] = value
    _rewrite(path, **{"blocks/0/kernel": kernel})
    with pytest.raises(UserError, match=r"blocks/0/kernel holds values that are not finite"):
        weights.assign(_net(), weights.read(path, "net")[1], str(path))


def test_arrays_of_text_are_refused(path):
    kernel = _content(path)["blocks/0/kernel"]
    _rewrite(path, **{"blocks/0/kernel": kernel.astype(str)})
    with pytest.raises(UserError, match=r"blocks/0/kernel holds no numbers"):
        weights.assign(_net(), weights.read(path, "net")[1], str(path))


def test_a_name_with_a_line_break_makes_one_line():
    with pytest.raises(UserError, match="is unknown") as error:
        weights.check({}, {"a\rb\nc": np.zeros(1, np.float32)}, "file.npz")
    assert len(str(error.value).splitlines()) == 1
