"""HiFill: Contextual Residual Aggregation for Ultra High-Resolution Image Inpainting (CVPR 2020).

model = hifill.HiFill.pretrained()                   # or load("weights.npz"), or load_release("checkpoint/prefix")
filled = model.inpaint(image, mask)                  # uint8 [H, W, 3], uint8 [H, W], any size

Sections, equations, tables and figures that this package names are this paper's ("H" where both papers are meant).
Names are imported when they are first used, because TensorFlow takes seconds to start.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["CONFIGS", "PAPER", "RELEASE", "SHIPPED", "SMALL", "HiFillConfig"],
        "model": ["HiFill"],
        "release": ["load_release", "load_release_discriminator"],
        "residual_aggregation": ["aggregate_residuals"],
    },
)
