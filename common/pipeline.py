"""One tf.data pipeline for training: photographs, random crops and fresh holes.

Sample i of a run is a function of (seed, i) alone: which photograph, where it is cropped, which hole. So step n
sees the same batch in a run that was interrupted as in one that was not, whatever the number of workers. Holes are
drawn for every sample in Python while the pipeline runs (drawing them while it is traced would freeze one hole
for the whole run).
"""

from __future__ import annotations

import collections
import threading

import cv2
import numpy as np
import tensorflow as tf

from common.errors import UserError
from common.images import read_rgb

_ORDER, _CROP, _MASK = 1, 2, 3  # independent random streams of one seed


class Photographs:
    """Reads photographs and keeps the last ones decoded, up to `cache_bytes` of pixels."""

    def __init__(self, paths: list[str], cache_bytes: int = 2 << 30):
        if not paths:
            raise UserError("no photographs to train on; check --dataset and --data_dir")
        self.paths = list(paths)
        self._limit, self._held = cache_bytes, 0
        self._decoded = collections.OrderedDict()
        self._lock = threading.Lock()

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3] RGB."""
        with self._lock:
            if index in self._decoded:
                self._decoded.move_to_end(index)
                return self._decoded[index]
        image = read_rgb(self.paths[index])
        with self._lock:
            if index not in self._decoded:
                self._decoded[index] = image
                self._held += image.nbytes
            while self._held > self._limit and len(self._decoded) > 1:
                _, dropped = self._decoded.popitem(last=False)
                self._held -= dropped.nbytes
        return image


def random_crop(image: np.ndarray, size: int, rng, resize: bool, flip: bool) -> np.ndarray:
    """uint8 [H, W, 3] -> [size, size, 3].

    resize: the shorter side is first reduced to `size` (H section 4: DIV2K is down-sampled); otherwise the crop
    is taken at the photograph's own scale (H: Places2 is cropped). Smaller photographs are always enlarged.
    """
    short = min(image.shape[:2])
    if resize or short < size:
        scale = size / short
        height, width = (max(size, round(side * scale)) for side in image.shape[:2])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = cv2.resize(image, (width, height), interpolation=method)
    top, left = (int(rng.integers(side - size + 1)) for side in image.shape[:2])
    crop = image[top : top + size, left : left + size]
    return crop[:, ::-1] if flip and rng.integers(2) else crop


class Samples:
    """Sample i -> (image uint8 [size, size, 3], mask uint8 [mask_size, mask_size, 1]); see the module docstring.

    mask_size: side of the masks, where images are labels of a higher resolution; by default the images'.
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
        photograph = self.photographs[int(self._order(epoch)[position])]
        image = random_crop(photograph, self.size, rng, self.resize, self.flip)
        mask = self.mask_source(self.mask_size, self.mask_size, (self.seed, _MASK, sample))
        return np.ascontiguousarray(image), mask[..., np.newaxis]

    def _order(self, epoch):
        known, order = self._permutation
        if known != epoch:  # permuting 1.8 million names for every sample would be slow
            order = np.random.default_rng((self.seed, _ORDER, epoch)).permutation(
                len(self.photographs)
            )
            self._permutation = (epoch, order)
        return order


def training_dataset(samples: Samples, batch_size: int, first_sample: int = 0) -> tf.data.Dataset:
    """Endless batches (image [B, S, S, 3] float32 in [0, 1], mask [B, M, M, 1] float32, 1 = hole).

    Args:
      samples: random access to (seed, i) samples.
      batch_size: images of one element, over all replicas and critic steps.
      first_sample: where to go on after an interruption.
    """
    size, mask_size = samples.size, samples.mask_size

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
    # A range of sample numbers is no list of files: let every worker see all of it.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.prefetch(2).with_options(options)
