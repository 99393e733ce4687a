"""The built-in object silhouettes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.masks import shapes


def test_builtin_templates():
    templates = shapes.builtin_templates()
    assert templates is shapes.builtin_templates()
    assert len({template.tobytes() for template in templates}) == len(templates) == 30
    parts = [cv2.connectedComponents(template)[0] - 1 for template in templates]
    assert parts[:14] == [1] * 14 and max(parts) > 4
    for template in templates:
        assert template.dtype == np.uint8 and set(np.unique(template)) == {0, 1}
        assert 0.03 < template.mean() <= 0.25
        border = np.concatenate([template[[0, -1]].ravel(), template[:, [0, -1]].ravel()])
        assert not border.any()  # whole objects
    with pytest.raises(ValueError, match="read-only"):
        templates[0][0, 0] = 1
