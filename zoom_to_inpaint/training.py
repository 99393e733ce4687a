"""Training of Zoom-to-Inpaint (Z sections 3.1, 3.2, 4.1): one Keras model per stage, whose `train_step` is one update.

    CoarsePretraining            L_c                            eq. 3
    RefinementPretraining        L1 and VGG of eq. 5            section 4.1, "we only use the L1 loss and the VGG loss"
    SuperResolutionPretraining   L_SR                           section 3.1.2
    JointTraining                L_c + L_SR + L_r, and the discriminator's hinge loss    eq. 3, 5, 6; without a
                                 discriminator where its weight is 0

SR and joint training take crops of a photograph, of which the labels at both resolutions are reductions
(`ZoomConfig.crop_size`); the other stages take labels at the low resolution.

Every trainer reports the terms it has under the names of `TERMS`, unweighted, and their weighted sum as `generator`.
Losses are sums over samples divided by the global batch, because gradients are summed over replicas.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from common.training import trainer, updates
from zoom_to_inpaint import losses
from zoom_to_inpaint.discriminator import Discriminator
from zoom_to_inpaint.gated_convolution import freeze_statistics, warm_up_statistics
from zoom_to_inpaint.losses import blend
from zoom_to_inpaint.model import ZoomToInpaint
from zoom_to_inpaint.super_resolution import enlarge_mask

TERMS = (
    *("coarse_l1", "coarse_vgg", "sr_l1"),
    *("refined_l1", "refined_vgg", "adversarial", "gradient", "discriminator"),
)


@dataclasses.dataclass(frozen=True)
class TrainingOptions(trainer.CommonOptions):
    """Coefficients of Z section 4.1; the defaults are those of joint training.

    The weight of the gradient loss is the configuration's, because rows of Tables 3 and 5 differ in it.
    """

    batch_size: int = 16  # images of one update, over all replicas and micro-batches
    coarse_vgg_weight: float = 0.01  # lambda phi_c; also that of refinement pretraining
    refinement_vgg_weight: float = 1e-5  # lambda phi_r
    gan_weight: float = 0.5  # lambda GAN_r; 0: there is no discriminator
    hole_by_area: bool = False  # L1 of the hole as a mean over it instead of the image (departure)
    frozen_batch_norm: bool = False  # normalise with the moving averages, which stay as they are
    batch_norm_warmup: bool = False  # moving averages that follow the first batches closely
    learning_rate: float = 1e-5


class Trainer(trainer.Trainer):
    """What the stages share. Make it inside `strategy.scope()`.

    Args:
      model: the whole `ZoomToInpaint`; a stage changes its own networks alone.
      options: coefficients.
      vgg: `vgg.VGGFeatures`, or None for training without that term.
    """

    def __init__(self, model: ZoomToInpaint, options: TrainingOptions, vgg=None, **kwargs):
        super().__init__(options, **kwargs)
        self.model, self.vgg = model, vgg
        for network in self.networks().values():
            if options.frozen_batch_norm:
                freeze_statistics(network)
            if options.batch_norm_warmup:
                # From the count that a checkpoint holds, so a run that goes on has the same momentum.
                warm_up_statistics(network, lambda: self.step)
        self.add_part("generator", list(self.networks().values()), average=True)

    def networks(self) -> dict:
        """{name: network} that this stage trains."""
        raise NotImplementedError

    def assigned(self) -> list:
        """Variables that a forward pass assigns: the moving statistics of batch norm."""
        return [v for layer in self.networks().values() for v in layer.non_trainable_variables]

    def call(self, inputs):
        return self.model(inputs)

    def train_step(self, data):
        terms = self.update(*data)
        self.step.assign_add(1)
        return terms

    def update(self, image, mask) -> dict:
        """One update on images [B, S, S, 3] in [0, 1] and masks [B, M, M, 1]; returns the terms over all replicas."""
        remembered = updates.remember(self.assigned())
        gradients, terms = updates.accumulate(
            self.gradients, (image, mask), self.options.accumulate
        )
        return updates.apply(self.parts, gradients, terms, remembered)

    def gradients(self, _, image, mask) -> tuple:
        """({part: gradients}, terms) of a micro-batch."""
        part = self.parts["generator"]
        with tf.GradientTape() as tape:
            terms, weights = self.losses(image, mask)
            loss = weighted_sum(terms, weights)
        found = tape.gradient(loss, part.variables, part.factor())
        return {"generator": found}, {"generator": loss, **terms}

    def losses(self, image, mask) -> tuple:
        """({term: value}, {term: its weight in the sum}) of one batch."""
        raise NotImplementedError

    def hole_l1(self, prediction, label, mask):
        """Mean over the batch of the L1 of a blended result and its label."""
        found = losses.blended_l1(prediction, label, mask, self.options.hole_by_area)
        return self.mean(found)

    def vgg_term(self, name, prediction, label) -> dict:
        """{name: VGG term} of an image and its label, or nothing when training without."""
        if self.vgg is None:
            return {}
        features = tf.stop_gradient(self.vgg(label))
        return {name: self.mean(losses.feature_l1(self.vgg(prediction), features))}


def weighted_sum(terms, weights):
    """Sum of the terms that have a weight other than 0, float32."""
    return tf.add_n([weights[name] * term for name, term in terms.items() if weights[name]])


def _masked(image, mask):
    return image * (1.0 - mask)  # eq. 1


class CoarsePretraining(Trainer):
    """The coarse network on images at its own resolution (eq. 3)."""

    def networks(self):
        return {"coarse": self.model.coarse}

    def losses(self, image, mask):
        coarse = self.model.complete_coarsely(_masked(image, mask), mask, training=True)
        terms = {"coarse_l1": self.hole_l1(coarse, image, mask)}
        terms.update(self.vgg_term("coarse_vgg", coarse, image))
        return terms, {"coarse_l1": 1.0, "coarse_vgg": self.options.coarse_vgg_weight}


class RefinementPretraining(Trainer):
    """The refinement network on what a pretrained coarse network, which stays as it is, makes of the masked image.

    The paper pretrains it separately and does not say on what. In joint training its output is added to a coarse
    result: one that has learned to fill an empty hole would add a second colour to the one that is there.
    """

    def networks(self):
        return {"refinement": self.model.refinement}

    def losses(self, image, mask):
        coarse = self.model.complete_coarsely(_masked(image, mask), mask, training=False)
        refined = self.model.refinement((tf.stop_gradient(coarse), mask), training=True)
        refined = blend(refined, image, mask)
        terms = {"refined_l1": self.hole_l1(refined, image, mask)}
        terms.update(self.vgg_term("refined_vgg", refined, image))
        return terms, {"refined_l1": 1.0, "refined_vgg": self.options.coarse_vgg_weight}


class SuperResolutionPretraining(Trainer):
    """The SR network on complete images and their bicubic reductions (section 3.1.2)."""

    def networks(self):
        return {"super_resolution": self.model.super_resolution}

    def losses(self, image, mask):
        del mask
        small, label = labels(image, self.model.config)
        zoomed = self.model.super_resolution(small, training=True)
        return {"sr_l1": self.mean(losses.l1(zoomed, label))}, {"sr_l1": 1.0}


class JointTraining(Trainer):
    """All networks on crops of photographs, against a discriminator (section 3.1.3, 3.2).

    It has `gradients` of its own, because two updates meet at X~_r.

    discriminator: None where the options give its judgement no weight (departure).
    """

    def __init__(self, model, options, vgg=None, **kwargs):
        super().__init__(model, options, vgg, **kwargs)
        self.discriminator = None
        if not options.gan_weight:
            return
        self.discriminator = Discriminator(model.config)
        side = model.config.label_size
        self.discriminator((tf.zeros([1, side, side, 3]), tf.zeros([1, side, side, 1])))
        self.add_part("discriminator", [self.discriminator])

    def networks(self):
        parts = ("coarse", "super_resolution", "refinement")
        return {name: getattr(self.model, name) for name in parts}

    def assigned(self):
        # Spectral normalization writes kernels back.
        judge = self.discriminator
        return super().assigned() + (list(judge.variables) if judge else [])

    def losses(self, image, mask):
        return self._generate(image, mask)[:2]

    def gradients(self, index, image, mask):
        if self.discriminator is None:
            return super().gradients(index, image, mask)
        # Both updates start from the same weights. The label is judged first, and alone: what that needs is free again
        # before the generator needs most. The tapes around the generator and the discriminator meet at X~_r: a
        # persistent one around both would trace gradients of gradients for the attention's loops.
        generator, discriminator = self.parts["generator"], self.parts["discriminator"]
        zoomed_mask = enlarge_mask(mask, self.model.config.scale)
        _, label = labels(image, self.model.config)
        with tf.GradientTape() as label_tape:
            real = self.discriminator((label, zoomed_mask), training=True)
            hinge_real = self.mean(losses.hinge_real(real))
        factor = discriminator.factor()
        toward_real = label_tape.gradient(hinge_real, discriminator.variables, factor)
        with tf.control_dependencies(toward_real):
            image = tf.identity(image)
        with tf.GradientTape() as tape:
            terms, weights, refined, _ = self._generate(image, mask)
            supervised = weighted_sum(terms, weights)
        with tf.GradientTape(persistent=True) as judge:
            judge.watch(refined)
            fake = self.discriminator((refined, zoomed_mask))
            adversarial = self.mean(losses.hinge_generator(fake))
            weighted = self.options.gan_weight * adversarial
            hinge_fake = self.mean(losses.hinge_fake(fake))
        toward_fake = judge.gradient(hinge_fake, discriminator.variables, factor)
        factor = generator.factor()
        upstream = [factor, judge.gradient(weighted, refined, factor)]
        del judge
        found = {
            "generator": tape.gradient([supervised, refined], generator.variables, upstream),
            "discriminator": [one + other for one, other in zip(toward_real, toward_fake)],
        }
        terms.update(adversarial=adversarial, discriminator=hinge_real + hinge_fake)
        return found, {"generator": supervised + weighted, **terms}

    def _generate(self, image, mask):
        """Terms without the adversarial one, all weights, X~_r (eq. 4) and M~."""
        config, options = self.model.config, self.options
        small, label = labels(image, config)
        coarse = self.model.complete_coarsely(_masked(small, mask), mask, training=True)
        zoomed = self.model.super_resolution(coarse, training=True)
        zoomed_mask = enlarge_mask(mask, config.scale)
        refined = self.model.refinement((zoomed, zoomed_mask), training=True)
        refined = blend(refined, label, zoomed_mask)
        gradient = losses.gradient(refined, label, config.gradient_factor)
        terms = {
            "coarse_l1": self.hole_l1(coarse, small, mask),
            **self.vgg_term("coarse_vgg", coarse, small),
            "sr_l1": self.mean(losses.l1(zoomed, label)),
            "refined_l1": self.hole_l1(refined, label, zoomed_mask),
            **self.vgg_term("refined_vgg", refined, label),
            "gradient": self.mean(gradient),
        }
        weights = {
            **{"coarse_l1": 1.0, "refined_l1": 1.0},
            # Without an SR network it would be the coarse network's L1 a second time.
            "sr_l1": float(config.zoom == "sr"),
            "coarse_vgg": options.coarse_vgg_weight,
            "refined_vgg": options.refinement_vgg_weight,
            "adversarial": options.gan_weight,
            "gradient": config.gradient_weight,
        }
        return terms, weights, refined, zoomed_mask


def labels(image, config) -> tuple:
    """(X [B, size, size, 3], X~ [B, label_size, label_size, 3]) of crops [B, S, S, 3], all in [0, 1].

    Both are reductions of the crop itself: with one field of view all scales have the same X.
    """
    return tuple(reduced_to(image, side) for side in (config.size, config.label_size))


def reduced_to(image, side):
    """[B, S, S, 3] -> [B, side, side, 3] in [0, 1], bicubic with antialiasing; of the same side it is the image."""
    if image.shape[1] == side:
        return image
    small = tf.image.resize(image, [side, side], "bicubic", antialias=True)
    return tf.clip_by_value(small, 0.0, 1.0)


TRAINERS = {
    "pretrain_coarse": CoarsePretraining,
    "pretrain_refinement": RefinementPretraining,
    "pretrain_sr": SuperResolutionPretraining,
    "joint": JointTraining,
}
