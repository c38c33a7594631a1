"""Agreement between seeds: by hand, by properties, and whether the intervals cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from fakd_jax.explanation.quality.stability import (
    mean_jaccard,
    mean_sign_agreement,
    prediction_interval,
    stability_of,
    top_masks,
)
from fakd_jax.explanation.result import Explanation, top_superpixels

weight = st.sampled_from([-0.5, -0.2, -1e-9, 0.0, 1e-9, 0.1, 0.2, 0.7])
runs = arrays(float, st.tuples(st.integers(2, 4), st.integers(2, 7)), elements=weight)


def measures(weights: np.ndarray, top: int) -> tuple[float, float, float]:
    """Rank correlation, Jaccard index and sign agreement."""
    found = stability_of(weights, top)
    return found.rank_correlation, found.jaccard, found.sign_agreement


def test_agreement_by_hand() -> None:
    weights = np.array([[0.9, -0.5, 0.1, 0], [0.8, 0.4, -0.2, 0], [0.3, 0.1, -0.6, 0]])
    found = stability_of(weights, 2)  # tops {0, 1}, {0, 1}, {0, 2}
    assert found.jaccard == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    # Runs 0 and 1: of {0, 1}, 0. Runs 0 and 2: of {0, 1, 2}, 0. Runs 1 and 2: of {0, 1, 2}, all.
    assert found.sign_agreement == pytest.approx((1 / 2 + 1 / 3 + 1) / 3)
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([spearmanr(weights[i], weights[j]).statistic for i, j in pairs])
    assert found.rank_correlation == pytest.approx(expected)


@given(runs, st.integers(1, 8), st.floats(1, 1e6), st.randoms(use_true_random=False))
def test_neither_order_of_runs_nor_sign_nor_scale_matters(weights, top, scale, random) -> None:
    found = measures(weights, top)
    assert -1 <= found[0] <= 1
    assert 0 <= found[1] <= 1
    assert 0 <= found[2] <= 1
    shuffled = weights[random.sample(range(len(weights)), len(weights))]
    scaled = np.where(np.abs(weights) < 1e-6, weights, weights * scale)
    for same in (shuffled, -weights, scaled):
        assert measures(same, top) == pytest.approx(found)


@given(st.permutations(range(6)))
def test_without_ties_the_order_of_superpixels_does_not_matter(order: list[int]) -> None:
    weights = np.random.default_rng(3).normal(size=(4, 6))
    one, other = stability_of(weights, 2), stability_of(weights[:, order], 2)
    assert other.rank_correlation == pytest.approx(one.rank_correlation)
    assert (other.jaccard, other.sign_agreement) == (one.jaccard, one.sign_agreement)
    np.testing.assert_array_equal(other.high, one.high[order])


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9), st.integers(2, 6))
def test_equal_runs_agree_perfectly(row: list[float], seeds: int) -> None:
    runs = np.array([row] * seeds)
    assert measures(runs, 3) == (1, 1, 1)
    for end in prediction_interval(runs):
        np.testing.assert_array_equal(end, row)


def test_noise_agrees_by_chance() -> None:
    noise = np.random.default_rng(0).normal(size=(60, 40))
    correlation, jaccard, sign_agreement = measures(noise, 5)
    assert correlation == pytest.approx(0, abs=0.02)
    assert sign_agreement == pytest.approx(0.5, abs=0.03)
    assert jaccard == pytest.approx(0.07, abs=0.01)  # about (25 / 40) / (10 - 25 / 40)


def test_rounding_errors_are_ignored() -> None:
    noise = np.random.default_rng(0).normal(size=(4, 6)) * 1e-8
    assert measures(noise, 3) == (1, 1, 1)
    assert measures(np.vstack([noise[:1], [[0, 0, 0.4, 0, 0, -0.1]]]), 3) == (0, 0, 0)


@given(runs, st.integers(1, 8))
def test_the_top_agrees_with_top_superpixels(weights: np.ndarray, top: int) -> None:
    weights = np.where(np.abs(weights) < 1e-6, 0, weights)
    segments = np.arange(weights.shape[1], dtype=np.int32)[None]
    for mask, row in zip(top_masks(weights, top), weights, strict=True):
        named = top_superpixels(Explanation(0, segments, row, row[None]), top)
        assert set(np.flatnonzero(mask)) == {entry.superpixel for entry in named}


def test_sign_agreement_counts_the_union_of_tops() -> None:
    weights = np.array([[1, 1, 1, 0, 0], [1, 0, 0, 1, 1.0]])
    tops = weights > 0
    assert mean_jaccard(tops) == 1 / 5
    assert mean_sign_agreement(weights, tops) == 1 / 5


def test_the_interval_by_hand() -> None:
    low, high = prediction_interval(np.array([[1.0], [2.0], [3.0]]))
    half = 4.302653 * 1 * np.sqrt(1 + 1 / 3)  # t of 2 degrees of freedom at 0.975
    assert (low[0], high[0]) == pytest.approx((2 - half, 2 + half))


@pytest.mark.parametrize("seeds", [2, 5, 20])
def test_the_interval_covers_95_percent_of_further_runs(seeds: int) -> None:
    random = np.random.default_rng(seeds)
    low, high = prediction_interval(random.normal(3, 2, (seeds, 20_000)))
    another = random.normal(3, 2, 20_000)
    assert np.mean((low <= another) & (another <= high)) == pytest.approx(0.95, abs=0.006)


@pytest.mark.parametrize(
    ("weights", "top"),
    [
        (np.ones((1, 3)), 2),
        (np.ones((3, 0)), 2),
        (np.ones((3, 2)), 0),
        (np.full((3, 2), np.nan), 1),
    ],
)
def test_invalid_runs_are_refused(weights: np.ndarray, top: int) -> None:
    with pytest.raises(ValueError, match=r"at least|finite"):
        stability_of(weights, top)
