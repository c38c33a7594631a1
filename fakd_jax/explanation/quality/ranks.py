"""Spearman's rank correlation of explanations, also for ties and degenerate ones."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata


def rank_correlations(
    one: Float[np.ndarray, "N S"], other: Float[np.ndarray, "M S"]
) -> Float[np.ndarray, "N M"]:
    """Spearman's ρ (1904) of every row of `one` with every row of `other`; ties share their rank.

    A row whose S values are all equal is degenerate: it ranks nothing. Spearman's ρ with it is
    0/0; here it is 0, also between two such rows. Equal rankings give exactly 1.

    Raises:
      ValueError: rows of other lengths, empty ones, or values that are not finite.

    >>> rank_correlations(np.array([[1.0, 2.0, 3.0]]), np.array([[9.0, 5.0, 5.0], [7.0, 7.0, 7.0]]))
    array([[-0.8660254,  0.       ]])
    """
    for rows in (one, other):
        if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
            raise ValueError(f"expected finite weights [rows, superpixels], not {rows.shape}")
    a, b = _centred_ranks(one), _centred_ranks(other)
    spreads = np.outer(np.sum(a**2, axis=1), np.sum(b**2, axis=1))
    return np.divide(a @ b.T, np.sqrt(spreads), out=np.zeros_like(spreads), where=spreads > 0)


def degenerate(rows: Float[np.ndarray, "N S"]) -> Bool[np.ndarray, " N"]:
    """Which rows rank nothing, all their values being equal."""
    return np.ptp(rows, axis=1) == 0


def mean_over_pairs(correlations: Float[np.ndarray, "N N"]) -> float:
    """The mean over pairs of different rows, of a symmetric table of rows with themselves.

    Raises:
      ValueError: fewer than two rows.
    """
    if len(correlations) < 2:
        raise ValueError("agreement between runs needs at least two of them")
    return float(correlations[np.triu_indices(len(correlations), 1)].mean())


def _centred_ranks(rows: Float[np.ndarray, "N S"]) -> Float[np.ndarray, "N S"]:
    """Twice the ranks less their mean: integers, even for ties."""
    return 2 * rankdata(rows, axis=1) - (rows.shape[1] + 1)
