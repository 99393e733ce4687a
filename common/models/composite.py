"""Layers made of layers, in either Keras and in little time."""

from __future__ import annotations

from tensorflow import keras


class BuiltByCalling:
    """Mixed into a layer or model whose parts make their variables when it is first called, eagerly.

    Left alone Keras 3 traces the call of every such layer to build it, those within once for every layer around
    them: two seconds for a Zoom-to-Inpaint, five for a HiFill.
    """

    def build(self, input_shape=None):
        """Makes nothing; see the class."""
        del input_shape
        self.built = True


class Composite(BuiltByCalling, keras.layers.Layer):
    """A layer made of layers, which cast for themselves unless `autocast` is set."""

    def __init__(self, autocast=False, **kwargs):
        super().__init__(autocast=autocast, **kwargs)
