"""Checkpoints: everything comes back, a bad file is an error that names it, and resuming is exact."""

from __future__ import annotations

import errno
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from common import storage
from common.errors import UserError
from common.training.checkpoints import Checkpoints

HEADER = "header.json"


class Net(keras.layers.Layer):
    """Two dense layers and statistics that are not trained."""

    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(5, activation="tanh")
        self.norm = keras.layers.BatchNormalization(momentum=0.5)
        self.out = keras.layers.Dense(1)
        self(tf.zeros([1, 3]))

    def call(self, x, training=False):
        return self.out(self.norm(self.hidden(x), training=training))


class Run:
    """Two networks with an Adam each, trained on data that depends on the step alone."""

    def __init__(self, folder, seed=0, learning_rate=0.02, keep=3):
        rng = np.random.default_rng(seed)
        self.nets = {"first": Net(), "second": Net()}
        self.optimizers = {}
        for name, net in self.nets.items():
            for variable in net.weights:
                variable.assign(rng.uniform(0.2, 1, tuple(variable.shape)))
            optimizer = keras.optimizers.Adam(learning_rate)
            optimizer.build(net.trainable_variables)
            self.optimizers[f"{name}_optimizer"] = optimizer
        self.checkpoints = Checkpoints(folder, self.nets, self.optimizers, keep)

    def train(self, first, last):
        for step in range(first, last):
            x = tf.constant(np.random.default_rng(step).normal(size=(8, 3)), tf.float32)
            for net, optimizer in zip(self.nets.values(), self.optimizers.values()):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean((net(x, training=True) - x[:, :1]) ** 2)
                variables = net.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))

    def values(self):
        holders = [net.weights for net in self.nets.values()]
        holders += [optimizer.variables for optimizer in self.optimizers.values()]
        return [variable.numpy() for holder in holders for variable in holder]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


@pytest.fixture
def saved(folder):
    """(run after three steps, path of its checkpoint)."""
    run = Run(folder)
    run.train(0, 3)
    return run, run.checkpoints.save(3, {"images_per_step": 8})


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def _content(path):
    with np.load(path) as archive:
        return dict(archive)


def _rewrite(path, **changes):
    """Replaces arrays by the given ones; None takes one out."""
    content = {**_content(path), **changes}
    np.savez(path, **{name: value for name, value in content.items() if value is not None})


def _refused(run, path, *words):
    """Restoring is one line that names the file and changes nothing."""
    before = run.values()
    with pytest.raises(UserError) as error:
        run.checkpoints.restore(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)
    for old, new in zip(before, run.values()):
        np.testing.assert_array_equal(old, new)


def test_weights_and_optimizers_come_back(saved, folder):
    run, path = saved
    other = Run(folder, seed=1)
    assert any(np.any(a != b) for a, b in zip(run.values(), other.values()))
    assert other.checkpoints.restore(path) == {"step": 3, "images_per_step": 8}
    assert len(run.values()) == len(other.values()) > 20
    for a, b in zip(run.values(), other.values()):
        np.testing.assert_array_equal(a, b)
    assert [int(o.iterations) for o in other.optimizers.values()] == [3, 3]


def test_a_checkpoint_holds_every_variable_once(saved):
    _, path = saved
    content = _content(path)
    assert json.loads(str(content.pop(HEADER)))["step"] == 3
    # 8 variables of a net; of its Adam the counter and two slots for each of the 6 that are trained.
    assert len(content) == 2 * 8 + 2 * (1 + 2 * 6)
    for name in ("first/hidden/kernel", "second/norm/moving_variance", "second_optimizer/0"):
        assert name in content
    assert path.name == "step-00000003.npz"


def test_resuming_gives_what_an_uninterrupted_run_gives(folder):
    whole = Run(folder)
    whole.train(0, 7)
    first = Run(folder)
    first.train(0, 3)
    path = first.checkpoints.save(3, {})
    resumed = Run(folder, seed=1)
    resumed.train(0, 2)  # whatever happened before is gone
    step = resumed.checkpoints.restore(path)["step"]
    resumed.train(step, 7)
    for a, b in zip(whole.values(), resumed.values()):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_weights_alone_would_not_resume(folder):
    # What the test above would miss if optimizers were not restored.
    whole, other = Run(folder), Run(folder)
    whole.train(0, 7)
    other.train(0, 3)
    for optimizer in other.optimizers.values():
        for variable in optimizer.variables:
            if variable.shape.rank:
                variable.assign(tf.zeros_like(variable))
    other.train(3, 7)
    difference = max(np.abs(a - b).max() for a, b in zip(whole.values()[:16], other.values()))
    assert difference > 1e-3


def test_the_learning_rate_is_the_commands_not_the_files(saved, folder):
    # A run that is continued with a lower --learning_rate must use it, under Keras 2 and 3.
    path = saved[1]
    slower = Run(folder, seed=1, learning_rate=0.005)
    slower.checkpoints.restore(path)
    for optimizer in slower.optimizers.values():
        assert abs(float(optimizer.learning_rate) - 0.005) < 1e-9  # float32
        assert int(optimizer.iterations) == 3


# --- which files there are


def test_no_folder_means_no_checkpoints(folder):
    run = Run(folder)
    assert run.checkpoints.paths() == [] and not folder.exists()


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_the_last_ones_stay(folder, keep):
    run = Run(folder, keep=keep)
    for step in (1, 2, 3, 4):
        run.checkpoints.save(step, {})
    steps = [1, 2, 3, 4][-keep:]
    assert [path.name for path in run.checkpoints.paths()] == [f"step-{s:08d}.npz" for s in steps]
    assert _names(folder) == [f"step-{s:08d}.npz" for s in steps]
    header = run.checkpoints.restore(run.checkpoints.paths()[-1])
    assert header["step"] == 4


def test_order_is_by_number_and_saving_again_replaces(folder):
    run = Run(folder)
    for step in (10**8, 99999999, 5):
        run.checkpoints.save(step, {})
    run.checkpoints.save(5, {"again": True})
    assert [path.name for path in run.checkpoints.paths()] == [
        "step-00000005.npz",
        "step-99999999.npz",
        "step-100000000.npz",
    ]
    assert run.checkpoints.restore(run.checkpoints.paths()[0]) == {"step": 5, "again": True}


def test_half_written_and_other_files_are_ignored(saved, folder):
    run, path = saved
    for name in (".abc123.npz", "step-00000009.npz.part", "step-last.npz", "weights.npz", "notes"):
        (folder / name).write_bytes(b"half")
    assert run.checkpoints.paths() == [path]
    run.checkpoints.save(4, {})
    assert (folder / "notes").exists()  # and what is not ours stays


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space"), KeyboardInterrupt()])
def test_a_save_that_fails_leaves_the_previous_ones(folder, monkeypatch, error):
    run = Run(folder, keep=1)
    run.checkpoints.save(1, {})
    before = (folder / "step-00000001.npz").read_bytes()

    def half(stream, **_):
        stream.write(b"PK half")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(storage.np, "savez", half)
        with pytest.raises((UserError, KeyboardInterrupt)) as raised:
            run.checkpoints.save(2, {})
    if isinstance(error, OSError):
        assert "disk is full" in str(raised.value) and "step-00000002.npz" in str(raised.value)
    assert _names(folder) == ["step-00000001.npz"]
    assert (folder / "step-00000001.npz").read_bytes() == before


# --- files that cannot be restored


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_named(saved, share):
    run, path = saved
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    _refused(run, path, "cut short")


def test_a_flipped_bit_is_found(saved):
    run, path = saved
    content = bytearray(path.read_bytes())
    content[content.index(run.nets["first"].hidden.kernel.numpy().tobytes()) + 7] ^= 4
    path.write_bytes(bytes(content))
    _refused(run, path)


def _npy():
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


@pytest.mark.parametrize(
    "content", [b"text", _npy(), b"\x80\x04K\x01."], ids=["text", "npy", "pickle"]
)
def test_other_files_are_no_checkpoints(saved, content):
    run, path = saved
    path.write_bytes(content)
    _refused(run, path, "not a checkpoint")


def test_a_missing_file_is_named(saved, folder):
    _refused(saved[0], folder / "step-00000007.npz")


@pytest.mark.parametrize("header", [None, "no json", "[1, 2]", "3", "{}"])
def test_a_file_without_a_proper_header_is_named(saved, header):
    run, path = saved
    _rewrite(path, **{HEADER: None if header is None else np.array(header)})
    _refused(run, path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"first/hidden/kernel": None}, "first/hidden/kernel is missing"),
        ({"second/norm/moving_mean": None}, "second/norm/moving_mean is missing"),
        ({"first_optimizer/0": None}, "first_optimizer/0 is missing"),
        ({"third/kernel": np.zeros(3)}, "third/kernel is unknown"),
        ({"second/out/bias": np.zeros(2)}, "second/out/bias has shape [2], expected [1]"),
    ],
)
def test_arrays_that_do_not_fit_are_named(saved, changes, words):
    run, path = saved
    _rewrite(path, **changes)
    _refused(run, path, words)


def test_code_in_a_file_is_not_run(saved):
    run, path = saved
    _rewrite(path, evil=np.array([{1: 2}], dtype=object))
    _refused(run, path)


@pytest.mark.parametrize(
    "header",
    ['{"step": -1}', '{"step": 2.5}', '{"step": Infinity}', "[" * 100_000],
    ids=["negative", "fraction", "infinite", "deep"],
)
def test_a_header_without_a_proper_step_is_refused(saved, header):
    run, path = saved
    with np.load(path) as archive:
        content = dict(archive)
    np.savez(path, **{**content, HEADER: np.array(header)})
    _refused(run, path, "not a checkpoint")


def test_an_encrypted_archive_is_no_checkpoint(saved):
    run, path = saved
    content = bytearray(path.read_bytes())
    for at in (content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8):
        content[at] |= 1
    path.write_bytes(bytes(content))
    _refused(run, path, "not a checkpoint")
