"""Reads a user's photograph, and writes it with its hole filled and as little else changed as the format allows.

`read_photograph` keeps the file's pixels (gray, palette, alpha, 1, 8 or 16 bits), with EXIF orientation applied.
Networks use `.rgb`. `write_photograph` converts the filled pixels to the photograph's mode, puts them into the hole and
leaves the levels of every other pixel unchanged. Size, mode, bit depth, colour profile and resolution are kept. JPEG,
PNG and WebP also keep EXIF, except for the orientation, which is applied, and the thumbnail, which would still show the
removed object. XMP is dropped, because it may repeat the old orientation.

The path's extension decides the format. PNG, TIFF, BMP and WebP are lossless; JPEG changes all pixels a little. If the
format cannot store the mode, a richer mode with the same pixels is used: gray in WebP becomes RGB. If there is none (16
bits or transparency in JPEG), it is a UserError. BMP cannot hold a profile.

`.note` tells what could not be kept: CMYK becomes RGB, transparent colours and palettes become RGBA, 16-bit colour
loses its profile and EXIF. Three losses have no note: 16-bit colour loses its resolution, gray of 2 or 4 bits becomes
8 bits, and 16-bit gray with alpha becomes RGBA.

`read_mask` comes from `common.masks.files`.
"""

from __future__ import annotations

import dataclasses
import pathlib

import cv2
import numpy as np
from PIL import Image, JpegImagePlugin

from common import memory
from common.errors import UserError
from common.images import convert
from common.images import files as image_files
from common.masks.files import coverage_warning as coverage_warning
from common.masks.files import read_mask as read_mask
from common.storage import PathLike

# Modes that a format holds and that every reader supports.
_HOLDS = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "WEBP": ("RGB", "RGBA"),
    "JPEG": ("L", "RGB"),
}
_HOLD_16_BITS = ("PNG", "TIFF")
_GRAY = ("1", "L", "LA")
_OPTIONS = {
    "PNG": {"compress_level": 1},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    # in lossless WebP, quality is the effort; `exact` keeps the colours of transparent pixels
    "WEBP": {"lossless": True, "exact": True, "method": 0, "quality": 20},
}
_LONGEST_EXIF = 65533  # bytes in a JPEG file
_HIGHEST_DPI = 65535  # in a JPEG file


@dataclasses.dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph's pixels and metadata.

    pixels, mode, palette, note: as in `image_files.Decoded`.
    name: the file's path, for messages.
    metadata: icc_profile, dpi and exif as far as the file has them, as arguments of Pillow's `save`.
    jpeg: Pillow's arguments for the file's own compression; {} for other formats.
    """

    pixels: np.ndarray
    mode: str
    palette: bytes | None
    note: str
    name: str
    metadata: dict
    jpeg: dict

    @property
    def rgb(self) -> np.ndarray:
        """[H, W, 3] uint8, alpha dropped, read-only."""
        return convert.to_rgb(self.pixels, self.mode, self.palette)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[:2]

    @property
    def depth(self) -> int:
        """Bits per channel: 8 (also for 1-bit images) or 16."""
        return 8 * self.pixels.itemsize

    @property
    def transparent(self) -> np.ndarray | None:
        """[H, W] uint8, 1 where alpha is at most half; None if no pixel is transparent."""
        if self.opaque:
            return None
        return (convert.to_eight_bits(self.pixels[..., -1]) <= convert.THRESHOLD).astype(np.uint8)

    @property
    def opaque(self) -> bool:
        """Whether no pixel is transparent."""
        full = convert.WHITE if self.depth == 8 else convert.DEEP * convert.WHITE
        return not self.mode.endswith("A") or bool(self.pixels[..., -1].min() == full)


_PROFILE_FITS = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B")


def read_photograph(path: PathLike) -> Photograph:
    """Reads a JPEG, PNG, WebP, TIFF or BMP file, whatever its extension.

    Raises:
      UserError: the file is missing, unreadable, truncated or not such an image.
    """
    decoded = image_files.read(path)
    metadata, note = _metadata(decoded), decoded.note
    if decoded.pixels.dtype == np.uint16 and decoded.mode != "L":
        lost = " and ".join(sorted(metadata.keys() - {"dpi"}))
        note = "; ".join(filter(None, (note, lost and f"16-bit colour loses its {lost}")))
        metadata = {}
    return Photograph(
        decoded.pixels,
        decoded.mode,
        decoded.palette,
        note,
        name=str(path),
        metadata=metadata,
        jpeg=_jpeg_arguments(decoded),
    )


def _metadata(decoded):
    header, found = decoded.header, {}
    profile = header.info.get("icc_profile")
    if profile and header.mode in _PROFILE_FITS:  # one for CMYK would be wrong for RGB pixels
        found["icc_profile"] = profile
    dpi = tuple(map(float, header.info.get("dpi", ())))
    if dpi and all(0 < value <= _HIGHEST_DPI for value in dpi):  # also false for NaN
        found["dpi"] = dpi[::-1] if decoded.turned else dpi
    exif = _exif(header) if header.format != "TIFF" else None
    if exif:
        found["exif"] = exif
    return found


def _exif(header):
    """The EXIF data without its thumbnail; None if missing or damaged."""
    try:
        exif = header.getexif()
        return exif.tobytes() if len(exif) else None
    except Exception:  # Pillow raises many types for damaged EXIF
        return None


def _jpeg_arguments(decoded):
    header = decoded.header
    # The quantisation tables of a CMYK file do not fit RGB.
    if header.format not in ("JPEG", "MPO") or decoded.mode != header.mode:
        return {}
    sampling = JpegImagePlugin.get_sampling(header)
    return {
        "qtables": header.quantization,
        # 4:2:2 turned by 90 degrees would be 4:4:0, which Pillow cannot write.
        "subsampling": 0 if sampling == 1 and decoded.turned else sampling,
        "progressive": bool(header.info.get("progressive")),
    }


def write_photograph(
    path: PathLike,
    photograph: Photograph,
    filled: np.ndarray,
    mask: np.ndarray,
    quality: int = 95,
) -> None:
    """Writes the photograph with its hole filled, whole or not at all.

    Args:
      path: its extension decides the format.
      filled: [H, W, 3] uint8 RGB; used inside the hole only, which becomes opaque.
      mask: [H, W] uint8, hole where it is not 0.
      quality: 1 .. 100, for a JPEG; ignored if the photograph is a JPEG (other than CMYK): its own quantisation tables
        are used, because they change known pixels least.

    Raises:
      UserError: arrays of another size or type, an unknown extension, or a format that cannot hold the photograph.
    """
    kind = output_format(path)
    convert.check_array(filled, mask)
    if mask.shape != photograph.size:
        raise UserError(
            f"the fill has {_size(mask.shape)} pixels but {photograph.name} has "
            f"{_size(photograph.size)}"
        )
    mode = _mode_for(kind, photograph, path)
    place, part = _filled_part(photograph, filled, mask)
    memory.give_back()  # conversions leave much, and the image and its file come on top
    if photograph.depth == 16:
        pixels = photograph.pixels.copy()
        pixels[place] = part
        if mode != "L":
            image_files.write_deep(path, pixels, kind)
            return
        image = image_files.as_image(pixels)
    else:  # no copy of the pixels beside the image, which takes 4 bytes a pixel
        image = image_files.as_image(photograph.pixels, photograph.palette)
        if part.size:
            corner = place[1].start, place[0].start
            image.paste(image_files.as_image(part, photograph.palette), corner)
    if mode != photograph.mode:
        image = image.convert(mode)
    image_files.write(path, image, kind, **_options(kind, photograph, mode, quality))


def output_format(path: PathLike) -> str:
    """The format of the extension of `path`; UserError if no such format can be written."""
    ending = pathlib.Path(path).suffix.lower()
    if ending not in image_files.EXTENSIONS:
        known = " ".join(image_files.EXTENSIONS)
        raise UserError(f"cannot write {path}: end its name in one of {known}")
    return Image.registered_extensions()[ending]


def _size(size):
    return f"{size[1]}x{size[0]}"


def _mode_for(kind, photograph, path):
    """The mode to write: the photograph's own, or the next mode that holds the same pixels."""
    if photograph.depth == 16 and kind not in _HOLD_16_BITS:
        raise UserError(
            f"cannot write {path}: {photograph.name} has 16 bits per channel and {kind} keeps 8; "
            "write a .png or .tif"
        )
    wider = ("RGBA",)
    if photograph.opaque:
        wider = ("L", "RGB") if photograph.mode in _GRAY else ("RGB",)
    for mode in (photograph.mode, *wider):
        if mode in _HOLDS[kind]:
            return mode
    raise UserError(
        f"cannot write {path}: {photograph.name} has transparency, which is lost in {kind}; "
        "write a .png"
    )


def _filled_part(photograph, filled, mask):
    """((rows, columns), pixels) of the rectangle around the hole, filled, in the photograph's mode and depth."""
    left, top, width, height = cv2.boundingRect(mask)
    place = slice(top, top + height), slice(left, left + width)
    pixels = photograph.pixels[place].copy()
    if width:
        hole, fill = mask[place] != 0, _converted(photograph, np.ascontiguousarray(filled[place]))
        pixels[hole] = fill[hole]
        if photograph.depth == 16:
            pixels[hole] *= np.uint16(convert.DEEP)
    return place, pixels


def _converted(photograph, rgb):
    """[H, W, 3] uint8 RGB -> 8-bit pixels of the photograph's mode."""
    fill = Image.fromarray(rgb)
    if photograph.mode == "P":
        palette = image_files.as_image(photograph.pixels[:1, :1], photograph.palette)
        return np.asarray(fill.quantize(palette=palette, dither=Image.Dither.NONE))
    return np.asarray(fill.convert(photograph.mode, dither=Image.Dither.NONE))


def _options(kind, photograph, mode, quality):
    """Pillow's arguments for the format: metadata and compression."""
    options = {**_OPTIONS.get(kind, {}), **photograph.metadata}
    if mode != photograph.mode and photograph.mode in _GRAY and mode.startswith("RGB"):
        options.pop("icc_profile", None)  # a profile for gray
    if kind == "TIFF" or (kind == "JPEG" and len(options.get("exif", b"")) > _LONGEST_EXIF):
        options.pop("exif", None)
    if kind == "JPEG" and photograph.jpeg and mode == photograph.mode:
        options.update(photograph.jpeg)
    elif kind == "JPEG":
        options.update(quality=quality, subsampling=0 if mode == "RGB" else -1)
    return options
