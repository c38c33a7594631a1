"""Precision and recall: against scikit-learn, the interval against the bootstrap, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from sklearn.metrics import precision_recall_curve as sklearn_curve

from fakd_jax.metrics.precision_recall import average_precision, precision_recall_curve


def drawn(seed: int, n: int, share: float, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores, rounded so that some tie, and which images are positive: never none or all."""
    random = np.random.default_rng(seed)
    positive = random.random(n) < share
    positive[:2] = True, False
    return np.round(random.normal(size=n) + distance * positive, 2), positive


@given(st.integers(0, 1000), st.integers(2, 100), st.floats(0.1, 0.9))
def test_curve_and_area_are_scikit_learns(seed: int, n: int, share: float) -> None:
    scores, positive = drawn(seed, n, share, 1.0)
    area = average_precision(scores, positive, np.arange(n))
    assert area.value == pytest.approx(average_precision_score(positive, scores))
    thresholds, precision, recall = precision_recall_curve(scores, positive)
    expected = sklearn_curve(positive, scores)
    np.testing.assert_allclose(precision, expected[0][-2::-1])
    np.testing.assert_allclose(recall, expected[1][-2::-1])
    np.testing.assert_allclose(thresholds, expected[2][::-1])


def test_the_interval_is_as_wide_as_the_bootstraps() -> None:
    scores, positive = drawn(0, 400, 0.4, 1.0)
    random = np.random.default_rng(0)
    resampled = []
    for _ in range(1000):
        chosen = random.integers(0, 400, 400)
        resampled.append(average_precision_score(positive[chosen], scores[chosen]))
    low, high = average_precision(scores, positive, np.arange(400)).ci95
    expected = np.subtract(*np.percentile(resampled, [97.5, 2.5]))
    assert high - low == pytest.approx(expected, rel=0.1)


def test_duplicates_count_as_one() -> None:
    scores, positive = drawn(0, 300, 0.4, 1.0)
    once = average_precision(scores, positive, np.arange(300))
    twice = np.repeat(scores, 2), np.repeat(positive, 2)
    again = average_precision(*twice, np.repeat(np.arange(300), 2))
    assert [again.value, *again.ci95] == pytest.approx([once.value, *once.ci95])


def test_what_is_undefined_is_none() -> None:
    for side in (True, False):
        assert average_precision(np.arange(3.0), np.full(3, side), np.arange(3)) == (None, None)
    perfect = average_precision(np.arange(4.0), np.arange(4) >= 2, np.arange(4))
    assert perfect == (1.0, None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "share", "distance"), [(200, 0.7, 2.0), (1300, 0.7, 3.0), (300, 0.1, 1.5)]
)
def test_intervals_cover(n: int, share: float, distance: float) -> None:
    truth = average_precision_score(*drawn(0, 1_000_000, share, distance)[::-1])
    found = [
        average_precision(*drawn(seed, n, share, distance), np.arange(n)).ci95
        for seed in range(2000)
    ]
    covered = np.mean([low <= truth <= high for low, high in filter(None, found)])
    assert 0.92 <= covered <= 0.985
