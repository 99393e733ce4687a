"""Goes on with a training on a machine that has JAX and no TensorFlow (docs/xla.md).

    python train.py FLAGS --output=runs/hifill --export_step=step              where TensorFlow and JAX are
    python -m examples.train_with_jax step PHOTOGRAPHS 1000 checkpoints        where JAX is; 1000: the step to reach
    python train.py FLAGS --output=runs/hifill                                 goes on from runs/hifill/checkpoints

Needs jax, flatbuffers, numpy, opencv-python-headless, Pillow, safetensors, absl-py and this repository. Photographs,
crops and holes of a step are those of train.py with the flags of the export, --dataset=folder and PHOTOGRAPHS; the
random numbers of the gradient penalty are others. The same command goes on from the last checkpoint in its folder.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import sys

import jax
import numpy as np

from common import storage
from common.data import datasets, pipeline
from common.images.convert import WHITE
from common.masks import files as mask_files

jax.config.update("jax_enable_x64", True)  # counters are int64


def read_updates(folder: pathlib.Path, plan: dict) -> dict:
    """{name: function (state, image, mask, ...) -> (state, terms)} of the artifacts, on images and masks of bytes."""

    def compiled(name):
        call = jax.export.deserialize(bytearray((folder / f"{name}.stablehlo").read_bytes())).call

        def update(state, image, mask, *draws):
            image = image.astype(np.float32) * np.float32(1 / WHITE)
            return call(state, image, mask.astype(np.float32), *draws)

        return jax.jit(update, donate_argnums=0)

    return {name: compiled(name) for name in {name for name, _ in plan["updates"]}}


def read_state(folder: pathlib.Path, checkpoints: pathlib.Path) -> dict:
    """The exported state, or that of the last checkpoint."""
    _, state = storage.read_arrays(folder / "state.npz")
    saved = sorted(checkpoints.glob("step-*.npz"))
    if saved:
        header, arrays = storage.read_arrays(saved[-1])
        state.update(arrays, step=np.array(header["step"], np.int64))
    return jax.device_put(state)


def save(state: dict, checkpoints: pathlib.Path, plan: dict) -> pathlib.Path:
    """Writes a checkpoint of train.py."""
    arrays = {name: np.asarray(value) for name, value in state.items()}
    step = int(arrays.pop("step"))
    arrays = {name: array for name, array in arrays.items() if not name.startswith("constant/")}
    path = checkpoints / f"step-{step:08d}.npz"
    header = {"step": step, "images_per_step": plan["images_per_step"]}
    storage.write_arrays(path, arrays, header, durable=True)
    return path


def samples_of(plan: dict, photographs: str) -> pipeline.Samples:
    """The samples of train.py; see the module docstring."""
    paths = datasets.training("folder", photographs).train
    return pipeline.Samples(
        pipeline.Photographs(paths, reduce_to=plan["reduce_to"]),
        mask_files.mask_source(plan["masks"], plan["mask_dir"]),
        *(plan["size"], plan["seed"], plan["reduce_to"] is not None, plan["flip"]),
        plan["mask_size"],
    )


def train(folder, photographs, last: int, checkpoints, every: int = 1000) -> pathlib.Path:
    """Trains up to step `last` and returns the path of the last checkpoint; `every`: steps between checkpoints."""
    folder, checkpoints = pathlib.Path(folder), pathlib.Path(checkpoints)
    plan = json.loads((folder / "step.json").read_text())
    updates, state = read_updates(folder, plan), read_state(folder, checkpoints)
    samples, count = samples_of(plan, photographs), plan["images_per_step"]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:

        def load(step):
            return [pool.submit(samples.__getitem__, step * count + i) for i in range(count)]

        step, waiting = int(state["step"]), {}
        while step < last:
            for ahead in range(step, min(step + 3, last)):
                waiting[ahead] = waiting.get(ahead) or load(ahead)
            found = [future.result() for future in waiting.pop(step)]
            terms = {}
            for turn, (name, draws) in enumerate(plan["updates"]):
                batch = [np.stack(part) for part in zip(*found[turn :: len(plan["updates"])])]
                if draws:
                    rng = np.random.default_rng((plan["seed"], step, turn))
                    batch.append(rng.random((plan["batch_size"], 1, 1, 1), np.float32))
                state, now = updates[name](state, *batch)
                terms.update(now)
            step += 1
            if step % 100 == 0 or step == last:
                print(step, {name: round(float(value), 5) for name, value in terms.items()})
            if step % every == 0 or step == last:
                path = save(state, checkpoints, plan)
    return path


if __name__ == "__main__":
    print(train(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
