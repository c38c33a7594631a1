"""Calibration of probabilities, and temperature scaling."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from fakd_jax.metrics.resampling import proportion

CALIBRATION_BINS = 15
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.1, 10.0
INVERSE_TEMPERATURE_TOLERANCE = 1e-10


def expected_calibration_error(
    probabilities: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    bins: int = CALIBRATION_BINS,
) -> float:
    """Top-label ECE over equal-width bins (lower, upper] of confidence (Guo et al. 2017, eq. 3).

    The mean over examples of |accuracy - mean confidence| of their bin, in [0, 1].
    """
    _, confidence, right = _binned(probabilities, labels, bins)
    return float(np.abs(right - confidence).sum() / len(labels))


def reliability_bins(
    probabilities: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    bins: int = CALIBRATION_BINS,
) -> list[dict[str, Any]]:
    """The reliability diagram over the bins of the ECE: accuracy by confidence.

    Returns:
      One dict per bin (`low`, `high`]: `n`, mean `confidence`, `accuracy` and its Wilson interval
      `accuracy_ci95`; the last three are None in an empty bin.
    """
    edges = np.linspace(0, 1, bins + 1)
    rows = []
    for low, high, n, confidence, right in zip(
        edges[:-1], edges[1:], *_binned(probabilities, labels, bins), strict=True
    ):
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


def negative_log_likelihood(
    probabilities: Float[np.ndarray, "N C"], labels: Int[np.ndarray, " N"]
) -> float:
    """Mean of -log p(true class), in nats.

    Probabilities are at least the smallest normal float32: one example costs at most 87.3 nats.
    """
    picked = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(picked, np.finfo(np.float32).tiny)).mean())


def brier_score(probabilities: Float[np.ndarray, "N C"], labels: Int[np.ndarray, " N"]) -> float:
    """Mean over examples of Σ_c (p_c - [c is true])², in [0, 2] (Brier 1950)."""
    truth = np.eye(probabilities.shape[1])[labels]
    return float(np.square(probabilities - truth).sum(axis=1).mean())


def calibration_scores(
    probabilities: Float[np.ndarray, "N C"], labels: Int[np.ndarray, " N"]
) -> dict[str, float]:
    """`ece`, `nll` and `brier`."""
    return {
        "ece": expected_calibration_error(probabilities, labels),
        "nll": negative_log_likelihood(probabilities, labels),
        "brier": brier_score(probabilities, labels),
    }


class TemperatureFit(NamedTuple):
    """A temperature, and a caveat for the user where there is one."""

    value: float
    note: str | None


def fit_temperature(
    logits: Float[np.ndarray, "N C"], labels: Int[np.ndarray, " N"]
) -> TemperatureFit:
    """The temperature T that minimises the mean NLL of softmax(logits / T) (Guo et al. 2017).

    The NLL is convex in β = 1/T; its slope, the mean of E[z] - z_true with E over softmax(βz), has
    one zero, found to 1e-10 in β (Brent's method). T is kept within [0.1, 10], with a note: it
    would go to 0 where all true classes have the largest logits, and to infinity where the logits
    carry no information. The images must not be those that the weights were fitted to.
    """
    from scipy.optimize import brentq
    from scipy.special import softmax

    z = logits.astype(np.float64)
    z_true = z[np.arange(len(labels)), labels]

    def slope(inverse: float) -> float:
        expected = np.sum(softmax(inverse * z, axis=1) * z, axis=1)
        return float(np.mean(expected - z_true))

    lowest, highest = 1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE
    if slope(lowest) >= 0:
        return TemperatureFit(
            HIGHEST_TEMPERATURE,
            f"the temperature is at its upper bound, {HIGHEST_TEMPERATURE:g}: the network's "
            "confidence on the validation images carries no information",
        )
    if slope(highest) <= 0:
        return TemperatureFit(
            LOWEST_TEMPERATURE,
            f"the temperature is at its lower bound, {LOWEST_TEMPERATURE:g}: (nearly) all "
            "validation images are classified correctly, which leaves no uncertainty to calibrate",
        )
    inverse = brentq(slope, lowest, highest, xtol=INVERSE_TEMPERATURE_TOLERANCE)
    return TemperatureFit(1 / inverse, None)


def scale_logits(logits: Float[np.ndarray, "N C"], temperature: float) -> Float[np.ndarray, "N C"]:
    """softmax(logits / temperature), in float64."""
    from scipy.special import softmax

    scaled: Float[np.ndarray, "N C"] = softmax(logits.astype(np.float64) / temperature, axis=1)
    return scaled


def _binned(
    probabilities: Float[np.ndarray, "N C"], labels: Int[np.ndarray, " N"], bins: int
) -> tuple[Int[np.ndarray, " B"], Float[np.ndarray, " B"], Float[np.ndarray, " B"]]:
    """For each bin of confidence: examples, the sum of their confidences, correct predictions."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    # `right=True`: a value on an inner edge belongs to the bin below it.
    bin_of = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    sums = [np.bincount(bin_of, weights, minlength=bins) for weights in (confidence, right)]
    return np.bincount(bin_of, minlength=bins), sums[0], sums[1]
