"""Fills a photograph at its own size with an exported HiFill, with NumPy, OpenCV and onnxruntime alone.

    python export.py --model=hifill --format=onnx --output=hifill.onnx
    python examples/onnx_photograph.py hifill.onnx photo.jpg mask.png filled.png

White in the mask is the hole. docs/onnx.md explains the steps. Programs in other languages can follow this one line by
line: `resize` with INTER_AREA is the mean of the pixels of a cell, with INTER_LINEAR the usual bilinear enlargement.
Both sides of the photograph have to be at least S, the side of the network's images.
"""

import sys

import cv2
import numpy as np

WHITE = np.iinfo(np.uint8).max


def fill(run, size, image, hole, detail_blur=0.0):
    """uint8 [H, W, 3] RGB and bool [H, W] -> uint8 [H, W, 3]; only pixels of the hole change.

    run: (image [1, 3, S, S], mask [1, 1, S, S]) -> (output [1, 3, S, S], attention [1, N, N]), S = size.
    detail_blur: of the file's metadata.
    """
    grid = size // 16  # the attention cuts the image into grid x grid = N patches
    height, width = hole.shape
    below, right = -height % grid, -width % grid
    image = np.pad(image, [(0, below), (0, right), (0, 0)], "symmetric")
    hole = np.pad(hole, [(0, below), (0, right)], "symmetric")

    # 1. The whole photograph at the network's size. A cell that touches the hole belongs to the hole.
    pixels = image.astype(np.float32)
    low = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
    low_hole = cv2.resize(hole.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) > 0

    # 2. The network; channels come first. Its output is `low` with its hole filled.
    unit = np.ascontiguousarray(low.transpose(2, 0, 1)[np.newaxis] / WHITE)
    output, attention = run(unit, low_hole[np.newaxis, np.newaxis].astype(np.float32))

    # 3. The attention of every patch that touches the hole, to the patches without a hole.
    completed = np.ascontiguousarray(output[0].transpose(1, 2, 0))
    touched = _patches(hole[..., np.newaxis], grid).any(axis=1)
    weights = attention[0][touched][:, ~touched]

    # 4. In a large photograph the hole also lacks coarser detail: the base is blurred, the weights are limited.
    blur = detail_blur * np.clip((np.sqrt(hole.size) / size - 1) / 3, 0, 1)
    base = cv2.GaussianBlur(completed, (25, 25), blur) if blur > 0 else completed
    if blur > 0 and not touched.all():
        weights = weights * _limits(_patches(completed - base, grid), weights, touched)

    # 5. Enlarged, the base lacks the detail (the residual) that the photograph has outside the hole. Every patch that
    # touches the hole gets the detail of the patches without a hole, as the weights say.
    blurred = cv2.resize(base, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    residual = _patches(pixels - blurred, grid)
    filled = _patches(blurred, grid)
    filled[touched] += weights @ residual[~touched]

    # 6. Only the pixels of the hole are taken.
    filled = np.clip(_image(filled, image.shape, grid) + 0.5, 0, WHITE).astype(np.uint8)
    return np.where(hole[..., np.newaxis], filled, image)[:height, :width]


def _limits(band, weights, touched):
    """[J, 1]: factors that keep the deviation of the copied detail at most as large as around the hole.

    band: [N, ...], the detail between `completed` and the base, by patches.
    """
    row, column = np.divmod(np.arange(len(touched)), round(len(touched) ** 0.5))
    squared = np.subtract.outer(row, row) ** 2 + np.subtract.outer(column, column) ** 2
    near = 1.0 / squared[touched][:, ~touched] ** 2
    band, copied = (
        np.maximum(np.sqrt(np.mean(x**2, axis=1)), 1e-3) for x in (band, weights @ band[~touched])
    )
    expected = np.exp(near @ np.log(band[~touched]) / near.sum(axis=1))
    return np.minimum(expected / copied, 1)[:, np.newaxis].astype(np.float32)


def _patches(image, grid):
    """[H, W, C] -> [N, H / grid * W / grid * C], patches in reading order."""
    height, width, channels = image.shape
    cut = image.reshape(grid, height // grid, grid, width // grid, channels)
    return cut.swapaxes(1, 2).reshape(grid * grid, -1)


def _image(patches, shape, grid):
    """The inverse of `_patches`."""
    height, width, channels = shape
    cut = patches.reshape(grid, grid, height // grid, width // grid, channels)
    return cut.swapaxes(1, 2).reshape(shape)


def main(model, photograph, mask, result):
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape[2]
    image = cv2.cvtColor(cv2.imread(photograph), cv2.COLOR_BGR2RGB)
    hole = cv2.imread(mask, cv2.IMREAD_GRAYSCALE) > 127

    def run(image, mask):
        return session.run(["output", "attention"], {"image": image, "mask": mask})

    metadata = session.get_modelmeta().custom_metadata_map
    filled = fill(run, size, image, hole, float(metadata.get("detail_blur", 0)))
    cv2.imwrite(result, cv2.cvtColor(filled, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main(*sys.argv[1:])
