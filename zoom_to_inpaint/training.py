"""Training of Zoom-to-Inpaint (sections 3.1, 3.2, 4.1): the common base of its stages. Each stage
(`zoom_to_inpaint.pretraining`, `zoom_to_inpaint.joint_training`) is a Keras model whose `train_step` is one update.

SR and joint training take crops of a photograph (`ZoomConfig.crop_size`) and reduce them to labels at both
resolutions; the other stages take labels at the low resolution.

A stage defines its networks, forward pass, loss terms, validation terms and preview pictures. It reports its unweighted
terms (coarse_l1, coarse_vgg, sr_l1, refined_l1, refined_vgg, adversarial, gradient, discriminator) and their weighted
sum, `generator`. Losses are sums over samples divided by the global batch size, because gradients are summed over
replicas. Validation computes the same terms at inference, as means over the image, without the adversarial loss, whose
scale changes during training, and without the VGG loss, which would cost more than the networks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from common.models import plain_ops
from common.training import trainer, updates
from zoom_to_inpaint import losses
from zoom_to_inpaint.gated_convolution import freeze_statistics, warm_up_statistics
from zoom_to_inpaint.model import ZoomToInpaint
from zoom_to_inpaint.options import TrainingOptions


class Compared(NamedTuple):
    """A result [B, S, S, 3] and its label; mask: [B, S, S, 1] if they are equal outside the hole, else None."""

    result: tf.Tensor
    label: tf.Tensor
    mask: tf.Tensor | None = None


class Trainer(trainer.Trainer):
    """The base class of the stages. Make it inside `strategy.scope()`.

    Args:
      model: the whole `ZoomToInpaint`; a stage trains only its own networks.
      options: coefficients.
      vgg: `vgg.VGGFeatures`, or None to train without the VGG loss.
    """

    def __init__(self, model: ZoomToInpaint, options: TrainingOptions, vgg=None, **kwargs):
        super().__init__(options, **kwargs)
        self.model, self.vgg = model, vgg
        for network in self.networks().values():
            if options.frozen_batch_norm:
                freeze_statistics(network)
            if options.batch_norm_warmup:
                # The checkpoint holds `self.step`, so a resumed run has the same momentum.
                warm_up_statistics(network, lambda: self.step)
        self.add_part("generator", list(self.networks().values()), average=True)
        self.update = self.for_xla(self._update)

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

    def _update(self, image, mask) -> dict:
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

    def forward(self, image, mask, training: bool) -> dict:
        """{name: image} of one pass over images [B, S, S, 3] in [0, 1] and masks [B, M, M, 1]; labels included."""
        raise NotImplementedError

    def compared(self, found: dict) -> dict[str, Compared]:
        """{name of an L1 term: result and label} of a forward pass."""
        raise NotImplementedError

    def term_weights(self) -> dict:
        """{term: its weight in the sum}."""
        raise NotImplementedError

    def losses(self, image, mask) -> tuple:
        """({term: value}, {term: its weight in the sum}) of one batch."""
        return self.terms(self.forward(image, mask, training=True)), self.term_weights()

    def terms(self, found: dict) -> dict:
        """{term: value} of a forward pass; with a VGG, results with a hole have a VGG term too."""
        terms = {}
        for name, pair in self.compared(found).items():
            terms[name] = self.mean(self._l1(pair))
            if self.vgg is not None and pair.mask is not None:
                features = tf.stop_gradient(self.vgg(pair.label))
                perceived = losses.l1(self.vgg(pair.result), features)
                terms[name.replace("_l1", "_vgg")] = self.mean(perceived)
        return terms

    def _l1(self, pair):
        if pair.mask is None:
            return losses.l1(pair.result, pair.label)
        return losses.blended_l1(*pair, self.options.hole_by_area)

    def validation_terms(self, image, mask) -> dict:
        """{term: float}, means over images [B, S, S, 3] and masks [B, M, M, 1], arrays or tensors."""
        found = self.at_inference(image, mask)
        return {name: float(tf.reduce_mean(x)) for name, x in self.validated(found).items()}

    def validated(self, found: dict) -> dict:
        """{term: one value per image} of a forward pass."""
        pairs = self.compared(found).items()
        return {name: losses.l1(pair.result, pair.label) for name, pair in pairs}

    def preview(self, image, mask) -> dict:
        """{column: [B, S, S, 3] in [0, 1]} to show beside input and truth; arguments as in `validation_terms`."""
        shown = self.shown(image, mask).items()
        return {name: np.clip(np.asarray(picture), 0.0, 1.0) for name, picture in shown}

    def shown(self, image, mask) -> dict:
        """{column: image of any range}; arguments as in `validation_terms`."""
        raise NotImplementedError

    def at_inference(self, image, mask) -> dict:
        """`forward` of arrays or tensors, without updating statistics."""
        return self.forward(*map(tf.convert_to_tensor, (image, mask)), training=False)


def weighted_sum(terms, weights):
    """Sum of the terms that have a weight other than 0, float32."""
    return tf.add_n([weights[name] * term for name, term in terms.items() if weights[name]])


def masked(image, mask):
    return image * (1.0 - mask)  # eq. 1


def labels(image, config) -> tuple:
    """(X [B, size, size, 3], X~ [B, label_size, label_size, 3]) of crops [B, S, S, 3], all in [0, 1].

    Both are reduced from the crop, so all scales with the same field of view have the same X.
    """
    return tuple(reduced_to(image, side) for side in (config.size, config.label_size))


def reduced_to(image, side):
    """[B, S, S, 3] -> [B, side, side, 3] in [0, 1], bicubic with antialiasing; unchanged if S = side."""
    if image.shape[1] == side:
        return image
    resize = plain_ops.resize if plain_ops.wanted() else tf.image.resize
    small = resize(image, [side, side], "bicubic", antialias=True)
    return tf.clip_by_value(small, 0.0, 1.0)
