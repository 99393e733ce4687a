"""Configurations of Zoom-to-Inpaint (Z): the paper's, the authors' release's, and one per ablation.

A `ZoomConfig` is immutable and complete: configuration and weights determine a model. Each row of Tables 3, 5 and 9
has a named configuration:

    Tables 3, 5   NO_ZOOM, BICUBIC_ZOOM, NO_ZOOM_70, BICUBIC_ZOOM_70, SR_ZOOM, PAPER (SR zoom + gradient loss)
    Table 9       SCALE_1 (no zoom), SCALE_2, SCALE_3, SCALE_4, all trained on 128 x 128

`SHIPPED` is that of the shipped weights: its coarse network adds to a membrane over the hole (docs/departures.md).

`RELEASE` differs from `PAPER` in the gradient loss (without the factor 1/2 of eq. 6) and in the softmax of the
attention scores. Where the paper gives no value, both follow the release (docs/departures.md).

Rows of a table differ in their networks, not in their data: all train on crops of the same field of view, reduced to
the sizes that the row needs.
"""

from __future__ import annotations

import dataclasses

from common import options
from common.options import option

ZOOMS = ("none", "bicubic", "sr")  # Z section 4.4: (i) No zoom, (ii) Bicubic zoom, (iii) SR zoom
STARTS = ("zero", "membrane")

# Fields of earlier weights files. gradient_blended: eq. 6 used X~_r, as it now always does.
_RETIRED = ("gradient_blended",)


@dataclasses.dataclass(frozen=True)
class ZoomConfig:
    """Every choice that changes a network or distinguishes rows of the paper's tables."""

    name: str = "paper"
    zoom: str = option("sr", choices=ZOOMS)  # how the coarse result is enlarged
    scale: int = 2  # s of Z section 3.1.2; 1 without zoom
    # ch of Z Figures 9 and 10: filters of the first convolutions, features and gates together.
    channels: int = option(
        64, "ch of all networks, an even number", least=2, most=256, flag="zoom_channels"
    )
    # ch of the SR network (Figure 7); the 70-channel ablations have no SR network (Z section C.1).
    sr_channels: int = option(
        64, "ch of all networks, an even number", least=2, most=256, flag="zoom_channels"
    )
    # Channels of the discriminator's first layer (Figure 8).
    discriminator_channels: int = option(
        64, "ch of all networks, an even number", least=2, most=256, flag="zoom_channels"
    )
    # Side of the low-resolution training images; inference takes any size.
    size: int = option(
        256, "side of low-resolution images in pixels", least=16, most=2048, flag="zoom_size"
    )
    # Content of the hole in the coarse network's input: "zero" as in the paper, or "membrane", the solution of
    # Laplace's equation (`common.models.membrane`), to which the coarse network's output is added. With a membrane
    # the last convolution of each network starts at zero, so a new model returns the membrane.
    start: str = option("zero", choices=STARTS)
    temperature: float = 10.0  # factor on attention scores before softmax
    floored_attention: bool = False  # the release's softmax, see `zoom_to_inpaint.attention`
    # Lambda of the gradient loss (eq. 5); 0 in rows without this loss.
    gradient_weight: float = option(1.0, "Z eq. 5, lambda", least=0.0, most=1e6)
    gradient_factor: float = 0.5  # eq. 6; the release has 1
    # SR and joint training: side of the crop of a photograph, in sides of the low-resolution image. 2: crops of 512
    # are reduced to 256 (Z section 4.1). At least `scale` is used.
    field_of_view: int = option(2, least=1, most=64)

    def __post_init__(self) -> None:
        options.check(self)
        if self.zoom == "none" and self.scale != 1:
            raise ValueError(f"zoom 'none' means scale 1, not {self.scale}")
        if self.zoom != "none" and self.scale not in (2, 3, 4):
            raise ValueError(f"scale {self.scale} of zoom '{self.zoom}' is not 2, 3 or 4")
        for field in ("channels", "sr_channels", "discriminator_channels"):
            if getattr(self, field) % 2:
                raise ValueError(f"{field} {getattr(self, field)} is not an even number")
        if self.size % self.multiple:
            raise ValueError(f"size {self.size} is not a multiple of {self.multiple}")
        for field in ("temperature", "gradient_factor"):
            if not 0 < getattr(self, field) < 1e6:
                raise ValueError(f"{field} {getattr(self, field)} is not between 0 and a million")

    @property
    def multiple(self) -> int:
        """The networks take sides that are multiples of this without padding.

        The two poolings need multiples of 4 at the input's resolution; the attention's halving needs multiples of 8 at
        the zoomed resolution.
        """
        return {1: 8, 2: 4, 3: 8, 4: 4}[self.scale]

    @property
    def last_initializer(self) -> str | None:
        """Initializer of the last convolution of every network; None: the paper's or Keras' default."""
        return "zeros" if self.start == "membrane" else None

    @property
    def label_size(self) -> int:
        """Side of a high-resolution label X~."""
        return self.size * self.scale

    @property
    def crop_size(self) -> int:
        """Side of the crop of a photograph that both X~ and X are reduced from."""
        return self.size * max(self.field_of_view, self.scale)

    def to_dict(self) -> dict:
        """All fields as plain values, for a weights file or a run folder."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> ZoomConfig:
        """The inverse of `to_dict`; an unknown field is a TypeError.

        Earlier files may hold retired fields or lack new ones; neither changes a network.
        """
        return cls(**{name: value for name, value in fields.items() if name not in _RETIRED})


def _variant(name: str, **changes) -> ZoomConfig:
    return dataclasses.replace(ZoomConfig(), name=name, **changes)


PAPER = ZoomConfig()
RELEASE = _variant("release", gradient_factor=1.0, floored_attention=True)

# Tables 3 and 5. The last row, SR zoom + gradient loss, is PAPER.
NO_ZOOM = _variant("no_zoom", zoom="none", scale=1, gradient_weight=0.0)
BICUBIC_ZOOM = _variant("bicubic_zoom", zoom="bicubic", gradient_weight=0.0)
NO_ZOOM_70 = dataclasses.replace(NO_ZOOM, name="no_zoom_70", channels=70)
BICUBIC_ZOOM_70 = dataclasses.replace(BICUBIC_ZOOM, name="bicubic_zoom_70", channels=70)
SR_ZOOM = _variant("sr_zoom", gradient_weight=0.0)

# Table 9: SR zoom without gradient loss on 128 x 128, where x4 fits in memory. All rows use x4's crops of 512.
_TABLE_9 = {"size": 128, "field_of_view": 4}
SCALE_1 = dataclasses.replace(NO_ZOOM, name="scale_1", **_TABLE_9)
SCALE_2 = dataclasses.replace(SR_ZOOM, name="scale_2", **_TABLE_9)
SCALE_3 = dataclasses.replace(SR_ZOOM, name="scale_3", scale=3, **_TABLE_9)
SCALE_4 = dataclasses.replace(SR_ZOOM, name="scale_4", scale=4, **_TABLE_9)

# Configuration of the shipped weights: half the paper's width, so a photograph takes seconds and the file 3 MB.
SHIPPED = _variant(
    "shipped", start="membrane", channels=32, sr_channels=32, discriminator_channels=32, size=128
)

# A model small enough to learn something on two CPU cores within minutes.
SMALL = _variant("small", channels=16, sr_channels=16, discriminator_channels=16, size=128)

CONFIGS = {
    config.name: config
    for config in (
        *(PAPER, RELEASE, SHIPPED, SMALL),
        *(NO_ZOOM, BICUBIC_ZOOM, NO_ZOOM_70, BICUBIC_ZOOM_70, SR_ZOOM),
        *(SCALE_1, SCALE_2, SCALE_3, SCALE_4),
    )
}
