"""SavedModels that fill holes: signatures, checks, file formats, folder, README.txt.

    serving_default   image uint8 [H, W, 3] RGB, mask uint8 [H, W], nonzero = hole  ->  image uint8 [H, W, 3]
    encoded           image_bytes, mask_bytes: scalar strings, PNG or JPEG          ->  png_bytes, image

A model provides a function of TensorFlow ops that fills a photograph's hole (`build_module`). Without a hole the
function is not called. Image and mask of different sizes, sides that are too short, and a mask without known pixels
raise `tf.errors.InvalidArgumentError` with the reason. The SavedModel needs TensorFlow only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import shutil
from typing import Callable

import tensorflow as tf

from common import storage
from common.errors import UserError
from common.images.convert import THRESHOLD
from common.storage import PathLike

# Contents of a SavedModel written here; a folder with other files is never replaced.
_CONTENT = {"saved_model.pb", "variables", "assets", "fingerprint.pb", "README.txt"}

_README = """{title}: fills holes in photographs. A TensorFlow 2 SavedModel; needs no other package.
Weights: {weights}

Signature "encoded"
  image_bytes  scalar string: PNG or JPEG file. EXIF orientation is not applied, alpha is dropped.
  mask_bytes   scalar string: PNG or JPEG file of the same size. White (above {threshold}) is the hole. If all
               pixels have one colour and alpha varies, the opaque part is the hole.
  -> png_bytes scalar string: PNG file, 8-bit RGB.   image: uint8 [H, W, 3], the same pixels.

Signature "serving_default"
  image        uint8 [H, W, 3] RGB. {sizes}
  mask         uint8 [H, W], nonzero = hole. At least one pixel must be known.
  -> image     uint8 [H, W, 3]; equal to the input wherever the mask is 0.

One photograph per call, of any size. Wrong input raises tf.errors.InvalidArgumentError.

Example:
{example}"""

_EXAMPLE = """import tensorflow as tf
model = tf.saved_model.load("{folder}")
photograph, mask = tf.io.read_file("photo.jpg"), tf.io.read_file("mask.png")
filled = model.signatures["encoded"](image_bytes=photograph, mask_bytes=mask)
tf.io.write_file("filled.png", filled["png_bytes"])
"""


def build_module(title: str, variables, fill: Callable, min_side: int = 1) -> tf.Module:
    """A module with the functions `inpaint` and `inpaint_encoded`, the two signatures of the module docstring.

    Args:
      title: the model's name in error messages.
      variables: all variables that `fill` uses.
      fill: (image uint8 [H, W, 3], hole bool [H, W]) -> uint8 [H, W, 3], equal to `image` outside the hole. There is
        at least one hole and one known pixel.
      min_side: the shortest side that `fill` takes.
    """

    def inpaint(image, mask):
        return {"image": _fill_checked(title, fill, min_side, image, mask > 0)}

    def inpaint_encoded(image_bytes, mask_bytes):
        image, hole = decode_image(image_bytes), decode_mask(mask_bytes) > 0
        filled = _fill_checked(title, fill, min_side, image, hole)
        return {"png_bytes": tf.io.encode_png(filled), "image": filled}

    image = tf.TensorSpec([None, None, 3], tf.uint8, "image")
    mask = tf.TensorSpec([None, None], tf.uint8, "mask")
    files = [tf.TensorSpec([], tf.string, name) for name in ("image_bytes", "mask_bytes")]
    module = tf.Module()
    # Only the variables are tracked; the model itself would bring Keras into the SavedModel.
    module.model_variables = variables
    module.inpaint = tf.function(inpaint, input_signature=[image, mask], autograph=False)
    module.inpaint_encoded = tf.function(inpaint_encoded, input_signature=files, autograph=False)
    return module


def check_folder(folder: PathLike) -> None:
    """UserError if `folder` exists and is neither empty nor a SavedModel of `export`."""
    path = pathlib.Path(folder)
    if not path.exists():
        return
    if not path.is_dir():
        raise UserError(f"{folder} is a file; name a folder for the SavedModel")
    found = {entry.name for entry in path.iterdir()}
    if found and ("saved_model.pb" not in found or found - _CONTENT):
        raise UserError(
            f"{folder} is not empty and holds files other than a SavedModel's "
            f"({sorted(found - _CONTENT or found)[0]}); name another folder"
        )


def export(module: tf.Module, folder: PathLike, title: str, sizes: str, weights: str) -> None:
    """Writes the SavedModel and its README.txt to `folder`, whole or not at all.

    An older SavedModel of `export` in `folder` is replaced. UserError if `folder` holds other files or cannot be
    written.

    Args:
      module: result of `build_module`.
      title, sizes, weights: for README.txt: the model's name, a sentence on accepted sizes, and the origin of its
        weights.
    """
    check_folder(folder)
    signatures = {
        "serving_default": module.inpaint.get_concrete_function(),
        "encoded": module.inpaint_encoded.get_concrete_function(),
    }
    example = _EXAMPLE.format(folder=pathlib.Path(folder).as_posix())
    text = _README.format(
        title=title, sizes=sizes, weights=weights, threshold=THRESHOLD, example=example
    )
    whole = _replaced_folder(pathlib.Path(folder).resolve())
    with storage.named_errors(folder), _system_errors(), whole as temporary:
        tf.saved_model.save(module, str(temporary), signatures=signatures)
        (temporary / "README.txt").write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _system_errors():
    """Turns TensorFlow's error of a file into an OSError: its text holds the system's own, among other things."""
    try:
        yield
    except tf.errors.OpError as error:
        known = (number for number in errno.errorcode if os.strerror(number) in str(error))
        number = next(known, None)
        reason = str(error).splitlines()[0] if number is None else os.strerror(number)
        raise OSError(number, f"{reason}; choose another folder") from error


@contextlib.contextmanager
def _replaced_folder(target):
    """Yields a new folder beside `target`; it replaces `target` on success and is removed on failure."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    previous = target.with_name(f".{target.name}.{os.getpid()}.old")
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            target.rename(previous)
        temporary.rename(target)
    finally:
        if previous.exists() and not target.exists():
            previous.rename(target)
        for leftover in (temporary, previous):
            shutil.rmtree(leftover, ignore_errors=True)


def _fill_checked(title, fill, min_side, image, hole):
    with tf.control_dependencies(_checks(title, min_side, image, hole)):
        image, hole = tf.identity(image), tf.identity(hole)
    filled = tf.cond(tf.reduce_any(hole), lambda: fill(image, hole), lambda: image)
    return tf.ensure_shape(filled, [None, None, 3])


def _checks(title, min_side, image, hole):
    sides = tf.shape(image)[:2]
    same = tf.reduce_all(tf.equal(sides, tf.shape(hole)))
    small = f"the image is too small: {title} takes sides of {min_side} or more pixels; got (height, width)"
    different = "image and mask must have the same size (height, width); got"
    covered = "the mask covers the whole image, so there is nothing to continue from"
    # An empty image is reported as too small, not as covered.
    has_context = tf.logical_or(tf.equal(tf.size(hole), 0), tf.reduce_any(~hole))
    return [
        tf.debugging.Assert(same, [different, sides, tf.shape(hole)]),
        tf.debugging.Assert(tf.reduce_min(sides) >= min_side, [small, sides]),
        tf.debugging.Assert(has_context, [covered]),
    ]


def _to_rgb(pixels):
    """[H, W, C] with C = 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGBA) -> [H, W, 3]."""
    gray = tf.shape(pixels)[2] < 3
    rgb = tf.cond(gray, lambda: tf.repeat(pixels[..., :1], 3, axis=2), lambda: pixels[..., :3])
    return tf.ensure_shape(rgb, [None, None, 3])


def decode_image(data: tf.Tensor) -> tf.Tensor:
    """The bytes of a PNG or JPEG file -> [H, W, 3] uint8 RGB, alpha dropped."""
    return _to_rgb(tf.io.decode_png(data))  # also decodes JPEG


def decode_mask(data: tf.Tensor) -> tf.Tensor:
    """The bytes of a PNG or JPEG file -> [H, W] uint8, 1 = hole, by the rules of `common.masks.files.read_mask`."""
    pixels = tf.io.decode_png(data)
    rgb, channels = _to_rgb(pixels), tf.shape(pixels)[2]
    alpha = pixels[..., -1]
    varies = tf.reduce_min(alpha) < tf.reduce_max(alpha)
    one_colour = tf.reduce_all(tf.equal(rgb, rgb[:1, :1]))
    drawn_in_alpha = tf.equal(channels % 2, 0) & varies & one_colour
    levels = tf.cond(drawn_in_alpha, lambda: alpha, lambda: _luma(rgb))
    return tf.cast(levels > THRESHOLD, tf.uint8)


def _luma(rgb):
    """[H, W, 3] uint8 -> [H, W] uint8 gray (ITU-R BT.601, rounded)."""
    weights = (0.299, 0.587, 0.114)
    gray = tf.add_n([w * tf.cast(rgb[..., i], tf.float32) for i, w in enumerate(weights)])
    return tf.cast(gray + 0.5, tf.uint8)
