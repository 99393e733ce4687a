"""Training of HiFill (H section 3.5, Algorithm 1): a Keras model whose `train_step` is one turn of the algorithm.

One element of the data holds critic_steps + 1 batches: the critic takes its 5 updates on a fresh batch with fresh
masks each, then the generator takes one on the last. Generated images are pasted into the known pixels before the
critic sees them. Losses are sums over samples divided by the global batch, because gradients are summed over
replicas. Random numbers of step n come from (seed, n, replica), so a resumed run draws the same ones.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf
from tensorflow import keras

from common import learning_rate
from hifill import losses
from hifill.discriminator import Discriminator
from hifill.model import HiFill


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """Coefficients of H section 3.5 and 4; the defaults are the paper's."""

    batch_size: int = 8  # images of one update, over all replicas
    critic_steps: int = 5  # Algorithm 1
    alpha_hole: float = 1.0  # eq. 13, alpha_1
    alpha_context: float = 1.2  # eq. 13, alpha_2
    adversarial_weight: float = 1e-4  # eq. 14, beta; the release has 1e-3
    gradient_penalty_weight: float = 10.0  # eq. 9, sigma
    learning_rate: float = 1e-4
    learning_rate_drops: tuple = ()  # see common.learning_rate
    steps: int = 300000
    adam_beta_1: float = 0.5
    adam_beta_2: float = 0.9
    seed: int = 0


class HiFillTrainer(keras.Model):
    """A `HiFill`, its critic and their optimizers. Make it inside `strategy.scope()`."""

    def __init__(self, model: HiFill, options: TrainingOptions, **kwargs):
        super().__init__(**kwargs)
        self.options = options
        self.generator = model
        self.discriminator = Discriminator(model.config)
        size = model.config.size
        self.discriminator(tf.zeros([1, size, size, 3]))
        self.generator_optimizer = self._adam(self.generator)
        self.critic_optimizer = self._adam(self.discriminator, max(1, self.options.critic_steps))
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.built = True
        # Keras wants an optimizer in `compile`; the two above are used instead.
        super().compile(optimizer="sgd", jit_compile=False)
        # The terms are already summed over replicas; Keras 2 would sum them again.
        self.distribute_reduction_method = "first"

    def _adam(self, layer, updates_per_step=1):
        o, updates = self.options, self.options.steps * updates_per_step
        rate = learning_rate.schedule(o.learning_rate, o.learning_rate_drops, updates)
        optimizer = keras.optimizers.Adam(rate, o.adam_beta_1, o.adam_beta_2)
        # Slots must exist before the first step and before a restore, inside the scope.
        optimizer.build(layer.trainable_variables)
        return optimizer

    def call(self, inputs):
        return self.generator(inputs)

    def train_step(self, data):
        images, masks = data
        parts = self.options.critic_steps + 1
        images = tf.split(images * 2.0 - 1.0, parts)
        masks = tf.split(masks, parts)
        terms = {}
        for turn in range(self.options.critic_steps):
            terms.update(self.critic_step(images[turn], masks[turn], turn))
        terms.update(self.generator_step(images[-1], masks[-1]))
        self.step.assign_add(1)
        context = tf.distribute.get_replica_context()
        return {
            name: context.all_reduce(tf.distribute.ReduceOp.SUM, value)
            for name, value in terms.items()
        }

    def critic_step(self, image, mask, turn):
        """One update of the critic on [B, S, S, 3] in [-1, 1]; returns its loss terms."""
        _, refined, _ = self.generator((image, mask))
        fake = paste(refined, image, mask)
        alpha = self._alpha(turn, tf.shape(image)[0])
        with tf.GradientTape() as tape:
            real_scores, fake_scores = self.discriminator(image), self.discriminator(fake)
            wasserstein = self._mean(losses.critic(real_scores, fake_scores))
            penalty = self._mean(losses.gradient_penalty(self.discriminator, image, fake, alpha))
            loss = wasserstein + self.options.gradient_penalty_weight * penalty
        self._apply(self.critic_optimizer, tape, loss, self.discriminator)
        return {"critic": loss, "wasserstein": wasserstein, "gradient_penalty": penalty}

    def generator_step(self, image, mask):
        """One update of the generator on [B, S, S, 3] in [-1, 1]; returns its loss terms."""
        o = self.options
        with tf.GradientTape() as tape:
            coarse, refined, _ = self.generator((image, mask))
            coarse_l1, refined_l1 = (
                self._mean(losses.reconstruction(x, image, mask, o.alpha_hole, o.alpha_context))
                for x in (coarse, refined)
            )
            fake_scores = self.discriminator(paste(refined, image, mask))
            adversarial = self._mean(losses.adversarial(fake_scores))
            loss = coarse_l1 + refined_l1 + o.adversarial_weight * adversarial
        self._apply(self.generator_optimizer, tape, loss, self.generator)
        return {
            "generator": loss,
            "coarse_l1": coarse_l1,
            "refined_l1": refined_l1,
            "adversarial": adversarial,
        }

    def _apply(self, optimizer, tape, loss, layer):
        variables = layer.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))

    def _mean(self, per_sample):
        return tf.reduce_sum(per_sample) / self.options.batch_size

    def _alpha(self, turn, count):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        state = tf.random.experimental.stateless_fold_in([self.options.seed, turn], self.step)
        state = tf.random.experimental.stateless_fold_in(state, replica)
        return tf.random.stateless_uniform([count, 1, 1, 1], state)


def paste(generated, image, mask):
    """x~ = y * m + x * (1 - m) (Algorithm 1)."""
    return generated * mask + image * (1.0 - mask)
