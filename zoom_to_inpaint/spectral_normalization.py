"""Spectral normalization of the discriminator's layers (Zoom-to-Inpaint section 3.1.3, [29]).

Uses TensorFlow Addons' `SpectralNormalization` if Addons is installed, otherwise Keras'. Both take one step of power
iteration per call with training=True and write the divided kernel back. No other module imports Addons, which ended
with Keras 2 and cannot be imported beside Keras 3.
"""

from __future__ import annotations

import importlib.util
import warnings

from tensorflow import keras

from common import keras_compat

if not keras_compat.KERAS_3 and importlib.util.find_spec("tensorflow_addons"):
    with warnings.catch_warnings():  # Addons' end-of-life notice
        warnings.simplefilter("ignore")
        from tensorflow_addons.layers import SpectralNormalization as _SpectralNormalization
else:
    _SpectralNormalization = keras.layers.SpectralNormalization


class SpectralNormalization(_SpectralNormalization):
    """A layer divided by its kernel's largest singular value; for images of any size."""

    def add_weight(self, *args, name=None, **kwargs):
        # The same name in both libraries, so that each reads the other's weights files.
        return super().add_weight(*args, name={"sn_u": "vector_u"}.get(name, name), **kwargs)

    def build(self, input_shape):
        super().build(input_shape)
        self.input_spec = None  # both libraries fix the size of the first image here
