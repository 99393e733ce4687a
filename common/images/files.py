"""Reads and writes the pixels of JPEG, PNG, WebP, TIFF and BMP files; the content, not the extension, is the format.

Pillow reads and writes 8-bit files. OpenCV reads and writes 16-bit files, since Pillow reduces 16-bit colour to 8 bits.
EXIF orientation is applied, the channel order is RGB, and the first frame of an animation or page of a document is
read. A truncated or damaged file is refused. Levels stay as they are stored: `common.images.convert` converts them, and
`common.filling.photographs` keeps a photograph's metadata.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import pathlib
import warnings

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from common.errors import UserError
from common.images import native_messages, tar_members
from common.storage import PathLike, atomic_path

MAX_PIXELS = 10**9  # larger images count as decompression bombs; OpenCV's own limit is 2**30

# Extensions of image files in a folder.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # first bytes
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
_NATIVE = ("1", "L", "LA", "P", "RGB", "RGBA")
_BITS, _PHOTOMETRIC, _PLANAR, _ALPHA, _ORIENTATION = 258, 262, 284, 338, 274  # TIFF and EXIF tags
_COMPRESSION, _GROUP_3 = 259, (2, 3)

Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses above twice this number
# Errors of a file are reported here in one line, so Pillow's own warnings are hidden.
for _category in (UserWarning, Image.DecompressionBombWarning):
    warnings.filterwarnings("ignore", category=_category, module=r"PIL\.")


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
    """An image file's content.

    pixels: [H, W] or [H, W, C], oriented, read-only; uint8, uint16 or (mode "1") bool; indices in
      mode "P".
    mode: "1", "L", "LA", "P", "RGB" or "RGBA", for 16 bits too.
    palette: 256 RGB triples for mode "P", else None.
    note: what reading changed, "" if nothing.
    turned: whether the orientation swapped rows and columns.
    header: Pillow's image, for its metadata.
    """

    pixels: np.ndarray
    mode: str
    palette: bytes | None
    note: str
    turned: bool
    header: Image.Image


def decode(data: bytes, name: str) -> Decoded:
    """Decodes the bytes of an image file; `name` is for messages only.

    Raises:
      UserError: not an image, cut off, damaged, a fax of group 3, above 16 bits a channel or above `MAX_PIXELS`.
    """
    is_tiff = data[:4] in _TIFF
    try:
        with native_messages.caught() if is_tiff else contextlib.nullcontext([]) as said:
            decoded = _decode(data, name)
        if said:  # libtiff goes on after a bad code word
            raise _damaged(name, said[0].rstrip("."))
        return decoded
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(f"{name} is too big: more than {MAX_PIXELS:,} pixels; reduce it") from error
    except UnidentifiedImageError as error:
        raise UserError(
            f"{name} is not a readable JPEG, PNG, WebP, TIFF or BMP image; convert it to PNG"
        ) from error
    except Exception as error:  # decoders raise many types for a damaged file
        raise _damaged(name, error) from error


def _decode(data, name):
    if data.startswith(b"\xff\xd8"):
        data = data.rstrip(b"\0")  # of a broken download: libjpeg would decode zeros as gray
    header = Image.open(io.BytesIO(data), formats=_FORMATS)
    deep, frames = _is_deep(header, name), getattr(header, "n_frames", 1)
    if header.format == "PNG":  # `load` does not check the checksums of PNG
        Image.open(io.BytesIO(data)).verify()
    orientation = _load_upright(header)
    note, palette = "", None
    if deep:
        pixels = _decode_deep(data, header, orientation, name)
        mode = {1: "L", 3: "RGB", 4: "RGBA"}[pixels[0, 0].size]
    else:
        image, note = _native(header)
        pixels, mode = np.asarray(image), image.mode
        if mode == "P":
            palette = bytes(image.getpalette("RGB")).ljust(768, b"\0")
    if frames > 1:
        note = "; ".join(filter(None, (note, f"first of {frames} frames or pages")))
    pixels.setflags(write=False)
    return Decoded(pixels, mode, palette, note, orientation >= 5, header)


def _damaged(name, reason):
    return UserError(f"{name} is cut off or damaged ({reason}); copy or download it again")


def _is_deep(header, name):
    """Whether the file has 16 bits per channel; UserError for layouts that neither library reads reliably."""
    if header.format == "PNG":
        return "16" in header.tile[0][3]  # the layout of the file's pixels, as "RGB;16B"
    if header.format != "TIFF":
        return False
    tags = header.tag_v2
    if tags.get(_COMPRESSION) in _GROUP_3:  # a damaged line becomes a wrong line, without an error
        raise UserError(
            f"{name} is compressed as a fax (CCITT group 3), in which damage cannot be noticed; save it as PNG"
        )
    depth = max(tags.get(_BITS, (1,)))
    if header.mode in ("I", "F") or depth not in (1, 2, 4, 8, 16):
        raise UserError(f"{name} has {depth}-bit pixels; convert it to 8 or unsigned 16 bits")
    plain = tags.get(_PHOTOMETRIC) in (1, 2) and tags.get(_PLANAR, 1) == 1
    if depth == 16 and not (plain and tags.get(_ALPHA) != (1,)):
        raise UserError(
            f"{name} is an unusual 16-bit TIFF; save it as gray or RGB with interleaved channels "
            "and alpha, if any, not multiplied in"
        )
    return depth == 16


def _load_upright(header):
    """Decodes the image and applies its orientation, in place; returns the old orientation (1 .. 8)."""
    if header.format == "TIFF":
        orientation = header.tag_v2.get(_ORIENTATION, 1)
        header.load()  # applies the orientation of TIFF
        return orientation
    header.load()
    try:
        orientation = header.getexif().get(_ORIENTATION, 1)
        ImageOps.exif_transpose(header, in_place=True)
    except Exception:  # unreadable EXIF: no orientation
        return 1
    return orientation


def _decode_deep(data, header, orientation, name):
    """[H, W] or [H, W, C] uint16; gray with alpha and transparent colours become RGBA."""
    flag = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR  # drops alpha
    if header.mode in ("LA", "RGBA") or "transparency" in header.info:
        flag = cv2.IMREAD_UNCHANGED  # ignores the orientation of PNG
        if orientation != 1 and header.format == "PNG":
            raise UserError(f"{name} has 16 bits, alpha and an orientation; save it upright")
    with native_messages.caught():
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if pixels is None or pixels.dtype != np.uint16:
        raise _damaged(name, "its 16-bit pixels cannot be decoded")
    return _swapped(pixels)


def _swapped(pixels):
    """RGB(A) to OpenCV's BGR(A), or back; gray stays."""
    if pixels.ndim == 2:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


def _native(image):
    """(8-bit image in one of the `_NATIVE` modes, note)."""
    if image.mode == "CMYK":
        return _from_cmyk(image), "CMYK converted to RGB"
    if "transparency" in image.info:
        return image.convert("RGBA"), "transparent colours converted to alpha"
    if image.mode in _NATIVE:
        return image, ""
    converted = image.convert("RGBA" if image.mode.lower().endswith("a") else "RGB")
    return converted, f"{image.mode} converted to {converted.mode}"


def _from_cmyk(image):
    try:  # with the file's own profile
        profile = io.BytesIO(image.info["icc_profile"])
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    except (KeyError, OSError, ImageCms.PyCMSError):  # none, damaged, or not one for CMYK
        return image.convert("RGB")


def as_image(pixels: np.ndarray, palette: bytes | None = None) -> Image.Image:
    """8-bit `Decoded.pixels`, or 16-bit gray, as a Pillow image."""
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette)
    return image


def read(path: PathLike) -> Decoded:
    """Reads a file, which may be inside a tar file (`common.images.tar_members`), as `decode` does.

    Raises:
      UserError: the file is missing, unreadable, empty or a folder; or as in `decode`.
    """
    member, path = tar_members.member(path), pathlib.Path(path)
    try:
        data = _file_bytes(path) if member is None else member.read()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist{_namesakes(path)}") from None
    except PermissionError:
        raise UserError(f"no permission to read {path}; change its permissions") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if not data:
        raise UserError(f"{path} is empty (0 bytes); copy or download it again")
    return decode(data, str(path))


def _file_bytes(path):
    if path.is_dir():
        raise UserError(f"{path} is a folder; name one image file")
    if path.exists() and not path.is_file():  # reading a pipe would wait for its writer
        raise UserError(f"{path} is a pipe or a device; name an image file")
    return path.read_bytes()


def size(path: PathLike) -> tuple[int, int] | None:
    """(width, height) in the file's header, before orientation; None if the header cannot be read."""
    member = tar_members.member(path)
    try:
        file = path if member is None else io.BytesIO(member.read())
        with Image.open(file, formats=_FORMATS) as header:
            return header.size
    except Exception:  # decoders raise many types for a damaged file
        return None


def has_alpha(path: PathLike) -> bool:
    """Whether pixels may be transparent, by the file's header; False if the header cannot be read."""
    try:
        with Image.open(path, formats=_FORMATS) as header:
            return header.has_transparency_data
    except Exception:  # as in `size`; reading the file reports the damage
        return False


def _namesakes(path):
    try:
        names = [other.name for other in path.parent.iterdir() if other.stem == path.stem]
    except OSError:
        return f": there is no folder {path.parent}"
    return f"; did you mean {' or '.join(sorted(names))}?" if names else "; check its name"


def write(path: PathLike, image: Image.Image, kind: str, **options) -> None:
    """Writes an image in format `kind` with Pillow's `options`, whole or not at all.

    Raises:
      UserError: the image is too large for the format, or the file cannot be written.
    """
    # Not the file itself: encoders would report a full disk as "encoder error".
    encoded = io.BytesIO()
    try:
        image.save(encoded, kind, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {path}: {kind} refuses the image ({error})") from error
    _write_bytes(path, encoded.getbuffer())


def write_deep(path: PathLike, pixels: np.ndarray, kind: str) -> None:
    """Writes [H, W] or [H, W, C] uint16 as a "PNG" or "TIFF" file, whole or not at all."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1] if kind == "PNG" else []
    written, encoded = cv2.imencode(f".{kind.lower()}", _swapped(pixels), options)
    if not written:
        raise UserError(f"cannot write {path}: {kind} refuses the image")
    _write_bytes(path, encoded)


def _write_bytes(path, content):
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
