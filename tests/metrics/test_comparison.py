"""Two models on the same images: against statsmodels, by hand, and type-I error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar

from fakd_jax.metrics.comparison import compare_predictions, mcnemar_exact


@given(st.integers(0, 1500), st.integers(0, 1500))
def test_mcnemar_agrees_with_statsmodels(first: int, second: int) -> None:
    ours = mcnemar_exact(first, second)
    assert ours == pytest.approx(mcnemar([[9, first], [second, 9]], exact=True).pvalue, rel=1e-6)
    assert ours == mcnemar_exact(second, first)


def test_mcnemar_by_hand() -> None:
    assert mcnemar_exact(0, 0) == 1
    assert mcnemar_exact(5, 5) == 1
    assert mcnemar_exact(0, 6) == pytest.approx(2 / 64)
    assert mcnemar_exact(1, 6) == pytest.approx(2 * 8 / 128)
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 3)


@pytest.mark.parametrize("discordant", [1, 5, 6, 20, 51, 200])
def test_equally_good_models_seldom_seem_to_differ(discordant: int) -> None:
    counts = np.arange(discordant + 1)
    rejects = [mcnemar_exact(int(k), discordant - int(k)) <= 0.05 for k in counts]
    assert binom.pmf(counts, discordant, 0.5) @ rejects <= 0.05


def test_the_comparison_by_hand() -> None:
    counts = (70, 12, 3, 15)
    this, other = np.repeat([[1, 1, 0, 0], [1, 0, 1, 0]], counts, axis=1).astype(bool)
    compared = compare_predictions(this, other, np.arange(100))
    low, high = compared.pop("difference_ci95")
    assert compared == {
        "n": 100,
        "both_right": 70,
        "only_this_right": 12,
        "only_other_right": 3,
        "both_wrong": 15,
        "mcnemar_p": mcnemar_exact(12, 3),
        "difference": 0.09,
    }
    # The standard error of a paired difference: sqrt((b + c) - (b - c)²/n) / n.
    error = np.sqrt(15 - 81 / 100) / 100
    assert (low, high) == pytest.approx((0.09 - 1.96 * error, 0.09 + 1.96 * error), abs=0.012)


def test_models_that_agree_everywhere() -> None:
    same = np.arange(10) < 9
    compared = compare_predictions(same, same, np.arange(10))
    assert (compared["difference"], compared["mcnemar_p"]) == (0, 1)
    assert compared["difference_ci95"] is None
