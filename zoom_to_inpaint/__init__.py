"""Zoom-to-Inpaint: Image Inpainting with High-Frequency Details (CVPR Workshops 2022).

model = zoom_to_inpaint.ZoomToInpaint.pretrained()   # or load("weights.npz"), or load_release("checkpoint/prefix")
filled = model.inpaint(image, mask)                  # uint8 [H, W, 3], uint8 [H, W], any size

Names are imported when they are first used, because TensorFlow takes seconds to start.
"""

import lazy_loader

_CONFIGURATIONS = [
    *("PAPER", "RELEASE", "SHIPPED", "SMALL"),
    *("NO_ZOOM", "BICUBIC_ZOOM", "NO_ZOOM_70", "BICUBIC_ZOOM_70", "SR_ZOOM"),  # Tables 3, 5
    *("SCALE_1", "SCALE_2", "SCALE_3", "SCALE_4"),  # Table 9
]
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "attention": ["ContextualAttention"],
        "config": ["CONFIGS", "ZoomConfig", *_CONFIGURATIONS],
        "discriminator": ["Discriminator"],
        "gated_convolution": ["GatedConv2D"],
        "model": ["ZoomToInpaint"],
        "release": ["load_release", "load_release_discriminator"],
    },
)
