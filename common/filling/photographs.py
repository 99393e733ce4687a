"""A user's photograph: read it, fill its hole, write it back, harm nothing else.

`read_photograph` keeps the pixels as the file has them (gray, palette, alpha, 1, 8 or 16 bits), oriented by EXIF, and
offers `.rgb` to the networks. `write_photograph` puts the filled pixels into the hole, converted to the photograph's
own mode, and leaves every other pixel as it was, level for level. Size, mode, bit depth, colour profile and resolution
are kept; JPEG, PNG and WebP also keep EXIF, without the orientation, which is applied, and without the thumbnail, which
would still show what was removed. XMP is dropped: it may repeat the old orientation.

The ending of the path decides the format. PNG, TIFF, BMP and WebP are written lossless; JPEG
loses a little everywhere, which is the caller's choice. A format that lacks the photograph's mode
gets the next one that holds the same pixels (gray in WebP becomes RGB); where there is none (16
bits or transparency in JPEG) nothing is written. BMP has no place for a profile.

`.note` tells what could not be kept: CMYK comes back as RGB, transparent colours and palettes as
RGBA, 16-bit colour without its profile and EXIF. Without a note, 16-bit colour loses its
resolution, gray of 2 or 4 bits becomes 8 bits and 16-bit gray with alpha RGBA.

Its mask comes from `read_mask`, which stands in `common.masks.files`.
"""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
from PIL import Image, JpegImagePlugin

from common.errors import UserError
from common.images import convert
from common.images import files as image_files
from common.masks.files import coverage_warning as coverage_warning
from common.masks.files import read_mask as read_mask
from common.storage import PathLike

# Modes that a format holds, and that every reader understands.
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
    # quality is the effort here; `exact` keeps the colours of transparent pixels
    "WEBP": {"lossless": True, "exact": True, "method": 0, "quality": 20},
}
_LONGEST_EXIF = 65533  # bytes in a JPEG file


@dataclasses.dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph's pixels and what its file said of them.

    pixels, mode, palette, note: as `image_files.Decoded`.
    name: the file's path, for messages.
    metadata: what there is of icc_profile, dpi and exif, as Pillow's `save` takes them.
    jpeg: arguments that make Pillow compress as the file was; {} for other formats.
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
        """Bits a channel: 8 (also for 1-bit images) or 16."""
        return 8 * self.pixels.itemsize

    @property
    def transparent(self) -> np.ndarray | None:
        """[H, W] uint8, 1 where alpha is at most half; None if the file has no alpha, or all of it is opaque."""
        if self.opaque:
            return None
        return (convert.to_eight_bits(self.pixels[..., -1]) <= convert.THRESHOLD).astype(np.uint8)

    @property
    def opaque(self) -> bool:
        """Nothing in it is transparent."""
        full = convert.WHITE if self.depth == 8 else convert.DEEP * convert.WHITE
        return not self.mode.endswith("A") or bool(self.pixels[..., -1].min() == full)


_PROFILE_FITS = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B")


def read_photograph(path: PathLike) -> Photograph:
    """Reads a JPEG, PNG, WebP, TIFF or BMP file, whatever its ending.

    Raises:
      UserError: the file is missing, unreadable, cut off, or no such image.
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
    if (
        profile and header.mode in _PROFILE_FITS
    ):  # one for CMYK or LAB would be wrong for RGB pixels
        found["icc_profile"] = profile
    dpi = tuple(map(float, header.info.get("dpi", ())))
    if dpi and min(dpi) > 0:
        found["dpi"] = dpi[::-1] if decoded.turned else dpi
    exif = _exif(header) if header.format != "TIFF" else None
    if exif:
        found["exif"] = exif
    return found


def _exif(header):
    """EXIF written anew, without its thumbnail; None if there is none or a damaged one."""
    try:
        exif = header.getexif()
        return exif.tobytes() if len(exif) else None
    except Exception:  # Pillow's parser stumbles in many ways over what cameras write
        return None


def _jpeg_arguments(decoded):
    header = decoded.header
    # The tables of a CMYK file do not fit RGB.
    if header.format not in ("JPEG", "MPO") or decoded.mode != header.mode:
        return {}
    sampling = JpegImagePlugin.get_sampling(header)
    return {
        "qtables": header.quantization,
        # Turned by 90 degrees, 4:2:2 would become 4:4:0, which Pillow cannot write.
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
    """Writes the photograph with its hole filled, at once or not at all.

    Args:
      path: its ending decides the format.
      filled: [H, W, 3] uint8 RGB; used inside the hole only, there opaque.
      mask: [H, W] uint8, hole where it is not 0.
      quality: 1 .. 100, for JPEG made from another format; a JPEG file's own quantisation tables
        are used again, so that compressing twice changes its known pixels least.

    Raises:
      UserError: arrays of another size or type, an ending or a combination that cannot be written.
    """
    kind = output_format(path)
    convert.check_array(filled, mask)
    if mask.shape != photograph.size:
        raise UserError(
            f"the fill has {_size(mask.shape)} pixels but {photograph.name} has "
            f"{_size(photograph.size)}"
        )
    mode = _mode_for(kind, photograph, path)
    pixels = _fill(photograph, filled, mask)
    if photograph.depth == 16 and mode != "L":
        image_files.write_deep(path, pixels, kind)
        return
    image = image_files.as_image(pixels, photograph.palette)
    if mode != photograph.mode:
        image = image.convert(mode)
    image_files.write(path, image, kind, **_options(kind, photograph, mode, quality))


def output_format(path: PathLike) -> str:
    """The format that the ending of `path` names; UserError if it is none that can be written."""
    ending = pathlib.Path(path).suffix.lower()
    if ending not in image_files.EXTENSIONS:
        known = " ".join(image_files.EXTENSIONS)
        raise UserError(f"cannot write {path}: end its name in one of {known}")
    return Image.registered_extensions()[ending]


def _size(size):
    return f"{size[1]}x{size[0]}"


def _mode_for(kind, photograph, path):
    """The mode to write: the photograph's own, or the next that holds the same pixels."""
    if photograph.depth == 16 and kind not in _HOLD_16_BITS:
        raise UserError(
            f"cannot write {path}: {photograph.name} has 16 bits a channel and {kind} keeps 8; "
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


def _fill(photograph, filled, mask):
    """The photograph's pixels with `filled`, converted to its mode and depth, inside the hole."""
    fill = Image.fromarray(filled)
    if photograph.mode == "P":
        palette = image_files.as_image(photograph.pixels[:1, :1], photograph.palette)
        fill = fill.quantize(palette=palette, dither=Image.Dither.NONE)
    else:
        fill = fill.convert(photograph.mode, dither=Image.Dither.NONE)
    hole, fill, pixels = mask != 0, np.asarray(fill), photograph.pixels.copy()
    pixels[hole] = fill[hole]
    if photograph.depth == 16:
        pixels[hole] *= np.uint16(convert.DEEP)
    return pixels


def _options(kind, photograph, mode, quality):
    """Pillow's arguments for this format: metadata and compression."""
    options = {**_OPTIONS.get(kind, {}), **photograph.metadata}
    if mode != photograph.mode and photograph.mode in _GRAY and mode.startswith("RGB"):
        options.pop("icc_profile", None)  # one for gray
    if kind == "TIFF" or (kind == "JPEG" and len(options.get("exif", b"")) > _LONGEST_EXIF):
        options.pop("exif", None)
    if kind == "JPEG" and photograph.jpeg and mode == photograph.mode:
        options.update(photograph.jpeg)
    elif kind == "JPEG":
        options.update(quality=quality, subsampling=0 if mode == "RGB" else -1)
    return options
