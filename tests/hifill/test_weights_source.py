"""What `--weights` may name, through the function that every command loads HiFill with."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from common.errors import UserError
from hifill import release, weights_source


def test_a_frozen_graph_reaches_the_reader_of_the_release(tmp_path):
    """A graph without the release's tensors is read and found wanting; it is not refused unread."""
    graph = tf.compat.v1.GraphDef()
    node = graph.node.add(name="generator/c_en_down_128_feat/w", op="Const")
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.zeros([5, 5, 4, 4], np.float32)))
    path = tmp_path / "hifill.pb"
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(UserError, match=r"hifill\.pb lacks generator/"):
        weights_source.load(str(path))


def test_a_whole_frozen_graph_gives_its_model(tmp_path, frozen_graph):
    path = tmp_path / "hifill.pb"
    path.write_bytes(frozen_graph)
    model = weights_source.load(str(path))
    assert model.config.channels == 4


def test_a_file_of_another_kind_is_refused_before_a_checkpoint_is_looked_for(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"photo\.jpg is not a weights file; name an \.npz"):
        weights_source.load(str(path))


@pytest.fixture
def frozen_graph():
    """The authors' tensor names at a base width of 4, from the golden arrays."""
    golden = pathlib.Path(__file__).resolve().parents[1] / "golden" / "hifill_release_nc4.npz"
    graph = tf.compat.v1.GraphDef()
    with np.load(golden) as archive:
        for name in archive.files:
            if name.startswith("w/") and name[2:] in release._GENERATOR:
                node = graph.node.add(name=name[2:], op="Const")
                node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(archive[name]))
    return graph.SerializeToString()
