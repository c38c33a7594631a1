"""What a handful of seeds tells: mean, spread, Student's interval, and paired tests."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A figure over the seeds.

    Attributes:
      n: values.
      mean: of them.
      sd: their standard deviation, with n - 1; None of one value.
      ci95: Student's interval of the mean; None where the values show no spread (one value, or
        all the same), for then they do not tell how far the mean may be off.
    """

    n: int
    mean: float
    sd: float | None
    ci95: tuple[float, float] | None


def estimate(values: Sequence[float]) -> Estimate:
    """Mean, spread and Student's interval of independent values, one a seed.

    Args:
      values: at least one; of paired data their differences.

    Raises:
      ValueError: there is none.
    """
    if not values:
        raise ValueError("an estimate needs a value")
    n, mean = len(values), statistics.fmean(values)
    if n == 1:
        return Estimate(n, mean, None, None)
    if not _spread(values):
        return Estimate(n, mean, 0.0, None)
    sd = statistics.stdev(values)
    half = t_factor(n) * sd / math.sqrt(n)
    return Estimate(n, mean, sd, (mean - half, mean + half))


def paired_t_test(differences: Sequence[float]) -> float | None:
    """Student's two-sided test that paired values differ by 0 in the mean (Student 1908).

    Args:
      differences: one a pair.

    Returns:
      The p value; None where the differences show no spread to measure their mean by.
    """
    if not _spread(differences):
        return None
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(differences, 0.0).pvalue)


def _spread(values: Sequence[float]) -> bool:
    return min(values) < max(values)


def t_factor(n: int) -> float:
    """Student's t of a two-sided 95 % interval from n >= 2 values: 12.7 of two, 4.30 of three."""
    from scipy.stats import t as student

    return float(student.ppf((1 + CONFIDENCE) / 2, n - 1))
