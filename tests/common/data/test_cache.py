"""Caches of decoded photographs: what they keep, and what they say when it does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from common.data.cache import MemoryCache
from common.errors import UserError

SHAPE = (20, 30, 3)
SIZE = 20 * 30 * 3


class Decoder:
    """Stands for decoding a photograph; counts its calls."""

    def __init__(self):
        self.calls, self.pixels = 0, np.zeros(SHAPE, np.uint8)
        self.pixels[0, 1] = (1, 2, 3)

    def __call__(self):
        self.calls += 1
        return self.pixels.copy()


def test_without_a_cache_every_use_decodes():
    decode = Decoder()
    for _ in range(3):
        np.testing.assert_array_equal(MemoryCache(0).fetch(0, decode), decode.pixels)
    assert decode.calls == 3 and MemoryCache(0).shortage(1 << 50) is None


def test_what_is_kept_is_not_decoded_again_and_cannot_be_changed():
    cache, decode = MemoryCache(1 << 20), Decoder()
    for _ in range(3):
        found = cache.fetch(7, decode)
        np.testing.assert_array_equal(found, decode.pixels)
        assert found.dtype == np.uint8 and found.shape == SHAPE
    assert decode.calls == 1 and not found.flags.writeable


def test_an_error_passes_and_leaves_nothing():
    cache = MemoryCache(1 << 20)

    def fail():
        raise UserError("damaged")

    with pytest.raises(UserError, match="damaged"):
        cache.fetch(0, fail)
    decode = Decoder()
    cache.fetch(0, decode)
    assert decode.calls == 1


def test_a_full_cache_keeps_what_it_has():
    cache, decode = MemoryCache(3 * SIZE + 10), Decoder()
    for _ in range(2):
        for index in range(6):
            np.testing.assert_array_equal(cache.fetch(index, decode), decode.pixels)
    assert decode.calls == 6 + 3


def test_a_cache_that_is_too_small_says_how_large_it_should_be():
    gib = 1 << 30
    assert MemoryCache(2 * gib).shortage(2 * gib) is None
    message = MemoryCache(2 * gib).shortage(8 * gib)
    assert all(part in message for part in ("8 GB", "--cache_gb=2", "25%"))
