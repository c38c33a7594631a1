"""How much of an explanation lies where no evidence can be."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def background_share(
    heat: Float[np.ndarray, "H W"], foreground: Bool[np.ndarray, "H W"]
) -> float | None:
    """The share of the absolute heat that lies outside the foreground.

    Heat of either sign counts: the background speaks neither for a class nor against it.

    Args:
      heat: finite.
      foreground: where evidence may lie.

    Returns:
      In [0, 1], lower is better; None where there is no heat at all, for silence is no merit, and
      where everything is foreground, for nothing can lie outside.

    Raises:
      ValueError: shapes that differ, or heat that is not finite.
    """
    if heat.shape != foreground.shape or not np.isfinite(heat).all():
        raise ValueError(f"finite heat {heat.shape} over a foreground {foreground.shape} is meant")
    amount = np.abs(heat)
    if foreground.all() or not amount.any():
        return None
    amount = amount / amount.max()  # scaled, so that no sum over- or underflows
    inside, outside = amount[foreground].sum(), amount[~foreground].sum()
    return float(outside / (inside + outside))
