"""A user's photograph: read it, fill its hole, write it back, harm nothing else.

`read_photograph` keeps the pixels as the file has them (gray, palette, alpha, 1, 8 or 16 bits),
oriented by EXIF, and offers `.rgb` to the networks. `write_photograph` puts the filled pixels
into the hole, converted to the photograph's own mode, and leaves every other pixel as it was,
level for level. Size, mode, bit depth, colour profile and resolution are kept; JPEG, PNG and WebP
also keep EXIF, with the orientation set to 1 and without the thumbnail, which would still show
what was removed. XMP is dropped: it may repeat the old orientation.

The ending of the path decides the format. PNG, TIFF, BMP and WebP are written lossless; JPEG
loses a little everywhere, which is the caller's choice. A format that lacks the photograph's mode
gets the next one that holds the same pixels (gray in WebP becomes RGB); where there is none (16
bits or transparency in JPEG) nothing is written. BMP has no place for a profile. A CMYK file
comes back as RGB, gray of 2 or 4 bits as 8 bits; `.note` tells of the former.

Masks: `read_mask`. In files white is the hole; inside the program 1 is.
"""

from __future__ import annotations

import dataclasses
import io
import pathlib
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image, JpegImagePlugin

from common import images
from common.errors import UserError
from common.files import PathLike, atomic_path
from common.images import WHITE

_ENDINGS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
# (format, bits) -> modes that the format holds, and that every reader understands.
_HOLDS = {
    ("PNG", 8): ("1", "L", "LA", "P", "RGB", "RGBA"),
    ("PNG", 16): ("L", "LA", "RGB", "RGBA"),
    ("TIFF", 8): ("1", "L", "LA", "P", "RGB", "RGBA"),
    ("TIFF", 16): ("L", "RGB", "RGBA"),
    ("BMP", 8): ("1", "L", "P", "RGB"),
    ("WEBP", 8): ("RGB", "RGBA"),
    ("JPEG", 8): ("L", "RGB"),
}
_LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383}
# (channels held, mode wanted) -> which channel goes where.
_WIDEN = {
    (1, "RGB"): (0, 0, 0),
    (2, "L"): 0,
    (2, "RGB"): (0, 0, 0),
    (2, "RGBA"): (0, 0, 0, 1),
    (4, "RGB"): (0, 1, 2),
}
_PNG_COLOUR = (b"gAMA", b"cHRM", b"sRGB", b"cICP")  # how the levels are meant
_EXIF_HEAD = b"Exif\0\0"
_LONGEST_EXIF = 65000  # one JPEG segment


@dataclasses.dataclass(frozen=True, eq=False)
class Photograph(images.Decoded):
    """A photograph's pixels (see `images.Decoded`; read-only) and what its file said about them.

    name: the file's path, for messages.
    format: of the file: "JPEG", "PNG", "WEBP", "TIFF" or "BMP".
    profile: ICC profile or None.
    dpi: (horizontal, vertical) or None.
    exif: TIFF-style block, orientation 1, no thumbnail; None if there is none.
    colour_chunks: PNG's own colour chunks (gamma ...).
    jpeg: keyword arguments that make Pillow compress as the file was; {} for other formats.
    """

    name: str
    format: str
    profile: bytes | None
    dpi: tuple[float, float] | None
    exif: bytes | None
    colour_chunks: bytes
    jpeg: dict

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[:2]

    @property
    def depth(self) -> int:
        """Bits a channel: 8 (also for 1-bit images) or 16."""
        return 8 * self.pixels.itemsize

    @property
    def opaque(self) -> bool:
        """Nothing in it is transparent."""
        if self.mode == "P":
            return bool(self.palette[:, 3].min() == WHITE)
        full = WHITE if self.depth == 8 else images.DEEP * WHITE
        return self.mode not in ("LA", "RGBA") or bool(self.pixels[..., -1].min() == full)


def read_photograph(path: PathLike) -> Photograph:
    """Reads a JPEG, PNG, WebP, TIFF or BMP file, whatever its ending.

    Raises:
      UserError: the file is missing, unreadable, cut off, or no such image.
    """
    data = images.read_bytes(path)
    decoded = images.decode(data, str(path))
    decoded.pixels.setflags(write=False)
    info = decoded.header.info
    kind = "JPEG" if decoded.header.format == "MPO" else decoded.header.format
    dpi = info.get("dpi")
    if dpi is not None:
        dpi = tuple(map(float, dpi[::-1] if decoded.transposed else dpi))
        dpi = dpi if min(dpi) > 0 else None
    chunks = images.png_chunks(data) if kind == "PNG" else ()
    return Photograph(
        **{field.name: getattr(decoded, field.name) for field in dataclasses.fields(decoded)},
        name=str(path),
        format=kind,
        profile=info.get("icc_profile") or None,
        dpi=dpi,
        exif=_neutral_exif(info.get("exif", b"")) if kind != "TIFF" else None,
        colour_chunks=b"".join(chunk for name, chunk in chunks if name in _PNG_COLOUR),
        jpeg=_jpeg_arguments(decoded) if kind == "JPEG" else {},
    )


def _jpeg_arguments(decoded):
    header = decoded.header
    arguments = {"progressive": bool(header.info.get("progressive"))}
    if decoded.mode == header.mode:  # the tables of a CMYK file do not fit RGB
        arguments["qtables"] = header.quantization
        sampling = JpegImagePlugin.get_sampling(header)
        # Turned by 90 degrees, 4:2:2 would become 4:4:0, which Pillow cannot write.
        arguments["subsampling"] = 0 if sampling == 1 and decoded.transposed else sampling
    return arguments


def _neutral_exif(exif):
    """The block with orientation 1 and the thumbnail zeroed; None if absent or not understood."""
    block = bytearray(exif[6:] if exif[:6] == _EXIF_HEAD else exif)
    order = {b"II": "<", b"MM": ">"}.get(bytes(block[:2]))
    if order is None:
        return None
    try:
        start = struct.unpack_from(order + "I", block, 4)[0]
        tags, link = _ifd(block, order, start)
        if 274 in tags:
            kind, _, position = tags[274]
            struct.pack_into(order + ("I" if kind == 4 else "H"), block, position, 1)
        thumbnail = struct.unpack_from(order + "I", block, link)[0]
        if thumbnail:
            struct.pack_into(order + "I", block, link, 0)
            tags, _ = _ifd(block, order, thumbnail)
            if 513 in tags and 514 in tags:
                begin, length = tags[513][1], tags[514][1]
                end = min(begin + length, len(block))
                block[begin:end] = bytes(max(0, end - begin))
    except struct.error:
        return None
    return bytes(block)


def _ifd(block, order, start):
    """({tag: (type, value, position of the value)}, position of the link to the next directory)."""
    count = struct.unpack_from(order + "H", block, start)[0]
    tags = {}
    for position in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, _, value = struct.unpack_from(order + "HHII", block, position)
        tags[tag] = (kind, value, position + 8)
    return tags, start + 2 + 12 * count


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
    images.check_array(filled, mask)
    if mask.shape != photograph.size:
        raise UserError(
            f"the fill has {_size(mask.shape)} pixels but {photograph.name} has "
            f"{_size(photograph.size)}"
        )
    mode = _mode_for(kind, photograph, path)
    strips = _strips(photograph, filled, mask, mode)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        if kind == "PNG":
            chunks = _png_metadata(photograph, mode)
            images.encode_png(
                file, strips, mask.shape, mode, photograph.depth, photograph.palette, chunks
            )
        elif kind == "TIFF":
            _encode_tiff(file, strips, photograph, mode)
        else:
            _encode_pillow(file, strips, photograph, mode, kind, quality)


def output_format(path: PathLike) -> str:
    """The format that the ending of `path` names; UserError if it is none that can be written."""
    ending = pathlib.Path(path).suffix.lower()
    if ending not in _ENDINGS:
        raise UserError(f"cannot write {path}: end its name in one of {' '.join(_ENDINGS)}")
    return _ENDINGS[ending]


def _size(size):
    return f"{size[1]}x{size[0]}"


def _mode_for(kind, photograph, path):
    """The mode to write: the photograph's own, or the next that holds the same pixels."""
    if max(photograph.size) > _LONGEST_SIDE.get(kind, 2**31 - 1):
        raise UserError(
            f"cannot write {path}: {kind} allows {_LONGEST_SIDE[kind]} pixels a side; write a .png"
        )
    holds = _HOLDS.get((kind, photograph.depth))
    if holds is None:
        raise UserError(
            f"cannot write {path}: {photograph.name} has 16 bits a channel and {kind} keeps 8; "
            "write a .png or .tif"
        )
    opaque, mode = photograph.opaque, photograph.mode
    wider = {"1": ("L", "RGB"), "L": ("RGB",), "RGB": ()}.get(mode)
    if wider is None:
        wider = ("L", "RGB") if opaque and mode == "LA" else ("RGB",) if opaque else ("RGBA",)
    # Only PNG keeps the transparency of palette entries.
    own = () if mode == "P" and not opaque and kind != "PNG" else (mode,)
    for candidate in own + wider:
        if candidate in holds:
            return candidate
    raise UserError(
        f"cannot write {path}: {photograph.name} has transparency, which is lost in {kind}; "
        "write a .png"
    )


def _strips(photograph, filled, mask, mode) -> Iterator[np.ndarray]:
    """The finished picture in `mode`, some rows at a time."""
    for top in range(0, len(mask), images.STRIP):
        rows = slice(top, top + images.STRIP)
        strip = photograph.pixels[rows].copy()
        hole = mask[rows] != 0
        if hole.any():
            strip[hole] = _native(photograph, filled[rows][hole])
        yield _widened(strip, photograph, mode)


def _native(photograph, colours):
    """[N, 3] uint8 RGB -> [N] or [N, C] in the photograph's mode and depth, opaque."""
    mode = photograph.mode
    if mode == "P":
        return _nearest(photograph.palette, colours)
    if mode in ("1", "L", "LA"):
        colours = luma(colours)[:, None]
    if mode == "1":
        colours = np.where(colours > images.THRESHOLD, np.uint8(WHITE), np.uint8(0))
    if mode in ("LA", "RGBA"):
        colours = np.pad(colours, ((0, 0), (0, 1)), constant_values=WHITE)
    if photograph.depth == 16:
        colours = colours.astype(np.uint16) * np.uint16(images.DEEP)
    return colours[:, 0] if photograph.pixels.ndim == 2 else colours


def luma(rgb: np.ndarray) -> np.ndarray:
    """[..., 3] uint8 RGB -> [...] uint8 gray (ITU-R BT.601, rounded); gray keeps its level."""
    weights = np.array((19595, 38470, 7471), np.uint32)  # 0.299, 0.587, 0.114 of 2**16
    return ((rgb @ weights + 2**15) >> 16).astype(np.uint8)


def _nearest(palette, colours):
    """[N, 3] -> [N] uint8 index of the nearest palette entry, an opaque one if there is any."""
    opaque = np.flatnonzero(palette[:, 3] == WHITE)
    opaque = opaque if len(opaque) else np.arange(len(palette))
    entries = palette[opaque, :3].astype(np.int32)
    distinct, which = np.unique(colours @ np.array((1 << 16, 1 << 8, 1)), return_inverse=True)
    nearest = np.empty(len(distinct), np.uint8)
    for first in range(0, len(distinct), 4096):
        packed = distinct[first : first + 4096, None]
        some = packed >> np.array((16, 8, 0)) & WHITE
        distance = ((some[:, None] - entries) ** 2).sum(axis=2)
        nearest[first : first + 4096] = opaque[distance.argmin(axis=1)]
    return nearest[which.reshape(-1)]


def _widened(strip, photograph, mode):
    """Rows in the photograph's mode -> the same colours in the mode that the format holds."""
    if mode == photograph.mode:
        return strip
    if photograph.mode == "P":
        strip = photograph.palette[strip]
    channels = 1 if strip.ndim == 2 else strip.shape[2]
    order = _WIDEN.get((channels, mode))
    if order is None:
        return strip
    return (strip[..., None] if channels == 1 else strip)[..., order]


def _profile(photograph, mode):
    """The colour profile, unless it is one for gray and the pixels became RGB."""
    profile = photograph.profile
    gray = profile is not None and profile[16:20] == b"GRAY"
    return None if gray and mode in ("RGB", "RGBA") else profile


def _png_metadata(photograph, mode):
    chunks = photograph.colour_chunks
    profile = _profile(photograph, mode)
    if profile:
        chunks += images.png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))
    if photograph.dpi:
        metres = [round(dots / 0.0254) for dots in photograph.dpi]
        chunks += images.png_chunk(b"pHYs", struct.pack(">2IB", *metres, 1))
    if photograph.exif:
        chunks += images.png_chunk(b"eXIf", photograph.exif)
    return chunks


def _encode_pillow(file, strips, photograph, mode, kind, quality):
    height, width = photograph.size
    image = Image.new(mode, (width, height))
    if mode == "P":
        image.putpalette(photograph.palette[:, :3].tobytes())
    for number, strip in enumerate(strips):
        part = Image.fromarray(np.ascontiguousarray(strip))
        part = part.convert("1") if mode == "1" else part
        image.paste(part, (0, number * images.STRIP))
    arguments = {"dpi": photograph.dpi} if photograph.dpi else {}
    profile = _profile(photograph, mode)
    if profile and kind != "BMP":
        arguments["icc_profile"] = profile
    if photograph.exif and kind != "BMP" and len(photograph.exif) < _LONGEST_EXIF:
        arguments["exif"] = _EXIF_HEAD + photograph.exif
    if kind == "WEBP":
        # quality is the effort here; `exact` keeps the colours of transparent pixels
        arguments.update(lossless=True, exact=True, method=0, quality=20)
    elif kind == "JPEG" and photograph.jpeg.get("qtables") and mode == photograph.mode:
        arguments.update(photograph.jpeg)
    elif kind == "JPEG":
        arguments.update(quality=quality, subsampling=0 if mode == "RGB" else -1)
    # By way of memory: the encoders report a full disk as "encoder error".
    encoded = io.BytesIO()
    image.save(encoded, kind, **arguments)
    file.write(encoded.getbuffer())


def _encode_tiff(file, strips, photograph, mode):
    """TIFF (deflate, left differences): Pillow writes no 16-bit RGB and OpenCV no profile."""
    height, width = photograph.size
    channels = 1 if mode == "P" else len(mode)
    depth = 1 if mode == "1" else photograph.depth
    differences = mode not in ("1", "P")
    file.write(struct.pack("<2sHI", b"II", 42, 0))
    offsets, counts = [], []
    for strip in strips:
        offsets.append(file.tell())
        counts.append(file.write(zlib.compress(_tiff_rows(strip, mode, differences), 1)))
        if file.tell() > 2**32 - 2**20:
            raise UserError("the picture is too big for a TIFF file (4 GB); write a .png")
    tags = {  # tag: (type, values); types 3 = 16 bits, 4 = 32 bits, 5 = fraction, 7 = bytes
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [depth] * channels),
        259: (3, [8]),
        262: (3, [{"P": 3, "RGB": 2, "RGBA": 2}.get(mode, 1)]),
        273: (4, offsets),
        277: (3, [channels]),
        278: (4, [images.STRIP]),
        279: (4, counts),
        284: (3, [1]),
        317: (3, [2 if differences else 1]),
    }
    if photograph.dpi:
        x, y = (round(dots * 10000) for dots in photograph.dpi)
        tags.update({282: (5, [x, 10000]), 283: (5, [y, 10000]), 296: (3, [2])})
    if mode == "P":
        colours = np.zeros((256, 3), np.uint16)
        colours[: len(photograph.palette)] = photograph.palette[:, :3]
        tags[320] = (3, (colours.T * images.DEEP).ravel().tolist())
    if mode in ("LA", "RGBA"):
        tags[338] = (3, [_alpha_kind(photograph)])
    profile = _profile(photograph, mode)
    if profile:
        tags[34675] = (7, list(profile))
    _write_tiff_directory(file, tags)


def _alpha_kind(photograph):
    """1 if a 16-bit TIFF's colours are stored multiplied by alpha (they are kept so), else 2."""
    if photograph.format != "TIFF" or photograph.depth == 8:
        return 2
    return 1 if photograph.header.tag_v2.get(338, (2,))[0] == 1 else 2


def _tiff_rows(strip, mode, differences):
    if mode == "1":
        return np.packbits(strip > images.THRESHOLD, axis=1).tobytes()
    rows = strip.astype("<u2") if strip.dtype == np.uint16 else strip.copy()
    if differences:
        rows[:, 1:] -= strip[:, :-1]
    return rows.tobytes()


def _write_tiff_directory(file, tags):
    """Writes the directory behind the pixels and links it from the file's head."""
    file.write(b"\0" * (file.tell() % 2))
    start = file.tell()
    entries, values = b"", b""
    behind = start + 2 + 12 * len(tags) + 4
    for tag, (kind, numbers) in sorted(tags.items()):
        content = struct.pack(f"<{len(numbers)}{'HIIxB'[kind - 3]}", *numbers)
        count = len(numbers) // 2 if kind == 5 else len(numbers)
        if len(content) > 4:
            place = struct.pack("<I", behind + len(values))
            values += content + b"\0" * (len(content) % 2)
        else:
            place = content.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, kind, count) + place
    file.write(struct.pack("<H", len(tags)) + entries + b"\0" * 4 + values)
    file.seek(4)
    file.write(struct.pack("<I", start))


def read_mask(
    path: PathLike,
    size: tuple[int, int] | None = None,
    invert: bool = False,
    dilate: int = 0,
    of: str = "the image",
) -> np.ndarray:
    """Reads a mask file of any mode: white (gray level above 127) is hole.

    Alpha is ignored, but for a mask that was drawn in one colour on a transparent layer: if all
    pixels have the same colour and alpha varies, what is opaque is hole.

    Args:
      size: (height, width) that it must have; None accepts any.
      invert: black is hole instead.
      dilate: after that, grow the hole by this many pixels (Euclidean distance).
      of: whose size it is, for the error's text.
    Returns:
      [H, W] uint8, 1 = hole, 0 = known. May be empty or full: see `coverage_warning`.
    Raises:
      UserError: the file cannot be read, or has another size.
    """
    if dilate < 0:
        raise UserError(f"a mask cannot be dilated by {dilate} pixels; give 0 or more")
    photograph = read_photograph(path)
    if size is not None and photograph.size != tuple(size):
        raise UserError(
            f"mask {path} has {_size(photograph.size)} pixels but {of} has {_size(size)} "
            "(width x height); they must match"
        )
    mask = (_mask_levels(photograph) > images.THRESHOLD).astype(np.uint8)
    if invert:
        mask = 1 - mask
    if dilate and mask.any():
        # Distance of each known pixel to the nearest hole pixel.
        distance = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        mask = (distance <= dilate).astype(np.uint8)
    return mask


def _mask_levels(photograph):
    """[H, W] uint8: alpha if it alone varies, else gray."""
    pixels = photograph.pixels
    alpha = None
    if photograph.mode == "P":
        alpha = photograph.palette[pixels, 3]
    elif photograph.mode in ("LA", "RGBA"):
        alpha = images.to_eight_bits(pixels[..., -1])
    rgb = photograph.rgb
    if alpha is not None and alpha.min() < alpha.max() and (rgb == rgb[:1, :1]).all():
        return alpha
    if photograph.mode in ("1", "L"):
        return images.to_eight_bits(pixels)
    return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)


def coverage_warning(mask: np.ndarray, name: str) -> str | None:
    """A sentence for the user if over half of `mask` ([H, W], 1 = hole) is hole, else None."""
    share = float(np.mean(mask != 0))
    if share <= 0.5:
        return None
    return (
        f"{name} marks {share:.0%} of the picture as hole (white = hole); "
        "if black is meant to be the hole, pass --invert_mask"
    )
