"""common.models.saved_model: signatures, file formats and the folder, with a model that paints holes in one colour."""

from __future__ import annotations

import pathlib

import cv2
import numpy as np
import pytest
import tensorflow as tf

from common.errors import UserError
from common.masks import files as mask_files
from common.models import saved_model


@pytest.fixture(scope="module")
def module():
    """Paints the hole in a colour that is its only variable; takes sides of 4 or more."""
    colour = tf.Variable([[[10.0, 200.0, 30.0]]])

    def fill(image, hole):
        return tf.where(hole[..., tf.newaxis], tf.cast(colour, tf.uint8), image)

    return saved_model.build_module("Painter", [colour], fill, min_side=4)


def picture(size=(20, 30), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def painted(image, hole):
    return np.where(hole[..., None], np.uint8([10, 200, 30]), image)


def encoded(pixels, extension=".png"):
    """RGB(A) or gray pixels as the bytes of a file."""
    order = {4: cv2.COLOR_RGBA2BGRA, 3: cv2.COLOR_RGB2BGR}.get(pixels.shape[-1])
    pixels = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, order)
    return cv2.imencode(extension, pixels)[1].tobytes()


def test_any_level_but_zero_is_hole(module):
    image, mask = picture(), np.random.default_rng(1).integers(0, 3, (20, 30), np.uint8)
    found = module.inpaint(image, mask)["image"]
    np.testing.assert_array_equal(found, painted(image, mask > 0))


def test_no_hole_gives_the_image_unchanged_and_calls_nothing():
    def fill(image, _):
        with tf.control_dependencies([tf.debugging.Assert(False, ["called"])]):
            return tf.identity(image)

    module = saved_model.build_module("Painter", [], fill)
    image, mask = picture(), np.zeros((20, 30), np.uint8)
    np.testing.assert_array_equal(module.inpaint(image, mask)["image"], image)
    mask[0, 0] = 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="called"):
        module.inpaint(image, mask)


@pytest.mark.parametrize(
    ("image_size", "mask_size", "level", "message"),
    [
        ((4, 5), (4, 5), 1, "nothing to continue from"),
        ((3, 50), (3, 50), 0, "Painter takes sides of 4 or more"),
        ((50, 0), (50, 0), 0, "Painter takes sides of 4 or more"),
        ((40, 50), (50, 40), 0, "same size"),
    ],
)
def test_impossible_input_fails_with_a_reason(module, image_size, mask_size, level, message):
    image, mask = np.zeros((*image_size, 3), np.uint8), np.full(mask_size, level, np.uint8)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        module.inpaint(image, mask)
    if image.size:  # files without pixels do not exist
        mask = np.where(mask, np.uint8(255), np.uint8(0))
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            module.inpaint_encoded(encoded(image), encoded(mask))


@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_files_give_the_pixels_result(module, extension):
    mask = np.zeros((32, 40), np.uint8)
    mask[8:16, 16:32] = 255  # whole JPEG blocks, which stay exact
    data = encoded(picture((32, 40)), extension)
    found = module.inpaint_encoded(data, encoded(mask, extension))
    expected = painted(tf.io.decode_image(data).numpy(), mask > 0)
    np.testing.assert_array_equal(found["image"], expected)
    np.testing.assert_array_equal(tf.io.decode_png(found["png_bytes"]), expected)


def test_other_files_are_refused_with_the_cause(module):
    """A BMP file's palette would be taken for gray levels."""
    with pytest.raises(tf.errors.InvalidArgumentError, match="BMP"):
        module.inpaint_encoded(encoded(picture(), ".bmp"), encoded(picture()))


def test_gray_and_transparent_photographs_become_rgb():
    image = picture()
    gray = image[..., 0]
    found = saved_model.decode_image(encoded(gray))
    np.testing.assert_array_equal(found, np.repeat(gray[..., None], 3, 2))
    found = saved_model.decode_image(encoded(np.concatenate([image, gray[..., None]], axis=2)))
    np.testing.assert_array_equal(found, image)


def _masks():
    """Masks of all kinds, as pixels of a file."""
    levels = np.zeros((12, 9), np.uint8)
    levels[2:4], levels[4:6], levels[6:8] = 127, 128, 255  # the first is known, the others hole
    opaque = np.full_like(levels, 255)
    yield "gray", levels
    yield "colours", picture((12, 9))
    yield "opaque", np.stack([levels] * 3 + [opaque], axis=2)
    yield "black layer", np.stack([0 * levels] * 3 + [levels], axis=2)
    yield "white layer", np.stack([opaque] * 3 + [levels], axis=2)
    yield "black and white, alpha ignored", np.stack([levels] * 3 + [levels[::-1]], axis=2)


@pytest.mark.parametrize(("name", "pixels"), list(_masks()))
def test_masks_are_read_like_mask_files(tmp_path, name, pixels):
    (tmp_path / "mask.png").write_bytes(encoded(pixels))
    expected = mask_files.read_mask(tmp_path / "mask.png")
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(saved_model.decode_mask(encoded(pixels)), expected)


def test_luma_is_that_of_files_within_a_level():
    rgb = picture((64, 64))
    expected = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(int)
    # Rounded in fixed point there.
    assert np.abs(saved_model._luma(tf.constant(rgb)).numpy() - expected).max() <= 1


def write(module, folder):
    saved_model.export(module, folder, "Painter", "Sides of 4 or more.", "weights.npz")


def test_saved_model_and_its_readme(module, tmp_path):
    write(module, tmp_path / "new" / "saved")
    readme = (tmp_path / "new" / "saved" / "README.txt").read_text(encoding="utf-8")
    assert readme.startswith("Painter:") and "Weights: weights.npz" in readme
    assert "Sides of 4 or more." in readme and "above 127" in readme
    assert f'load("{(tmp_path / "new" / "saved").as_posix()}")' in readme
    signatures = tf.saved_model.load(str(tmp_path / "new" / "saved")).signatures
    image, mask = picture(), np.eye(20, 30, dtype=np.uint8)
    files = encoded(image), encoded(255 * mask)
    found = signatures["encoded"](
        image_bytes=tf.constant(files[0]), mask_bytes=tf.constant(files[1])
    )
    np.testing.assert_array_equal(found["image"], painted(image, mask > 0))
    saved_model.check_folder(tmp_path / "new" / "saved")  # what was exported may be replaced


def test_foreign_files_are_kept(module, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"notes\.txt"):
        write(module, tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(UserError, match=r"notes\.txt"):
        write(module, tmp_path)
    with pytest.raises(UserError, match="is a file"):
        saved_model.check_folder(tmp_path / "notes.txt")
    saved_model.check_folder(tmp_path / "absent")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt", "saved_model.pb"]


def test_previous_export_is_replaced_whole_or_kept(module, tmp_path, monkeypatch):
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"old")

    def full_disk(module, path, signatures):
        pathlib.Path(path, "saved_model.pb").write_bytes(b"half")
        internals = (
            "{{function_node __wrapped__SaveV2_device_/job:localhost}} .saved.1.new/variables"
        )
        raise tf.errors.ResourceExhaustedError(
            None, None, f"{internals}; No space left on device [Op:SaveV2]"
        )

    monkeypatch.setattr(tf.saved_model, "save", full_disk)
    with pytest.raises(UserError, match="saved: the disk is full; free some space") as error:
        write(module, folder)
    assert "SaveV2" not in str(error.value) and "\n" not in str(error.value)
    assert (folder / "saved_model.pb").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [folder]

    def small(module, path, signatures):
        pathlib.Path(path, "saved_model.pb").write_bytes(b"new")

    monkeypatch.setattr(tf.saved_model, "save", small)
    write(module, folder)
    assert sorted(entry.name for entry in folder.iterdir()) == ["README.txt", "saved_model.pb"]
    assert (folder / "saved_model.pb").read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [folder]
