"""KernelSHAP (Lundberg & Lee 2017): Shapley values of superpixels, by weighted regression.

A set of visible superpixels is a coalition; its value is the probability of the class. A
superpixel's Shapley value is what it adds to the coalitions without it, averaged over all orders
in which superpixels may join. Shapley values are also the weights of the linear model that fits
the coalitions' values best under the Shapley kernel (Charnes et al. 1988) and meets those of the
empty and the full coalition exactly. That regression needs only some of the coalitions.

As in the shap package, coalitions are taken in pairs with their complements (Covert & Lee 2021,
"Improving KernelSHAP", section 4); those of a single superpixel all come first, then those of two
and so on as long as a sample would hold each at least once; the rest are drawn by the kernel
until the budget of distinct ones is spent. Each drawn one stands for as many as its chance of
being drawn at all says (Horvitz & Thompson 1952), not for the number of times it was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import combinations
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
from fakd_jax.explanation.result import Explanation, LocalFit, Score, from_weights
from fakd_jax.explanation.scene.scene import Scene, predict_visible
from fakd_jax.inference.network import Network

SINGULAR = 1e-10
"""Eigenvalues below this fraction of the largest count as zero: no coalition separates them."""


@dataclass(frozen=True)
class KernelShapExplainer(SampledExplainer):
    """KernelSHAP, exact if all coalitions fit the budget, by sampling otherwise.

    Attributes:
      num_samples: distinct perturbed images besides the empty and the full coalition; even, at
        least 20. If it suffices for all 2^S - 2 coalitions, the weights are exactly the Shapley
        values. Otherwise several times the number of superpixels are needed (see
        :func:`shapley_regression`).
      top: how many of the heaviest superpixels have to be stable.
    """

    name: ClassVar[str] = "kernel-shap"
    score: ClassVar[Score] = "probability"
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
        coalitions = "distinct pairs: small sizes completely, the rest by the Shapley kernel"
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
        probabilities = predict_visible(network, scene, visible)[:, class_index]
        probabilities = probabilities.astype(np.float64)
        none, whole, values = float(probabilities[0]), float(probabilities[1]), probabilities[2:]
        refit = partial(shapley_regression, coalitions.visible, values, none, whole)
        weights = refit(coalitions.kernel[None])[0]
        fitted = none + coalitions.visible @ weights
        fit = LocalFit(none, whole, weighted_r2(values, fitted, coalitions.kernel))
        sampling = None
        if coalitions.num_drawn:
            sampling = resampled_sampling(
                lambda times: refit(coalitions.resampled(times)),
                len(values),
                units=coalitions.num_drawn // 2,
                top=self.top,
                seed=seed,
            )
        return from_weights(scene, class_index, weights, fit=fit, sampling=sampling)


@dataclass(frozen=True)
class Coalitions:
    """The coalitions to query, all distinct, the empty and the full one excluded.

    Attributes:
      visible: which superpixels each shows; a coalition and its complement are neighbours, those
        drawn at random the last.
      kernel: the weight of each in the regression, above 0: the Shapley kernel, divided by the
        chance.
      chance: that it is drawn, at most 1; 1 for those of sizes that are complete.
    """

    visible: Bool[np.ndarray, "N S"]
    kernel: Float[np.ndarray, " N"]
    chance: Float[np.ndarray, " N"]

    @property
    def num_drawn(self) -> int:
        """How many were drawn at random; the others would be there with any seed."""
        return int(np.count_nonzero(self.chance < 1))

    def resampled(self, times: Float[np.ndarray, "B P"]) -> Float[np.ndarray, "B N"]:
        """The kernel had the bootstrap drawn each of the P drawn pairs so many times.

        Drawing without replacement varies less than with it, hence the factor √(1 - chance) of
        Rao & Wu (1988, "Resampling inference with complex survey data").
        """
        factor = np.ones((len(times), len(self.kernel)))
        drawn = self.chance < 1
        factor[:, drawn] += np.sqrt(1 - self.chance[drawn]) * (times.repeat(2, axis=1) - 1)
        return factor * self.kernel


def choose_coalitions(count: int, num_samples: int, seed: int) -> Coalitions:
    """`num_samples` (even) distinct coalitions of `count` superpixels, or all if these are fewer.

    Sizes k and S - k are complete, from k = 1 on, if there is room for all of them and a draw by
    the kernel would give each at least once on average (k = 1: if there is room). They are not
    where that would leave a few pairs to draw, too few to show how much depends on the draw.
    """
    sizes, pairs, mass = _pairs_by_size(count)
    complete, left = 0, num_samples // 2
    while complete < len(sizes) and pairs[complete] <= left:
        expected = left * mass[complete] / mass[complete:].sum()
        if complete and expected < pairs[complete]:
            break
        to_draw = left - pairs[complete]
        if 0 < to_draw < min(MIN_SAMPLES // 2, sum(pairs[complete + 1 :])):
            break
        left -= pairs[complete]
        complete += 1
    blocks = [_all_of_size(count, k) for k in range(1, complete + 1)]
    half = np.concatenate([np.zeros((0, count), bool), *blocks])
    kernel, chance = _shapley_kernel(count)[half.sum(axis=1) - 1], np.ones(len(half))
    if left and complete < len(sizes):
        drawn, drawn_kernel, drawn_chance = draw_coalitions(count, complete + 1, left, seed)
        half = np.concatenate([half, drawn])
        kernel, chance = np.append(kernel, drawn_kernel), np.append(chance, drawn_chance)
    visible = np.stack([half, ~half], axis=1).reshape(-1, count)
    return Coalitions(visible, kernel.repeat(2), chance.repeat(2))


def _pairs_by_size(
    count: int,
) -> tuple[Int[np.ndarray, " K"], list[int], Float[np.ndarray, " K"]]:
    """Pairs of a coalition and its complement by the size of the smaller, 1 to half of `count`.

    Returns:
      The sizes, how many pairs each has, and the kernel of all their coalitions together.
    """
    sizes = np.arange(1, count // 2 + 1)
    equal = 2 * sizes == count
    pairs = [comb(count, k) // (1 + (2 * k == count)) for k in sizes.tolist()]
    return sizes, pairs, (2 - equal) * (count - 1) / (sizes * (count - sizes))


def _all_of_size(count: int, size: int) -> Bool[np.ndarray, "N S"]:
    """All coalitions of a size, at most half of `count`; of two complements that with the first."""
    members = [
        chosen for chosen in combinations(range(count), size) if 2 * size < count or chosen[0] == 0
    ]
    visible = np.zeros((len(members), count), bool)
    np.put_along_axis(visible, np.array(members), True, axis=1)
    return visible


def draw_coalitions(
    count: int, smallest: int, num_coalitions: int, seed: int
) -> tuple[Bool[np.ndarray, "N S"], Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Draws distinct coalitions, none the complement of another, by the Shapley kernel.

    A size is drawn, then a set of that size; what was drawn before does not count.

    Args:
      count: S.
      smallest: sizes are from here to half of `count`; the complements have the others.
      num_coalitions: N, at most as many as there are.
      seed: of the draws.

    Returns:
      The coalitions, and for each its kernel over its chance, and its chance, of being among so
      many draws.
    """
    random = np.random.default_rng(seed)
    sizes, pairs, mass = _pairs_by_size(count)
    sizes, pairs, mass = sizes[smallest - 1 :], pairs[smallest - 1 :], mass[smallest - 1 :]
    found: dict[bytes, None] = {}
    draws = 0
    while len(found) < num_coalitions:
        size = random.choice(sizes, p=mass / mass.sum())
        one = np.zeros(count, bool)
        one[random.permutation(count)[:size]] = True
        if 2 * size == count and not one[0]:
            one = ~one
        found.setdefault(one.tobytes())
        draws += 1
    rows = [np.frombuffer(row, bool) for row in found]
    visible = np.array(rows, bool).reshape(num_coalitions, count)
    each = np.array([1 / number for number in pairs]) * mass / mass.sum()
    once = each[visible.sum(axis=1) - smallest]
    chance = -np.expm1(draws * np.log1p(-once))
    # For many superpixels `once` may be 0 to all digits, but not its ratio to the chance.
    ratio = np.divide(draws * once, chance, out=np.ones(len(once)), where=chance > 0)
    return visible, mass.sum() / (2 * draws) * ratio, chance


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
      sample_weights: m, never negative: the coalitions' kernel.

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
