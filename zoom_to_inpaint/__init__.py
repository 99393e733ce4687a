"""Zoom-to-Inpaint: Image Inpainting with High-Frequency Details (CVPR Workshops 2022).

model = zoom_to_inpaint.ZoomToInpaint.pretrained()   # or load("weights.npz"), or load_release("checkpoint/prefix")
filled = model.inpaint(image, mask)                  # uint8 [H, W, 3], uint8 [H, W], any size

Sections, equations, tables and figures that this package names are this paper's ("Z" where both papers are meant).
Names are imported when they are first used, because TensorFlow takes seconds to start.
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
