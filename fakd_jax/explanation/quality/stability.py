"""Stability: would another seed show the same? Agreement between runs of one method on one image.

Rankings are compared by Spearman's ρ and tops by the Jaccard index, as Kalousis, Prados & Hilario
(2007) do for feature selection; sign agreement is that of Krishna et al. (2022, "The disagreement
problem in explainable machine learning").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import t as student

from fakd_jax.explanation.quality.ranks import degenerate, mean_over_pairs, rank_correlations
from fakd_jax.explanation.result import NEGLIGIBLE

CONFIDENCE = 0.95
STABLE = 0.8
"""The mean Jaccard index from which a top is stable: of a top 3, two of three runs agree in all
superpixels, the third in all but one."""


@dataclass(frozen=True)
class Stability:
    """The agreement of runs that differ in their seed alone.

    Attributes:
      rank_correlation: mean Spearman's ρ over pairs of runs, in [-1, 1].
      jaccard: mean Jaccard index of the tops over pairs of runs, in [0, 1].
      sign_agreement: of the superpixels in either top of a pair of runs, the mean fraction to
        which both give the same sign, in [0, 1].
      low: lower end of the 95 % prediction interval of each weight in one more run, ``[S]``.
      high: upper end.
    """

    rank_correlation: float
    jaccard: float
    sign_agreement: float
    low: Float[np.ndarray, " S"]
    high: Float[np.ndarray, " S"]


def stability_of(weights: Float[np.ndarray, "N S"], top: int) -> Stability:
    """Compares runs of one method on one image that differ in their seed alone.

    Negligible weights count as 0 where runs are compared: rounding errors have an order and a
    sign too. Equal runs agree perfectly, and their intervals have no width.

    Args:
      weights: of S superpixels in each of N >= 2 runs.
      top: how many superpixels count as the top, at least 1.

    Raises:
      ValueError: fewer than two runs, no superpixels, no top, or weights that are not finite.
    """
    if top < 1:
        raise ValueError(f"the top must have at least one superpixel, not {top}")
    relevant = without_negligible(weights)
    rank_correlation = mean_rank_agreement(relevant)
    tops = top_masks(relevant, top)
    low, high = prediction_interval(weights)
    return Stability(
        rank_correlation=rank_correlation,
        jaccard=mean_jaccard(tops),
        sign_agreement=mean_sign_agreement(relevant, tops),
        low=low,
        high=high,
    )


def without_negligible(weights: Float[np.ndarray, "N S"]) -> Float[np.ndarray, "N S"]:
    """The weights, negligible ones set to 0."""
    return np.where(np.abs(weights) < NEGLIGIBLE, 0.0, weights)


def mean_rank_agreement(weights: Float[np.ndarray, "N S"]) -> float:
    """Mean Spearman's ρ over pairs of runs: 1 for two degenerate ones, 0 if only one is."""
    correlations = rank_correlations(weights, weights)
    flat = degenerate(weights)
    return mean_over_pairs(np.where(np.outer(flat, flat), 1.0, correlations))


def top_masks(weights: Float[np.ndarray, "N S"], top: int) -> Bool[np.ndarray, "N S"]:
    """The `top` superpixels of largest absolute weight in each run, without those of weight 0.

    They are those of :func:`~fakd_jax.explanation.result.top_superpixels`; ties go to the smaller
    number.
    """
    order = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, :top]
    masks = np.zeros(weights.shape, bool)
    np.put_along_axis(masks, order, True, axis=1)
    return masks & (weights != 0)


def mean_jaccard(tops: Bool[np.ndarray, "N S"]) -> float:
    """The mean of |A ∩ B| / |A ∪ B| over pairs of runs; 1 for two empty tops."""
    one, other = _pairs(tops)
    return _mean_share(one & other, one | other)


def mean_sign_agreement(weights: Float[np.ndarray, "N S"], tops: Bool[np.ndarray, "N S"]) -> float:
    """Of the superpixels in either top of a pair of runs, the fraction with the same sign in both.

    Over the union, as over the intersection runs that share a single superpixel could agree
    perfectly. The sign of 0 agrees with neither; two empty tops count as 1. Random signs would
    agree on half.
    """
    one, other = _pairs(tops)
    sign, other_sign = _pairs(np.sign(weights))
    return _mean_share((one | other) & (sign == other_sign), one | other)


def prediction_interval(
    weights: Float[np.ndarray, "N S"],
) -> tuple[Float[np.ndarray, " S"], Float[np.ndarray, " S"]]:
    """Where one more run's weights fall, with 95 % probability: mean ± t·s·√(1 + 1/N).

    A prediction interval (Hahn & Meeker 1991), not that of the mean: a reader holds one run and
    asks how far another may be from it. It takes weights to be normal over seeds, as those of a
    regression on many drawn images nearly are.
    """
    n = len(weights)
    # Relative to the first run, so that equal runs differ by exactly nothing.
    deviations = weights - weights[0]
    mean = weights[0] + deviations.mean(axis=0)
    factor = student.ppf((1 + CONFIDENCE) / 2, n - 1) * np.sqrt(1 + 1 / n)
    half = factor * deviations.std(axis=0, ddof=1)
    return mean - half, mean + half


def _pairs(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of different rows, as two arrays ``[P, S]``."""
    first, second = np.triu_indices(len(rows), 1)
    return rows[first], rows[second]


def _mean_share(part: Bool[np.ndarray, "P S"], whole: Bool[np.ndarray, "P S"]) -> float:
    """The mean over rows of |part| / |whole|, 1 for a row of which `whole` is empty."""
    parts, wholes = part.sum(axis=1), whole.sum(axis=1)
    return float(np.divide(parts, wholes, out=np.ones(len(parts)), where=wholes > 0).mean())
