"""A training step as files, for machines that have JAX and no TensorFlow (docs/xla.md).

    <update>.stablehlo   one update, an artifact of `jax.export` for CPUs, GPUs and TPUs:
                         (state, image [B, S, S, 3] in [0, 1], mask [B, M, M, 1], ...) -> (state, terms)
    state.npz            {name: array}: what a checkpoint holds, "step", and "constant/<n>" (learning rates, networks
                         that are not trained)
    step.json            the updates in their order, sizes, and what the caller adds

TensorFlow lowers an update to XLA's HLO, jaxlib turns that into StableHLO, and `jax.export` makes it portable. The step
is a pure function of state and batch. Needs jax; no program that trains with TensorFlow imports this module.
"""

from __future__ import annotations

import json
import pathlib

import jax
import numpy as np
import tensorflow as tf
from jax._src import core
from jax._src.interpreters import mlir
from jax._src.lib import _jax
from jax._src.lib.mlir import ir
from jax._src.lib.mlir.dialects import func

from common import keras_compat, storage
from common.models import plain_ops
from common.training.checkpoints import Checkpoints
from common.training.loop import Recipe

PLATFORMS = ("cpu", "cuda", "tpu")


def write(recipe: Recipe, folder: storage.PathLike, about: dict) -> None:
    """Writes the files of the module docstring, with the variables' present values.

    about: {name: value} to add to step.json.
    """
    folder, variables = pathlib.Path(folder), state(recipe)
    batch, size = recipe.batch_size or recipe.images_per_step, recipe.size
    masks = recipe.mask_size or size
    shapes = [[batch, size, size, 3], [batch, masks, masks, 1], [batch, 1, 1, 1]]
    updates = recipe.trainer.step_updates()
    for update in {update.name: update for update in updates}.values():
        content = _exported(update.call, shapes[: 2 + update.draws], variables)
        with storage.atomic_path(folder / f"{update.name}.stablehlo") as temporary:
            temporary.write_bytes(content)
    arrays = {name: variable.numpy() for name, variable in variables.items()}
    storage.write_arrays(folder / "state.npz", arrays, {"step": int(arrays["step"])})
    plan = {
        "updates": [[update.name, update.draws] for update in updates],
        **{"batch_size": batch, "size": size, "mask_size": masks},
        "images_per_step": recipe.images_per_step,
    }
    storage.write_text(folder / "step.json", json.dumps({**plan, **about}, indent=2) + "\n")


def state(recipe: Recipe) -> dict:
    """{name in state.npz: tf.Variable} of all that a step reads or writes."""
    trainer = recipe.trainer
    found = {**Checkpoints("", recipe.layers, recipe.optimizers).variables(), "step": trainer.step}
    found = {name: keras_compat.tensorflow_variable(v) for name, v in found.items()}
    known = {id(variable) for variable in found.values()}
    optimizers = [v for part in trainer.parts.values() for v in part.optimizer.variables]
    for variable in map(keras_compat.tensorflow_variable, [*optimizers, *trainer.weights]):
        if id(variable) not in known:
            known.add(id(variable))
            found[f"constant/{len(found):04d}"] = variable
    return found


def _exported(call, shapes, variables) -> bytes:
    with jax.enable_x64(True):  # counters are int64
        step = _Lowered(call, [tf.TensorSpec(shape) for shape in shapes], variables)
        arrays = {
            name: jax.ShapeDtypeStruct(v.shape, v.dtype.as_numpy_dtype)
            for name, v in variables.items()
        }
        inputs = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
        exported = jax.export.export(jax.jit(step), platforms=PLATFORMS)(arrays, *inputs)
        return bytes(exported.serialize())


class _Lowered:
    """A function of tensors and {name: tf.Variable} as a function of JAX: (state, *inputs) -> (state, terms)."""

    def __init__(self, call, specs, variables):
        def step(*inputs):
            with plain_ops.only(xla=True):
                terms = call(*inputs)
            # All of them are read, so all of them are parameters.
            return [variable.read_value() for variable in variables.values()], terms

        self._function = tf.function(step, autograph=False, jit_compile=True)
        self._specs, self.variables = specs, variables
        traced = self._function.get_concrete_function(*specs)
        names = {id(variable.handle): name for name, variable in variables.items()}
        self._parameters = [names[id(handle)] for handle in traced.captured_inputs]
        self.terms = sorted(traced.structured_outputs[1])

    def __call__(self, state, *inputs):
        flat = _step.bind(*inputs, *(state[name] for name in self._parameters), lowered=self)
        count = len(self.variables)
        return dict(zip(self.variables, flat[:count])), dict(zip(self.terms, flat[count:]))

    def module(self):
        """The StableHLO module; its last results are the changed variables once more."""
        hlo = self._function.experimental_get_compiler_ir(*self._specs)(stage="hlo_serialized")
        module = ir.Module.parse(_jax.mlir.hlo_to_stablehlo(hlo))
        _clean(module.operation)
        return module


_step = core.Primitive("tensorflow_step")
_step.multiple_results = True


@_step.def_abstract_eval
def _(*_, lowered):
    arrays = [
        core.ShapedArray(tuple(v.shape), v.dtype.as_numpy_dtype) for v in lowered.variables.values()
    ]
    return arrays + [core.ShapedArray((), np.float32)] * len(lowered.terms)


def _lower(context, *operands, lowered):
    module = lowered.module()
    types = ir.SymbolTable(module.operation)["main"].type.results
    whole = context.module_context
    name = mlir.merge_mlir_modules(
        whole.module, "tensorflow_step", module, dst_symtab=whole.symbol_table
    )
    call = func.CallOp(types, ir.FlatSymbolRefAttr.get(name), list(operands))
    return list(call.results)[: len(context.avals_out)]


mlir.register_lowering(_step, _lower)


def _clean(operation):
    """Takes out copies, which `jax.export` cannot serialize; ValueError for an operation that is not portable."""
    for block in [block for region in operation.regions for block in region.blocks]:
        for inner in [view.operation for view in block.operations]:
            _clean(inner)
            if inner.name == "mhlo.copy":
                inner.results[0].replace_all_uses_with(inner.operands[0])
                inner.erase()
            elif inner.name == "stablehlo.custom_call" or not inner.name.startswith(
                ("stablehlo.", "func.", "chlo.")
            ):
                raise ValueError(f"not portable: {inner}")
