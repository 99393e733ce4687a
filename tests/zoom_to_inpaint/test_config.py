"""Configurations: every row of Tables 3, 5 and 9, what cannot be, there and back as plain values."""

from __future__ import annotations

import dataclasses
import json

import pytest

from zoom_to_inpaint import CONFIGS, PAPER, RELEASE, SHIPPED, SMALL, ZoomConfig
from zoom_to_inpaint import config as zoom_config

# Row of a table -> what the paper says of it: zoom, scale, channels, size, lambda of the gradient loss; and the side of
# the crops, the same in all rows: what is compared is networks, not data.
TABLE_3_AND_5 = {
    "no_zoom": ("none", 1, 64, 256, 0.0, 512),
    "bicubic_zoom": ("bicubic", 2, 64, 256, 0.0, 512),
    "no_zoom_70": ("none", 1, 70, 256, 0.0, 512),
    "bicubic_zoom_70": ("bicubic", 2, 70, 256, 0.0, 512),
    "sr_zoom": ("sr", 2, 64, 256, 0.0, 512),
    "paper": ("sr", 2, 64, 256, 1.0, 512),
}
TABLE_9 = {
    "scale_1": ("none", 1, 64, 128, 0.0, 512),
    "scale_2": ("sr", 2, 64, 128, 0.0, 512),
    "scale_3": ("sr", 3, 64, 128, 0.0, 512),
    "scale_4": ("sr", 4, 64, 128, 0.0, 512),
}


@pytest.mark.parametrize("name", [*TABLE_3_AND_5, *TABLE_9])
def test_every_row_of_the_tables_has_a_configuration(name):
    config = CONFIGS[name]
    found = config.zoom, config.scale, config.channels, config.size, config.gradient_weight
    assert (*found, config.crop_size) == {**TABLE_3_AND_5, **TABLE_9}[name]
    assert config.label_size == config.size * config.scale <= config.crop_size
    # In all else they are the paper's model.
    same = {"zoom", "scale", "channels", "size", "gradient_weight", "field_of_view", "name"}
    for field in dataclasses.fields(ZoomConfig):
        if field.name not in same:
            assert getattr(config, field.name) == getattr(PAPER, field.name), field.name


def test_paper():
    assert (PAPER.sr_channels, PAPER.discriminator_channels, PAPER.temperature) == (64, 64, 10.0)
    assert PAPER.gradient_factor == 0.5 and not PAPER.floored_attention


def test_release_differs_where_it_should():
    changed = {
        field.name: getattr(RELEASE, field.name)
        for field in dataclasses.fields(ZoomConfig)
        if getattr(RELEASE, field.name) != getattr(PAPER, field.name)
    }
    assert changed == {"name": "release", "floored_attention": True, "gradient_factor": 1.0}


def test_small_is_the_paper_but_for_its_size():
    same = dataclasses.replace(
        SMALL, name="paper", channels=64, sr_channels=64, discriminator_channels=64, size=256
    )
    assert same == PAPER and SMALL.channels < PAPER.channels and SMALL.size < PAPER.size


def test_what_is_shipped_is_the_paper_at_half_its_width_that_adds_to_a_membrane():
    widths = {"channels": 64, "sr_channels": 64, "discriminator_channels": 64, "size": 256}
    assert dataclasses.replace(SHIPPED, name="paper", start="zero", **widths) == PAPER
    assert SHIPPED.start == "membrane" and SHIPPED.channels == 32 == SHIPPED.sr_channels


def test_every_configuration_is_found_by_its_own_name():
    assert set(CONFIGS) == {*TABLE_3_AND_5, *TABLE_9, "release", "shipped", "small"}
    for name, config in CONFIGS.items():
        assert config.name == name
        assert getattr(zoom_config, name.upper()) is config


@pytest.mark.parametrize(
    "change, words",
    [
        ({"zoom": "SR"}, "SR"),
        ({"zoom": ""}, "none, bicubic, sr"),
        ({"zoom": "none"}, "scale 1"),  # scale is 2
        ({"zoom": "sr", "scale": 1}, "scale 1"),
        ({"zoom": "bicubic", "scale": 5}, "scale 5"),
        ({"scale": 0}, "scale 0"),
        ({"scale": 2.5}, "2.5"),
        ({"channels": 0}, "channels 0"),
        ({"channels": 7}, "channels 7"),
        ({"channels": -2}, "channels -2"),
        ({"sr_channels": 1}, "sr_channels 1"),
        ({"discriminator_channels": 3}, "discriminator_channels 3"),
        ({"size": 0}, "size 0"),
        ({"size": 8}, "size 8"),
        ({"size": 130}, "multiple of 4"),
        ({"size": 132, "scale": 3}, "multiple of 8"),
        ({"size": 132, "scale": 1, "zoom": "none"}, "multiple of 8"),
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"temperature": float("nan")}, "temperature nan"),
        ({"gradient_weight": -1.0}, "gradient_weight -1.0"),
        ({"gradient_factor": 0.0}, "gradient_factor 0.0"),
        ({"field_of_view": 0}, "field_of_view 0"),
        ({"start": "mean"}, "start 'mean'.*zero, membrane"),
    ],
)
def test_impossible_values_are_refused(change, words):
    with pytest.raises(ValueError, match=words) as error:
        dataclasses.replace(PAPER, **change)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_multiple_is_the_least_that_fits(scale):
    """Multiples of 4 at the input's resolution, of 8 at the zoomed one."""
    zoom = "none" if scale == 1 else "sr"
    config = dataclasses.replace(PAPER, zoom=zoom, scale=scale)
    fits = [side for side in range(1, 99) if side % 4 == 0 and side * scale % 8 == 0]
    assert config.multiple == fits[0]
    assert all(side % config.multiple == 0 for side in fits)


@pytest.mark.parametrize("name", CONFIGS)
def test_there_and_back_as_json(name):
    fields = json.loads(json.dumps(CONFIGS[name].to_dict()))
    assert ZoomConfig.from_dict(fields) == CONFIGS[name]


def test_unknown_field_is_an_error():
    with pytest.raises(TypeError, match="zooom"):
        ZoomConfig.from_dict({**PAPER.to_dict(), "zooom": "sr"})


@pytest.mark.parametrize("name", CONFIGS)
def test_files_of_earlier_versions_are_read(name):
    """They say of what the gradient loss was taken, and nothing of the field of view."""
    fields = CONFIGS[name].to_dict()
    del fields["field_of_view"]
    found = ZoomConfig.from_dict({**fields, "gradient_blended": name != "release"})
    assert dataclasses.replace(found, field_of_view=CONFIGS[name].field_of_view) == CONFIGS[name]
    assert found.crop_size >= found.label_size


def test_crops_are_never_smaller_than_the_labels():
    assert dataclasses.replace(PAPER, scale=4).crop_size == 1024
    assert dataclasses.replace(PAPER, field_of_view=1).crop_size == 512


def test_configurations_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PAPER.channels = 32
    assert len({*CONFIGS.values()}) == len(CONFIGS)  # hashable, and no two the same
