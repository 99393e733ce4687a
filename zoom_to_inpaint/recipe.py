"""Zoom-to-Inpaint's part of train.py: networks and optimizers from flags (`zoom_to_inpaint.options`)."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from common import keras_compat, options
from common.errors import UsageError
from common.models import weights_source as sources
from common.training.loop import Recipe
from common.training.trainer import check_devices
from zoom_to_inpaint import vgg, weights_source
from zoom_to_inpaint.config import CONFIGS, ZoomConfig
from zoom_to_inpaint.joint_training import JointTraining
from zoom_to_inpaint.model import ZoomToInpaint
from zoom_to_inpaint.options import Start, TrainingOptions
from zoom_to_inpaint.pretraining import (
    CoarsePretraining,
    RefinementPretraining,
    SuperResolutionPretraining,
)

TRAINERS = {
    "pretrain_coarse": CoarsePretraining,
    "pretrain_refinement": RefinementPretraining,
    "pretrain_sr": SuperResolutionPretraining,
    "joint": JointTraining,
}
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


def config(values: Mapping) -> ZoomConfig:
    """The configuration that flags {flag: value} ask for; UsageError when they contradict each other."""
    named = options.from_flags(Start, values).config
    try:
        return options.changed(CONFIGS[named], values)
    except ValueError as error:
        raise UsageError(f"--zoom_config={named} with these flags: {error}") from error


def checks(values: Mapping) -> list:
    """Checks of flags {flag: value} and files that need no network: callables that raise UserError."""
    flags = ("weights", *_NETWORK_FLAGS.values(), "discriminator_weights")
    start = options.from_flags(Start, values)
    return [
        lambda: options.from_flags(TrainingOptions, values),
        lambda: check_start(values),
        lambda: weights_source.check_files({flag: values[flag] for flag in flags}),
        lambda: start.stage == "pretrain_sr" or vgg.check(start.vgg_weights),
    ]


def remarks(values: Mapping) -> list[str]:
    """Hints for runs that fail their checks: a download of VGG19's weights."""
    start = options.from_flags(Start, values)
    wanted = start.vgg_weights == vgg.IMAGENET and start.stage != "pretrain_sr"
    return [vgg.DOWNLOAD] if wanted and not vgg.is_downloaded() else []


def make(strategy: tf.distribute.Strategy, values: Mapping) -> Recipe:
    """Builds networks and optimizers of --stage inside the strategy's scope.

    Args:
      strategy: its scope holds the variables.
      values: {flag: value}. --weights: the initial weights of the whole model (`weights_source`), None, or "none" for
        random weights.
    """
    start, chosen = options.from_flags(Start, values), options.from_flags(TrainingOptions, values)
    check_devices(chosen, strategy)
    check_start(values)
    with strategy.scope():
        model = _model(values, keras_compat.policy(chosen.precision))
        features = None if start.stage == "pretrain_sr" else vgg.load(start.vgg_weights)
        trainer = TRAINERS[start.stage](model, chosen, features)
        given = start.discriminator_weights  # None if --gan_weight=0, see `check_start`
        if given and given != sources.UNTRAINED:
            weights_source.load_discriminator(trainer.discriminator, given)
    return _recipe(start.stage, model, trainer, chosen)


def _model(values, dtype):
    """The whole model: that of --weights, or a new one with the networks that flags name."""
    weights = values["weights"]
    if weights and weights != sources.UNTRAINED:
        model = _with_training_fields(weights_source.load(weights, dtype), values)
    else:
        model = ZoomToInpaint(config(values), dtype=dtype)
    for network, flag in _NETWORK_FLAGS.items():
        if values[flag] and values[flag] != sources.UNTRAINED:
            weights_source.load_network(model, network, values[flag], f"--{flag}")
    return model


def _with_training_fields(model, values):
    """`model` with the flags' configuration; UsageError if the flags change a field that changes a network."""
    wanted = config(values)
    training = (
        *("name", "size", "field_of_view", "discriminator_channels"),
        *("gradient_weight", "gradient_factor"),
    )
    found, asked = model.config.to_dict(), wanted.to_dict()
    for name in found.keys() - training:
        if found[name] != asked[name]:
            raise UsageError(
                f"--weights={values['weights']} holds networks with {name} {found[name]}; --zoom_config={wanted.name} "
                f"with these flags asks for {asked[name]}"
            )
    model.config = wanted
    return model


def check_start(values: Mapping) -> None:
    """UsageError unless the flags name the stage's initial weights: pretrained networks, or 'none' for random ones.

    values: {flag: value}.
    """
    wanted, stage, weights = config(values), values["stage"], values["weights"]
    has_sr = wanted.zoom == "sr"
    if stage == "pretrain_sr" and not has_sr:
        raise UsageError(f"--zoom_config={wanted.name} has no SR network to pretrain")
    needed = [_NETWORK_FLAGS[network] for network in _STARTS_FROM[stage]]
    given = [flag for flag in _NETWORK_FLAGS.values() if values[flag]]
    for flag in given + ["discriminator_weights"] * bool(values["discriminator_weights"]):
        if stage != "joint" and flag not in needed:
            others = f"--{needed[0]} or --weights" if needed else "--weights"
            raise UsageError(f"--{flag} does not work with --stage={stage}, which takes {others}")
    if values["discriminator_weights"] and not values["gan_weight"]:
        raise UsageError("--discriminator_weights: with --gan_weight=0 there is no discriminator")
    if weights and given:
        raise UsageError(f"--weights is the whole model: it cannot go with --{given[0]}")
    if values["sr_weights"] and not has_sr:
        raise UsageError(f"--zoom_config={wanted.name} has no SR network for --sr_weights")
    missing = [f for f in needed if f not in given and (has_sr or f != "sr_weights")]
    if missing and not weights:
        raise UsageError(
            f"--stage={stage} starts from pretrained networks: --{' and --'.join(missing)} missing "
            "(a file, or 'none' for random weights); --weights starts from a whole model"
        )
    if values["frozen_batch_norm"]:
        _check_statistics(stage, weights)


def _check_statistics(stage, weights):
    """UsageError if --frozen_batch_norm has no trained averages to normalise with."""
    if stage == "pretrain_sr":
        raise UsageError("--frozen_batch_norm: the SR network has no batch norm")
    if stage != "joint" and not weights:  # joint training always starts from named weights
        raise UsageError(
            "--frozen_batch_norm normalises with averages that a new network has not learned yet, so its gates would "
            f"close (docs/training.md); --stage={stage} needs --weights with it"
        )


def _recipe(stage, model, trainer, chosen):
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
        images_per_step=chosen.batch_size,
        batch_size=chosen.batch_size,
        accumulate=chosen.accumulate,
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
    """Writes weights.npz for inference and discriminator.npz, from which joint training on large masks continues."""
    model.save(path)
    if discriminator is None:
        return
    beside = path.with_name(path.name.replace("weights", "discriminator"))
    weights_source.save_discriminator(discriminator, model.config, beside)
