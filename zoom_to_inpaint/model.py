"""Zoom-to-Inpaint: coarse completion, zoom in, refinement at high resolution, zoom out (section 3.1, Figure 2).

    X_m = (1 - M) X                                      (eq. 1)
    X_c = M f_c(X_m, M) + X_m                            (eq. 2)
    X~_SR = zoom_in(X_c),   M~ = nearest(M)              (section 3.1.2, 3.1.3)
    X_r = M zoom_out(f_r(X~_SR, M~)) + (1 - M) X_m       (eq. 7), clipped to [0, 1]

Departure: the coarse network's output may be added to a membrane instead of eq. 2 (`ZoomConfig.start`).

Each of the three networks can be replaced by another with the same inputs and outputs (section 5). Images are
[B, H, W, 3] float32 RGB in [0, 1], masks [B, H, W, 1] with 1 = hole.
"""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf
from tensorflow import keras

from common.errors import UserError
from common.models import batch, membrane
from common.models.composite import BuiltByCalling
from common.models.stored_model import StoredModel
from zoom_to_inpaint import photograph
from zoom_to_inpaint.coarse_network import CoarseNetwork
from zoom_to_inpaint.config import PAPER, ZoomConfig
from zoom_to_inpaint.losses import blend
from zoom_to_inpaint.refinement_network import RefinementNetwork
from zoom_to_inpaint.super_resolution import enlarge_mask, zoom_in, zoom_out


class ZoomToInpaint(StoredModel, BuiltByCalling, keras.Model):
    """The three networks and their connections. The weights are random until they are loaded.

    Args:
      config: `zoom_to_inpaint.PAPER` (default), one of `zoom_to_inpaint.CONFIGS`, or one of your own.
      coarse: replaces the coarse network: a Keras layer ((masked image, mask), training) -> f_c, all [B, H, W, *];
        its output outside the hole is not used.
      super_resolution: replaces the zoom: a layer (image, training) -> [B, sH, sW, 3].
      refinement: replaces the refinement network: a layer ((zoomed image, zoomed mask), training) -> f_r.
        AutoGraph does not convert these layers, so a branch on a tensor's value needs `tf.cond`.
      dtype: Keras dtype policy of the paper's networks, "float32" or "mixed_bfloat16".
    """

    NAME = "zoom_to_inpaint"
    CONFIG = ZoomConfig
    PACKAGE = pathlib.Path(__file__).parent

    def __init__(
        self,
        config: ZoomConfig = PAPER,
        coarse=None,
        super_resolution=None,
        refinement=None,
        dtype="float32",
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # each network casts its own input
        self.config = config
        given = {"coarse": coarse, "super_resolution": super_resolution, "refinement": refinement}
        # `is None`, because an empty container of layers is false.
        self.plugged_in = tuple(name for name, layer in given.items() if layer is not None)
        self.coarse = CoarseNetwork(config, dtype=dtype) if coarse is None else coarse
        self.super_resolution = (
            zoom_in(config, dtype=dtype) if super_resolution is None else super_resolution
        )
        self.refinement = (
            RefinementNetwork(config, dtype=dtype) if refinement is None else refinement
        )
        side = config.size if self.plugged_in else 2 * config.multiple  # the paper's take any size
        self._try_plugged_in(side)
        self((tf.zeros([1, side, side, 3]), tf.zeros([1, side, side, 1])))  # creates the variables
        signature = [tf.TensorSpec([None, None, None, channels], tf.float32) for channels in (3, 1)]
        options = {"input_signature": signature, "autograph": False}
        self._generate = tf.function(self._generate_padded, **options)
        self._fill = tf.function(self._fill_padded, **options)

    def _try_plugged_in(self, side):
        """UserError unless plugged-in networks return images of the right size; others could broadcast silently."""
        large = self.config.scale * side
        image, mask = tf.zeros([1, side, side, 3]), tf.zeros([1, side, side, 1])
        zoomed, zoomed_mask = tf.zeros([1, large, large, 3]), tf.zeros([1, large, large, 1])
        calls = {
            "coarse": ((image, mask), side),
            "super_resolution": (image, large),
            "refinement": ((zoomed, zoomed_mask), large),
        }
        for name in self.plugged_in:
            inputs, expected = calls[name]
            shape = tuple(getattr(self, name)(inputs, training=False).shape)
            if shape != (1, expected, expected, 3):
                raise UserError(
                    f"the {name} network returns shape {shape}; expected {(1, expected, expected, 3)}"
                )

    def call(self, inputs, training=None, hole_only=False):
        """The whole pipeline on sides that need no padding (`config.multiple`).

        Args:
          inputs: (image, mask). image: [B, H, W, 3] float32 in [0, 1]; values under the mask are ignored.
            mask: [B, H, W, 1] float32, 1 = hole.
          hole_only: skips what the final blend discards; the first three results are then valid in the hole alone.

        Returns:
          X_c, X~_SR, f_r(X~_SR, M~) before any blend, and the final output in [0, 1]; float32.
        """
        image, mask = inputs
        masked = tf.where(mask > 0, 0.0, image)
        mask = tf.cast(mask > 0, tf.float32)
        coarse = self.complete_coarsely(masked, mask, training, hole_only)
        zoomed = self.super_resolution(coarse, training=training)
        zoomed_mask = enlarge_mask(mask, self.config.scale)
        refined = _apply(self.refinement, (zoomed, zoomed_mask), training, hole_only)
        output = blend(zoom_out(refined, self.config.scale), masked, mask)
        return coarse, zoomed, refined, tf.clip_by_value(output, 0.0, 1.0)

    def complete_coarsely(self, masked, mask, training=None, hole_only=False):
        """X_c (eq. 2) of a masked image; with a membrane start f_c is added to the membrane."""
        if self.config.start == "zero":
            found = _apply(self.coarse, (masked, mask), training, hole_only)
        else:
            start = membrane.fill(masked, mask)
            found = start + _apply(self.coarse, (start, mask), training, hole_only)
        return blend(found, masked, mask)

    def _generate_padded(self, image, mask):
        height, width = tf.shape(image)[1], tf.shape(image)[2]
        results = self((self._padded(image), self._padded(mask)), training=False)
        scales = (1, self.config.scale, self.config.scale, 1)
        return tuple(x[:, : s * height, : s * width] for x, s in zip(results, scales))

    def _fill_padded(self, image, mask):
        height, width = tf.shape(image)[1], tf.shape(image)[2]
        inputs = self._padded(image), self._padded(mask)
        return self(inputs, training=False, hole_only=True)[3][:, :height, :width]

    def _padded(self, x):
        """Extended to the right and below by reflection; reflected pixels count as context."""
        for axis in (1, 2):
            length = tf.shape(x)[axis]
            position = tf.range(-(-length // self.config.multiple) * self.config.multiple)
            position = position % (2 * length)
            x = tf.gather(x, tf.minimum(position, 2 * length - 1 - position), axis=axis)
        return x

    def generate(self, image, mask):
        """The pipeline on a batch (section 3.1).

        Args:
          image: [B, H, W, 3] float32 RGB in [0, 1], any H and W; ignored under the mask.
          mask: [B, H, W, 1] float32, 1 = hole.

        Returns:
          coarse [B, H, W, 3]: X_c, blended with the input (eq. 2).
          super_resolved [B, sH, sW, 3]: X~_SR.
          refined_hr [B, sH, sW, 3]: f_r(X~_SR, M~), before any blend.
          output [B, H, W, 3]: X_r (eq. 7) in [0, 1], equal to `image` where the mask is 0.

        Raises:
          UserError: wrong shapes, integers, or NaN outside the hole.
        """
        image, mask = batch.check(image, mask)
        return self._generate(image, mask)

    def fill(self, image, mask):
        """The output of `generate` alone, at less cost: values that do not affect the hole are not computed."""
        image, mask = batch.check(image, mask)
        return self._fill(image, mask)

    def attention(self, image, mask):
        """The refinement network's attention [B, N, N] float32; row j: weights of all positions for position j.

        image, mask: as for `generate`, sides multiples of `config.multiple`; N = (sH / 8) * (sW / 8).
        """
        if "refinement" in self.plugged_in:
            raise UserError("the refinement network was replaced; its attention is unknown")
        image, mask = batch.check(image, mask)
        if any(side % self.config.multiple for side in image.shape[1:3]):
            raise UserError(
                f"image has shape {tuple(image.shape)}; sides must be multiples of {self.config.multiple}"
            )
        coarse = self.complete_coarsely(tf.where(mask > 0, 0.0, image), mask)
        zoomed_mask = enlarge_mask(mask, self.config.scale)
        return self.refinement.attention_map((self.super_resolution(coarse), zoomed_mask))

    def inpaint(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Fills the hole of one photograph of any size.

        Args:
          image: uint8 [H, W, 3] RGB.
          mask: uint8 [H, W], nonzero = hole.

        Returns:
          uint8 [H, W, 3]; equal to `image` wherever the mask is 0.

        Raises:
          UserError: wrong shapes or dtypes, or a mask without any known pixel.
        """
        return photograph.inpaint(self.fill, image, mask)

    def check_savable(self):
        if self.plugged_in:
            raise UserError(
                f"a model with another {' and '.join(self.plugged_in)} network cannot be saved as a whole; "
                "save its networks one by one"
            )


def _apply(network, inputs, training, hole_only):
    """Calls a network; only the paper's networks take `hole_only`."""
    if hole_only and isinstance(network, (CoarseNetwork, RefinementNetwork)):
        return network(inputs, training=training, hole_only=True)
    return network(inputs, training=training)
