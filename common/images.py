"""Numbers and files at the program's edges: the one module that knows 255.

Inside the program images are float32 RGB in [0, 1] and masks are 0 / 1 with 1 = hole; on disk
images are integer levels and masks are white where the hole is. This module converts the one into
the other, turns the bytes of an image file into an array and writes PNG files. What has to
survive a round trip besides the pixels (profile, resolution, EXIF ...) is the business of
`common.photographs`.

Decoding: EXIF orientation is applied, the channel order is RGB, the first frame of an animation
or page of a document is taken. OpenCV decodes JPEG, PNG and WebP, faster and in less memory than
Pillow, and everything with 16 bits (Pillow reduces 16-bit RGB to 8 bits); Pillow reads the
headers and decodes all the rest. OpenCV may fill the missing part of a cut-off file with gray
without a word, so the end of each file is looked for first.
"""

from __future__ import annotations

import dataclasses
import io
import pathlib
import re
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from common.errors import UserError
from common.files import PathLike, atomic_path

WHITE = 255  # the highest 8-bit level
DEEP = 257  # 16-bit levels per 8-bit level: 257 * 255 = 65535
THRESHOLD = 127  # a mask's gray levels above it are hole
MAX_PIXELS = 10**9  # more is taken for a decompression bomb; OpenCV's own limit is 2**30
STRIP = 256  # rows handled at a time, so that no second copy of a big image is needed

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
_NATIVE = ("1", "L", "LA", "P", "RGB", "RGBA")
_EIGHT_BITS = ((np.arange(WHITE * DEEP + 1) + DEEP // 2) // DEEP).astype(np.uint8)
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_COLOR_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)  # from OpenCV 4.11 on

# Pillow warns above this number and refuses above twice it; `open_header` refuses above it.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
# A file is read or refused with one line; Pillow's own remarks on it would come on top.
for _category in (UserWarning, Image.DecompressionBombWarning):
    warnings.filterwarnings("ignore", category=_category, module=r"PIL\.")


def to_unit(image: np.ndarray) -> np.ndarray:
    """Levels to the networks' range: uint8 in 0 .. 255 -> float32 in [0, 1], any shape."""
    if image.dtype != np.uint8:
        raise UserError(f"expected 8-bit levels (uint8), got {image.dtype}")
    return np.divide(image, np.float32(WHITE), dtype=np.float32)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """[0, 1] to levels: any float shape -> uint8, rounded to the nearest level, clipped.

    Raises:
      UserError: not a float type, or it holds NaN or infinity (the text says how many).
    """
    image = np.asarray(image)
    if not np.issubdtype(image.dtype, np.floating):
        raise UserError(f"expected floats in [0, 1], got {image.dtype}")
    _check_finite(image, "the image")
    levels = np.clip(image, 0, 1).astype(np.float32)
    levels *= WHITE
    return np.rint(levels, out=levels).astype(np.uint8)


def to_eight_bits(image: np.ndarray) -> np.ndarray:
    """uint16 -> uint8, rounded v / 257; uint8 is returned as it is."""
    return image if image.dtype == np.uint8 else _EIGHT_BITS[image]


def check_array(image: np.ndarray, mask: np.ndarray) -> None:
    """Checks a public function's arrays: image uint8 [H, W, 3], mask uint8 [H, W] (not 0: hole).

    Raises:
      UserError: another type, shape or content; the text says which was found.
    """
    _check_one(image, "image", "[H, W, 3]", lambda shape: len(shape) == 3 and shape[2] == 3)
    _check_one(mask, "mask", "[H, W]", lambda shape: len(shape) == 2)
    if image.shape[:2] != mask.shape:
        raise UserError(
            f"image and mask differ in size: {image.shape[:2]} and {mask.shape} (height, width)"
        )
    if image.size == 0:
        raise UserError(f"the image is empty: shape {image.shape}")


def _check_one(array, name, layout, fits):
    if not isinstance(array, np.ndarray):
        raise UserError(f"{name} must be a uint8 array {layout}, got {type(array).__name__}")
    _check_finite(array, f"the {name}")
    if array.dtype != np.uint8 or not fits(array.shape):
        raise UserError(f"{name} must be uint8 {layout}, got {array.dtype} {list(array.shape)}")


def _check_finite(array, name):
    if np.issubdtype(array.dtype, np.floating):
        bad = array.size - np.count_nonzero(np.isfinite(array))
        if bad:
            raise UserError(f"{name} holds {bad} values that are NaN or infinite (of {array.size})")


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
    """An image file's content.

    pixels: uint8 or uint16, [H, W] or [H, W, C], oriented, levels as stored; of mode "1" they are
      0 and 255, of mode "P" indices.
    mode: "1", "L", "LA", "P", "RGB" or "RGBA".
    palette: [N, 4] uint8 RGBA for mode "P", else None.
    header: Pillow's image, for its metadata only.
    transposed: the orientation exchanged rows and columns.
    note: what was changed in reading, "" if nothing.
    """

    pixels: np.ndarray
    mode: str
    palette: np.ndarray | None
    header: Image.Image
    transposed: bool
    note: str

    @property
    def rgb(self) -> np.ndarray:
        """[H, W, 3] uint8; of an 8-bit RGB or RGBA image a view of the pixels, not a copy."""
        pixels = self.pixels
        if self.mode == "P":
            return self.palette[:, :3][pixels]
        if self.mode in ("RGB", "RGBA"):
            return to_eight_bits(pixels[..., :3])
        gray = to_eight_bits(pixels if pixels.ndim == 2 else pixels[..., 0])
        return np.repeat(gray[..., None], 3, axis=2)


def read_rgb(path: PathLike) -> np.ndarray:
    """Any supported image file -> [H, W, 3] uint8, oriented, alpha dropped.

    Raises:
      UserError: the file is missing, unreadable, cut off, or no image.
    """
    return decode(read_bytes(path), str(path)).rgb


def decode_rgb(data: bytes, name: str) -> np.ndarray:
    """As `read_rgb`, from the file's bytes; `name` is for the error's text."""
    return decode(data, name).rgb


def read_bytes(path: PathLike) -> bytes:
    """The file's bytes; UserError if it is missing, unreadable, empty or a folder."""
    path = pathlib.Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name one image file")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist{_namesakes(path)}") from None
    except PermissionError:
        raise UserError(f"{path} may not be read; change its permissions") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if not data:
        raise UserError(f"{path} is empty (0 bytes); copy or download it again")
    return data


def _namesakes(path):
    try:
        names = [other.name for other in path.parent.iterdir() if other.stem == path.stem]
    except OSError:
        return f": there is no folder {path.parent}"
    return f"; did you mean {' or '.join(sorted(names))}?" if names else "; check its name"


def decode(data: bytes, name: str) -> Decoded:
    """Decodes the bytes of a JPEG, PNG, WebP, TIFF or BMP file; `name` is for messages only.

    Raises:
      UserError: no such file, cut off, damaged, above 16 bits a channel or `MAX_PIXELS`.
    """
    header = open_header(data, name)
    try:
        frames = getattr(header, "n_frames", 1)
        deep = _is_deep(header, data, name)
        _check_end(header, data, name)
        orientation = _orientation(header)
        found = _decode_cv2(header, data, deep)
        if found is None and not deep:
            found = _decode_pillow(header)
    except UserError:
        raise
    except Exception as error:  # decoders raise whatever the damage makes them stumble over
        raise _damaged(name, error) from error
    if found is None:
        raise _damaged(name, "its 16-bit pixels cannot be decoded")
    pixels, mode, palette, note = found
    if frames > 1:
        note = "; ".join(filter(None, (note, f"first of {frames} frames or pages")))
    if header.format != "TIFF":  # which both libraries turn themselves
        pixels = _orient(pixels, orientation)
    return Decoded(pixels, mode, palette, header, orientation >= 5, note)


def open_header(data: bytes, name: str) -> Image.Image:
    """Pillow's image with size, mode and metadata, its pixels not yet decoded."""
    kinds = "JPEG, PNG, WebP, TIFF or BMP"
    try:
        header = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise UserError(f"{name} is too big: more than {MAX_PIXELS:,} pixels; reduce it") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{name} is not a readable {kinds} image; convert it to PNG") from error
    except Exception as error:  # as above
        raise _damaged(name, error) from error
    width, height = header.size
    if width * height > MAX_PIXELS:
        raise UserError(f"{name} is too big: {width} x {height} is more than {MAX_PIXELS:,} pixels")
    return header


def _damaged(name, reason):
    return UserError(f"{name} is cut off or damaged ({reason}); copy or download it again")


def _jpeg_has_end(data):
    """Walks the segments to the end marker: a thumbnail in the EXIF segment has one of its own."""
    position = 2
    while True:
        match = _JPEG_MARKER.search(data, position)
        if match is None or match.group() == b"\xff\xd9":
            return match is not None
        position = match.end()
        if match.group() not in (b"\xff\x01", b"\xff\xd8"):  # these two have no length
            position += int.from_bytes(data[position : position + 2], "big")


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, whole chunk) of each PNG chunk but the pixels; stops where the file is cut off."""
    position = 8
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if end > len(data):
            return
        if kind != b"IDAT":
            yield kind, data[position:end]
        position = end


def _check_end(header, data, name):
    """Raises for a file shorter than it should be (decoders may fill the rest with gray)."""
    if header.format in ("JPEG", "MPO"):
        whole = _jpeg_has_end(data)
    elif header.format == "PNG":
        chunks = dict(png_chunks(data))
        whole = b"IEND" in chunks
        if b"eXIf" in chunks:  # Pillow looks for those behind the pixels by decoding them
            header.info["exif"] = chunks[b"eXIf"][8:-4]
    elif header.format == "TIFF":
        tags = header.tag_v2
        starts, sizes = (273, 279) if 273 in tags else (324, 325)
        ends = np.add(tags[starts], tags[sizes]) if sizes in tags else [0]
        whole = max(ends) <= len(data)
    elif header.format == "WEBP":
        whole = int.from_bytes(data[4:8], "little") + 8 <= len(data)
    else:
        whole = True
    if not whole:
        raise _damaged(name, "the file ends too early")


def _is_deep(header, data, name):
    """Whether the file has 16 bits a channel; UserError for other depths above 8."""
    if header.format == "PNG":
        return data[24] == 16
    if header.format != "TIFF" or header.mode == "CMYK":
        return False
    depth = max(header.tag_v2.get(258, (1,)))
    if header.mode in ("I", "F") or depth not in (1, 2, 4, 8, 16):
        raise UserError(f"{name} has {depth}-bit pixels; convert it to 8 or unsigned 16 bits")
    if depth == 16 and header.tag_v2.get(284) == 2 and header.tag_v2.get(277, 1) > 1:
        raise UserError(f"{name} is a planar 16-bit TIFF; save it with interleaved channels")
    return depth == 16


def _orientation(header):
    # The base class: PNG's own method decodes the whole image to look for EXIF behind the pixels.
    getexif = Image.Image.getexif if header.format == "PNG" else type(header).getexif
    value = getexif(header).get(274, 1)
    return value if value in range(1, 9) else 1


def _decode_cv2(header, data, deep):
    """(pixels, mode, palette, note) as stored, or None where Pillow has to decode."""
    kind, mode = header.format, header.mode
    plain = kind in ("JPEG", "MPO", "PNG", "WEBP") and mode in ("L", "RGB", "RGBA")
    special = "transparency" in header.info or (
        kind != "MPO" and getattr(header, "n_frames", 1) > 1
    )
    if not deep and (not plain or special):
        return None
    flag = cv2.IMREAD_UNCHANGED  # which ignores the orientation
    if not deep and mode != "RGBA":
        color = cv2.IMREAD_COLOR if _COLOR_RGB is None else _COLOR_RGB
        flag = cv2.IMREAD_GRAYSCALE if mode == "L" else color
        flag |= cv2.IMREAD_IGNORE_ORIENTATION
    try:  # not imread into an array of ours: when it fails, it returns the array as it was
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        return None
    if pixels is None or (deep and pixels.dtype != np.uint16):
        return None
    if pixels.ndim == 3 and (deep or mode == "RGBA" or _COLOR_RGB is None):
        swap = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
        pixels = cv2.cvtColor(pixels, swap, dst=pixels)
    return _channels_of(header, data, pixels) if deep else (pixels, mode, None, "")


def _channels_of(header, data, pixels):
    """16 bits: undoes what OpenCV adds (gray + alpha as RGBA, a transparent colour as alpha)."""
    mode = header.mode if header.mode in ("RGB", "RGBA") else "L"
    if header.format == "PNG" and data[25] == 4:  # Pillow says RGBA
        mode = "LA"
    if pixels.ndim == 3 and pixels.shape[2] != len(mode):
        channels = {"L": 0, "LA": [0, 3], "RGB": [0, 1, 2]}[mode]
        pixels = np.ascontiguousarray(pixels[..., channels])
    if header.format == "TIFF" and header.tag_v2.get(262) == 0:  # white is zero
        pixels = np.invert(pixels)
    return pixels, mode, None, ""


def _decode_pillow(header):
    """(pixels, mode, palette, note) of an 8-bit image; foreign modes become RGB, LA or RGBA."""
    header.load()
    image, mode, note, palette = header, header.mode, "", None
    if mode == "CMYK":
        image, note = _from_cmyk(header), "CMYK converted to RGB"
    elif mode != "P" and "transparency" in header.info:
        image = header.convert("LA" if mode == "L" else "RGBA")
        note = "transparent colour kept as alpha"
    elif mode not in _NATIVE:
        image = header.convert({"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}.get(mode, "RGB"))
        note = "" if mode == "RGBX" else f"{mode} converted to {image.mode}"
    pixels = _to_array(image)
    if image.mode == "P":
        palette = _palette(header, int(pixels.max()) + 1)
    return pixels, image.mode, palette, note


def _from_cmyk(header):
    """By the file's own profile if that works; the profile, wrong for RGB pixels, is removed."""
    profile = header.info.pop("icc_profile", None)
    if profile:
        try:
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(header, io.BytesIO(profile), srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            pass  # a damaged profile, or not one for CMYK
    return header.convert("RGB")


def _palette(header, used):
    """[N, 4] uint8 RGBA, N >= `used`: entries that the file uses but does not define are black."""
    colours = np.asarray(header.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette = np.zeros((max(len(colours), used), 4), np.uint8)
    palette[: len(colours), :3] = colours
    palette[:, 3] = WHITE
    clear = header.info.get("transparency")
    if isinstance(clear, int):
        palette[clear, 3] = 0
    elif clear is not None:
        alpha = np.frombuffer(clear, np.uint8)[: len(palette)]
        palette[: len(alpha), 3] = alpha
    return palette


def _to_array(image):
    """Pillow's pixels by strips: np.asarray on the whole would hold two more copies for a while."""
    width, height = image.size
    channels = len(image.getbands())
    pixels = np.empty((height, width) if channels == 1 else (height, width, channels), np.uint8)
    for top in range(0, height, STRIP):
        strip = np.asarray(image.crop((0, top, width, min(top + STRIP, height))))
        pixels[top : top + STRIP] = strip * np.uint8(WHITE) if image.mode == "1" else strip
    return pixels


def _orient(pixels, orientation):
    """Applies an EXIF orientation (1 .. 8); 1 returns the array itself."""
    if orientation in (2, 4):
        return cv2.flip(pixels, 1 if orientation == 2 else 0)
    turns = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
    if orientation in turns:
        return cv2.rotate(pixels, turns[orientation])
    if orientation in (5, 7):
        pixels = cv2.transpose(pixels)
        return pixels if orientation == 5 else cv2.rotate(pixels, cv2.ROTATE_180)
    return pixels


def write_png(path: PathLike, image: np.ndarray) -> None:
    """Writes [H, W, 3] RGB or [H, W] gray uint8 as a PNG file, at once or not at all."""
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)):
        raise UserError(
            f"expected uint8 [H, W, 3] or [H, W], got {image.dtype} {list(image.shape)}"
        )
    height, width = image.shape[:2]
    mode = "L" if image.ndim == 2 else "RGB"
    strips = (image[top : top + STRIP] for top in range(0, height, STRIP))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        encode_png(file, strips, (height, width), mode)


def encode_png(
    file: BinaryIO,
    strips: Iterable[np.ndarray],
    size: tuple[int, int],
    mode: str,
    depth: int = 8,
    palette: np.ndarray | None = None,
    chunks: bytes = b"",
) -> None:
    """Writes a PNG file strip by strip, so that no second copy of the image is made.

    zlib level 1 on left differences: 2% bigger than Pillow's choice of five filters, in half the
    time.

    Args:
      strips: arrays of some rows each, top to bottom, as in `Decoded.pixels`.
      size: (height, width).
      mode: as `Decoded.mode`; depth: 8 or 16.
      palette: [N, 4] uint8 RGBA for mode "P".
      chunks: whole chunks to go before the palette (profile, resolution ...).
    """
    kind = {"1": 0, "L": 0, "RGB": 2, "P": 3, "LA": 4, "RGBA": 6}[mode]
    depth = 1 if mode == "1" else depth
    file.write(b"\x89PNG\r\n\x1a\n")
    file.write(png_chunk(b"IHDR", struct.pack(">2I5B", size[1], size[0], depth, kind, 0, 0, 0)))
    file.write(chunks)
    if mode == "P":
        file.write(png_chunk(b"PLTE", palette[:, :3].tobytes()))
        if palette[:, 3].min() < WHITE:
            file.write(png_chunk(b"tRNS", palette[:, 3].tobytes()))
    deflate = zlib.compressobj(1)
    for strip in strips:
        file.write(png_chunk(b"IDAT", deflate.compress(_filtered(strip, mode))))
    file.write(png_chunk(b"IDAT", deflate.flush()))
    file.write(png_chunk(b"IEND", b""))


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One PNG chunk: length, type, content, checksum."""
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _filtered(strip, mode):
    """PNG's scan lines: a filter byte, then the bytes (filter 0) or left differences (1)."""
    if mode == "1":
        rows = np.packbits(strip > THRESHOLD, axis=1)
    else:
        big_endian = strip.astype(">u2") if strip.dtype == np.uint16 else strip
        rows = np.ascontiguousarray(big_endian).reshape(len(strip), -1).view(np.uint8)
    lines = np.zeros((len(rows), rows.shape[1] + 1), np.uint8)
    lines[:, 1:] = rows
    if mode not in ("1", "P"):
        pixel = strip.itemsize * (1 if strip.ndim == 2 else strip.shape[2])
        lines[:, 0] = 1
        lines[:, 1 + pixel :] -= rows[:, :-pixel]
    return lines.tobytes()
