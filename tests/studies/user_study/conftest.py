"""Folders of pictures that user studies are built from."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from studies.user_study import page


@pytest.fixture(scope="session")
def make_folders():
    """make_folders(root, names, others, paint): `page.Folders` below `root`, for `page.build`.

    paint(folder, picture), numbers from 0, gives the picture; every hole is rows 5 to 8, columns 7 to 11.
    """

    def make(root, names, others, paint):
        hole = np.zeros_like(paint(0, 0))
        hole[5:9, 7:12] = 255
        for number, folder in enumerate(("ours", *others, "images", "masks")):
            (root / folder).mkdir()
            for index, name in enumerate(names):
                picture = hole if folder == "masks" else paint(number, index)
                cv2.imwrite(str(root / folder / f"{name}.png"), picture)
        ours, images, masks = ([str(root / folder)] for folder in ("ours", "images", "masks"))
        return page.Folders(ours, {name: [str(root / name)] for name in others}, images, masks)

    return make
