"""Layers made of layers, for Keras 2 and 3."""

from __future__ import annotations

from tensorflow import keras


class BuiltByCalling:
    """Mixin of a layer or model whose inner layers make their variables at the first eager call.

    Without it, Keras 3 traces each such layer to build it, and an inner layer once per outer layer. This takes two
    seconds for Zoom-to-Inpaint and five for HiFill.
    """

    def build(self, input_shape=None):
        """Makes no variables; see the class."""
        del input_shape
        self.built = True


class Composite(BuiltByCalling, keras.layers.Layer):
    """A layer made of layers. The inner layers cast their inputs, unless `autocast` is set."""

    def __init__(self, autocast=False, **kwargs):
        super().__init__(autocast=autocast, **kwargs)
