"""LIME (Ribeiro et al. 2016), the paper's explainer, fully seeded and on the network's device.

Superpixels are hidden at random, the network predicts each perturbed image, and a ridge regression
from "shown or hidden" to the class's probability, weighted by closeness to the whole image, gives
every superpixel its weight. The perturbations are those the lime package draws, its kernel and its
regression are written out; the images are made by the network's own device from superpixels and
masks. :mod:`.lime_package` runs the package itself.

Unlike the package, LIME here goes on drawing until the heaviest superpixels no longer depend on
the seed, or the budget is spent, and tells which.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float

from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.local_fit import weighted_r2
from fakd_jax.explanation.methods.resampling import LEAST_SAMPLES, resampled_sampling
from fakd_jax.explanation.quality.stability import STABLE
from fakd_jax.explanation.result import (
    NEGLIGIBLE,
    Explanation,
    LocalFit,
    Sampling,
    from_weights,
)
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Network

FIRST_ROUND = 500
MAX_SAMPLES = 4000


@dataclass(frozen=True)
class LimeExplainer:
    """LIME with the package's kernel and regression.

    Attributes:
      num_samples: perturbed images, the whole image being the first, at least 20; None draws
        rounds, each as many as all before it, until the top is stable.
      max_samples: the budget where `num_samples` is None, by default :data:`MAX_SAMPLES`; refused
        where `num_samples` is set.
      top: how many of the heaviest superpixels have to be stable.
      target: the Jaccard index from which they are.
      kernel_width: width of the exponential kernel that turns distance into weight; finite,
        above 0.
      ridge_alpha: regularisation of the local linear model.
    """

    name: ClassVar[str] = "lime"
    seeded: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = False

    num_samples: int | None = None
    max_samples: int | None = None
    top: int = 3
    target: float = STABLE
    kernel_width: float = 0.25
    ridge_alpha: float = 1.0

    def __post_init__(self) -> None:
        for name, count in (("num_samples", self.num_samples), ("max_samples", self.max_samples)):
            if count is not None and count < LEAST_SAMPLES:
                raise UserError(
                    f"{name} is {count}; LIME needs at least {LEAST_SAMPLES} (the paper: 1000)"
                )
        if None not in (self.num_samples, self.max_samples):
            raise UserError(
                f"max_samples {self.max_samples} means nothing where num_samples is set, as it is "
                f"to {self.num_samples} by its flag or by --preset paper: leave max_samples out"
            )
        if not 0 < self.kernel_width < math.inf:
            raise UserError(
                f"kernel_width is {self.kernel_width}; it must be finite and above 0 (default 0.25)"
            )

    def settings(self) -> dict[str, Any]:
        """Every choice that the weights depend on, scene and seed aside."""
        return {
            "method": self.name,
            "num_samples": self.num_samples or "auto",
            "max_samples": self.num_predictions,
            "stable": {"top": self.top, "jaccard": self.target},
            "kernel": "exponential",
            "kernel_width": self.kernel_width,
            "distance_metric": "cosine",
            "regressor": "ridge",
            "ridge_alpha": self.ridge_alpha,
            "features": "all superpixels",
        }

    @property
    def num_predictions(self) -> int:
        """How many images the network predicts at most for one explanation."""
        return self.num_samples or self.max_samples or MAX_SAMPLES

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Explains one class's probability (see :class:`~fakd_jax.explanation.result.Explainer`).

        The fit is LIME's local model of the class's probability, and `sampling` tells whether
        another seed would show the same top.

        Raises:
          UserError: the kernel is so narrow that the perturbed images count for nothing.
        """
        shown = draw_perturbations(self.num_predictions, scene.count, seed)
        predict = network.prepare_masked(
            scene.image, scene.replacement, scene.superpixels, next(self._rounds())
        )
        values = np.zeros(0)
        for size in self._rounds():
            closeness = self._closeness(shown[:size])
            answers = predict(shown[len(values) : size])
            values = np.append(values, answers[:, class_index].astype(np.float64))
            sampling = self._sampling(shown[:size], values, closeness, seed)
            if sampling.stable:
                break
        shown = shown[: len(values)]
        weights, intercepts = weighted_ridge(shown, values, closeness[None], self.ridge_alpha)
        fitted = shown @ weights[0] + intercepts[0]
        fit = LocalFit(
            intercept=float(intercepts[0]),
            prediction=float(fitted[0]),
            r2=weighted_r2(values, fitted, closeness),
        )
        return from_weights(scene, class_index, weights[0], fit=fit, sampling=sampling)

    def _rounds(self) -> Iterator[int]:
        """How many samples there are after each round."""
        if self.num_samples is not None:
            yield self.num_samples
            return
        size = FIRST_ROUND
        while size < self.num_predictions:
            yield size
            size *= 2
        yield self.num_predictions

    def _sampling(
        self,
        shown: Bool[np.ndarray, "N S"],
        values: Float[np.ndarray, " N"],
        closeness: Float[np.ndarray, " N"],
        seed: int,
    ) -> Sampling:
        def refit(times: Float[np.ndarray, "B N"]) -> Float[np.ndarray, "B S"]:
            importance = times * closeness
            importance[:, 0] = closeness[0]  # the whole image is not drawn: any seed has it once
            return weighted_ridge(shown, values, importance, self.ridge_alpha)[0]

        return resampled_sampling(refit, len(values), top=self.top, target=self.target, seed=seed)

    def _closeness(self, shown: Bool[np.ndarray, "N S"]) -> Float[np.ndarray, " N"]:
        """The weight of each perturbed image, as in `lime.lime_image`: √exp(-d²/width²).

        d is the cosine distance of "shown or hidden" from all ones, 1 - √(share shown).

        Raises:
          UserError: all weights but the whole image's, the first, sum to rounding.
        """
        distances = 1 - np.sqrt(shown.mean(axis=1))
        with np.errstate(over="ignore"):  # infinitely many widths away: a weight of 0
            closeness = np.sqrt(np.exp(-((distances / self.kernel_width) ** 2)))
        if closeness[1:].sum() < NEGLIGIBLE:
            raise UserError(
                f"kernel_width {self.kernel_width} is so narrow that none of {len(shown) - 1} "
                "perturbed images counts beside the whole one: give a larger one (default 0.25)"
            )
        return closeness


def draw_perturbations(
    num_samples: int, num_superpixels: int, seed: int
) -> Bool[np.ndarray, "N S"]:
    """Which superpixels each perturbed image shows: fair coins, the first image showing all.

    The very draw of the lime package with `random_state=np.random.RandomState(seed)`. Of a longer
    draw with the same seed it is the beginning.
    """
    drawn = np.random.RandomState(seed).randint(0, 2, num_samples * num_superpixels)
    shown = drawn.reshape(num_samples, num_superpixels).astype(bool)
    shown[0] = True
    return shown


def weighted_ridge(
    shown: Bool[np.ndarray, "N S"],
    values: Float[np.ndarray, " N"],
    sample_weights: Float[np.ndarray, "B N"],
    alpha: float,
) -> tuple[Float[np.ndarray, "B S"], Float[np.ndarray, " B"]]:
    """Ridge regressions of the same values under B weightings of the samples.

    Minimises Σₙ cₙ (yₙ - w·xₙ - b)² + α |w|², b being free, as scikit-learn's `Ridge` does; α
    above 0 makes the solution unique.

    Args:
      shown: xₙ, a row a sample.
      values: yₙ.
      sample_weights: cₙ, a row a regression; not negative, with a positive sum.
      alpha: α, above 0.

    Returns:
      Weights ``[B, S]`` and intercepts ``[B]``.
    """
    rows = shown.astype(np.float64)
    totals = sample_weights.sum(axis=1)
    mean_rows = sample_weights @ rows / totals[:, None]
    mean_values = sample_weights @ values / totals
    # Centred by the means of all rows first: sums of ones would lose digits to the means' squares.
    centred, residuals = rows - rows.mean(axis=0), values - values.mean()
    off, off_values = mean_rows - rows.mean(axis=0), mean_values - values.mean()
    weights = np.empty_like(mean_rows)
    for b, importance in enumerate(sample_weights):
        scaled = centred * importance[:, None]
        gram = scaled.T @ centred - totals[b] * np.outer(off[b], off[b])
        moment = scaled.T @ residuals - totals[b] * off[b] * off_values[b]
        weights[b] = np.linalg.solve(gram + alpha * np.eye(rows.shape[1]), moment)
    return weights, mean_values - np.sum(weights * mean_rows, axis=1)
