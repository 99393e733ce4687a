"""Models of both papers are made quickly: commands start with it."""

from __future__ import annotations

import dataclasses

import pytest
from tensorflow import keras

import hifill
import zoom_to_inpaint
from hifill import gated_convolution as hifill_gated_convolution
from zoom_to_inpaint import gated_convolution as zoom_gated_convolution


@pytest.mark.parametrize(
    "module, make",
    [
        (
            hifill_gated_convolution,
            lambda: hifill.HiFill(dataclasses.replace(hifill.PAPER, size=64, channels=4)),
        ),
        (
            zoom_gated_convolution,
            lambda: zoom_to_inpaint.ZoomToInpaint(
                zoom_to_inpaint.ZoomConfig(channels=4, sr_channels=4, size=16)
            ),
        ),
    ],
    ids=["hifill", "zoom_to_inpaint"],
)
def test_a_model_is_made_by_one_call_of_each_convolution(module, make, monkeypatch):
    """Seconds of every command's start: Keras 3 by itself would trace them all."""
    called = []
    call = keras.layers.Layer.__call__

    def counted(self, *inputs, **options):
        called.append(id(self))
        return call(self, *inputs, **options)

    monkeypatch.setattr(module.GatedConv2D, "__call__", counted)
    model = make()
    assert len(called) == len(set(called)) > 20
    assert model.built
