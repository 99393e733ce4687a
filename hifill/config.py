"""Configurations of HiFill (H): the paper's, the authors' release's and the package's own.

A `HiFillConfig` is immutable and complete: configuration and weights determine a model. `PAPER` follows the paper
(H section 3, appendix "Network Architectures"). `RELEASE` follows the authors' published graph, so that their weights
give their results. Where the two differ, the field's comment names both; docs/departures.md lists every departure.
"""

from __future__ import annotations

import dataclasses

from common import options
from common.options import option

GATES = ("gc", "ds", "pw", "sc")  # H Table 1: GC, LWGC-ds, LWGC-pw, LWGC-sc
RGB_HEADS = ("gated", "plain", "subpixel")
STARTS = ("zero", "membrane")
# No usable network is that deep. The limit keeps a damaged weights file from asking for a million layers.
_MOST_LAYERS = 100


@dataclasses.dataclass(frozen=True)
class HiFillConfig:
    """Every choice that changes a HiFill network. Widths are multiples of `channels`."""

    name: str = "paper"
    # Side the generator works at; a multiple of 32 (H section 3.3).
    size: int = option(512, "side in pixels", least=64, most=2048, flag="hifill_size")
    # Of the coarse and the refinement network: C32 of the appendix; C64 and C128 are 2x and 4x.
    channels: int = option(32, "base width", least=1, most=256, flag="hifill_channels")
    # H section 4.2: LWGCsc + LWGCpw is the adopted pair.
    coarse_gate: str = option("sc", "gates of the coarse network (H Table 1)", choices=GATES)
    refinement_gate: str = option(
        "pw", "gates of the refinement network (H Table 1)", choices=GATES
    )
    # K3S1C64 with D=1 after the second stride.
    coarse_plain_layers: int = option(6, least=0, most=_MOST_LAYERS)
    # K3S1C32 after the first upsampling; the release has 2.
    coarse_decoder_layers: int = option(1, least=0, most=_MOST_LAYERS)
    refinement_first_kernel: int = option(5, least=1, most=31)  # the release has 3
    # Bilinear grid; the release uses TensorFlow 1's, shifted by half a pixel.
    half_pixel_centers: bool = True
    cosine_query: bool = True  # H eq. 1 normalises both patches; the release only the key
    fuse_scores: bool = False  # DeepFill's propagation of scores to neighbours; only in the release
    # Departure: every channel gets mean 0 and variance 1 over the context before H eq. 1. Trained features share a
    # large mean, which would bring all cosines near 1.
    standard_features: bool = option(
        True, "give every channel mean 0 and variance 1 before H eq. 1 (not in the paper)"
    )
    # Departure: factor on the cosines before the softmax; H eq. 2 has none. The release's 10 applies to queries that
    # are not normalised; on cosines, 10 would average over a hundred patches or more.
    temperature: float = option(
        50.0,
        "factor on attention scores; H eq. 2 has 1",
        least=0.0,
        most=1e4,
        flag="attention_temperature",
    )
    # H eq. 3 fills patches inside the mask; the release refills every patch.
    fill_hole_only: bool = True
    overlap: bool = False  # r x r patches that tile; the release adds overlapping 2r x 2r ones
    # H section 3.3: every layer is gated; "plain" and "subpixel": see `hifill.rgb_head`.
    rgb_head: str = option("gated", choices=RGB_HEADS)
    # Content of the hole in the first input: "zero" as in the papers, or "membrane", the solution of Laplace's
    # equation (`common.models.membrane`). With a membrane, each network's output is added to its input image.
    start: str = option("zero", choices=STARTS)
    # A window smaller than `size` is enlarged to `size`; False: it is extended by reflection, so no pixel is
    # resampled.
    enlarge: bool = True
    # Departure: side the generator works at for windows larger than `size`, but smaller than 4 `size`: they lose less
    # to the reduction. 0: `size` for all windows, as in the paper.
    large_size: int = option(0, least=0, most=2048)
    # Departure: blur of the completion before residuals are taken, for windows of 4 S and more (`hifill.detail`).
    # Smooth completions then get coarser detail too.
    detail_blur: float = option(
        0.0, "standard deviation in pixels of the completion", least=0.0, most=4.0
    )
    discriminator_kernel: int = option(3, least=1, most=31)  # the release has 5
    discriminator_channels: int = option(64, least=1, most=256)

    def __post_init__(self) -> None:
        options.check(self)
        if self.size % 32:
            raise ValueError(f"size {self.size} is not a multiple of 32 of at least 64")
        if self.large_size % 32 or 0 < self.large_size < self.size:
            raise ValueError(
                f"large_size {self.large_size} is neither 0 nor a multiple of 32 of at least {self.size}"
            )
        if self.overlap and self.fill_hole_only:
            raise ValueError(
                "overlapping patches are added up everywhere: set fill_hole_only=False"
            )
        if self.fuse_scores and self.fill_hole_only:
            raise ValueError("fused scores need every patch's row: set fill_hole_only=False")

    @property
    def grid(self) -> int:
        """Patches along one side of the attention grid: 32 at 512 (H section 3.2)."""
        return self.size // 16

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sides the generator works at."""
        return (self.size, self.large_size) if self.large_size else (self.size,)

    @property
    def least_window(self) -> int:
        """Smallest side of a window on a photograph (`hifill.photograph`); 0: no limit."""
        return 0 if self.enlarge else self.size

    def at_size(self, size: int) -> HiFillConfig:
        """The same configuration at one `size` in all windows; ValueError if it is not one of those allowed."""
        return dataclasses.replace(self, size=size, large_size=0)

    def to_dict(self) -> dict:
        """All fields as plain values, for a weights file or a run folder."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> HiFillConfig:
        """The inverse of `to_dict`; an unknown field is a TypeError.

        Older files lack `standard_features`; their networks were trained without it.
        """
        return cls(**{"standard_features": False, **fields})


PAPER = HiFillConfig()

RELEASE = HiFillConfig(
    name="release",
    coarse_decoder_layers=2,
    refinement_first_kernel=3,
    half_pixel_centers=False,
    cosine_query=False,
    standard_features=False,
    temperature=10.0,
    fuse_scores=True,
    fill_hole_only=False,
    overlap=True,
    discriminator_kernel=5,
)

# Configuration of the shipped weights: both networks add to a membrane over the hole, through ungated heads.
SHIPPED = dataclasses.replace(
    PAPER,
    name="shipped",
    size=256,
    rgb_head="subpixel",
    start="membrane",
    enlarge=False,
    large_size=512,
    detail_blur=2.0,
)

# A generator small enough to learn something on two CPU cores within minutes (`make demo-training`).
SMALL = dataclasses.replace(PAPER, name="small", size=256, channels=16, discriminator_channels=16)

CONFIGS = {config.name: config for config in (PAPER, RELEASE, SHIPPED, SMALL)}
