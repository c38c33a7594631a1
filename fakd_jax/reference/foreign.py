"""How foreign an image is to a network: the distance of its features from those of training images.

The features of training images lie near a subspace of few dimensions; those of other images leave
it, whatever class the network assigns to them. The distance is the residual of Wang et al., "ViM:
Out-of-distribution with virtual-logit matching" (CVPR 2022, arXiv:2203.10807), here of features
scaled to unit length, which separates better, as it does for nearest neighbours (Sun et al.,
arXiv:2204.06507). `scripts/compare_foreign_scores.py` compares it with others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from fakd_jax.metrics.resampling import number_units

DIRECTIONS = 64
"""Dimensions of the subspace, if there are as many; from 32 to 512 the score hardly changes."""

CONFIDENCE = 0.95
"""With which a threshold keeps its promise."""

_IMAGES_PER_DIRECTION = 4
_ROUNDING = 1e-6  # of a number of images


@dataclass(frozen=True)
class FeatureSubspace:
    """The subspace near which the features of training images lie.

    With u = f / ‖f‖, the score of features f is ‖(I - V Vᵀ)(u - μ)‖, between 0 and 2.

    Attributes:
      mean: μ, of the training images' u.
      directions: V, their Q principal directions, orthonormal.
    """

    mean: Float32[np.ndarray, " D"]
    directions: Float32[np.ndarray, "D Q"]

    @classmethod
    def of(
        cls, features: Float32[np.ndarray, "N D"], dimensions: int = DIRECTIONS
    ) -> FeatureSubspace:
        """Fits the subspace to training images.

        Args:
          features: of at least eight images, of more than one dimension.
          dimensions: Q, at most a quarter of the images and half of the features' dimensions.
        """
        from sklearn.decomposition import PCA

        images, width = features.shape
        most = min(dimensions, images // _IMAGES_PER_DIRECTION, width // 2)
        pca = PCA(most, svd_solver="covariance_eigh").fit(unit_length(features))
        return cls(pca.mean_.astype(np.float32), pca.components_.T.astype(np.float32))

    def scores(self, features: Float32[np.ndarray, "N D"]) -> Float32[np.ndarray, " N"]:
        """The score of each image; infinite where features are not finite."""
        centred = unit_length(features) - self.mean
        residual = centred - (centred @ self.directions) @ self.directions.T
        distance = np.linalg.norm(residual, axis=1).astype(np.float32)
        return np.where(np.isfinite(distance), distance, np.float32(np.inf))


def unit_length(features: Float32[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    """Features divided by their Euclidean length, in float64; zeros stay zeros."""
    wide = features.astype(np.float64)
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), np.finfo(np.float64).tiny)


def least_images(rejected: float, confidence: float = CONFIDENCE) -> int:
    """The fewest scores from which :func:`tolerance_threshold` can choose.

    >>> least_images(0.05)
    59
    """
    return math.ceil(math.log(1 - confidence) / math.log(1 - rejected))


def tolerance_threshold(
    scores: Float[np.ndarray, " N"],
    rejected: float,
    confidence: float = CONFIDENCE,
    *,
    units: Int[np.ndarray, " N"] | None = None,
) -> float:
    """The threshold above which an image is foreign.

    The lowest of the scores that, with the given confidence, at most the share `rejected` of all
    images of the same kind exceed: of continuous scores the share above the k-th largest of N is
    Beta(k, N + 1 - k) (Wilks, "Determination of sample sizes for setting tolerance limits", 1941;
    for conformal prediction: Vovk, "Conditional validity of inductive conformal predictors",
    2012). It lies above the sample's own quantile, because the sample is finite.

    Images of one unit, such as duplicates, resemble each other, and say less than as many
    independent ones: N is then :func:`effective_number`.

    Args:
      scores: of images that the scores were not fitted to, such as validation images.
      rejected: in (0, 1).
      confidence: in (0, 1).
      units: the independent unit of each image; None if every image is one.

    Raises:
      ValueError: there are fewer than :func:`least_images`, or say no more than fewer.
    """
    descending = np.sort(scores)[::-1]
    count = len(scores)
    rank = _allowed_rank(count, rejected, confidence)
    if units is not None:
        number = effective_number(scores >= descending[rank - 1], units)
        effective = math.floor(number + _ROUNDING)
        rank = max(1, _allowed_rank(effective, rejected, confidence) * count // effective)
    return float(descending[rank - 1])


def effective_number(above: Bool[np.ndarray, " N"], units: Int[np.ndarray, " N"]) -> float:
    """How many independent images know a share as well as these do.

    N over the design effect: the variance of the share as images of a unit vary together, over
    that of as many independent images (Kish, "Survey sampling", 1965, section 5.4); at most N.
    """
    share = float(above.mean())
    if share in (0.0, 1.0):
        return float(len(above))
    sums = np.bincount(number_units(units), above - share)
    design_effect = float(np.square(sums).sum()) / (len(above) * share * (1 - share))
    return len(above) / max(design_effect, 1.0)


def _allowed_rank(count: int, rejected: float, confidence: float) -> int:
    """The largest k for which the k-th largest of so many scores keeps the promise.

    Raises:
      ValueError: none does.
    """
    from scipy.stats import beta

    ranks = np.arange(1, count + 1)
    allowed = beta.cdf(rejected, ranks, count + 1 - ranks) >= confidence
    if not allowed.any():
        raise ValueError(f"{count} independent scores are too few to reject at most {rejected}")
    return int(ranks[allowed].max())
