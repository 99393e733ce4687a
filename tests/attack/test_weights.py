"""Weights in every form, and checkpoints: damaged bytes, and whole archives with other content."""

from __future__ import annotations

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from common import storage
from common.models import hub, weights
from common.training import checkpoints
from hifill import release
from hifill import weights_source as hifill_source
from zoom_to_inpaint import weights_source as zoom_source

FORMS = ("own.npz", "own.safetensors", "folder/model.safetensors", "folder/config.json")
RELEASE = pathlib.Path(__file__).parents[1] / "golden" / "hifill_release_nc4.npz"
# Most of what these load is a whole model, which takes longer.
FEW = settings(max_examples=settings.default.max_examples // 3)
LOADERS = {"hifill": hifill_source.load, "zoom_to_inpaint": zoom_source.load}


@pytest.fixture(scope="module")
def files(tiny_weights, tiny_zoom_weights, tmp_path_factory):
    """{model: folder with its weights in each of `FORMS`}, and of HiFill the authors' graph."""
    found = {}
    for name, path in (("hifill", tiny_weights), ("zoom_to_inpaint", tiny_zoom_weights)):
        found[name] = folder = tmp_path_factory.mktemp(name)
        header, arrays = storage.read_arrays(path)
        for form in FORMS[:2]:
            storage.write_arrays(folder / form, arrays, header)
        hub.write(folder / "folder", "Model", header, arrays, {})
    with np.load(RELEASE) as archive, tf.Graph().as_default() as graph:
        for name in release._GENERATOR:
            tf.constant(archive[f"w/{name}"], name=name)
    (found["hifill"] / "release.pb").write_bytes(graph.as_graph_def().SerializeToString())
    return found


def tried(attempt, load, path):
    """Loads; what is taken has finite weights."""
    taken, model = attempt("weights", lambda: load(str(path)))
    if taken:
        for name, variable in weights.named_variables(model).items():
            assert np.isfinite(variable.numpy()).all(), name


@given(st.data())
def test_damaged_files(attempt, scratch, damaged, files, data):
    name, form = data.draw(st.sampled_from([*LOADERS])), data.draw(st.sampled_from(FORMS))
    with scratch() as folder:
        whole = shutil.copytree(files[name], pathlib.Path(folder, "weights"))
        content = (whole / form).read_bytes()
        (whole / form).write_bytes(damaged(data.draw, content))
        tried(attempt, LOADERS[name], (whole / form).parent if "folder" in form else whole / form)


@given(st.data())
def test_damaged_graphs(attempt, scratch, damaged, files, data):
    with scratch() as folder:
        path = pathlib.Path(folder, "release.pb")
        path.write_bytes(damaged(data.draw, (files["hifill"] / "release.pb").read_bytes()))
        tried(attempt, hifill_source.load, path)


def changed_arrays(draw, arrays):
    """One of the arrays is gone, or has another name, type, shape or content."""
    arrays, name = dict(arrays), draw(st.sampled_from(sorted(arrays)))
    action = draw(st.sampled_from(("remove", "rename", "type", "shape", "content")))
    array = arrays.pop(name)
    if action == "rename":
        arrays[draw(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=9))] = (
            array
        )
    if action == "type":
        kinds = ("i1", "u8", "f2", "f8", "c8", "U1", "?", "M8[s]")
        arrays[name] = np.zeros(array.shape, draw(st.sampled_from(kinds)))
    if action == "shape":
        shape = draw(st.lists(st.integers(0, 4), max_size=5))
        arrays[name] = np.zeros(shape, np.float32)
    if action == "content":
        arrays[name] = np.full_like(array, draw(st.sampled_from((np.nan, np.inf, 1e38, -0.0))))
    return arrays


@FEW
@given(st.data())
def test_whole_archives_with_other_content(attempt, scratch, changed_json, files, data):
    name, draw = data.draw(st.sampled_from([*LOADERS])), data.draw
    header, arrays = storage.read_arrays(files[name] / "own.npz")
    if draw(st.booleans()):
        header = changed_json(draw, header)
    else:
        arrays = changed_arrays(draw, arrays)
    with scratch() as folder:
        path = pathlib.Path(folder, draw(st.sampled_from(("own.npz", "own.safetensors"))))
        try:
            storage.write_arrays(path, arrays, header)
        except Exception:  # a format that cannot hold it
            return
        tried(attempt, LOADERS[name], path)


@FEW
@given(st.data())
def test_configurations_of_a_folder(attempt, scratch, changed_json, files, data):
    name = data.draw(st.sampled_from([*LOADERS]))
    content = json.loads((files[name] / "folder" / "config.json").read_text())
    text = json.dumps(changed_json(data.draw, content))
    with scratch() as folder:
        whole = shutil.copytree(files[name] / "folder", pathlib.Path(folder, "shared"))
        (whole / "config.json").write_text(text)
        tried(attempt, LOADERS[name], whole)


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    """The checkpoints of a layer, and the path of one."""
    layer = tf.keras.layers.Dense(3)
    layer.build((None, 2))
    found = checkpoints.Checkpoints(tmp_path_factory.mktemp("run"), {"layer": layer}, {})
    return found, found.save(7, {"seen": 3})


@given(st.data())
def test_checkpoints(attempt, scratch, damaged, changed_json, run, data):
    every, path = run
    with scratch() as folder:
        target = pathlib.Path(folder, "step-00000007.npz")
        if data.draw(st.booleans()):
            target.write_bytes(damaged(data.draw, path.read_bytes()))
        else:
            header, arrays = storage.read_arrays(path)
            header = changed_json(data.draw, header)
            storage.write_arrays(target, changed_arrays(data.draw, arrays), header)
        taken, found = attempt("weights", lambda: every.restore(target), folder)
        assert not taken or (type(found["step"]) is int and found["step"] >= 0)
