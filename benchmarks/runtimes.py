"""Time of both models' networks in onnxruntime, LiteRT, OpenVINO and OpenCV beside TensorFlow, on this machine.

    python -m benchmarks.runtimes --output=benchmarks/results/runtimes.json
    python -m benchmarks.runtimes --networks=hifill:256 --threads=2

Each file is exported first, which takes minutes (docs/onnx.md). Runtimes that are not installed are left out. All have
as many threads, and the convolution rate R is measured just before and after each (see `benchmarks.machine`).
`difference` is the largest from TensorFlow, as a share of an output's range.
"""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import tempfile

import cv2
import numpy as np
from absl import flags

from benchmarks import inputs, machine, results
from common.images import convert

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "networks", ["hifill:256", "hifill:512", "zoom_to_inpaint:256"], "models and sizes"
)
flags.DEFINE_integer("threads", 1, "threads of every runtime", lower_bound=1)
flags.DEFINE_integer("repeats", 7, "repetitions of each measurement", lower_bound=1)


def onnxruntime(path, feed):
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = FLAGS.threads
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(["output"], feed)[0]


def litert(path, feed):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(path, num_threads=FLAGS.threads).get_signature_runner()
    return lambda: runner(**feed)["output"]


def openvino(path, feed, precision="f32"):
    import openvino as runtime

    options = {
        "INFERENCE_NUM_THREADS": FLAGS.threads,
        "INFERENCE_PRECISION_HINT": precision,
    }
    compiled = runtime.Core().compile_model(path, "CPU", options)
    return lambda: compiled(feed)["output"]


def openvino_bfloat16(path, feed):
    return openvino(path, feed, "bf16")


def opencv(path, feed):
    cv2.setNumThreads(FLAGS.threads)
    engine = [cv2.dnn.ENGINE_CLASSIC] if hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
    network = cv2.dnn.readNetFromONNX(path, *engine)

    def run():
        for name, value in feed.items():
            network.setInput(value, name)
        return network.forward("output")

    return run


# (runtime, its package, the format it reads)
RUNTIMES = (
    (onnxruntime, "onnxruntime", "onnx"),
    (openvino, "openvino", "onnx"),
    (openvino_bfloat16, "openvino", "onnx"),
    (opencv, "cv2", "onnx"),
    (litert, "ai_edge_litert", "litert"),
)


def network_and_call(name: str, size: int, feed: dict):
    """(the network to export, a call of the model as the package runs it)."""
    model = importlib.import_module(f"{name}.weights_source").load("pretrained")
    network = importlib.import_module(f"{name}.export").network(model, size)
    batch = [value.transpose(0, 2, 3, 1) for value in feed.values()]
    if name == "hifill":
        model = model.at_size(size)
        return network, lambda: [part.numpy() for part in model.generate(*batch)][1]
    return network, lambda: model.fill(*batch).numpy()


def measure_network(found, name: str, size: int, folder: str) -> None:
    """All runtimes with one network."""
    from common.models import portable

    batch = inputs.batch(*inputs.photograph(size))
    feed = {
        key: np.ascontiguousarray(value.transpose(0, 3, 1, 2))
        for key, value in zip(("image", "mask"), batch)
    }
    network, call = network_and_call(name, size, feed)
    hole = feed["mask"][0, 0] > 0
    wanted = call()[0][hole]
    found.add("tensorflow", machine.cost(call, FLAGS.repeats, warm_up=2), f"{name}_{size}")
    paths = {}
    for runtime, package, kind in RUNTIMES:
        if not all(map(importlib.util.find_spec, (package, *portable.FORMATS[kind]))):
            print(f"{runtime.__name__} is left out: it is not installed")
            continue
        if (name, runtime) == ("zoom_to_inpaint", opencv):
            continue  # cannot read it
        if kind not in paths:
            paths[kind] = str(pathlib.Path(folder, f"{name}_{size}_{kind}"))
            portable.export(network, kind, paths[kind])
        run = runtime(paths[kind], feed)
        difference = np.abs(run()[0][:, hole].T / convert.WHITE - wanted).max()
        values = {**machine.cost(run, FLAGS.repeats, warm_up=2), "difference": float(difference)}
        found.add(runtime.__name__, values, f"{name}_{size}")


def measure(found: results.Results) -> None:
    """Every network."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    tf.config.threading.set_inter_op_parallelism_threads(FLAGS.threads)
    with tempfile.TemporaryDirectory() as folder:
        for entry in FLAGS.networks:
            name, size = entry.split(":")
            print(f"{name} at {size}x{size}, {FLAGS.threads} thread(s)", flush=True)
            measure_network(found, name, int(size), folder)


if __name__ == "__main__":
    results.run(measure)
