"""KernelSHAP (Lundberg & Lee 2017): Shapley values of superpixels, by weighted regression.

A set of superpixels that are shown, the others being hidden, is a coalition; what it is worth is
the probability of the class. A superpixel's Shapley value is what it adds to the coalitions
without it, averaged over all orders in which superpixels may come to be shown. Shapley values
are also the weights of the linear model of the coalitions' worths that fits best under the
Shapley kernel (Charnes et al. 1988), where the empty and the full coalition are met exactly.
That regression needs a sample of the coalitions only, drawn here in pairs as Covert & Lee (2021,
"Improving KernelSHAP", section 4) advise: a coalition and its complement.
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
from fakd_jax.explanation.methods.resampling import LEAST_SAMPLES, resampled_sampling
from fakd_jax.explanation.quality.stability import STABLE
from fakd_jax.explanation.result import Explanation, LocalFit, from_weights
from fakd_jax.explanation.scene.scene import Scene, predict_visible
from fakd_jax.inference.network import Network

SINGULAR = 1e-10
"""Eigenvalues below this share of the largest are zero: what no coalition tells apart."""


@dataclass(frozen=True)
class KernelShapExplainer:
    """KernelSHAP, exact where all coalitions can be asked, by sampling otherwise.

    Attributes:
      num_samples: perturbed images besides the image with everything shown and with everything
        hidden; even, at least 20. If it suffices for all 2^S - 2 coalitions they are all asked,
        and the weights are exactly the Shapley values. Otherwise half as many pairs are drawn;
        several times the number of superpixels are meant (see :func:`shapley_regression`).
      top: how many of the heaviest superpixels have to be stable.
    """

    name: ClassVar[str] = "kernel-shap"
    seeded: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = False

    num_samples: int = 1000
    top: int = 3

    def __post_init__(self) -> None:
        if self.num_samples < LEAST_SAMPLES or self.num_samples % 2:
            raise UserError(
                f"num_samples is {self.num_samples}; KernelSHAP draws pairs: give an even number, "
                f"at least {LEAST_SAMPLES} (default 1000)"
            )

    def settings(self) -> dict[str, Any]:
        """Every choice that the weights depend on, scene and seed aside."""
        return {
            "method": self.name,
            "num_samples": self.num_samples,
            "coalitions": "all where num_samples suffices, else pairs by the Shapley kernel",
            "stable": {"top": self.top, "jaccard": STABLE},
            "versions": {"numpy": np.__version__},
        }

    @property
    def num_predictions(self) -> int:
        """How many images the network predicts at most for one explanation."""
        return self.num_samples + 2

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Explains one class's probability; its weights sum to p(image) - p(all hidden).

        The fit's R² is that on the coalitions asked, the empty and the full one aside: None where
        their worths do not differ, which leaves weights all the same where the ends differ. Below
        0 where a constant would fit better: a network that needs all superpixels at once answers
        0 to every coalition but the full one.

        Args:
          scene: the image with its superpixels and what hides them.
          network: asked once, for all different perturbed images, by its `prepare_masked`.
          class_index: the class, in [0, C).
          seed: decides which coalitions are drawn; in [0, 2**31).
        """
        coalitions = choose_coalitions(scene.count, self.num_samples, seed)
        nothing, everything = np.zeros((1, scene.count), bool), np.ones((1, scene.count), bool)
        shown = np.concatenate([nothing, everything, coalitions.shown])
        worths = _worths(network, scene, class_index, shown)
        none, whole, values = float(worths[0]), float(worths[1]), worths[2:]
        refit = partial(shapley_regression, coalitions.shown, values, none, whole)
        weights = refit(coalitions.kernel[None])[0]
        fitted = none + coalitions.shown @ weights
        fit = LocalFit(none, whole, weighted_r2(values, fitted, coalitions.kernel))
        sampling = None
        if coalitions.pairs is not None:
            sampling = resampled_sampling(
                refit, len(values), units=coalitions.pairs, top=self.top, seed=seed
            )
        return from_weights(scene, class_index, weights, fit=fit, sampling=sampling)


@dataclass(frozen=True)
class Coalitions:
    """The coalitions that are asked; the empty and the full one are not among them.

    Attributes:
      shown: bool ``[N, S]``, which superpixels each shows.
      kernel: float64 ``[N]``, what each counts in the regression, above 0. It is 1 for those
        drawn at random, as they were drawn by the Shapley kernel.
      pairs: int64 ``[N]``, one number for a coalition and its complement: what was drawn as one,
        and what a bootstrap has to draw as one. None where they are all there are: nothing was
        left to chance.
    """

    shown: Bool[np.ndarray, "N S"]
    kernel: Float[np.ndarray, " N"]
    pairs: Int[np.ndarray, " N"] | None


def choose_coalitions(count: int, num_samples: int, seed: int) -> Coalitions:
    """All coalitions of `count` superpixels, where there are no more than `num_samples`, or some.

    Args:
      count: S, at least 1.
      num_samples: N of those drawn; even.
      seed: of the draw.
    """
    if 2**count - 2 <= num_samples:
        numbers = np.arange(1, 2**count - 1)
        shown = (numbers[:, None] >> np.arange(count) & 1).astype(bool)
        return Coalitions(shown, _shapley_kernel(count)[shown.sum(axis=1) - 1], pairs=None)
    half = draw_coalitions(count, num_samples // 2, seed)
    shown = np.stack([half, ~half], axis=1).reshape(num_samples, count)
    return Coalitions(shown, np.ones(num_samples), pairs=np.arange(num_samples) // 2)


def draw_coalitions(count: int, num_coalitions: int, seed: int) -> Bool[np.ndarray, "N S"]:
    """Coalitions drawn by the Shapley kernel: first the size, then any set of that size.

    Args:
      count: S, at least 2.
      num_coalitions: N.
      seed: of the draw.
    """
    random = np.random.default_rng(seed)
    sizes = np.arange(1, count)
    chances = 1 / (sizes * (count - sizes))  # of a size: its kernel times its coalitions
    drawn = random.choice(sizes, size=(num_coalitions, 1), p=chances / chances.sum())
    orders = random.permuted(np.tile(np.arange(count), (num_coalitions, 1)), axis=1)
    return orders < drawn


def _worths(
    network: Network, scene: Scene, class_index: int, shown: Bool[np.ndarray, "N S"]
) -> Float[np.ndarray, " N"]:
    """The class's probability for each coalition.

    Small coalitions, and their complements, are drawn again and again; each is asked once.
    """
    distinct, which = np.unique(shown, axis=0, return_inverse=True)
    answers = predict_visible(network, scene, distinct)[:, class_index]
    return answers.astype(np.float64)[which]


def shapley_regression(
    shown: Bool[np.ndarray, "N S"],
    values: Float[np.ndarray, " N"],
    none: float,
    whole: float,
    sample_weights: Float[np.ndarray, "B N"],
) -> Float[np.ndarray, "B S"]:
    """Shapley values by least squares, for each of B ways of weighing the same coalitions.

    Minimises Σₙ mₙ (vₙ - f(none) - zₙ·w)² under Σ w = f(whole) - f(none), with v the worths and
    z the coalitions (Covert & Lee 2021, equation 7). The constraint is built in: w is an equal
    share of f(whole) - f(none) for every superpixel plus a part that sums to 0, on which only
    z less its row mean acts.

    Where the coalitions do not determine the weights, as with fewer pairs than superpixels, the
    part that sums to 0 is the smallest that fits best (minimum norm): what they do not tell apart
    shares equally. Only S - 1 independent pairs determine all, as the fit of a pair depends on
    the difference of its two worths alone. About as many pairs as that is the worst choice: the
    weights then follow every chance of the draw, and may pass 1 by far; several times as many
    are meant.

    Args:
      shown: z, bool.
      values: v, what each coalition is worth.
      none: f(none), what the empty coalition is worth.
      whole: f(whole), what the full coalition is worth.
      sample_weights: m, one row a fit, never negative: the coalitions' kernel, or how often a
        bootstrap drew each where the kernel is 1.

    Returns:
      float64; every row sums to f(whole) - f(none) but for rounding.
    """
    share = (whole - none) / shown.shape[1]
    beyond_share = values - none - shown.sum(axis=1) * share
    centred = shown - shown.mean(axis=1, keepdims=True)
    parts = np.stack([_least_squares(centred, beyond_share, row) for row in sample_weights])
    # Where the system is nearly singular rounding adds up; the sum is what must hold exactly.
    return share + parts - parts.mean(axis=1, keepdims=True)


def _least_squares(
    design: Float[np.ndarray, "N S"],
    target: Float[np.ndarray, " N"],
    sample_weights: Float[np.ndarray, " N"],
) -> Float[np.ndarray, " S"]:
    """Weighted least squares of minimum norm, by the normal equations' pseudo-inverse.

    They are S × S whatever N, and under the Shapley kernel near a multiple of the identity on
    what sums to 0, so that squaring the condition does no harm.
    """
    weighted = design.T * sample_weights
    inverse = np.linalg.pinv(weighted @ design, rcond=SINGULAR, hermitian=True)
    return inverse @ (weighted @ target)


def _shapley_kernel(count: int) -> Float[np.ndarray, " sizes"]:
    """What a coalition of each size 1 … S-1 counts: (S-1) / (C(S, k) k (S-k))."""
    kernel = [(count - 1) / (comb(count, k) * k * (count - k)) for k in range(1, count)]
    return np.array(kernel, np.float64)
