"""Compares two models on the same images: is the difference more than chance?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from fakd_jax.metrics.confusion import confusion_matrix
from fakd_jax.metrics.resampling import bootstrap


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """The exact two-sided p value of McNemar's test (McNemar 1947); 1 where the models agree.

    `only_first` and `only_second` count the images that only one of the models classifies
    correctly; a negative count raises a ValueError.

    >>> round(mcnemar_exact(1, 9), 6)
    0.021484
    """
    from scipy.stats import binomtest

    if min(only_first, only_second) < 0:
        raise ValueError(f"counts must not be negative: {only_first}, {only_second}")
    if only_first == only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def compare_predictions(
    right: Bool[np.ndarray, " N"],
    other_right: Bool[np.ndarray, " N"],
    units: Int[np.ndarray, " N"],
) -> dict[str, Any]:
    """McNemar's test and the paired difference in accuracy of two models.

    Args:
      right: which images this model classifies correctly.
      other_right: which the other does, in the same order.
      units: of the bootstrap of the difference, see :func:`fakd_jax.metrics.resampling.bootstrap`;
        McNemar's test takes each image as independent.

    Returns:
      `n`, `both_right`, `only_this_right`, `only_other_right`, `both_wrong`, `mcnemar_p`,
      `difference` (this accuracy minus the other) and `difference_ci95`.
    """
    gain = right.astype(np.float64) - other_right

    def statistics(weights: Float[np.ndarray, "R N"]) -> Mapping[str, Float[np.ndarray, " R"]]:
        return {"difference": weights @ gain / weights.sum(axis=1)}

    counts = confusion_matrix(right.astype(int), other_right.astype(int), 2).tolist()
    (both_wrong, only_other), (only_this, both_right) = counts
    return {
        "n": len(right),
        "both_right": both_right,
        "only_this_right": only_this,
        "only_other_right": only_other,
        "both_wrong": both_wrong,
        "mcnemar_p": mcnemar_exact(only_this, only_other),
        "difference": (only_this - only_other) / len(right),
        "difference_ci95": bootstrap(statistics, units)["difference"],
    }
