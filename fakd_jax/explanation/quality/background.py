"""How much of an explanation lies where no evidence can be."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def background_share(
    attribution: Float[np.ndarray, "H W"], foreground: Bool[np.ndarray, "H W"]
) -> float | None:
    """The share of the absolute attribution that lies outside the foreground.

    Attribution of either sign counts: the background speaks neither for a class nor against it.

    Args:
      attribution: finite.
      foreground: where evidence may lie.

    Returns:
      In [0, 1], lower is better; None where there is no attribution at all, for silence is no merit, and
      where everything is foreground, for nothing can lie outside.

    Raises:
      ValueError: shapes that differ, or attribution that is not finite.
    """
    if attribution.shape != foreground.shape or not np.isfinite(attribution).all():
        raise ValueError(
            f"finite attribution {attribution.shape} over a foreground {foreground.shape} is meant"
        )
    amount = np.abs(attribution)
    if foreground.all() or not amount.any():
        return None
    amount = amount / amount.max()  # scaled, so that no sum over- or underflows
    inside, outside = amount[foreground].sum(), amount[~foreground].sum()
    return float(outside / (inside + outside))
