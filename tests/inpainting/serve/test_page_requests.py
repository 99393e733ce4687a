"""What the page asks the server for: photographs, strokes, jobs, and what others ask for in vain."""

from __future__ import annotations

import io
import re
import time

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.default_environment

STROKE = {"kind": "paint", "radius": 6, "points": [[20, 15], [35, 20]]}
LATER = {"kind": "paint", "radius": 4, "points": [[50, 30]]}


def opened(client, content, name="a.png"):
    answer = client.post("/photographs", params={"name": name}, content=content)
    assert answer.status_code == 201, answer.text
    return answer.json()


def ended(client, address, job):
    """A job's answer once it has ended."""
    deadline = time.monotonic() + 30
    while (found := client.get(f"{address}/jobs/{job['job']}").json())["state"] in (
        "waiting",
        "running",
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def fill(client, address, strokes, base=0, **asked):
    answer = client.post(f"{address}/fill", json={"strokes": strokes, "base": base, **asked})
    assert answer.status_code == 202, answer.text
    return ended(client, address, answer.json())


@pytest.fixture
def photograph(client, encoded, noise):
    """(client, address of a photograph that has been sent)."""
    return client, f"/photographs/{opened(client, encoded(noise()))['id']}"


def test_a_photograph_is_described_and_previewed(client, encoded, decoded):
    image = np.full((40, 60, 3), (200, 100, 50), np.uint8)
    image[:, 30:] = 20
    found = opened(client, encoded(image), "../x/my photo.png")
    assert (found["width"], found["height"], found["name"]) == (60, 40, "my photo.png")
    assert found["preview"] == {"width": 60, "height": 40} and found["versions"] == 0
    address = f"/photographs/{found['id']}"
    assert client.get(address).json() == found
    preview = decoded(client.get(f"{address}/versions/0/preview").content)
    assert abs(preview.astype(int) - image).mean() < 3
    whole = client.get(f"{address}/versions/0/file")
    assert whole.content == encoded(image)  # the file as it is


def test_large_ones_have_a_small_preview_and_see_through_ones_a_png(client, encoded, noise):
    found = opened(client, encoded(np.zeros((100, 5200, 3), np.uint8)))
    assert found["preview"] == {"width": 2500, "height": 48}
    preview = client.get(f"/photographs/{found['id']}/versions/0/preview")
    assert Image.open(io.BytesIO(preview.content)).size == (2500, 48)
    found = opened(client, encoded(noise(channels=4)))
    preview = client.get(f"/photographs/{found['id']}/versions/0/preview")
    assert preview.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(preview.content)).mode == "RGBA"


def test_fill_and_fill_again_on_the_result(photograph, decoded, noise):
    client, address = photograph
    one = fill(client, address, [STROKE])
    assert (one["state"], one["version"]) == ("done", 1)
    two = fill(client, address, [LATER], base=1, model="harmonic")
    assert two["version"] == 2 and client.get(address).json()["versions"] == 2
    first, second = (decoded(client.get(f"{address}/versions/{n}/file").content) for n in (1, 2))
    masks = [
        decoded(client.post(f"{address}/mask.png", json={"strokes": [s]}).content) > 127
        for s in (STROKE, LATER)
    ]
    assert masks[0].shape == (40, 60)
    np.testing.assert_array_equal(first[~masks[0]], noise()[~masks[0]])
    np.testing.assert_array_equal(second[~masks[1]], first[~masks[1]])
    assert (first[masks[0]] != noise()[masks[0]]).any()
    assert (second[masks[1]] != first[masks[1]]).any()
    other = fill(client, address, [LATER], base=0)["version"]  # a branch, as after undo
    found = decoded(client.get(f"{address}/versions/{other}/file").content)
    np.testing.assert_array_equal(found[~masks[1]], noise()[~masks[1]])
    name = client.get(f"{address}/versions/1/file").headers["content-disposition"]
    assert name == "attachment; filename*=UTF-8''a-filled.png"


def test_a_jpeg_is_compressed_once_however_often_it_is_filled(client, encoded, decoded, noise):
    address = f"/photographs/{opened(client, encoded(noise(), 'JPEG'), 'a.jpg')['id']}"
    fill(client, address, [STROKE])
    fill(client, address, [STROKE], base=1)
    one, two = (client.get(f"{address}/versions/{n}/file").content for n in (1, 2))
    mask = decoded(client.post(f"{address}/mask.png", json={"strokes": [STROKE]}).content) > 127
    blocks = np.kron(mask.reshape(5, 8, -1).any(1).reshape(5, -1, 4).any(2), np.ones((8, 4))) > 0
    far = ~blocks
    far[:, 8:48] = False  # chroma blocks are 16 pixels wide
    np.testing.assert_array_equal(decoded(one)[far], decoded(two)[far])


def test_masks_are_sent_kept_and_drawn(photograph, encoded, decoded, hole):
    client, address = photograph
    answer = client.post(f"{address}/masks", content=encoded(hole()))
    assert answer.status_code == 201
    number = answer.json()["mask"]
    preview = decoded(client.get(f"{address}/masks/{number}/preview").content)
    np.testing.assert_array_equal(preview[..., 1], hole())
    strokes = [{"kind": "mask", "mask": number}, {**STROKE, "kind": "erase", "radius": 2}]
    saved = decoded(client.post(f"{address}/mask.png", json={"strokes": strokes}).content)
    assert saved[12, 32] == 255 and saved[17, 27] == 0 and not saved[hole() == 0].any()
    wrong = client.post(f"{address}/masks", content=encoded(hole(20, 60)))
    assert wrong.json()["error"].startswith("mask mask has 60x20 pixels but a.png has 60x40")
    assert client.post(f"{address}/masks", content=b"x").status_code == 400
    assert client.get(f"{address}/masks/9/preview").status_code == 404


def test_snapping(client, encoded, decoded):
    image = np.full((80, 100, 3), 40, np.uint8) + np.random.default_rng(0).integers(
        0, 20, (80, 100, 3), dtype=np.uint8
    )
    image[20:60, 30:70] += 150
    address = f"/photographs/{opened(client, encoded(image))['id']}"
    scribble = [{"kind": "paint", "radius": 3, "points": [[35, 30], [62, 52]]}]
    for asked in ({"strokes": scribble}, {"box": [25, 15, 75, 65]}):
        answer = client.post(f"{address}/snap", json={"base": 0, **asked})
        found = ended(client, address, answer.json())
        strokes = [{"kind": "mask", "mask": found["mask"]}]
        mask = decoded(client.post(f"{address}/mask.png", json={"strokes": strokes}).content) > 0
        assert mask[22:58, 32:68].mean() > 0.95 and mask.sum() < 1900
    for asked in (
        {},
        {"box": [1, 2, 3]},
        {"box": [1, 2, 3, "4"]},
        {"strokes": [], "box": [0, 0, 9, 9]},
    ):
        assert client.post(f"{address}/snap", json=asked).status_code == 400


def test_cancel(serve, gate, encoded, noise):
    client, _ = serve(lambda name, weights: gate, model="telea")
    address = f"/photographs/{opened(client, encoded(noise()))['id']}"
    asked = {"strokes": [STROKE], "base": 0}
    running = client.post(f"{address}/fill", json=asked).json()
    assert gate.started.acquire(timeout=30)
    waiting = client.post(f"{address}/fill", json=asked).json()
    assert waiting["state"] == "waiting" and waiting["ahead"] == 1
    for job in (waiting, running):
        answer = client.delete(f"{address}/jobs/{job['job']}")
        assert answer.json()["state"] == "cancelled"
    gate.open.release(2)
    last = fill(client, address, [STROKE])  # the worker goes on; the other two left no version
    assert last["version"] == 1 and gate.count == 2


def test_what_is_wrong_with_a_fill_is_told(photograph):
    client, address = photograph
    assert "nothing is painted" in fill(client, address, [])["error"]
    everything = {"kind": "paint", "radius": 500, "points": [[30, 20]]}
    assert "covers all of a.png" in fill(client, address, [everything])["error"]
    assert fill(client, address, [{"kind": "mask", "mask": 7}])["state"] == "failed"
    assert fill(client, address, [STROKE], base=5)["state"] == "failed"
    bad = {"content": b"{"}, {"json": [1]}, {"json": {"base": -1}}, {"json": {"base": True}}
    for asked in bad:
        assert client.post(f"{address}/fill", **asked).status_code == 400
    assert client.post(f"{address}/fill", json={"model": "x"}).status_code == 422


def test_unknown_ids(photograph):
    client, address = photograph
    for path in (
        "/photographs/x",
        "/photographs/..%2f..%2fetc",
        f"{address}x",
        f"{address}/jobs/x",
    ):
        assert client.get(path).status_code == 404
    assert client.get(f"{address}/versions/4/file").status_code == 404
    assert client.get(f"{address}/versions/4/preview").status_code == 404
    assert client.get("/page.py").status_code == client.get("/..%2fapp.py").status_code == 404
    assert client.get("/fill").json()["error"]


def test_one_persons_jobs_are_not_anothers(photograph, encoded, noise):
    client, address = photograph
    job = client.post(f"{address}/fill", json={"strokes": [STROKE]}).json()
    other = f"/photographs/{opened(client, encoded(noise()))['id']}"
    assert client.delete(f"{other}/jobs/{job['job']}").status_code == 404
    assert ended(client, address, job)["state"] == "done"


def test_deleted_when_asked_when_unused_and_at_the_end(app, encoded, noise, monkeypatch):
    from starlette.testclient import TestClient

    from inpainting.serve import uploads

    service = app.Service(None, "telea")
    now = [0.0]
    service.store._clock = lambda: now[0]
    root = service.store.root
    assert root.stat().st_mode & 0o077 == 0
    with TestClient(service.app(), base_url="http://localhost") as client:
        first, second, third = (opened(client, encoded(noise()))["id"] for _ in range(3))
        assert client.delete(f"/photographs/{first}").status_code == 204
        assert client.get(f"/photographs/{first}").status_code == 404
        assert {path.name for path in root.iterdir()} == {second, third}
        now[0] = uploads.UNUSED - 1
        client.get(f"/photographs/{third}")
        now[0] = uploads.UNUSED + 1
        assert service.store.remove_unused() == [second]
        assert [path.name for path in root.iterdir()] == [third]
        monkeypatch.setattr(uploads, "MOST", 2)
        fourth, fifth = (opened(client, encoded(noise()))["id"] for _ in range(2))
        assert {path.name for path in root.iterdir()} == {fourth, fifth}
        failed = client.post("/photographs", content=b"no image")
        assert failed.status_code == 400 and failed.json()["error"].startswith("photograph is not")
    assert not root.exists()


def test_a_fill_of_a_deleted_photograph_leaves_nothing(serve, gate, encoded, noise):
    client, service = serve(lambda name, weights: gate, model="telea")
    found = opened(client, encoded(noise()))
    client.post(f"/photographs/{found['id']}/fill", json={"strokes": [STROKE]})
    assert gate.started.acquire(timeout=30)
    (job,) = service.workers._jobs.values()
    job.state = "running"
    service.store.remove(service.store.find(found["id"]))  # without cancelling
    gate.open.release()
    assert job.ended.wait(30)
    assert list(service.store.root.iterdir()) == []


REFUSED = [
    {"host": "evil.example"},
    {"host": "evil.example:8080"},
    {"host": "127.0.0.1.evil.example"},
    {"host": ""},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9999"},
    {"origin": "http://localhost:8080"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
]


@pytest.mark.parametrize("headers", REFUSED)
def test_other_sites_are_refused(client, headers):
    for answer in (
        client.get("/settings", headers=headers),
        client.post("/photographs", headers=headers),
    ):
        assert answer.status_code == 403 and list(answer.json()) == ["error"]
        assert answer.headers["content-security-policy"]


def test_own_requests_and_links_are_not(client, serve):
    for headers in (
        {"origin": "http://127.0.0.1:8080"},
        {"host": "localhost:1234", "origin": "http://localhost:1234"},
        {"host": "[::1]:8080"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},  # a link in a mail
    ):
        assert client.get("/settings", headers=headers).status_code == 200
    outside, _ = serve(local=False, address="http://photos.example", model="telea")
    assert outside.get("/", headers={"origin": "http://photos.example"}).status_code == 200
    assert outside.get("/", headers={"origin": "http://evil.example"}).status_code == 403


def test_the_page_needs_nothing_from_outside_and_nothing_inline(client):
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    for part in (
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"),
        "img-src 'self' blob: data:",
    ):
        assert part in policy.split("; ")
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", page.text)
    files = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert files
    for name in [*files, "/picture.js", "/paint.js", "/server.js"]:
        answer = client.get(name)
        assert answer.status_code == 200, name
        assert not re.search(r"https?://(?!www\.w3\.org)|@import|@font-face", answer.text), name
    assert not re.search(r"https?://", page.text)
