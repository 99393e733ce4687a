"""Zoom-to-Inpaint's loss terms on validation images: what a stage learns, at inference and without an update.

The terms have the names of `training.TERMS`. What the discriminator says is left out, since its scale moves while
training, and so is the VGG term, which would cost more than the networks.
"""

from __future__ import annotations

import tensorflow as tf

from zoom_to_inpaint import losses
from zoom_to_inpaint.losses import blend
from zoom_to_inpaint.super_resolution import enlarge_mask
from zoom_to_inpaint.training import labels


def terms(stage: str, model, image, mask) -> dict:
    """{term: float}, means over a batch.

    Args:
      stage: a name of `training.TRAINERS`.
      model: `ZoomToInpaint`.
      image: [B, S, S, 3] float32 in [0, 1], a crop of the size that the stage is trained on.
      mask: [B, M, M, 1], 1 = hole, at the low resolution (pretrain_sr: not looked at).
    """
    found = _TERMS[stage](model, tf.convert_to_tensor(image), tf.convert_to_tensor(mask))
    return {name: float(tf.reduce_mean(per_sample)) for name, per_sample in found.items()}


def _coarse(model, image, mask):
    coarse = model.complete_coarsely(image * (1.0 - mask), mask, training=False)
    return {"coarse_l1": losses.l1(coarse, image)}


def _refinement(model, image, mask):
    coarse = model.complete_coarsely(image * (1.0 - mask), mask, training=False)
    refined = model.refinement((coarse, mask), training=False)
    return {"refined_l1": losses.l1(blend(refined, image, mask), image)}


def _super_resolution(model, image, mask):
    del mask
    small, label = labels(image, model.config)
    return {"sr_l1": losses.l1(model.super_resolution(small, training=False), label)}


def _joint(model, image, mask):
    small, label = labels(image, model.config)
    coarse, zoomed, refined, _ = model((small * (1.0 - mask), mask), training=False)
    refined = blend(refined, label, enlarge_mask(mask, model.config.scale))
    return {
        "coarse_l1": losses.l1(coarse, small),
        "sr_l1": losses.l1(zoomed, label),
        "refined_l1": losses.l1(refined, label),
        "gradient": losses.gradient(refined, label, model.config.gradient_factor),
    }


_TERMS = {
    "pretrain_coarse": _coarse,
    "pretrain_refinement": _refinement,
    "pretrain_sr": _super_resolution,
    "joint": _joint,
}
