"""ONNX files of --weights: damaged bytes, other networks, and data in other files.

Taken is a file that loads and fills a photograph. Networks that claim sizes that fit into no memory are drawn, but none
that fits: onnxruntime runs what a file says (SECURITY.md).
"""

from __future__ import annotations

import os
import pathlib
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from hifill import onnx_file

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
onnx = pytest.importorskip("onnx", reason="onnx, which makes the files, is not installed")

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # NumPy's, which would be printed
SIZE, LEVEL = 64, 77.0
SHAPES = {
    "image": (1, 3, SIZE, SIZE),
    "mask": (1, 1, SIZE, SIZE),
    "output": (1, 3, SIZE, SIZE),
    "attention": (1, 16, 16),
}
TYPES = ("FLOAT", "FLOAT16", "DOUBLE", "INT64", "UINT8", "BOOL", "STRING", "BFLOAT16", "COMPLEX64")
DIMENSIONS = st.sampled_from(
    (0, 1, 2, 3, 16, 63, 64, 65, 2**20, 2**31, 2**62, -1, None, "side", "")
)
# Of tensors in other files; all of them exist, or could be read by what follows links and "..".
LOCATIONS = st.sampled_from(
    (
        "inside.bin",
        "../secret.bin",
        "link.bin",
        "below/../../secret.bin",
        "/etc/passwd",
        "/dev/zero",
    )
    + (
        "",
        ".",
        "..",
        "pipe",
        "nothing",
        "/proc/self/environ",
        "file:///etc/passwd",
        "a\0b",
        "net.onnx",
    )
)


def graph(inputs=SHAPES, kinds=None, level=None, attention=None, nodes=(), tensors=()):
    """A network with HiFill's inputs and outputs that fills holes with a gray level."""
    helper, kinds = onnx.helper, kinds or {}
    values = {
        "level": np.full(SHAPES["output"], LEVEL, np.float32) if level is None else level,
        "weights": np.zeros(SHAPES["attention"], np.float32) if attention is None else attention,
    }
    stored = [onnx.numpy_helper.from_array(value, name) for name, value in values.items()]
    ports = {
        name: helper.make_tensor_value_info(
            name, getattr(onnx.TensorProto, kinds.get(name, "FLOAT")), shape
        )
        for name, shape in inputs.items()
    }
    own = [
        helper.make_node("Identity", ["level"], ["output"]),
        helper.make_node("Identity", ["weights"], ["attention"]),
    ]
    given_names = {tensor.name for tensor in tensors}
    made = helper.make_graph(
        nodes or own,
        "network",
        [port for name, port in ports.items() if name not in ("output", "attention")],
        [port for name, port in ports.items() if name in ("output", "attention")],
        [tensor for tensor in stored if tensor.name not in given_names] + list(tensors),
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture(scope="module")
def photograph():
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    mask = np.zeros((70, 90), np.uint8)
    mask[20:40, 30:60] = 1
    return image, mask


@pytest.fixture
def tried(attempt, scratch, photograph, capfd):
    """tried(bytes of a file, ...) -> whether it was taken; known pixels are checked, and that nothing is printed."""

    def call(data, fill_folder=lambda folder: None, name="net.onnx"):
        image, mask = photograph
        with scratch() as folder:
            below = pathlib.Path(folder, "below")
            below.mkdir()
            fill_folder(below)
            if data is not None:
                (below / name).write_bytes(data)
            capfd.readouterr()
            taken, found = attempt(
                "ONNX files", lambda: onnx_file.load(str(below / name))(image, mask), folder
            )
        said = "".join(capfd.readouterr())
        attempt.require("ONNX files", "longer messages", not said, said)
        if taken:
            same = np.array_equal(found[mask == 0], image[mask == 0])
            attempt.require("ONNX files", "changed known pixels", same)
        return taken

    return call


# The fixtures are made once a test; capfd and the folders are emptied by `tried`.
def test_a_whole_file_is_taken(tried):
    assert tried(graph().SerializeToString())


def drawn(test):
    """A test of drawn inputs that uses function-scoped fixtures, which `tried` makes ready for each input."""
    from hypothesis import HealthCheck, settings

    kept = [*settings.default.suppress_health_check, HealthCheck.function_scoped_fixture]
    return settings(suppress_health_check=kept)(given(st.data())(test))


@drawn
def test_damaged_files(tried, damaged, data):
    tried(damaged(data.draw, graph().SerializeToString()))


@drawn
def test_other_inputs_and_outputs(tried, data):
    draw, shapes, kinds = data.draw, dict(SHAPES), {}
    for name in draw(st.lists(st.sampled_from([*SHAPES]), min_size=1, max_size=3)):
        action = draw(st.sampled_from(("shape", "axis", "kind", "name", "none")))
        if name not in shapes:
            continue
        if action == "shape":
            shapes[name] = draw(st.none() | st.lists(DIMENSIONS, max_size=5))
        if action == "axis":
            axes = list(shapes[name] or ())
            if axes:
                axes[draw(st.integers(0, len(axes) - 1))] = draw(DIMENSIONS)
            shapes[name] = axes
        if action == "kind":
            kinds[name] = draw(st.sampled_from(TYPES))
        if action == "name":
            shapes[draw(st.sampled_from(("", "a\nb", "x" * 300, "Image", "mask2")))] = shapes.pop(
                name
            )
        if action == "none":
            del shapes[name]
    tried(graph(shapes, kinds).SerializeToString())


@drawn
def test_what_a_network_gives(tried, data):
    """Of every type, not finite, of another shape than the file says, or not to be computed."""
    draw, node = data.draw, onnx.helper.make_node
    level = draw(st.sampled_from((np.nan, np.inf, -np.inf, 3e38, -1e30, 1e-40, 300.0, -5.0)))
    attention = draw(st.sampled_from((np.nan, np.inf, 3e38, -1e30, 1.0)))
    dimension = draw(st.sampled_from((0, -1, 2**50, 2**62, -(2**63))))
    shape = onnx.numpy_helper.from_array(np.array([dimension], np.int64), "shape")
    kind = draw(st.sampled_from(TYPES))
    first = draw(
        st.sampled_from(
            (
                node("Identity", ["level"], ["output"]),
                node("Cast", ["level"], ["output"], to=getattr(onnx.TensorProto, kind)),
                node("NonZero", ["image"], ["output"]),
                node("Reshape", ["level", "shape"], ["output"]),
                node("ConstantOfShape", ["shape"], ["output"]),
                node("Nothing", ["level"], ["output"]),
                node("Identity", ["level"], ["output"], domain="other"),
                node("Identity", ["nowhere"], ["output"]),
                node("Identity", ["output"], ["output"]),
                node("Gather", ["level", "shape"], ["output"]),
                node("Resize", ["level", "", "level"], ["output"]),
            )
        )
    )
    full = {
        name: np.full(SHAPES[name], value, np.float32)
        for name, value in (("output", level), ("attention", attention))
    }
    nodes = [first, node("Identity", ["weights"], ["attention"])]
    shapes = dict(SHAPES)
    if draw(st.booleans()):
        shapes["output"] = None  # so that it is known only when the network runs
    kinds = {"output": kind} if first.op_type == "Cast" and draw(st.booleans()) else {}
    made = graph(shapes, kinds, full["output"], full["attention"], nodes, [shape])
    tried(made.SerializeToString())


def elsewhere(name, location, shape=SHAPES["output"]):
    """A tensor whose data lie in another file."""
    tensor = onnx.TensorProto(name=name, dims=shape, data_type=onnx.TensorProto.FLOAT)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value=str(4 * int(np.prod(shape))))
    return tensor


def with_data_elsewhere(draw, location):
    """The network with a tensor in another file: a weight, a constant, or one in a branch or a function."""
    helper, tensor = onnx.helper, elsewhere("level", location)
    place = draw(st.sampled_from(("weight", "constant", "branch", "function", "sparse")))
    rest = helper.make_node("Identity", ["weights"], ["attention"])
    if place == "weight":
        return graph(tensors=[tensor])
    constant = helper.make_node("Constant", [], ["inner"], value=tensor)
    if place == "constant":
        return graph(nodes=[constant, helper.make_node("Identity", ["inner"], ["output"]), rest])
    if place == "sparse":
        model, values = graph(), elsewhere("values", location, (4,))
        indices = onnx.numpy_helper.from_array(np.arange(4), "indices")
        model.graph.sparse_initializer.append(
            helper.make_sparse_tensor(values, indices, SHAPES["output"])
        )
        return model
    if place == "function":
        body = [constant, helper.make_node("Identity", ["inner"], ["y"])]
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        model = graph(nodes=[helper.make_node("Own", [], ["output"], domain="own"), rest])
        model.functions.append(helper.make_function("own", "Own", [], ["y"], body, imports[:1]))
        model.opset_import.append(imports[1])
        return model
    port = helper.make_tensor_value_info("inner", onnx.TensorProto.FLOAT, SHAPES["output"])
    branch = helper.make_graph([constant], "branch", [], [port])
    yes = onnx.numpy_helper.from_array(np.array(True), "yes")
    choice = helper.make_node("If", ["yes"], ["output"], then_branch=branch, else_branch=branch)
    return graph(nodes=[choice, rest], tensors=[yes])


def with_files(below):
    """What the locations name: files beside the network and above it, a link out of its folder, a pipe."""
    secret = np.full(SHAPES["output"], 33, np.float32).tobytes()
    (below / "inside.bin").write_bytes(secret)
    (below.parent / "secret.bin").write_bytes(secret)
    (below / "link.bin").symlink_to("../secret.bin")
    if sys.platform != "win32":
        os.mkfifo(below / "pipe")


@drawn
def test_data_in_other_files_are_never_read(tried, data):
    model = with_data_elsewhere(data.draw, data.draw(LOCATIONS))
    assert not tried(model.SerializeToString(), with_files)


@drawn
def test_what_is_no_file(tried, data):
    name = data.draw(st.sampled_from(("pipe", "link.bin", "inside.bin", ".", "nothing", "x" * 256)))
    assert not tried(None, with_files, name)


def test_the_whole_message_of_data_in_another_file(tmp_path):
    (tmp_path / "net.onnx").write_bytes(
        graph(tensors=[elsewhere("level", "x")]).SerializeToString()
    )
    with pytest.raises(UserError, match=r"net\.onnx names other files for its data"):
        onnx_file.load(str(tmp_path / "net.onnx"))
