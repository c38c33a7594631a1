"""Scores of probabilities, and temperature scaling."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from fakd_jax.metrics.calibration_error import calibration_error
from fakd_jax.metrics.linearised import log_interval, standard_error

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.1, 10.0
INVERSE_TEMPERATURE_TOLERANCE = 1e-10


def log_losses(
    probabilities: Float[np.ndarray, "N C"], labels: Int[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """-log p(true class) of each example, in nats; its mean is the negative log-likelihood.

    Probabilities are at least the smallest normal float32: one example costs at most 87.3 nats.
    """
    picked = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    losses: Float[np.ndarray, " N"] = -np.log(np.maximum(picked, np.finfo(np.float32).tiny))
    return losses


def squared_errors(
    probabilities: Float[np.ndarray, "N C"], labels: Int[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """Σ_c (p_c - [c is true])² of each example, in [0, 2]; the mean is Brier's score (1950)."""
    errors = probabilities.astype(np.float64)
    errors[np.arange(len(labels)), labels] -= 1
    squares: Float[np.ndarray, " N"] = np.square(errors, out=errors).sum(axis=1)
    return squares


def calibration_scores(
    probabilities: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    units: Int[np.ndarray, " N"],
) -> dict[str, Any]:
    """`ece`, `nll` and `brier` with their intervals (`…_ci95`), and `ece_if_calibrated`.

    Args:
      probabilities: rows sum to 1.
      labels: class indices.
      units: of each image, from 0 on without gaps; images of one unit are not independent.
    """
    error = calibration_error(probabilities, labels, units)
    return {
        "ece": error.value,
        "ece_ci95": error.ci95,
        "ece_if_calibrated": error.if_calibrated,
        **_mean("nll", log_losses(probabilities, labels), units),
        **_mean("brier", squared_errors(probabilities, labels), units, most=2.0),
    }


def _mean(
    name: str,
    values: Float[np.ndarray, " N"],
    units: Int[np.ndarray, " N"],
    most: float = math.inf,
) -> dict[str, float | list[float] | None]:
    mean, count = float(values.mean()), int(units.max()) + 1
    error = standard_error((values - mean) / len(values), units)
    return {name: mean, f"{name}_ci95": log_interval(mean, error, count, most=most)}


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
