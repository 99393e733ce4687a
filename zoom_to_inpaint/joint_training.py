"""Joint training of Zoom-to-Inpaint's networks (Zoom-to-Inpaint sections 3.1.3, 3.2 and 4.1).

L_c + L_SR + L_r (eq. 3, 5, 6), and the hinge loss of the discriminator unless its weight is 0.
"""

from __future__ import annotations

import tensorflow as tf

from zoom_to_inpaint import losses
from zoom_to_inpaint.discriminator import Discriminator
from zoom_to_inpaint.losses import blend
from zoom_to_inpaint.super_resolution import enlarge_mask
from zoom_to_inpaint.training import Compared, Trainer, labels, masked, weighted_sum


class JointTraining(Trainer):
    """All networks on crops of photographs, against a discriminator (section 3.1.3, 3.2).

    `gradients` is overridden, because generator and discriminator both need X~_r.

    discriminator: None if `gan_weight` is 0 (departure).
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

    def gradients(self, index, image, mask):
        if self.discriminator is None:
            return super().gradients(index, image, mask)
        # Both updates start from the same weights. The discriminator scores the label first, so that this memory is
        # free before the generator needs most. Generator and discriminator have separate tapes that meet at X~_r; one
        # persistent tape around both would trace gradients of gradients for the attention's loops.
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
            pictures = self.forward(image, mask, training=True)
            terms, refined = self.terms(pictures), pictures["refined"]
            supervised = weighted_sum(terms, self.term_weights())
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

    def forward(self, image, mask, training):
        config = self.model.config
        small, label = labels(image, config)
        coarse = self.model.complete_coarsely(masked(small, mask), mask, training=training)
        zoomed = self.model.super_resolution(coarse, training=training)
        zoomed_mask = enlarge_mask(mask, config.scale)
        refined = self.model.refinement((zoomed, zoomed_mask), training=training)
        return {
            **{"small": small, "mask": mask, "label": label, "zoomed_mask": zoomed_mask},
            # X_c, X~_SR and X~_r (eq. 4).
            **{"coarse": coarse, "zoomed": zoomed, "refined": blend(refined, label, zoomed_mask)},
        }

    def compared(self, found):
        return {
            "coarse_l1": Compared(found["coarse"], found["small"], found["mask"]),
            "sr_l1": Compared(found["zoomed"], found["label"]),
            "refined_l1": Compared(found["refined"], found["label"], found["zoomed_mask"]),
        }

    def term_weights(self):
        config, options = self.model.config, self.options
        return {
            **{"coarse_l1": 1.0, "refined_l1": 1.0},
            # Without an SR network this term would repeat the coarse network's L1.
            "sr_l1": float(config.zoom == "sr"),
            "coarse_vgg": options.coarse_vgg_weight,
            "refined_vgg": options.refinement_vgg_weight,
            "adversarial": options.gan_weight,
            "gradient": config.gradient_weight,
        }

    def terms(self, found):
        return {**super().terms(found), "gradient": self.mean(self._gradient(found))}

    def validated(self, found):
        return {**super().validated(found), "gradient": self._gradient(found)}

    def _gradient(self, found):
        return losses.gradient(found["refined"], found["label"], self.model.config.gradient_factor)

    def shown(self, image, mask):
        coarse, _, _, output = self.model.generate(image, mask)
        return {"coarse": coarse, "result": output}
