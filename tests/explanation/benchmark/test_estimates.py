"""Means by hand, intervals against the normal approximation, and when there are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from fakd_jax.explanation.benchmark.estimates import MIN_UNITS, Estimate, estimate_means


def estimate(values: list[float] | np.ndarray, units: np.ndarray | None = None) -> Estimate:
    values = np.asarray(values, float)
    return estimate_means({"x": values}, np.arange(len(values)) if units is None else units)["x"]


def test_a_mean_is_over_defined_values() -> None:
    columns = {"a": np.array([1.0, np.nan, 2.0, 6.0]), "b": np.full(4, np.nan)}
    estimates = estimate_means(columns, np.array([0, 1, 2, 2]))
    assert estimates["a"] == Estimate(mean=3.0, ci95=None, n=3, units=2)
    assert estimates["b"] == Estimate(mean=None, ci95=None, n=0, units=0)
    assert estimate_means({}, np.arange(4)) == {}
    assert estimate_means({"a": np.zeros(0)}, np.arange(0))["a"] == Estimate(None, None, 0, 0)


def test_the_interval_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(0.4, 0.2, 200)
    half = norm.ppf(0.975) * values.std() / np.sqrt(200)
    found = estimate(values)
    assert found.mean == pytest.approx(values.mean(), abs=1e-12)
    assert found.ci95 == pytest.approx((values.mean() - half, values.mean() + half), abs=0.004)
    assert found.ends == found.ci95


def test_undefined_values_do_not_change_the_interval() -> None:
    values = np.random.default_rng(1).normal(0.4, 0.2, 100)
    thinned = np.full(300, np.nan)
    thinned[::3] = values
    low, high = estimate(thinned).ci95
    assert (low, high) == pytest.approx(estimate(values).ci95, abs=0.01)


def test_duplicates_are_drawn_together() -> None:
    values = np.repeat(np.random.default_rng(2).normal(size=40), 4)
    alone, grouped = estimate(values), estimate(values, np.arange(160) // 4)
    width = np.ptp(grouped.ci95) / np.ptp(alone.ci95)
    assert width == pytest.approx(2, rel=0.1)
    assert (alone.mean, alone.n) == (grouped.mean, grouped.n)
    assert (alone.units, grouped.units) == (160, 40)


def test_few_images_or_few_groups_have_no_interval() -> None:
    values = np.random.default_rng(3).normal(size=4 * MIN_UNITS)
    assert estimate(values[: MIN_UNITS - 1]).ci95 is None
    assert estimate(values[: MIN_UNITS - 1]).ends is None
    assert estimate(values[:MIN_UNITS]).ci95 is not None
    assert estimate(values, np.arange(len(values)) % (MIN_UNITS - 1)).ci95 is None
    assert estimate(values, np.arange(len(values)) % (MIN_UNITS - 1)).ends is None


# 0.1 + 0.1 + 0.1 is not 0.3: sums of equal values differ in their last bits.
@given(st.floats(-1, 1), st.integers(MIN_UNITS, 60))
def test_equal_values_have_no_interval_but_ends(value: float, n: int) -> None:
    found = estimate([value] * n + [np.nan] * 3)
    assert found == Estimate(mean=value, ci95=None, n=n, units=n)
    assert found.ends == (value, value)


def test_the_seed_decides_the_interval() -> None:
    values, units = np.random.default_rng(4).normal(size=50), np.arange(50)
    first, again, other = (estimate_means({"x": values}, units, seed=s)["x"] for s in (0, 0, 1))
    assert first == again
    assert first.ci95 != other.ci95
