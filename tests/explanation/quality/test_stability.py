"""Agreement between seeds: by hand, by properties, and whether the intervals cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
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
runs = st.integers(2, 7).flatmap(
    lambda width: st.lists(st.lists(weight, min_size=width, max_size=width), min_size=2, max_size=4)
).map(np.array)  # fmt: skip

BY_HAND = np.array(
    [
        [0.9, -0.5, 0.1, 0.0],
        [0.8, 0.4, -0.2, 0.0],
        [0.3, 0.1, -0.6, 0.0],
    ]
)
"""Tops of two: {0, 1}, {0, 1}, {0, 2}."""


def test_by_hand() -> None:
    found = stability_of(BY_HAND, 2)
    assert found.jaccard == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    # Runs 0 and 1: of {0, 1}, 0. Runs 0 and 2: of {0, 1, 2}, 0. Runs 1 and 2: of {0, 1, 2}, all.
    assert found.sign_agreement == pytest.approx((1 / 2 + 1 / 3 + 1) / 3)
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([spearmanr(BY_HAND[i], BY_HAND[j]).statistic for i, j in pairs])
    assert found.rank_correlation == pytest.approx(expected)


@given(runs, st.integers(1, 8), st.floats(1, 1e6), st.randoms(use_true_random=False))
def test_ranges_and_what_does_not_matter(weights, top, scale, random) -> None:
    found = stability_of(weights, top)
    measures = (found.rank_correlation, found.jaccard, found.sign_agreement)
    assert -1 <= measures[0] <= 1
    assert 0 <= measures[1] <= 1
    assert 0 <= measures[2] <= 1
    for same in (
        weights[random.sample(range(len(weights)), len(weights))],  # the runs' order
        -weights,
        np.where(np.abs(weights) < 1e-6, weights, weights * scale),
    ):
        other = stability_of(same, top)
        assert (other.rank_correlation, other.jaccard, other.sign_agreement) == pytest.approx(
            measures
        )


@given(st.permutations(range(6)))
def test_without_ties_the_superpixels_numbers_do_not_matter(order: list[int]) -> None:
    weights = np.random.default_rng(3).normal(size=(4, 6))
    one, other = stability_of(weights, 2), stability_of(weights[:, order], 2)
    assert other.rank_correlation == pytest.approx(one.rank_correlation)
    assert (other.jaccard, other.sign_agreement) == (one.jaccard, one.sign_agreement)
    np.testing.assert_array_equal(other.high, one.high[order])


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9), st.integers(2, 6))
def test_equal_runs_agree_perfectly(row: list[float], seeds: int) -> None:
    found = stability_of(np.array([row] * seeds), 3)
    assert (found.rank_correlation, found.jaccard, found.sign_agreement) == (1, 1, 1)
    np.testing.assert_array_equal(found.low, row)
    np.testing.assert_array_equal(found.high, row)


def test_noise_agrees_as_coins_do() -> None:
    found = stability_of(np.random.default_rng(0).normal(size=(60, 40)), 5)
    assert found.rank_correlation == pytest.approx(0, abs=0.02)
    assert found.sign_agreement == pytest.approx(0.5, abs=0.03)
    assert found.jaccard == pytest.approx(0.07, abs=0.01)  # about (25 / 40) / (10 - 25 / 40)


def test_rounding_errors_are_ignored() -> None:
    noise = np.random.default_rng(0).normal(size=(4, 6)) * 1e-8
    found = stability_of(noise, 3)
    assert (found.rank_correlation, found.jaccard, found.sign_agreement) == (1, 1, 1)
    one_sided = stability_of(np.vstack([noise[:1], [[0, 0, 0.4, 0, 0, -0.1]]]), 3)
    assert (one_sided.rank_correlation, one_sided.jaccard, one_sided.sign_agreement) == (0, 0, 0)


@given(runs, st.integers(1, 8))
def test_the_top_is_that_of_top_superpixels(weights: np.ndarray, top: int) -> None:
    weights = np.where(np.abs(weights) < 1e-6, 0, weights)
    segments = np.arange(weights.shape[1], dtype=np.int32)[None]
    for mask, row in zip(top_masks(weights, top), weights, strict=True):
        named = top_superpixels(Explanation(0, segments, row, row[None]), top)
        assert set(np.flatnonzero(mask)) == {entry.superpixel for entry in named}


def test_runs_that_share_one_superpixel_of_many_do_not_agree_in_sign() -> None:
    weights = np.array([[1, 1, 1, 0, 0], [1, 0, 0, 1, 1.0]])
    tops = weights > 0
    assert mean_jaccard(tops) == 1 / 5
    assert mean_sign_agreement(weights, tops) == 1 / 5


def test_the_interval_by_hand() -> None:
    low, high = prediction_interval(np.array([[1.0], [2.0], [3.0]]))
    half = 4.302653 * 1 * np.sqrt(1 + 1 / 3)  # t of 2 degrees of freedom at 0.975
    assert (low[0], high[0]) == pytest.approx((2 - half, 2 + half))


@pytest.mark.parametrize("seeds", [2, 5, 20])
def test_of_other_seeds_runs_95_percent_fall_inside(seeds: int) -> None:
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
def test_what_cannot_be_compared_is_refused(weights: np.ndarray, top: int) -> None:
    with pytest.raises((ValueError, TypeError)):
        stability_of(weights, top)
