"""Cost of Zoom-to-Inpaint on this machine: 256x256, whole photographs, a joint training step.

    python -m benchmarks.zoom_to_inpaint --output=benchmarks/results/zoom_to_inpaint.json
    python -m benchmarks.zoom_to_inpaint --parts=inference
    python -m benchmarks.zoom_to_inpaint --parts=training --precision=bfloat16

Every part measures the convolution rate R just before and after; a cost is time x R in GFLOP (see
`benchmarks.machine`). Weights are random: they change no timing. Holes are the paper's small and large masks of 5 to
15%. `generate` computes all four results, `fill` the final one alone. A training step is the whole update, batch 2 at
512x512 labels, discriminator and both VGG terms included; its VGG19 has random weights, which cost the same.
"""

from __future__ import annotations

import json

import numpy as np
from absl import app, flags

from benchmarks import machine
from common import environment, storage

FLAGS = flags.FLAGS
PARTS = ("inference", "photographs", "training")
flags.DEFINE_list("parts", list(PARTS), f"of {', '.join(PARTS)}")
flags.DEFINE_enum(
    "precision",
    "float32",
    ("float32", "bfloat16"),
    "of the training step; one a process, which does not give back its peak of memory",
)
flags.DEFINE_integer("repeats", 5, "of each measurement", lower_bound=1)
flags.DEFINE_string("output", None, "JSON file for the results")


def with_rate(call, repeats=None) -> dict:
    """Seconds of `call`, the rate R around it, and their product in GFLOP."""
    before = machine.best_rate()
    seconds = machine.median_seconds(call, repeats or FLAGS.repeats, warm_up=1)
    rate = (before + machine.best_rate()) / 2
    return {"seconds": seconds, "rate_gflops": rate, "cost_gflop": seconds * rate}


def photograph(side: int, kind: str, lowest=0.05, highest=0.15):
    """Smooth random image [side, side, 3] uint8 and the first stroke mask whose hole is within the shares."""
    import cv2

    from common.masks import random as random_masks

    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), (side, side))
    small = next(
        mask
        for mask in (random_masks.stroke_mask(256, 256, kind, seed) for seed in range(1000))
        if lowest <= mask.mean() <= highest
    )
    return image, cv2.resize(small, (side, side), interpolation=cv2.INTER_NEAREST)


def batch(image, mask):
    from common.images import convert

    return convert.to_unit(image)[None], mask[None, ..., None].astype(np.float32)


def inference() -> dict:
    """256x256 in float32 and bfloat16, and how far the two are apart."""
    import zoom_to_inpaint

    results, outputs = {}, {}
    for dtype in ("float32", "mixed_bfloat16"):
        model = zoom_to_inpaint.ZoomToInpaint(dtype=dtype)
        for kind in ("small", "large"):
            inputs = batch(*photograph(256, kind))
            for name in ("generate", "fill"):
                call = getattr(model, name)
                cost = with_rate(lambda call=call, inputs=inputs: np.asarray(call(*inputs)[-1]))
                hole = float(inputs[1].mean())
                results[f"{name} {dtype} {kind}"] = _say(
                    f"{name} {dtype}, {kind}", {"hole": hole, **cost}
                )
            outputs[dtype, kind] = [np.asarray(x) for x in model.generate(*inputs)]
            difference = np.abs(outputs[dtype, kind][3] - np.asarray(model.fill(*inputs))).max()
            results[f"fill against generate {dtype} {kind}"] = _say(
                f"fill against generate, {dtype}, {kind}", {"difference": float(difference)}
            )
    return results


def photographs() -> dict:
    """`inpaint` of photographs in memory: time and peak memory above the loaded model."""
    import zoom_to_inpaint

    model, results = zoom_to_inpaint.ZoomToInpaint(), {}
    model.inpaint(*photograph(64, "small"))  # builds the graph
    for side in (256, 512, 1024, 4096):
        inputs = photograph(side, "large")
        peak = machine.peak_gigabytes(lambda inputs=inputs: model.inpaint(*inputs))
        cost = with_rate(lambda inputs=inputs: model.inpaint(*inputs), repeats=1)
        results[f"inpaint {side}"] = _say(f"inpaint {side}", {**cost, "peak_gigabytes": peak})
    return results


def training(batch_size: int = 2) -> dict:
    """One joint update at full size: cost per image, peak memory above networks and optimizers, share of the guard."""
    import tensorflow as tf

    trainer, element = joint_training(batch_size, FLAGS.precision)
    step = tf.function(trainer.train_step)

    def call():
        return {name: float(value) for name, value in step(element).items()}

    peak = machine.peak_gigabytes(call)
    cost = with_rate(call, repeats=3)
    values = {f"{name}_per_image": cost[name] / batch_size for name in ("seconds", "cost_gflop")}
    values.update(rate=cost["rate_gflops"], peak_gigabytes=peak)
    label = f"joint step, batch {batch_size}, {FLAGS.precision}"
    watching = watching_seconds(trainer)
    return {
        f"step {FLAGS.precision}": _say(label, values),
        "looking for what is not finite": _say(
            "looking for what is not finite",
            {"seconds": watching, "share_of_step": watching / cost["seconds"]},
        ),
    }


def watching_seconds(trainer) -> float:
    """What finding steps that are not finite adds: norms of all gradients, copies of what a forward pass assigns."""
    import tensorflow as tf

    from common.training import updates

    gradients = [tf.zeros(v.shape) + 1.0 for part in trainer.parts.values() for v in part.variables]

    @tf.function
    def watch():
        copies = updates.remember(trainer.assigned())
        # Sums, so that the copies are made.
        return tf.linalg.global_norm(gradients), [tf.reduce_sum(value) for _, value in copies]

    return machine.median_seconds(lambda: watch()[0].numpy(), 20, warm_up=1)


def joint_training(batch_size: int, precision: str):
    """(trainer of the joint stage, one element of its data)."""
    import tensorflow as tf

    import zoom_to_inpaint
    from common import keras_compat
    from zoom_to_inpaint import vgg
    from zoom_to_inpaint.joint_training import JointTraining
    from zoom_to_inpaint.training import TrainingOptions

    rng = np.random.default_rng(0)
    arrays = {
        name: (rng.normal(0, 0.05, shape).astype(np.float32), np.zeros(shape[-1], np.float32))
        for name, shape in vgg.convolutions()
    }
    options = TrainingOptions(batch_size=batch_size, precision=precision)
    model = zoom_to_inpaint.ZoomToInpaint(dtype=keras_compat.policy(precision))
    trainer = JointTraining(model, options, vgg.VGGFeatures(arrays))
    pairs = [photograph(512, "small"), photograph(512, "large")][:batch_size]
    image = tf.concat([batch(*pair)[0] for pair in pairs], axis=0)
    mask = tf.concat([batch(*pair)[1][:, ::2, ::2] for pair in pairs], axis=0)
    return trainer, (image, mask)


def main(_):
    results = {"versions": environment.versions(), "git_commit": environment.git_commit()}
    for part in PARTS:
        if part in FLAGS.parts:
            results[part] = {
                "inference": inference,
                "photographs": photographs,
                "training": training,
            }[part]()
    if FLAGS.output:
        storage.write_text(FLAGS.output, json.dumps(results, indent=1) + "\n")


def _say(label, values):
    print(f"{label:40}", ", ".join(f"{k} {v:.3g}" for k, v in values.items()), flush=True)
    return values


if __name__ == "__main__":
    environment.check()
    app.run(main)
