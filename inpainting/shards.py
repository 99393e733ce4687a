"""Writes a data set of photographs as a few large tar files for training.

    inpaint shards --dataset=places2 --data_dir=/data/places2 --output=/data/places2_shards
    inpaint train --flagfile=configs/hifill/places2.cfg --data_dir=/data/places2_shards --output=runs/hifill

Copies of the photographs' files go into --output, unchanged. A run on them has the same samples as a run on the loose
files. --output must be new or empty. Exit code: 0 done, 1 failed, 2 wrong flags.
"""

from __future__ import annotations

from absl import flags
from tqdm import tqdm

from common import options
from common.data import datasets, shards
from common.errors import UsageError

FLAGS = flags.FLAGS
options.define_flags("data", datasets.DatasetOptions)
flags.DEFINE_string("output", None, "folder of the shards")
flags.DEFINE_integer("shard_mb", 256, "a shard is closed at this size", lower_bound=1)


def main(_) -> None:
    if not FLAGS.output:
        raise UsageError("--output is missing; name the folder to write")
    place = datasets.place(FLAGS.dataset, FLAGS.flag_values_dict())
    datasets.check_output(FLAGS.dataset, place, FLAGS.output)
    groups, splits = datasets.groups(FLAGS.dataset, *place)
    shards.new_folder(FLAGS.output)
    count = sum(len(paths) for _, paths in groups.values())
    written = shards.write(groups, splits, FLAGS.output, FLAGS.shard_mb << 20)
    for _ in tqdm(written, "writing", count, unit=" images"):
        pass
    for group, (_, paths) in groups.items():
        used = " and ".join(split for split in splits if splits[split] == group)
        print(f"wrote {len(paths):,} photographs for {used} to {FLAGS.output}")
