"""HiFill: Contextual Residual Aggregation for Ultra High-Resolution Image Inpainting (CVPR 2020).

model = hifill.HiFill.pretrained()                   # or load("weights.npz"), or load_release("checkpoint/prefix")
filled = model.inpaint(image, mask)                  # uint8 [H, W, 3], uint8 [H, W], any size
filled = hifill.opencv_painter.load()(image, mask)   # the shipped weights, without TensorFlow

Section, equation, table and figure numbers in this package are those of this paper, HiFill (H).
Names are imported at their first use, because TensorFlow takes seconds to start.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["opencv_painter"],
    submod_attrs={
        "config": ["CONFIGS", "PAPER", "RELEASE", "SHIPPED", "SMALL", "HiFillConfig"],
        "model": ["HiFill"],
        "release": ["load_release", "load_release_discriminator"],
        "residual_aggregation": ["aggregate_residuals"],
    },
)
