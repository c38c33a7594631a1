"""Means over a handful of seeds, with Student's interval and test."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from fakd_jax.metrics.resampling import ROUNDING

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A metric over n seeds.

    Attributes:
      sd: the standard deviation, with n - 1; None for one value.
      ci95: Student's interval of the mean; None where the values do not vary, which says nothing
        about the error of the mean.
      p: of Student's two-sided test that the mean is 0, the paired test for differences (Student
        1908); None likewise.
    """

    n: int
    mean: float
    sd: float | None
    ci95: tuple[float, float] | None
    p: float | None


def estimate(values: Sequence[float]) -> Estimate:
    """Mean, spread, interval and test of independent values, one per seed.

    Raises:
      ValueError: there is no value.
    """
    from scipy.stats import ttest_1samp

    if not values:
        raise ValueError("an estimate needs at least one value")
    n, mean = len(values), statistics.fmean(values)
    # Equal differences of shares, 0.94 − 0.92 and 0.96 − 0.94, may differ in their last bit.
    if max(values) - min(values) <= ROUNDING:
        return Estimate(n, mean, None if n == 1 else 0.0, None, None)
    test = ttest_1samp(values, 0.0)
    interval = test.confidence_interval(CONFIDENCE)
    ends = float(interval.low), float(interval.high)
    return Estimate(n, mean, statistics.stdev(values), ends, float(test.pvalue))


def estimate_row(values: Sequence[float | None], *, lowest: float) -> dict[str, Any] | None:
    """An estimate, JSON-able; None without values, or if one of them is undefined.

    Its interval is cut to [lowest, 1], outside which no value can lie; its coverage stays.
    """
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    row = dataclasses.asdict(estimate(known))
    if row["ci95"]:
        row["ci95"] = np.clip(row["ci95"], lowest, 1.0).tolist()
    return row


def t_factor(n: int) -> float:
    """Student's t of a two-sided 95 % interval from n >= 2 values: 12.7 for two, 4.30 for three."""
    from scipy.stats import t as student

    return float(student.ppf((1 + CONFIDENCE) / 2, n - 1))
