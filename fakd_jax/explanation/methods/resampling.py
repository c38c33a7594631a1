"""How certain weights fitted to random perturbations are, without querying the network again.

Resampling the perturbations with replacement and fitting again shows how the weights would vary
had others been drawn (the bootstrap: Efron & Tibshirani 1993). Two such fits differ as much as two
runs with different seeds do: hence the Jaccard index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from fakd_jax.explanation.quality.stability import (
    STABLE,
    mean_jaccard,
    top_masks,
    without_negligible,
)
from fakd_jax.explanation.result import Explainer, Sampling

RESAMPLES = 100
MIN_SAMPLES = 20
"""With fewer perturbed images, or ten pairs, the tops of all resamples may agree by chance."""
STREAM = 0x5253  # keeps these draws apart from the method's own with the same seed


class SampledExplainer(Explainer):
    """A method with random perturbations; `top`, a field, is what has to be stable."""

    seeded: ClassVar[bool] = True

    def settings(self) -> dict[str, Any]:
        """See :class:`Explainer`."""
        settings = super().settings()
        stable = {"top": settings.pop("top"), "jaccard": settings.pop("target", STABLE)}
        return settings | {"stable": stable}


def resampled_sampling(
    refit: Callable[[Float[np.ndarray, "B N"]], Float[np.ndarray, "B S"]],
    num_samples: int,
    *,
    units: int | None = None,
    top: int,
    target: float = STABLE,
    seed: int,
    resamples: int = RESAMPLES,
) -> Sampling:
    """Intervals of weights and the stability of their top, by the bootstrap.

    Args:
      refit: the weights of B fits, given how often each counts every unit.
      num_samples: perturbed images.
      units: N, how many were drawn by themselves, such as a coalition with its complement; None
        for every sample.
      top: how many superpixels count as the top.
      target: see :class:`~fakd_jax.explanation.result.Sampling`.
      seed: of the draws.
      resamples: B, at least 2.
    """
    count = num_samples if units is None else units
    generator = np.random.default_rng([STREAM, seed])
    drawn = generator.multinomial(count, [1 / count] * count, size=resamples)
    weights = refit(drawn.astype(np.float64))
    low, high = np.percentile(weights, [2.5, 97.5], axis=0)
    jaccard = mean_jaccard(top_masks(without_negligible(weights), top))
    return Sampling(num_samples, low, high, top, jaccard, target)
