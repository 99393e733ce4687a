"""The training pipeline on this machine: crops per second without a cache and from memory.

    python -m benchmarks.pipeline --output=benchmarks/results/pipeline.json
    python -m benchmarks.pipeline --photographs=800 --cache_gb=8 --cores=2
    python -m benchmarks.pipeline --caches= --list_files=1800000 --output=benchmarks/results/list.json

Synthetic photographs have DIV2K's size (PNGs of 2040x1356, 4.4 MB each): noise in seven octaves with a natural image's
fall-off, discs for edges, and grain, which makes PNGs large and slow to decode. The pipeline takes 512x512 crops with
new 256x256 masks, as in Zoom-to-Inpaint's joint training (for HiFill: --masks=mixed --mask_size=512). Each line is
measured in its own process on --cores processors. One pass over the photographs fills the cache; then crops are
counted. `none` decodes a photograph at every use. `decode_share` is the share of decoding in the processor time.
`reduced` is the rate if the consumer also makes the low-resolution images; in training the accelerator makes them.
Memory is the peak of the whole process, and that of TensorFlow alone before.

Every process measures the convolution rate R of its processors and the time to decode one photograph. `--list_files`
makes a tree of empty files like Places2's and measures time and memory of its list.
"""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import tempfile
import threading
import time
from concurrent import futures

import numpy as np
from absl import flags
from tqdm import tqdm

from benchmarks import machine, results
from common.data import datasets
from common.images import convert

FLAGS = flags.FLAGS
HEIGHT, WIDTH, CROP, SCALE = 1356, 2040, 512, 2
CACHES = ("none", "ram")
flags.DEFINE_integer("photographs", 40, "number of photographs; DIV2K has 800", lower_bound=1)
flags.DEFINE_list("caches", list(CACHES), f"caches, of {', '.join(CACHES)}")
flags.DEFINE_list("cores", ["1", "2"], "numbers of processors, measured one after the other")
flags.DEFINE_string("masks", "small", "kind of masks, as in train.py")
flags.DEFINE_integer("mask_size", CROP // SCALE, "side of the masks")
flags.DEFINE_integer("batch_size", 16, "crops per batch")
flags.DEFINE_float("seconds", 20, "duration of each measurement")
flags.DEFINE_float("cache_gb", 2.0, "size of the cache, as in train.py")
flags.DEFINE_string("folder", None, "folder that keeps the photographs; default: a temporary one")
flags.DEFINE_integer("list_files", 0, "also list this many files; Places2 has 1800000")


def photograph(seed: int) -> np.ndarray:
    """uint8 [1356, 2040, 3]; see the module docstring."""
    import cv2

    rng = np.random.default_rng(seed)
    image = np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)
    for octave in range(7):
        cells = 8 << octave
        noise = rng.standard_normal((cells, cells + cells // 2, 3)).astype(np.float32)
        noise = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        image += 0.18 * 0.5**octave * noise
    for _ in range(40):
        centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
        cv2.circle(image, centre, int(rng.integers(10, 133)), rng.uniform(size=3).tolist(), -1)
    image += 0.012 * rng.standard_normal(image.shape, np.float32)
    return convert.to_uint8(image)


def make_photographs(folder: pathlib.Path) -> list[str]:
    """Paths of the photographs; missing ones are made first, on all processors, half a second each."""
    from common.images import files as image_files

    def make(number):
        path = folder / f"{number:04d}.png"
        if not path.exists():
            image = image_files.as_image(photograph(number))
            image_files.write(path, image, "PNG", compress_level=6)
        return str(path)

    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        made = pool.map(make, range(FLAGS.photographs))
        return list(tqdm(made, "drawing photographs", FLAGS.photographs, leave=False))


class Decoding:
    """`read_rgb` that adds up its processor time."""

    def __init__(self):
        self.seconds, self._lock = 0.0, threading.Lock()

    def __call__(self, path):
        started = time.thread_time()
        image = convert.read_rgb(path)
        with self._lock:
            self.seconds += time.thread_time() - started
        return image


def one(case: dict) -> dict:
    """One line of the results, in its own process."""
    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: case["cores"]])
    import tensorflow as tf

    from common.data import cache, pipeline
    from common.masks import files as mask_files
    from zoom_to_inpaint.training import reduced_to

    result = {"rate_gflops": machine.best_rate()}
    decode = machine.median_seconds(lambda: convert.read_rgb(case["paths"][0]))
    result["decode_ms"] = 1000 * decode
    pipeline.read_rgb = decoding = Decoding()
    gigabytes = 0 if case["cache"] == "none" else case["cache_gb"]
    kept = cache.MemoryCache(int(gigabytes * (1 << 30)))
    photographs = pipeline.Photographs(case["paths"], kept)
    source = mask_files.mask_source(case["masks"])
    samples = pipeline.Samples(
        photographs, source, CROP, seed=0, flip=True, mask_size=case["mask_size"]
    )
    result["before_gigabytes"] = machine.most_gigabytes()
    batches = iter(pipeline.training_dataset(samples, case["batch_size"]))
    passes = 1 if case["cache"] != "none" else 0
    for _ in range(2 + passes * len(photographs) // case["batch_size"]):
        next(batches)  # fills the cache and lets tf.data tune its parallelism
    result.update(_count(batches, case, decoding))
    reduce = tf.function(lambda image: reduced_to(image, CROP // SCALE))
    reduce(next(batches)[0])
    with_reduction = ((reduce(image), mask) for image, mask in batches)
    result["reduced_per_second"] = _count(with_reduction, case, decoding)["crops_per_second"]
    # Otherwise their threads still run Python code when the process ends.
    del batches, with_reduction
    result["peak_gigabytes"] = machine.most_gigabytes()
    result["rate_gflops"] = (result["rate_gflops"] + machine.best_rate()) / 2
    return result


def _count(batches, case, decoding):
    """Crops per second, in all and per processor, and the share of decoding in the processor time."""
    crops, decoded = 0, decoding.seconds
    started, processor = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < case["seconds"]:
        [part[0, 0, 0].numpy() for part in next(batches)]
        crops += case["batch_size"]
    seconds = time.perf_counter() - started
    processor = time.process_time() - processor
    return {
        "crops_per_second": crops / seconds,
        "per_core": crops / seconds / case["cores"],
        "processor_ms_per_crop": 1000 * processor / crops,
        "decode_share": (decoding.seconds - decoded) / processor,
    }


def list_files(count: int) -> dict:
    """Time and memory to list a tree of `count` empty files in 360 folders, in its own process."""
    with tempfile.TemporaryDirectory(dir=FLAGS.folder) as root:
        for number in range(360):
            folder = pathlib.Path(root, "data_large", chr(97 + number % 26), f"category_{number}")
            folder.mkdir(parents=True)
            for name in range(count * number // 360, count * (number + 1) // 360):
                (folder / f"{name:08d}.jpg").touch()
        return in_process(_list, root)


def _list(root):
    before, started = machine.most_gigabytes(), time.perf_counter()
    found = datasets.files("places2", root, "train")
    seconds = time.perf_counter() - started
    return {
        "files": len(found),
        "seconds": seconds,
        "list_gigabytes": machine.most_gigabytes() - before,
        "process_gigabytes": machine.most_gigabytes(),
    }


def in_process(call, argument):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, (argument,))


def measure(found: results.Results) -> None:
    """Measures every cache on every number of processors, and the list."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(FLAGS.folder or temporary)
        names = ("masks", "mask_size", "batch_size", "seconds", "cache_gb")
        setting = {name: FLAGS[name].value for name in names}
        paths = make_photographs(folder) if FLAGS.caches else []
        found.content["setting"] = {**setting, "photographs": len(paths)}
        for cores in FLAGS.cores:
            for cache in FLAGS.caches:
                place = {"cache": cache, "cores": int(cores), "folder": str(folder)}
                case = {**setting, **place, "paths": paths}
                found.add(f"{cache}, {cores} cores", in_process(one, case))
        if FLAGS.list_files:
            found.add("list", list_files(FLAGS.list_files))


if __name__ == "__main__":
    results.run(measure)
