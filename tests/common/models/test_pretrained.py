"""Weights beside a paper's modules: found by their sums, and refused when they are not what was published."""

from __future__ import annotations

import hashlib

import pytest

from common.errors import UserError
from common.models import pretrained


@pytest.fixture
def package(tmp_path):
    """A folder "paper" that comes with weights."""
    folder = tmp_path / "paper" / pretrained.FOLDER
    folder.mkdir(parents=True)
    (folder / "paper-1.npz").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  paper-1.npz\n")
    return folder.parent


def test_weights_are_found_by_the_sums_beside_them(package):
    assert pretrained.find(package) == package / "weights" / "paper-1.npz"


@pytest.mark.parametrize("content", [b"weight", b"Weights", None])
def test_a_damaged_or_missing_file_is_refused(package, content):
    path = package / "weights" / "paper-1.npz"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"paper-1\.npz .*install the package again"):
        pretrained.find(package)
