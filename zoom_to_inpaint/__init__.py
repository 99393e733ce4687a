"""Zoom-to-Inpaint: Image Inpainting with High-Frequency Details (CVPR Workshops 2022).

model = zoom_to_inpaint.ZoomToInpaint.pretrained()   # or load("weights.npz"), or load_release("checkpoint/prefix")
filled = model.inpaint(image, mask)                  # uint8 [H, W, 3], uint8 [H, W], any size

Section, equation, table and figure numbers in this package are those of this paper, Zoom-to-Inpaint (Z).
Names are imported at their first use, because TensorFlow takes seconds to start.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["CONFIGS", "PAPER", "RELEASE", "SHIPPED", "SMALL", "ZoomConfig"],
        "model": ["ZoomToInpaint"],
        "release": ["load_release", "load_release_discriminator"],
    },
)
