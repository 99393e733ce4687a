"""What a weight flag may name: whole models, networks alone, the release, and everything that is neither."""

from __future__ import annotations

import dataclasses
import inspect
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from common.errors import UserError
from common.models import weights as weights_files
from zoom_to_inpaint import weights_source
from zoom_to_inpaint.config import PAPER, ZoomConfig
from zoom_to_inpaint.model import ZoomToInpaint
from zoom_to_inpaint.weights_source import PARTS, load, load_network, save_network

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "zoom_release_ch8.npz"
TINY = ZoomConfig(channels=4, sr_channels=4, discriminator_channels=4, size=16)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return ZoomToInpaint(TINY)


@pytest.fixture(scope="module")
def other():
    """Another model, whose weights the tests change."""
    return ZoomToInpaint(TINY)


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """{"whole" or a network: path of its weights file}."""
    folder = tmp_path_factory.mktemp("weights")
    model.save(folder / "whole.npz")
    for network in PARTS:
        save_network(model, network, folder / f"{network}.npz")
    return {name: folder / f"{name}.npz" for name in ("whole", *PARTS)}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Prefix of a checkpoint of the release with 8 channels."""
    with np.load(GOLDEN) as archive:
        arrays = {name[2:]: value for name, value in archive.items() if name.startswith("w/")}
    prefix = str(tmp_path_factory.mktemp("release") / "ckpt-1")
    names = [f"{name}/.ATTRIBUTES/VARIABLE_VALUE" for name in arrays]
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=list(arrays.values()),
    )
    return prefix


def _refused(call, *arguments):
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def _values(layer):
    return {name: v.numpy() for name, v in weights_files.named_variables(layer).items()}


def _forget(layer):
    for variable in layer.weights:
        variable.assign(tf.ones_like(variable))


def _assert_same(found, expected):
    found, expected = _values(found), _values(expected)
    assert found.keys() == expected.keys() and found
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


# --- whole models


def test_a_saved_model_comes_back(model, files):
    loaded = load(str(files["whole"]))
    assert loaded.config == TINY
    _assert_same(loaded, model)


def test_none_is_an_untrained_model_of_the_paper(monkeypatch):
    made = []
    monkeypatch.setattr(weights_source, "ZoomToInpaint", lambda *a, **k: made.append((a, k)))
    load("none", "mixed_bfloat16")
    assert made == [((), {"dtype": "mixed_bfloat16"})]
    assert inspect.signature(ZoomToInpaint.__init__).parameters["config"].default is PAPER


@pytest.mark.parametrize("suffix", ["", ".index", ".data-00000-of-00001"])
def test_the_release_is_named_by_its_prefix_or_one_of_its_files(release, suffix):
    loaded = load(release + suffix)
    assert (loaded.config.name, loaded.config.channels) == ("release", 8)


def test_what_is_no_model_is_said(tmp_path):
    assert "--weights is empty" in _refused(load, "") and "none" in _refused(load, None)
    assert f"--weights={tmp_path} is a folder" in _refused(load, str(tmp_path))
    for name in ("gone.npz", "gone", "folder/gone.npz"):
        assert f"{name} does not exist" in _refused(load, str(tmp_path / name))
    for name in ("notes.txt", "bad.npz"):
        (tmp_path / name).write_text("text")
        assert name in _refused(load, str(tmp_path / name))


def test_a_network_alone_is_no_whole_model(files):
    for network in PARTS:
        message = _refused(load, str(files[network]))
        assert str(files[network]) in message and f"{network} network alone" in message


def test_another_models_file_is_refused(tiny_weights):
    assert "'hifill', not of 'zoom_to_inpaint'" in _refused(load, str(tiny_weights))


def test_an_unreadable_configuration_is_said(files, other, tmp_path):
    for name in ("whole", "coarse"):
        with np.load(files[name]) as archive:
            content = dict(archive)
        header = json.loads(str(content["header.json"]))
        header["config"]["shape"] = "round"
        content["header.json"] = np.array(json.dumps(header))
        np.savez(tmp_path / f"{name}.npz", **content)
    for message in (
        _refused(load, str(tmp_path / "whole.npz")),
        _refused(load_network, other, "coarse", str(tmp_path / "coarse.npz"), "--coarse_weights"),
    ):
        assert str(tmp_path) in message and "configuration" in message and "shape" in message


# --- networks


@pytest.mark.parametrize("network", PARTS)
@pytest.mark.parametrize("source", ["part", "whole"])
def test_a_network_comes_from_its_own_file_or_the_whole_models(
    model, other, files, network, source
):
    for part in PARTS:
        _forget(getattr(other, part))
    load_network(other, network, str(files[network if source == "part" else "whole"]), "--w")
    for part in PARTS:
        layer = getattr(other, part)
        if part == network:
            _assert_same(layer, getattr(model, part))
        else:
            assert all(np.all(value == 1) for value in _values(layer).values())


def test_a_file_of_a_network_holds_nothing_else(model, files):
    for network, owner in PARTS.items():
        found, config, arrays = weights_files.read_any(files[network])
        assert (found, config) == (owner, TINY.to_dict())
        assert arrays.keys() == _values(getattr(model, network)).keys()


def test_a_network_comes_from_the_release(release):
    config = dataclasses.replace(TINY, channels=8, sr_channels=8)
    model, whole = ZoomToInpaint(config), load(release)
    for network in PARTS:
        load_network(model, network, release, "--w")
    _assert_same(model, whole)


@pytest.mark.parametrize("network", PARTS)
def test_the_wrong_network_is_refused(other, files, network):
    _forget(other)
    for given in PARTS.keys() - {network}:
        message = _refused(load_network, other, network, str(files[given]), "--some_weights")
        assert f"--some_weights={files[given]}" in message
        assert f"{given} network alone" in message and f"not of the {network} network" in message
    assert all(np.all(value == 1) for value in _values(other).values())


def test_a_network_of_another_width_or_model_is_refused(files, other, tiny_weights, tmp_path):
    _forget(other)
    wide = ZoomToInpaint(dataclasses.replace(TINY, channels=6))
    save_network(wide, "coarse", tmp_path / "wide.npz")
    wide.save(tmp_path / "whole.npz")
    for name in ("wide.npz", "whole.npz"):
        message = _refused(load_network, other, "coarse", str(tmp_path / name), "--coarse_weights")
        assert f"--coarse_weights={tmp_path / name} do not fit" in message
        assert "has shape [3], expected [2]" in message
    message = _refused(load_network, other, "coarse", str(tiny_weights), "--coarse_weights")
    assert "'hifill'" in message and "coarse network" in message
    assert all(np.all(value == 1) for value in _values(other).values())


def test_a_model_without_sr_network_has_none_to_give(other, tmp_path):
    bicubic = ZoomToInpaint(dataclasses.replace(TINY, zoom="bicubic"))
    bicubic.save(tmp_path / "bicubic.npz")
    message = _refused(
        load_network, other, "super_resolution", str(tmp_path / "bicubic.npz"), "--sr_weights"
    )
    assert "is missing" in message and "--sr_weights" in message


def test_a_missing_networks_file_names_the_flag_and_what_to_do(other, tmp_path):
    path = tmp_path / "gone" / "weights.npz"
    message = _refused(load_network, other, "coarse", str(path), "--coarse_weights")
    assert f"--coarse_weights={path} does not exist" in message and "train the stage" in message
    message = _refused(load_network, other, "coarse", str(tmp_path), "--coarse_weights")
    assert f"--coarse_weights={tmp_path} is a folder" in message


def test_a_damaged_networks_file_is_named(other, files, tmp_path):
    path = tmp_path / "cut.npz"
    path.write_bytes(files["coarse"].read_bytes()[:-200])
    assert str(path) in _refused(load_network, other, "coarse", str(path), "--coarse_weights")
