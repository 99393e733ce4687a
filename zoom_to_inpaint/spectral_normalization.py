"""Spectral normalization of the discriminator's layers (Zoom-to-Inpaint section 3.1.3, [29]).

The one module that knows TensorFlow Addons: where it is installed its `SpectralNormalization` is used, elsewhere
Keras' own. Both take one step of power iteration per call with training=True and write the divided kernel back.
Addons reached its end of life with Keras 2 and cannot be imported beside Keras 3.
"""

from __future__ import annotations

import importlib.util
import warnings

from tensorflow import keras

from common import keras_compat

if not keras_compat.KERAS_3 and importlib.util.find_spec("tensorflow_addons"):
    with warnings.catch_warnings():  # the notice of its end of life
        warnings.simplefilter("ignore")
        from tensorflow_addons.layers import SpectralNormalization as _SpectralNormalization
else:
    _SpectralNormalization = keras.layers.SpectralNormalization


class SpectralNormalization(_SpectralNormalization):
    """A layer divided by its kernel's largest singular value; for images of any size."""

    def add_weight(self, *args, name=None, **kwargs):
        # One name for both libraries' vector, so that each reads the other's files.
        return super().add_weight(*args, name={"sn_u": "vector_u"}.get(name, name), **kwargs)

    def build(self, input_shape):
        super().build(input_shape)
        self.input_spec = None  # both pin the size of the first image they see
