"""Sums over images, from which the metrics of conditions and their intervals are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from fakd_jax.metrics.predictions import Predictions
from fakd_jax.metrics.resampling import percentile_interval, resampled_sums, sums_by_unit

_EXTRA = ("missed", "kept", "kept_right", "confidence")
"""Columns of sums, after those of wrong and right images by class."""


@dataclass(frozen=True)
class Sums:
    """Sums over the images of each of K conditions, from which metrics are computed.

    Attributes:
      classes: C. Columns 2c and 2c + 1 count the wrong and the right images of class c.
      negative: the class without a tumour; None if there is none.
      abstains: whether a threshold is known below which the network abstains.
      observed: over all images.
      resampled: over R resamples of whole units.
    """

    classes: int
    negative: int | None
    abstains: bool
    observed: Float[np.ndarray, "K F"]
    resampled: Float[np.ndarray, "R K F"]

    def right(self, members: Sequence[int]) -> Float[np.ndarray, " M"]:
        """The share of right images of some conditions, observed and in the resamples."""
        return _ratio(*self._shares(self._pooled(members))["accuracy"])

    def metrics(self, members: Sequence[int]) -> dict[str, Any]:
        """Metrics of the images of some conditions together, with bootstrap intervals.

        They are the means of the conditions' metrics, except `kept`, in which a condition weighs
        as much as the network predicts in it.

        Returns:
          `accuracy`, `balanced_accuracy` and `confidence`, each with `…_ci95`; and `missed_tumour`,
          `abstained` and `kept` (right, of those not abstained on), each with `count`, `n`, `rate`
          and `ci95`, or None where unknown.
        """
        pooled = self._pooled(members)
        shares = self._shares(pooled)
        values = {
            "accuracy": _ratio(*shares.pop("accuracy")),
            "balanced_accuracy": self._balanced_accuracy(pooled),
            "confidence": _ratio(self._extra(pooled, "confidence"), self._images(pooled)),
        }
        metrics: dict[str, Any] = {}
        for name, value in values.items():
            metrics[name] = float(value[0])
            metrics[f"{name}_ci95"] = percentile_interval(value[1:])
        for name, (count, n) in shares.items():
            rate = _ratio(count, n)
            metrics[name] = {
                "count": round(float(count[0])),
                "n": round(float(n[0])),
                "rate": float(rate[0]) if n[0] else None,
                "ci95": percentile_interval(rate[1:]),
            }
        return {"missed_tumour": None, "abstained": None, "kept": None} | metrics

    def _pooled(self, members: Sequence[int]) -> Float[np.ndarray, "M F"]:
        chosen = list(members)
        observed = self.observed[chosen].sum(axis=0, keepdims=True)
        return np.concatenate([observed, self.resampled[:, chosen].sum(axis=1)])

    def _shares(self, sums: Float[np.ndarray, "M F"]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Counts and what they are out of."""
        images = self._images(sums)
        right = sums[:, 1 : 2 * self.classes : 2].sum(axis=1)
        shares = {"accuracy": (right, images)}
        if self.negative is not None:
            healthy = sums[:, 2 * self.negative : 2 * self.negative + 2].sum(axis=1)
            shares["missed_tumour"] = (self._extra(sums, "missed"), images - healthy)
        if self.abstains:
            kept = self._extra(sums, "kept")
            shares["abstained"] = (images - kept, images)
            shares["kept"] = (self._extra(sums, "kept_right"), kept)
        return shares

    def _balanced_accuracy(self, sums: Float[np.ndarray, "M F"]) -> Float[np.ndarray, " M"]:
        """Over the classes that have images; NaN in a resample without one of them."""
        by_class = sums[:, : 2 * self.classes].reshape(len(sums), self.classes, 2)
        support = by_class.sum(axis=2)
        recall = _ratio(by_class[:, :, 1], support)
        return recall[:, support[0] > 0].mean(axis=1)

    def _images(self, sums: Float[np.ndarray, "M F"]) -> Float[np.ndarray, " M"]:
        return sums[:, : 2 * self.classes].sum(axis=1)

    def _extra(self, sums: Float[np.ndarray, "M F"], name: str) -> Float[np.ndarray, " M"]:
        return sums[:, 2 * self.classes + _EXTRA.index(name)]


def sum_conditions(
    predictions: Sequence[Predictions],
    units: Int[np.ndarray, " N"],
    *,
    classes: int,
    negative: int | None,
    threshold: float | None,
) -> Sums:
    """Sums up conditions; all share the resamples, as do networks on the same images.

    Args:
      predictions: for the same images under each condition.
      units: of each image, from 0 on without gaps; images of one unit are not independent.
      classes: C.
      negative: the class without a tumour; None if there is none.
      threshold: of confidence, below which the network abstains; None if unknown.
    """
    by_unit = np.stack(
        [_sums(each, units, classes, negative, threshold) for each in predictions], axis=1
    )
    resampled = resampled_sums(by_unit.reshape(len(by_unit), -1))
    return Sums(
        classes,
        negative,
        threshold is not None,
        by_unit.sum(axis=0),
        resampled.reshape(len(resampled), *by_unit.shape[1:]),
    )


def _sums(
    predictions: Predictions,
    units: Int[np.ndarray, " N"],
    classes: int,
    negative: int | None,
    threshold: float | None,
) -> Float[np.ndarray, "U F"]:
    labels, right = predictions.labels.astype(np.int64), ~predictions.wrong
    tumour = labels != (-1 if negative is None else negative)
    missed = tumour & (predictions.classes == (-1 if negative is None else negative))
    kept = predictions.confidence >= (0.0 if threshold is None else threshold)
    extra = {
        "missed": missed,
        "kept": kept,
        "kept_right": kept & right,
        "confidence": predictions.confidence,
    }
    first = np.zeros_like(units)
    return np.hstack(
        [
            sums_by_unit(units, 2 * labels + right, 2 * classes),
            *(sums_by_unit(units, first, 1, extra[name].astype(float)) for name in _EXTRA),
        ]
    )


def _ratio(
    counts: Float[np.ndarray, "*M"], totals: Float[np.ndarray, "*M"]
) -> Float[np.ndarray, "*M"]:
    """NaN where the total is 0."""
    undefined = np.full_like(counts, np.nan)
    ratios: Float[np.ndarray, "*M"] = np.divide(counts, totals, out=undefined, where=totals > 0)
    return ratios
