"""A photograph on the server: its previews, its masks, its fills.

A fill is a version of the photograph, numbered from 1; 0 is the photograph itself. A version keeps all holes filled so
far and the pixels in them. So however many fills lie on one another, the file to download is written once, from the
uploaded photograph, by the code that inpaint.py uses: pixels that never were in a hole stay as they were.
"""

from __future__ import annotations

import io
import pathlib
from typing import Any, Callable

import cv2
import numpy as np
from PIL import Image

from common import storage
from common.errors import UserError
from common.filling import photographs
from common.filling.photographs import Photograph
from common.images import convert
from common.images import files as image_files
from inpainting.painters import Painter
from inpainting.serve import snap, strokes
from inpainting.serve.uploads import Store, UnknownError, Upload, named

PREVIEW = 2500  # pixels of a preview's longer side
_QUALITY = 90


def filled(rgb: np.ndarray, mask: np.ndarray, paint: Painter, name: str) -> np.ndarray:
    """[H, W, 3] uint8 with the hole filled.

    Raises:
      UserError: nothing of the photograph is left, or the painter cannot fill it; names the photograph.
    """
    if mask.all():
        raise UserError(f"the mask covers all of {name}: no known pixel is left")
    try:
        return paint(rgb, mask)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def ending(photograph: Photograph, own: str) -> str:
    """Extension of the result's file: the photograph's own, but .png for a transparent BMP, which cannot be written."""
    return ".png" if own == ".bmp" and not photograph.opaque else own


class Editor:
    """One photograph of a store, as the page edits it."""

    def __init__(self, store: Store, upload: Upload):
        self._store, self.upload = store, upload

    def describe(self) -> dict:
        """What the page shows when it opens the photograph."""
        photograph = self._store.photograph(self.upload)
        (height, width), small = photograph.size, _preview_size(photograph.size)
        return {
            "id": self.upload.id,
            "name": self.upload.name,
            "width": width,
            "height": height,
            "preview": {"width": small[0], "height": small[1]},
            "versions": self.upload.versions,
            "note": photograph.note,
        }

    def preview(self, version: int) -> pathlib.Path:
        """A small JPEG, or PNG if something is transparent, of a version."""
        photograph = self._store.photograph(self.upload)
        path = self._preview_path(photograph, version)
        if not path.exists():
            _write_preview(path, photograph, self._pixels(photograph, version))
        return path

    def add_mask(self, path: pathlib.Path, name: str) -> int:
        """Keeps a mask file that was sent; returns its number.

        Raises:
          UserError: it cannot be read, or has another size than the photograph.
        """
        photograph = self._store.photograph(self.upload)
        with named(path, name):
            mask = photographs.read_mask(path, photograph.size, of=self.upload.name)
        return self._keep(mask)

    def mask(self, number: int) -> np.ndarray:
        """[H, W] uint8 that `add_mask` or `snap` kept."""
        found = self._load("mask", number)
        return np.unpackbits(found["bits"], count=int(found["shape"].prod())).reshape(
            found["shape"]
        )

    def mask_preview(self, number: int) -> pathlib.Path:
        """A small PNG: opaque white where the hole is, transparent elsewhere."""
        path = self.upload.folder / f"mask-{number}.png"
        if not path.exists():
            mask = self.mask(number)
            levels, size = mask * np.uint8(convert.WHITE), _preview_size(mask.shape)
            small = cv2.resize(levels, size, interpolation=cv2.INTER_AREA)
            white = Image.new("L", small.shape[::-1], "white")
            image = Image.merge("LA", (white, Image.fromarray(small)))
            image_files.write(path, image, "PNG", compress_level=1)
        return path

    def painted(self, operations: Any) -> np.ndarray:
        """[H, W] uint8: the page's strokes in the photograph's pixels."""
        size = self._store.photograph(self.upload).size
        return strokes.mask(operations, size, self.mask)

    def mask_file(self, operations: Any) -> bytes:
        """A PNG file of the photograph's size, white where the hole is."""
        stream, levels = io.BytesIO(), self.painted(operations) * np.uint8(convert.WHITE)
        Image.fromarray(levels).save(stream, "PNG", compress_level=1)
        return stream.getvalue()

    def snap(self, version: int, scribble: Any, box: Any) -> int:
        """The object under a scribble (operations), or in a box, as a mask; returns its number."""
        image = self._pixels(self._store.photograph(self.upload), version)
        if scribble is not None:
            return self._keep(snap.from_scribble(image, self.painted(scribble)))
        return self._keep(snap.from_box(image, box))

    def fill(
        self,
        paint: Painter,
        base: int,
        operations: Any,
        wanted: Callable[[], bool] = lambda: True,
    ) -> int | None:
        """Fills what was painted on version `base`; returns the number of the new version.

        wanted: called after the fill; if it gives False, nothing is kept and None is returned.

        Raises:
          UserError: nothing or everything is painted, or the painter cannot fill it.
        """
        mask, upload = self.painted(operations), self.upload
        if not mask.any():
            raise UserError("nothing is painted; paint over what should go")
        photograph = self._store.photograph(upload)
        rgb, before = self._pixels(photograph, base), self._hole(base, photograph.size)
        result, hole = filled(rgb, mask, paint, upload.name), mask | before
        if not wanted():
            return None
        number = upload.next_number("versions")
        self._save("fill", number, bits=np.packbits(hole), values=result[hole > 0])
        _write_preview(self._preview_path(photograph, number), photograph, result)
        file = upload.folder / f"filled-{number}{ending(photograph, upload.ending)}"
        with named(upload.path, upload.name):
            photographs.write_photograph(file, photograph, result, hole)
        return number

    def file(self, version: int) -> pathlib.Path:
        """The file to download: the photograph as it came, or a version of it."""
        if version == 0:
            return self.upload.path
        for path in self.upload.folder.glob(f"filled-{version}.*"):
            return path
        raise UnknownError(f"there is no fill {version} of this photograph")

    def file_name(self, version: int) -> str:
        """Name of the download."""
        stem = pathlib.PurePath(self.upload.name).stem
        kind = self.file(version).suffix or self.upload.ending
        return f"{stem}{'-filled' if version else ''}{kind}"

    def _preview_path(self, photograph, version):
        return self.upload.folder / f"preview-{version}{'.jpg' if photograph.opaque else '.png'}"

    def _arrays_path(self, what, number):
        return self.upload.folder / f"{what}-{int(number)}.npz"

    def _save(self, what, number, **arrays):
        """Keeps the arrays of a "mask" or "fill"."""
        path = self._arrays_path(what, number)
        with storage.atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **arrays)

    def _load(self, what, number):
        """{name: array} that `_save` kept."""
        try:
            with np.load(self._arrays_path(what, number)) as archive:
                return dict(archive)
        except FileNotFoundError:
            raise UnknownError(f"there is no {what} {number} of this photograph") from None

    def _keep(self, mask):
        number = self.upload.next_number("masks")
        self._save("mask", number, bits=np.packbits(mask), shape=np.array(mask.shape))
        return number

    def _hole(self, version, size):
        if version == 0:
            return np.zeros(size, np.uint8)
        bits = self._load("fill", version)["bits"]
        return np.unpackbits(bits, count=size[0] * size[1]).reshape(size)

    def _pixels(self, photograph, version):
        """[H, W, 3] uint8 of a version."""
        if version == 0:
            return np.ascontiguousarray(photograph.rgb)
        rgb = photograph.rgb.copy()
        rgb[self._hole(version, photograph.size) > 0] = self._load("fill", version)["values"]
        return rgb


def _preview_size(size):
    """(width, height) of a preview of (height, width) pixels."""
    scale = min(1, PREVIEW / max(size))
    return max(1, round(size[1] * scale)), max(1, round(size[0] * scale))


def _write_preview(path, photograph, rgb):
    pixels = rgb
    if not photograph.opaque:
        alpha = convert.to_eight_bits(photograph.pixels[..., -1:])
        pixels = np.concatenate([rgb, alpha], axis=2)
    small = cv2.resize(pixels, _preview_size(photograph.size), interpolation=cv2.INTER_AREA)
    options = {"quality": _QUALITY} if photograph.opaque else {"compress_level": 1}
    profile = photograph.metadata.get("icc_profile")
    if profile and photograph.mode in ("RGB", "RGBA", "P"):
        options["icc_profile"] = profile
    kind = "JPEG" if photograph.opaque else "PNG"
    image_files.write(path, Image.fromarray(small), kind, **options)
