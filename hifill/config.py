"""Configurations of HiFill: what the paper prints and what its authors released.

Contract: a `HiFillConfig` is immutable and complete; a model is a function of its configuration and its
weights. `PAPER` follows the paper (H section 3, appendix "Network Architectures"); `RELEASE` follows the
authors' published graph, so that their weights give their numbers. Where the two differ the field's comment
names both; every departure is also a line in docs/departures.md.
"""

from __future__ import annotations

import dataclasses

GATES = ("gc", "ds", "pw", "sc")  # H Table 1: GC, LWGC-ds, LWGC-pw, LWGC-sc
RGB_HEADS = ("gated", "plain", "subpixel")
STARTS = ("zero", "membrane")
# Far beyond every network that can be run; a damaged file must not ask for a million layers.
_BOUNDS = {
    "size": (64, 8192),
    "channels": (1, 1024),
    "coarse_plain_layers": (0, 100),
    "coarse_decoder_layers": (0, 100),
    "refinement_first_kernel": (1, 31),
    "temperature": (0.0, 1e4),
    "discriminator_kernel": (1, 31),
    "discriminator_channels": (1, 1024),
}


@dataclasses.dataclass(frozen=True)
class HiFillConfig:
    """Every choice that changes a HiFill network. Widths are multiples of `channels`."""

    name: str = "paper"
    size: int = 512  # side the generator works at, in pixels; a multiple of 32 (H section 3.3)
    channels: int = 32  # C32 of the appendix; C64 and C128 are 2x and 4x
    coarse_gate: str = "sc"  # H section 4.2: LWGCsc + LWGCpw is the adopted pair
    refinement_gate: str = "pw"
    coarse_plain_layers: int = 6  # K3S1C64 with D=1 after the second stride
    coarse_decoder_layers: int = 1  # K3S1C32 after the first upsampling; the release has 2
    refinement_first_kernel: int = 5  # the release has 3
    half_pixel_centers: bool = (
        True  # bilinear grid; the release samples the TensorFlow 1 way, shifted
    )
    cosine_query: bool = True  # H eq. 1 normalises both patches; the release only the key
    fuse_scores: bool = False  # DeepFill's propagation of scores to neighbours; only in the release
    # Before H eq. 1 every channel gets mean 0 and variance 1 over the context (departure): training makes features
    # alike, and where patches share a large mean all cosines are near 1.
    standard_features: bool = True
    # Factor on the scores before softmax; H eq. 2 has none (departure). The release's 10 multiplies queries that are
    # not normalised; on cosines it leaves an average over a hundred patches and more.
    temperature: float = 50.0
    fill_hole_only: bool = (
        True  # H eq. 3 fills patches inside the mask; the release refills every patch
    )
    overlap: bool = False  # r x r patches that tile; the release adds overlapping 2r x 2r ones
    rgb_head: str = (
        "gated"  # H section 3.3, every layer; "plain", "subpixel": see `hifill.rgb_head`
    )
    # What the hole holds at first: "zero" as in the papers; "membrane": the solution of Laplace's equation, to which
    # both networks then add what they predict (`common.models.membrane`).
    start: str = "zero"
    # A photograph smaller than `size` is enlarged to it; False: extended by reflection, so that no pixel is resampled.
    enlarge: bool = True
    discriminator_kernel: int = 3  # the release has 5
    discriminator_channels: int = 64

    def __post_init__(self) -> None:
        self._check_types()
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if not least <= value <= most:  # nor is NaN
                raise ValueError(f"{name} {value} is not between {least} and {most}")
        for gate in (self.coarse_gate, self.refinement_gate):
            if gate not in GATES:
                raise ValueError(f"gate '{gate}' is not one of {', '.join(GATES)}")
        for name, known in (("rgb_head", RGB_HEADS), ("start", STARTS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} '{getattr(self, name)}' is not one of {', '.join(known)}")
        if self.size % 32:
            raise ValueError(f"size {self.size} is not a multiple of 32 of at least 64")
        if self.overlap and self.fill_hole_only:
            raise ValueError(
                "overlapping patches are added up everywhere: set fill_hole_only=False"
            )
        if self.fuse_scores and self.fill_hole_only:
            raise ValueError("fused scores need every patch's row: set fill_hole_only=False")

    def _check_types(self):
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            fits = type(value) in ((int, float) if kind is float else (kind,))
            if not fits:
                raise ValueError(f"{field.name} {value!r} is not of type {kind.__name__}")

    @property
    def grid(self) -> int:
        """Patches along one side of the attention grid: 32 at 512 (H section 3.2)."""
        return self.size // 16

    @property
    def least_window(self) -> int:
        """Side of the smallest window that a photograph is looked at through, see `hifill.photograph`; 0: any."""
        return 0 if self.enlarge else self.size

    def to_dict(self) -> dict:
        """All fields as plain values, for a weights file or a run folder."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> HiFillConfig:
        """The inverse of `to_dict`; an unknown field is a TypeError.

        Files written before a field existed lack it: their networks are without what it brought.
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

# Made to be shipped with weights: both networks add to a membrane over the hole, through heads that can do so at once.
SHIPPED = dataclasses.replace(
    PAPER, name="shipped", size=256, rgb_head="subpixel", start="membrane", enlarge=False
)

# A generator small enough to learn something on two CPU cores within minutes (`make demo-training`).
SMALL = dataclasses.replace(PAPER, name="small", size=256, channels=16, discriminator_channels=16)

CONFIGS = {config.name: config for config in (PAPER, RELEASE, SHIPPED, SMALL)}
