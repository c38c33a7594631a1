"""Does the network do what the explanation says, where it was not looked at? Local fidelity.

Every method is read as an additive model: the probability with some superpixels hidden is a
constant and, times one scale, the sum of what the shown ones contribute. How much of the network's
answers to new hidings that model follows is R², LIME's own score (Ribeiro, Singh & Guestrin 2016),
but taken on hidings that no method was fitted to and by the same rule for all: what a superpixel
contributes is read off the attribution in two ways, as its mean and as its sum, and the better counts, for
methods and controls alike. The first is what a method means that weighs superpixels, the second one
that weighs pixels. R² is the square of
the faithfulness correlation of Bhatt, Weller & Moura (2020), and 1 less the infidelity of Yeh et
al. (2019) at the best scale and offset, over the variance of the probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from fakd_jax.explanation.result import NEGLIGIBLE, Explanation
from fakd_jax.explanation.scene.scene import Scene, predict_visible
from fakd_jax.inference.network import Network

SAMPLES = 200
STREAM = 0x4649  # keeps these draws apart from those of a method that is given the same seed


@dataclass(frozen=True)
class HeldOut:
    """A network's answers to hidings that no explanation has seen; they serve all methods.

    Attributes:
      shown: which of the S superpixels each of N images shows.
      probabilities: of the C classes in each.
    """

    shown: Bool[np.ndarray, "N S"]
    probabilities: Float[np.ndarray, "N C"]


def ask_held_out(scene: Scene, network: Network, seed: int, samples: int = SAMPLES) -> HeldOut:
    """Asks the network about `samples` hidings of the scene's superpixels.

    Raises:
      ValueError: see :func:`draw_hidings`.
    """
    shown = draw_hidings(samples, scene.count, seed)
    return HeldOut(shown, predict_visible(network, scene, shown))


def draw_hidings(samples: int, superpixels: int, seed: int) -> Bool[np.ndarray, "N S"]:
    """Which superpixels each of `samples` images shows: fair coins.

    All images count the same. Weights by closeness to the whole image would be those that LIME
    fits by, a home advantage; and under fair coins they hardly differ, for nearly all images hide
    about half of the superpixels.

    Raises:
      ValueError: fewer than 3 samples (a line through two points always fits).
    """
    if samples < 3:
        raise ValueError(f"fidelity needs at least 3 held-out images, not {samples}")
    generator = np.random.default_rng([STREAM, seed])
    return generator.integers(0, 2, (samples, superpixels)).astype(bool)


def readings_of(explanation: Explanation) -> tuple[Float[np.ndarray, " S"], ...]:
    """What showing each superpixel may add, in a unit of the method's own: two readings.

    Returns:
      The superpixels' weights, which are the means of their attribution, and the sums of their attribution.
    """
    segments = explanation.segments
    areas = np.bincount(segments[segments >= 0], minlength=len(explanation.weights))
    return explanation.weights, explanation.weights * areas


def local_fidelity(held_out: HeldOut, explanation: Explanation) -> float | None:
    """How much of the probability's variation an explanation follows, in the better reading.

    Args:
      held_out: the network's answers to new hidings.
      explanation: of the class whose probability is meant.

    Returns:
      The larger :func:`r2` of its :func:`readings_of`; None where there was nothing to follow.
    """
    observed = held_out.probabilities[:, explanation.class_index].astype(np.float64)
    found = [r2(held_out.shown @ added, observed) for added in readings_of(explanation)]
    return max((value for value in found if value is not None), default=None)


def r2(predicted: Float[np.ndarray, " N"], observed: Float[np.ndarray, " N"]) -> float | None:
    """R² of `observed` ≈ offset + scale · `predicted`, by least squares with scale >= 0.

    Offset and scale are free, for a method's unit is its own; the sign is not, for an explanation
    that says the opposite is wrong. So it is the square of Pearson's correlation where that is
    positive, and 0 elsewhere: there, and where `predicted` never moves, the best line is flat.

    Args:
      predicted: finite.
      observed: probabilities.

    Returns:
      In [0, 1], about 1 / 2N by chance; None where the probability never moved and there was
      nothing to follow.

    Raises:
      ValueError: lengths that differ, fewer than 3 values, or values that are not finite.
    """
    if predicted.shape != observed.shape or len(observed) < 3:
        raise ValueError(f"{predicted.shape} predictions of {observed.shape} answers")
    if not (np.isfinite(predicted).all() and np.isfinite(observed).all()):
        raise ValueError("predictions and answers must be finite")
    if np.ptp(observed) < NEGLIGIBLE:
        return None
    size = np.abs(predicted).max()
    if np.ptp(predicted) <= NEGLIGIBLE * size:  # equal, but for rounding
        return 0.0
    x = predicted / size - (predicted / size).mean()
    y = observed - observed.mean()
    covariance = x @ y
    return min(1.0, float(covariance**2 / ((x @ x) * (y @ y)))) if covariance > 0 else 0.0
