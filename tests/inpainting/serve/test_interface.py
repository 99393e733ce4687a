"""POST /v1/inpaint and what describes it, as programs use them."""

from __future__ import annotations

import concurrent.futures
import io
import pathlib
import re
import shlex
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from inpainting import painters

pytestmark = pytest.mark.default_environment
ROOT = pathlib.Path(__file__).resolve().parents[3]


def ask(client, image, mask, name="photo.png", **fields):
    files = {"image": (name, image), "mask": ("mask.png", mask)}
    return client.post("/v1/inpaint", files=files, data=fields)


def error(answer, status):
    """The one line of a refusal."""
    assert answer.status_code == status, answer.text
    (found,) = answer.json().values()
    assert list(answer.json()) == ["error"] and found and "\n" not in found
    return found


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "JPEG"])
def test_a_file_comes_back_in_its_own_format(client, encoded, decoded, noise, hole, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    answer = ask(client, encoded(noise(), kind, **options), encoded(hole()), "my photo.x")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"image/{kind.lower()}"
    ending = {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())
    disposition = answer.headers["content-disposition"]
    assert disposition == f"attachment; filename*=UTF-8''my%20photo-filled.{ending}"
    found = decoded(answer.content)
    if kind != "JPEG":
        np.testing.assert_array_equal(found[hole() == 0], noise()[hole() == 0])
    assert (found[hole() > 0] != noise()[hole() > 0]).any()


def test_it_fills_as_the_command_does(client, encoded, hole, noise, run_command, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(encoded(noise(), "JPEG", quality=77, dpi=(300, 300)))
    (tmp_path / "mask.png").write_bytes(encoded(hole()))
    flags = ("--model=telea", "--dilate=2", "--image=photo.jpg", "--mask=mask.png")
    done = run_command("inpaint", *flags, "--output=filled.jpg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    image, mask = ((tmp_path / name).read_bytes() for name in ("photo.jpg", "mask.png"))
    answer = ask(client, image, mask, model="telea", dilate="2")
    assert answer.content == (tmp_path / "filled.jpg").read_bytes()


def test_orientation_exif_and_depth(client, encoded, decoded, noise, hole):
    exif = Image.Exif()
    exif[274], exif[271] = 6, "maker"
    upright = hole(60, 40)
    answer = ask(client, encoded(noise(), "PNG", exif=exif), encoded(upright))
    found = Image.open(io.BytesIO(answer.content))
    assert found.size == (40, 60)
    assert found.getexif().get(274, 1) == 1 and found.getexif()[271] == "maker"
    turned = np.rot90(noise(), -1)
    np.testing.assert_array_equal(np.asarray(found)[upright == 0], turned[upright == 0])
    deep = noise().astype(np.uint16) * 257 + 5
    sent = cv2.imencode(".png", deep)[1].tobytes()
    answer = ask(client, sent, encoded(hole()))
    found = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found[hole() == 0], deep[hole() == 0])


def test_fields_are_those_of_the_command(client, encoded, decoded, noise, hole):
    black = encoded(255 - hole())
    one = ask(client, encoded(noise()), black, invert_mask="true", model="harmonic")
    two = ask(client, encoded(noise()), encoded(hole()), model="harmonic")
    assert one.status_code == 200 and one.content == two.content
    wider = decoded(ask(client, encoded(noise()), encoded(hole()), dilate="3").content)
    assert (wider[7, 15:35] != noise()[7, 15:35]).any()
    for field in ({"model": "mona"}, {"dilate": "-1"}, {"dilate": "x"}, {"invert_mask": "maybe"}):
        error(ask(client, encoded(noise()), encoded(hole()), **field), 422)


def test_missing_parts(client, encoded, noise, hole):
    assert "'mask'" in error(client.post("/v1/inpaint", files={"image": encoded(noise())}), 422)
    assert "'image'" in error(client.post("/v1/inpaint", files={"mask": encoded(hole())}), 422)
    error(client.post("/v1/inpaint", json={"image": 1}), 422)
    error(client.post("/v1/inpaint", data={"image": "a", "mask": "b"}), 422)
    kind = {"content-type": "multipart/form-data"}
    error(client.post("/v1/inpaint", content=b"no form", headers=kind), 400)


def test_bad_files_are_named_without_the_servers_paths(client, encoded, noise, hole):
    whole = encoded(noise())
    for image in (b"", b"no image", whole[: len(whole) // 2]):
        said = error(ask(client, image, encoded(hole())), 400)
        assert said.startswith("photo.png ") and "/" not in said
    said = error(ask(client, whole, whole[:100]), 400)
    assert "mask.png" in said and "/" not in said
    assert "60x40" in error(ask(client, whole, encoded(hole(50, 60))), 400)
    assert "all of photo.png" in error(ask(client, whole, encoded(hole() * 0 + 255)), 400)


@pytest.mark.parametrize(
    "name, shown",
    [
        ("../../etc/passwd.png", "passwd"),
        ("C:\\photos\\cat.png", "cat"),
        ("a\x00\r\nSet-Cookie: x.png", "aSet-Cookie x"),
        ("..", "photograph"),
        ("\u202egnp.exe", "gnp"),
        ("ü" * 300, "ü" * 100),
    ],
)
def test_names_from_outside_are_for_showing_alone(app, name, shown):
    from inpainting.serve import uploads

    assert pathlib.PurePath(uploads.shown_name(name)).stem == shown


def test_a_path_as_name_writes_nothing_elsewhere(serve, encoded, noise, hole, tmp_path):
    client, service = serve(model="telea")
    target = tmp_path / "out.png"
    answer = ask(client, encoded(noise()), encoded(hole()), str(target))
    assert answer.status_code == 200 and not target.exists()
    assert answer.headers["content-disposition"].endswith("''out-filled.png")
    assert list(service.store.root.iterdir()) == []  # nothing stays


def png_of(width, height):
    """A PNG file of a few bytes that tells of so many pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(20_000, 20_000), (2**31 - 1, 2**31 - 1), (100_000, 100_000)])
def test_a_header_with_too_many_pixels_is_refused_before_decoding(
    client, encoded, noise, hole, size, monkeypatch
):
    from common.images import files

    monkeypatch.setattr(files, "decode", None)  # would fail with another status
    assert "megapixels" in error(ask(client, png_of(*size), encoded(hole())), 413)
    assert "megapixels" in error(ask(client, encoded(noise()), png_of(*size)), 413)
    assert "megapixels" in error(client.post("/photographs?name=a", content=png_of(*size)), 413)


def test_too_many_bytes(app, serve, encoded, hole):
    from inpainting.serve.uploads import Limits

    client, service = serve(model="telea", limits=Limits(megabytes=1, megapixels=1))
    assert "megabytes" in error(ask(client, b"x" * 4_000_000, encoded(hole())), 413)
    assert "megabytes" in error(client.post("/photographs?name=a", content=b"x" * 2_000_000), 413)

    def endless():  # without a length in advance
        for _ in range(100):
            yield b"x" * 100_000

    assert "megabytes" in error(client.post("/photographs?name=a", content=endless()), 413)
    kind = {"content-type": "multipart/form-data; boundary=b"}
    body = (
        b"".join(
            [
                b'--b\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\n',
                *endless(),
            ]
        ),
    )
    assert "megabytes" in error(client.post("/v1/inpaint", content=iter(body), headers=kind), 413)
    assert list(service.store.root.iterdir()) == []


def test_beyond_the_queues_limit(serve, gate, encoded, noise, hole):
    client, _ = serve(lambda name, weights: gate, model="telea", queue=1)
    image, mask = encoded(noise()), encoded(hole())
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(ask, client, image, mask)
        assert gate.started.acquire(timeout=30)
        others = [pool.submit(ask, client, image, mask) for _ in range(2)]
        done, waiting = concurrent.futures.wait(others, 30, concurrent.futures.FIRST_COMPLETED)
        (refused,), (second,) = done, waiting
        error(refused.result(), 429)
        assert int(refused.result().headers["retry-after"]) > 0
        gate.open.release(2)
        assert first.result().status_code == second.result().status_code == 200


def test_hifill_fills_in_the_worker(serve, tiny_weights, encoded, decoded, noise, hole):
    client, _ = serve(lambda name, _: painters.painter(name, str(tiny_weights)))
    answer = ask(client, encoded(noise(80, 90)), encoded(hole(80, 90)))
    assert answer.status_code == 200, answer.text
    found, known = decoded(answer.content), hole(80, 90) == 0
    np.testing.assert_array_equal(found[known], noise(80, 90)[known])


def test_a_bug_is_no_traceback_for_the_asker(serve, encoded, noise, hole, caplog):
    def broken(image, mask):
        raise ZeroDivisionError("secret")

    client, _ = serve(lambda name, weights: broken, model="telea")
    assert "secret" not in error(ask(client, encoded(noise()), encoded(hole())), 500)
    assert "ZeroDivisionError: secret" in caplog.text

    def hungry(image, mask):
        raise MemoryError

    client, _ = serve(lambda name, weights: hungry, model="telea")
    assert "memory" in error(ask(client, encoded(noise()), encoded(hole())), 413)


def test_the_description_lists_every_route_and_its_fields(app, serve):
    client, service = serve(model="telea")
    found = client.get("/openapi.json").json()
    assert found["openapi"].startswith("3.")
    routes = {
        (route.path, method.lower())
        for route in service._interface_routes()
        for method in route.methods - {"HEAD"}
    }
    listed = {(path, method) for path, methods in found["paths"].items() for method in methods}
    assert listed == routes - {("/openapi.json", "get")}
    assert any(path.startswith("/v1/") for path, _ in listed)
    form = found["paths"]["/v1/inpaint"]["post"]["requestBody"]["content"]["multipart/form-data"]
    fields = form["schema"]["properties"]
    assert fields["model"]["enum"] == list(app.MODELS) and fields["model"]["default"] == "telea"
    answers = found["paths"]["/v1/inpaint"]["post"]["responses"]
    assert set(answers) == {"200", "400", "403", "413", "422", "429"}
    assert client.get("/health").json() == {"status": "ok"}


def test_the_curl_line_of_the_documentation(client, encoded, decoded, noise, hole, tmp_path):
    """Its address, parts and fields, sent as curl would."""
    text = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^curl .*$", text, re.MULTILINE)
    words = shlex.split(line)
    fields = [words[at + 1].split("=", 1) for at, word in enumerate(words) if word == "-F"]
    (address,) = [word for word in words if word.startswith("http://")]
    contents = {"photo.jpg": encoded(noise(), "JPEG"), "mask.png": encoded(hole())}
    files = {name: (value[1:], contents[value[1:]]) for name, value in fields if value[0] == "@"}
    data = {name: value for name, value in fields if value[0] != "@"}
    assert set(files) == {"image", "mask"} and data
    answer = client.post(address, files=files, data={**data, "model": "telea"})
    assert answer.status_code == 200 and decoded(answer.content).shape == noise().shape
    assert set(data) <= {"model", "dilate", "invert_mask"}
