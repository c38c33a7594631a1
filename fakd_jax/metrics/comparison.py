"""Compares two models on the same images: is the difference more than chance?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from fakd_jax.metrics.confusion import confusion_matrix
from fakd_jax.metrics.resampling import percentile_interval, resampled_sums, sums_by_unit

SIGNIFICANCE = 0.05
# Hoeffding: a sum of signed numbers exceeds nine times the root of their squares' sum with a
# probability below 1e-17.
REACH = 9.0
BETTER, WORSE, UNSETTLED = "better", "worse", "unsettled"


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


def sign_flip_test(gains: Int[np.ndarray, " U"]) -> float:
    """The exact two-sided p value of the permutation test of paired units.

    If neither model is better, each unit's gain is as likely to have the other sign, whatever it
    is: p is the share of all assignments of signs whose sum is at least as far from 0 as the one
    observed (Good 2005, section 3.7). Images of one unit change sign together. Where all gains are
    -1, 0 or 1 this is McNemar's exact test, not its mid-p variant.

    No assignment is drawn: the distribution of the sum is the inverse Fourier transform of
    Π cos(gain · ω). Its absolute error is below 1e-9.

    Args:
      gains: of each unit, its images that only the first model classifies correctly minus those
        that only the second does.

    >>> round(sign_flip_test(np.array([1, 1, 2, 3, 3])), 6)  # all signs equal: 2 of 32 assignments
    0.0625
    """
    sizes, counts = np.unique(np.abs(gains[gains != 0]), return_counts=True)
    observed = abs(int(gains.sum()))
    if not observed:
        return 1.0
    if sizes[-1] == 1:
        only_first = (int(counts[0]) + observed) // 2
        return mcnemar_exact(only_first, int(counts[0]) - only_first)
    largest = int(sizes @ counts)
    farthest = min(largest, observed + math.ceil(REACH * math.sqrt(float(sizes**2 @ counts))))
    # A period of the transform that holds all sums up to `farthest`, of either sign.
    period = 2 * farthest + 2
    angles = 2 * np.pi / period * np.arange(period // 2 + 1)
    transform = np.ones(len(angles))
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        factor = np.cos(size * angles)
        transform *= factor if count == 1 else factor**count
    probabilities = np.fft.irfft(transform, period)  # of 0, 1, …, farthest + 1, …, -1
    share = float(probabilities[observed : period - observed + 1].sum())
    return min(max(share, 2.0 ** (1 - int(counts.sum()))), 1.0)


def verdict(p: float, interval: Sequence[float] | None) -> str:
    """`BETTER` or `WORSE` where test and interval agree that there is a difference.

    `UNSETTLED` where they agree that there may be none, where they disagree, and without an
    interval.
    """
    if interval is None or p >= SIGNIFICANCE or interval[0] <= 0 <= interval[1]:
        return UNSETTLED
    return BETTER if interval[0] > 0 else WORSE


def compare_predictions(
    right: Bool[np.ndarray, " N"],
    other_right: Bool[np.ndarray, " N"],
    units: Int[np.ndarray, " N"],
) -> dict[str, Any]:
    """The paired difference in accuracy of two models, its interval, its test and a verdict.

    Args:
      right: which images this model classifies correctly.
      other_right: which the other does, in the same order.
      units: of the test and of the bootstrap, from 0 on without gaps: images, or groups of them.

    Returns:
      `n`, `both_right`, `only_this_right`, `only_other_right`, `both_wrong`, `mcnemar_p` (takes
      every image as independent), `difference` (this accuracy minus the other),
      `difference_ci95`, `sign_flip_p` (by units) and `verdict` (see :func:`verdict`).
    """
    counts = confusion_matrix(right.astype(int), other_right.astype(int), 2).tolist()
    (both_wrong, only_other), (only_this, both_right) = counts
    gain = right.astype(np.int64) - other_right
    by_unit = np.bincount(units, gain).astype(np.int64)
    sums = resampled_sums(sums_by_unit(units, gain + 1, 3))
    interval = percentile_interval((sums[:, 2] - sums[:, 0]) / sums.sum(axis=1))
    p = sign_flip_test(by_unit)
    return {
        "n": len(right),
        "both_right": both_right,
        "only_this_right": only_this,
        "only_other_right": only_other,
        "both_wrong": both_wrong,
        "mcnemar_p": mcnemar_exact(only_this, only_other),
        "difference": (only_this - only_other) / len(right),
        "difference_ci95": interval,
        "sign_flip_p": p,
        "verdict": verdict(p, interval),
    }
