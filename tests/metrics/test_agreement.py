"""Cohen's kappa: against scikit-learn and statsmodels, undefined cases, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa as statsmodels_kappa

from fakd_jax.metrics.agreement import cohens_kappa
from fakd_jax.metrics.confusion import confusion_matrix
from fakd_jax.metrics.linearised import log_interval


def drawn(seed: int, n: int, right: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels of four unequal classes, and predictions of them."""
    random = np.random.default_rng(seed)
    labels = random.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])
    return labels, np.where(random.random(n) < right, labels, random.integers(0, 4, n))


@given(st.integers(0, 1000), st.integers(10, 200), st.floats(0, 0.99))
def test_the_value_is_scikit_learns(seed: int, n: int, right: float) -> None:
    labels, predictions = drawn(seed, n, right)
    kappa = cohens_kappa(labels, predictions, 4, np.arange(n))
    assert kappa.value == pytest.approx(cohen_kappa_score(labels, predictions))


def test_the_standard_error_is_that_of_fleiss_cohen_and_everitt() -> None:
    labels, predictions = drawn(0, 300, 0.8)
    known = statsmodels_kappa(confusion_matrix(labels, predictions, 4))
    error = known.std_kappa * np.sqrt(300 / 299)
    low, high = log_interval(1 - known.kappa, error, 300)
    kappa = cohens_kappa(labels, predictions, 4, np.arange(300))
    assert kappa.ci95 == pytest.approx([1 - high, 1 - low])


def test_duplicates_widen_the_interval_as_if_they_were_one() -> None:
    labels, predictions = drawn(0, 300, 0.8)
    once = cohens_kappa(labels, predictions, 4, np.arange(300))
    twice = np.repeat(labels, 2), np.repeat(predictions, 2)
    assert cohens_kappa(*twice, 4, np.repeat(np.arange(300), 2)).ci95 == pytest.approx(once.ci95)
    low, high = cohens_kappa(*twice, 4, np.arange(600)).ci95
    assert high - low < 0.75 * (once.ci95[1] - once.ci95[0])


def test_what_is_undefined_is_none() -> None:
    same = np.zeros(5, int)
    assert cohens_kappa(same, same, 2, np.arange(5)) == (None, None)
    right = np.array([0, 1, 1])
    assert cohens_kappa(right, right, 2, np.arange(3)) == (1.0, None)


def test_a_network_worse_than_chance_stays_in_range() -> None:
    labels = np.arange(10) % 2
    kappa = cohens_kappa(labels, np.append(1 - labels[:9], labels[9]), 2, np.arange(10))
    assert kappa.value < 0
    assert -1 <= kappa.ci95[0] < kappa.value < kappa.ci95[1] < 1


@pytest.mark.slow
@pytest.mark.parametrize(("n", "right"), [(100, 0.9), (300, 0.96), (1311, 0.99), (100, 0.4)])
def test_intervals_cover(n: int, right: float) -> None:
    labels, predictions = drawn(0, 1_000_000, right)
    truth = cohen_kappa_score(labels, predictions)
    found = [cohens_kappa(*drawn(seed, n, right), 4, np.arange(n)).ci95 for seed in range(2000)]
    defined = [ends for ends in found if ends is not None]
    assert len(defined) > 1950
    covered = np.mean([low <= truth <= high for low, high in defined])
    assert 0.93 <= covered <= 0.975
