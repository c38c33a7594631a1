"""Precision against recall: how many alarms are false where positives are as common as here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fakd_jax.metrics.linearised import logit_interval, standard_error


class AveragePrecision(NamedTuple):
    """An average precision and its 95 % interval; None for what is undefined."""

    value: float | None = None
    ci95: list[float] | None = None


def precision_recall_curve(
    scores: Float[np.ndarray, " N"], positive: Bool[np.ndarray, " N"]
) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, " P"], Float[np.ndarray, " P"]]:
    """The operating points of all thresholds: an image counts as positive from it on.

    Args:
      scores: finite.
      positive: which images should score high; at least one.

    Returns:
      Thresholds, falling, and the precision and recall of each; the last recall is 1.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(positive[order])
    last_of_ties = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = hits[last_of_ties]
    return ranked[last_of_ties], hits / (last_of_ties + 1), hits / hits[-1]


def average_precision(
    scores: Float[np.ndarray, " N"],
    positive: Bool[np.ndarray, " N"],
    units: Int[np.ndarray, " N"],
) -> AveragePrecision:
    """The mean precision over the positives, each at its own score: Σ (R_n - R_{n-1}) P_n.

    The area under the curve's steps, without the linear interpolation between points that is too
    good (Davis & Goadrich 2006); scikit-learn's `average_precision_score`. Chance is the share of
    positives.

    The interval is symmetric in the logit (Boyd, Eng & Page 2013). Its standard error comes from
    the influence of each image, the derivative of the value in the image's weight: with A and B the
    weights of the positives and of all images from a score on and P = A / B, that of image j is

      y_j (P_j - AP) / n + Σ_{i positive, s_i <= s_j} (y_j - P_i) / B_i / n.

    Images of one unit count together. In O(N log N).

    Args:
      scores: finite.
      positive: which images should score high; the value of all or none is undefined.
      units: of each image, from 0 on without gaps.
    """
    count = int(positive.sum())
    if not 0 < count < len(positive):
        return AveragePrecision()
    levels, level = np.unique(-scores, return_inverse=True)  # 0 is the highest score
    images = np.bincount(level, minlength=len(levels))
    hits = np.bincount(level, positive, minlength=len(levels))
    from_here = np.cumsum(images)
    precision = np.cumsum(hits) / from_here
    value = float(hits @ precision / count)

    def from_lowest(per_level: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
        """Sums over the levels of each score or a lower one."""
        return np.cumsum(per_level[::-1])[::-1]

    share = from_lowest(hits / from_here)[level]
    lost = from_lowest(hits * precision / from_here)[level]
    influence = (positive * (precision[level] - value + share) - lost) / count
    error = standard_error(influence, units)
    holding = int(np.count_nonzero(np.bincount(units[positive])))
    return AveragePrecision(value, logit_interval(value, error, holding))
