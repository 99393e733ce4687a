"""HiFill's part of train.py: networks and optimizers from flags (`hifill.options`)."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from common import keras_compat, options
from common.errors import UsageError
from common.models import weights_source as sources
from common.training.loop import Recipe
from common.training.trainer import check_devices
from hifill import weights_source
from hifill.config import CONFIGS, HiFillConfig
from hifill.model import HiFill
from hifill.options import Start, TrainingOptions
from hifill.training import HiFillTrainer

# Fields of a configuration that change no weight: flags may differ from a file's.
_NOT_OF_NETWORKS = ("name", "size", "large_size", "detail_blur")


def config(values: Mapping, start: HiFillConfig | None = None) -> HiFillConfig:
    """The configuration that flags ask for; UsageError when they contradict each other.

    Args:
      values: {flag: value}.
      start: the configuration that the flags change if they name none; None: the paper's.
    """
    named = options.from_flags(Start, values).config
    if named or start is None:
        start = CONFIGS[named or "paper"]
    try:
        if values.get("hifill_size") not in (None, start.size):
            start = start.at_size(values["hifill_size"])
        return options.changed(start, values)
    except ValueError as error:
        raise UsageError(f"--hifill_config={start.name} with these flags: {error}") from error


def _loaded(values, dtype):
    """The model of --weights, at the size of the flags; UsageError if the flags ask for other networks."""
    model = weights_source.load(values["weights"], dtype)
    wanted = config(values, model.config)
    for name, value in wanted.to_dict().items():
        found = getattr(model.config, name)
        if name not in _NOT_OF_NETWORKS and found != value:
            named = values["hifill_config"]
            asking = f"--hifill_config={named} with these flags" if named else "a flag"
            raise UsageError(
                f"--weights={values['weights']} holds networks with {name} {found!r}; {asking} asks for {value!r}"
            )
    return model if wanted == model.config else model.with_config(wanted)


def checks(values: Mapping) -> list:
    """Checks of flags and files that need no network: callables that raise UserError.

    values: {flag: value}. `make` compares the other flags with the networks of --weights.
    """
    weights = values["weights"]
    trained = weights and weights != sources.UNTRAINED
    return [
        lambda: options.from_flags(TrainingOptions, values),
        lambda: sources.check_file(weights) if trained else config(values),
    ]


def remarks(values: Mapping) -> list[str]:
    """Hints for runs that fail their checks: none."""
    return []


def make(strategy: tf.distribute.Strategy, values: Mapping) -> Recipe:
    """Builds networks and optimizers inside the strategy's scope.

    Args:
      strategy: its scope holds the variables.
      values: {flag: value}. --weights: initial weights (`hifill.weights_source`); other flags may not contradict
        their configuration. None or "none": random weights.
    """
    chosen = options.from_flags(TrainingOptions, values)
    check_devices(chosen, strategy)
    dtype, weights = keras_compat.policy(chosen.precision), values["weights"]
    with strategy.scope():
        trained = weights and weights != sources.UNTRAINED
        model = _loaded(values, dtype) if trained else HiFill(config(values), dtype)
        trainer = HiFillTrainer(model, chosen)
    return Recipe(
        trainer=trainer,
        layers={"generator": model, "discriminator": trainer.discriminator},
        optimizers=trainer.state(),
        images_per_step=chosen.batch_size * (chosen.critic_steps + 1),
        size=model.config.size,
        preview=trainer.averaged(trainer.preview),
        save_weights=trainer.averaged(model.save),
        batch_size=chosen.batch_size,
        accumulate=chosen.accumulate,
        validation_terms=trainer.averaged(trainer.validation_terms),
    )
