"""Rank correlations: against SciPy, by properties, and where a row ranks nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from fakd_jax.explanation.quality.ranks import degenerate, mean_over_pairs, rank_correlations

levels = st.sampled_from([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
tables = arrays(float, st.tuples(st.integers(2, 5), st.integers(3, 9)), elements=levels)


@given(tables)
def test_agrees_with_scipy_and_is_0_where_a_row_ranks_nothing(rows: np.ndarray) -> None:
    found = rank_correlations(rows[:1], rows[1:])[0]
    assert found.shape == (len(rows) - 1,)
    for value, row in zip(found, rows[1:], strict=True):
        if np.ptp(rows[0]) == 0 or np.ptp(row) == 0:
            assert value == 0
        else:
            assert value == pytest.approx(spearmanr(rows[0], row).statistic, abs=1e-12)
            assert -1 <= value <= 1


@given(tables, st.randoms(use_true_random=False))
def test_depends_on_the_ranks_alone(rows, random) -> None:
    order = random.sample(range(rows.shape[1]), rows.shape[1])
    found = rank_correlations(rows, rows)
    np.testing.assert_array_equal(rank_correlations(np.exp(rows) + 7, 3 * rows), found)
    np.testing.assert_array_equal(rank_correlations(rows[:, order], rows[:, order]), found)
    np.testing.assert_array_equal(rank_correlations(-rows, rows), -found)
    np.testing.assert_array_equal(np.diag(found), ~degenerate(rows))


def test_equal_and_opposed_rankings_give_exactly_1_whatever_their_length() -> None:
    for width in (2, 7, 100, 1001):
        row = np.random.default_rng(width).normal(size=(1, width))
        assert rank_correlations(row, row**3) == 1
        assert rank_correlations(row, -row) == -1


def test_by_hand() -> None:
    # Ranks 1, 2.5, 2.5, 4 and 2, 1, 3, 4: centred products 0.75 + 0 + 0 + 2.25 of √(4.5 · 5).
    found = rank_correlations(np.array([[0.0, 5, 5, 9]]), np.array([[2.0, 1, 3, 4]]))
    assert found[0, 0] == pytest.approx(3 / np.sqrt(22.5))


def test_the_mean_over_pairs_leaves_out_rows_with_themselves() -> None:
    table = np.array([[9, 1, 2], [1, 9, 6], [2, 6, 9.0]])
    assert mean_over_pairs(table) == 3
    with pytest.raises(ValueError, match="at least two"):
        mean_over_pairs(np.ones((1, 1)))


@pytest.mark.parametrize("wrong", [np.array([[1, np.nan]]), np.zeros((2, 0)), np.zeros((0, 2))])
def test_invalid_weights_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite"):
        rank_correlations(np.zeros((1, 2)), wrong)
