"""Cost of Zoom-to-Inpaint on this machine: 256x256, whole photographs, a joint training step.

    python -m benchmarks.zoom_to_inpaint --output=benchmarks/results/zoom_to_inpaint.json
    python -m benchmarks.zoom_to_inpaint --parts=inference
    python -m benchmarks.zoom_to_inpaint --parts=training --precision=bfloat16

Every part measures the convolution rate R just before and after; a cost is time x R in GFLOP (see
`benchmarks.machine`). Weights are random, which does not change the time. Holes are the paper's small and large masks
of 5 to 15%. `generate` computes all four results, `fill` only the final one. A training step is the whole update with
batch 2 and labels of 512x512, discriminator and both VGG terms included; its VGG19 has random weights, at the same
cost.
"""

from __future__ import annotations

import functools

import numpy as np
from absl import flags

from benchmarks import inputs, machine, results

FLAGS = flags.FLAGS
PARTS = ("inference", "photographs", "training")
flags.DEFINE_list("parts", list(PARTS), f"parts, of {', '.join(PARTS)}")
flags.DEFINE_enum(
    "precision",
    "float32",
    ("float32", "bfloat16"),
    "precision of the training step; one per process, because the peak memory is not returned",
)
flags.DEFINE_integer("repeats", 5, "repetitions of each measurement", lower_bound=1)


def photograph(side: int, kind: str, lowest=0.05, highest=0.15):
    """Smooth random image [side, side, 3] uint8 and the first stroke mask with a hole share in [lowest, highest]."""
    import cv2

    from common.masks import random as random_masks

    masks = (random_masks.stroke_mask(256, 256, kind, seed) for seed in range(1000))
    small = next(mask for mask in masks if lowest <= mask.mean() <= highest)
    image, _ = inputs.photograph(side)
    return image, cv2.resize(small, (side, side), interpolation=cv2.INTER_NEAREST)


def inference(found: results.Results) -> None:
    """256x256 in float32 and bfloat16."""
    import zoom_to_inpaint

    for dtype in ("float32", "mixed_bfloat16"):
        model = zoom_to_inpaint.ZoomToInpaint(dtype=dtype)
        for kind in ("small", "large"):
            batch = inputs.batch(*photograph(256, kind))
            for name in ("generate", "fill"):
                call = functools.partial(_final, getattr(model, name), batch)
                values = {"hole": float(batch[1].mean()), **machine.cost(call, FLAGS.repeats)}
                found.add(f"{name} {dtype} {kind}", values, "inference")


def _final(generate, batch):
    return np.asarray(generate(*batch)[-1])


def photographs(found: results.Results) -> None:
    """`inpaint` of photographs in memory: time and peak memory above the loaded model."""
    import zoom_to_inpaint

    model = zoom_to_inpaint.ZoomToInpaint()
    model.inpaint(*photograph(64, "small"))  # builds the graph
    for side in (256, 512, 1024, 4096):
        call = functools.partial(model.inpaint, *photograph(side, "large"))
        memory = {"peak_gigabytes": machine.peak_gigabytes(call)}
        found.add(f"inpaint {side}", {**machine.cost(call, 1), **memory}, "photographs")


def training(found: results.Results, batch_size: int = 2) -> None:
    """One joint update at full size: cost per image, peak memory above networks and optimizers, cost of the guard."""
    import tensorflow as tf

    trainer, element = joint_training(batch_size, FLAGS.precision)
    step = tf.function(trainer.train_step)

    def call():
        return {name: float(value) for name, value in step(element).items()}

    peak = machine.peak_gigabytes(call)
    cost = machine.cost(call, 3)
    values = {f"{name}_per_image": cost[name] / batch_size for name in ("seconds", "cost_gflop")}
    values.update(rate=cost["rate_gflops"], peak_gigabytes=peak)
    found.add(f"step {FLAGS.precision}", values, "training")
    watching = watching_seconds(trainer)
    values = {"seconds": watching, "share_of_step": watching / cost["seconds"]}
    found.add("looking for what is not finite", values, "training")


def watching_seconds(trainer) -> float:
    """Seconds of the guard against non-finite steps: norms of all gradients, copies of assigned variables."""
    import tensorflow as tf

    from common.training import updates

    gradients = [tf.zeros(v.shape) + 1.0 for part in trainer.parts.values() for v in part.variables]

    @tf.function
    def watch():
        copies = updates.remember(trainer.assigned())
        # The sums force the copies to be made.
        return tf.linalg.global_norm(gradients), [tf.reduce_sum(value) for _, value in copies]

    return machine.median_seconds(lambda: watch()[0].numpy(), 20, warm_up=1)


def joint_training(batch_size: int, precision: str):
    """(trainer of the joint stage, one element of its data)."""
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
    kinds = ("small", "large")[:batch_size]
    images, masks = zip(*(inputs.batch(*photograph(512, kind)) for kind in kinds))
    return trainer, (np.concatenate(images), np.concatenate(masks)[:, ::2, ::2])


def measure(found: results.Results) -> None:
    """The chosen parts."""
    every = {"inference": inference, "photographs": photographs, "training": training}
    for name in PARTS:
        if name in FLAGS.parts:
            every[name](found)


if __name__ == "__main__":
    results.run(measure)
