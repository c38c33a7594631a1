"""How sure weights are that were fitted to random perturbations, without asking the network again.

Drawing the perturbations that are there anew, with replacement, and fitting again shows how the
weights would vary had others been drawn (the bootstrap: Efron & Tibshirani 1993). Two such fits
differ from each other as much as two runs with different seeds do: that is the Jaccard index here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from fakd_jax.explanation.quality.stability import (
    STABLE,
    mean_jaccard,
    top_masks,
    without_negligible,
)
from fakd_jax.explanation.result import Sampling

RESAMPLES = 100
LEAST_SAMPLES = 20
"""Of fewer perturbed images, or ten pairs, the tops of all resamples may well be one by chance."""
STREAM = 0x5253  # keeps these draws apart from those they judge, which have the same seed


def resampled_sampling(
    refit: Callable[[Float[np.ndarray, "B N"]], Float[np.ndarray, "B S"]],
    num_samples: int,
    *,
    units: Int[np.ndarray, " N"] | None = None,
    top: int,
    target: float = STABLE,
    seed: int,
    resamples: int = RESAMPLES,
) -> Sampling:
    """Intervals of weights and the stability of their top, by the bootstrap.

    Args:
      refit: the weights of B fits at once, each given how often it counts every sample.
      num_samples: N, the perturbed images there are.
      units: what is drawn as one, such as a coalition and its complement, numbered from 0
        without gaps; None draws the samples one by one.
      top: how many superpixels count as the top.
      target: see :class:`~fakd_jax.explanation.result.Sampling`.
      seed: of the draws.
      resamples: their number B, at least 2.
    """
    units = np.arange(num_samples) if units is None else units
    count = int(units.max()) + 1
    generator = np.random.default_rng([STREAM, seed])
    drawn = generator.multinomial(count, [1 / count] * count, size=resamples)
    weights = refit(drawn.astype(np.float64)[:, units])
    low, high = np.percentile(weights, [2.5, 97.5], axis=0)
    jaccard = mean_jaccard(top_masks(without_negligible(weights), top))
    return Sampling(num_samples, low, high, top, jaccard, target)
