"""The weights file of a model, readable in every supported TensorFlow.

A weights file is an `.npz` or `.safetensors` archive with a header (format, model name, configuration) and plain
arrays; a folder of `common.models.hub` holds the same. An array's name
is the path of attributes of its variable ("refinement/encoder_1/0/feature_kernel"), the same under Keras 2 and Keras 3.
The file holds no code, so a file from a stranger is safe to open. Arrays are float32, float16 or bfloat16; a model's
variables are always float32. Loading is strict: a file of another model, and a missing, unknown or differently
shaped array, are errors that name it.
"""

from __future__ import annotations

import pathlib

import ml_dtypes  # noqa: F401, with it NumPy knows bfloat16
import numpy as np

from common import storage
from common.errors import UserError
from common.models import card, hub, pretrained
from common.storage import PathLike

_FORMAT = "inpainting-weights-1"
_SMALL = ("float16", "bfloat16")


def named_variables(layer) -> dict:
    """{path of attribute names: variable} of a layer or model, in a stable order."""
    found = {}
    _collect(layer, "", found)
    return found


def _collect(layer, prefix, found):
    """Adds the variables of child layers, by attribute name, then the layer's own variables."""
    inherited = set()
    for name, child in _children(layer):
        _collect(child, f"{prefix}{name}/", found)
        inherited.update(id(variable) for variable in child.weights)
    for variable in layer.weights:
        if id(variable) not in inherited:
            found[prefix + variable.name.split("/")[-1].split(":")[0]] = variable


def _children(layer):
    from tensorflow import keras  # here, so that reading a file needs no TensorFlow

    for name, value in sorted(vars(layer).items()):
        if name.startswith("_"):
            continue
        if isinstance(value, keras.layers.Layer):
            yield name, value
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                if isinstance(item, keras.layers.Layer):
                    yield f"{name}/{index}", item


def save(path: PathLike, model_name: str, config: dict, layer, half: bool = False) -> None:
    """Writes every variable of `layer` with a header, whole or not at all.

    half: in float16, half the size; UserError if a weight is too large for float16.
    """
    storage.write_arrays(path, arrays_of(layer, half), _header(model_name, config))


def save_folder(folder: PathLike, model, half: bool = False) -> None:
    """Writes a `stored_model.StoredModel` as a folder of `common.models.hub`; half: as in `save`."""
    folder, config = pathlib.Path(folder), model.config.to_dict()
    kind, arrays = type(model).__name__, arrays_of(model, half)
    shipped = _shipped(model, config, arrays)
    described = card.files(folder.resolve().name, model.PACKAGE.name, kind, config, shipped)
    hub.write(folder, kind, _header(model.NAME, config), arrays, described)


def _shipped(model, config, arrays):
    """The name of the shipped weights if `arrays` are these, else None."""
    path = pretrained.find(model.PACKAGE)
    fields, theirs = read(path, model.NAME)
    same = fields == config and theirs.keys() == arrays.keys()
    same = same and all(np.array_equal(arrays[name], theirs[name]) for name in arrays)
    return path.stem if same else None


def _header(model_name, config):
    return {"format": _FORMAT, "model": model_name, "config": config}


def arrays_of(layer, half: bool = False) -> dict[str, np.ndarray]:
    """{path: array} of every variable of `layer`; half: as in `save`."""
    arrays = {name: variable.numpy() for name, variable in named_variables(layer).items()}
    if half:
        return {name: _halved(name, array) for name, array in arrays.items()}
    return arrays


def _halved(name, array):
    if np.abs(array).max(initial=0) > np.finfo(np.float16).max:
        raise UserError(f"{name} holds values too large for float16; save it in float32")
    return array.astype(np.float16)


def read(path: PathLike, model_name: str) -> tuple[dict, dict]:
    """Returns (config, {path: array}) of a weights file, or a hub's folder, of `model_name`.

    Raises:
      UserError: as `read_any`, or the file holds weights of another model.
    """
    owner, config, arrays = read_any(path)
    if owner != model_name:
        raise UserError(
            f"{path} holds weights of '{owner}', not of '{model_name}'; pass another file or model"
        )
    return config, arrays


def read_any(path: PathLike) -> tuple[str, dict, dict]:
    """Returns (model name, config, {path: array}) of a weights file, or a hub's folder.

    Raises:
      UserError: the file does not exist, is not a weights file, or is cut short.
    """
    if not (pathlib.Path(path).is_file() or hub.is_folder(path)):
        raise UserError(f"no weights file {path}; name a file that train.py or load_release wrote")
    try:
        header, arrays = hub.read(path) if hub.is_folder(path) else storage.read_arrays(path)
        owner, config, form = (header[name] for name in ("model", "config", "format"))
    except (storage.DamagedError, KeyError) as error:
        raise UserError(f"{path} is not a weights file of this package, or is cut short") from error
    arrays = {
        name: array.astype(np.float32) if array.dtype.name in _SMALL else array
        for name, array in arrays.items()
    }
    if form != _FORMAT:
        raise UserError(f"{path} was written by another version: format {form}")
    return owner, config, arrays


def assign(layer, arrays: dict, source: str) -> None:
    """Assigns every variable of `layer` from `arrays`.

    Raises:
      UserError: as `check`; then nothing is assigned.
    """
    variables = named_variables(layer)
    check(variables, arrays, source)
    for name, variable in variables.items():
        variable.assign(arrays[name])


def check(variables: dict, arrays: dict, source: str) -> None:
    """UserError unless both dicts have the same names and shapes and all arrays are finite; lists the first five
    problems.
    """
    problems = [f"{name} is missing" for name in variables if name not in arrays]
    problems += [f"{name} is unknown" for name in arrays if name not in variables]
    problems += [
        f"{name} has shape {list(arrays[name].shape)}, expected {list(variable.shape)}"
        for name, variable in variables.items()
        if name in arrays and tuple(arrays[name].shape) != tuple(variable.shape)
    ]
    problems = problems or [
        f"{name} {fault}" for name, array in arrays.items() if (fault := _fault(array))
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise UserError(f"weights from {source} do not fit: {'; '.join(problems[:5])}{more}")


def _fault(array):
    """Why an array cannot be weights, or None."""
    if np.asarray(array).dtype.kind not in "fiub":
        return "holds no numbers"
    return None if np.isfinite(array).all() else "holds values that are not finite"
