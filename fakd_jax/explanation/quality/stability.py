"""Would another seed show the same? Agreement between runs of one method on one image.

Rankings are compared by Spearman's ρ and sets of features by the Jaccard index, as Kalousis,
Prados & Hilario (2007) do for feature selection; agreement in sign is that of Krishna et al. (2022,
"The disagreement problem in explainable machine learning").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import t as student

from fakd_jax.explanation.quality.ranks import mean_over_pairs, rank_correlations, silent
from fakd_jax.explanation.result import NEGLIGIBLE

CONFIDENCE = 0.95
STABLE = 0.8
"""The mean Jaccard index from which a top counts as stable: of a top 3, two runs in three agree
in all, the third in all but one."""


@dataclass(frozen=True)
class Stability:
    """How much runs that differ in their seed alone have in common.

    Attributes:
      seeds: the number of runs, at least 2.
      top: how many superpixels count as the top.
      rank_correlation: Spearman's ρ of the weights, the mean over pairs of runs, in [-1, 1].
      jaccard: how much of the top two runs share, likewise, in [0, 1].
      sign_agreement: of the superpixels in the top of either of two runs, the share to which
        both give the same sign, likewise, in [0, 1].
      mean: of each superpixel's weight over the runs, ``[S]``.
      low: lower end of the 95 % prediction interval of each weight in one more run, ``[S]``.
      high: the upper end.
    """

    seeds: int
    top: int
    rank_correlation: float
    jaccard: float
    sign_agreement: float
    mean: Float[np.ndarray, " S"]
    low: Float[np.ndarray, " S"]
    high: Float[np.ndarray, " S"]


def stability_of(weights: Float[np.ndarray, "N S"], top: int) -> Stability:
    """Compares runs of one method on one image that differ in their seed alone.

    A weight below :data:`~fakd_jax.explanation.result.NEGLIGIBLE` is taken as 0 where runs are
    compared: what rounding leaves has an order and a sign too.

    Args:
      weights: of S superpixels in each of N >= 2 runs.
      top: how many superpixels count as the top, at least 1.

    Returns:
      The agreement. Runs that are equal, such as those of a method that draws nothing, agree
      perfectly, and their intervals have no width.

    Raises:
      ValueError: fewer than two runs, no superpixels, no top, or weights that are not finite.
    """
    if top < 1:
        raise ValueError(f"the top must have at least one superpixel, not {top}")
    speaking = without_negligible(weights)
    rank_correlation = mean_rank_agreement(speaking)
    tops = top_masks(speaking, top)
    mean, low, high = prediction_interval(weights)
    return Stability(
        seeds=len(weights),
        top=top,
        rank_correlation=rank_correlation,
        jaccard=mean_jaccard(tops),
        sign_agreement=mean_sign_agreement(speaking, tops),
        mean=mean,
        low=low,
        high=high,
    )


def without_negligible(weights: Float[np.ndarray, "N S"]) -> Float[np.ndarray, "N S"]:
    """The weights, those that say nothing being exactly 0."""
    return np.where(np.abs(weights) < NEGLIGIBLE, 0.0, weights)


def mean_rank_agreement(weights: Float[np.ndarray, "N S"]) -> float:
    """Spearman's ρ of two runs' weights, the mean over pairs of runs.

    Two runs of which neither ranks anything show the same, that no superpixel matters more than
    another: 1. One that ranks nothing and one that ranks have nothing in common: 0.
    """
    correlations = rank_correlations(weights, weights)
    quiet = silent(weights)
    return mean_over_pairs(np.where(np.outer(quiet, quiet), 1.0, correlations))


def top_masks(weights: Float[np.ndarray, "N S"], top: int) -> Bool[np.ndarray, "N S"]:
    """Which superpixels are the `top` of largest absolute weight, in each run.

    They are those that :func:`~fakd_jax.explanation.result.top_superpixels` names and the figure
    shows: a weight of 0 is never among them, ties go to the smaller number.
    """
    order = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, :top]
    masks = np.zeros(weights.shape, bool)
    np.put_along_axis(masks, order, True, axis=1)
    return masks & (weights != 0)


def mean_jaccard(tops: Bool[np.ndarray, "N S"]) -> float:
    """The Jaccard index of two runs' tops, |A ∩ B| / |A ∪ B|, the mean over pairs of runs.

    Two empty tops are the same: 1.
    """
    one, other = _pairs(tops)
    return _mean_share(one & other, one | other)


def mean_sign_agreement(weights: Float[np.ndarray, "N S"], tops: Bool[np.ndarray, "N S"]) -> float:
    """Of what is in the top of either of two runs, the share that has one sign in both.

    Over the union, for the intersection alone would let runs that share a single superpixel
    agree perfectly. The sign of 0 is neither: to speak for the class in one run and say nothing
    in the other is not to agree. Where both tops are empty, nothing is contradicted: 1. Signs
    thrown like coins would agree on half.
    """
    one, other = _pairs(tops)
    sign, other_sign = _pairs(np.sign(weights))
    return _mean_share((one | other) & (sign == other_sign), one | other)


def prediction_interval(
    weights: Float[np.ndarray, "N S"],
) -> tuple[Float[np.ndarray, " S"], Float[np.ndarray, " S"], Float[np.ndarray, " S"]]:
    """Where one more run's weights would fall: mean ± t·s·√(1 + 1/N), and the mean itself.

    A prediction interval (Hahn & Meeker 1991), not the interval of the mean: a reader
    holds one run in hand and asks how far another may be from it. It takes weights to be
    normal over seeds, as those of a regression on many drawn images nearly are.

    Args:
      weights: of N >= 2 runs.

    Returns:
      Mean, lower and upper end, each ``[S]``.
    """
    n = len(weights)
    # Measured from the first run, so that equal runs differ by exactly nothing.
    deviations = weights - weights[0]
    mean = weights[0] + deviations.mean(axis=0)
    factor = student.ppf((1 + CONFIDENCE) / 2, n - 1) * np.sqrt(1 + 1 / n)
    half = factor * deviations.std(axis=0, ddof=1)
    return mean, mean - half, mean + half


def _pairs(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of different rows, as two arrays ``[P, S]``."""
    first, second = np.triu_indices(len(rows), 1)
    return rows[first], rows[second]


def _mean_share(part: Bool[np.ndarray, "P S"], whole: Bool[np.ndarray, "P S"]) -> float:
    """The mean over rows of |part| / |whole|, a row without a whole counting 1."""
    parts, wholes = part.sum(axis=1), whole.sum(axis=1)
    return float(np.divide(parts, wholes, out=np.ones(len(parts)), where=wholes > 0).mean())
