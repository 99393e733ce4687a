"""Zoom-to-Inpaint's studies on networks of their own arms, untrained and tiny."""

from __future__ import annotations

import dataclasses

import pytest

import hifill
import zoom_to_inpaint
from benchmarks import machine
from studies import registry
from studies.kit import networks
from studies.zoom import table_4

pytestmark = pytest.mark.full


def test_table_4_measures_networks(tiny_weights, tiny_zoom_weights, small_bench, monkeypatch):
    monkeypatch.setattr(machine, "best_rate", lambda: machine.rate(16, 4, 1))  # seconds otherwise
    weights = {"hifill": str(tiny_weights), "sr_zoom_gradient": str(tiny_zoom_weights)}
    values = table_4.run(small_bench("zoom_table_4", weights=weights, count=2)).values
    for found in values.values():
        assert found["n"] == 2 and found["mean"] > 0
    needed = values["Zoom-to-Inpaint, what the hole needs"]["gflop"]
    assert values["Zoom-to-Inpaint"]["gflop"] > needed > 0


def test_all_with_real_networks(small_bench, tmp_path):
    """Every study with untrained tiny networks of its own arms; the paper's numbers of parameters."""
    pytest.importorskip("matplotlib")
    weights = {"hifill": str(tmp_path / "hifill.npz")}
    tiny = {"channels": 4, "discriminator_channels": 4}
    hifill.HiFill(dataclasses.replace(hifill.PAPER, size=64, **tiny)).save(weights["hifill"])
    for arm, about in networks.ARMS.items():
        if about.model == "zoom_to_inpaint":
            weights[arm] = str(tmp_path / f"{arm}.npz")
            config = zoom_to_inpaint.ZoomConfig(size=16, sr_channels=4, **tiny, **about.fields)
            zoom_to_inpaint.ZoomToInpaint(config).save(weights[arm])
    results = {
        name: registry.study(name).run(small_bench(name, weights=weights, count=2))
        for name in registry.NAMES
        if name.startswith("zoom_") and name != "zoom_table_1"
    }
    counted = [row[2:] for row in results["zoom_table_5"].tables[1].rows]
    assert counted[4] == ["4,481,161", "4.48M"]
    for count, printed in counted:
        assert f"{int(count.replace(',', '')) / 1e6:.2f}M" == printed
