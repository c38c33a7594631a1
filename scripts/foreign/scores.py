"""Scores of foreign input from the literature, fitted to training images; higher: more foreign."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from fakd_jax.reference.foreign import FeatureSubspace, unit_length

RIDGE = 0.01
"""Added to covariances, as a share of their mean eigenvalue."""

NEIGHBOURS = (1, 10)


class Outputs(NamedTuple):
    """What a network computes of N images, and their classes."""

    features: Float[np.ndarray, "N D"]
    logits: Float[np.ndarray, "N C"]
    labels: Int[np.ndarray, " N"]


class Score(NamedTuple):
    """A fitted score.

    Attributes:
      of: the score of each image.
      stored: numbers that would have to be kept for it.
    """

    of: Callable[[Outputs], np.ndarray]
    stored: int


def fit_scores(training: Outputs) -> dict[str, Score]:
    """Every score by name."""
    unit = training._replace(features=unit_length(training.features))

    def normalised(score: Score) -> Score:
        def of(outputs: Outputs) -> np.ndarray:
            return score.of(outputs._replace(features=unit_length(outputs.features)))

        return score._replace(of=of)

    subspace = FeatureSubspace.of(training.features)
    residual = Score(
        lambda outputs: subspace.scores(outputs.features),
        subspace.mean.size + subspace.directions.size,
    )
    return {
        "energy": energy(training),
        "Mahalanobis": mahalanobis(training),
        "Mahalanobis, unit length": normalised(mahalanobis(unit)),
        "relative Mahalanobis": mahalanobis(training, relative=True),
        "relative, unit length": normalised(mahalanobis(unit, relative=True)),
        **{f"neighbour {k}, unit length": normalised(neighbour(unit, k)) for k in NEIGHBOURS},
        "residual": plain_residual(training),
        "residual, unit length": residual,
    }


def energy(training: Outputs) -> Score:
    """-log Σ exp(logits): Liu et al., arXiv:2010.03759."""
    from scipy.special import logsumexp

    return Score(lambda outputs: -logsumexp(outputs.logits, axis=1), 0)


def mahalanobis(training: Outputs, *, relative: bool = False) -> Score:
    """The distance from the nearest class mean, with one covariance for all classes.

    Lee et al., arXiv:1807.03888. Relative: minus that from the mean of all images with the
    covariance of all; Ren et al., arXiv:2106.09022.
    """
    features, labels = training.features.astype(np.float64), training.labels
    means = np.stack([features[labels == label].mean(axis=0) for label in np.unique(labels)])
    numbers = np.searchsorted(np.unique(labels), labels)
    within = _precision(features - means[numbers])
    overall, centre = _precision(features - features.mean(axis=0)), features.mean(axis=0)

    def of(outputs: Outputs) -> np.ndarray:
        distance = np.min([_squared(outputs.features - mean, within) for mean in means], axis=0)
        return distance - _squared(outputs.features - centre, overall) if relative else distance

    return Score(of, means.size + within.size + relative * (centre.size + overall.size))


def neighbour(training: Outputs, k: int) -> Score:
    """The distance to the k-th nearest training image: Sun et al., arXiv:2204.06507."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(training.features)
    return Score(
        lambda outputs: search.kneighbors(outputs.features)[0][:, -1], training.features.size
    )


def plain_residual(training: Outputs) -> Score:
    """The residual of Wang et al. (arXiv:2203.10807), of features of any length."""
    from sklearn.decomposition import PCA

    pca = PCA(64, svd_solver="covariance_eigh").fit(training.features.astype(np.float64))

    def of(outputs: Outputs) -> np.ndarray:
        kept = pca.inverse_transform(pca.transform(outputs.features))
        return np.linalg.norm(outputs.features - kept, axis=1)

    return Score(of, pca.mean_.size + pca.components_.size)


def _precision(centred: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "D D"]:
    covariance = centred.T @ centred / len(centred)
    ridge = RIDGE * np.trace(covariance) / len(covariance)
    return np.linalg.inv(covariance + ridge * np.eye(len(covariance)))


def _squared(
    centred: Float[np.ndarray, "N D"], precision: Float[np.ndarray, "D D"]
) -> Float[np.ndarray, " N"]:
    return np.sum(centred @ precision * centred, axis=1)
