"""Export of the whole pipeline to a SavedModel that needs nothing but TensorFlow (H section 3.1, Figure 2).

`hifill.photograph` and `hifill.residual_aggregation` work in NumPy and OpenCV around the generator. Here the same
steps are TensorFlow ops (`hifill.graph_pipeline`), so that what is served takes a photograph of any size and gives
the photograph with its hole filled. Signatures:

    serving_default   image uint8 [H, W, 3] RGB, mask uint8 [H, W], nonzero = hole  ->  image uint8 [H, W, 3]
    encoded           image_bytes, mask_bytes: scalar strings, PNG, JPEG or BMP     ->  png_bytes, image

The result is that of `HiFill.inpaint` within one level. Wrong sizes and a mask without known pixels fail with
`tf.errors.InvalidArgumentError` and a text that says why.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil

import tensorflow as tf

from common.errors import UserError
from common.files import PathLike
from common.images import THRESHOLD
from hifill.graph_pipeline import inpaint as inpaint_graph
from hifill.model import HiFill
from hifill.photograph import MIN_SIDE

# All that a SavedModel written here may hold; a folder with anything else is somebody's.
_CONTENT = {"saved_model.pb", "variables", "assets", "fingerprint.pb", "README.txt"}

_README = """HiFill: fills holes in photographs. A TensorFlow 2 SavedModel; needs no other package.
Weights: {weights}

Signature "encoded"
  image_bytes  scalar string: PNG, JPEG or BMP file. EXIF orientation is not applied, alpha is dropped.
  mask_bytes   scalar string: PNG, JPEG or BMP file of the same size. White (above {threshold}) is the hole. If all
               pixels have one colour and alpha varies, what is opaque is the hole.
  -> png_bytes scalar string: PNG file, 8-bit RGB.   image: uint8 [H, W, 3], the same pixels.

Signature "serving_default"
  image        uint8 [H, W, 3] RGB, both sides at least {min_side}.
  mask         uint8 [H, W], nonzero = hole. At least one pixel must be known.
  -> image     uint8 [H, W, 3]; equal to the input wherever the mask is 0.

One photograph a call, of any size. Wrong input raises tf.errors.InvalidArgumentError.

Example:
{example}"""

_EXAMPLE = """import tensorflow as tf
model = tf.saved_model.load("{folder}")
photograph, mask = tf.io.read_file("photo.jpg"), tf.io.read_file("mask.png")
filled = model.signatures["encoded"](image_bytes=photograph, mask_bytes=mask)
tf.io.write_file("filled.png", filled["png_bytes"])
"""


def build_module(model: HiFill) -> tf.Module:
    """The pipeline of `model` with its functions `inpaint` and `inpaint_encoded`; see the module docstring."""
    return _Pipeline(model)


def check_folder(folder: PathLike) -> None:
    """UserError if `folder` is there and is neither empty nor a SavedModel that `export` wrote."""
    path = pathlib.Path(folder)
    if not path.exists():
        return
    if not path.is_dir():
        raise UserError(f"{folder} is a file; name a folder for the SavedModel")
    found = {entry.name for entry in path.iterdir()}
    if found and ("saved_model.pb" not in found or found - _CONTENT):
        raise UserError(
            f"{folder} is not empty and holds other files than a SavedModel "
            f"({sorted(found - _CONTENT or found)[0]}); name another folder"
        )


def export(model: HiFill, folder: PathLike, weights: str = "not recorded") -> None:
    """Writes the SavedModel and its README.txt to `folder`, at once or not at all.

    A SavedModel that was exported to `folder` before is replaced.

    Args:
      weights: where the model's weights came from, for README.txt.

    Raises:
      UserError: `folder` holds other files, or cannot be written.
    """
    check_folder(folder)
    module = build_module(model)
    signatures = {
        "serving_default": module.inpaint.get_concrete_function(),
        "encoded": module.inpaint_encoded.get_concrete_function(),
    }
    try:
        with _replaced_folder(pathlib.Path(folder).resolve()) as temporary:
            tf.saved_model.save(module, str(temporary), signatures=signatures)
            text = _readme(pathlib.Path(folder), weights)
            (temporary / "README.txt").write_text(text, encoding="utf-8")
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UserError(f"cannot write {folder}: {reason}; choose another folder") from error


def _readme(folder, weights):
    example = _EXAMPLE.format(folder=folder.as_posix())
    return _README.format(weights=weights, threshold=THRESHOLD, min_side=MIN_SIDE, example=example)


@contextlib.contextmanager
def _replaced_folder(target):
    """Yields a new folder beside `target` that takes its place on success and is removed on failure."""
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


class _Pipeline(tf.Module):
    def __init__(self, model):
        super().__init__(name="hifill")
        # The variables alone are tracked: the model itself would bring Keras into the SavedModel.
        self.model_variables = model.variables
        size, generate = model.config.size, model.generate
        grid = model.config.grid

        def inpaint(image, mask):
            return {"image": inpaint_graph(generate, grid, size, image, mask)}

        def inpaint_encoded(image_bytes, mask_bytes):
            image = _decode_image(image_bytes)
            filled = inpaint_graph(generate, grid, size, image, _decode_mask(mask_bytes))
            return {"png_bytes": tf.io.encode_png(filled), "image": filled}

        image = tf.TensorSpec([None, None, 3], tf.uint8, "image")
        mask = tf.TensorSpec([None, None], tf.uint8, "mask")
        files = [tf.TensorSpec([], tf.string, name) for name in ("image_bytes", "mask_bytes")]
        self.inpaint = tf.function(inpaint, input_signature=[image, mask], autograph=False)
        self.inpaint_encoded = tf.function(inpaint_encoded, input_signature=files, autograph=False)


def _decode(data):
    """File's bytes -> [H, W, C] uint8 with C = 1 (gray), 2 (gray, alpha), 3 or 4."""
    # Channels as stored, because BMP files are not converted.
    pixels = tf.io.decode_image(data, channels=0, expand_animations=False)
    return tf.ensure_shape(pixels, [None, None, None])


def _to_rgb(pixels):
    gray = tf.shape(pixels)[2] < 3
    rgb = tf.cond(gray, lambda: tf.repeat(pixels[..., :1], 3, axis=2), lambda: pixels[..., :3])
    return tf.ensure_shape(rgb, [None, None, 3])


def _decode_image(data):
    return _to_rgb(_decode(data))


def _decode_mask(data):
    """File's bytes -> [H, W] uint8, 1 = hole, by the rules of `common.photographs.read_mask`."""
    pixels = _decode(data)
    rgb, channels = _to_rgb(pixels), tf.shape(pixels)[2]
    alpha = pixels[..., -1]
    drawn_in_alpha = tf.reduce_all(
        [
            tf.equal(channels % 2, 0),
            tf.reduce_min(alpha) < tf.reduce_max(alpha),
            tf.reduce_all(tf.equal(rgb, rgb[:1, :1])),
        ]
    )
    levels = tf.cond(drawn_in_alpha, lambda: alpha, lambda: _luma(rgb))
    return tf.cast(levels > THRESHOLD, tf.uint8)


def _luma(rgb):
    """[H, W, 3] uint8 -> [H, W] uint8 gray (ITU-R BT.601, rounded)."""
    weights = (0.299, 0.587, 0.114)
    gray = tf.add_n([w * tf.cast(rgb[..., i], tf.float32) for i, w in enumerate(weights)])
    return tf.cast(gray + 0.5, tf.uint8)
