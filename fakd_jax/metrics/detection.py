"""Tumour against none: the network read as one test, at operating points and prevalences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from fakd_jax.metrics.precision_recall import average_precision, precision_recall_curve
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.metrics.resampling import proportion

SPECIFICITIES = (0.95,)
PREVALENCES = (0.01,)
CURVE_POINTS = 200
MOST_PROBABLE, ON_VALIDATION, ON_THESE = "most probable class", "validation", "these images"


def tumour_log_odds(logits: Float[np.ndarray, "N C"], negative: int) -> Float[np.ndarray, " N"]:
    """The log-odds of any tumour, log p(tumour) / p(none), float64; it ranks as p(tumour) does.

    From the logits, because probabilities near 1 round to ties.
    """
    others = np.delete(np.asarray(logits, np.float64), negative, axis=1)
    return np.logaddexp.reduce(others, axis=1) - logits[:, negative]


def roc_curve(
    scores: Float[np.ndarray, " N"], positive: Bool[np.ndarray, " N"]
) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, " P"], Float[np.ndarray, " P"]]:
    """The operating points of all thresholds: an image counts as positive from it on.

    Args:
      scores: finite.
      positive: which images should score high; of no such images the sensitivity is 0, of no
        others the specificity is 1.

    Returns:
      Thresholds, falling from infinity, and the sensitivity and specificity of each.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(positive[order])
    last_of_ties = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = hits[last_of_ties]
    alarms = last_of_ties + 1 - hits
    sensitivity = np.concatenate([[0.0], hits / max(positive.sum(), 1)])
    specificity = np.concatenate([[1.0], 1 - alarms / max((~positive).sum(), 1)])
    return np.concatenate([[np.inf], ranked[last_of_ties]]), sensitivity, specificity


def threshold_at(
    scores: Float[np.ndarray, " N"], positive: Bool[np.ndarray, " N"], specificity: float
) -> float:
    """The lowest threshold at which the specificity is at least the one asked for."""
    thresholds, _, specificities = roc_curve(scores, positive)
    return float(thresholds[np.flatnonzero(specificities >= specificity - 1e-12)[-1]])


def predictive_values(
    sensitivity: Mapping[str, Any], specificity: Mapping[str, Any], prevalence: float
) -> dict[str, Any]:
    """Positive and negative predictive value where tumours are as common as given.

    By Bayes' theorem: the odds that a positive answer is right are those of a tumour times the
    likelihood ratio sensitivity / (1 - specificity), and likewise for a negative one. The interval
    of a ratio of independent proportions is that of the difference of their logarithms, recovered
    from Wilson's intervals of both (MOVER: Zou & Donner 2008).

    Args:
      sensitivity: as :func:`fakd_jax.metrics.resampling.proportion` returns it.
      specificity: likewise, of other images.
      prevalence: share of tumours, in (0, 1).

    Returns:
      `prevalence`, `ppv`, `ppv_ci95`, `npv`, `npv_ci95`; a value without images is None.
    """
    values: dict[str, Any] = {"prevalence": prevalence}
    odds = prevalence / (1 - prevalence)
    for name, right, other, prior in (
        ("ppv", sensitivity, specificity, odds),
        ("npv", specificity, sensitivity, 1 / odds),
    ):
        values[name] = values[f"{name}_ci95"] = None
        if right["n"] and other["n"] and (right["rate"] or other["rate"] < 1):
            answered = right["rate"] * prior
            values[name] = answered / (answered + 1 - other["rate"])
            ends = _log_ratio_interval(right, _complement(other))
            values[f"{name}_ci95"] = [_from_log_odds(end + math.log(prior)) for end in ends]
    return values


def detection_metrics(
    predictions: Predictions,
    negative: int,
    validation: Predictions | None,
    *,
    units: Int[np.ndarray, " N"] | None = None,
    specificities: Sequence[float] = SPECIFICITIES,
    prevalences: Sequence[float] = PREVALENCES,
) -> dict[str, Any] | None:
    """`tumour` of `metrics.json`: what the classifier is worth as a test for any tumour.

    Args:
      predictions: for the images evaluated.
      negative: index of the class without a tumour.
      validation: for images that choose thresholds; None without any.
      units: of each image evaluated, from 0 on without gaps; images of one are not independent.
        None for an image each.
      specificities: at which the sensitivity is wanted.
      prevalences: for which predictive values are wanted, besides that of these images.

    Returns:
      `prevalence` of these images, `roc` and `precision_recall` (at most `CURVE_POINTS` operating
      points of each), `average_precision` with `average_precision_ci95`, and `points`: that of the
      most probable class, and for each specificity the threshold that reaches it on
      validation images and the one that does on these images. A threshold is a log-odds of a
      tumour. None if the images are all tumours or none is.
    """
    positive = predictions.labels != negative
    if positive.all() or not positive.any():
        return None
    scores = tumour_log_odds(predictions.logits, negative)
    here = float(positive.mean())

    def point(chosen: str, decided: Bool[np.ndarray, " N"], **facts: Any) -> dict[str, Any]:
        sensitivity = proportion(int(decided[positive].sum()), int(positive.sum()))
        specificity = proportion(int((~decided[~positive]).sum()), int((~positive).sum()))
        return {
            "chosen": chosen,
            **facts,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "predictive_values": [
                predictive_values(sensitivity, specificity, prevalence)
                for prevalence in (here, *prevalences)
            ],
        }

    points = [point(MOST_PROBABLE, predictions.classes != negative)]
    for specificity in specificities:
        for chosen, on in ((ON_VALIDATION, validation), (ON_THESE, predictions)):
            if on is None or not (on.labels == negative).any():
                continue
            on_scores = tumour_log_odds(on.logits, negative)
            threshold = threshold_at(on_scores, on.labels != negative, specificity)
            facts = {
                "target": specificity,
                "threshold": threshold if math.isfinite(threshold) else None,
            }
            points.append(point(chosen, scores >= threshold, **facts))
    area = average_precision(scores, positive, np.arange(len(scores)) if units is None else units)
    return {
        "prevalence": proportion(int(positive.sum()), len(positive)),
        "roc": _roc_rows(scores, positive),
        "average_precision": area.value,
        "average_precision_ci95": area.ci95,
        "precision_recall": _precision_recall_rows(scores, positive),
        "points": points,
    }


def _roc_rows(
    scores: Float[np.ndarray, " N"], positive: Bool[np.ndarray, " N"]
) -> list[dict[str, float]]:
    """Corners of the curve, evenly spread along it if they are many."""
    _, sensitivity, specificity = roc_curve(scores, positive)
    fall = 1 - specificity
    # A point between two others on a straight line says nothing new.
    step = (np.diff(sensitivity) > 0) * 1 + (np.diff(fall) > 0) * 2
    corner = np.concatenate([[True], (step[1:] != step[:-1]) | (step[1:] == 3), [True]])
    kept = np.flatnonzero(corner)
    kept = kept[_spread((sensitivity + fall)[kept])]
    return [
        {"sensitivity": float(sensitivity[i]), "specificity": float(specificity[i])} for i in kept
    ]


def _precision_recall_rows(
    scores: Float[np.ndarray, " N"], positive: Bool[np.ndarray, " N"]
) -> list[dict[str, float]]:
    """Points of the curve by rising recall, evenly spread along it if they are many."""
    _, precision, recall = precision_recall_curve(scores, positive)
    steps = np.abs(np.diff(precision)) + np.diff(recall)
    return [
        {"recall": float(recall[i]), "precision": float(precision[i])}
        for i in _spread(np.concatenate([[0.0], np.cumsum(steps)]))
    ]


def _spread(length: Float[np.ndarray, " P"]) -> Int[np.ndarray, " p"]:
    """Which points of a curve to keep, by the length up to each: both ends, and not too many."""
    if len(length) <= CURVE_POINTS:
        return np.arange(len(length))
    return np.unique(np.searchsorted(length, np.linspace(length[0], length[-1], CURVE_POINTS)))


def _complement(share: Mapping[str, Any]) -> dict[str, Any]:
    low, high = share["ci95"]
    return {"rate": 1 - share["rate"], "ci95": [1 - high, 1 - low]}


def _log_ratio_interval(top: Mapping[str, Any], bottom: Mapping[str, Any]) -> tuple[float, float]:
    """The interval of log(top / bottom), of two shares with their intervals; it may be infinite."""
    over, under = _log(top["rate"]), _log(bottom["rate"])
    top_low, top_high = map(_log, top["ci95"])
    bottom_low, bottom_high = map(_log, bottom["ci95"])

    def end(over_end: float, under_end: float) -> float:
        if math.isinf(under):  # what the other cases tend to
            return over - under_end
        if math.isinf(over):
            return over_end - under
        reach = math.hypot(over - over_end, under - under_end)
        return over - under + math.copysign(reach, over_end - over)

    return end(top_low, bottom_high), end(top_high, bottom_low)


def _log(share: float) -> float:
    return math.log(share) if share > 0 else -math.inf


def _from_log_odds(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0
