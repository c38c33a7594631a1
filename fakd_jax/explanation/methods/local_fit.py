"""How well a linear model fitted near one image follows the network there."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fakd_jax.explanation.result import NEGLIGIBLE


def weighted_r2(
    values: Float[np.ndarray, " N"],
    fitted: Float[np.ndarray, " N"],
    sample_weights: Float[np.ndarray, " N"],
) -> float | None:
    """The weighted R² of a fit, 1 - Σ cₙ (yₙ - ŷₙ)² / Σ cₙ (yₙ - ȳ)², ȳ being the weighted mean.

    Args:
      values: yₙ, the network's output for each perturbed image.
      fitted: ŷₙ.
      sample_weights: cₙ, not negative, with a positive sum if there are any.

    Returns:
      At most 1; below 0 where a constant would fit better, as under a constraint. None without
      images, or where the standard deviation of their outputs, so weighted, is only rounding.
    """
    if not len(values):
        return None
    mean = np.average(values, weights=sample_weights)
    variance = np.average((values - mean) ** 2, weights=sample_weights)
    if variance < NEGLIGIBLE**2:
        return None
    return float(1 - np.average((values - fitted) ** 2, weights=sample_weights) / variance)
