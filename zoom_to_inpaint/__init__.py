"""Zoom-to-Inpaint: Image Inpainting with High-Frequency Details (CVPR Workshops 2022).

model = zoom_to_inpaint.load_release("checkpoint/prefix")   # or zoom_to_inpaint.ZoomToInpaint.load("weights.npz")
filled = model.inpaint(image, mask)                         # uint8 [H, W, 3], uint8 [H, W], any size
"""

from zoom_to_inpaint.attention import ContextualAttention
from zoom_to_inpaint.config import (
    BICUBIC_ZOOM,
    BICUBIC_ZOOM_70,
    CONFIGS,
    NO_ZOOM,
    NO_ZOOM_70,
    PAPER,
    RELEASE,
    SCALE_1,
    SCALE_2,
    SCALE_3,
    SCALE_4,
    SHIPPED,
    SMALL,
    SR_ZOOM,
    ZoomConfig,
)
from zoom_to_inpaint.discriminator import Discriminator
from zoom_to_inpaint.gated_convolution import GatedConv2D
from zoom_to_inpaint.model import ZoomToInpaint
from zoom_to_inpaint.release import load_release, load_release_discriminator

__all__ = [
    "BICUBIC_ZOOM",
    "BICUBIC_ZOOM_70",
    "CONFIGS",
    "NO_ZOOM",
    "NO_ZOOM_70",
    "PAPER",
    "RELEASE",
    "SCALE_1",
    "SCALE_2",
    "SCALE_3",
    "SCALE_4",
    "SHIPPED",
    "SMALL",
    "SR_ZOOM",
    "ContextualAttention",
    "Discriminator",
    "GatedConv2D",
    "ZoomConfig",
    "ZoomToInpaint",
    "load_release",
    "load_release_discriminator",
]
