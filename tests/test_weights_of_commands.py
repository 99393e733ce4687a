"""Every form of --weights in docs/weights.md, through `run`, `evaluate` and `export`: each uses the file's own numbers.

The networks are tiny and are not run; a stand-in for `inpaint` or `export` keeps the model that a command loaded.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from absl import flags

import hifill
import zoom_to_inpaint
from common import command_line
from common.models import weights
from hifill import export as hifill_export
from hifill import opencv_painter
from hifill import release as hifill_release
from zoom_to_inpaint import export as zoom_export
from zoom_to_inpaint import release as zoom_release

CLASSES = {"hifill": hifill.HiFill, "zoom_to_inpaint": zoom_to_inpaint.ZoomToInpaint}
RELEASES = {"hifill": hifill_release, "zoom_to_inpaint": zoom_release}
NAMES = {  # of the authors' arrays: their names of ours
    "hifill": hifill_release._GENERATOR,
    "zoom_to_inpaint": {
        **zoom_release._COARSE,
        **zoom_release._REFINEMENT,
        **zoom_release._SUPER_RESOLUTION,
    },
}
TINY = {
    "hifill": lambda: hifill.HiFill(dataclasses.replace(hifill.RELEASE, channels=4)),
    "zoom_to_inpaint": lambda: zoom_to_inpaint.ZoomToInpaint(
        dataclasses.replace(zoom_to_inpaint.RELEASE, channels=4, sr_channels=4)
    ),
}
FORMS = [
    ("hifill", "pretrained"),
    ("hifill", "own.npz"),
    ("hifill", "own.safetensors"),
    ("hifill", "folder"),
    ("hifill", "release.pb"),
    ("hifill", "0"),
    ("hifill", "0.index"),
    ("zoom_to_inpaint", "pretrained"),
    ("zoom_to_inpaint", "own.npz"),
    ("zoom_to_inpaint", "own.safetensors"),
    ("zoom_to_inpaint", "folder"),
    ("zoom_to_inpaint", "0"),
    ("zoom_to_inpaint", "0.index"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """{model: (folder with its files in every form, {path: array} of their weights, itself)}."""
    found = {}
    for name, make in TINY.items():
        folder, model, rng = tmp_path_factory.mktemp(name), make(), np.random.default_rng(5)
        ours = weights.named_variables(model)
        for variable in ours.values():
            variable.assign(rng.normal(size=variable.shape))
        model.save(folder / "own.npz")
        model.save(folder / "own.safetensors")
        model.save_pretrained(folder / "folder")
        _write_release(name, ours, folder)
        found[name] = folder, {path: variable.numpy() for path, variable in ours.items()}, model
    return found


def _write_release(name, ours, folder):
    """The authors' files with the model's weights; HiFill's see BGR."""
    bgr = hifill_release._to_rgb if name == "hifill" else lambda _, array: array
    arrays = {theirs: bgr(theirs, ours[path].numpy()) for theirs, path in NAMES[name].items()}
    ending = "" if name == "hifill" else zoom_release._VALUE
    names = sorted(arrays)
    tf.raw_ops.SaveV2(
        prefix=str(folder / "0"),
        tensor_names=[theirs + ending for theirs in names],
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(arrays[theirs]) for theirs in names],
    )
    if name == "hifill":
        with tf.Graph().as_default() as graph:
            for theirs, array in arrays.items():
                tf.constant(array, name=theirs)
        (folder / "release.pb").write_bytes(graph.as_graph_def().SerializeToString())


@pytest.fixture
def used(monkeypatch):
    """The models that commands load, in place of their results."""
    found = []

    def inpaint(model, image, mask):
        found.append(model)
        return np.where(mask[..., None] > 0, np.uint8(9), image)

    def export(model, folder, described):
        found.append(model)

    for kind in CLASSES.values():
        monkeypatch.setattr(kind, "inpaint", inpaint)
    monkeypatch.setattr(hifill_export, "export", export)
    monkeypatch.setattr(zoom_export, "export", export)
    return found


@pytest.fixture(scope="module", params=["run", "evaluate", "export"])
def command(request, command_module):
    """A command's name and module; its flags are defined for the tests of this command alone."""
    with command_module(request.param) as module:
        yield request.param, module


def _arguments(command, folder):
    return {
        "run": (f"--image={folder}/photo.png", f"--mask={folder}/mask.png", "--output=out.png"),
        "evaluate": ("--dataset=sample", "--size=64", "--count=1", "--output=out"),
        "export": ("--output=out",),
    }[command]


@pytest.mark.default_environment
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_every_form_reaches_the_model(command, used, files, photo, monkeypatch, name, form):
    folder, expected, tiny = files[name]
    for variable in tiny.weights:
        variable.assign(tf.zeros_like(variable))
    # The import of a release fills this model again, since making another takes seconds.
    monkeypatch.setattr(RELEASES[name], CLASSES[name].__name__, lambda *_, **__: tiny)
    shipped = CLASSES[name].__new__(CLASSES[name])
    monkeypatch.setattr(CLASSES[name], "pretrained", lambda *_: shipped)
    # OpenCV runs HiFill's, but for `export`.
    monkeypatch.setattr(opencv_painter, "load", lambda: shipped.inpaint)
    monkeypatch.chdir(photo)
    flags.FLAGS.unparse_flags()
    value = form if form == "pretrained" else folder / form
    words = (f"--model={name}", f"--weights={value}", *_arguments(command[0], photo))
    command_line.parse([command[0], *words])
    assert not command[1].main([])
    model, *others = used
    assert all(other is model for other in others)
    assert (model is shipped) == (form == "pretrained")
    if form != "pretrained":
        for path, variable in weights.named_variables(model).items():
            np.testing.assert_array_equal(variable, expected[path], err_msg=path)
