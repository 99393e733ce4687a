"""A server in the tests' own process, and photographs to send to it."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from PIL import Image

from inpainting import painters

ICC = b"\0" * 36 + b"acsp" + b"\0" * 88  # as much of a profile as Pillow looks at


@pytest.fixture(scope="session")
def app():
    """The module, where the extra is installed."""
    pytest.importorskip("starlette", reason="pip install '.[web]'")
    from inpainting.serve import app

    return app


@pytest.fixture
def serve(app):
    """serve(...) -> (client, service) of a server with these arguments of `Service`; closed at the end."""
    from starlette.testclient import TestClient

    opened = []

    def start(painter=painters.painter, local=True, address="http://127.0.0.1:8080", **arguments):
        service = app.Service(lambda name: painter(name, None), **arguments)
        client = TestClient(service.app(local), base_url=address)
        opened.append(client.__enter__())
        return client, service

    yield start
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve):
    return serve(model="telea")[0]


def encoded(pixels, kind="PNG", **options):
    """Bytes of an image file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def noise(height=40, width=60, channels=3):
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def hole(height=40, width=60):
    """[H, W] uint8, 255 in a rectangle."""
    mask = np.zeros((height, width), np.uint8)
    mask[10:20, 15:35] = 255
    return mask


@pytest.fixture(name="encoded", scope="session")
def _encoded():
    return encoded


@pytest.fixture(name="decoded", scope="session")
def _decoded():
    return decoded


@pytest.fixture(name="noise", scope="session")
def _noise():
    return noise


@pytest.fixture(name="hole", scope="session")
def _hole():
    return hole


class Gate:
    """A painter that waits until it is let through, so that tests see it at work."""

    def __init__(self):
        self.started, self.open, self.count = threading.Semaphore(0), threading.Semaphore(0), 0

    def __call__(self, image, mask):
        self.started.release()
        assert self.open.acquire(timeout=30)
        self.count += 1
        return np.where(mask[..., None] > 0, np.uint8(0), image)


@pytest.fixture
def gate():
    return Gate()
