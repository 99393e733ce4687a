"""One update of one or several networks: gradients are summed over micro-batches and replicas, checked and applied.

    accumulate   sums a function's results over the micro-batches of a replica's batch
    apply        sums over replicas, computes gradient norms, and updates variables and moving averages; if a loss or a
                 gradient is not finite, restores the state before the forward pass

The caller's loss is a sum over samples divided by the global batch, so summing is enough. Every replica gets the same
sums and makes the same decision. Call both functions in a replica's context.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Callable

import tensorflow as tf
from tensorflow import keras

from common import keras_compat


class LossScale:
    """A factor on a loss computed in float16, so that its gradients do not vanish.

    An update whose gradients overflow halves it; `growth_steps` updates without an overflow double it. It is always a
    power of two, so that scaling changes no digit. Make it inside `strategy.scope()`.
    """

    def __init__(self, initial: float = 2.0**15, growth_steps: int = 2000):
        self.growth_steps = growth_steps
        self.scale = tf.Variable(initial, dtype=tf.float32, trainable=False, name="scale")
        self.since = tf.Variable(0, dtype=tf.int64, trainable=False, name="since")
        self.variables = [self.scale, self.since]  # the state for a checkpoint

    def grow(self):
        """To be called after an applied update, in the cross-replica context."""
        due = self.since + 1 >= self.growth_steps
        self.scale.assign(tf.where(due, tf.minimum(2.0 * self.scale, 2.0**24), self.scale))
        self.since.assign(tf.where(due, tf.zeros_like(self.since), self.since + 1))

    def shrink(self, overflowed):
        """To be called after a skipped update, in the cross-replica context.

        overflowed: whether the gradients of this loss were not finite.
        """
        smaller = tf.maximum(0.5 * self.scale, 1.0)
        self.scale.assign(tf.where(overflowed, smaller, self.scale))
        self.since.assign(tf.where(overflowed, tf.zeros_like(self.since), self.since))


class MovingAverage:
    """An exponential moving average of every variable of some layers, including moving statistics.

    It starts at the variables' present values: make it after weights are loaded, inside `strategy.scope()`.

    Args:
      layers: the layers to follow.
      decay: average = decay * average + (1 - decay) * variable, after every applied update.
    """

    def __init__(self, layers: list, decay: float):
        self.decay = decay
        self._followed = [variable for layer in layers for variable in layer.weights]
        self.variables = [
            tf.Variable(tf.convert_to_tensor(variable), trainable=False, name="average")
            for variable in self._followed
        ]

    def move(self, strategy):
        """One step towards the variables, in the cross-replica context."""
        for average, variable in zip(self.variables, self._followed):
            strategy.extended.update(
                average,
                lambda a, v: a.assign(self.decay * a + (1.0 - self.decay) * v),
                args=(keras_compat.tensorflow_variable(variable),),
                group=False,
            )

    @contextlib.contextmanager
    def applied(self):
        """Inside the block the layers' variables have their averages as values."""
        before = [variable.numpy() for variable in self._followed]
        try:
            for variable, average in zip(self._followed, self.variables):
                variable.assign(average.numpy())
            yield
        finally:
            for variable, value in zip(self._followed, before):
                variable.assign(value)


@dataclasses.dataclass
class Part:
    """An optimizer and the variables it updates.

    loss_scale: the factor on the loss whose gradients are given to `apply`, or None.
    average: the variables' moving average, or None.
    """

    optimizer: keras.optimizers.Optimizer
    variables: list
    loss_scale: LossScale | None = None
    average: MovingAverage | None = None

    def __post_init__(self):
        # `apply` sums the gradients itself, since it checks the sums.
        keras_compat.leave_sums_to_the_caller(self.optimizer)

    def factor(self):
        """Factor on a loss before its gradients are taken; float32."""
        return tf.identity(self.loss_scale.scale) if self.loss_scale else tf.constant(1.0)


def remember(variables: list) -> list:
    """[(variable, value)] of variables that a forward pass assigns, for `apply` to restore."""
    return [(variable, tf.identity(tf.convert_to_tensor(variable))) for variable in variables]


def accumulate(function: Callable, batch: list, parts: int):
    """The sum of function(index, *part of the batch) over `parts` equal parts of [B, ...] tensors.

    Parts are computed one after the other and need the memory of one part.
    function: returns a structure of float tensors, sums over samples. A single replica traces it once. Several replicas
      trace it once per part, since batch normalization communicates between replicas inside.
    """
    if parts == 1:
        return function(tf.constant(0), *batch)
    split = [tf.split(tensor, parts) for tensor in batch]
    if tf.distribute.get_replica_context().num_replicas_in_sync == 1:
        function = tf.function(function, autograph=False)
    total = None
    for index in range(parts):
        with tf.control_dependencies([] if total is None else tf.nest.flatten(total)):
            part = [tf.identity(tensor[index]) for tensor in split]
            found = function(tf.constant(index), *part)
        total = found if total is None else tf.nest.map_structure(tf.add, total, found)
    return total


def apply(parts: dict, gradients: dict, terms: dict, remembered=()) -> dict:
    """One update of every part, or of no part if a term or a gradient norm is not finite.

    Args:
      parts: {name: Part}.
      gradients: {name: this replica's gradients, in the order of the part's variables}.
      terms: {loss term: this replica's scalar}.
      remembered: result of `remember` before the forward pass.

    Returns:
      {term: sum over replicas}, {"<name>_gradient_norm": Euclidean norm over all gradients of a part}, and
      {"<name>_loss_scale": loss scale of these gradients} of parts that have one.
    """
    context = tf.distribute.get_replica_context()
    scales = {name: part.factor() for name, part in parts.items() if part.loss_scale}
    gradients = {
        name: [g / scales[name] for g in found] if name in scales else list(found)
        for name, found in gradients.items()
    }
    flat = tf.nest.flatten((gradients, terms))
    sums = context.all_reduce(tf.distribute.ReduceOp.SUM, flat)
    gradients, terms = tf.nest.pack_sequence_as((gradients, terms), sums)
    norms = {name: tf.linalg.global_norm(found) for name, found in gradients.items()}
    finite = {name: tf.math.is_finite(norm) for name, norm in norms.items()}
    fine = tf.reduce_all(tf.math.is_finite([*terms.values(), *norms.values()]))
    context.merge_call(_across, args=(parts, gradients, fine, finite, list(remembered)))
    return {
        **terms,
        **{f"{name}_gradient_norm": norm for name, norm in norms.items()},
        **{f"{name}_loss_scale": scale for name, scale in scales.items()},
    }


def _across(strategy, parts, gradients, fine, finite, remembered):
    """Updates or restores the variables. Collective operations may not stand in one replica's branch, so all branch
    together, in the cross-replica context.
    """

    def first(value):  # equal on all replicas
        return strategy.experimental_local_results(value)[0]

    def step():
        strategy.extended.call_for_each_replica(_take_steps, args=(parts, gradients))
        for part in parts.values():
            if part.average:
                part.average.move(strategy)
            if part.loss_scale:
                part.loss_scale.grow()

    def put_back():
        for variable, value in remembered:
            strategy.extended.update(
                keras_compat.tensorflow_variable(variable),
                lambda v, x: v.assign(x),
                args=(value,),
                group=False,
            )
        for name, part in parts.items():
            if part.loss_scale:
                part.loss_scale.shrink(tf.logical_not(first(finite[name])))

    tf.cond(first(fine), lambda: step() or tf.no_op(), lambda: put_back() or tf.no_op())


def _take_steps(parts, gradients):
    for name, part in parts.items():
        keras_compat.apply_sums(part.optimizer, gradients[name], part.variables)


def keep_nonfinite(before: dict, now: dict) -> dict:
    """`now`, but the values of `before` that were not finite stay visible."""
    return {
        name: tf.where(tf.math.is_finite(before.get(name, value)), value, before.get(name, value))
        for name, value in now.items()
    }
