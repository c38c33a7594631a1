"""Two models on the same images: is the difference more than chance?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from fakd_jax.metrics.resampling import RESAMPLES, SEED, bootstrap


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value of McNemar's test (McNemar 1947), without approximation.

    Images on which both models are right, or both wrong, do not tell them apart. If they are
    equally good, which one is right on each of the others is the toss of a coin.

    Args:
      only_first: images on which the first model alone is right.
      only_second: likewise the second.

    Returns:
      min(1, 2·P[X <= min(only_first, only_second)]), X binomial with p = 1/2; 1 without such
      images.

    Raises:
      ValueError: a negative count.

    >>> round(mcnemar_exact(1, 9), 6)
    0.021484
    """
    from scipy.stats import binom

    if min(only_first, only_second) < 0:
        raise ValueError(f"no counts: {only_first} and {only_second}")
    tail = binom.cdf(min(only_first, only_second), only_first + only_second, 0.5)
    return min(1.0, 2 * float(tail))


def compare_answers(
    right: Bool[np.ndarray, " N"],
    other_right: Bool[np.ndarray, " N"],
    units: Int[np.ndarray, " N"],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Any]:
    """McNemar's test and the difference in accuracy of two models, image by image.

    Args:
      right: where this model's answer is right.
      other_right: where the other's is, on the same images in the same order.
      units: of the bootstrap, see :func:`fakd_jax.metrics.resampling.bootstrap`. McNemar's
        test knows nothing of them: it takes each image as a finding of its own.
      resamples: of the bootstrap.
      seed: of the bootstrap.

    Returns:
      `n`, `both_right`, `only_this_right`, `only_other_right`, `both_wrong`, `mcnemar_p`,
      `difference` (this accuracy less the other's) and `difference_ci95`.
    """
    gain = right.astype(np.float64) - other_right

    def statistics(weights: Float[np.ndarray, "R N"]) -> Mapping[str, Float[np.ndarray, " R"]]:
        return {"difference": weights @ gain / weights.sum(axis=1)}

    only_this = int(np.sum(right & ~other_right))
    only_other = int(np.sum(~right & other_right))
    return {
        "n": len(right),
        "both_right": int(np.sum(right & other_right)),
        "only_this_right": only_this,
        "only_other_right": only_other,
        "both_wrong": int(np.sum(~right & ~other_right)),
        "mcnemar_p": mcnemar_exact(only_this, only_other),
        "difference": (only_this - only_other) / len(right),
        "difference_ci95": bootstrap(statistics, units, resamples=resamples, seed=seed)[
            "difference"
        ],
    }
