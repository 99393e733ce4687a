"""The training pipeline: fresh holes, every photograph once a pass, and samples that depend on (seed, i) alone."""

from __future__ import annotations

import concurrent.futures
import gc
import json
import pathlib
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
import tensorflow as tf

from common.data import pipeline
from common.data.cache import MemoryCache
from common.errors import UserError
from common.images import convert
from common.masks import files as mask_files

SIZE, STEP = 32, 3
SHAPES = [(40, 60), (64, 36), (32, 32), (50, 50), (33, 80), (70, 32), (45, 47)]


def _chart(number, height, width):
    """A photograph that tells its number in red, its column in green and its row in blue, STEP levels each."""
    chart = np.empty((height, width, 3), np.uint8)
    chart[..., 0] = number
    chart[..., 1] = STEP * np.arange(width)
    chart[..., 2] = STEP * np.arange(height)[:, None]
    return chart


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for number, shape in enumerate(SHAPES):
        convert.write_png(folder / f"{number}.png", _chart(number, *shape))
    return [str(folder / f"{number}.png") for number in range(len(SHAPES))]


@pytest.fixture
def make(paths):
    """make(seed=..., ...) -> new `Samples` of the seven charts."""

    def samples(seed=0, masks="irregular", **options):
        source = mask_files.mask_source(masks)
        return pipeline.Samples(pipeline.Photographs(paths), source, SIZE, seed, **options)

    return samples


def _numbers(samples, indices):
    return [int(samples[i][0][0, 0, 0]) for i in indices]


def _taken(dataset, batches):
    """(images, masks) of the first batches, concatenated."""
    found = [(image.numpy(), mask.numpy()) for image, mask in dataset.take(batches)]
    return tuple(np.concatenate(part) for part in zip(*found))


# --- one crop


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (32, 50), (50, 32), (32, 32)])
def test_a_crop_is_a_piece_of_the_photograph_as_it_stands(shape):
    chart = _chart(7, *shape)
    corners = set()
    for seed in range(300):
        crop = pipeline.random_crop(chart, SIZE, np.random.default_rng(seed), False, False)
        left, top = int(crop[0, 0, 1]) // STEP, int(crop[0, 0, 2]) // STEP
        np.testing.assert_array_equal(crop, chart[top : top + SIZE, left : left + SIZE])
        corners.add((top, left))
    tops, lefts = ({corner[axis] for corner in corners} for axis in (0, 1))
    # The first and the last place too; with 29 places or fewer, 300 draws miss one with p < 0.001.
    assert tops == set(range(shape[0] - SIZE + 1)) and lefts == set(range(shape[1] - SIZE + 1))


def test_flip_mirrors_half_of_the_crops_left_to_right():
    chart, mirrored = _chart(0, 40, 60), []
    for seed in range(100):
        crop = pipeline.random_crop(chart, SIZE, np.random.default_rng(seed), False, True)
        plain = pipeline.random_crop(chart, SIZE, np.random.default_rng(seed), False, False)
        mirrored.append(bool(crop[0, 0, 1] > crop[0, -1, 1]))
        np.testing.assert_array_equal(crop, plain[:, ::-1] if mirrored[-1] else plain)
    assert 35 <= sum(mirrored) <= 65  # three standard deviations


@pytest.mark.parametrize("shape", [(64, 80), (80, 48), (33, 80), (64, 64)])
def test_resize_shows_the_whole_shorter_side(shape):
    crop = pipeline.random_crop(_chart(9, *shape), SIZE, np.random.default_rng(1), True, False)
    assert crop.shape == (SIZE, SIZE, 3) and (crop[..., 0] == 9).all()
    scale = min(shape) / SIZE
    for channel, axis, side in ((1, 1, shape[1]), (2, 0, shape[0])):
        ramp = crop[..., channel].astype(float).mean(axis=1 - axis) / STEP
        # Area averages of a ramp are `scale` apart; levels are rounded, and the other side's scale by half a pixel.
        np.testing.assert_allclose(np.diff(ramp), scale, atol=0.75)
        assert abs((ramp[-1] - ramp[0]) / (SIZE - 1) - scale) < 0.05
        if side == min(shape):
            assert abs(ramp[0] - (scale - 1) / 2) < 0.5


def test_without_resize_a_large_photograph_keeps_its_scale():
    crop = pipeline.random_crop(_chart(0, 64, 80), SIZE, np.random.default_rng(0), False, False)
    assert (np.diff(crop[0, :, 1].astype(int)) == STEP).all()
    assert (np.diff(crop[:, 0, 2].astype(int)) == STEP).all()


@pytest.mark.parametrize("resize", [False, True])
@pytest.mark.parametrize("shape", [(20, 24), (31, 90), (1, 1), (1, 40), (5, 3)])
def test_smaller_photographs_are_enlarged(shape, resize):
    rng = np.random.default_rng(0)
    crop = pipeline.random_crop(_chart(11, *shape), SIZE, rng, resize, False)
    assert crop.shape == (SIZE, SIZE, 3) and crop.dtype == np.uint8
    assert (crop[..., 0] == 11).all()
    assert int(crop[..., 1].max()) <= STEP * shape[1] and int(crop[..., 2].max()) <= STEP * shape[0]


# --- samples


def test_every_photograph_appears_once_a_pass_in_another_order(make):
    samples, count = make(), len(SHAPES)
    passes = [_numbers(samples, range(count * p, count * (p + 1))) for p in range(4)]
    assert all(sorted(order) == list(range(count)) for order in passes)
    assert len({tuple(order) for order in passes}) == 4


def test_a_sample_is_an_upright_crop_and_a_mask(make):
    samples = make()
    for i in range(len(SHAPES)):
        image, mask = samples[i]
        assert (image.dtype, image.shape) == (np.uint8, (SIZE, SIZE, 3))
        assert (mask.dtype, mask.shape) == (np.uint8, (SIZE, SIZE, 1))
        assert set(np.unique(mask)) == {0, 1}
        left, top = int(image[0, 0, 1]) // STEP, int(image[0, 0, 2]) // STEP
        chart = _chart(image[0, 0, 0], *SHAPES[image[0, 0, 0]])
        np.testing.assert_array_equal(image, chart[top : top + SIZE, left : left + SIZE])


def test_a_sample_does_not_depend_on_what_was_read_before_or_by_whom(make):
    samples, count = make(flip=True), 4 * len(SHAPES)
    expected = [samples[i] for i in range(count)]
    shuffled = np.random.default_rng(5).permutation(count)
    other = make(flip=True)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = dict(zip(shuffled, pool.map(lambda i: other[int(i)], shuffled)))
    for i, (image, mask) in enumerate(expected):
        np.testing.assert_array_equal(found[i][0], image)
        np.testing.assert_array_equal(found[i][1], mask)


def test_seeds_give_other_orders_crops_and_masks(make):
    first, second, count = make(seed=1), make(seed=2), len(SHAPES)
    assert _numbers(first, range(count)) != _numbers(second, range(count))
    masks = [[samples[i][1].tobytes() for i in range(count)] for samples in (first, second)]
    assert not set(masks[0]) & set(masks[1])
    crops = [{samples[i][0].tobytes() for i in range(count)} for samples in (first, second)]
    # One chart has room for a single crop.
    assert len(crops[0] & crops[1]) <= 2


def test_a_photograph_is_cropped_anew_in_every_pass(make):
    samples, count = make(), len(SHAPES)
    crops = {samples[i][0].tobytes() for i in range(6 * count)}
    assert len(crops) > 4 * count


def test_masks_may_have_another_side_than_the_photographs(make):
    small, same, default = make(mask_size=SIZE // 2), make(mask_size=SIZE), make()
    assert (small.mask_size, same.mask_size, default.mask_size) == (SIZE // 2, SIZE, SIZE)
    source = mask_files.mask_source("irregular")
    for i in range(2 * len(SHAPES)):
        image, mask = small[i]
        assert image.shape == (SIZE, SIZE, 3) and mask.shape == (SIZE // 2, SIZE // 2, 1)
        assert 0 < mask.mean() < 1  # drawn at its own size: nothing is resized, and it stays binary
        drawn = source(SIZE // 2, SIZE // 2, (0, pipeline._MASK, i))
        np.testing.assert_array_equal(mask[..., 0], drawn)
        # The photograph's crop does not depend on it.
        np.testing.assert_array_equal(image, default[i][0])
        np.testing.assert_array_equal(same[i][1], default[i][1])


# --- the cache


@pytest.fixture
def reads(monkeypatch):
    """(numbers of the photographs as they are read, weak references to what was decoded)."""
    order, alive = [], weakref.WeakSet()

    class Pixels(np.ndarray):
        __hash__ = object.__hash__  # so that a WeakSet can hold it

    def read(path):
        order.append(path)
        image = np.zeros((10, 10, 3), np.uint8).view(Pixels)
        alive.add(image)
        return image

    monkeypatch.setattr(pipeline, "read_rgb", read)
    return order, alive


def test_memory_keeps_what_came_first(reads):
    photographs = pipeline.Photographs(list("abcd"), MemoryCache(900))  # room for three
    for index in (0, 1, 2, 0, 3, 0, 2, 3, 1):
        assert photographs[index].shape == (10, 10, 3)
    assert reads[0] == list("abcdd")
    assert len(photographs) == 4


@pytest.mark.default_environment
@pytest.mark.parametrize(("limit", "most"), [(900, 3), (899, 2), (300, 1), (10, 0), (0, 0)])
def test_the_cache_keeps_to_its_limit(reads, limit, most):
    photographs = pipeline.Photographs([str(i) for i in range(10)], MemoryCache(limit))
    order = np.random.default_rng(0).integers(10, size=400)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda i: photographs[int(i)].shape, order):
            pass
    gc.collect()
    assert len(reads[1]) == most


def test_two_readers_of_one_photograph_count_it_once(monkeypatch):
    together, order = threading.Barrier(2), []

    def read(path):
        order.append(path)
        if path == "a":
            together.wait(timeout=30)  # both have found it missing
        return np.zeros((10, 10, 3), np.uint8)

    monkeypatch.setattr(pipeline, "read_rgb", read)
    photographs = pipeline.Photographs(list("abc"), MemoryCache(900))  # room for three
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda i: photographs[i].shape, (0, 0)))
    together.abort()  # reading "a" once more would fail now
    for index in (1, 2, 1, 2, 0):
        assert photographs[index] is not None
    assert sorted(order) == list("aabc")


@pytest.mark.parametrize("options", [{}, {"resize": True}, {"flip": True}])
def test_samples_are_the_same_with_every_cache(paths, options):
    reduce_to = SIZE if options.get("resize") else None

    def found(cache, reduce_to):
        photographs = pipeline.Photographs(paths, cache, reduce_to)
        source = mask_files.mask_source("irregular")
        samples = pipeline.Samples(photographs, source, SIZE, 0, **options)
        image, mask = _taken(pipeline.training_dataset(samples, 3), 7)
        return image.tobytes() + mask.tobytes()

    expected = found(MemoryCache(0), None)  # reduced, if at all, when it is cropped
    room = SIZE * SIZE * 12  # for some of the seven
    for cache in (MemoryCache(room), MemoryCache(1 << 20)):
        assert found(cache, reduce_to) == expected
        assert found(cache, reduce_to) == expected  # now from what was kept


def test_a_reduced_photograph_is_kept_reduced(tmp_path):
    convert.write_png(tmp_path / "a.png", _chart(3, 80, 50))
    photographs = pipeline.Photographs([str(tmp_path / "a.png")], MemoryCache(1 << 20), SIZE)
    assert photographs[0].shape == (51, SIZE, 3)
    assert photographs.decoded_bytes() == photographs[0].nbytes
    assert pipeline.Photographs(photographs.paths).decoded_bytes() == 80 * 50 * 3


def test_the_memory_that_a_list_takes_is_known_from_a_few_headers(tmp_path, paths):
    sizes = [height * width * 3 for height, width in SHAPES]
    assert pipeline.Photographs(paths).decoded_bytes() == sum(sizes)
    (tmp_path / "bad.png").write_bytes(b"no image")
    many = pipeline.Photographs(
        [*paths, str(tmp_path / "bad.png"), str(tmp_path / "gone.png")] * 50
    )
    assert many.decoded_bytes(looks=450) == round(np.mean(sizes) * 450)
    assert 0.7 < many.decoded_bytes() / many.decoded_bytes(looks=450) < 1.4
    assert pipeline.Photographs([str(tmp_path / "bad.png")]).decoded_bytes() == 0


# --- photographs that cannot be read


@pytest.fixture
def damaged(tmp_path):
    """damaged(bad numbers, count=...) -> `Samples` of that many charts, and the warnings it gives."""

    def samples(bad, count=200, cache=None, seed=0):
        for number in range(count):
            path = tmp_path / f"{number:03d}.png"
            if not path.exists():
                convert.write_png(path, _chart(number, SIZE, SIZE))
            if number in bad:
                path.write_bytes(path.read_bytes()[:60])
        paths = [str(tmp_path / f"{number:03d}.png") for number in range(count)]
        photographs, warnings = pipeline.Photographs(paths, cache), []
        photographs.warn = warnings.append
        source = mask_files.mask_source("small")
        return pipeline.Samples(photographs, source, SIZE, seed), warnings

    return samples


def test_a_damaged_photograph_is_skipped_counted_and_named_once(damaged):
    whole = _numbers(damaged(())[0], range(400))
    samples, warnings = damaged({17, 140})
    found = _numbers(samples, range(400))
    for i, number in enumerate(whole):
        if number in (17, 140):  # the next one of that pass takes its place
            following = whole[i // 200 * 200 + (i + 1) % 200]
            assert found[i] == following
        else:
            assert found[i] == number
    assert len(warnings) == 2 == len(samples.photographs.skipped)
    for number in (17, 140):
        (line,) = [line for line in warnings if f"{number:03d}.png" in line]
        assert line.startswith("warning: ") and "of 200" in line and "\n" not in line


def test_neighbours_in_a_pass_may_both_be_damaged(damaged):
    order = _numbers(damaged(())[0], range(200))
    samples, _ = damaged(set(order[198:]))
    assert _numbers(samples, [198, 199]) == [order[0]] * 2


def test_what_replaces_a_damaged_photograph_does_not_depend_on_the_run_so_far(damaged):
    samples, _ = damaged({3, 99})
    expected = [samples[i][0].tobytes() for i in range(300)]
    later, _ = damaged({3, 99}, cache=MemoryCache(1 << 30))
    for i in (299, 150, 7):  # as after an interruption
        assert later[i][0].tobytes() == expected[i]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        again, warnings = damaged({3, 99})
        found = pool.map(lambda i: again[i][0].tobytes(), range(300))
        assert list(found) == expected
    assert len(warnings) == 2


def test_more_than_one_in_a_hundred_stop_the_run_by_name(damaged):
    samples, warnings = damaged({5, 50, 150})
    with pytest.raises(UserError) as error:
        _numbers(samples, range(200))
    message = str(error.value)
    assert message.startswith("3 of 200 photographs") and "1%" in message and "\n" not in message
    assert all(f"{number:03d}.png" in message for number in (5, 50, 150)) and len(warnings) == 3
    with pytest.raises(UserError, match="3 of 200"):  # and again, for any other worker
        _numbers(samples, range(200))


def test_of_many_damaged_photographs_three_are_named(damaged):
    samples, _ = damaged(set(range(20)), count=40)
    samples.photographs.skipped = {i: f"/{i}.png is cut off" for i in range(9)}
    with pytest.raises(UserError, match=r"/2\.png is cut off; and \d+ more$"):
        _numbers(samples, range(40))


def test_a_photograph_that_disappears_is_skipped_like_a_damaged_one(damaged, tmp_path):
    samples, warnings = damaged((), cache=MemoryCache(0))
    (tmp_path / "008.png").unlink()
    assert 8 not in _numbers(samples, range(200))
    assert len(warnings) == 1 and "008.png does not exist" in warnings[0]


def test_what_an_earlier_process_skipped_counts_towards_the_one_in_a_hundred(damaged):
    samples, _ = damaged({3, 99})
    _numbers(samples, range(200))
    state = json.loads(json.dumps(samples.photographs.state()))
    later, warnings = damaged({3, 99, 150})
    later.photographs.restore(state)
    assert len(later.photographs.skipped) == 2
    with pytest.raises(UserError, match="3 of 200"):
        _numbers(later, range(200))
    (line,) = warnings  # about the new one alone
    assert "150.png" in line and "(3 of 200" in line


def test_what_was_skipped_and_is_mended_or_no_longer_there_does_not_count(damaged, tmp_path):
    samples, _ = damaged({3, 99})
    _numbers(samples, range(200))
    convert.write_png(tmp_path / "003.png", _chart(3, SIZE, SIZE))
    later, warnings = damaged({99})
    later.photographs.restore(samples.photographs.state())
    whole = _numbers(later, range(200))
    assert 3 in whole and 99 not in whole and not warnings
    assert set(later.photographs.skipped) == {99}
    shorter, _ = damaged((), count=50)  # a list without the second
    shorter.photographs.restore(samples.photographs.state())
    assert set(shorter.photographs.skipped) == {3}
    shorter.photographs.restore([[4, "/elsewhere/004.png", "is cut off"]])
    assert set(shorter.photographs.skipped) == {3}


def test_no_photographs_is_an_error():
    with pytest.raises(UserError, match="--data_dir"):
        pipeline.Photographs([])


# --- batches


def test_batches_are_float32_in_range_with_binary_masks(make):
    samples = make()
    dataset = pipeline.training_dataset(samples, 4)
    image, mask = next(iter(dataset))
    for part, channels in zip(dataset.element_spec, (3, 1)):
        assert part.shape == (4, SIZE, SIZE, channels) and part.dtype == tf.float32
    assert image.dtype == mask.dtype == tf.float32
    expected = [samples[i] for i in range(4)]
    # One float32 rounding of level / 255.
    np.testing.assert_allclose(image, np.stack([e[0] for e in expected]) / 255.0, atol=1e-7)
    np.testing.assert_array_equal(mask, np.stack([e[1] for e in expected]))
    assert set(np.unique(mask)) == {0.0, 1.0}


def test_batches_of_smaller_masks_have_static_shapes(make):
    dataset = pipeline.training_dataset(make(mask_size=16), 2)
    image, mask = dataset.element_spec
    assert image.shape == (2, SIZE, SIZE, 3) and mask.shape == (2, 16, 16, 1)
    _, mask = _taken(dataset, 2)
    assert mask.shape == (4, 16, 16, 1) and set(np.unique(mask)) == {0.0, 1.0}


def test_white_is_one_and_black_is_zero(tmp_path):
    chart = np.zeros((SIZE, SIZE, 3), np.uint8)
    chart[:16] = 255
    convert.write_png(tmp_path / "a.png", chart)
    photographs = pipeline.Photographs([str(tmp_path / "a.png")])
    samples = pipeline.Samples(photographs, mask_files.mask_source("small"), SIZE, 0)
    image, _ = next(iter(pipeline.training_dataset(samples, 1)))
    assert set(np.unique(image[0, :16])) == {1.0} and set(np.unique(image[0, 16:])) == {0.0}


def test_every_sample_has_its_own_mask(make):
    # A mask drawn while the pipeline is traced would be the mask of the whole run.
    dataset = pipeline.training_dataset(make(), 16)
    _, masks = _taken(dataset, 4)
    assert len({mask.tobytes() for mask in masks}) == 64
    _, again = _taken(dataset, 4)  # the same dataset, iterated anew, starts anew
    np.testing.assert_array_equal(masks, again)


@pytest.mark.parametrize("first", [1, 6, 13])
def test_going_on_at_a_sample_is_the_same_as_skipping_to_it(make, first):
    image, mask = _taken(pipeline.training_dataset(make(), 1), first + 8)
    later = _taken(pipeline.training_dataset(make(), 4, first_sample=first), 2)
    np.testing.assert_array_equal(later[0], image[first:])
    np.testing.assert_array_equal(later[1], mask[first:])


def test_samples_keep_their_order_when_some_take_longer():
    class Slow:
        size = mask_size = 4

        def __getitem__(self, i):
            time.sleep(0.1 * (i in (0, 9, 10)))
            return np.full((4, 4, 3), i, np.uint8), np.zeros((4, 4, 1), np.uint8)

    image, _ = _taken(pipeline.training_dataset(Slow(), 4), 8)
    assert np.rint(image[:, 0, 0, 0] * 255).astype(int).tolist() == list(range(32))


def test_going_on_after_years_works(make):
    first = 10**12
    image, _ = _taken(pipeline.training_dataset(make(), 2, first_sample=first), 1)
    np.testing.assert_allclose(image[1] * 255.0, make()[first + 1][0], atol=1e-4)


def test_a_damaged_photograph_is_named(make, paths, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    source = mask_files.mask_source("irregular")
    samples = pipeline.Samples(pipeline.Photographs([str(bad)]), source, SIZE, 0)
    with pytest.raises(UserError, match=r"bad\.png"):
        samples[0]
    # Inside tf.data it becomes TensorFlow's error, for `common.training.loop` to turn back.
    with pytest.raises(tf.errors.OpError, match=r"bad\.png"):
        next(iter(pipeline.training_dataset(samples, 1)))


@pytest.mark.default_environment
def test_samples_need_no_tensorflow():
    """`examples/train_with_jax.py` reads them on machines without it."""
    modules = "common.data.datasets, common.data.pipeline, common.masks.files, common.storage"
    code = f"import sys; sys.modules['tensorflow'] = None; import {modules}"
    root = pathlib.Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
