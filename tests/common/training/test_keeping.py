"""Which checkpoints stay: the last ones, milestones and the best; and what a full disk does."""

from __future__ import annotations

import errno
import gc
import json
import os
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from common import storage
from common.errors import UsageError, UserError
from common.training import checkpoints, validation


def _names(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def _header(path):
    with np.load(path) as archive:
        return json.loads(str(archive["header.json"]))


def _scored(toy, values):
    """A recipe whose validation reports one of `values` after the other as the term "made_up"."""
    recipe, left = toy.recipe(), iter(values)
    recipe.validation_terms = lambda image, mask: {"made_up": next(left)}
    return recipe


def test_milestones_survive_the_rotation_and_a_start_without_them(train, tmp_path):
    train(7, checkpoint_every=1, milestone_every=3, keep_checkpoints=1)
    milestones = ["milestone-00000003.npz", "milestone-00000006.npz"]
    assert _names(tmp_path / "run") == [*milestones, "step-00000007.npz"]
    train(9, checkpoint_every=1, keep_checkpoints=1)
    assert _names(tmp_path / "run") == [*milestones, "step-00000009.npz"]
    assert _header(tmp_path / "run/checkpoints/milestone-00000006.npz")["step"] == 6
    # One that is no checkpoint_every's is written too.
    train(4, folder="other", checkpoint_every=4, milestone_every=3, keep_checkpoints=1)
    assert _names(tmp_path / "other") == [milestones[0], "step-00000004.npz"]


def test_the_best_is_kept_with_its_weights(train, toy, tmp_path):
    # The metric is looked up once before the first step.
    recipe = _scored(toy, [9, 0.5, 0.2, 0.4, 0.3])
    options = {"validate_every": 2, "checkpoint_every": 8, "keep_best": "validation_made_up"}
    train(8, recipe, **options)
    folder = tmp_path / "run"
    assert _names(folder) == ["best.npz", "step-00000008.npz"]
    best = {"metric": "validation_made_up", "value": 0.2, "step": 4}
    assert _header(folder / "checkpoints/best.npz")["best"] == best
    assert _header(folder / "checkpoints/best.npz")["step"] == 4
    train(4, folder="until_4")
    with (
        np.load(folder / "weights_best.npz") as one,
        np.load(tmp_path / "until_4/weights.npz") as other,
    ):
        for name in one:
            np.testing.assert_allclose(one[name], other[name], atol=1e-6)
    # The record survives: 0.3 is worse, 0.1 is better.
    train(10, _scored(toy, [9, 0.3]), **options)
    assert _header(folder / "checkpoints/best.npz")["step"] == 4
    train(12, _scored(toy, [9, 0.1]), **options)
    assert _header(folder / "checkpoints/best.npz")["step"] == 12
    assert "best validation_made_up so far, 0.1" in (folder / "log.txt").read_text()


def test_another_metric_starts_its_own_record(train, toy, tmp_path):
    train(2, _scored(toy, [9, 0.2]), validate_every=2, keep_best="validation_made_up")
    train(4, validate_every=2, keep_best="validation_psnr")
    best = _header(tmp_path / "run/checkpoints/best.npz")["best"]
    assert (best["metric"], best["step"]) == ("validation_psnr", 4)


@pytest.mark.parametrize(
    ("metric", "higher"),
    [("psnr", True), ("ssim", True), ("l1", False), ("coarse_l1", False), ("generator", False)],
)
def test_better_is_inferred_from_the_name(metric, higher):
    assert validation.higher_is_better(f"validation_{metric}") == higher


@pytest.mark.parametrize("metric", ["psnr", "validation_critic", "validation_gone"])
def test_a_metric_that_ranks_nothing_is_refused_before_the_first_step(train, toy, tmp_path, metric):
    recipe = _scored(toy, [1.0] * 9)
    with pytest.raises(UsageError, match=f"--keep_best={metric}"):
        train(2, recipe, keep_best=metric)
    assert int(recipe.trainer.step) == 0 and not list((tmp_path / "run").iterdir())


def test_names_are_links_or_copies(train, tmp_path, monkeypatch):
    train(2, milestone_every=2, keep_best="validation_psnr")
    folder = tmp_path / "run" / "checkpoints"
    one, other = (folder / f"{name}-00000002.npz" for name in ("step", "milestone"))
    assert os.path.samefile(one, other)

    def refused(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(checkpoints.os, "link", refused)
    train(4, milestone_every=2, folder="copies")
    one, other = (
        tmp_path / f"copies/checkpoints/{name}-00000004.npz" for name in ("step", "milestone")
    )
    assert not os.path.samefile(one, other) and one.read_bytes() == other.read_bytes()


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name(train, tmp_path, monkeypatch):
    """The file, then the name, then the folder: the order that survives a power cut."""
    seen = []
    fsync, replace = os.fsync, os.replace

    def flushed(handle):
        seen.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    def renamed(source, target):
        seen.append(f"{source} -> {target}")
        replace(source, target)

    monkeypatch.setattr(storage.os, "fsync", flushed)
    monkeypatch.setattr(storage.os, "replace", renamed)
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc to see what is flushed")
    train(2)
    folder = str(tmp_path / "run" / "checkpoints")
    name = next(i for i, x in enumerate(seen) if x.endswith("-> " + folder + "/step-00000002.npz"))
    temporary = seen[name].split(" -> ")[0]
    assert seen[name - 1 : name + 2] == [temporary, seen[name], folder]
    assert str(tmp_path / "run" / "statistics.jsonl") in seen[: name - 1]


# --- a full disk


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 300 kB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"cannot mount: {error}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _assert_said(message, path, size):
    assert "\n" not in message and str(path) in message and "the disk is full" in message
    needed = int(message.split("(")[1].split(" bytes")[0].replace(",", ""))
    assert size <= needed < size + 1000


@pytest.mark.filterwarnings(
    "error"
)  # such as what zipfile says about itself when it is thrown away
def test_a_full_disk_is_one_line_and_the_last_good_one_stays(small_disk):
    layer = tf.keras.layers.Dense(200, kernel_initializer="ones")  # Keras 2's random ones warn
    layer.build((None, 150))  # 120,800 bytes; two fit, three do not
    saved = checkpoints.Checkpoints(small_disk / "c", {"net": layer}, {}, keep=5)
    paths = [saved.save(1, {}), saved.save(2, {})]
    before = [path.read_bytes() for path in paths]
    with pytest.raises(UserError) as error:
        saved.save(3, {})
    gc.collect()
    _assert_said(str(error.value), small_disk / "c" / "step-00000003.npz", saved.size())
    assert [path.read_bytes() for path in paths] == before
    assert sorted(p.name for p in (small_disk / "c").iterdir()) == [p.name for p in paths]
    assert saved.restore(saved.paths()[-1])["step"] == 2
    paths[0].unlink()
    assert saved.save(3, {}).exists()  # with room again it works


def test_a_full_disk_stops_the_run_and_the_same_command_goes_on(train, toy, tmp_path, monkeypatch):
    savez = np.savez

    def full(stream, **arrays):
        if len(list((tmp_path / "run").rglob("step-*.npz"))) == 2:
            stream.write(b"PK")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        savez(stream, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr(storage.np, "savez", full)
        with pytest.raises(UserError) as error:
            train(9, checkpoint_every=2)
    size = checkpoints.Checkpoints("", {"net": toy.recipe().layers["net"]}, {}).size()
    _assert_said(str(error.value), tmp_path / "run/checkpoints/step-00000006.npz", 3 * size)
    assert _names(tmp_path / "run") == ["step-00000002.npz", "step-00000004.npz"]
    assert int(train(9, checkpoint_every=2).trainer.step) == 9
