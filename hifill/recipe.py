"""HiFill's side of train.py: its flags, whose defaults are the paper's or else the release's, and what they build."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
from absl import flags

from common.errors import UsageError
from common.models import weights_source as sources
from common.training.devices import check_batch_size
from common.training.loop import Recipe, options_from_flags
from common.training.trainer import check_precision
from hifill import weights_source
from hifill.config import CONFIGS, GATES
from hifill.model import HiFill
from hifill.training import HiFillTrainer, TrainingOptions

FLAGS = flags.FLAGS

_DEFAULTS = TrainingOptions()
# What train.py's flags are where none is given.
DEFAULTS = {
    **{"masks": "mixed", "batch_size": _DEFAULTS.batch_size, "steps": 300000},
    **{"learning_rate": _DEFAULTS.learning_rate},
    **{"adam_beta_1": _DEFAULTS.adam_beta_1, "adam_beta_2": _DEFAULTS.adam_beta_2},
}
NAMES = (
    "hifill_config",
    "hifill_size",
    "hifill_channels",
    "coarse_gate",
    "refinement_gate",
    "attention_temperature",
    "standard_features",
    "critic_steps",
    "alpha_hole",
    "alpha_context",
    "adversarial_weight",
    "gradient_penalty_weight",
    "coarse_weight",
    "context_by_area",
    "adversarial_balance",
)


def define_flags() -> None:
    """Flags of `--model=hifill`; `NAMES` lists them."""
    flags.DEFINE_enum("hifill_config", "paper", sorted(CONFIGS), "networks to start from")
    flags.DEFINE_integer("hifill_size", None, "side in pixels instead of the configuration's")
    flags.DEFINE_integer("hifill_channels", None, "base width instead of the configuration's")
    flags.DEFINE_enum("coarse_gate", None, GATES, "gates of the coarse network (H Table 1)")
    flags.DEFINE_enum("refinement_gate", None, GATES, "gates of the refinement network")
    flags.DEFINE_float("attention_temperature", None, "factor on scores; H eq. 2 has 1")
    flags.DEFINE_bool(
        "standard_features", None, "mean 0, variance 1 before H eq. 1, which has neither"
    )
    flags.DEFINE_integer(
        "critic_steps", _DEFAULTS.critic_steps, "per generator step", lower_bound=0
    )
    flags.DEFINE_float("alpha_hole", _DEFAULTS.alpha_hole, "H eq. 13, alpha_1")
    flags.DEFINE_float("alpha_context", _DEFAULTS.alpha_context, "H eq. 13, alpha_2")
    flags.DEFINE_float("adversarial_weight", _DEFAULTS.adversarial_weight, "H eq. 14, beta")
    flags.DEFINE_float("gradient_penalty_weight", _DEFAULTS.gradient_penalty_weight, "H eq. 9")
    flags.DEFINE_float("coarse_weight", _DEFAULTS.coarse_weight, "of the coarse network's L1")
    flags.DEFINE_bool(
        "context_by_area", _DEFAULTS.context_by_area, "divide the context's L1 by its share"
    )
    flags.DEFINE_float(
        "adversarial_balance",
        _DEFAULTS.adversarial_balance,
        "most of the adversarial gradient, in gradients of L1; 0: no limit",
        lower_bound=0,
    )


def options() -> TrainingOptions:
    """The coefficients that the flags give."""
    return options_from_flags(TrainingOptions)


def config():
    """The configuration that the flags give; UsageError when they contradict each other."""
    return _with_flags(CONFIGS[FLAGS.hifill_config])


def _with_flags(start):
    """The configuration `start` with what flags change in it."""
    changes = {
        "size": FLAGS.hifill_size,
        "channels": FLAGS.hifill_channels,
        "coarse_gate": FLAGS.coarse_gate,
        "refinement_gate": FLAGS.refinement_gate,
        "temperature": FLAGS.attention_temperature,
        "standard_features": FLAGS.standard_features,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    try:
        return dataclasses.replace(start, **changes)
    except ValueError as error:
        raise UsageError(
            f"--hifill_config={FLAGS.hifill_config} with these flags: {error}"
        ) from error


def _loaded(weights, dtype):
    """The model that `weights` names, at the size of the flags; UsageError where they ask for other networks."""
    model = weights_source.load(weights, dtype)
    named = FLAGS["hifill_config"].present
    wanted = config() if named else _with_flags(model.config)
    for name, value in wanted.to_dict().items():
        found = getattr(model.config, name)
        if name not in ("name", "size") and found != value:
            flags_given = (
                f"--hifill_config={FLAGS.hifill_config} with these flags" if named else "a flag"
            )
            raise UsageError(
                f"--weights={weights} holds networks with {name} {found!r}; {flags_given} asks for {value!r}"
            )
    return model if wanted.size == model.config.size else model.at_size(wanted.size)


def checks(weights: str | None) -> list:
    """What flags and files alone can tell, before anything is built: callables that raise UserError.

    weights: as for `make`; where they name networks, flags are compared with these.
    """
    trained = weights and not sources.is_untrained(weights)
    return [options, (lambda: sources.check_file(weights)) if trained else config]


def remarks() -> list[str]:
    """What else a run may turn out to need: nothing."""
    return []


def make(strategy: tf.distribute.Strategy, weights: str | None) -> Recipe:
    """Builds networks and optimizers inside the strategy's scope.

    Args:
      strategy: where they live.
      weights: start from these (`hifill.weights_source`), whose configuration flags may not contradict; None or "none":
        random weights.
    """
    coefficients = options()
    check_precision(coefficients.precision)
    check_batch_size(
        coefficients.batch_size, strategy.num_replicas_in_sync, coefficients.accumulate
    )
    with strategy.scope():
        dtype = coefficients.precision
        trained = weights and not sources.is_untrained(weights)
        model = _loaded(weights, dtype) if trained else HiFill(config(), dtype)
        trainer = HiFillTrainer(model, coefficients)
    return Recipe(
        trainer=trainer,
        layers={"generator": model, "discriminator": trainer.discriminator},
        optimizers=trainer.state(),
        images_per_step=coefficients.batch_size * (coefficients.critic_steps + 1),
        size=model.config.size,
        preview=trainer.averaged(trainer.preview),
        save_weights=trainer.averaged(model.save),
        batch_size=coefficients.batch_size,
        accumulate=coefficients.accumulate,
        validation_terms=trainer.averaged(trainer.validation_terms),
    )
