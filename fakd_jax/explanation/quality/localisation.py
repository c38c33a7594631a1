"""Where the attribution lies: on the lesion, if its mask is known, and outside the head.

Evidence for the class is positive attribution; without any, every lesion metric is 0. The lesion
metrics apply only where the explained class is right, and count attribution anywhere in the
image: the controls, which know where the head is and nothing else, set the bar.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def localisation_of(
    attribution: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]
) -> dict[str, float]:
    """All lesion metrics, by name, in [0, 1].

    Args:
      attribution: finite, positive where a pixel speaks for the class of the lesion.
      mask: where the lesion is, not empty.

    Raises:
      ValueError: an empty mask, other shapes, or attribution that is not finite.
    """
    if attribution.shape != mask.shape or not mask.any() or not np.isfinite(attribution).all():
        raise ValueError(
            f"expected finite attribution and a non-empty mask of one shape, not "
            f"{attribution.shape} and {mask.shape}"
        )
    return {
        "pointing": pointing_game(attribution, mask),
        "dice": dice_of_top(attribution, mask),
        "mass_in_mask": mass_in_mask(attribution, mask),
    }


def pointing_game(attribution: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]) -> float:
    """Whether the maximum lies in the mask: the pointing game of Zhang et al. (2016).

    If several pixels share the maximum, the fraction of them inside. Without the paper's
    tolerance of 15 pixels, meant for photographs: a lesion may be no larger than that.
    """
    top = (attribution == attribution.max()) & (attribution > 0)
    return float(mask[top].mean()) if top.any() else 0.0


def dice_of_top(attribution: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]) -> float:
    """Dice's coefficient of the mask and as many pixels of highest attribution as it has.

    With at least that many positive pixels, this is the relevance rank accuracy of Arras, Osman &
    Samek (2022); with fewer, all positive pixels are taken. Of pixels tied at the last place any
    may be taken: this is the expected value.
    """
    area = int(mask.sum())
    positive = attribution[attribution > 0]
    taken = min(area, len(positive))
    if not taken:
        return 0.0
    last = np.partition(positive, len(positive) - taken)[len(positive) - taken]
    above, tied = attribution > last, attribution == last
    places = taken - above.sum()
    overlap = mask[above].sum() + places * mask[tied].mean()
    return float(2 * overlap / (taken + area))


def mass_in_mask(attribution: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]) -> float:
    """The fraction of positive attribution in the mask: Arras et al.'s relevance mass accuracy."""
    return _mass_inside(np.maximum(attribution, 0), mask) if attribution.max() > 0 else 0.0


def background_share(
    attribution: Float[np.ndarray, "H W"], foreground: Bool[np.ndarray, "H W"]
) -> float | None:
    """The fraction of absolute attribution outside the foreground, where no evidence can be.

    Returns:
      In [0, 1], lower is better; None for no attribution at all, as that is no merit, and where
      everything is foreground.

    Raises:
      ValueError: shapes that differ, or attribution that is not finite.
    """
    if attribution.shape != foreground.shape or not np.isfinite(attribution).all():
        raise ValueError(
            f"expected finite attribution of the foreground's shape {foreground.shape}, not "
            f"{attribution.shape}"
        )
    if foreground.all() or not attribution.any():
        return None
    return _mass_inside(np.abs(attribution), ~foreground)


def _mass_inside(amount: Float[np.ndarray, "H W"], region: Bool[np.ndarray, "H W"]) -> float:
    amount = amount / amount.max()  # so that no sum over- or underflows
    inside, outside = amount[region].sum(), amount[~region].sum()
    return float(inside / (inside + outside))
