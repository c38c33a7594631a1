"""Selective prediction: the error that remains where a network abstains when unsure.

Predictions whose confidence is below a threshold are rejected. The proportion kept is the
coverage, the error among the kept is the risk (El-Yaniv & Wiener 2010).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fakd_jax.metrics.confusion import missed_tumours
from fakd_jax.metrics.linearised import log_interval, standard_error
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.metrics.resampling import proportion

CURVE_POINTS = 100
TARGET_RATIO = 0.5


class RiskCoverage(NamedTuple):
    """One point per distinct confidence, the highest first; equal ones are kept together.

    Attributes:
      thresholds: the confidences; predictions at or above are kept.
      kept: how many are kept, up to all.
      wrong: how many of those are wrong.
    """

    thresholds: Float[np.ndarray, " T"]
    kept: Int[np.ndarray, " T"]
    wrong: Int[np.ndarray, " T"]


def risk_coverage(
    confidence: Float[np.ndarray, " N"], wrong: Bool[np.ndarray, " N"]
) -> RiskCoverage:
    """Counts what each threshold keeps; raises a ValueError without predictions."""
    if confidence.shape != wrong.shape or not len(wrong):
        raise ValueError(f"{len(confidence)} confidences for {len(wrong)} predictions")
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    last_of_ties = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    return RiskCoverage(
        falling[last_of_ties], last_of_ties + 1, np.cumsum(wrong[order])[last_of_ties]
    )


def area_under_risk_coverage(curve: RiskCoverage) -> float:
    """AURC (Geifman & El-Yaniv 2017): the mean over predictions of the risk at their confidence.

    In [0, 1], lower is better. Equal confidences share one risk, so that the order of the
    predictions does not matter.
    """
    newly_kept = np.diff(curve.kept, prepend=0)
    return float(newly_kept @ (curve.wrong / curve.kept) / curve.kept[-1])


def aurc_interval(
    curve: RiskCoverage,
    confidence: Float[np.ndarray, " N"],
    wrong: Bool[np.ndarray, " N"],
    units: Int[np.ndarray, " N"],
) -> list[float] | None:
    """The 95 % interval of the AURC, by :func:`fakd_jax.metrics.linearised.log_interval`.

    A prediction of confidence c changes the area through its own risk and, if it is wrong, through
    the risk of every prediction that is no more confident: with risk r(t) and number kept k(t) at
    threshold t, its influence is r(c) - AURC + Σ_{t ≤ c} ([wrong] - r(t)) / k(t), over N.

    Args:
      curve: of the N predictions.
      confidence: of each.
      wrong: which are wrong.
      units: of each image, from 0 on without gaps.

    Returns:
      [low, high]; None without errors.
    """
    newly_kept, risk = np.diff(curve.kept, prepend=0), curve.wrong / curve.kept
    per_kept = newly_kept / curve.kept
    less_confident = np.cumsum(per_kept[::-1])[::-1]
    their_risk = np.cumsum((per_kept * risk)[::-1])[::-1]
    at = np.searchsorted(-curve.thresholds, -confidence)
    area = area_under_risk_coverage(curve)
    influence = risk[at] - area + wrong * less_confident[at] - their_risk[at]
    error = standard_error(influence / len(at), units)
    return log_interval(area, error, int(units.max()) + 1, most=1.0)


def curve_rows(curve: RiskCoverage, points: int = CURVE_POINTS) -> list[dict[str, Any]]:
    """The curve for JSON, thinned to about `points` rows evenly spaced in coverage, with its ends.

    Returns:
      Dicts of `coverage`, `n` kept, `threshold`, `risk` and its Wilson interval `risk_ci95`.
    """
    n, shown = int(curve.kept[-1]), np.arange(len(curve.kept))
    if len(shown) > points:
        shown = np.unique(np.searchsorted(curve.kept, np.linspace(curve.kept[0], n, points)))
    rows = []
    for i in shown:
        risk = proportion(int(curve.wrong[i]), int(curve.kept[i]))
        rows.append(
            {
                "coverage": risk["n"] / n,
                "n": risk["n"],
                "threshold": float(curve.thresholds[i]),
                "risk": risk["rate"],
                "risk_ci95": risk["ci95"],
            }
        )
    return rows


class Choice(NamedTuple):
    """A threshold of confidence, and the rule that chose it in words."""

    threshold: float
    rule: str


def choose_threshold(
    confidence: Float[np.ndarray, " N"],
    wrong: Bool[np.ndarray, " N"],
    target_ratio: float = TARGET_RATIO,
) -> Choice | None:
    """The lowest threshold at which the risk is at most `target_ratio` of the overall error.

    The lowest rejects the fewest predictions. None where no prediction is wrong, or no threshold
    reaches the target.
    """
    curve = risk_coverage(confidence, wrong)
    errors, n = int(curve.wrong[-1]), len(wrong)
    # risk <= target_ratio * errors / n, without divisions that round.
    reached = np.flatnonzero(curve.wrong * n <= target_ratio * errors * curve.kept)
    if not errors or not len(reached):
        return None
    rule = (
        f"lowest threshold at which the error of the predictions kept is at most {target_ratio:g} "
        f"times that of all ({errors} of {n} wrong)"
    )
    return Choice(float(curve.thresholds[reached[-1]]), rule)


def reject_option(
    threshold: float, predictions: Predictions, negative: int | None
) -> dict[str, Any]:
    """The cost and gain of a threshold on images that did not choose it.

    Returns:
      `coverage`, `n_kept`, `n_rejected`, `risk` of the kept and `risk_ci95` (None if none is
      kept), `missed_tumour` among the kept (None without a negative class), and how many of the
      rejected were right and wrong: `rejected_right`, `rejected_wrong`.
    """
    kept, wrong = predictions.confidence >= threshold, predictions.wrong
    risk = proportion(int(wrong[kept].sum()), int(kept.sum()))
    return {
        "coverage": float(kept.mean()),
        "n_kept": risk["n"],
        "n_rejected": int(np.sum(~kept)),
        "risk": risk["rate"],
        "risk_ci95": risk["ci95"],
        "missed_tumour": missed_tumours(
            predictions.labels[kept], predictions.classes[kept], negative
        ),
        "rejected_right": int(np.sum(~kept & ~wrong)),
        "rejected_wrong": int(np.sum(~kept & wrong)),
    }
