"""Fills holes in photographs.

    inpaint run photo.jpg mask.png filled.png
    inpaint run --model=zoom_to_inpaint --weights=W --image=photos/ --mask=masks/ --output=results/

White in a mask is the hole. Known pixels of a PNG, TIFF, BMP or WebP result are exactly those of the photograph
(after its EXIF orientation). Results in a folder are PNGs. Existing results are skipped unless --overwrite. --compare
also writes NAME.compare.png beside the result NAME: before, with the hole tinted, and after. A file that fails does not
stop the others. Exit code: 0 all done, 1 at least one failed, 2 wrong flags.
"""

from __future__ import annotations

import os
import pathlib
import sys
import time
from typing import Callable

import cv2
from absl import flags
from tqdm import tqdm

from common import errors, storage
from common.errors import UsageError, UserError
from common.filling import photographs
from common.images import convert, grid, pairing
from common.images import files as image_files
from common.masks import random as random_masks
from common.models import runtimes
from inpainting import painters

# Age in seconds after which a temporary file is surely abandoned.
STALE = 3600
_COMPARED = 1600  # longer side of each picture of --compare

FLAGS = flags.FLAGS
POSITIONAL = ("image", "mask", "output")
flags.DEFINE_string("model", "hifill", f"one of {', '.join(painters.NAMES)}")
flags.DEFINE_string(
    "weights",
    None,
    "weights file, folder of a shared model, ONNX file of HiFill, or the authors' release; default: the package's own; "
    "'none': untrained",
)
flags.DEFINE_enum(
    "runtime",
    None,
    painters.RUNTIMES,
    "what runs the network; default: opencv for HiFill's shipped weights, the first installed of "
    f"{', '.join(runtimes.NAMES)} for an ONNX file, else tensorflow",
)
flags.DEFINE_enum(
    "precision", "float32", painters.PRECISIONS, "data type of zoom_to_inpaint's convolutions"
)
flags.DEFINE_enum(
    "high_res",
    "auto",
    painters.HIGH_RES,
    "zoom_to_inpaint on large photographs: crop = a window around the hole; residual = the reduced photograph plus "
    "HiFill's residuals; auto = crop if the window fits unreduced, else residual",
)
flags.DEFINE_string("image", None, "photograph, or folder of photographs")
flags.DEFINE_string(
    "mask",
    None,
    "one mask for all photographs, or folder of masks with the photographs' names; default: masks NAME_mask000.png "
    "beside the photographs, or else the transparent part of a photograph",
)
flags.DEFINE_string("output", None, "result file, or folder for results")
flags.DEFINE_bool("invert_mask", False, "the masks are black where the hole is")
flags.DEFINE_integer("dilate", 0, "grow the hole by this many pixels", lower_bound=0)
flags.DEFINE_bool("overwrite", False, "replace existing results")
flags.DEFINE_bool(
    "compare",
    False,
    f"also write NAME.compare.png: before and after, side by side, each at most {_COMPARED} pixels long",
)
flags.DEFINE_integer("quality", 95, "quality of a JPEG result", lower_bound=1, upper_bound=100)


def fill_file(pair: pairing.Pair, paint: painters.Painter, say: Callable[[str], None]) -> None:
    """Reads one pair, fills its hole and writes the result; UserError names the file. `say` gets warnings."""
    photograph = photographs.read_photograph(pair.image)
    mask, of = _mask(photograph, pair)
    for note in (photograph.note, photographs.coverage_warning(mask, of)):
        if note:
            say(f"{pair.image.name}: {note}")
    if mask.all():
        raise UserError(f"{of} covers all of {pair.image}: no known pixel is left")
    if not mask.any():
        say(f"{of}: the mask is empty (nothing is brighter than 127), so the result is the input")
    try:
        filled = paint(photograph.rgb, mask)
    except UserError as error:
        raise UserError(f"{pair.image} with {of}: {error}") from error
    photographs.write_photograph(pair.output, photograph, filled, mask, FLAGS.quality)


def _mask(photograph, pair):
    """(mask [H, W] uint8, its name in messages), from the mask file or the transparent part of the photograph."""
    if pair.mask is not None:
        options = FLAGS.invert_mask, FLAGS.dilate
        return photographs.read_mask(pair.mask, photograph.size, *options, of=str(pair.image)), str(
            pair.mask
        )
    if photograph.transparent is None:
        raise UserError(f"{pair.image} has no transparent part; give --mask")
    return random_masks.dilate(photograph.transparent, FLAGS.dilate), "the transparent part"


def comparison(pair: pairing.Pair) -> pathlib.Path:
    """The path of the --compare picture of a pair."""
    return pair.output.with_name(f"{pair.output.stem}.compare.png")


def write_comparison(pair: pairing.Pair) -> None:
    """Writes the photograph with its hole tinted, and its result, side by side; both are read from their files."""
    photograph = photographs.read_photograph(pair.image)
    before, after = photograph.rgb, convert.read_rgb(pair.output)
    if before.shape != after.shape:
        raise UserError(
            f"{pair.output} is no result of {pair.image}: their sizes differ; add --overwrite"
        )
    painted = grid.paint_hole(before, _mask(photograph, pair)[0])
    tinted = cv2.addWeighted(before, 0.5, painted, 0.5, 0)
    convert.write_png(comparison(pair), grid.grid([[tinted, after]], ["", ""], _COMPARED))


def is_done(pair: pairing.Pair) -> bool:
    """Whether everything that the flags ask for exists."""
    # os.path, since pathlib raises an OSError for some names that no file can have. A folder is no result.
    there = os.path.isfile(pair.output) and not FLAGS.overwrite
    return there and not (FLAGS.compare and not os.path.isfile(comparison(pair)))


def attempt(
    pair: pairing.Pair, paint: painters.Painter, say: Callable[[str], None]
) -> tuple[bool, str]:
    """Writes what is missing of one pair.

    Returns:
      whether the hole was filled now, and the line that says why it failed ("": it did not). An exception that is no
      failure of the photograph is a bug and keeps its traceback.
    """
    try:
        return _do(pair, paint, say), ""
    except UserError as error:
        return False, str(error)
    except Exception as error:
        if not errors.is_too_large(error):
            raise
        return False, (
            f"{errors.one_line(pair.image)} needs more memory than available "
            f"({type(error).__name__}); reduce or crop the photograph"
        )


def _do(pair, paint, say):
    there = os.path.isfile(pair.output) and not FLAGS.overwrite
    if not there:
        fill_file(pair, paint, say)
    if FLAGS.compare and not (there and os.path.isfile(comparison(pair))):
        write_comparison(pair)
    return not there


def fill_all(work: list[pairing.Pair], paint: painters.Painter) -> int:
    """Fills every pair with a progress bar and a summary; returns the number of failures."""
    started, filled, skipped, failed = time.perf_counter(), 0, 0, 0
    for pair in tqdm(work, unit="image", disable=len(work) < 2):
        done, reason = attempt(pair, paint, say)
        filled, skipped = filled + done, skipped + (not done and not reason)
        if reason:
            failed += 1
            say(f"error: {reason}")
    print(summary(filled, skipped, failed, time.perf_counter() - started))
    return failed


def summary(filled: int, skipped: int, failed: int, seconds: float) -> str:
    """The last line of a run."""
    return f"{filled} filled, {skipped} skipped (already there), {failed} failed in {seconds:.1f} s"


def say(line: str) -> None:
    """Prints a line on stderr, above the progress bar."""
    tqdm.write(line, file=sys.stderr)


def main(_) -> int:
    painters.check_names([FLAGS.model])
    for name in ("image", "output"):
        if not FLAGS[name].value:
            raise UsageError(f"--{name} is missing; see --help")
    painters.check_network(FLAGS.model, FLAGS.weights)
    painters.check_runtime(FLAGS.model, FLAGS.weights, FLAGS.runtime)
    work = pairing.pairs(FLAGS.image, FLAGS.mask, FLAGS.output)
    if FLAGS.compare:
        pairing.distinct([*work, *(pair._replace(output=comparison(pair)) for pair in work)])
    for pair in work:  # checked before any photograph is filled
        photographs.output_format(pair.output)
        if pair.mask is None and not image_files.has_alpha(pair.image):
            raise UserError(
                f"--mask is missing: {pair.image} has no transparent part and no "
                f"{pair.image.stem}_mask000.png beside it"
            )
    paint = painters.painter(
        FLAGS.model, FLAGS.weights, FLAGS.precision, FLAGS.high_res, FLAGS.runtime
    )
    for folder in {pair.output.parent for pair in work}:
        storage.remove_partial(folder, seconds=STALE)
    return 1 if fill_all(work, paint) else 0
