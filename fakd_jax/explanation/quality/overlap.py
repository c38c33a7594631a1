"""How much of their top superpixels several explanations of one image share."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from fakd_jax.explanation.result import NEGLIGIBLE


def top_members(weights: Float[np.ndarray, "N S"], top: int) -> Bool[np.ndarray, "N S"]:
    """Which superpixels are among each row's `top` of largest absolute weight.

    Negligible weights never are, so a row may have fewer. Ties go to the smaller number.
    """
    sizes = np.abs(weights)
    places = np.argsort(np.argsort(-sizes, axis=1, kind="stable"), axis=1)
    return (places < top) & (sizes >= NEGLIGIBLE)


def mean_pairwise_jaccard(members: Bool[np.ndarray, "N S"]) -> float:
    """The mean over all pairs of rows of |A ∩ B| / |A ∪ B|; two empty sets agree: 1.

    Raises:
      ValueError: fewer than two rows.
    """
    if len(members) < 2:
        raise ValueError("a pair needs two rows")
    counts = members.astype(np.float64)
    both = counts @ counts.T
    sizes = counts.sum(axis=1)
    either = sizes[:, None] + sizes - both
    shares = np.divide(both, either, out=np.ones_like(both), where=either > 0)
    return float(shares[np.triu_indices(len(members), k=1)].mean())
