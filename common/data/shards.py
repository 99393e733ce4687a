"""A data set of photographs as a few large tar files ("shards") instead of millions of small files.

    OUTPUT/train-00000.tar, train-00001.tar, ...   the files of the data set as they are, under their own names
    OUTPUT/validation-00000.tar, ...
    OUTPUT/shards.npz                              name, shard, first byte and size of each photograph

`write` makes such a folder, `paths` lists its photographs in the order of the loose files. So sample i of a run is the
same with both (`common.data.pipeline`). Any program that reads tar files, WebDataset included, can read the shards.
"""

from __future__ import annotations

import os
import pathlib
import tarfile
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from common import storage
from common.errors import UserError
from common.images import tar_members

INDEX = "shards.npz"
_PAX = tarfile.PAX_FORMAT  # any names
_ROWS = ("shard", "start", "size", "name_end")  # integers of each photograph


class Members(Sequence):
    """Paths (`common.images.tar_members`) of photographs in shards; each is made when it is asked for.

    Args:
      folder: of the shards.
      group: first part of the shards' names.
      table: {"shard", "start", "size", "name_end": integers [N], "names": uint8, all names one after the other}.

    Raises:
      ValueError: the table has another form.
    """

    def __init__(self, folder: str, group: str, table: Mapping[str, np.ndarray]):
        self._prefix, self._table = os.path.join(folder, group), table
        forms = {(table[part].shape, table[part].dtype.kind) for part in _ROWS}
        if len(forms) > 1 or table["size"].ndim != 1 or table["size"].dtype.kind != "i":
            raise ValueError(f"the table of {group} has a wrong form")

    def __len__(self):
        return len(self._table["size"])

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        shard, start, size, end = (int(self._table[part][index]) for part in _ROWS)
        begin = int(self._table["name_end"][index - 1]) if index else 0
        name = os.fsdecode(self._table["names"][begin:end].tobytes())
        return tar_members.Member(f"{self._prefix}-{shard:05d}.tar", start, size, name).path


def new_folder(output: os.PathLike) -> None:
    """Makes the folder for shards; UserError if it cannot be made or is not empty."""
    with storage.named_errors(output):
        pathlib.Path(output).mkdir(parents=True, exist_ok=True)
        storage.remove_partial(output)
        if os.listdir(output):
            raise UserError(f"{output} is not empty; name a new folder or empty it")


def write(
    groups: Mapping[str, tuple[os.PathLike, Sequence[str]]],
    splits: Mapping[str, str],
    output: os.PathLike,
    shard_bytes: int,
) -> Iterator[str]:
    """Writes photographs as shards; yields the path of each photograph when it is written.

    Args:
      groups: {name: (folder, paths below it)}; the files' names in the shards are relative to the folder.
      splits: {"train": the group that it consists of, ...}.
      output: as in `new_folder`. The index is written last; without it the folder is no data set.
      shard_bytes: a shard is closed when it has this many bytes.

    Raises:
      UserError: a photograph cannot be read, or `output` cannot be written.
    """
    output, tables = pathlib.Path(output), {}
    for group, (folder, paths) in groups.items():
        yield from _write_group(output / group, folder, paths, shard_bytes, rows := [])
        tables |= {f"{group}/{part}": array for part, array in _table(rows).items()}
    shards = {shard.name: shard.stat().st_size for shard in sorted(output.glob("*.tar"))}
    header = {"splits": dict(splits), "shards": shards}
    storage.write_arrays(output / INDEX, tables, header)


def _write_group(prefix, folder, paths, shard_bytes, rows):
    """Writes one group; appends (shard, start, size, name) of each photograph to `rows`."""
    start = len(os.path.join(folder, ""))
    left, shard = iter(paths), 0
    path = next(left, None)
    while path is not None:
        target = f"{prefix}-{shard:05d}.tar"
        with storage.atomic_path(target) as partial, tarfile.open(partial, "w", format=_PAX) as tar:
            while path is not None and tar.offset < shard_bytes:
                name = path[start:].replace(os.sep, "/")
                rows.append((shard, *_add(tar, path, name), os.fsencode(name)))
                yield path
                path = next(left, None)
        shard += 1


def _add(tar, path, name):
    """(first byte, size) of the file's content in the tar file. The time is left out: equal files, equal shards."""
    try:
        with open(path, "rb") as file:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = os.fstat(file.fileno()).st_size, 0o644
            tar.addfile(entry, file)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist any more; list the photographs again") from error
    except PermissionError as error:
        raise UserError(f"no permission to read {path}; change its permissions") from error
    padded = -(-entry.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return tar.offset - padded, entry.size


def _table(rows):
    shard, start, size, names = zip(*rows)
    return {
        "shard": np.array(shard, np.int32),
        "start": np.array(start, np.int64),
        "size": np.array(size, np.int64),
        "name_end": np.cumsum([len(name) for name in names], dtype=np.int64),
        "names": np.frombuffer(b"".join(names), np.uint8),
    }


def is_set(folder: os.PathLike) -> bool:
    """Whether `folder` holds shards with their index."""
    return (pathlib.Path(folder) / INDEX).is_file()


def paths(folder: os.PathLike, split: str) -> tuple[str, Members] | None:
    """(name of the group, its photographs) of a split, or None if the shards have no such split.

    Raises:
      UserError: the index is damaged, or a shard is missing or is not the file that the index describes.
    """
    index = pathlib.Path(folder) / INDEX
    again = "; write the shards again, or copy the whole folder"
    try:
        header, arrays = storage.read_arrays(index)
        group = header["splits"].get(split)
        for name, size in header["shards"].items():
            if os.path.getsize(index.parent / name) != size:
                raise UserError(f"{index.parent / name} is not as long as {INDEX} says{again}")
        if group is None:
            return None
        table = {part: arrays[f"{group}/{part}"] for part in (*_ROWS, "names")}
        return group, Members(str(folder), group, table)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing{again}") from error
    except (storage.DamagedError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{index} is damaged ({error}){again}") from error
