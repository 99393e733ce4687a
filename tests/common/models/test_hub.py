"""Models as folders of a hub, and .safetensors files: the same model back, damage in one line, and never a network."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pathlib
import re
import struct
import sys
import types

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import tensorflow as tf

import hifill
import zoom_to_inpaint
from common import storage
from common.errors import UserError
from common.models import card, hub, pretrained, weights
from inpainting import painters

ROOT = pathlib.Path(__file__).resolve().parents[3]
TINY = {
    "hifill": hifill.HiFillConfig(name="tiny", size=64, channels=2, discriminator_channels=2),
    "zoom_to_inpaint": zoom_to_inpaint.ZoomConfig(
        name="tiny", channels=4, sr_channels=4, discriminator_channels=4, size=16
    ),
}
CLASSES = {"hifill": hifill.HiFill, "zoom_to_inpaint": zoom_to_inpaint.ZoomToInpaint}


@pytest.fixture(scope="module", params=TINY)
def model(request):
    return CLASSES[request.param](TINY[request.param])


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder of a tiny HiFill; tests copy or read it."""
    folder = tmp_path_factory.mktemp("hub") / "mine"
    hifill.HiFill(TINY["hifill"]).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(kept, tmp_path):
    """A copy of `kept` to damage."""
    (tmp_path / "mine").mkdir()
    for path in kept.iterdir():
        (tmp_path / "mine" / path.name).write_bytes(path.read_bytes())
    return tmp_path / "mine"


def _name(model):
    return type(model).__module__.split(".")[0]


def _assert_same(found, expected):
    assert type(found) is type(expected) and found.config == expected.config
    for name, variable in weights.named_variables(expected).items():
        np.testing.assert_array_equal(weights.named_variables(found)[name], variable, err_msg=name)


@pytest.mark.default_environment
def _refused(call, *arguments):
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_and_a_safetensors_file_give_the_same_model(model, tmp_path):
    model.save_pretrained(tmp_path / "mine")
    model.save(tmp_path / "mine.safetensors")
    loads = importlib.import_module(f"{_name(model)}.weights_source").load
    image = np.random.default_rng(0).uniform(0, 1, (1, 32, 32, 3)).astype(np.float32)
    mask = np.zeros((1, 32, 32, 1), np.float32)
    mask[:, 10:20, 8:30] = 1
    expected = model((image, mask))
    found = loads(str(tmp_path / "mine"))  # --weights=FOLDER of every command
    for a, b in zip(found((image, mask))[:2], expected):
        np.testing.assert_array_equal(a, b)
    _assert_same(found, model)
    _assert_same(loads(str(tmp_path / "mine.safetensors")), model)
    assert hub.read(tmp_path / "mine")[0]["config"] == model.config.to_dict()


def test_the_commands_take_a_folder(kept):
    painters.check_weights("hifill", str(kept))
    model = painters.painter("hifill", str(kept)).__self__
    _assert_same(model, hifill.HiFill.from_pretrained(kept))


def test_a_network_alone_comes_from_a_folder_or_safetensors(tmp_path):
    from zoom_to_inpaint import weights_source

    model, other = (zoom_to_inpaint.ZoomToInpaint(TINY["zoom_to_inpaint"]) for _ in range(2))
    model.save_pretrained(tmp_path / "mine")
    weights_source.save_network(model, "coarse", tmp_path / "coarse.safetensors")
    for given in ("mine", "coarse.safetensors"):
        for variable in other.coarse.weights:
            variable.assign(tf.ones_like(variable))
        weights_source.load_network(other, "coarse", str(tmp_path / given), "--coarse_weights")
        for a, b in zip(other.coarse.weights, model.coarse.weights):
            np.testing.assert_array_equal(a, b)


def test_other_programs_read_the_folder(kept):
    """config.json is complete; names in model.safetensors are those of .npz files."""
    about = json.loads((kept / "config.json").read_text())
    assert about == {
        "model_class": "HiFill",
        "format": "inpainting-weights-1",
        "model": "hifill",
        "config": dataclasses.asdict(TINY["hifill"]),
    }
    arrays = safetensors.numpy.load_file(kept / "model.safetensors")
    assert arrays.keys() == weights.named_variables(hifill.HiFill(TINY["hifill"])).keys()
    assert {path.name for path in kept.iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_small_floats_become_float32(folder, dtype):
    """As other programs write them: without the header, which config.json has too."""
    arrays = safetensors.numpy.load_file(folder / "model.safetensors")
    small = {
        name: array.astype(tf.as_dtype(dtype).as_numpy_dtype) for name, array in arrays.items()
    }
    safetensors.numpy.save_file(small, folder / "model.safetensors")
    model = hifill.HiFill.from_pretrained(folder)
    for name, variable in weights.named_variables(model).items():
        np.testing.assert_array_equal(variable, small[name].astype(np.float32))
    message = _refused(hifill.HiFill.load, folder / "model.safetensors")
    assert "model.safetensors is not a weights file of this package" in message


# --- cards


@pytest.mark.default_environment
def test_the_card_says_what_it_is_and_stays_when_it_is_edited(kept, folder):
    text = (kept / "README.md").read_text()
    assert (
        text.startswith("---\nlicense: unknown\n") and "Licence of the weights: not stated" in text
    )
    assert 'hifill.HiFill.from_pretrained("mine")' in text and '"channels": 2' in text
    (folder / "README.md").write_text("mine")
    hifill.HiFill(TINY["hifill"]).save_pretrained(folder)
    assert (folder / "README.md").read_text() == "mine"


def test_shipped_weights_keep_their_card_and_licence(tmp_path):
    model = zoom_to_inpaint.ZoomToInpaint.pretrained()
    model.save_pretrained(tmp_path / "shared", half=True)
    text = (tmp_path / "shared" / "README.md").read_text()
    assert text.startswith("---\nlicense: cc-by-sa-4.0\n") and "## zoom_to_inpaint-1" in text
    assert (tmp_path / "shared" / "photographs.tsv").read_text().count("\n") > 600
    _assert_same(zoom_to_inpaint.ZoomToInpaint.from_pretrained(tmp_path / "shared"), model)
    last = model.weights[-1]
    last.assign(last + 1)  # no longer those
    model.save_pretrained(tmp_path / "changed")
    assert "license: unknown" in (tmp_path / "changed" / "README.md").read_text()


@pytest.mark.parametrize("package", CLASSES)
def test_every_shipped_file_has_a_card_without_links_into_the_documentation(package):
    name = pretrained.find(ROOT / package).stem
    text = card.files("mine", package, "Model", {}, name)["README.md"]
    assert f"## {name}" in text and "CC BY-SA 4.0" in text
    assert set(re.findall(r"\]\((.*?)\)", text)) == {"photographs.tsv"}


# --- names on the hub


@pytest.fixture
def downloads(monkeypatch, folder):
    """A stand-in for huggingface_hub that knows one model; returns the calls."""
    calls = []

    def snapshot_download(name, allow_patterns):
        calls.append((name, allow_patterns))
        if name != "owner/mine":
            raise RuntimeError("404 Client Error.\n\nRepository Not Found")
        return str(folder)

    module = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return calls


def test_a_name_is_downloaded_unless_it_is_a_folder(downloads, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = hifill.HiFill.from_pretrained("owner/mine")
    assert downloads == [("owner/mine", ["config.json", "model.safetensors"])]
    folder.parent.joinpath("owner").mkdir()
    folder.rename(tmp_path / "owner" / "mine")
    _assert_same(hifill.HiFill.from_pretrained("owner/mine"), model)
    assert len(downloads) == 1


def test_a_download_that_fails_is_one_line(downloads):
    message = _refused(hifill.HiFill.from_pretrained, "owner/gone")
    assert "owner/gone" in message and "Repository Not Found" in message and "yourself" in message


def test_without_the_package_a_name_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    message = _refused(hifill.HiFill.from_pretrained, "owner/mine")
    assert "no folder owner/mine" in message and "pip install huggingface_hub" in message
    for name in ("gone", "a/b/c", "../gone\n"):
        message = _refused(hifill.HiFill.from_pretrained, name)
        assert "pip install" not in message and "save_pretrained" in message


# --- damage


def _header(path, change):
    """Rewrites the JSON header of a .safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    text = change(header)
    text = (json.dumps(header) if text is None else text).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def _overlap(header):
    first, second, *_ = [entry for name, entry in header.items() if name != "__metadata__"]
    second["data_offsets"] = first["data_offsets"]


def _beyond(header):
    entry = next(entry for name, entry in header.items() if name != "__metadata__")
    entry["data_offsets"] = [0, 2**40]


def _of_another_size(header):
    entry = next(entry for name, entry in header.items() if name != "__metadata__")
    entry["shape"] = [2**62, 4]


def _of_an_unknown_type(header):
    next(entry for name, entry in header.items() if name != "__metadata__")["dtype"] = "F99"


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"some text\n"),
        lambda path: path.write_bytes(b"\xff" * 64),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:500]),
        lambda path: path.write_bytes(path.read_bytes() + b"more"),
        lambda path: path.unlink(),
        lambda path: _header(path, _overlap),
        lambda path: _header(path, _beyond),
        lambda path: _header(path, _of_another_size),
        lambda path: _header(path, _of_an_unknown_type),
        lambda path: _header(path, lambda header: "[" * 100_000),
        lambda path: _header(path, lambda header: "[]"),
    ],
)
def test_damage_is_one_line(folder, damage):
    path = folder / "model.safetensors"
    damage(path)
    message = _refused(hifill.HiFill.from_pretrained, folder)
    assert "model.safetensors is missing, damaged or cut short" in message
    assert str(path) in _refused(hifill.HiFill.load, path)


def test_a_file_that_names_no_model_or_one_too_deep_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    for text in ("[]", "no json", "[" * 100_000, "{}"):
        safetensors.numpy.save_file({"a": np.ones(2)}, path, {"header.json": text})
        assert "not a weights file" in _refused(weights.read_any, path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "config.json is not the configuration"),
        ("[" * 100_000, "config.json is not the configuration"),
        ("[]", "it is not an object"),
        ('{"model": "hifill", "format": "inpainting-weights-1"}', "'config'"),
        ({"format": "inpainting-weights-2"}, "another version"),
        ({"model": "zoom_to_inpaint"}, "'zoom_to_inpaint', not of 'hifill'"),
        ({"config": []}, "'config' is not an object"),
        ({"config": {"channels": "many"}}, "channels 'many' is not of type int"),
        ({"config": {"channels": 10**9}}, "channels 1000000000 is not between"),
        ({"config": {"shape": "round"}}, "cannot read"),
        ({"config": {"size": 64, "channels": 4}}, "has shape"),
    ],
)
def test_a_configuration_is_checked_as_that_of_any_weights_file(folder, content, words):
    path = folder / "config.json"
    if isinstance(content, dict):
        content = json.dumps({**json.loads(path.read_text()), **content})
    path.write_text(content)
    message = _refused(hifill.HiFill.from_pretrained, folder)
    assert words in message and str(folder) in message


def test_a_folder_without_configuration_is_no_model(tmp_path):
    from hifill import weights_source

    assert "no weights file" in _refused(hifill.HiFill.from_pretrained, tmp_path)
    assert "without config.json" in _refused(weights_source.load, str(tmp_path))


def test_a_full_disk_keeps_the_old_file(kept, tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    storage.write_arrays(path, {"a": np.ones(3)}, {"x": 1})
    with monkeypatch.context() as patch:
        patch.setattr(storage.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        assert "disk is full" in _refused(storage.write_arrays, path, {"a": np.ones(9)}, {})
    header, arrays = storage.read_arrays(path)
    assert header == {"x": 1} and arrays["a"].shape == (3,)
