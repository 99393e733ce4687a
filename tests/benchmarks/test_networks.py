"""Networks are measured in turn, and HiFill's published graph is run as its authors' code runs it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import machine, networks


@pytest.fixture
def graph(tmp_path):
    """A frozen graph with the names of HiFill's: its refined image is image + 2 * mask."""
    tf1 = tf.compat.v1
    with tf.Graph().as_default() as frozen:
        image = tf1.placeholder(tf.float32, [1, 4, 4, 3], "img_norm")
        mask = tf1.placeholder(tf.float32, [1, 4, 4, 1], "mask_in")
        tf.add(image, 2.0 * mask, name="generator/clip_by_value_1")
    path = tmp_path / "0.pb"
    path.write_bytes(frozen.as_graph_def().SerializeToString())
    return path


def test_the_frozen_graph_takes_image_and_mask(graph):
    image, mask = tf.fill([1, 4, 4, 3], 0.5), tf.ones([1, 4, 4, 1])
    np.testing.assert_array_equal(networks.frozen_graph(str(graph))(image, mask), image + 2.0)


def test_every_round_measures_the_rate_and_every_network(monkeypatch):
    happened = []
    monkeypatch.setattr(machine, "best_rate", lambda: happened.append("rate") or 100.0)
    calls = {name: lambda name=name: happened.append(name) for name in ("a", "b")}
    seconds, rates = networks.in_turn(calls, rounds=2, warm_up=1)
    assert happened == ["a", "b", "rate", "a", "b", "rate", "a", "b"]
    assert rates == [100.0, 100.0] and {name: len(s) for name, s in seconds.items()} == {
        "a": 2,
        "b": 2,
    }


def test_shares_and_ratios_are_of_one_round():
    """A machine that is half as fast in the second round changes neither."""
    found = networks.summary([0.2, 0.4, 0.2], [200.0, 100.0, 200.0], 30.0, [0.3, 0.6, 0.3])
    assert found == {
        **{"seconds": 0.2, "convolution_rate": 200.0, "arithmetic_gflop": 30.0},
        **{"share_of_rate": pytest.approx(0.75), "times_as_fast": pytest.approx(1.5)},
    }
    assert networks.summary([0.2], [200.0], None, None).keys() == {"seconds", "convolution_rate"}
