"""The base class of both papers' trainers: optimizers, state for checkpoints, and the step under every strategy.

A trainer is a Keras model whose `fit` runs `train_step` on every replica; `common.training.updates` updates the
variables. Keras' own loop around the step is replaced, because the loop of Keras 3 fails on several workers (3.15: it
averages the first batch over workers, and sums scalar terms along an axis).
"""

from __future__ import annotations

from typing import Callable, NamedTuple

import tensorflow as tf
from tensorflow import keras

from common.errors import UsageError
from common.models import plain_ops
from common.training import learning_rate
from common.training.devices import check_batch_size, is_tpu
from common.training.options import CommonOptions
from common.training.updates import LossScale, MovingAverage, Part


def check_devices(options: CommonOptions, strategy: tf.distribute.Strategy) -> None:
    """UsageError for a batch size, precision or compilation that the strategy's devices do not support."""
    replicas = strategy.num_replicas_in_sync
    if options.jit and replicas > 1 and not is_tpu(strategy):
        raise UsageError(
            f"--jit compiles for one device, and this run has {replicas}; leave it out, or use --strategy=one"
        )
    if options.precision == "float16" and not tf.config.list_physical_devices("GPU"):
        raise UsageError(
            "--precision=float16 needs a GPU: on CPUs TensorFlow has no gradient of dilated convolutions in float16; "
            "use bfloat16"
        )
    check_batch_size(options.batch_size, replicas, options.accumulate)


class Update(NamedTuple):
    """One update of a step, for `common.training.portable_step`.

    call: (image [B, S, S, 3] in [0, 1], mask [B, M, M, 1], and with `draws` uniform numbers [B, 1, 1, 1]) -> terms.
    """

    name: str
    call: Callable
    draws: bool = False


class Trainer(keras.Model):
    """Base class of a trainer. Make it inside `strategy.scope()`; a subclass has `train_step`.

    step: int64 variable, the number of finished steps.
    uses_xla: whether XLA compiles the updates; all shapes, the number of images too, must then be known.
    skips_nonfinite: a step with a loss or gradient that is not finite updates nothing, and returns the value among its
      terms.
    """

    skips_nonfinite = True

    def __init__(self, options: CommonOptions, **kwargs):
        super().__init__(**kwargs)
        self.options = options
        self.uses_xla = options.jit or is_tpu(tf.distribute.get_strategy())
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.parts, self.average = {}, None
        self.built = True
        # `compile` requires an optimizer; the parts' optimizers are used instead.
        super().compile(optimizer="sgd", jit_compile=False)

    def add_part(self, name: str, layers: list, updates_per_step: int = 1, average=False) -> Part:
        """Adds part `name`: an optimizer of the layers' variables, with loss scale and average as the options say."""
        variables = [v for layer in layers for v in layer.trainable_variables]
        part = Part(self._optimizer(variables, updates_per_step), variables)
        if self.options.precision == "float16":
            part.loss_scale = LossScale()
        if average and self.options.ema:
            part.average = self.average = MovingAverage(layers, self.options.ema)
        self.parts[name] = part
        return part

    def _optimizer(self, variables, updates_per_step):
        o = self.options
        rate = learning_rate.schedule(
            o.learning_rate,
            o.learning_rate_drops,
            o.steps * updates_per_step,
            o.learning_rate_schedule,
            o.warmup_steps * updates_per_step,
        )
        optimizer = keras.optimizers.Adam(rate, o.adam_beta_1, o.adam_beta_2)
        # Slots must exist before the first step and before a restore, inside the scope.
        optimizer.build(variables)
        return optimizer

    def state(self) -> dict:
        """{name: object with `variables`}: the state that a checkpoint needs besides the networks."""
        found = {f"{name}_optimizer": part.optimizer for name, part in self.parts.items()}
        for name, part in self.parts.items():
            if part.loss_scale:
                found[f"{name}_loss_scale"] = part.loss_scale
        if self.average:
            found["average"] = self.average
        return found

    def averaged(self, function):
        """`function`, to be called with the networks' moving averages as weights, if there are any."""
        if not self.average:
            return function

        def call(*args):
            with self.average.applied():
                return function(*args)

        return call

    def mean(self, per_sample):
        """Sum over this replica's samples [B] divided by the global batch; its sum over replicas is the mean."""
        return tf.reduce_sum(per_sample) / self.options.batch_size

    def for_xla(self, function):
        """`function` of tensors, a whole update, as the options say.

        With `jit` XLA compiles it. A TPU's strategy compiles whole steps by itself. Both need plain ops.
        """
        if not self.uses_xla:
            return function

        def plain(*tensors):
            with plain_ops.only(xla=True):
                return function(*tensors)

        if is_tpu(self.distribute_strategy):
            return plain
        return tf.function(plain, autograph=False, jit_compile=True)

    def step_updates(self) -> list[Update]:
        """The updates of `train_step` in their order; update t of T takes samples t, t + T, ... of the step."""
        return [Update("step", lambda *data: self.train_step(data))]

    def make_train_function(self, force=False):
        """The function that `fit` calls with an iterator for every step; see the module docstring."""
        if self.train_function is None or force:
            strategy = self.distribute_strategy

            @tf.function(autograph=False)  # not needed; a run starts 10% sooner without it
            def run(iterator):
                terms = strategy.run(self.train_step, args=(next(iterator),))
                return {  # equal on all replicas
                    name: strategy.experimental_local_results(value)[0]
                    for name, value in terms.items()
                }

            self.train_function = run
        return self.train_function

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing, since everything is built; Keras 3 would read the first batch."""
