"""The tf.data pipeline for training: photographs, random crops and fresh holes.

The photograph, crop and hole of sample i are a function of (seed, i) alone. So step n has the same batch in an
interrupted and an uninterrupted run, with any number of threads. Holes are drawn in Python while the pipeline runs;
drawn during tracing, one hole would stay for the whole run. A photograph that cannot be read is skipped with a warning.
If more than 1% cannot be read, the run stops.

Memory: the cache's limit, four batches, and for each thread (one per core) about 3.5 times the pixels of a photograph
plus its file while it is decoded.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable

import cv2
import numpy as np

from common.data.cache import MemoryCache
from common.errors import UserError
from common.images import files as image_files
from common.images.convert import read_rgb

if TYPE_CHECKING:  # the samples are also those of programs without TensorFlow
    import tensorflow as tf

MOST_SKIPPED = 0.01  # largest share of unreadable photographs; more stop the run
_ORDER, _CROP, _MASK = 1, 2, 3  # independent random streams of one seed


class Photographs:
    """Reads photographs, caches them decoded, and counts the photographs that cannot be read.

    Args:
      paths: of the photographs; a sequence, not copied.
      cache: of `common.data.cache`; by default 2 GiB of memory.
      reduce_to: a photograph with a longer shorter side is reduced to this side before it is cached.

    Attributes:
      skipped: {index: reason} of photographs that could not be read in this process, or in an earlier one (`restore`).
      warn: function that is called with a line once per skipped photograph.
    """

    def __init__(self, paths: Sequence[str], cache=None, reduce_to: int | None = None):
        if not paths:
            raise UserError("no photographs to train on; check --dataset and --data_dir")
        self.paths, self.reduce_to = paths, reduce_to
        self.cache = MemoryCache(2 << 30) if cache is None else cache
        self.skipped: dict[int, str] = {}
        self._to_try: set[int] = set()  # skipped by an earlier process, possibly repaired since
        self.warn: Callable[[str], None] = lambda line: print(line, file=sys.stderr)
        self._lock = threading.Lock()

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3] RGB, reduced to `reduce_to`.

        Raises:
          UserError: the photograph cannot be read.
        """
        path = self.paths[index]
        return self.cache.fetch(index, lambda: reduced(read_rgb(path), self.reduce_to))

    def get(self, index: int) -> np.ndarray | None:
        """As [index], or None with a warning if the photograph cannot be read.

        Raises:
          UserError: more than 1% of all photographs cannot be read.
        """
        if index not in self.skipped or index in self._to_try:
            try:
                photograph = self[index]
            except UserError as error:
                self._skip(index, str(error))
            else:
                self._mended(index)
                return photograph
        if len(self.skipped) > MOST_SKIPPED * len(self):
            raise UserError(self._too_many())
        return None

    def _skip(self, index, why):
        with self._lock:
            first = index not in self.skipped
            self.skipped[index] = why
            self._to_try.discard(index)
        if first:
            self.warn(
                f"warning: photograph skipped ({len(self.skipped)} of {len(self)} so far): {why}"
            )

    def _mended(self, index):
        if index in self._to_try:
            with self._lock:
                self._to_try.discard(index)
                self.skipped.pop(index, None)

    def state(self) -> list:
        """[[index, path, reason]] of the photographs skipped so far, for a checkpoint."""
        with self._lock:
            return [[index, self.paths[index], why] for index, why in sorted(self.skipped.items())]

    def restore(self, state: list) -> None:
        """Counts photographs that an earlier process skipped, if `paths` still has them; each is tried again once."""
        with self._lock:
            for index, path, why in state:
                if index < len(self) and self.paths[index] == path and index not in self.skipped:
                    self.skipped[index] = why
                    self._to_try.add(index)

    def _too_many(self):
        with self._lock:
            reasons = list(self.skipped.values())
        more = "" if len(reasons) <= 3 else f"; and {len(reasons) - 3} more"
        return (
            f"{len(reasons)} of {len(self)} photographs cannot be read, more than {MOST_SKIPPED:.0%}: "
            f"{'; '.join(reasons[:3])}{more}"
        )

    def decoded_bytes(self, looks: int = 64) -> int:
        """Estimated bytes of all photographs when decoded, from the headers of up to `looks` photographs."""
        step = -(-len(self) // looks)
        sizes = [image_files.size(self.paths[i]) for i in range(0, len(self), step)]
        known = [self._bytes(*size) for size in sizes if size]
        return round(np.mean(known) * len(self)) if known else 0

    def _bytes(self, width, height):
        scale = min(1.0, (self.reduce_to or np.inf) / min(width, height))
        return 3 * round(width * scale) * round(height * scale)


def reduced(image: np.ndarray, size: int | None) -> np.ndarray:
    """uint8 [H, W, 3], reduced so that its shorter side is at most `size`; None: unchanged."""
    short = min(image.shape[:2])
    return image if size is None or short <= size else _resized(image, size)


def _resized(image, size):
    """The image scaled so that its shorter side is `size`."""
    scale = size / min(image.shape[:2])
    height, width = (max(size, round(side * scale)) for side in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


def random_crop(image: np.ndarray, size: int, rng, resize: bool, flip: bool) -> np.ndarray:
    """uint8 [H, W, 3] -> [size, size, 3].

    resize: reduce the shorter side to `size` before cropping (HiFill section 4: DIV2K is down-sampled); otherwise crop
      at the photograph's own scale (HiFill: Places2 is cropped). Smaller photographs are always enlarged.
    """
    short = min(image.shape[:2])
    if short < size or (resize and short > size):
        image = _resized(image, size)
    top, left = (int(rng.integers(side - size + 1)) for side in image.shape[:2])
    crop = image[top : top + size, left : left + size]
    # A copy of crop[:, ::-1] takes seven times as long, longer than the rest of a sample with a cached photograph.
    return cv2.flip(crop, 1) if flip and rng.integers(2) else crop


class Samples:
    """Sample i -> (image uint8 [size, size, 3], mask uint8 [mask_size, mask_size, 1]); see the module docstring.

    mask_size: side of the masks, if the images are labels of a higher resolution; by default `size`.
    """

    def __init__(
        self, photographs, mask_source, size, seed, resize=False, flip=False, mask_size=None
    ):
        self.photographs, self.mask_source = photographs, mask_source
        self.size, self.seed, self.resize, self.flip = size, seed, resize, flip
        self.mask_size = mask_size or size
        self._permutation = (None, None)

    def __getitem__(self, sample: int):
        epoch, position = divmod(sample, len(self.photographs))
        rng = np.random.default_rng((self.seed, _CROP, sample))
        image = random_crop(
            self._photograph(epoch, position), self.size, rng, self.resize, self.flip
        )
        mask = self.mask_source(self.mask_size, self.mask_size, (self.seed, _MASK, sample))
        return np.ascontiguousarray(image), mask[..., np.newaxis]

    def _photograph(self, epoch, position):
        """The photograph at a position of an epoch's order, or the next photograph that can be read.

        A damaged file thus changes no other sample, whether or not the run has tried it before.
        """
        order = self._order(epoch)
        while True:  # ends: `get` raises when too many cannot be read
            photograph = self.photographs.get(int(order[position]))
            if photograph is not None:
                return photograph
            position = (position + 1) % len(order)

    def _order(self, epoch):
        known, order = self._permutation
        if known != epoch:  # a new permutation of 1.8 million names per sample would be slow
            order = np.random.default_rng((self.seed, _ORDER, epoch)).permutation(
                len(self.photographs)
            )
            self._permutation = (epoch, order)
        return order


def training_dataset(samples: Samples, batch_size: int, first_sample: int = 0) -> tf.data.Dataset:
    """Endless batches (image [B, S, S, 3] float32 in [0, 1], mask [B, M, M, 1] float32, 1 = hole).

    Args:
      samples: random access to samples.
      batch_size: images of one element, over all replicas and critic steps.
      first_sample: number of the first sample, for a resumed run.
    """
    import tensorflow as tf

    size, mask_size = samples.size, samples.mask_size

    @tf.autograph.experimental.do_not_convert  # AutoGraph would run `load` through its converter every time
    def load(index):
        image, mask = tf.numpy_function(
            lambda i: samples[int(i)], [index], (tf.uint8, tf.uint8), stateful=True
        )
        image.set_shape([size, size, 3])
        mask.set_shape([mask_size, mask_size, 1])
        return image, mask

    def to_float(image, mask):
        return tf.image.convert_image_dtype(image, tf.float32), tf.cast(mask, tf.float32)

    numbers = tf.data.Dataset.range(first_sample, np.iinfo(np.int64).max)
    dataset = numbers.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.batch(batch_size, drop_remainder=True).map(to_float)
    options = tf.data.Options()
    # The elements are sample numbers, not files: every worker reads all of them.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.prefetch(2).with_options(options)
