"""Training of HiFill (HiFill section 3.5, Algorithm 1): a Keras model whose `train_step` is one turn of the algorithm.

One element of the data set holds critic_steps + 1 batches with their masks. Each of the critic's 5 updates uses a new
batch; the generator's one update uses the last. Generated images are pasted into the known pixels before the critic
sees them. Losses are sums over samples divided by the global batch size, because gradients are summed over replicas.
Random numbers of step n depend only on (seed, n, place in the global batch), so a resumed run and any number of
replicas draw the same numbers.
"""

from __future__ import annotations

import functools

import tensorflow as tf

from common.training import updates
from common.training.trainer import Trainer, Update
from hifill import losses
from hifill.discriminator import Discriminator
from hifill.model import HiFill
from hifill.options import TrainingOptions


class HiFillTrainer(Trainer):
    """A `HiFill`, its critic and their optimizers. Make it inside `strategy.scope()`."""

    def __init__(self, model: HiFill, options: TrainingOptions, **kwargs):
        super().__init__(options, **kwargs)
        self.generator = model
        self.discriminator = Discriminator(model.config)
        size = model.config.size
        self.discriminator(tf.zeros([1, size, size, 3]))
        self.add_part("generator", [self.generator], average=True)
        self.add_part("critic", [self.discriminator], max(1, options.critic_steps))
        updates_of = {"critic": self._judge, "generator": self._generate}
        self._updates = {
            name: self.for_xla(functools.partial(self._update, name, function))
            for name, function in updates_of.items()
        }

    def call(self, inputs):
        return self.generator(inputs)

    def train_step(self, data):
        # Turns are interleaved: turn t takes samples t, t + turns, ... Each replica thus gets its part of every turn.
        turns = self.options.critic_steps + 1
        images, masks = data[0] * 2.0 - 1.0, data[1]
        terms = {}
        for turn in range(self.options.critic_steps):
            found = self.critic_step(images[turn::turns], masks[turn::turns], turn)
            terms = updates.keep_nonfinite(terms, found)
        terms.update(self.generator_step(images[turns - 1 :: turns], masks[turns - 1 :: turns]))
        self.step.assign_add(1)
        return terms

    def step_updates(self):
        def critic(image, mask, alpha):
            return self._updates["critic"](image * 2.0 - 1.0, mask, alpha)

        def generator(image, mask):
            terms = self.generator_step(image * 2.0 - 1.0, mask)
            self.step.assign_add(1)
            return terms

        judged = [Update("critic", critic, draws=True)] * self.options.critic_steps
        return [*judged, Update("generator", generator)]

    def critic_step(self, image, mask, turn):
        """One update of the critic on [B, S, S, 3] in [-1, 1]; returns its loss terms over all replicas."""
        return self._updates["critic"](image, mask, self._alpha(turn, tf.shape(image)[0]))

    def generator_step(self, image, mask):
        """One update of the generator on [B, S, S, 3] in [-1, 1]; returns its loss terms over all replicas."""
        return self._updates["generator"](image, mask)

    def _update(self, name, function, *batch):
        gradients, terms = updates.accumulate(function, batch, self.options.accumulate)
        return updates.apply({name: self.parts[name]}, {name: gradients}, terms)

    def _judge(self, _, image, mask, alpha):
        """(gradients of the critic, terms) of a micro-batch."""
        _, refined, _ = self.generator((image, mask))
        fake, critic = paste(refined, image, mask), self.parts["critic"]
        with tf.GradientTape() as tape:
            real_scores, fake_scores = self.discriminator(image), self.discriminator(fake)
            wasserstein = self.mean(losses.critic(real_scores, fake_scores))
            penalty = self.mean(losses.gradient_penalty(self.discriminator, image, fake, alpha))
            loss = wasserstein + self.options.gradient_penalty_weight * penalty
        gradients = tape.gradient(loss, critic.variables, critic.factor())
        return gradients, {"critic": loss, "wasserstein": wasserstein, "gradient_penalty": penalty}

    def _generate(self, _, image, mask):
        """(gradients of the generator, terms) of a micro-batch."""
        o, generator = self.options, self.parts["generator"]
        with tf.GradientTape() as tape:
            coarse, refined, _ = self.generator((image, mask))
        with tf.GradientTape() as at_outputs:
            at_outputs.watch([coarse, refined])
            coarse_l1, refined_l1 = (
                self.mean(losses.reconstruction(x, image, mask, *o.of_reconstruction()))
                for x in (coarse, refined)
            )
            loss = o.coarse_weight * coarse_l1 + refined_l1
        slopes = at_outputs.gradient(loss, [coarse, refined])
        terms = {"coarse_l1": coarse_l1, "refined_l1": refined_l1}
        if o.adversarial_weight:  # without this term the critic is not needed
            slope, part, found = self._persuade(refined, image, mask, slopes[1])
            slopes[1] += slope
            loss += part
            terms.update(found)
        terms["generator"] = loss
        slopes = [generator.factor() * slope for slope in slopes]
        return tape.gradient([coarse, refined], generator.variables, slopes), terms

    def _persuade(self, refined, image, mask, of_reconstruction):
        """(gradient by the refined image, part of the loss, terms) of the adversarial term (eq. 14).

        of_reconstruction: the gradient of the other terms by the refined image, for `adversarial_balance`.
        """
        o = self.options
        with tf.GradientTape() as tape:
            tape.watch(refined)
            scores = self.discriminator(paste(refined, image, mask))
            adversarial = losses.adversarial(scores)
            part = o.adversarial_weight * self.mean(adversarial)
        slope, terms = tape.gradient(part, refined), {"adversarial": self.mean(adversarial)}
        if o.adversarial_balance:
            factor = losses.balance(slope, of_reconstruction, mask, o.adversarial_balance)
            slope *= factor[:, tf.newaxis, tf.newaxis, tf.newaxis]
            part = o.adversarial_weight * self.mean(factor * adversarial)
            terms["adversarial_factor"] = self.mean(factor)
        return slope, part, terms

    def validation_terms(self, image, mask) -> dict:
        """{term: float}: eq. 13 of both outputs at inference, a mean over the batch.

        image: array [B, S, S, 3] in [0, 1]; mask: array [B, S, S, 1]. The adversarial loss is left out: its scale
        changes during training, so its values at two steps cannot be compared.
        """
        image = tf.convert_to_tensor(image) * 2.0 - 1.0
        coarse, refined, _ = self.generator((image, tf.convert_to_tensor(mask)))
        weights = self.options.of_reconstruction()
        return {
            name: float(tf.reduce_mean(losses.reconstruction(output, image, mask, *weights)))
            for name, output in (("coarse_l1", coarse), ("refined_l1", refined))
        }

    def preview(self, image, mask) -> dict:
        """{column: [B, S, S, 3] in [0, 1]} to show beside input and truth; arguments as in `validation_terms`."""
        coarse, refined, _ = self.generator.generate(image, mask)
        return {"coarse": paste(coarse, image, mask), "result": paste(refined, image, mask)}

    def _alpha(self, turn, count):
        """alpha of Algorithm 1 for the replica's part of the global batch: [count, 1, 1, 1] in [0, 1).

        Drawn outside the compiled update, since XLA draws other numbers.
        """
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
        size = self.options.batch_size
        state = tf.random.experimental.stateless_fold_in([self.options.seed, turn], self.step)
        alpha = tf.random.stateless_uniform([size, 1, 1, 1], state)
        first = replica * (size // context.num_replicas_in_sync)
        return tf.slice(alpha, [first, 0, 0, 0], [count, 1, 1, 1])


def paste(generated, image, mask):
    """x~ = y * m + x * (1 - m) (Algorithm 1)."""
    return generated * mask + image * (1.0 - mask)
