"""Student's interval and test, against hand values and simulation."""

import math

import numpy as np
import pytest

from fakd_jax.study.statistics import estimate, t_factor


def test_three_values_by_hand():
    """Mean 2, deviations -1, 0, 1: sd 1; t of 2 degrees of freedom is 4.302653."""
    made = estimate([1.0, 2.0, 3.0])
    assert (made.n, made.mean, made.sd) == (3, 2.0, 1.0)
    half = 4.302653 / math.sqrt(3)
    assert made.ci95 == pytest.approx((2 - half, 2 + half), rel=1e-6)


def test_two_values_by_hand():
    """Two values leave one degree of freedom, a Cauchy distribution: t is tan(0.95 π / 2)."""
    assert t_factor(2) == pytest.approx(math.tan(0.475 * math.pi), rel=1e-9)
    # t = mean / error = 1 / (√2 / √2) = 1, which a Cauchy variable exceeds in half of all cases.
    assert estimate([0.0, 2.0]).p == pytest.approx(0.5)


@pytest.mark.parametrize(("n", "sd"), [(1, None), (3, 0.0)])
@pytest.mark.parametrize("value", [0.0, 0.1, 2 / 3])
def test_values_that_do_not_vary_claim_no_certainty(value, n, sd):
    made = estimate([value] * n)
    assert (made.mean, made.sd, made.ci95, made.p) == (pytest.approx(value), sd, None, None)
    with pytest.raises(ValueError, match="at least one"):
        estimate([])


def test_equal_differences_that_are_rounded_differently_claim_no_certainty():
    gains = [281 / 300 - 276 / 300, 289 / 300 - 284 / 300]
    assert gains[0] != gains[1]
    found = estimate(gains)
    assert (found.sd, found.ci95, found.p) == (0.0, None, None)
    assert found.mean == pytest.approx(5 / 300)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    generator = np.random.default_rng(0)
    samples = generator.normal(0.6, 0.05, (1000, 3))
    intervals = [estimate(list(sample)).ci95 for sample in samples]
    covered = np.mean([low <= 0.6 <= high for low, high in intervals])
    assert 0.929 < covered < 0.971  # three standard errors around 0.95
