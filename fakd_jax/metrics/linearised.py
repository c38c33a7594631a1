"""Intervals from influence functions: what the metric changes by as one image's weight grows.

The variance of a smooth metric is that of the sum of its images' influences, images of one unit
added up first (the infinitesimal jackknife: Efron 1982; for units of several images, Davison &
Hinkley 1997, section 2.7). It costs one pass over the images, and no random numbers.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

from fakd_jax.metrics.resampling import CONFIDENCE, ROUNDING

LARGEST_EXPONENT = 300.0  # no interval that wide says more


def standard_error(influence: Float[np.ndarray, " N"], units: Int[np.ndarray, " N"]) -> float:
    """The standard error of a metric from its N images' influences, which sum to about 0.

    Args:
      influence: of each image on the metric; for a mean (value - mean) / N.
      units: of each image, from 0 on without gaps. Images of one unit count together.
    """
    by_unit = np.bincount(units, influence)
    count = len(by_unit)
    return math.sqrt(count / (count - 1) * float(by_unit @ by_unit)) if count > 1 else 0.0


def log_interval(
    value: float, error: float, units: int, *, most: float = math.inf
) -> list[float] | None:
    """The interval of a positive metric, symmetric in its logarithm, by Student's t.

    Means of rare large costs, such as the negative log-likelihood, are skewed; on this scale the
    interval covers them more often than a symmetric one or the percentile bootstrap.

    Args:
      value: of the metric.
      error: its standard error.
      units: their number, for the degrees of freedom.
      most: the largest value that the metric can have.

    Returns:
      [low, high]; None where the standard error is 0 but for rounding, or there is but one unit.
    """
    if not (value > 0 and error > ROUNDING * value and units > 1):
        return None
    reach = _reach(error / value, units)
    return [value / reach, min(value * reach, most)]


def logit_interval(value: float, error: float, units: int) -> list[float] | None:
    """As :func:`log_interval`, for a metric within (0, 1) and symmetric in its logit."""
    if not (0 < value < 1 and error > ROUNDING * value and units > 1):
        return None
    reach = _reach(error / value / (1 - value), units)
    odds = value / (1 - value)
    return [odds / (odds + reach), odds / (odds + 1 / reach)]


def _reach(error: float, units: int) -> float:
    """The factor between a value and an end of its interval, from the error of its logarithm."""
    from scipy.stats import t as student

    quantile = float(student.ppf((1 + CONFIDENCE) / 2, units - 1))
    return math.exp(min(quantile * error, LARGEST_EXPONENT))
