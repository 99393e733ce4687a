"""The whole of HiFill: from a photograph with a hole to the filled photograph (HiFill section 3.1, Figure 2).

    image, mask --average down--> 512 x 512 --generator--> completion 512, attention
    completion --bilinear up--> + residuals of the context, aggregated with the attention --> filled hole

`generate` runs the generator alone on [B, 512, 512, *] in [0, 1], and `fill` only what the hole needs of it. `inpaint`
runs the whole pipeline on one uint8 photograph of any size (`hifill.photograph`). The two networks take RGB in [-1, 1]
with 0 in the hole.
"""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf
from tensorflow import keras

from common.models import batch, membrane
from common.models.composite import BuiltByCalling
from common.models.stored_model import StoredModel
from hifill import photograph
from hifill.coarse_network import CoarseNetwork
from hifill.config import PAPER, HiFillConfig
from hifill.refinement_network import RefinementNetwork


class HiFill(StoredModel, BuiltByCalling, keras.Model):
    """The generator of HiFill: coarse and refinement network. The weights are random until they are loaded.

    Args:
      config: `hifill.PAPER` (default), `hifill.RELEASE`, or one of your own.
      dtype: Keras dtype policy of the networks, such as "float32" or "mixed_bfloat16"; weights are always float32.
    """

    NAME = "hifill"
    CONFIG = HiFillConfig
    PACKAGE = pathlib.Path(__file__).parent

    def __init__(self, config: HiFillConfig = PAPER, dtype="float32", **kwargs):
        super().__init__(autocast=False, **kwargs)  # each network casts its own input
        self.config, self._precision = config, dtype
        self.coarse = CoarseNetwork(config, dtype=dtype)
        self.refinement = RefinementNetwork(config, dtype=dtype)
        # The networks are fully convolutional, so the smallest image creates every variable.
        self((tf.zeros([1, 64, 64, 3]), tf.zeros([1, 64, 64, 1])))
        self._generate = _traced(self._generate_unit, config.size)
        self._fill = {size: _traced(self._fill_unit, size) for size in config.sizes}

    def call(self, inputs, training=None):
        """Both networks on images in [-1, 1].

        Args:
          inputs: (image, mask). image: [B, S, S, 3] float32 in [-1, 1]; values under the mask are ignored.
            mask: [B, S, S, 1] float32, 1 = hole.

        Returns:
          coarse, refined: [B, S, S, 3] float32 in [-1, 1], before pasting.
          attention: `hifill.attention.Attention`.
        """
        del training  # no layer behaves differently in training
        return self._complete(*inputs)

    def _complete(self, image, mask, hole_only=False):
        """`call`; hole_only: see `RefinementNetwork`."""
        mask = tf.cast(mask > 0.5, tf.float32)
        start = tf.where(mask > 0, 0.0, tf.cast(image, tf.float32))
        if self.config.start == "membrane":
            start = membrane.fill(start, mask)
        coarse = self._added(start, self.coarse(tf.concat([start, mask], axis=-1)))
        pasted = start * (1.0 - mask) + coarse * mask
        inputs = tf.concat([pasted, mask], axis=-1)
        refined, attention = self.refinement(inputs, mask, hole_only=hole_only)
        return coarse, self._added(pasted, refined), attention

    def _added(self, image, output):
        """A network's image, float32 in [-1, 1]: its output, added to `image` if the start is a membrane."""
        output = tf.cast(output, tf.float32)
        if self.config.start == "zero":
            return output
        return tf.clip_by_value(image + output, -1.0, 1.0)

    def _generate_unit(self, image, mask):
        coarse, refined, attention = self((image * 2.0 - 1.0, mask))
        return (coarse + 1.0) / 2.0, (refined + 1.0) / 2.0, attention.dense()

    def _fill_unit(self, image, mask):
        _, refined, attention = self._complete(image * 2.0 - 1.0, mask, hole_only=True)
        return tf.where(mask > 0, (refined + 1.0) / 2.0, image), attention.dense()

    def generate(self, image, mask):
        """The generator on a batch (section 3.3).

        Args:
          image: [B, S, S, 3] float32 RGB in [0, 1], S = config.size; ignored under the mask.
          mask: [B, S, S, 1] float32, 1 = hole.

        Returns:
          coarse, refined: [B, S, S, 3] float32 in [0, 1], both before pasting.
          attention: [B, N, N] float32, N = (S / 16)^2; row j holds the weights of the context patches that
            fill patch j. Rows of patches without a hole are zero, unless the configuration fills every patch.

        Raises:
          UserError: as `common.models.batch.check`.
        """
        image, mask = batch.check(image, mask, self.config.size)
        return self._generate(image, mask)

    def fill(self, image, mask):
        """The filled image [B, S, S, 3] float32 and the attention of `generate`, at less cost.

        Arguments and errors are those of `generate`, but S may also be config.large_size. The decoder of the refinement
        network computes only the surroundings of the hole (`hifill.hole_part`), so the time depends on the rectangle
        around the hole.
        """
        size = tuple(getattr(image, "shape", ()))[1:2]
        size = size[0] if size and size[0] in self._fill else self.config.size
        return self._fill[size](*batch.check(image, mask, size))

    def inpaint(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Fills the hole of one photograph of any size.

        Args:
          image: uint8 [H, W, 3] RGB, H and W at least 16.
          mask: uint8 [H, W], nonzero = hole.

        Returns:
          uint8 [H, W, 3]; equal to `image` wherever the mask is 0.

        Raises:
          UserError: wrong shapes or dtypes, sides below 16, or a mask without any known pixel.
        """
        return photograph.inpaint(self.fill, self.config, image, mask)

    def at_size(self, size: int) -> HiFill:
        """A new model with the same weights for another `size`: a multiple of 32, at least 64."""
        return self.with_config(self.config.at_size(size))

    def with_config(self, config: HiFillConfig) -> HiFill:
        """A new model with the same weights; config: one whose networks have weights of the same shapes."""
        model = HiFill(config, self._precision)
        model.set_weights(self.get_weights())
        return model


def _traced(function, size):
    """`function` of a batch of images and masks as a graph."""
    batch_of = [tf.TensorSpec([None, size, size, channels], tf.float32) for channels in (3, 1)]
    return tf.function(function, input_signature=batch_of, autograph=False)
