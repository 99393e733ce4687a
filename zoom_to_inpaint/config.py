"""Configurations of Zoom-to-Inpaint: the paper, its authors' release, and every ablation.

Contract: a `ZoomConfig` is immutable and complete; a model is a function of its configuration and its weights.
One named configuration per row of Tables 3, 5 and 9:

    Tables 3, 5   NO_ZOOM, BICUBIC_ZOOM, NO_ZOOM_70, BICUBIC_ZOOM_70, SR_ZOOM, PAPER (SR zoom + gradient loss)
    Table 9       SCALE_1 (no zoom), SCALE_2, SCALE_3, SCALE_4, all trained on 128 x 128

`RELEASE` differs from `PAPER` in the gradient loss, which lacks the factor 1/2 of eq. 6 and is taken of the network's
raw output instead of X~_r, and in attention weights of positions that resemble nothing in the context. Where the paper
is silent both follow the release (docs/departures.md).
"""

from __future__ import annotations

import dataclasses

ZOOMS = ("none", "bicubic", "sr")  # Z section 4.4: (i) No zoom, (ii) Bicubic zoom, (iii) SR zoom


@dataclasses.dataclass(frozen=True)
class ZoomConfig:
    """Every choice that changes a network, or tells one row of the paper's tables from another."""

    name: str = "paper"
    zoom: str = "sr"  # what enlarges the coarse result before it is refined
    scale: int = 2  # s of Z section 3.1.2; 1 without zoom
    channels: int = 64  # ch of Z Figures 9 and 10: filters, features and gates together, of the first convolutions
    # Of the SR network (Figure 7); 70-channel ablations have none (Z section C.1).
    sr_channels: int = 64
    discriminator_channels: int = 64  # of its first layer (Figure 8)
    size: int = 256  # side of the low-resolution training images; any size is inpainted
    temperature: float = 10.0  # factor on attention scores before softmax
    floored_attention: bool = False  # the release's softmax, see `zoom_to_inpaint.attention`
    gradient_weight: float = 1.0  # lambda of the gradient loss (eq. 5); 0 in rows without it
    gradient_factor: float = 0.5  # eq. 6; the release has 1
    # Eq. 6 is of X~_r, which is the label outside the hole; the release's of f_r's output.
    gradient_blended: bool = True

    def __post_init__(self) -> None:
        if self.zoom not in ZOOMS:
            raise ValueError(f"zoom '{self.zoom}' is not one of {', '.join(ZOOMS)}")
        if self.zoom == "none" and self.scale != 1:
            raise ValueError(f"zoom 'none' means scale 1, not {self.scale}")
        if self.zoom != "none" and self.scale not in (2, 3, 4):
            raise ValueError(f"scale {self.scale} of zoom '{self.zoom}' is not 2, 3 or 4")
        for field in ("channels", "sr_channels", "discriminator_channels"):
            if getattr(self, field) < 2 or getattr(self, field) % 2:
                raise ValueError(f"{field} {getattr(self, field)} is not an even number from 2 on")
        if self.size < 16 or self.size % self.multiple:
            raise ValueError(
                f"size {self.size} is not a multiple of {self.multiple} of at least 16"
            )
        for field in ("temperature", "gradient_factor"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field} {getattr(self, field)} is not above 0")
        if not self.gradient_weight >= 0:
            raise ValueError(f"gradient_weight {self.gradient_weight} is below 0")

    @property
    def multiple(self) -> int:
        """Sides the networks take without padding are multiples of this.

        Two poolings ask for multiples of 4 at the input's resolution, the attention's halving for multiples of 8
        at the zoomed one.
        """
        return {1: 8, 2: 4, 3: 8, 4: 4}[self.scale]

    def to_dict(self) -> dict:
        """All fields as plain values, for a weights file or a run folder."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> ZoomConfig:
        """The inverse of `to_dict`; an unknown field is a TypeError."""
        return cls(**fields)


def _variant(name: str, **changes) -> ZoomConfig:
    return dataclasses.replace(ZoomConfig(), name=name, **changes)


PAPER = ZoomConfig()
RELEASE = _variant("release", gradient_factor=1.0, gradient_blended=False, floored_attention=True)

# Tables 3 and 5. The last row, SR zoom + gradient loss, is PAPER.
NO_ZOOM = _variant("no_zoom", zoom="none", scale=1, gradient_weight=0.0)
BICUBIC_ZOOM = _variant("bicubic_zoom", zoom="bicubic", gradient_weight=0.0)
NO_ZOOM_70 = dataclasses.replace(NO_ZOOM, name="no_zoom_70", channels=70)
BICUBIC_ZOOM_70 = dataclasses.replace(BICUBIC_ZOOM, name="bicubic_zoom_70", channels=70)
SR_ZOOM = _variant("sr_zoom", gradient_weight=0.0)

# Table 9: SR zoom without gradient loss on 128 x 128, where even x4 fits in memory.
SCALE_1 = dataclasses.replace(NO_ZOOM, name="scale_1", size=128)
SCALE_2 = dataclasses.replace(SR_ZOOM, name="scale_2", size=128)
SCALE_3 = dataclasses.replace(SR_ZOOM, name="scale_3", size=128, scale=3)
SCALE_4 = dataclasses.replace(SR_ZOOM, name="scale_4", size=128, scale=4)

# A model small enough to learn something on two CPU cores within minutes.
SMALL = _variant("small", channels=16, sr_channels=16, discriminator_channels=16, size=128)

CONFIGS = {
    config.name: config
    for config in (
        *(PAPER, RELEASE, SMALL),
        *(NO_ZOOM, BICUBIC_ZOOM, NO_ZOOM_70, BICUBIC_ZOOM_70, SR_ZOOM),
        *(SCALE_1, SCALE_2, SCALE_3, SCALE_4),
    )
}
