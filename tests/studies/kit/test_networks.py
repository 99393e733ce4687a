"""Small networks: trained once, found again, never another one's, and one line when training fails."""

from __future__ import annotations

import json
import re

import pytest

from common import command_line
from common.errors import UserError
from studies.kit import bench, networks

# In place of train.py: writes its arguments as the weights, or fails when told to.
FAKE = """
import json, pathlib, sys
folder = pathlib.Path(next(a for a in sys.argv if a.startswith("--output=")).split("=", 1)[1])
if "--steps=13" in sys.argv:
    sys.exit(1)
folder.joinpath("weights.npz").write_text(json.dumps(sys.argv[1:]))
"""


@pytest.fixture
def fake_training(tmp_path, monkeypatch):
    (tmp_path / "train.py").write_text(FAKE)
    monkeypatch.setattr(command_line.environment, "ROOT", tmp_path)


def test_trained_once(fake_training, tmp_path):
    folder = tmp_path / "no_zoom"
    weights = networks.train("no_zoom", folder, steps=7, seed=3, data=("--dataset=sample",))
    arguments = json.loads(weights.read_text())
    assert {"--zoom_config=no_zoom", "--steps=7", "--seed=3", "--dataset=sample"} <= {*arguments}
    weights.write_text("kept")
    again = networks.train("no_zoom", folder, steps=7, seed=3, data=("--dataset=sample",))
    assert again.read_text() == "kept"


def test_a_network_of_other_flags_is_not_taken(fake_training, tmp_path):
    networks.train("no_zoom", tmp_path / "n", seed=1)
    with pytest.raises(UserError, match=r"other flags .* --seed=2 .*remove it"):
        networks.train("no_zoom", tmp_path / "n", seed=2)


@pytest.mark.parametrize("record", [None, "{", "3"])
def test_a_network_of_unknown_flags_is_not_taken(fake_training, tmp_path, record):
    networks.train("no_zoom", tmp_path / "n")
    (tmp_path / "n" / networks._FLAGS).unlink()
    if record:
        (tmp_path / "n" / networks._FLAGS).write_text(record)
    with pytest.raises(UserError, match="holds a network trained with other flags"):
        networks.train("no_zoom", tmp_path / "n")


def test_failed_training(fake_training, tmp_path):
    with pytest.raises(UserError, match=r"training 'sr_zoom' in .* ended with exit code 1"):
        networks.train("sr_zoom", tmp_path / "n", steps=13)


@pytest.mark.parametrize("arm", networks.ARMS)
def test_flagfiles_exist_and_name_the_arm(arm):
    found = networks.ARMS[arm]
    full = command_line.expand([f"--flagfile={found.flagfile}"])
    small = command_line.expand(list(found.small))
    assert f"--model={found.model}" in full and f"--model={found.model}" in small
    if found.model == "zoom_to_inpaint":
        configs = [
            [f for f in flags if f.startswith("--zoom_config=")][-1] for flags in (full, small)
        ]
        assert configs[0] == configs[1]
    assert networks.command(arm).startswith("python train.py --flagfile=configs/")


ZOOM_ARMS = [a for a, arm in networks.ARMS.items() if arm.model == "zoom_to_inpaint"]


@pytest.mark.parametrize("arm", ZOOM_ARMS)
def test_arms_are_the_configurations_that_they_say(arm):
    import zoom_to_inpaint

    flags = command_line.expand(list(networks.ARMS[arm].small))
    name = re.fullmatch("--zoom_config=(.*)", next(f for f in reversed(flags) if "config=" in f))[1]
    config = zoom_to_inpaint.CONFIGS[name]
    for field, value in networks.ARMS[arm].fields.items():
        assert getattr(config, field) == value
    assert (config.gradient_weight > 0) == (arm == "sr_zoom_gradient")


@pytest.mark.full
@pytest.mark.parametrize("arm", ["no_zoom", "scale_3", "hifill"])
def test_real_training(arm, tmp_path):
    tiny = {
        "zoom_to_inpaint": ("--zoom_channels=4", "--zoom_size=16"),
        "hifill": ("--hifill_size=64",),
    }
    extra = (*tiny[networks.ARMS[arm].model], "--batch_size=1")
    weights = networks.train(arm, tmp_path / arm, steps=1, extra=extra)
    model = bench.load(arm, str(weights))
    for field, value in networks.ARMS[arm].fields.items():
        assert getattr(model.config, field) == value
