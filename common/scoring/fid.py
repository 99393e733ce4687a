"""Scores of sets of images from Inception's outputs: Fréchet Inception Distance and Inception Score (HiFill Table 2).

`common.scoring.inception` computes the outputs; this module is float64 NumPy arithmetic only.

- FID (Heusel et al., 2017): |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2) of the means and unbiased covariances of two sets
  of features. The published code takes the square root of the matrix C1 C2, which is not symmetric, so rounding errors
  may make it complex. Here tr (C1 C2)^1/2 is computed as tr (A C2 A)^1/2 with A = C1^1/2. The two are equal, and the
  symmetric matrix A C2 A has real eigenvalues of at least 0.
- IS (Salimans et al., 2016): exp of the mean over images of KL(p(y|x) || p(y)), in 10 splits of the set in its
  order; mean and population standard deviation over the splits, as in the published code.

The covariance of D features from N images has rank N - 1 at most. With fewer than D + 1 images it is singular, the
distance depends on N more than on the images, and `fid` raises an error. The authors require 2,048 images and recommend
10,000. FID is biased upwards by a term of order 1 / N, so compare only sets of the same N, which tables give.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from common.errors import UserError

SPLITS = 10
RECOMMENDED_IMAGES = 10_000


class Gaussian(NamedTuple):
    """Statistics of a set for FID: mean [D] and unbiased covariance [D, D], float64, and the number of images."""

    mean: np.ndarray
    covariance: np.ndarray
    count: int


def gaussian(features: np.ndarray) -> Gaussian:
    """Mean and covariance of features [N, D].

    Raises:
      UserError: fewer than D + 1 images, or features that are not finite.
    """
    features = np.asarray(features, np.float64)
    count, width = features.shape
    if count < smallest_set(width):
        raise UserError(
            f"FID of {count} images: the covariance of {width} features needs at least {smallest_set(width):,} "
            f"({RECOMMENDED_IMAGES:,} are recommended); evaluate more images"
        )
    if not np.isfinite(features).all():
        raise UserError("FID: Inception's features hold NaN or infinite values")
    return Gaussian(features.mean(axis=0), np.cov(features, rowvar=False), count)


def smallest_set(width: int) -> int:
    """The smallest number of images whose covariance of `width` features can have full rank."""
    return width + 1


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Squared Fréchet (2-Wasserstein) distance of two Gaussians of equal dimension, at least 0."""
    root = _square_root(first.covariance)
    values = np.linalg.eigvalsh(_symmetric(root @ second.covariance @ root))
    shared = np.sqrt(np.maximum(values, 0)).sum()
    moved = np.sum((first.mean - second.mean) ** 2)
    spread = np.trace(first.covariance) + np.trace(second.covariance) - 2 * shared
    return max(0.0, float(moved + spread))


def fid(truth: np.ndarray, result: np.ndarray) -> float:
    """FID of two sets of features [N, D] and [M, D]; errors are those of `gaussian`."""
    return frechet_distance(gaussian(truth), gaussian(result))


def _square_root(matrix):
    values, vectors = np.linalg.eigh(_symmetric(matrix))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _symmetric(matrix):
    return (matrix + matrix.T) / 2  # removes asymmetry from rounding


def inception_score(probabilities: np.ndarray, splits: int = SPLITS) -> tuple[float, float]:
    """Mean and standard deviation over `splits` parts of the Inception Score, each in [1, classes].

    probabilities: [N, classes], rows that add up to 1; part k is rows k*N//splits to (k+1)*N//splits.

    Raises:
      UserError: fewer images than splits, or rows that are not distributions.
    """
    rows = np.asarray(probabilities, np.float64)
    if len(rows) < splits:
        raise UserError(
            f"Inception Score of {len(rows)} images in {splits} splits: a split would be empty"
        )
    # The tolerance allows for a float32 softmax over 1,000 classes; the negation also catches NaN.
    if rows.min() < 0 or not np.allclose(rows.sum(axis=1), 1, atol=1e-3):
        raise UserError("Inception Score: rows of class probabilities do not add up to 1")
    edges = [k * len(rows) // splits for k in range(splits + 1)]
    scores = [_score(rows[first:stop]) for first, stop in zip(edges, edges[1:])]
    return float(np.mean(scores)), float(np.std(scores))


def _score(rows):
    """exp of the mean KL divergence of rows [N, classes] from their mean; 0 log 0 is 0."""
    marginal = rows.mean(axis=0)
    positive = rows > 0
    ratio = np.where(positive, rows, 1) / np.where(positive, marginal, 1)
    return np.exp((rows * np.log(ratio)).sum() / len(rows))
