"""Values of the commands' `--weights` for HiFill (`common.models.weights_source`).

The authors' release is a frozen graph FILE.pb, or a TensorFlow 1 checkpoint without its suffix.
"""

from __future__ import annotations

from common.models import weights_source
from hifill.model import HiFill
from hifill.release import load_release


def load(weights: str, dtype: str = "float32") -> HiFill:
    """The model that `weights` names; errors as in `common.models.weights_source.load`."""
    return weights_source.load(HiFill, load_release, weights, dtype)
