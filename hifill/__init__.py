"""HiFill: Contextual Residual Aggregation for Ultra High-Resolution Image Inpainting (CVPR 2020).

model = hifill.HiFill.pretrained()                   # or load("weights.npz"), or load_release("checkpoint/prefix")
filled = model.inpaint(image, mask)                  # uint8 [H, W, 3], uint8 [H, W], any size
"""

from hifill.attention import AttentionTransfer, ContextualAttention
from hifill.config import CONFIGS, PAPER, RELEASE, SHIPPED, SMALL, HiFillConfig
from hifill.gated_convolution import LWGC, GatedConv2D
from hifill.model import HiFill
from hifill.release import load_release, load_release_discriminator
from hifill.residual_aggregation import aggregate_residuals

__all__ = [
    "CONFIGS",
    "LWGC",
    "PAPER",
    "RELEASE",
    "SHIPPED",
    "SMALL",
    "AttentionTransfer",
    "ContextualAttention",
    "GatedConv2D",
    "HiFill",
    "HiFillConfig",
    "aggregate_residuals",
    "load_release",
    "load_release_discriminator",
]
