"""How far methods agree on one image: rank correlations of their superpixels' weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from fakd_jax.explanation.quality.ranks import rank_correlations, silent
from fakd_jax.explanation.quality.stability import without_negligible
from fakd_jax.explanation.result import NEGLIGIBLE


def says_nothing(weights: Sequence[float]) -> bool:
    """Whether all weights are negligible: then neither their signs nor their order mean anything.

    >>> says_nothing([0.0, -1e-9]), says_nothing([0.0, 0.02])
    (True, False)
    """
    return bool(np.all(np.abs(weights) < NEGLIGIBLE))


def agreements(weights: Mapping[str, Sequence[float]]) -> dict[tuple[str, str], float | None]:
    """Spearman's rank correlation of each pair of methods.

    Args:
      weights: of the same superpixels, by method; positive for the class.

    Returns:
      By pair, in the order of `weights`: in [-1, 1]; None where a method says nothing, or the
      same of every superpixel.
    """
    rows = without_negligible(np.array([*weights.values()], np.float64))
    correlations, quiet = rank_correlations(rows, rows), silent(rows)
    return {
        (one, other): None if quiet[i] or quiet[j] else float(correlations[i, j])
        for (i, one), (j, other) in combinations(enumerate(weights), 2)
    }


def mean_agreement(
    pairs: Mapping[tuple[str, str], float | None], method: str | None = None
) -> float | None:
    """The mean over the pairs that are defined, all or those of one method; None without any."""
    chosen = [
        value
        for pair, value in pairs.items()
        if value is not None and (method is None or method in pair)
    ]
    return float(np.mean(chosen)) if chosen else None
