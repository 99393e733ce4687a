"""Values of a configuration that no network can be made of, as a damaged or crafted weights file holds them."""

from __future__ import annotations

import pytest

from hifill.config import PAPER, HiFillConfig


@pytest.mark.parametrize(
    "name, value",
    [
        ("coarse_plain_layers", 1_000_000),
        ("coarse_plain_layers", -1),
        ("coarse_decoder_layers", 1_000_000),
        ("refinement_first_kernel", 0),
        ("channels", 10**9),
        ("size", 32 * 10**9),
        ("channels", 2.5),
        ("channels", True),
        ("half_pixel_centers", "yes"),
        ("temperature", float("nan")),
        ("temperature", 1e308),
        ("temperature", "50"),
        ("name", ["paper"]),
    ],
)
def test_values_out_of_type_or_bounds_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        HiFillConfig.from_dict({**PAPER.to_dict(), name: value})
