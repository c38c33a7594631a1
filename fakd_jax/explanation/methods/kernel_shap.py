"""KernelSHAP (Lundberg & Lee 2017): Shapley values of superpixels, by weighted regression.

A set of visible superpixels is a coalition; its value is the probability of the class. A
superpixel's Shapley value is what it adds to the coalitions without it, averaged over all orders
in which superpixels may join. Shapley values are also the weights of the linear model that fits
the coalitions' values best under the Shapley kernel (Charnes et al. 1988) and meets those of the
empty and the full coalition exactly. That regression needs only a sample of the coalitions, drawn
here in pairs of a coalition and its complement, as Covert & Lee advise (2021, "Improving
KernelSHAP", section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import comb
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.local_fit import weighted_r2
from fakd_jax.explanation.methods.resampling import (
    MIN_SAMPLES,
    SampledExplainer,
    resampled_sampling,
)
from fakd_jax.explanation.result import Explanation, LocalFit, from_weights
from fakd_jax.explanation.scene.scene import Scene, predict_visible
from fakd_jax.inference.network import Network

SINGULAR = 1e-10
"""Eigenvalues below this fraction of the largest count as zero: no coalition separates them."""


@dataclass(frozen=True)
class KernelShapExplainer(SampledExplainer):
    """KernelSHAP, exact if all coalitions fit the budget, by sampling otherwise.

    Attributes:
      num_samples: perturbed images besides the empty and the full coalition; even, at least 20.
        If it suffices for all 2^S - 2 coalitions, the weights are exactly the Shapley values.
        Otherwise half as many pairs are drawn; several times the number of superpixels are needed
        (see :func:`shapley_regression`).
      top: how many of the heaviest superpixels have to be stable.
    """

    name: ClassVar[str] = "kernel-shap"
    libraries: ClassVar[tuple[str, ...]] = ("numpy",)

    num_samples: int = 1000
    top: int = 3

    def __post_init__(self) -> None:
        if self.num_samples < MIN_SAMPLES or self.num_samples % 2:
            raise UserError(
                f"num_samples is {self.num_samples}; KernelSHAP draws pairs: give an even number, "
                f"at least {MIN_SAMPLES} (default 1000)"
            )

    def settings(self) -> dict[str, Any]:
        """See :class:`Explainer`."""
        coalitions = "all where num_samples suffices, else pairs by the Shapley kernel"
        return super().settings() | {"coalitions": coalitions}

    @property
    def num_predictions(self) -> int:
        """The coalitions, the empty and the full one included."""
        return self.num_samples + 2

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Explains one class's probability; the weights sum to p(image) - p(all replaced).

        The fit's R² is that on the coalitions queried, the empty and the full one excluded: None
        where their values do not differ, though the weights may, and below 0 where a constant
        would fit better, as for a network that needs all superpixels at once.
        """
        coalitions = choose_coalitions(scene.count, self.num_samples, seed)
        empty, full = np.zeros((1, scene.count), bool), np.ones((1, scene.count), bool)
        visible = np.concatenate([empty, full, coalitions.visible])
        probabilities = _probabilities(network, scene, class_index, visible)
        none, whole, values = float(probabilities[0]), float(probabilities[1]), probabilities[2:]
        refit = partial(shapley_regression, coalitions.visible, values, none, whole)
        weights = refit(coalitions.kernel[None])[0]
        fitted = none + coalitions.visible @ weights
        fit = LocalFit(none, whole, weighted_r2(values, fitted, coalitions.kernel))
        sampling = None
        if coalitions.pairs is not None:
            sampling = resampled_sampling(
                refit, len(values), units=coalitions.pairs, top=self.top, seed=seed
            )
        return from_weights(scene, class_index, weights, fit=fit, sampling=sampling)


@dataclass(frozen=True)
class Coalitions:
    """The coalitions to query, the empty and the full one excluded.

    Attributes:
      visible: which superpixels each shows.
      kernel: the weight of each in the regression, above 0; 1 for those drawn at random, as the
        Shapley kernel is in their distribution.
      pairs: the same number for a coalition and its complement, which are drawn, and resampled,
        as one. None where they are all there are.
    """

    visible: Bool[np.ndarray, "N S"]
    kernel: Float[np.ndarray, " N"]
    pairs: Int[np.ndarray, " N"] | None


def choose_coalitions(count: int, num_samples: int, seed: int) -> Coalitions:
    """All coalitions of `count` superpixels if at most `num_samples` (even), else a sample."""
    if 2**count - 2 <= num_samples:
        numbers = np.arange(1, 2**count - 1)
        visible = (numbers[:, None] >> np.arange(count) & 1).astype(bool)
        return Coalitions(visible, _shapley_kernel(count)[visible.sum(axis=1) - 1], pairs=None)
    half = draw_coalitions(count, num_samples // 2, seed)
    visible = np.stack([half, ~half], axis=1).reshape(num_samples, count)
    return Coalitions(visible, np.ones(num_samples), pairs=np.arange(num_samples) // 2)


def draw_coalitions(count: int, num_coalitions: int, seed: int) -> Bool[np.ndarray, "N S"]:
    """Coalitions of at least 2 superpixels drawn by the Shapley kernel: the size, then the set."""
    random = np.random.default_rng(seed)
    sizes = np.arange(1, count)
    chances = 1 / (sizes * (count - sizes))  # of a size: its kernel times its coalitions
    drawn = random.choice(sizes, size=(num_coalitions, 1), p=chances / chances.sum())
    orders = random.permuted(np.tile(np.arange(count), (num_coalitions, 1)), axis=1)
    return orders < drawn


def _probabilities(
    network: Network, scene: Scene, class_index: int, visible: Bool[np.ndarray, "N S"]
) -> Float[np.ndarray, " N"]:
    """The class's probability for each coalition; those drawn repeatedly are queried once."""
    distinct, which = np.unique(visible, axis=0, return_inverse=True)
    probabilities = predict_visible(network, scene, distinct)[:, class_index]
    return probabilities.astype(np.float64)[which]


def shapley_regression(
    visible: Bool[np.ndarray, "N S"],
    values: Float[np.ndarray, " N"],
    none: float,
    whole: float,
    sample_weights: Float[np.ndarray, "B N"],
) -> Float[np.ndarray, "B S"]:
    """Shapley values by least squares, for each of B weightings of the same coalitions.

    Minimises Σₙ mₙ (vₙ - f(none) - zₙ·w)² under Σ w = f(whole) - f(none), with v the values and
    z the coalitions (Covert & Lee 2021, equation 7). The constraint is built in: w is an equal
    share of f(whole) - f(none) for every superpixel plus a part that sums to 0, on which only
    z less its row mean acts.

    Where the coalitions do not determine the weights, as with fewer pairs than superpixels, the
    part that sums to 0 has minimum norm. About as many pairs as superpixels are the worst choice:
    the weights then follow every chance of the draw and may far exceed 1; several times as many
    are needed.

    Args:
      visible: z.
      values: v.
      none: f(none), the value of the empty coalition.
      whole: f(whole), the value of the full coalition.
      sample_weights: m, never negative: the coalitions' kernel, or how often a bootstrap drew
        each where the kernel is 1.

    Returns:
      float64; every row sums to f(whole) - f(none) but for rounding.
    """
    share = (whole - none) / visible.shape[1]
    beyond_share = values - none - visible.sum(axis=1) * share
    centred = visible - visible.mean(axis=1, keepdims=True)
    parts = np.stack([_least_squares(centred, beyond_share, row) for row in sample_weights])
    # Where the system is nearly singular rounding adds up; the sum is what must hold exactly.
    return share + parts - parts.mean(axis=1, keepdims=True)


def _least_squares(
    design: Float[np.ndarray, "N S"],
    target: Float[np.ndarray, " N"],
    sample_weights: Float[np.ndarray, " N"],
) -> Float[np.ndarray, " S"]:
    """Weighted least squares of minimum norm, by the normal equations' pseudo-inverse.

    The Shapley kernel makes them nearly a multiple of the identity on vectors that sum to 0, so
    that squaring the condition number does no harm.
    """
    weighted = design.T * sample_weights
    inverse = np.linalg.pinv(weighted @ design, rcond=SINGULAR, hermitian=True)
    return inverse @ (weighted @ target)


def _shapley_kernel(count: int) -> Float[np.ndarray, " sizes"]:
    """The kernel of a coalition of each size 1 … S-1: (S-1) / (C(S, k) k (S-k))."""
    kernel = [(count - 1) / (comb(count, k) * k * (count - k)) for k in range(1, count)]
    return np.array(kernel, np.float64)
