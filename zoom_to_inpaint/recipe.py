"""Zoom-to-Inpaint's side of train.py: its flags, with the paper's numbers as defaults, and what they build."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
from absl import flags

from common.errors import UsageError
from common.models import weights_source as sources
from common.training.devices import check_batch_size
from common.training.loop import Recipe, options_from_flags
from common.training.trainer import check_precision
from zoom_to_inpaint import vgg, weights_source
from zoom_to_inpaint.config import CONFIGS
from zoom_to_inpaint.joint_training import JointTraining
from zoom_to_inpaint.model import ZoomToInpaint
from zoom_to_inpaint.pretraining import (
    CoarsePretraining,
    RefinementPretraining,
    SuperResolutionPretraining,
)
from zoom_to_inpaint.training import TrainingOptions

FLAGS = flags.FLAGS

TRAINERS = {
    "pretrain_coarse": CoarsePretraining,
    "pretrain_refinement": RefinementPretraining,
    "pretrain_sr": SuperResolutionPretraining,
    "joint": JointTraining,
}
_DEFAULTS = TrainingOptions()
# Flag that gives a network its pretrained weights.
_NETWORK_FLAGS = {
    "coarse": "coarse_weights",
    "super_resolution": "sr_weights",
    "refinement": "refinement_weights",
}
# The networks that a stage starts from, pretrained.
_STARTS_FROM = {
    "pretrain_coarse": (),
    "pretrain_refinement": ("coarse",),
    "pretrain_sr": (),
    "joint": tuple(_NETWORK_FLAGS),
}
# What train.py's flags are where none is given: joint training on large masks, as in the paper.
DEFAULTS = {
    **{"masks": "large", "batch_size": 16, "steps": 1200000, "learning_rate": 1e-5},
    **{"adam_beta_1": 0.9, "adam_beta_2": 0.999},
}
NAMES = (
    "stage",
    "zoom_config",
    "zoom_channels",
    "zoom_size",
    *_NETWORK_FLAGS.values(),
    "discriminator_weights",
    "vgg_weights",
    "coarse_vgg_weight",
    "refinement_vgg_weight",
    "gan_weight",
    "gradient_weight",
    "frozen_batch_norm",
    "batch_norm_warmup",
)


def define_flags() -> None:
    """Flags of `--model=zoom_to_inpaint`; `NAMES` lists them."""
    flags.DEFINE_enum(
        "stage", "joint", list(TRAINERS), "Z section 4.1; joint: with small, then large masks"
    )
    flags.DEFINE_enum("zoom_config", "paper", sorted(CONFIGS), "networks to start from")
    flags.DEFINE_integer("zoom_channels", None, "ch, instead of the configuration's three widths")
    flags.DEFINE_integer("zoom_size", None, "side of low-resolution images, likewise")
    flags.DEFINE_string("coarse_weights", None, "pretrained coarse network; 'none': random")
    flags.DEFINE_string("sr_weights", None, "pretrained SR network; 'none': random")
    flags.DEFINE_string("refinement_weights", None, "pretrained refinement network; 'none': random")
    flags.DEFINE_string(
        "discriminator_weights",
        None,
        "discriminator.npz of a joint run, or the release's checkpoint",
    )
    flags.DEFINE_string(
        "vgg_weights", vgg.IMAGENET, "file of VGG19's weights, 'imagenet', or 'none': no VGG loss"
    )
    flags.DEFINE_float(
        "coarse_vgg_weight",
        _DEFAULTS.coarse_vgg_weight,
        "Z eq. 3, lambda; also while the refinement network is pretrained",
    )
    flags.DEFINE_float("refinement_vgg_weight", _DEFAULTS.refinement_vgg_weight, "Z eq. 5, lambda")
    flags.DEFINE_float("gan_weight", _DEFAULTS.gan_weight, "Z eq. 5, lambda")
    flags.DEFINE_bool(
        "frozen_batch_norm",
        False,
        "normalise as at inference, with the averages of the weights that training starts from, which stay",
    )
    flags.DEFINE_bool(
        "batch_norm_warmup",
        False,
        "batch norm's averages follow the first batches closely, for stages of few steps (docs/training.md)",
    )
    flags.DEFINE_float("gradient_weight", None, "Z eq. 5, lambda; default: the configuration's")


def options() -> TrainingOptions:
    """The coefficients that the flags give."""
    return options_from_flags(TrainingOptions)


def config():
    """The configuration that the flags give; UsageError when they contradict each other."""
    changes = {
        **dict.fromkeys(("channels", "sr_channels", "discriminator_channels"), FLAGS.zoom_channels),
        "size": FLAGS.zoom_size,
        "gradient_weight": FLAGS.gradient_weight,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    try:
        return dataclasses.replace(CONFIGS[FLAGS.zoom_config], **changes)
    except ValueError as error:
        raise UsageError(f"--zoom_config={FLAGS.zoom_config} with these flags: {error}") from error


def checks(weights: str | None) -> list:
    """What flags and files alone can tell, before anything is built: callables that raise UserError.

    weights: as for `make`.
    """
    names = (*_NETWORK_FLAGS.values(), "discriminator_weights")
    named = {"weights": weights, **{name: FLAGS[name].value for name in names}}
    return [
        options,
        lambda: _check_start(FLAGS.stage, config(), weights),
        lambda: _check_statistics(FLAGS.stage, weights),
        lambda: weights_source.check_files(named),
        lambda: FLAGS.stage == "pretrain_sr" or vgg.check(FLAGS.vgg_weights),
    ]


def remarks() -> list[str]:
    """What else a run may turn out to need."""
    wanted = FLAGS.vgg_weights == vgg.IMAGENET and FLAGS.stage != "pretrain_sr"
    return [vgg.DOWNLOAD] if wanted and not vgg.is_downloaded() else []


def make(strategy: tf.distribute.Strategy, weights: str | None) -> Recipe:
    """Builds networks and optimizers of `--stage` inside the strategy's scope.

    Args:
      strategy: where they live.
      weights: the whole model to start from (`weights_source`), or None; "none": random weights, asked for.
    """
    coefficients, stage = options(), FLAGS.stage
    check_precision(coefficients.precision)
    check_batch_size(
        coefficients.batch_size, strategy.num_replicas_in_sync, coefficients.accumulate
    )
    wanted = config()
    if coefficients.jit:
        raise UsageError(
            "--jit does not go with --model=zoom_to_inpaint: its attention's sizes follow the hole and its batch norm "
            "meets across replicas, neither of which XLA can compile"
        )
    if stage == "pretrain_sr" and wanted.zoom != "sr":
        raise UsageError(f"--zoom_config={wanted.name} has no SR network to pretrain")
    _check_start(stage, wanted, weights)
    _check_statistics(stage, weights)
    with strategy.scope():
        if weights and not sources.is_untrained(weights):
            model = _with_training_fields(
                weights_source.load(weights, coefficients.precision), wanted
            )
        else:
            model = ZoomToInpaint(wanted, dtype=coefficients.precision)
        for network, flag in _NETWORK_FLAGS.items():
            given = FLAGS[flag].value
            if given and not sources.is_untrained(given):
                weights_source.load_network(model, network, given, f"--{flag}")
        features = None if stage == "pretrain_sr" else vgg.load(FLAGS.vgg_weights)
        trainer = TRAINERS[stage](model, coefficients, features)
        given = FLAGS.discriminator_weights  # none without --gan_weight, see `_check_start`
        if given and not sources.is_untrained(given):
            weights_source.load_discriminator(trainer.discriminator, given)
    return _recipe(stage, model, trainer, coefficients)


def _with_training_fields(model, wanted):
    """`model` with the fields of `wanted` that change none of its networks; UsageError if another one does."""
    training = (
        *("name", "size", "field_of_view", "discriminator_channels"),
        *("gradient_weight", "gradient_factor"),
    )
    found, asked = model.config.to_dict(), wanted.to_dict()
    for name in found.keys() - training:
        if found[name] != asked[name]:
            raise UsageError(
                f"--weights={FLAGS.weights} holds networks with {name} {found[name]}, --zoom_config={wanted.name} "
                f"with these flags asks for {asked[name]}"
            )
    model.config = wanted
    return model


def _check_start(stage, wanted, weights):
    """What a stage starts from has to be named; random networks have to be asked for."""
    needed = [_NETWORK_FLAGS[network] for network in _STARTS_FROM[stage]]
    given = [flag for flag in _NETWORK_FLAGS.values() if FLAGS[flag].value]
    for flag in given + ["discriminator_weights"] * bool(FLAGS.discriminator_weights):
        if stage != "joint" and flag not in needed:
            others = f"--{needed[0]} or --weights" if needed else "--weights"
            raise UsageError(f"--{flag} does not go with --stage={stage}, which takes {others}")
    if FLAGS.discriminator_weights and not FLAGS.gan_weight:
        raise UsageError("--discriminator_weights: with --gan_weight=0 there is no discriminator")
    if weights and given:
        raise UsageError(f"--weights is the whole model: it cannot go with --{given[0]}")
    if wanted.zoom != "sr" and FLAGS.sr_weights:
        raise UsageError(f"--zoom_config={wanted.name} has no SR network for --sr_weights")
    if wanted.zoom != "sr" and "sr_weights" in needed:
        needed.remove("sr_weights")
    missing = [flag for flag in needed if flag not in given]
    if missing and not weights:
        raise UsageError(
            f"--stage={stage} starts from pretrained networks: --{' and --'.join(missing)} missing "
            "(a file, or 'none' for random weights); --weights starts from a whole model"
        )


def _check_statistics(stage, weights):
    """UsageError where --frozen_batch_norm would have no averages to normalise with."""
    if not FLAGS.frozen_batch_norm:
        return
    if stage == "pretrain_sr":
        raise UsageError("--frozen_batch_norm: the SR network has no batch norm")
    if stage != "joint" and not weights:  # joint training always starts from what was named
        raise UsageError(
            "--frozen_batch_norm normalises with averages that a new network has not learned yet (its gates would "
            f"close: docs/training.md); --stage={stage} needs --weights with it"
        )


def _recipe(stage, model, trainer, coefficients):
    low, high = model.config.size, model.config.label_size
    size = model.config.crop_size if stage in ("joint", "pretrain_sr") else low
    layers = dict(trainer.networks())
    judge = trainer.discriminator if stage == "joint" else None
    if judge:
        layers["discriminator"] = judge
    (network, *others) = trainer.networks()
    return Recipe(
        trainer=trainer,
        layers=layers,
        optimizers=trainer.state(),
        images_per_step=coefficients.batch_size,
        batch_size=coefficients.batch_size,
        accumulate=coefficients.accumulate,
        validation_terms=trainer.averaged(trainer.validation_terms),
        size=size,
        mask_size=low,
        preview_size=high if stage == "pretrain_sr" else low,
        holes=stage != "pretrain_sr",
        preview=trainer.averaged(trainer.preview),
        save_weights=trainer.averaged(
            (lambda path: _save_joint(model, judge, path))
            if others
            else lambda path: weights_source.save_network(model, network, path)
        ),
    )


def _save_joint(model, discriminator, path):
    """weights.npz for inference and, beside it, what joint training on large masks goes on with."""
    model.save(path)
    if discriminator is None:
        return
    beside = path.with_name(path.name.replace("weights", "discriminator"))
    weights_source.save_discriminator(discriminator, model.config, beside)
