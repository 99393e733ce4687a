"""HiFill's loss terms on validation images: eq. 13 of both outputs, at inference and without an update.

What the critic says is left out: its scale moves while training, so two steps cannot be compared by it.
"""

from __future__ import annotations

import tensorflow as tf

from hifill import losses


def terms(model, options, image, mask) -> dict:
    """{term: float}, means over a batch, under the names of `HiFillTrainer`'s terms.

    Args:
      model: `HiFill`.
      options: `TrainingOptions`; weighs hole and context (eq. 13).
      image: [B, S, S, 3] float32 in [0, 1].
      mask: [B, S, S, 1], 1 = hole.
    """
    image = tf.convert_to_tensor(image) * 2.0 - 1.0
    coarse, refined, _ = model((image, tf.convert_to_tensor(mask)))
    weights = options.of_reconstruction()
    return {
        name: float(tf.reduce_mean(losses.reconstruction(output, image, mask, *weights)))
        for name, output in (("coarse_l1", coarse), ("refined_l1", refined))
    }
