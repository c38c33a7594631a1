"""How well probabilities rank images: areas under ROC curves, ties counting half."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fakd_jax.metrics.linearised import logit_interval


class Auroc(NamedTuple):
    """An area under a ROC curve and its 95 % interval; None for what is undefined."""

    value: float | None = None
    ci95: list[float] | None = None


class _Ranking(NamedTuple):
    """An area, the influence of each image on it, and the number of units of the rarer side."""

    area: float
    influence: Float[np.ndarray, " N"]
    units: int


def aurocs(
    probabilities: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    negative: int | None,
    units: Int[np.ndarray, " N"],
) -> dict[str, Auroc]:
    """All areas under ROC curves, with the intervals of :func:`auroc`.

    Returns:
      `class 0`, `class 1`, …: each class against all others, by its probability. `macro`: their
      mean over the classes that have images. `tumour`: any tumour against the negative class, by
      1 - p(negative); undefined without one.
    """
    found, defined = {}, []
    for c in range(probabilities.shape[1]):
        ranking = _rank(np.ascontiguousarray(probabilities[:, c]), labels == c, units)
        found[f"class {c}"] = _with_interval(ranking, units)
        if ranking:
            defined.append(ranking)
    # -p ranks as 1 - p does, but does not round small probabilities to ties.
    tumour = (
        Auroc()
        if negative is None
        else auroc(-probabilities[:, negative], labels != negative, units)
    )
    return {**found, "macro": _with_interval(_mean(defined), units), "tumour": tumour}


def auroc(
    scores: Float[np.ndarray, " N"],
    positive: Bool[np.ndarray, " N"],
    units: Int[np.ndarray, " N"],
) -> Auroc:
    """The probability that a positive example scores above a negative one, a tie counting half.

    The interval is DeLong's (DeLong, DeLong & Clarke-Pearson 1988), on the logit scale, which keeps
    it in (0, 1) and its coverage near 1. Where units hold several images it is Obuchowski's (1997):
    the influences of a unit's images are added up. In O(N log N) (Sun & Xu 2014).

    Args:
      scores: finite.
      positive: which examples should score high; the area of all or none is undefined.
      units: of each example, from 0 on without gaps.
    """
    return _with_interval(_rank(scores, positive, units), units)


def _rank(
    scores: Float[np.ndarray, " N"],
    positive: Bool[np.ndarray, " N"],
    units: Int[np.ndarray, " N"],
) -> _Ranking | None:
    """The area by the share of the other side that each example is ranked right against."""
    sides = [int(positive.sum()), int((~positive).sum())]
    if not min(sides):
        return None
    order = np.argsort(scores)
    ranked = scores[order]
    last_of_ties = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    positives = np.cumsum(positive[order])[last_of_ties]
    tied = np.diff(last_of_ties, prepend=-1)
    tied_positives = np.diff(positives, prepend=0)
    negatives = last_of_ties + 1 - positives
    below = (negatives - (tied - tied_positives) / 2) / sides[1]
    above = (sides[0] - positives + tied_positives / 2) / sides[0]
    shares = np.empty(len(scores))
    shares[order] = np.where(positive[order], np.repeat(below, tied), np.repeat(above, tied))
    area, influence, fewest = float(shares[positive].mean()), np.empty(len(scores)), len(scores)
    for members, count in zip((positive, ~positive), sides, strict=True):
        holding = int(np.count_nonzero(np.bincount(units[members])))
        # DeLong's variances are of samples, n - 1 in the denominator.
        correction = math.sqrt(holding / max(holding - 1, 1))
        influence[members] = correction * (shares[members] - area) / count
        fewest = min(fewest, holding)
    return _Ranking(area, influence, fewest)


def _mean(rankings: Sequence[_Ranking]) -> _Ranking | None:
    """The mean area; no area without rankings."""
    if not rankings:
        return None
    areas, influences, units = zip(*rankings, strict=True)
    return _Ranking(float(np.mean(areas)), np.mean(influences, axis=0), min(units))


def _with_interval(ranking: _Ranking | None, units: Int[np.ndarray, " N"]) -> Auroc:
    if ranking is None:
        return Auroc()
    by_unit = np.bincount(units, ranking.influence)
    error = math.sqrt(float(by_unit @ by_unit))
    return Auroc(ranking.area, logit_interval(ranking.area, error, ranking.units))
