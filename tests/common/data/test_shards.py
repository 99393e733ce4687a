"""Shards: the samples of the loose files, tar files for everybody, and one line for what is missing or damaged."""

from __future__ import annotations

import pathlib
import tarfile

import numpy as np
import pytest

from common import storage
from common.data import datasets, pipeline, shards
from common.errors import UserError
from common.images import convert
from common.images import files as image_files
from common.masks import files as mask_files

LONG = "x" * 150
NAMES = [f"{number}.png" for number in range(9)] + ["b/ä\udcff.png", f"b/{LONG}.png", "c/d/e.png"]


def _photographs(folder, names):
    for number, name in enumerate(names):
        image = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        convert.write_png(folder / name, image)


def _written(name, folder, output, shard_bytes=20000):
    shards.new_folder(output)
    return list(shards.write(*datasets.groups(name, str(folder)), output, shard_bytes))


@pytest.fixture(scope="module")
def loose(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loose")
    _photographs(folder, NAMES)
    return folder


@pytest.fixture
def sharded(loose, tmp_path):
    _written("folder", loose, tmp_path / "shards")
    return tmp_path / "shards"


def _samples(paths):
    photographs = pipeline.Photographs(paths)
    photographs.warn = lambda line: None
    samples = pipeline.Samples(photographs, mask_files.mask_source("small"), 32, seed=3, flip=True)
    return [samples[number] for number in range(30)]


def _equal(these, those):
    return all(np.array_equal(a, b) for one, two in zip(these, those) for a, b in zip(one, two))


def test_samples_and_held_out_photographs_are_those_of_the_loose_files(loose, sharded):
    here, there = (datasets.training("folder", str(folder)) for folder in (loose, sharded))
    assert len(here.validation) == 1 and here.note == there.note
    assert len(list(sharded.glob("train-*.tar"))) > 1
    for these, those in zip(here[:2], there[:2]):
        for one, other in zip(these, those, strict=True):
            np.testing.assert_array_equal(convert.read_rgb(one), convert.read_rgb(other))
    assert _equal(_samples(here.train), _samples(there.train))
    assert not _equal(_samples(here.train), _samples(there.train[::-1]))
    assert image_files.size(there.train[0]) == (50, 40)


def test_every_program_that_reads_tar_files_gets_the_files(loose, sharded):
    found = {}
    for path in sharded.glob("*.tar"):
        with tarfile.open(path) as tar:
            found |= {entry.name: tar.extractfile(entry).read() for entry in tar}
    assert found == {name: (loose / name).read_bytes() for name in NAMES}


def test_equal_photographs_give_equal_shards(loose, sharded, tmp_path):
    _written("folder", loose, tmp_path / "again")
    for path in sharded.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_splits_stay_apart_and_shared_photographs_are_written_once(tmp_path):
    _photographs(tmp_path / "DIV2K_train_HR", ["1.png", "2.png"])
    _photographs(tmp_path / "DIV2K_valid_HR", ["3.png"])
    assert len(_written("div2k", tmp_path, tmp_path / "s")) == 3
    assert sorted(p.stem for p in (tmp_path / "s").glob("*.tar")) == [
        "train-00000",
        "validation-00000",
    ]
    found = datasets.training("div2k", str(tmp_path / "s"))
    assert [pathlib.Path(p).name for p in (*found.train, *found.validation)] == [
        "1.png",
        "2.png",
        "3.png",
    ]
    assert list(datasets.files("div2k", str(tmp_path / "s"), "test")) == list(found.validation)


def test_a_split_that_was_not_there_is_named(tmp_path):
    _photographs(tmp_path / "train", ["1.png"])
    _written("places2", tmp_path, tmp_path / "s")
    with pytest.raises(UserError, match="s have no test photographs"):
        datasets.files("places2", str(tmp_path / "s"), "test")


def test_a_damaged_photograph_is_skipped_as_a_loose_one_is(loose, tmp_path):
    folder, output = tmp_path / "loose", tmp_path / "shards"
    _photographs(folder, [f"{number:03}.png" for number in range(120)])
    (folder / "007.png").write_bytes((loose / "0.png").read_bytes()[:60])
    _written("folder", folder, output)
    lists = [datasets.files("folder", str(place), "train") for place in (folder, output)]
    warnings = []
    photographs = pipeline.Photographs(lists[1])
    photographs.warn = warnings.append
    assert photographs.get(7) is None and "+60/007.png" in warnings[0]
    assert _equal(*map(_samples, lists))


def test_a_shard_of_another_length_or_none_is_named(sharded):
    shard = sharded / "train-00001.tar"
    shard.write_bytes(shard.read_bytes()[:-512])
    with pytest.raises(
        UserError, match=r"train-00001\.tar is not as long as shards\.npz says; write"
    ):
        datasets.files("folder", str(sharded), "train")
    shard.unlink()
    with pytest.raises(UserError, match=r"train-00001\.tar is missing; write the shards again"):
        datasets.files("folder", str(sharded), "train")


@pytest.mark.parametrize(
    "change",
    [
        lambda header, table: header.pop("splits"),
        lambda header, table: header.update(splits=[1]),
        lambda header, table: header.update(splits={"train": "other"}),
        lambda header, table: table.pop("train/size"),
        lambda header, table: table.update({"train/start": np.arange(3)}),
        lambda header, table: table.update({"train/shard": np.full(12, 0.5)}),
    ],
)
def test_a_damaged_index_is_named(sharded, change):
    header, table = storage.read_arrays(sharded / shards.INDEX)
    change(header, table)
    storage.write_arrays(sharded / shards.INDEX, table, header)
    with pytest.raises(UserError, match=r"shards\.npz is damaged"):
        datasets.files("folder", str(sharded), "train")


def test_numbers_that_no_tar_file_has_are_one_unreadable_photograph(sharded):
    for where in (f"{10**17}+5", f"0+{10**17}", f"{'9' * 5000}+1"):
        with pytest.raises(UserError):
            image_files.read(f"{sharded}/train-00000.tar/{where}/0.png")


def test_an_interrupted_writing_leaves_no_data_set(loose, tmp_path):
    shards.new_folder(tmp_path / "s")
    writing = shards.write(*datasets.groups("folder", str(loose)), tmp_path / "s", 20000)
    for _ in range(8):
        next(writing)
    writing.close()
    assert not [p for p in (tmp_path / "s").iterdir() if not p.name.startswith("train-0")]
    with pytest.raises(UserError, match="no train photographs"):
        datasets.files("folder", str(tmp_path / "s"), "train")
    with pytest.raises(UserError, match="is not empty; name a new folder"):
        shards.new_folder(tmp_path / "s")


def test_the_command_writes_what_train_and_evaluate_read(loose, run_command, tmp_path):
    (tmp_path / "photos").symlink_to(loose)
    flags = ("--dataset=folder", "--data_dir=photos/.", "--output=s")
    root = str(pathlib.Path(__file__).parents[3])
    process = run_command("-minpainting", "shards", *flags, cwd=tmp_path, PYTHONPATH=root)
    assert process.returncode == 0, process.stderr
    assert process.stdout == "wrote 12 photographs for train and validation and test to s\n"
    assert len(datasets.files("folder", str(tmp_path / "s"), "validation")) == 12
