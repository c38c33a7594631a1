"""The expected calibration error: its bins, its interval, and what chance alone makes of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fakd_jax.metrics.resampling import (
    CONFIDENCE,
    ROUNDING,
    SEED,
    WEIGHTS_AT_ONCE,
    proportion,
    resampled_sums,
    sums_by_unit,
)

CALIBRATION_BINS = 15
SIMULATIONS = 1_000
LEAST_SIMULATIONS = 100
LOWEST_PERCENTILE, HIGHEST_PERCENTILE = 50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)
MOST_SIMULATED = 200_000_000  # labels in all: seconds, whatever the number of images


class CalibrationError(NamedTuple):
    """The ECE of a sample, in [0, 1], and how far chance accounts for it.

    Attributes:
      value: of the sample. It exceeds the network's own, most of all where images are few.
      ci95: of the network's own; it contains `value`. None where no prediction is wrong, none is
        right, or all resamples agree.
      if_calibrated: the mean ECE of samples of a network that has these confidences and is
        calibrated.
    """

    value: float
    ci95: list[float] | None
    if_calibrated: float


class _Binned(NamedTuple):
    """Top-label confidences, which of them are right, and the bin of each."""

    confidence: Float[np.ndarray, " N"]
    right: Bool[np.ndarray, " N"]
    bin_of: Int[np.ndarray, " N"]
    bins: int

    def sums(self, values: np.ndarray | None = None) -> np.ndarray:
        """Sums over the images of each bin; their number without values."""
        return np.bincount(self.bin_of, values, self.bins)

    def gaps(self) -> Float[np.ndarray, " B"]:
        """Right predictions minus the sum of confidences of each bin."""
        return self.sums(self.right) - self.sums(self.confidence)

    def error(self) -> float:
        """The ECE."""
        return float(np.abs(self.gaps()).sum() / len(self.right))


def expected_calibration_error(
    probabilities: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    bins: int = CALIBRATION_BINS,
) -> float:
    """Top-label ECE over equal-width bins (lower, upper] of confidence (Guo et al. 2017, eq. 3).

    The mean over examples of |accuracy - mean confidence| of their bin, in [0, 1].
    """
    return _binned(probabilities, labels, bins).error()


def calibration_error(
    probabilities: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    units: Int[np.ndarray, " N"],
) -> CalibrationError:
    """The ECE with its interval, and the ECE expected of a calibrated network.

    Each bin's gap between accuracy and confidence adds its absolute value to the ECE, and so does
    its sampling error: the ECE is biased upwards (Kumar, Liang & Ma 2019; Roelofs et al. 2022).

    `if_calibrated` draws labels from the confidences themselves: an image is right with a
    probability equal to its confidence. The images of a unit share one draw, as duplicates share
    their class.

    The interval inverts a test. Of the networks whose gaps are s times those observed it contains
    the ECE of those for which the ECE observed is no outlier, the gaps' errors taken from a
    bootstrap of units. It reaches down to 0 where a calibrated network's is no outlier, and up as
    if the ECE were at least what these errors alone make of it (a power-constrained limit: Cowan et
    al. 2011): an ECE that is small by luck gives no small upper end.

    Args:
      probabilities: rows sum to 1.
      labels: class indices.
      units: of each image, from 0 on without gaps.
    """
    binned = _binned(probabilities, labels, CALIBRATION_BINS)
    value, gaps = binned.error(), binned.gaps() / len(labels)
    calibrated = _simulate_calibrated(binned, units)
    errors = _resampled_gaps(binned, units) - gaps
    is_outlier = bool(value > np.percentile(calibrated, HIGHEST_PERCENTILE))
    varied = np.abs(errors).max() > ROUNDING
    known = varied and binned.right.any() and not binned.right.all()
    interval = _interval(value, gaps, errors, is_outlier) if known else None
    return CalibrationError(value, interval, float(calibrated.mean()))


def reliability_bins(
    probabilities: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    bins: int = CALIBRATION_BINS,
) -> list[dict[str, Any]]:
    """The reliability diagram over the bins of the ECE: accuracy by confidence.

    Returns:
      One dict per bin (`low`, `high`): `n`, mean `confidence`, `accuracy` and its Wilson interval
      `accuracy_ci95`; the last three are None in an empty bin.
    """
    edges, binned = np.linspace(0, 1, bins + 1), _binned(probabilities, labels, bins)
    columns = binned.sums(), binned.sums(binned.confidence), binned.sums(binned.right)
    rows = []
    for low, high, n, confidence, right in zip(edges[:-1], edges[1:], *columns, strict=True):
        accuracy = proportion(int(right), int(n))
        rows.append(
            {
                "low": float(low),
                "high": float(high),
                "n": int(n),
                "confidence": float(confidence / n) if n else None,
                "accuracy": accuracy["rate"],
                "accuracy_ci95": accuracy["ci95"],
            }
        )
    return rows


def _binned(
    probabilities: Float[np.ndarray, "N C"], labels: Int[np.ndarray, " N"], bins: int
) -> _Binned:
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    # `right=True`: a value on an inner edge belongs to the bin below it.
    bin_of = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    return _Binned(confidence, right, bin_of, bins)


def _simulate_calibrated(binned: _Binned, units: Int[np.ndarray, " N"]) -> Float[np.ndarray, " S"]:
    """The ECE of samples whose labels are drawn from the confidences, one draw per unit."""
    n, count = len(units), int(units.max()) + 1
    random = np.random.default_rng(SEED)
    order = np.argsort(binned.bin_of, kind="stable")
    confidence, units = binned.confidence[order].astype(np.float32), units[order]
    filled = np.unique(binned.bin_of)
    starts = np.searchsorted(binned.bin_of[order], filled)
    expected = binned.sums(binned.confidence)[filled]
    simulations = int(np.clip(MOST_SIMULATED // n, LEAST_SIMULATIONS, SIMULATIONS))
    at_once = max(1, WEIGHTS_AT_ONCE // n)
    found = []
    for start in range(0, simulations, at_once):
        draws = random.random((min(at_once, simulations - start), count), np.float32)
        right = draws[:, units] < confidence
        counts = np.add.reduceat(right, starts, axis=1, dtype=np.int64)
        found.append(np.abs(counts - expected).sum(axis=1) / n)
    return np.concatenate(found)


def _resampled_gaps(binned: _Binned, units: Int[np.ndarray, " N"]) -> Float[np.ndarray, "R B"]:
    """The gaps of bootstrap samples of units."""
    gaps = sums_by_unit(units, binned.bin_of, binned.bins, binned.right - binned.confidence)
    images = sums_by_unit(units, np.zeros_like(units), 1)
    sums = resampled_sums(np.hstack([gaps, images]))
    return sums[:, :-1] / sums[:, -1:]


def _interval(
    value: float,
    gaps: Float[np.ndarray, " B"],
    errors: Float[np.ndarray, "R B"],
    is_outlier: bool,
) -> list[float]:
    """The ECEs of the networks whose gaps are scaled and that the ECE observed is no outlier of."""
    from scipy.optimize import brentq

    spread = errors.std(axis=0)
    pattern = gaps / value if value else spread / spread.sum()

    def beyond(error: float, percentile: float, observed: float) -> float:
        """How far a percentile of samples' ECEs lies above an ECE, given the network's own."""
        samples = np.abs(error * pattern + errors).sum(axis=1)
        return float(np.percentile(samples, percentile)) - observed

    noise, low = np.abs(errors).sum(axis=1), 0.0
    least, largest = (0.0, HIGHEST_PERCENTILE, value), (value, HIGHEST_PERCENTILE, value)
    if is_outlier and beyond(*least) < 0 < beyond(*largest):
        low = brentq(beyond, 0, value, args=largest[1:])
    # An ECE that is small by luck does not make the network's own smaller than can be seen.
    seen = max(value, float(np.median(noise)))
    high = value
    if beyond(value, LOWEST_PERCENTILE, seen) < 0:
        # Of few units, many samples are the noisiest one: there rounding may decide the sign.
        high = seen + float(noise.max())
        if beyond(high, LOWEST_PERCENTILE, seen) > 0:
            high = brentq(beyond, value, high, args=(LOWEST_PERCENTILE, seen))
    return [low, min(high, 1.0)]
