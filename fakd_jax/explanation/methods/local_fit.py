"""How well a linear model that was fitted near one image follows the network there."""

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

    Below 0 where a constant would fit better, as can be where the fit is constrained.

    Args:
      values: yₙ, what the network answers to each perturbed image.
      fitted: ŷₙ.
      sample_weights: cₙ, not negative, with a positive sum if there are any.

    Returns:
      At most 1. None where there are no images, or where their answers, so weighted, have a
      standard deviation that is rounding: then there is nothing on them to follow. (That says
      nothing of images that are not among them, such as the two that KernelSHAP meets exactly.)
    """
    if not len(values):
        return None
    mean = np.average(values, weights=sample_weights)
    variance = np.average((values - mean) ** 2, weights=sample_weights)
    if variance < NEGLIGIBLE**2:
        return None
    return float(1 - np.average((values - fitted) ** 2, weights=sample_weights) / variance)
