"""Local fidelity: does the network do what the explanation says on held-out perturbations?

Every method is read as an additive model: the probability under a mask is a constant plus, times
one scale, the sum of the visible superpixels' contributions. How much of the network's outputs for
new masks that model explains is R², LIME's own score (Ribeiro, Singh & Guestrin 2016), but on
masks to which no method was fitted and by one rule for all. A superpixel's contribution is read off
the attribution as its mean, which is what methods that weigh superpixels mean, and as its sum,
which is what methods that weigh pixels mean; the better reading counts, for methods and controls
alike. R² is the square of the faithfulness correlation of Bhatt, Weller & Moura (2020), and 1 less
the infidelity of Yeh et al. (2019) at the best scale and offset over the variance of the
probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from fakd_jax.explanation.result import NEGLIGIBLE, Explanation
from fakd_jax.explanation.scene.scene import Scene, predict_visible
from fakd_jax.inference.network import Network

SAMPLES = 200
STREAM = 0x4649  # keeps these draws apart from a method's with the same seed


@dataclass(frozen=True)
class HeldOut:
    """A network's outputs for masks that no explanation has used; they serve all methods.

    Attributes:
      visible: which superpixels each of N masked inputs shows.
      probabilities: of the C classes.
    """

    visible: Bool[np.ndarray, "N S"]
    probabilities: Float[np.ndarray, "N C"]


def predict_held_out(scene: Scene, network: Network, seed: int, samples: int = SAMPLES) -> HeldOut:
    """Draws masks of the scene's superpixels and predicts the masked inputs.

    Raises:
      ValueError: fewer than 3 samples.
    """
    visible = draw_held_out(samples, scene.count, seed)
    return HeldOut(visible, predict_visible(network, scene, visible))


def draw_held_out(samples: int, superpixels: int, seed: int) -> Bool[np.ndarray, "N S"]:
    """Masks by fair coins, all of equal weight.

    Weights by closeness to the whole image would be those that LIME fits by, and would hardly
    differ: nearly all masks show about half of the superpixels.

    Raises:
      ValueError: fewer than 3 samples (a line through two points always fits).
    """
    if samples < 3:
        raise ValueError(f"fidelity needs at least 3 held-out images, not {samples}")
    generator = np.random.default_rng([STREAM, seed])
    return generator.integers(0, 2, (samples, superpixels)).astype(bool)


def local_fidelity(held_out: HeldOut, explanation: Explanation) -> float | None:
    """How much of the probability's variation an explanation follows, in the better reading.

    Returns:
      The larger :func:`r2`, of its superpixels' weights and of those times their areas; None
      where there was nothing to follow.
    """
    segments, weights = explanation.segments, explanation.weights
    areas = np.bincount(segments[segments >= 0], minlength=len(weights))
    observed = held_out.probabilities[:, explanation.class_index].astype(np.float64)
    found = [r2(held_out.visible @ added, observed) for added in (weights, weights * areas)]
    return max((value for value in found if value is not None), default=None)


def r2(predicted: Float[np.ndarray, " N"], observed: Float[np.ndarray, " N"]) -> float | None:
    """R² of `observed` ≈ offset + scale · `predicted`, by least squares with scale >= 0.

    Offset and scale are free, as each method has a unit of its own; the sign is not, as an
    explanation that says the opposite is wrong. So it is the square of Pearson's correlation
    where that is positive, and 0 elsewhere, also where `predicted` is constant.

    Args:
      predicted: finite, at least 3.
      observed: probabilities.

    Returns:
      In [0, 1], about 1 / 2N by chance; None where the probability is constant.

    Raises:
      ValueError: lengths that differ, fewer than 3 values, or values that are not finite.
    """
    if predicted.shape != observed.shape or len(observed) < 3:
        raise ValueError(f"{predicted.shape} predicted values for {observed.shape} observed ones")
    if not (np.isfinite(predicted).all() and np.isfinite(observed).all()):
        raise ValueError("predicted and observed values must be finite")
    if np.ptp(observed) < NEGLIGIBLE:
        return None
    size = np.abs(predicted).max()
    if np.ptp(predicted) <= NEGLIGIBLE * size:  # equal but for rounding
        return 0.0
    x = predicted / size - (predicted / size).mean()
    y = observed - observed.mean()
    covariance = x @ y
    return min(1.0, float(covariance**2 / ((x @ x) * (y @ y)))) if covariance > 0 else 0.0
