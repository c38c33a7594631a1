"""LIME (Ribeiro et al. 2016), the paper's explainer, fully seeded and on the network's device.

Superpixels are replaced at random, the network predicts each perturbed image, and a ridge
regression from which superpixels are visible to the class's probability, weighted by closeness to
the whole image, gives every superpixel its weight. Perturbations, kernel and regression are the
lime package's (:mod:`.lime_package` runs the package itself).

Unlike the package, this draws until the heaviest superpixels no longer depend on the seed or the
budget is spent, and reports which.
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
from fakd_jax.explanation.methods.resampling import (
    MIN_SAMPLES,
    SampledExplainer,
    resampled_sampling,
)
from fakd_jax.explanation.quality.stability import STABLE
from fakd_jax.explanation.result import (
    NEGLIGIBLE,
    Explanation,
    LocalFit,
    Sampling,
    Score,
    from_weights,
)
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Network

FIRST_ROUND = 500
MAX_SAMPLES = 4000


@dataclass(frozen=True)
class LimeExplainer(SampledExplainer):
    """LIME with the package's kernel and regression.

    Attributes:
      num_samples: perturbed images, the first being the whole image, at least 20; None draws in
        rounds, each doubling the total, until the top is stable.
      max_samples: the budget if `num_samples` is None, by default :data:`MAX_SAMPLES`; refused
        otherwise.
      top: how many of the heaviest superpixels have to be stable.
      target: the Jaccard index from which they are.
      kernel_width: of the exponential kernel that turns distance into weight; finite, above 0.
      ridge_alpha: regularisation of the local linear model.
    """

    name: ClassVar[str] = "lime"
    score: ClassVar[Score] = "probability"

    num_samples: int | None = None
    max_samples: int | None = None
    top: int = 3
    target: float = STABLE
    kernel_width: float = 0.25
    ridge_alpha: float = 1.0

    def __post_init__(self) -> None:
        for name, count in (("num_samples", self.num_samples), ("max_samples", self.max_samples)):
            if count is not None and count < MIN_SAMPLES:
                raise UserError(
                    f"{name} is {count}; LIME needs at least {MIN_SAMPLES} (the paper: 1000)"
                )
        if None not in (self.num_samples, self.max_samples):
            raise UserError(
                f"max_samples is {self.max_samples}, but num_samples fixes the number at "
                f"{self.num_samples} (as --preset paper does): leave max_samples out"
            )
        if not 0 < self.kernel_width < math.inf:
            raise UserError(
                f"kernel_width is {self.kernel_width}; it must be finite and above 0 (default 0.25)"
            )

    def settings(self) -> dict[str, Any]:
        """See :class:`Explainer`."""
        return super().settings() | {
            "num_samples": self.num_samples or "auto",
            "max_samples": self.num_predictions,
            "kernel": "exponential",
            "distance_metric": "cosine",
            "regressor": "ridge",
            "features": "all superpixels",
        }

    @property
    def num_predictions(self) -> int:
        """The budget of perturbed images."""
        return self.num_samples or self.max_samples or MAX_SAMPLES

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Explains one class's probability, and whether another seed would show the same top.

        Raises:
          UserError: the kernel is so narrow that the perturbed images count for nothing.
        """
        visible = draw_perturbations(self.num_predictions, scene.count, seed)
        predict = network.prepare_masked(
            scene.image, scene.replacement, scene.superpixels, next(self._rounds())
        )
        values = np.zeros(0)
        for size in self._rounds():
            closeness = self._closeness(visible[:size])
            probabilities = predict(visible[len(values) : size])
            values = np.append(values, probabilities[:, class_index].astype(np.float64))
            sampling = self._sampling(visible[:size], values, closeness, seed)
            if sampling.stable:
                break
        visible = visible[: len(values)]
        weights, intercepts = weighted_ridge(visible, values, closeness[None], self.ridge_alpha)
        fitted = visible @ weights[0] + intercepts[0]
        fit = LocalFit(
            intercept=float(intercepts[0]),
            prediction=float(fitted[0]),
            r2=weighted_r2(values, fitted, closeness),
        )
        return from_weights(scene, class_index, weights[0], fit=fit, sampling=sampling)

    def _rounds(self) -> Iterator[int]:
        """The total number of samples after each round."""
        if self.num_samples is None:
            size = FIRST_ROUND
            while size < self.num_predictions:
                yield size
                size *= 2
        yield self.num_predictions

    def _sampling(
        self,
        visible: Bool[np.ndarray, "N S"],
        values: Float[np.ndarray, " N"],
        closeness: Float[np.ndarray, " N"],
        seed: int,
    ) -> Sampling:
        def refit(times: Float[np.ndarray, "B N"]) -> Float[np.ndarray, "B S"]:
            sample_weights = times * closeness
            sample_weights[:, 0] = closeness[0]  # the whole image is not drawn: any seed has it
            return weighted_ridge(visible, values, sample_weights, self.ridge_alpha)[0]

        return resampled_sampling(refit, len(values), top=self.top, target=self.target, seed=seed)

    def _closeness(self, visible: Bool[np.ndarray, "N S"]) -> Float[np.ndarray, " N"]:
        """The weight of each perturbed image, as in `lime.lime_image`: √exp(-d²/width²).

        d is the cosine distance of its mask from all ones, 1 - √(fraction visible).

        Raises:
          UserError: all weights but the first, the whole image's, are negligible.
        """
        distances = 1 - np.sqrt(visible.mean(axis=1))
        with np.errstate(over="ignore"):  # infinitely many widths away: a weight of 0
            closeness = np.sqrt(np.exp(-((distances / self.kernel_width) ** 2)))
        if closeness[1:].sum() < NEGLIGIBLE:
            raise UserError(
                f"kernel_width {self.kernel_width} is so narrow that none of {len(visible) - 1} "
                "perturbed images counts beside the whole one: give a larger one (default 0.25)"
            )
        return closeness


def draw_perturbations(
    num_samples: int, num_superpixels: int, seed: int
) -> Bool[np.ndarray, "N S"]:
    """Which superpixels each perturbed image shows: fair coins, all of them in the first image.

    The draw of the lime package with `random_state=np.random.RandomState(seed)`. A shorter draw
    is the beginning of a longer one.
    """
    drawn = np.random.RandomState(seed).randint(0, 2, num_samples * num_superpixels)
    visible = drawn.reshape(num_samples, num_superpixels).astype(bool)
    visible[0] = True
    return visible


def weighted_ridge(
    visible: Bool[np.ndarray, "N S"],
    values: Float[np.ndarray, " N"],
    sample_weights: Float[np.ndarray, "B N"],
    alpha: float,
) -> tuple[Float[np.ndarray, "B S"], Float[np.ndarray, " B"]]:
    """Ridge regressions of the same values under B weightings of the samples.

    Minimises Σₙ cₙ (yₙ - w·xₙ - b)² + α |w|², b being free, as scikit-learn's `Ridge` does.

    Args:
      visible: xₙ.
      values: yₙ.
      sample_weights: cₙ, not negative, with a positive sum per row.
      alpha: α, above 0, which makes the solution unique.

    Returns:
      Weights ``[B, S]`` and intercepts ``[B]``.
    """
    rows = visible.astype(np.float64)
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
